"""Lines of one file of a venue -> rows of its stream, as a block for ClickHouse; what is no row, with the reason.

The rows have the key of those that were recorded live. A line that is not exactly what the format says is refused;
nothing is guessed (`wsadapter.archives.columns`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from wsadapter.archives.columns import (
    MS_DIGITS,
    TEXTS,
    US_DIGITS,
    VALUES,
    ColumnLayout,
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
from wsadapter.exchanges.archives import MS, ArchiveColumn, ArchiveFormat, Kind, Row
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
        self._layout = tuple(map(self._column_layout, form.columns))
        self.fields = (*(field for column in form.columns for field in column.fields), *self._constants)

    def _column_layout(self, column: ArchiveColumn) -> ColumnLayout:
        made = [TEXTS if field in self._texts else VALUES for field in column.fields]
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
        words = line.decode(errors="replace").strip().lower().split(",", self._commas)
        known = [column.names for column in self._form.columns]
        if len(words) == len(known) and all(word in names for word, names in zip(words, known, strict=True)):
            return ""
        return f"its header is {printable(','.join(words), 160)}, and not {self.header}"

    def convert(self, chunk: bytes, first_line: int) -> tuple[bytes, int, list[Refused]]:
        """Whole lines -> a block of format Native, how many rows are in it, and what is no row of this format."""
        made, rows, refused = columns_of(chunk, self._layout)
        found = [
            BlockColumn(field, "String" if field in self._texts else self._type(place), values or b"")
            for place, (column, each) in enumerate(zip(self._form.columns, made, strict=True))
            for field in column.fields
            for values in (each[field in self._texts],)
        ]
        found += [repeated(name, value, rows) for name, value in self._constants.items()]
        return block(found, rows), rows, [Refused(first_line + n, self._reason(line)) for n, line in refused]

    def _type(self, place: int) -> str:
        column = self._layout[place]
        return f"Decimal(38, {column.scale})" if column.kind is Kind.DECIMAL else _TYPES.get(column.kind, "Int64")

    def messages(self, chunk: bytes) -> tuple[list[bytes], list[bytes]]:
        """Of the lines that `convert` takes: each as a message that says what row it is and not when it was received,
        without decimals; and the lines."""
        made, rows, refused = columns_of(chunk, self._layout)
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
            close = next(place for place, column in enumerate(form.columns) if column.kind is Kind.CLOSE)
            return Row(time_ns, time_ns, _ns(values[close], Kind.CLOSE) // MS * MS + MS)
        return Row(0 if form.number is None else int(values[form.number]), time_ns, time_ns)

    def rows(self, chunk: bytes) -> Iterable[Row]:
        """Of its lines that are rows."""
        for line in split_lines(chunk):
            if any(unit.fullmatch(line) for unit in patterns(self._layout)):
                yield self.row(line)

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
        return "its times are of different units"


def _ns(value: bytes, kind: Kind) -> int:
    if kind is Kind.SECONDS:
        value = seconds_ms(value)
    return int(value) * (MS if len(value) == MS_DIGITS else 1000)
