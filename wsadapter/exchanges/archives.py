"""The files that a venue publishes of past days, as data: what they are called, what their columns are. Sans-I/O.

A venue has an `Archive`: a pattern of file names, and one `ArchiveFormat` for each kind of file, column by column. From
that follows how lines become rows of a stream (`Lines`): the same text of decimals, times in nanoseconds, the same key
as the row that was recorded live. A line that is not exactly what the format says is refused with its reason; nothing
is guessed. Times are told by their digits: 13 are milliseconds, 16 microseconds.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import cached_property
from typing import Final, NamedTuple

from msgspec import Struct

from wsadapter.events.streams import BY_STREAM, StreamSpec, columns
from wsadapter.exchanges.intervals import length_ms
from wsadapter.text import printable

MS: Final = 1_000_000
MONTH: Final = "1M"


class Kind(Enum):
    """What a column holds. CLOSE: the last moment of a candle, of which the millisecond counts."""

    ID = auto()
    ID_OR_NONE = auto()
    DECIMAL = auto()
    TIME = auto()
    CLOSE = auto()
    FLAG = auto()
    IGNORED = auto()


_WORDS: Final = {
    Kind.ID: "number",
    Kind.ID_OR_NONE: "number or -1",
    Kind.DECIMAL: "plain decimal that the table can keep",
    Kind.TIME: "time of 13 or 16 digits",
    Kind.CLOSE: "time of 13 or 16 digits",
    Kind.FLAG: "true or false",
}


class ArchiveColumn(NamedTuple):
    """``names``: how a header calls it; ``fields``: those of the message that it fills."""

    names: tuple[str, ...]
    kind: Kind
    fields: tuple[str, ...] = ()


class ArchiveFormat(Struct, frozen=True):
    """``word``: of the kind in a file's name. ``stream``: as a feed names it (``raw_trade`` is of stream ``trade``).
    ``constants``: fields that are the same in every row, as CSV. ``number`` and ``time``: the columns (by place) that
    number the rows (None: nothing does) and date them; of candles both are the opening. ``covers``: whether its rows
    are all that is recorded of the stream on this venue; else what it covers is named ``stream``, too."""

    word: str
    stream: str
    columns: tuple[ArchiveColumn, ...]
    constants: Mapping[str, str] = {}
    number: int | None = None
    time: int = 0
    covers: bool = True

    @property
    def spec(self) -> StreamSpec:
        return BY_STREAM[self.stream.removeprefix("raw_")]

    @property
    def candles(self) -> bool:
        return self.spec.name == "kline"


class ArchiveName(NamedTuple):
    """What a file's name says. ``span``: of which day or month it is."""

    word: str
    symbol: str
    interval: str
    span: tuple[int, int]


class Archive(Struct, frozen=True):
    """``names``: whole names, with groups ``symbol``, ``word`` and ``date`` (2026-11 or 2026-11-26); a word that is
    one of ``intervals`` (the venue's word -> ours) is of candles."""

    formats: tuple[ArchiveFormat, ...]
    names: str
    intervals: Mapping[str, str]

    def named(self, name: str) -> ArchiveName | None:
        """None for what is no name of this venue's files."""
        match = re.fullmatch(self.names, name)
        if match is None:
            return None
        word, interval = match["word"], self.intervals.get(match["word"], "")
        if not interval and word not in {each.word for each in self.formats}:
            return None
        try:
            span = _days(match["date"])
        except ValueError:
            return None
        return ArchiveName("" if interval else word, match["symbol"], interval, span)

    def format(self, word: str = "", stream: str = "") -> ArchiveFormat | None:
        """Of a word of a name, or of a stream."""
        return next((f for f in self.formats if (f.stream == stream if stream else f.word == word)), None)

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(each.stream for each in self.formats)


def _days(text: str) -> tuple[int, int]:
    begin = datetime.strptime(text, "%Y-%m-%d" if text.count("-") == 2 else "%Y-%m").replace(tzinfo=UTC)
    end = begin + timedelta(days=1) if text.count("-") == 2 else (begin + timedelta(days=32)).replace(day=1)
    return int(begin.timestamp()) * 1000 * MS, int(end.timestamp()) * 1000 * MS


class Row(NamedTuple):
    """Where a row stands in its series. ``end_ns``: of a candle its end, else when it was."""

    number: int
    time_ns: int
    end_ns: int


class Refused(NamedTuple):
    line: int
    reason: str


class Unit(NamedTuple):
    """``pattern`` takes whole lines, ``template`` makes lines of the message out of them."""

    pattern: re.Pattern[bytes]
    template: bytes


class Lines:
    """Lines of one file -> CSV of its stream's message, in the order of ``fields``."""

    def __init__(self, form: ArchiveFormat, constants: Mapping[str, str]) -> None:
        """``constants``: of this file, as plain text."""
        own = {**{name: _csv(value) for name, value in constants.items()}, **form.constants}
        self._form = form
        self._decimals = {c.field: c.type for c in columns(form.spec.event) if c.decimal}
        # a column that fills several fields is written once for each
        self.fields = (*(field for column in form.columns for field in column.fields), *own)
        tail = ",".join(own.values())
        self._units = tuple(self._unit(digits, tail) for digits in (13, 16))
        self._optional = any(column.kind is Kind.ID_OR_NONE for column in form.columns)

    @cached_property
    def header(self) -> str:
        return ",".join(column.names[0] for column in self._form.columns)

    def is_header(self, line: bytes) -> bool:
        return not re.match(rb"[-0-9]", line)

    def header_error(self, line: bytes) -> str:
        """Empty: it is ours."""
        words = line.decode(errors="replace").strip().lower().split(",")
        known = [column.names for column in self._form.columns]
        if len(words) == len(known) and all(word in names for word, names in zip(words, known, strict=True)):
            return ""
        return f"its header is {printable(','.join(words), 160)}, and not {self.header}"

    def convert(self, chunk: bytes, first_line: int) -> tuple[bytes, int, list[Refused]]:
        """Whole lines -> their CSV, how many these are, and what is no row of this format."""
        lines = chunk.count(b"\n")
        if self._optional and b",-1," in chunk:
            chunk = chunk.replace(b",-1,", b",\\N,").replace(b",-1,", b",\\N,")
        for pattern, template in self._units:
            made, count = pattern.subn(template, chunk)
            if count == lines and chunk.endswith(b"\n"):
                return made, count, []
        return self._one_by_one(chunk, first_line)

    def _one_by_one(self, chunk: bytes, first_line: int) -> tuple[bytes, int, list[Refused]]:
        made, refused = [], []
        for number, line in enumerate(chunk.splitlines(keepends=True), first_line):
            for pattern, template in self._units:
                if (match := pattern.fullmatch(line)) is not None:
                    made.append(match.expand(template))
                    break
            else:
                refused.append(Refused(number, self._reason(line)))
        return b"".join(made), len(made), refused

    def row(self, line: bytes) -> Row:
        """Of a line that `convert` takes."""
        values = line.rstrip(b"\r\n").split(b",")
        form = self._form
        time_ns = _ns(values[form.time])
        if form.candles:
            close = next(place for place, column in enumerate(form.columns) if column.kind is Kind.CLOSE)
            return Row(time_ns, time_ns, _ns(values[close]) // MS * MS + MS)
        return Row(0 if form.number is None else int(values[form.number]), time_ns, time_ns)

    def rows(self, chunk: bytes) -> Iterable[Row]:
        """Of its lines that are rows."""
        for line in chunk.splitlines(keepends=True):
            if any(unit.pattern.fullmatch(line) for unit in self._units):
                yield self.row(line)

    def _unit(self, digits: int, tail: str) -> Unit:
        """Neighbours that stay as they are, are taken as one group: half the time."""
        pattern, template, groups, together = "^", "", 0, False
        for place, column in enumerate(self._form.columns):
            comma = "," if place else ""
            piece = self._piece(column, digits)
            kept, rest = (piece[:-3], "[0-9]{3}") if column.kind is Kind.CLOSE and digits == 16 else (piece, "")
            if not column.fields:
                pattern, together = f"{pattern}{')' if together else ''}{comma}{piece}", False
                continue
            zeros = "" if column.kind not in (Kind.TIME, Kind.CLOSE) else "0" * (19 - digits)
            if rest:
                kept, zeros = "[0-9]{13}", "000000"
            if not together:
                groups += 1
                pattern += f"{comma}("
                template += f"{',' if template else ''}\\g<{groups}>"
            else:
                pattern += comma
            pattern, together = f"{pattern}{kept}", True
            if zeros or rest or len(column.fields) > 1:
                pattern, together = f"{pattern}){rest}", False
                template += zeros + f",\\g<{groups}>{zeros}" * (len(column.fields) - 1)
        pattern += f"{')' if together else ''}\r?\n"
        escaped = tail.replace("\\", "\\\\")
        return Unit(re.compile(pattern.encode(), re.MULTILINE), f"{template},{escaped}\n".encode())

    def _piece(self, column: ArchiveColumn, digits: int) -> str:
        if column.kind is Kind.DECIMAL and column.fields:
            scale = int(self._decimals[column.fields[0]].partition(",")[2].rstrip(")"))
            # zeros beyond the scale change no value
            return rf"[0-9]{{1,{38 - scale}}}+(?:\.[0-9]{{0,{scale}}}+0*+)?+"
        return {
            Kind.ID: "[0-9]{1,18}+",
            Kind.ID_OR_NONE: r"(?:[0-9]{1,18}+|\\N)",
            Kind.FLAG: "(?:[Tt]rue|[Ff]alse|TRUE|FALSE)",
            Kind.TIME: f"[0-9]{{{digits}}}",
            Kind.CLOSE: f"[0-9]{{{digits}}}",
        }.get(column.kind, "[^,\r\n]*+")

    def _reason(self, line: bytes) -> str:
        if not line.endswith(b"\n"):
            return "the last line has no end: the file is cut off"
        values = line.rstrip(b"\r\n").split(b",")
        wanted = len(self._form.columns)
        if len(values) != wanted:
            return f"{len(values)} columns, and not {wanted}"
        for value, column in zip(values, self._form.columns, strict=True):
            pieces = (self._piece(column, digits) for digits in (13, 16))
            if not any(re.fullmatch(piece.encode(), value) for piece in pieces):
                return (
                    f"{column.names[0]}: {printable(value.decode(errors='replace'), 60)!r} is no {_WORDS[column.kind]}"
                )
        return "its times are of different units"


def _ns(value: bytes) -> int:
    return int(value) * (MS if len(value) == 13 else 1000)


def _csv(text: str) -> str:
    return text if re.fullmatch(r"[0-9]+", text) else '"{}"'.format(text.replace('"', '""'))


Follows = Callable[[Row, Row], bool]


def follows(form: ArchiveFormat) -> Follows | None:
    """Whether nothing is missing between two neighbours; None where no number would show it."""
    if form.candles:
        return lambda before, after: after.time_ns == before.end_ns
    return None if form.number is None else lambda before, after: after.number == before.number + 1


def rows_between(form: ArchiveFormat, interval: str, first: Row, last: Row) -> int | None:
    """How many there are from one to the other if none is missing; None: no simple answer."""
    if form.candles:
        return None if interval == MONTH else (last.time_ns - first.time_ns) // (length_ms(interval) * MS) + 1
    return None if form.number is None else last.number - first.number + 1
