"""Lines of one file of a venue -> rows of its stream, as a block for ClickHouse; what is no row, with the reason.

The rows have the key of those that were recorded live. A line that is not exactly what the format says is refused;
nothing is guessed (`wsadapter.archives.columns`). So is one that says another symbol than the file's, and a candle of
another length than its interval. A row that the venue has annulled is passed over: it is no event, and not refused.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from struct import unpack
from typing import Final, NamedTuple

from wsadapter.archives.columns import (
    MS_DIGITS,
    TEXTS,
    US_DIGITS,
    VALUES,
    ColumnLayout,
    Made,
    Split,
    columns_of,
    in_rows,
    patterns,
    piece,
    seconds_ms,
    split_lines,
)
from wsadapter.clickhouse.native_format import BlockColumn, block, repeated
from wsadapter.events import Source
from wsadapter.events.streams import columns
from wsadapter.exchanges.archives import MONTH, MS, ArchiveColumn, ArchiveFormat, Kind, Row
from wsadapter.exchanges.intervals import close_time_ns
from wsadapter.pb import market_pb2
from wsadapter.text import printable

_WORDS: Final = {
    Kind.ID: "number",
    Kind.ID_OR_NONE: "number or -1",
    Kind.DECIMAL: "plain decimal that the table can keep",
    Kind.TIME: "time of 13 or 16 digits, before 2255",
    Kind.CLOSE: "time of 13 or 16 digits, before 2255",
    Kind.FLAG: "true or false",
    Kind.TEXT: "id",
    Kind.SIDE: "side",
    Kind.SECONDS: "time in seconds",
}
_TYPES: Final = {Kind.ID: "Int64", Kind.ID_OR_NONE: "Nullable(Int64)", Kind.FLAG: "Bool", Kind.SIDE: "Bool"}
"""Of what is made; where a table's column may be absent, the server converts."""


class Refused(NamedTuple):
    line: int
    reason: str


class Lines:
    """``fields``: those of the message that a file fills, in the order of its columns, then those that are the same in
    every row."""

    def __init__(self, form: ArchiveFormat, constants: Mapping[str, str | int | bool]) -> None:
        """``constants``: of this file."""
        self._form, self._constants = form, {**constants, **form.constants}
        own = columns(form.spec.event)
        self._texts = {column.field for column in own if column.type == "String"}
        self._scales = {c.field: int(c.type.partition(",")[2].rstrip(")")) for c in own if c.decimal}
        self._layout = tuple(map(self._column_layout, range(len(form.columns)), form.columns))
        self._symbol, self._interval = str(constants.get("symbol", "")), str(constants.get("interval", ""))
        self.fields = (*(field for column in form.columns for field in column.fields), *self._constants)

    def _column_layout(self, place: int, column: ArchiveColumn) -> ColumnLayout:
        made = [TEXTS if field in self._texts else VALUES for field in column.fields]
        if place == self._form.symbol:
            return ColumnLayout(column.kind, made=TEXTS)
        if column.kind is not Kind.DECIMAL:
            return ColumnLayout(column.kind, made=sum(set(made)))
        # what a decimal must fit into is known of fields alone
        return (
            ColumnLayout(Kind.DECIMAL, self._scales[column.fields[0]]) if made else ColumnLayout(Kind.IGNORED, made=0)
        )

    @cached_property
    def _commas(self) -> int:
        """At how many a line is split; -1: at all."""
        return len(self._form.columns) - 1 if self._form.columns[-1].kind is Kind.REST else -1

    @cached_property
    def header(self) -> str:
        return ",".join(column.names[0] for column in self._form.columns)

    def is_header(self, line: bytes) -> bool:
        return not re.match(rb"[-0-9]", line)

    def header_error(self, line: bytes) -> str:
        """Empty: it is ours."""
        if not self._form.headed:
            return "it has a header, which the venue's files of this kind do not"
        words = line.decode(errors="replace").strip().lower().split(",", self._commas)
        known = [column.names for column in self._form.columns]
        if len(words) == len(known) and all(word in names for word, names in zip(words, known, strict=True)):
            return ""
        return f"its header is {printable(','.join(words), 160)}, and not {self.header}"

    def convert(self, chunk: bytes, first_line: int) -> tuple[bytes, int, list[Refused]]:
        """Whole lines -> a block of format Native, how many rows are in it, and what is no row of this format."""
        made, rows, refused = self._columns(chunk)
        found = [
            BlockColumn(field, "String" if field in self._texts else self._type(place), values or b"")
            for place, (column, each) in enumerate(zip(self._form.columns, made, strict=True))
            for field in column.fields
            for values in (each[field in self._texts],)
        ]
        found += [repeated(name, value, rows) for name, value in self._constants.items()]
        told = [Refused(first_line + n, self._reason(line)) for n, line in refused if not self._is_annulled(line)]
        return block(found, rows), rows, told

    def annulled(self, chunk: bytes) -> int:
        """How many of its lines are rows that the venue has annulled."""
        return sum(map(self._is_annulled, self._taken(chunk))) if self._form.annulled and b",-1," in chunk else 0

    def unit_error(self, chunk: bytes) -> str:
        """Of its first row's time; empty: the venue's files of then have that unit."""
        line = next(self._taken(chunk), b"")
        value = line.rstrip(b"\r\n").split(b",")[self._form.time] if line else b""
        if not value or self._form.columns[self._form.time].kind is not Kind.TIME:
            return ""
        since, is_micro = self._form.micro_from_ns, len(value) == US_DIGITS
        fits = since is not None if is_micro else since is None or _ns(value, Kind.TIME) < since
        if fits:
            return ""
        return f"its times are {'micro' if is_micro else 'milli'}seconds, which the venue's files of then do not have"

    def _columns(self, chunk: bytes) -> Split:
        """With what is of another symbol or interval, or annulled, among the refused."""
        made, rows, refused = columns_of(chunk, self._layout)
        others = self._others(made, rows)
        if not others:
            return made, rows, refused
        lines, known = split_lines(chunk), {place for place, _ in refused}
        taken = [place for place in range(len(lines)) if place not in known]
        known |= {taken[row] for row in others}
        made, rows, _ = columns_of(b"".join(line for n, line in enumerate(lines) if n not in known), self._layout)
        return made, rows, [(place, lines[place]) for place in sorted(known)]

    def _others(self, made: Sequence[Made], rows: int) -> list[int]:
        """Which rows are of another symbol or interval, or annulled."""
        form = self._form
        if form.annulled:
            absent = [(made[place][0] or b"")[:rows] for place in form.annulled]
            return [row for row, none in enumerate(zip(*absent, strict=True)) if all(none)] if any(absent[0]) else []
        if form.symbol is not None and self._symbol:
            own, texts = self._symbol.encode(), made[form.symbol][1] or b""
            if texts == (bytes((min(255, len(own)),)) + own) * rows:
                return []
            found = in_rows(Kind.TEXT, texts, rows, as_texts=True)
            return [row for row, symbol in enumerate(found) if symbol != self._symbol]
        if not (form.candles and self._interval):
            return []
        opened, closed = (unpack(f"<{rows}q", made[place][0] or b"") for place in (form.time, self._close))
        usual = None if self._interval == MONTH else close_time_ns(0, self._interval)
        return [
            row
            for row, (first, last) in enumerate(zip(opened, closed, strict=True))
            if last - first != usual and not self._is_candle(first, last)
        ]

    @cached_property
    def _close(self) -> int:
        """Its column, of candles."""
        return next(place for place, column in enumerate(self._form.columns) if column.kind is Kind.CLOSE)

    def _is_candle(self, opened_ns: int, closed_ns: int) -> bool:
        """Whether one of the interval that opens then closes then."""
        try:
            return closed_ns == close_time_ns(opened_ns // MS, self._interval)
        except (ValueError, LookupError):
            return False

    def _type(self, place: int) -> str:
        column = self._layout[place]
        return f"Decimal(38, {column.scale})" if column.kind is Kind.DECIMAL else _TYPES.get(column.kind, "Int64")

    def messages(self, chunk: bytes) -> tuple[list[bytes], list[bytes]]:
        """Of the lines that `convert` takes: each as a message that says what row it is and not when it was received,
        without decimals; and the lines."""
        made, rows, refused = self._columns(chunk)
        fields: dict[str, Sequence[object]] = {}
        for column, (values, texts) in zip(self._form.columns, made, strict=True):
            for field in column.fields if column.kind is not Kind.DECIMAL else ():
                found = texts if field in self._texts else values
                fields[field] = in_rows(column.kind, found or b"", rows, field in self._texts)
        same = {**self._constants, "source": Source.ARCHIVE, "receive_time_ns": 0}
        make = getattr(market_pb2, self._form.spec.message)
        each = (dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True))
        passed = {place for place, _ in refused}
        lines = [line for place, line in enumerate(split_lines(chunk)) if place not in passed]
        return [make(**same, **own).SerializeToString() for own in each], lines

    def row(self, line: bytes) -> Row:
        """Of a line that `convert` takes."""
        values = line.rstrip(b"\r\n").split(b",")
        form = self._form
        time_ns = _ns(values[form.time], form.columns[form.time].kind)
        if form.candles:
            return Row(time_ns, time_ns, _ns(values[self._close], Kind.CLOSE) // MS * MS + MS)
        return Row(0 if form.number is None else int(values[form.number]), time_ns, time_ns)

    def rows(self, chunk: bytes) -> Iterable[Row]:
        """Of its lines that are rows, those that are annulled among them."""
        return map(self.row, self._taken(chunk))

    def _taken(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that are rows, those that are annulled among them."""
        for match in re.finditer(rb"[^\n]*\n", chunk):
            if self._has_columns(match[0]) and not self._other(match[0]):
                yield match[0]

    def _has_columns(self, line: bytes) -> bool:
        """All of them, and of one unit of time."""
        return any(unit.fullmatch(line) for unit in patterns(self._layout))

    def _is_annulled(self, line: bytes) -> bool:
        places = self._form.annulled
        if not places or not self._has_columns(line):
            return False
        values = line.split(b",")
        return all(values[place] == b"-1" for place in places)

    def _other(self, line: bytes) -> str:
        """Why a line that has the right columns is none of this file's series; empty: it is."""
        form, values = self._form, line.split(b",")
        if form.symbol is not None and self._symbol and values[form.symbol] != self._symbol.encode():
            return f"symbol: {values[form.symbol].decode()!r} is not {self._symbol}"
        if form.candles and self._interval:
            row = self.row(line)
            if not self._is_candle(row.time_ns, row.end_ns - MS):
                return f"its candle is not one of {self._interval}: it lasts {(row.end_ns - row.time_ns) / 10**9:g} s"
        return ""

    def _reason(self, line: bytes) -> str:
        if not line.endswith(b"\n"):
            return "the last line has no end: the file is cut off"
        values = line.removesuffix(b"\n").removesuffix(b"\r").split(b",", self._commas)
        wanted = len(self._layout)
        if len(values) != wanted:
            return f"{len(values)} columns, and not {wanted}"
        for value, column, layout in zip(values, self._form.columns, self._layout, strict=True):
            pieces = (piece(layout, digits) for digits in (MS_DIGITS, US_DIGITS))
            if not any(re.fullmatch(text.encode(), value) for text in pieces):
                what = printable(value.decode(errors="replace"), 60)
                return f"{column.names[0]}: {what!r} is no {_WORDS[column.kind]}"
        return self._other(line) or "its times are of different units"


def _ns(value: bytes, kind: Kind) -> int:
    if kind is Kind.SECONDS:
        value = seconds_ms(value)
    return int(value) * (MS if len(value) == MS_DIGITS else 1000)
