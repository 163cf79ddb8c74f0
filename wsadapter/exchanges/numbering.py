"""How the numbers of a stream go on, element by element: the gap before an event, and what a venue tells again.

For the session, see `wsadapter.exchanges.session`.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from wsadapter.events import Gap
from wsadapter.exchanges.continuity import MS, Sequences, SeriesState
from wsadapter.exchanges.venue import Candles, Follows, Item, Numbering, Repeats, Rises, Subscription
from wsadapter.oldest import forget_oldest, most_kept

if TYPE_CHECKING:
    from wsadapter.exchanges.accepting import Accept

MOST_KNOWN: Final = 200
"""Of a stream that tells its newest ones again; some more are (`wsadapter.oldest`)."""
StepSeries = Callable[[Any, Any, SeriesState, int], Gap | None]
"""(element, event, series, receive time) -> the gap before the event."""
Known = dict[str, dict[Any, None]]
"""Stream -> what it told last, oldest first."""


def steps_of(sequences: Sequences, numbering: Numbering) -> StepSeries | None:
    """What steps a series by an event's number; None where events have none."""
    if isinstance(numbering, Candles) and not numbering.sparse:

        def candle(d: Any, event: Any, series: SeriesState, received: int) -> Gap | None:
            if not event.closed and event.interval in series.grid:
                return None
            opened, closes = event.open_time_ns // MS, event.close_time_ns // MS
            return sequences.candle(series, event.interval, opened, closes, event.closed, received)

        return candle
    if isinstance(numbering, Rises):
        number = attrgetter(numbering.number)

        def rising(d: Any, event: Any, series: SeriesState, received: int) -> None:
            value = number(d)
            if value is None:
                return
            if value > series.next:
                series.next = value
            else:
                sequences.not_newer(series, value)

        return rising
    if not isinstance(numbering, Follows):
        return None
    number = attrgetter(numbering.number)
    if numbering.count:
        count = attrgetter(numbering.count)

        def counted(d: Any, event: Any, series: SeriesState, received: int) -> Gap | None:
            value = number(d)
            first = value - count(d) + 1
            if first == series.next:
                series.next, series.at_ns = value + 1, received
                return None
            return sequences.jumped(series, value, received, first)

        return counted
    if not (numbering.previous or numbering.first):

        def contiguous(d: Any, event: Any, series: SeriesState, received: int) -> Gap | None:
            value = number(d)
            if value == series.next:
                series.next, series.at_ns = value + 1, received
                return None
            return sequences.jumped(series, value, received)

        return contiguous
    previous, back = attrgetter(numbering.previous or numbering.first), 0 if numbering.previous else 1

    def chained(d: Any, book: Any, series: SeriesState, received: int) -> Gap | None:
        if book.level_limit:
            series.top = book.last_update_id
            return None
        before = previous(d) - back
        if before == series.next:
            series.next, series.at_ns = book.last_update_id, received
            return None
        return sequences.unchained(series, book.first_update_id, book.last_update_id, before, received)

    return chained


def accept_new(known: Known, numbering: Follows, accept: "Accept", by_symbol: dict[str, SeriesState]) -> "Accept":
    """Without those that a message repeats, whichever socket told them; their numbers count."""
    number, repeats = attrgetter(numbering.number), numbering.repeats
    identity, full = attrgetter(numbering.identity or numbering.number), most_kept(MOST_KNOWN)
    assert repeats is not None

    def accept_one(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        of_stream, one = known.setdefault(stream, {}), identity(d)
        if repeats(e):
            series, value = by_symbol[symbol], number(d)
            if value < series.next:
                return []
            if one in of_stream:
                series.next, series.at_ns = value + 1, received
                return []
        items = accept(d, e, sub, stream, symbol, received)
        of_stream[one] = None
        if len(of_stream) > full:
            forget_oldest(of_stream, MOST_KNOWN)
        return items

    return accept_one


def accept_unknown(known: Known, numbering: Repeats, accept: "Accept") -> "Accept":
    """Without those that are known already, whichever socket told them."""
    identity, most, full = attrgetter(numbering.identity), numbering.most, most_kept(numbering.most)

    def accept_one(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        of_stream, one = known.setdefault(stream, {}), identity(d)
        if one in of_stream:
            return []
        items = accept(d, e, sub, stream, symbol, received)
        of_stream[one] = None
        if len(of_stream) > full:
            forget_oldest(of_stream, most)
        return items

    return accept_one
