"""What an audit asks for and what comes back: the range, and the rows of `wsadapter.audit.queries`' answers."""

from typing import Final

from msgspec import Struct

from wsadapter.events.streams import SPECS
from wsadapter.times import SECOND

HOUR_NS: Final = 3600 * SECOND
STREAMS: Final = tuple(spec.name for spec in SPECS if not spec.ours)


class Scope(Struct, frozen=True):
    """What is audited. ``since_ns`` inclusive, ``until_ns`` exclusive, by the venue's time; None or empty: all."""

    now_ns: int
    since_ns: int | None = None
    until_ns: int | None = None
    exchange: str = ""
    symbol: str = ""
    stream: str = ""

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.stream,) if self.stream else STREAMS

    @property
    def margin_ns(self) -> int:
        """As long as the range, at least an hour and at most a day."""
        until_ns = self.now_ns if self.until_ns is None else self.until_ns
        return min(max(until_ns - (self.since_ns or 0), HOUR_NS), 24 * HOUR_NS)


class SeriesCount(Struct, frozen=True):
    """One series: its rows as they are stored, without repeats of the same key, its first and last time, and the rows
    (without repeats) whose numbers can be checked."""

    exchange: str
    symbol: str
    kind: str
    rows: int
    rows_final: int
    first_ns: int
    last_ns: int
    rows_numbered: int = 0


class Silence(Struct, frozen=True):
    exchange: str
    symbol: str
    kind: str
    silence_ns: int


class Venue(Struct, frozen=True):
    exchange: str


class Neighbours(Struct, frozen=True):
    """Two rows that follow each other and do not meet. ``before``: what the first is (number, last update id, end of a
    candle); ``after``: what the second must follow (the number or id before it, its own beginning for a candle).
    ``length_ns``: of the candle before. The ``*_from`` are connections, empty for what came by REST or from a
    file."""

    exchange: str
    symbol: str
    kind: str
    before: int
    after: int
    before_ns: int
    after_ns: int
    before_at_ns: int
    after_at_ns: int
    before_from: str
    after_from: str
    length_ns: int = 0


class CoverageRow(Struct, frozen=True):
    """A series on all its connections: a time in which it was covered. ``first_ns``: since when there is coverage of it
    at all."""

    exchange: str
    stream: str
    symbol: str
    interval: str
    connection: str
    from_ns: int
    to_ns: int
    first_ns: int


class Rejected(Struct, frozen=True):
    exchange: str
    symbol: str
    at_ns: int


class GapRow(Struct, frozen=True):
    """A row of table ``gap``."""

    exchange: str
    symbol: str
    stream: str
    interval: str
    connection: str
    cause: str
    gap_id: str
    started_ns: int
    ended_ns: int | None
    first_missing: int | None
    last_missing: int | None
    missing_count: int | None
    repair_state: str
