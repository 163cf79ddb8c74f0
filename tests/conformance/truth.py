"""What a market of the stand-ins had, as numbers: what an event says of it is compared with that, field by field.

It is read from the market itself and not from a frame, so it shares nothing with what spells or reads one. A field that
an event leaves out is not compared. A state is gone with the next one, so `Look` looks after each step of the market.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from conformance.pair import MS, Pair

from wsadapter.embedded.market.candles import Candle, close_ms
from wsadapter.embedded.market.channels import prints_of
from wsadapter.embedded.market.market import MARK_DIGITS, Market
from wsadapter.events import (
    BookTicker,
    Depth,
    FundingRate,
    Kline,
    Liquidation,
    MarketEvent,
    MarkPrice,
    OpenInterest,
    Side,
    Ticker,
    Trade,
    UpdateType,
)

HOUR_MS: Final = 3_600_000
STEP_MS: Final = 10
"""In which a market of the slowest pace, twenty steps a second, takes one at most."""
SLOWEST: Final = 1.0
"""Frames a second."""
GONE: Final = Decimal(0)
Fields = Mapping[str, object]
"""Of an event: what it may say, a set where that is several things."""
Levels = dict[Decimal, Decimal]
"""Price -> quantity."""


class Truth:
    """Of one market and what one connection says of it."""

    def __init__(self, market: Market) -> None:
        self.market, self.i = market, market.instrument
        self._kept: tuple[Levels, Levels] | None = None
        """The book as the events have told it, None before the first snapshot."""
        self._size = 0

    def wrong(self, events: Sequence[MarketEvent], now_ms: int) -> list[str]:
        """What of one step is not as it was: the field, what it says, and what was. A book is looked at when all of its
        changes are there, which come one by one where the venue does so."""
        found = [text for event in events for text in self._wrong(event, now_ms)]
        if self._kept is not None and any(isinstance(event, Depth) for event in events):
            found += self._wrong_book(self._kept)
        return found

    def _wrong(self, event: MarketEvent, now_ms: int) -> list[str]:
        if isinstance(event, Depth):
            return self._levels(event) + _differing(event, self._times(now_ms))
        candidates = [_differing(event, true) for true in self._true(event, now_ms)]
        return min(candidates, key=len, default=[f"{type(event).__name__} that never was: {event}"])

    def _times(self, now_ms: int) -> Fields:
        at = {time * MS for time in (now_ms, self.market.book.time_ms)}
        return {"event_time_ns": at, "transaction_time_ns": at}

    def _price(self, units: int) -> Decimal:
        return Decimal(self.i.price_text(units))

    def _quantity(self, units: int) -> Decimal:
        return Decimal(self.i.quantity_text(units))

    def _quote(self, units: int) -> Decimal:
        return Decimal(self.i.quote_text(units))

    def _mark(self, units: int) -> set[Decimal]:
        """With all digits, or as many as a price has."""
        cut = units // 10 ** (MARK_DIGITS - self.i.price_digits)
        return {Decimal(units).scaleb(-MARK_DIGITS), self._price(cut)}

    def _true(self, event: MarketEvent, now_ms: int) -> list[Fields]:
        """The states that an event of this type may be about."""
        if isinstance(event, Trade):
            return self._trades(event, now_ms)
        if isinstance(event, Kline):
            return self._candles(event)
        if isinstance(event, Liquidation):
            return self._liquidations(event, now_ms)
        return [{**self._times(now_ms), **self._state(event, now_ms)}]

    def _state(self, event: MarketEvent, now_ms: int) -> Fields:
        market, day, mark = self.market, self.market.candles.day(), self.market.mark(now_ms)
        # the market's is every eight hours; a venue that pays more often has its own hours
        hours = {(now_ms // HOUR_MS + more) * HOUR_MS * MS for more in range(1, 9)}
        rate = {"funding_rate": Decimal(mark.rate), "next_funding_time_ns": hours}
        if isinstance(event, BookTicker):
            bid, bid_quantity, ask, ask_quantity = market.book.top()
            return {
                "bid_price": self._price(bid), "bid_quantity": self._quantity(bid_quantity),
                "ask_price": self._price(ask), "ask_quantity": self._quantity(ask_quantity),
            }  # fmt: skip
        if isinstance(event, Ticker):
            return {
                "last_price": self._price(day.close), "open": self._price(day.open), "high": self._price(day.high),
                "low": self._price(day.low), "volume": self._quantity(day.volume),
                "quote_volume": self._quote(day.quote), "price_change": self._price(day.close - day.open),
            }  # fmt: skip
        if isinstance(event, MarkPrice):
            return {"mark_price": self._mark(mark.price), "index_price": self._mark(mark.index), **rate}
        if isinstance(event, FundingRate):
            return {"mark_price": self._mark(mark.price), **rate}
        assert isinstance(event, OpenInterest)
        return {"open_interest": self._quantity(market.open_interest())}

    def _trades(self, event: Trade | Liquidation, now_ms: int) -> list[Fields]:
        """Those of its time."""
        at_ns = event.transaction_time_ns or event.event_time_ns
        return [
            {
                "price": self._price(p.price), "quantity": self._quantity(p.quantity), "buyer_is_maker": p.seller,
                "transaction_time_ns": p.time_ms * MS, "event_time_ns": {p.time_ms * MS, now_ms * MS},
                "aggregated": aggregated,
            }
            for deal in self.market.deals if deal.time_ms * MS == at_ns
            for aggregated in (False, True) for p in prints_of(deal, aggregated)
        ]  # fmt: skip

    def _candles(self, event: Kline) -> list[Fields]:
        candles = self.market.candles
        some = [*candles.closed[event.interval], candles.current(event.interval)]
        return [self._candle(one, event.interval) for one in some if one.open_ms * MS == event.open_time_ns]

    def _candle(self, c: Candle, interval: str) -> Fields:
        return {
            "close_time_ns": close_ms(interval, c.open_ms) * MS, "open": self._price(c.open),
            "high": self._price(c.high), "low": self._price(c.low), "close": self._price(c.close),
            "volume": self._quantity(c.volume), "quote_volume": self._quote(c.quote), "trade_count": c.trades,
            "taker_buy_volume": self._quantity(c.buy_volume), "taker_buy_quote_volume": self._quote(c.buy_quote),
            "first_trade_id": c.first_id, "last_trade_id": c.last_id,
        }  # fmt: skip

    def _liquidations(self, event: Liquidation, now_ms: int) -> list[Fields]:
        """The order of the market; a trade that the venue calls forced, of the taker or the maker, has either side."""
        of_trade = ("price", "quantity", "transaction_time_ns", "event_time_ns")
        found: list[Fields] = [{name: true[name] for name in of_trade} for true in self._trades(event, now_ms)]
        if (order := self.market.liquidated) is not None:
            times = {order.time_ms * MS, now_ms * MS}
            found.append({
                "side": Side.SELL if order.sell else Side.BUY,
                "price": {self._price(order.price), self._price(order.average)},
                "average_price": self._price(order.average), "quantity": self._quantity(order.quantity),
                "filled_quantity": self._quantity(order.quantity), "transaction_time_ns": times,
                "event_time_ns": times,
            })  # fmt: skip
        return found

    def _levels(self, event: Depth) -> list[str]:
        """Keeps the book. A change of one whose beginning is asked for elsewhere is compared level by level."""
        bids = dict(zip(map(Decimal, event.bid_price), map(Decimal, event.bid_quantity), strict=True))
        asks = dict(zip(map(Decimal, event.ask_price), map(Decimal, event.ask_quantity), strict=True))
        if event.update_type is UpdateType.SNAPSHOT:
            self._kept, self._size = (bids, asks), max(len(bids), len(asks))
        elif self._kept is not None:
            for side, changed in zip(self._kept, (bids, asks), strict=True):
                side.update(changed)
                for price in [price for price, quantity in changed.items() if not quantity]:
                    del side[price]
        else:
            pairs = zip(self._book(), (bids, asks), strict=True)
            told = tuple({price: side.get(price, GONE) for price in changed} for side, changed in pairs)
            return [] if told == (bids, asks) else [f"Depth {bids, asks}, was {told}"]
        return []

    def _wrong_book(self, kept: tuple[Levels, Levels]) -> list[str]:
        """Of both only as many levels as the book began with: one of that many says nothing of the others."""
        said, true = ([self._best(bids, True), self._best(asks, False)] for bids, asks in (kept, self._book()))
        return [] if said == true else [f"Depth, kept as {said}, was {true}"]

    def _book(self) -> tuple[Levels, Levels]:
        bids, asks = (
            {self._price(price): self._quantity(quantity) for price, quantity in side.items()}
            for side in (self.market.book.bids, self.market.book.asks)
        )
        return bids, asks

    def _best(self, side: Levels, is_bid: bool) -> list[tuple[Decimal, Decimal]]:
        return sorted(side.items(), reverse=is_bid)[: self._size]


class Look:
    """What all connections of a pair say, compared after each step. ``alter``: the events, as they are said instead."""

    def __init__(self, pair: Pair, alter: Callable[[MarketEvent], MarketEvent] = lambda event: event) -> None:
        self.wrong: list[str] = []
        self.compared: list[MarketEvent] = []
        self._pair, self._alter = pair, alter
        self._truths: dict[tuple[int, str], Truth] = {}

    def run(self, seconds: float) -> "Look":
        """From the opening of the connections, so long in market time."""
        pair = self._pair.open()
        self._compare()
        for _ in range(round(seconds * 1000) // STEP_MS):
            pair.run(STEP_MS / 1000, STEP_MS)
            self._compare()
        return self

    def _compare(self) -> None:
        for number, line in enumerate(self._pair.lines):
            events = [self._alter(event) for event in line.events]
            line.seen.clear()
            self.compared += events
            for symbol in dict.fromkeys(event.symbol for event in events):
                key = number, symbol
                if key not in self._truths:
                    self._truths[key] = Truth(self._pair.floor.open(symbol))
                of_symbol = [event for event in events if event.symbol == symbol]
                self.wrong += self._truths[key].wrong(of_symbol, self._pair.now_ms)


def _differing(event: Any, true: Fields) -> list[str]:
    found = []
    for name, value in true.items():
        said = getattr(event, name)
        said = Decimal(said) if isinstance(said, str) else said
        if said is not None and said not in (value if isinstance(value, set) else (value,)):
            found.append(f"{type(event).__name__}.{name} {said}, was {value}")
    return found
