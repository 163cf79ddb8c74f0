"""The events of every venue say what the market of its counterpart had: prices, quantities, sides and times."""

from collections.abc import Callable
from typing import Any

import pytest
from conformance.pair import Pair
from conformance.test_conformance import EXCHANGES
from conformance.truth import SLOWEST, Look
from msgspec import structs

from wsadapter.events import MarketEvent, Side, Trade

SECONDS = 6.5
"""A minute has ended by then."""


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_events_say_what_the_market_had(exchange: str) -> None:
    """Books as changes, where the venue has such."""
    pair = Pair(exchange, changes=True, rate=SLOWEST)
    look = Look(pair).run(SECONDS)
    assert look.wrong == []
    polled = pair.rest.polled if pair.rest else frozenset()
    wanted = {"trade" if word == "raw_trade" else word for word in pair.feed.streams}
    assert {event.stream_type.value for event in look.compared} == wanted - polled, "something of each stream"
    assert {event.buyer_is_maker for event in look.compared if isinstance(event, Trade)} == {False, True}


def swapped(stream: str, *names: str) -> Callable[[MarketEvent], MarketEvent]:
    """Two fields of the events of a stream, or two and two."""

    def alter(event: MarketEvent) -> MarketEvent:
        if event.stream_type.value != stream:
            return event
        other = dict(zip(names, (*names[len(names) // 2 :], *names[: len(names) // 2]), strict=True))
        return structs.replace(event, **{name: getattr(event, other[name]) for name in names})

    return alter


def replaced(stream: str, name: str, value: Callable[[Any], object]) -> Callable[[MarketEvent], MarketEvent]:
    """A field of the events of a stream."""

    def alter(event: MarketEvent) -> MarketEvent:
        if event.stream_type.value != stream:
            return event
        return structs.replace(event, **{name: value(getattr(event, name))})

    return alter


MISREADINGS = {
    "sides of trades": replaced("trade", "buyer_is_maker", lambda was: not was),
    "sides of books": swapped("depth", "bid_price", "bid_quantity", "ask_price", "ask_quantity"),
    "price and quantity of a level": swapped("depth", "bid_price", "bid_quantity"),
    "the best prices": swapped("book_ticker", "bid_price", "bid_quantity", "ask_price", "ask_quantity"),
    "the ask as the bid": replaced("book_ticker", "bid_price", lambda was: "1.00"),
    "high and low of a day": swapped("ticker", "high", "low"),
    "high and low of a candle": swapped("kline", "high", "low"),
    "open and close of a candle": swapped("kline", "open", "close"),
    "mark and index": swapped("mark_price", "mark_price", "index_price"),
    "the sign of a rate": replaced("funding_rate", "funding_rate", lambda was: f"-{was}"),
    "an open interest": replaced("open_interest", "open_interest", lambda was: f"{was}1"),
    "sides of liquidations": replaced("liquidation", "side", lambda was: Side.BUY if was is Side.SELL else Side.SELL),
    "milliseconds as microseconds": replaced("trade", "transaction_time_ns", lambda was: was // 1000),
}


@pytest.mark.parametrize("misread", MISREADINGS)
def test_what_is_misread_is_seen(misread: str) -> None:
    look = Look(Pair("bybit", rate=SLOWEST), MISREADINGS[misread]).run(2.5)
    assert look.wrong
