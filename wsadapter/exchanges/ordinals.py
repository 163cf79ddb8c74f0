"""What tells events of one time apart where the venue gives them no id: each one's index on its connection.

Events are counted by the time that the tables have (the venue's; where it says none, the time of the socket read), for
each symbol, snapshots of books apart from changes: so two connections that get the same events count alike, whatever
they began with. A socket begins anew, but for the last time of each series: a venue that begins with what it told last
tells that again, and it has the ordinal that it had, though it be the socket of a rotation that told it. Of times that
have passed the last `REMEMBERED` are known, for a venue whose events overtake each other.

Whether events of a channel are counted is decided when a session is built: one with ids pays nothing.
"""

from collections.abc import Callable, Container
from itertools import islice
from typing import Any, Final

from wsadapter.events import BookTicker, Depth, Event, FundingRate, MarkPrice, OpenInterest, Ticker
from wsadapter.events.sequence import dated
from wsadapter.exchanges.mapping import NONE, Emit

REMEMBERED: Final = 128
"""Times of a series; half of them are forgotten at once."""
IDS: Final[dict[type[Event], str]] = {
    Depth: "last_update_id", BookTicker: "update_id", Ticker: "", MarkPrice: "", FundingRate: "", OpenInterest: "",
}  # fmt: skip
"""Events that may come without an id -> the field that has it."""

Count = Callable[[Any], None]
"""Gives an event its ordinal; each event once, in the order in which they came."""


def is_counted(one: Emit) -> bool:
    identity = IDS.get(one.event)
    return identity is not None and one.fields.get(identity, NONE) == NONE


def has_id(event: Event) -> bool:
    """Of the venue, so that it needs no ordinal."""
    field = IDS.get(type(event))
    return field is None or bool(field and getattr(event, field))


class Ordinals:
    """The events of one type on one connection."""

    def __init__(self, event: type[Event]) -> None:
        self.times: dict[Any, dict[int, int]] = {}
        """Series -> time -> ordinal of its last event. C has it, too."""
        self._before: dict[Any, dict[int, int]] = {}
        """The same as a socket begins with it: the last time, and the ordinal before the last one."""
        self.count: Count = self._count_book if event is Depth else self._count

    def reset(self) -> None:
        for series, begun in self._begun().items():
            self._before[series] = begun
            times = self.times[series]
            times.clear()
            times.update(begun)

    def succeed(self, before: "Ordinals", symbols: Container[str]) -> None:
        """Its socket has ended, and this one's goes on with these symbols: the next one begins with what either was
        told last. This one goes on from there itself where it was told nothing, or nothing but that time, whose
        beginning it may have missed; one that came before has counted it or, while it lags, is going to."""
        for series, begun in before._begun().items():
            if (series[0] if type(series) is tuple else series) not in symbols:
                continue
            times = self.times.setdefault(series, {})
            ((last_ns, ordinal),) = begun.items()
            if not times:
                times.update(begun)
            elif times.keys() == begun.keys():
                times[last_ns] = max(times[last_ns], ordinal + 1)
            self._before[series] = _later(begun, self._before.get(series, begun))

    def _begun(self) -> dict[Any, dict[int, int]]:
        """What the next socket begins with."""
        found = {}
        for series, times in self.times.items():
            if times:
                last_ns, before = max(times), self._before.get(series, {})
                was_told = before.get(last_ns) != times[last_ns]
                begun = {last_ns: times[last_ns] - was_told}
                found[series] = _later(begun, before or begun)
        return found

    def reached(self, event: Any) -> tuple[int, int] | None:
        """Number, as `wsadapter.events.sequence` has it, of the last event of this one's series; None where the venue
        says no time, or each is told once. When it was received is not kept: no hole begins there."""
        if type(event) is FundingRate or not (event.transaction_time_ns or event.event_time_ns):
            return None
        series = (event.symbol, event.update_type) if type(event) is Depth else event.symbol
        before = self._before.get(series, {})
        told = [at_ns for at_ns, ordinal in self.times.get(series, {}).items() if before.get(at_ns) != ordinal]
        if not told:
            return None
        last_ns = max(told)
        return dated(last_ns, self.times[series][last_ns]), 0

    def _count(self, event: Any) -> None:
        self._number(event.symbol, event)

    def _count_book(self, book: Depth) -> None:
        self._number((book.symbol, book.update_type), book)

    def _number(self, series: Any, event: Any) -> None:
        at_ns = event.transaction_time_ns
        if at_ns is None and (at_ns := event.event_time_ns) is None:
            at_ns = event.receive_time_ns
        times = self.times.get(series)
        if times is None:
            times = self.times[series] = {}
        if (before := times.get(at_ns)) is not None:
            event.ordinal = times[at_ns] = before + 1
            return
        if len(times) >= REMEMBERED:
            for old in [*islice(times, REMEMBERED // 2)]:
                del times[old]
        times[at_ns] = 0


def _later(one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    """Of two times with their ordinals."""
    return max(one, other, key=lambda begun: [*begun.items()])
