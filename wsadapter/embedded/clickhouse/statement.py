"""What the endpoint must know of a statement before the engine parses it: where the data of an INSERT begins, and in
which format the answer comes. Everything else is the engine's.

Works on bytes: the data may be anything. Only the first 256 KiB are looked at, ClickHouse's own limit of a query.
"""

import re
from typing import Final

from msgspec import Struct

MAX_QUERY_BYTES: Final = 262_144

_TOKEN = re.compile(
    rb"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |'(?:[^'\\]|\\.|'')*' | `(?:[^`\\]|\\.)*` | "(?:[^"\\]|\\.)*"
    |(?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_DATA_START = re.compile(rb"[ \t\f]*(?:\r?\n)?")
_INPUT_FUNCTION = re.compile(rb"\binput\s*\(", re.IGNORECASE)
_OUTPUT_FORMAT = re.compile(rb"\bFORMAT\s+([A-Za-z][A-Za-z0-9]*)\s*(?:SETTINGS\b[^;]*)?;?\s*\Z", re.IGNORECASE)


class Insert(Struct, frozen=True):
    """``INSERT ... [SETTINGS ...] FORMAT <format>`` and where its data begins."""

    head: bytes
    settings: bytes
    format: str
    data: int

    def reading(self, path: str) -> bytes:
        """The statement that takes its data from a file."""
        return b"%b FROM INFILE '%b' %b FORMAT %b" % (self.head, path.encode(), self.settings, self.format.encode())


class UnsupportedInsert(ValueError):
    """chDB would accept the statement, store nothing and say nothing."""


def insert_with_data(statement: bytes) -> Insert | None:
    """The parts of an INSERT whose data follows a FORMAT clause; None for every other statement."""
    depth = settings = 0
    before = b""
    for token in _TOKEN.finditer(statement[:MAX_QUERY_BYTES]):
        if token["space"] is not None:
            continue
        word = (token["word"] or b"").upper()
        if not before and word != b"INSERT":
            return None
        if word == b"FORMAT" and depth == 0 and before not in (b"INTO", b"TABLE", b"."):
            return _with_format(statement, settings or token.start(), token.start(), token.end())
        if word == b"SETTINGS" and depth == 0 and before not in (b"INTO", b"TABLE", b"."):
            settings = token.start()
        if word in (b"SELECT", b"WITH", b"VALUES", b"FROM") and depth == 0 and before not in (b"INTO", b"TABLE", b"."):
            _refuse_input_function(statement[token.start() : MAX_QUERY_BYTES])
            return None
        depth += {b"(": 1, b")": -1}.get(token["other"] or b"", 0)
        before = word or token["other"] or b"quoted"
    return None


def _with_format(statement: bytes, settings: int, start: int, end: int) -> Insert | None:
    tokens = (t for t in _TOKEN.finditer(statement, end, MAX_QUERY_BYTES) if t["space"] is None)
    name = next(tokens, None)
    if name is None or name["word"] is None:
        return None  # the engine says what is wrong with it
    data = _DATA_START.match(statement, name.end())
    assert data is not None
    return Insert(statement[:settings], statement[settings:start], name["word"].decode(), data.end())


def _refuse_input_function(rest: bytes) -> None:
    if _INPUT_FUNCTION.search(rest):
        raise UnsupportedInsert("INSERT ... SELECT FROM input() is not supported here: use a Null table and a view")


def output_format(statement: bytes, default: str) -> str:
    """The format that the statement itself asks for, else the default."""
    match = _OUTPUT_FORMAT.search(statement[-4096:])
    return match[1].decode() if match else default
