"""The files that a venue publishes of past days, as data: what they are called, what their columns are. Sans-I/O.

A venue has an `Archive`: a pattern of file names, and one `ArchiveFormat` for each kind of file, column by column. From
that follows how lines become rows of a stream (`wsadapter.archives.lines`). Times are told by their digits: 13 are
milliseconds, 16 microseconds. What the files of another market are like, whose columns are the same, is no file of this
one: a header, or a unit of time, that they do not have.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, NamedTuple

from msgspec import Struct

from wsadapter.events.streams import BY_STREAM, StreamSpec
from wsadapter.exchanges.intervals import length_ms

MS: Final = 1_000_000
MONTH: Final = "1M"


class Kind(IntEnum):
    """What a column holds. CLOSE: the last moment of a candle, of which the millisecond counts; SECONDS: a time in
    seconds with decimals, the same. SIDE: of the taker. REST: all that follows, commas included. The values are those
    of native/archive.c."""

    IGNORED = 0
    ID = 1
    ID_OR_NONE = 2
    DECIMAL = 3
    TIME = 4
    CLOSE = 5
    FLAG = 6
    TEXT = 7
    SIDE = 8
    SECONDS = 9
    REST = 10


class ArchiveColumn(NamedTuple):
    """``names``: how a header calls it; ``fields``: those of the message that it fills."""

    names: tuple[str, ...]
    kind: Kind
    fields: tuple[str, ...] = ()


class ArchiveFormat(Struct, frozen=True):
    """``word``: of the kind in a file's name. ``stream``: as a feed names it (``raw_trade`` is of stream ``trade``).
    ``constants``: fields that are the same in every row. ``number`` and ``time``: the columns (by place) that
    number the rows and date them; of candles both are the opening. Where ``number`` is None nothing numbers them
    without a break: of a file that the venue's checksum, its zip and the end of its last line prove whole, nothing is
    missing then. ``covers``: whether its rows are all that is recorded of the stream on this venue; else what it covers
    is named ``stream``, too. ``symbol``: the column that says it. ``headed``: whether a header may be there.
    ``micro_from_ns``: from when on times are microseconds; None: never. ``annulled``: a row with -1 in all of these
    columns is no event; its number counts."""

    word: str
    stream: str
    columns: tuple[ArchiveColumn, ...]
    constants: Mapping[str, bool] = {}
    number: int | None = None
    time: int = 0
    covers: bool = True
    symbol: int | None = None
    headed: bool = True
    micro_from_ns: int | None = None
    annulled: tuple[int, ...] = ()

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


Follows = Callable[[Row, Row], bool]


def follows(form: ArchiveFormat) -> Follows | None:
    """Whether nothing is missing between two neighbours of a file; None where no number would show it."""
    if form.candles:
        return lambda before, after: after.time_ns == before.end_ns
    return None if form.number is None else lambda before, after: after.number == before.number + 1


def rows_between(form: ArchiveFormat, interval: str, first: Row, last: Row) -> int | None:
    """How many there are from one to the other if none is missing; None: no simple answer."""
    if form.candles:
        return None if interval == MONTH else (last.time_ns - first.time_ns) // (length_ms(interval) * MS) + 1
    return None if form.number is None else last.number - first.number + 1
