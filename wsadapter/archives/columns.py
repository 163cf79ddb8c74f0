"""Lines of a venue's file -> columns of numbers, as ClickHouse's format Native has them: in C, and its twin here.

Guarantees: a line is taken or refused as a whole, and nothing is guessed. A decimal becomes an integer of its column's
scale without a change of value; a time nanoseconds; of a candle's last moment the millisecond counts. All times of a
line are of one unit, told by their digits. C and Python take the same lines and make the same bytes of them.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import pack, unpack
from typing import Any, Final, NamedTuple

from wsadapter import native
from wsadapter.exchanges.archives import Kind

MS_DIGITS, US_DIGITS = 13, 16
VALUES, TEXTS = 1, 2
"""What is made of a column."""
MAX_DIGITS: Final = 38


class ColumnLayout(NamedTuple):
    """``scale``: of a decimal; ``made``: VALUES and TEXTS, or 0 where it is only looked at."""

    kind: Kind
    scale: int = 0
    made: int = VALUES


Made = tuple[bytes | None, bytes | None]
"""Of a column: its values one after the other, and its texts, each with its length before it. Absent numbers are zeros
there, and before them all stands a byte each that says so."""
Split = tuple[list[Made], int, list[tuple[int, bytes]]]
"""Columns, how many rows they have, and the lines that are none, each with its place from 0."""


def columns_of(lines: bytes, layout: Sequence[ColumnLayout]) -> Split:
    """Of whole lines; one without an end is none."""
    if native.extension is None:
        return in_python(lines, layout)
    split: Split = native.extension.csv_columns(lines, bytes(number for column in layout for number in column))
    return split


def in_rows(kind: Kind, made: bytes, rows: int, as_texts: bool) -> Sequence[object]:
    """The values of one column that was made, decimals left out: numbers, times, flags; None where there is none."""
    if as_texts:
        texts, at = [], 0
        for _ in range(rows):
            texts.append(made[at + 1 : at + 1 + made[at]].decode())
            at += 1 + made[at]
        return texts
    if kind in (Kind.FLAG, Kind.SIDE):
        return [flag == 1 for flag in made]
    absent = made[:rows] if kind is Kind.ID_OR_NONE else bytes(rows)
    numbers = unpack(f"<{rows}q", made[len(made) - 8 * rows :])
    return [None if none else number for number, none in zip(numbers, absent, strict=True)]


def piece(column: ColumnLayout, digits: int) -> str:
    """What a column holds, in a line whose times have so many digits. None begins with 9: in 64 bits of nanoseconds
    there is no such time."""
    if column.kind is Kind.DECIMAL:
        # zeros beyond the scale change no value
        return rf"[0-9]{{1,{MAX_DIGITS - column.scale}}}+(?:\.[0-9]{{0,{column.scale}}}+0*+)?+"
    return {
        Kind.ID: "[0-9]{1,18}+",
        Kind.ID_OR_NONE: "(?:[0-9]{1,18}+|-1)",
        Kind.FLAG: "(?:[Tt]rue|[Ff]alse|TRUE|FALSE)",
        Kind.TIME: f"[0-8][0-9]{{{digits - 1}}}",
        Kind.CLOSE: f"[0-8][0-9]{{{digits - 1}}}",
        Kind.TEXT: "[0-9A-Za-z_-]{1,127}+",
        Kind.SIDE: "(?:[Bb]uy|[Ss]ell)",
        Kind.SECONDS: r"[0-8][0-9]{9}(?:\.[0-9]{1,9}+)?+",
        Kind.REST: "[^\r\n]*+",
    }.get(column.kind, "[^,\r\n]*+")


@lru_cache(64)
def patterns(layout: tuple[ColumnLayout, ...]) -> tuple[re.Pattern[bytes], ...]:
    """Of a line with its end, one of each unit of time; a group a column."""
    return tuple(
        re.compile(f"^{','.join(f'({piece(column, digits)})' for column in layout)}\r?\n".encode(), re.MULTILINE)
        for digits in (MS_DIGITS, US_DIGITS)
    )


def in_python(lines: bytes, layout: Sequence[ColumnLayout]) -> Split:
    """The twin."""
    units, refused = patterns(tuple(layout)), list[tuple[int, bytes]]()
    rows = next((found for unit in units if len(found := _all(unit, lines)) == lines.count(b"\n")), None)
    if rows is None or not lines.endswith(b"\n"):
        rows = []
        for number, line in enumerate(split_lines(lines)):
            match = next((match for unit in units if (match := unit.fullmatch(line)) is not None), None)
            if match is None:
                refused.append((number, line))
            else:
                rows.append(match.groups())
    texts = list(zip(*rows, strict=True)) or [()] * len(layout)
    return [_made(column, found) for column, found in zip(layout, texts, strict=True)], len(rows), refused


def split_lines(chunk: bytes) -> list[bytes]:
    """With their ends. A bare carriage return ends none."""
    return re.findall(rb"[^\n]*\n|[^\n]+", chunk)


def _all(unit: re.Pattern[bytes], lines: bytes) -> list[tuple[bytes, ...]]:
    return [match.groups() for match in unit.finditer(lines)]


def _made(column: ColumnLayout, found: Sequence[bytes]) -> Made:
    values = _VALUES[column.kind](found, column.scale) if column.made & VALUES else None
    return values, b"".join(bytes((len(text),)) + text for text in found) if column.made & TEXTS else None


def _numbers(found: Sequence[bytes], scale: int) -> bytes:
    return pack(f"<{len(found)}q", *map(int, found))


def _numbers_or_none(found: Sequence[bytes], scale: int) -> bytes:
    return bytes(text == b"-1" for text in found) + _numbers([b"0" if text == b"-1" else text for text in found], 0)


def _decimals(found: Sequence[bytes], scale: int) -> bytes:
    return b"".join(_scaled(text, scale).to_bytes(16, "little") for text in found)


def _scaled(text: bytes, scale: int) -> int:
    whole, _, part = text.partition(b".")
    return int(whole + part[:scale].ljust(scale, b"0"))


def _times(found: Sequence[bytes], scale: int) -> bytes:
    return pack(f"<{len(found)}q", *(int(text.ljust(19, b"0")) for text in found))


def _closes(found: Sequence[bytes], scale: int) -> bytes:
    return _times([text[:MS_DIGITS] for text in found], scale)


def _sides(found: Sequence[bytes], scale: int) -> bytes:
    return bytes(text in (b"Sell", b"sell") for text in found)


def _seconds(found: Sequence[bytes], scale: int) -> bytes:
    return _times([seconds_ms(text) for text in found], scale)


def seconds_ms(text: bytes) -> bytes:
    """The digits of milliseconds."""
    whole, _, part = text.partition(b".")
    return whole + part[:3].ljust(3, b"0")


def _flags(found: Sequence[bytes], scale: int) -> bytes:
    return bytes(text in (b"true", b"True", b"TRUE") for text in found)


_VALUES: Final[dict[Kind, Callable[[Any, int], bytes]]] = {
    Kind.ID: _numbers,
    Kind.ID_OR_NONE: _numbers_or_none,
    Kind.DECIMAL: _decimals,
    Kind.TIME: _times,
    Kind.CLOSE: _closes,
    Kind.FLAG: _flags,
    Kind.SIDE: _sides,
    Kind.SECONDS: _seconds,
}
