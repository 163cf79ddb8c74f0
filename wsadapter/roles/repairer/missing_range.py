"""What the log says around a hole: the last of a series before it, the first after it, and what is there in between.

Pure: told the records of one series (numbers), in whatever order they come, it answers what is missing. Numbers are
trade ids, open times of candles, times of funding (ns). Which records are before and which after says the log's own
order, where the gap and the record are of one connection (`LogOrder`); of other connections' records their times say
it, which counts only where there is nothing better. All that is there counts as there, whoever brought it and whenever:
nothing is fetched twice.

Between the last before and the first after lies all that can be missing: so a repair begins and ends exactly where the
stream did, and rows of the two never meet. Where one side shows nothing (a quiet symbol, a first start) the hole is
open on that side, and time has to say it. Nothing is concluded from an empty side.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final

from wsadapter.events import Gap, MarketEvent
from wsadapter.events.sequence import numbering
from wsadapter.exchanges.rest_api import Hole, Series
from wsadapter.kafka.messages import Identity

MOST_RUNS: Final = 100_000
"""Runs of contiguous numbers remembered; what comes beyond may be fetched though it is there, which costs rows until
they merge."""
MOST_IDENTITIES: Final = 200_000
SKEW_NS: Final = 1_000_000_000
"""What our clock and the venue's may differ by: where time must say which trades are missing, rather one too many."""
OVERLAP: Final = 1_000
"""By so much a venue's servers may lag behind one another: the first trade after a hole may be older than the last one
before it. By more, and unseen before, the ids have begun anew."""


class Order(IntEnum):
    BEFORE = -1
    WITHIN = 0
    AFTER = 1


class LogOrder:
    """Where the records of a gap's connection are relative to it. ``end``: the ring identity of the record that ends
    the gap. Epochs only grow, and positions grow within one, whatever the clock does."""

    def __init__(self, gap: Gap, end: Identity | None) -> None:
        self._connection = gap.connection
        epoch, _, position = gap.gap_id.partition(":")
        self.begin = (int(epoch), int(position)) if epoch.isdecimal() and position.isdecimal() else None
        self.end = end
        if self.begin is None or end is None or end < self.begin:
            self.begin = self.end = None

    def of(self, record: Any) -> Order | None:
        """None where the log does not say it: another connection's record, or one without an identity."""
        if self.begin is None or self.end is None or record.connection != self._connection:
            return None
        if not record.HasField("epoch") or not record.HasField("position"):
            return None
        at = record.epoch, record.position
        return Order.BEFORE if at < self.begin else Order.AFTER if at > self.end else Order.WITHIN

    def is_earlier(self, record: Any) -> bool:
        """Whether a record, of any connection, may be older than the gap whatever its time says."""
        return self.begin is not None and record.HasField("epoch") and (record.epoch, record.position) < self.begin


class Runs:
    """Numbers as runs (first, the one behind the last): contiguous ones are one entry."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._ends: list[int] = []

    def __len__(self) -> int:
        return len(self._firsts)

    def __contains__(self, number: int) -> bool:
        return self.end_of(number) > number

    def add(self, first: int, end: int) -> None:
        begin, stop = bisect_left(self._ends, first), bisect_right(self._firsts, end)
        if begin == stop and len(self._firsts) >= MOST_RUNS:
            return
        if begin < stop:
            first, end = min(first, self._firsts[begin]), max(end, self._ends[stop - 1])
        self._firsts[begin:stop] = [first]
        self._ends[begin:stop] = [end]

    def end_of(self, number: int) -> int:
        """Behind the run that ``number`` is in; itself where it is in none."""
        at = bisect_right(self._firsts, number) - 1
        return self._ends[at] if at >= 0 and self._ends[at] > number else number

    def first_of(self, stop: int) -> int:
        """Where the run begins that reaches to ``stop``; itself where none does."""
        at = bisect_left(self._firsts, stop) - 1
        return self._firsts[at] if at >= 0 and self._ends[at] >= stop else stop


class Present:
    """Events of a series that are there: by number, or by id where they have none."""

    def __init__(self) -> None:
        self.runs = Runs()
        self.identities: set[str] = set()

    def add(self, event: MarketEvent) -> None:
        number, identity = _place(event)
        if number is not None:
            self.runs.add(*number)
        elif len(self.identities) < MOST_IDENTITIES:
            self.identities.add(identity)

    def __contains__(self, event: MarketEvent) -> bool:
        number, identity = _place(event)
        return identity in self.identities if number is None else number[0] in self.runs


def _place(event: MarketEvent) -> tuple[tuple[int, int] | None, str]:
    """An event's number and the next one's, or its id."""
    kind = numbering(type(event))
    if (extent := kind.extent(event)) is not None:
        return extent, ""
    place = kind.place(event)
    if place is not None and place.identity is not None:
        return None, str(place.identity[0])
    at_ns = event.transaction_time_ns or 0
    return (at_ns, at_ns + 1), ""


class MissingRange:
    """Of one series and one hole (``started_ns`` to ``ended_ns``, by our clock)."""

    def __init__(self, series: Series, started_ns: int, ended_ns: int) -> None:
        self.series = series
        self.doubt = ""
        """Why what `hole` says may not be all."""
        self.before_anew: Hole | None = None
        """Where the ids began anew in the hole: what may be missing of the numbering before it."""
        self._no_start = ""
        self._started_ns, self._ended_ns = started_ns, ended_ns
        self._before: dict[bool, int] = {}
        """By the log's order, and by time: the number that follows the last one before."""
        self._after: dict[bool, int] = {}
        self._venue_before: int | None = None
        self._venue_after: int | None = None
        self.present = Present()
        self._there = [self.present]
        """And what was `include`d."""

    def add(
        self, number: int, following: int, whole: bool, rest: bool, received_ns: int, order: Order | None = None
    ) -> None:
        """A record: its number and the next one's. ``whole``: nothing of it is to come (no open candle)."""
        if not rest:
            by_log = order is not None
            order = self._by_time(received_ns) if order is None else order
            if order is Order.BEFORE:
                expected = following if whole else number
                self._before[by_log] = max(expected, self._before.get(by_log, expected))
            elif order is Order.AFTER:
                self._after[by_log] = min(number, self._after.get(by_log, number))
        if whole:
            self.present.runs.add(number, following)

    def add_identity(self, identity: str, venue_ns: int | None = None, order: Order | None = None) -> None:
        """A record that has no number, only an id. ``venue_ns``: the venue's time, which bounds the hole where the log
        says on which side of it the record is."""
        if len(self.present.identities) < MOST_IDENTITIES:
            self.present.identities.add(identity)
        if venue_ns and order is Order.BEFORE:
            self._venue_before = max(venue_ns, self._venue_before or venue_ns)
        elif venue_ns and order is Order.AFTER:
            self._venue_after = min(venue_ns, self._venue_after or venue_ns)

    @property
    def ends(self) -> bool:
        """Whether something came after the hole."""
        return bool(self._after) or self._venue_after is not None

    def include(self, presents: Iterable[Present]) -> None:
        """These are there, too, though the log did not show them. They are not copied: there may be many, far from the
        hole."""
        self._there += presents

    def __contains__(self, event: MarketEvent) -> bool:
        return any(event in each for each in self._there)

    def begin_at(self, received_ns: int) -> None:
        """The connection received last then, which may be earlier than the gap says."""
        self._started_ns = min(self._started_ns, received_ns)

    def doubt_start(self, reason: str) -> None:
        """It is not known since when the connection received nothing."""
        self._no_start = reason

    def hole(self, first: int | None = None, last: int | None = None) -> Hole | None:
        """What is missing, None for nothing. ``first`` and ``last`` are known from elsewhere, where they are."""
        self.doubt, self.before_anew = "", None
        begin = first if first is not None else self._best(self._before)
        stop = last + 1 if last is not None else self._best(self._after) if first is None else None
        if first is None and last is None and begin is not None and stop is not None and self._begins_anew(begin, stop):
            self.before_anew = self._hole(self._end_of(begin), None)
            begin = None
        elif begin is not None and stop is not None and stop < begin and last is None and True not in self._after:
            stop = None  # times of two clocks, or of one that was set
        begin = None if begin is None else self._end_of(begin)
        stop = None if stop is None else self._first_of(stop)
        if begin is not None and stop is not None and begin >= stop:
            return None
        if begin is None and self._venue_before is None and self.before_anew is None:
            self.doubt = self._no_start
        return self._hole(begin, None if stop is None else stop - 1)

    def _hole(self, first: int | None, last: int | None) -> Hole:
        series = self.series
        skew = SKEW_NS if series.stream == "trade" else 0
        return Hole(
            stream=series.stream,
            symbol=series.symbol,
            started_ns=self._started_ns - skew if self._venue_before is None else self._venue_before,
            ended_ns=self._ended_ns + skew if self._venue_after is None else self._venue_after,
            first=first,
            last=last,
            interval=series.interval,
            levels=series.levels,
        )

    def _begins_anew(self, begin: int, stop: int) -> bool:
        """Whether what came after is of another numbering than what was before (a symbol listed again). Candles are
        numbered by time, which does not begin anew."""
        if self.series.stream != "trade" or begin - stop <= OVERLAP:
            return False
        return self._end_of(stop) < begin

    def _end_of(self, number: int) -> int:
        """Behind all that follows on from ``number`` and is there."""
        while (end := max(each.runs.end_of(number) for each in self._there)) > number:
            number = end
        return number

    def _first_of(self, stop: int) -> int:
        """Where that begins which is there up to ``stop``."""
        while (first := min(each.runs.first_of(stop) for each in self._there)) < stop:
            stop = first
        return stop

    def _by_time(self, received_ns: int) -> Order:
        if received_ns <= self._started_ns:
            return Order.BEFORE
        return Order.AFTER if received_ns >= self._ended_ns else Order.WITHIN

    @staticmethod
    def _best(numbers: dict[bool, int]) -> int | None:
        return numbers.get(True, numbers.get(False))
