"""Where an event stands among those of its line: what makes two copies of it one, and which of two events is older.

A line is what one venue orders: the trades of a symbol, the candles of a symbol and interval. `place` gives the line's
key and the event's number there, the same for every copy of the event whatever connection brought it; ``previous`` is
the number that must come directly before, where the venue says that (None: numbers only grow). Pure, for every venue.

It reads attributes that the event Structs and the protobuf messages have in common, so it takes either.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from wsadapter.events import (
    BookTicker,
    Depth,
    FundingRate,
    Kline,
    Liquidation,
    MarkPrice,
    StreamType,
    Ticker,
    Trade,
    UpdateType,
)
from wsadapter.events.streams import BY_EVENT

SequenceKey = tuple[Any, ...]


class Sequenced(NamedTuple):
    key: SequenceKey
    number: int
    previous: int | None = None


def _trade(e: Any) -> Sequenced | None:
    number = e.trade_number
    return Sequenced((StreamType.TRADE, e.symbol, bool(e.aggregated)), number, number - 1) if number else None


def _depth(e: Any) -> Sequenced | None:
    number = e.last_update_id
    if not number:
        return None
    if e.update_type == UpdateType.DELTA:
        return Sequenced((StreamType.DEPTH, e.symbol, 0), number, e.previous_update_id or 0)
    return Sequenced((StreamType.DEPTH, e.symbol, e.level_limit), number)


def _book_ticker(e: Any) -> Sequenced | None:
    return Sequenced((StreamType.BOOK_TICKER, e.symbol), e.update_id) if e.update_id else None


def _kline(e: Any) -> Sequenced | None:
    """A candle closes once, whatever the time that a server puts on it; until then its updates have their time only."""
    if e.closed:
        return Sequenced((StreamType.KLINE, e.symbol, e.interval, True), e.open_time_ns)
    return Sequenced((StreamType.KLINE, e.symbol, e.interval, False), e.event_time_ns) if e.event_time_ns else None


def _timed(stream: StreamType) -> Callable[[Any], Sequenced | None]:
    """No number of its own: the venue's time is one."""

    def timed(e: Any) -> Sequenced | None:
        return Sequenced((stream, e.symbol), e.event_time_ns) if e.event_time_ns else None

    return timed


def _liquidation(e: Any) -> Sequenced | None:
    """Neither numbered nor in order: an event is its own line."""
    return Sequenced(
        (StreamType.LIQUIDATION, e.symbol, e.transaction_time_ns, e.side, e.price, e.quantity, e.ordinal),
        1,
    )


PLACES: Final[Mapping[type, Callable[[Any], Sequenced | None]]] = {
    Trade: _trade,
    Depth: _depth,
    BookTicker: _book_ticker,
    Kline: _kline,
    Ticker: _timed(StreamType.TICKER),
    MarkPrice: _timed(StreamType.MARK_PRICE),
    FundingRate: _timed(StreamType.FUNDING_RATE),
    Liquidation: _liquidation,
}
"""By event type; an event without an entry has no place and is never a copy."""
PLACES_BY_KIND: Final[Mapping[int, Callable[[Any], Sequenced | None]]] = {
    BY_EVENT[event].kind: place for event, place in PLACES.items()
}


def place(event: Any) -> Sequenced | None:
    """None for an event that cannot be told from others."""
    found = PLACES.get(type(event))
    return None if found is None else found(event)
