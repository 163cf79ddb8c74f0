"""What an element of a channel becomes: its event, converted, its series gone on, and before it the gap that it shows.

For the session, see `wsadapter.exchanges.session`: which way a channel's elements go is decided once, when its function
is made. Streams of changes are in `wsadapter.exchanges.latest`, books that are checked or renewed in
`wsadapter.exchanges.books`, what the venue tells again in `wsadapter.exchanges.numbering`.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec import Raw, structs

from wsadapter.events import Kline
from wsadapter.exchanges.books import accept_checked, accept_renewed
from wsadapter.exchanges.continuity import MS, SeriesState
from wsadapter.exchanges.conversion import Convert, Given
from wsadapter.exchanges.latest import accept_latest
from wsadapter.exchanges.mapping import Emit
from wsadapter.exchanges.numbering import accept_new, accept_unknown, steps_of
from wsadapter.exchanges.values import says
from wsadapter.exchanges.venue import (
    Bad,
    Candles,
    Channel,
    Checked,
    Follows,
    Item,
    Numbering,
    Repeats,
    Subscription,
    Unnumbered,
)

if TYPE_CHECKING:
    from wsadapter.exchanges.session import VenueSession

Accept = Callable[[Any, Any, Subscription | None, str, str, int], list[Item]]
"""(element, envelope, subscription, stream's name, symbol, receive time) -> items; raises one of
`wsadapter.exchanges.second_look.FAILURES` for an element that gives no event."""


def accept_elements(session: "VenueSession", channel: Channel) -> Accept:
    """What makes items of the channel's elements."""
    accepts = [_accept(session, channel, each, channel.numbering if each is channel.emits[0] else Unnumbered())
               for each in channel.emits]  # fmt: skip
    if channel.latest is not None:
        return accept_latest(session, channel, accepts)
    if isinstance(channel.numbering, Candles) and channel.numbering.by_successor:
        accepts[0] = _accept_successor(session, channel, accepts[0])
    accepts = [_accept_some(one, accept) for one, accept in zip(channel.emits, accepts, strict=True)]
    accept = accepts[0] if len(accepts) == 1 else _accept_wanted(channel, accepts)
    if isinstance(channel.numbering, Follows) and channel.numbering.repeats is not None:
        return accept_new(session.known, channel.numbering, accept, session.series(channel.emits[0]))
    if isinstance(channel.numbering, Repeats):
        return accept_unknown(session.known, channel.numbering, accept)
    return accept


def _accept_wanted(channel: Channel, accepts: list[Accept]) -> Accept:
    """Several events of one element, as far as they were asked for."""
    of_words = [(one.event.stream_type.value, accept) for one, accept in zip(channel.emits, accepts, strict=True)]

    def accept_all(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        items: list[Item] = []
        wanted = sub.feeds if sub else ()
        for word, accept in of_words:
            if not wanted or word in wanted:
                items += accept(d, e, sub, stream, symbol, received)
        return items

    return accept_all


def _accept(session: "VenueSession", channel: Channel, one: Emit, numbering: Numbering) -> Accept:
    accept, count, kind = _accept_uncounted(session, channel, one, numbering), session.counting(one), one.event
    if count is None:
        return accept

    def accept_counted(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        items = accept(d, e, sub, stream, symbol, received)
        for item in items:
            if type(item) is kind:
                count(item)
        return items

    return accept_counted


def _accept_uncounted(session: "VenueSession", channel: Channel, one: Emit, numbering: Numbering) -> Accept:
    convert, given = session.conversions[id(one)]
    by_symbol = session.series(one)
    if isinstance(numbering, Follows) and numbering.resubscribe:
        return accept_renewed(session, channel, convert, given, by_symbol)
    if isinstance(numbering, Checked):
        return accept_checked(session, channel, convert, given, by_symbol)
    if one.once:
        return _accept_once(session, one, convert, given, by_symbol)
    step, connection, sequences = steps_of(session.sequences, numbering), session.connection, session.sequences
    refuse, is_named = one.refuse, channel.named is not None
    number = attrgetter(numbering.number) if isinstance(numbering, Follows) else None

    def accept(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        series = by_symbol[symbol]
        if refuse is not None and (why := refuse(d)):
            item: Any = Bad("other", why)
        elif given is None:
            item = convert(d, received, connection, series.gap_ns)
        elif not is_named:
            item = convert(d, received, connection, series.gap_ns, *given(d, e, sub, None))
        elif (kind := session.kind(channel, stream)) is None:
            return []
        else:
            item = convert(d, received, connection, series.gap_ns, *given(d, e, sub, kind))
        if step is None or (gap := step(d, item, series, received)) is None:
            return [item]
        if type(item) is not Bad:
            item.last_gap_ns = series.gap_ns
        return [gap, item]

    def accept_or_refuse(
        d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int
    ) -> list[Item]:
        items = accept(d, e, sub, stream, symbol, received)
        if type(items[-1]) is Bad and number is not None:
            items.insert(-1, sequences.filler(by_symbol[symbol], number(d), received))
        return items

    def accept_plain(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        series = by_symbol[symbol]
        event = convert(d, received, connection, series.gap_ns)
        if step is None or (gap := step(d, event, series, received)) is None:
            return [event]
        event.last_gap_ns = series.gap_ns
        return [gap, event]

    if not (given or refuse):
        return accept_plain
    return accept_or_refuse if refuse else accept


def _accept_once(
    session: "VenueSession", one: Emit, convert: Convert, given: Given | None, by_symbol: dict[str, SeriesState]
) -> Accept:
    reads = [attrgetter(name) for name in one.once]
    published = session.published.setdefault(id(one), {})

    def accept(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        found = [read(d) for read in reads]
        # a copy: `Raw` is a view of the message
        values = tuple(bytes(value) if type(value) is Raw else value for value in found)
        if published.get(symbol) == values or not all(map(says, found)):
            return []
        extra = given(d, e, sub, None) if given else ()
        item = convert(d, received, session.connection, by_symbol[symbol].gap_ns, *extra)
        published[symbol] = values
        return [item]

    return accept


def _accept_successor(session: "VenueSession", channel: Channel, accept: Accept) -> Accept:
    """Candles that the next one closes; each comes as the venue told of it last, also behind the next one: unless the
    venue says itself which are closed."""
    is_said = getattr(channel.emits[0].fields["closed"], "value", None) is not False
    sequences, sparse = session.sequences, isinstance(channel.numbering, Candles) and channel.numbering.sparse

    def accept_candle(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        items = accept(d, e, sub, stream, symbol, received)
        candle = items[-1]
        if not isinstance(candle, Kline):
            return items
        key = channel.name, f"{symbol} {candle.interval}"
        before = session.states.get(key)
        if before is not None and candle.open_time_ns < before.open_time_ns:
            sequences.out_of_order["kline"] += 1
            candle.closed = candle.closed or not is_said
            return items
        session.states[key] = candle
        if before is None or before.closed or candle.open_time_ns == before.open_time_ns:
            return items
        closed = structs.replace(before, closed=True, receive_time_ns=received, last_gap_ns=candle.last_gap_ns)
        if sparse:
            return [closed, *items]
        series = sequences.klines[symbol]
        opened, closes = closed.open_time_ns // MS, closed.close_time_ns // MS
        gap = sequences.candle(series, closed.interval, opened, closes, True, received)
        if gap is None:
            return [closed, *items]
        closed.last_gap_ns = candle.last_gap_ns = series.gap_ns
        return [gap, closed, *items]

    return accept_candle


def _accept_some(one: Emit, accept: Accept) -> Accept:
    """Only the elements that are this event's."""
    needs, when = tuple(attrgetter(name) for name in one.needs), one.when
    if not needs and when is None:
        return accept

    def accept_some(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        if not all(says(need(d)) for need in needs) or not (when is None or when(d)):
            return []
        return accept(d, e, sub, stream, symbol, received)

    return accept_some
