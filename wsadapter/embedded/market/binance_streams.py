"""Binance's streams: their names, the class of connection that carries each, and what each pushes.

The class is the point: a stream that is asked for on a connection of another class is acknowledged and never pushed,
and so is a name that means nothing.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from wsadapter.embedded.market import binance_frames as frames
from wsadapter.embedded.market.candles import INTERVALS, Candle
from wsadapter.embedded.market.instruments import COIN_M, USD_MARGINED
from wsadapter.embedded.market.market import Market
from wsadapter.embedded.market.streams import (
    AggregateTrade,
    MarketStream,
    Offered,
    OnChange,
    PacedStream,
    Push,
    WholeStream,
    next_multiple,
)

PUBLIC: Final = "public"
MARKET: Final = "market"
PRIVATE: Final = "private"
ROUTES: Final = (PUBLIC, MARKET, PRIVATE)

_PUBLIC_CHANNELS: Final = ("bookTicker", "depth", "rpiDepth", "trade")
_PUBLIC_EVENTS: Final = ("bookTicker", "depthUpdate", "trade")
_DEPTH: Final = re.compile(r"depth(5|10|20)?(?:@(0|100|250|500)ms)?")
_SYMBOL: Final = re.compile(r"[^\W_]{2,24}(_[^\W_]{1,12})?")
_EVERY_MS: Final[Mapping[str, int]] = {
    "aggTrade": 0,
    "trade": 0,
    "bookTicker": 0,
    "ticker": 2000,
    "miniTicker": 2000,
    "markPrice": 3000,
    "markPrice@1s": 1000,
    "forceOrder": 1000,
    "!ticker@arr": 1000,
    "!miniTicker@arr": 1000,
    "!markPrice@arr": 3000,
    "!markPrice@arr@1s": 1000,
    "!forceOrder@arr": 1000,
    "!bookTicker": 5000,
}


def route_of_stream(name: str) -> str:
    """The class of a stream name, of any that looks like one (replayed files have streams that we do not offer)."""
    channel = name.lstrip("!") if name.startswith("!") else name.partition("@")[2]
    return PUBLIC if channel.startswith(_PUBLIC_CHANNELS) else MARKET


def route_of_event(event: str) -> str:
    """The class that carries events of this type (a raw frame has no stream name)."""
    return PUBLIC if event in _PUBLIC_EVENTS else MARKET


class _AggregateTrades(MarketStream):
    def traded(self, deal: AggregateTrade, now_ms: int) -> Iterable[Push]:
        yield Push(self.offered.name, frames.agg_trade(self.market.instrument, deal, now_ms), (("trade", 1),))


class _Trades(MarketStream):
    def traded(self, deal: AggregateTrade, now_ms: int) -> Iterable[Push]:
        for data in frames.trades(self.market.instrument, deal, now_ms):
            yield Push(self.offered.name, data, (("trade", 1),))


class _BookTickers(MarketStream):
    def best_changed(self, at_ms: int, now_ms: int) -> Iterable[Push]:
        yield _book_ticker(self.offered.name, self.market, at_ms, now_ms)


class _Klines(MarketStream):
    """Each candle when it closes, and the open one at most every ``offered.every_ms`` when it has changed."""

    def __init__(self, offered: Offered, market: Market) -> None:
        super().__init__(offered, market)
        self._due_ms, self._last_id = market.now_ms, 0

    def candle_closed(self, interval: str, candle: Candle, now_ms: int) -> Iterable[Push]:
        if interval == self.offered.interval:
            self._last_id = candle.last_id
            yield self._push(candle, True, now_ms)

    def moved(self, now_ms: int) -> Iterable[Push]:
        if now_ms < self._due_ms:
            return
        candle = self.market.candles.current(self.offered.interval)
        if candle.trades and candle.last_id != self._last_id:
            self._last_id, self._due_ms = candle.last_id, now_ms + self.offered.every_ms
            yield self._push(candle, False, now_ms)

    def _push(self, candle: Candle, closed: bool, now_ms: int) -> Push:
        data = frames.kline(self.market.instrument, self.offered.interval, candle, closed, now_ms)
        return Push(self.offered.name, data, (("kline", 1),))


class _Depth(PacedStream):
    def __init__(self, offered: Offered, market: Market) -> None:
        super().__init__(offered, market)
        self._changes = market.book.watch()

    def push(self, now_ms: int) -> Iterable[Push]:
        book, changes, i = self.market.book, self._changes, self.market.instrument
        if not changes.first_id:
            return
        if self.offered.levels:
            bids, asks = book.levels(self.offered.levels)
        else:
            bids = [(price, book.bids.get(price, 0)) for price in sorted(changes.bids)]
            asks = [(price, book.asks.get(price, 0)) for price in sorted(changes.asks)]
        sides = frames.levels(i, bids), frames.levels(i, asks)
        ids = changes.first_id, book.update_id, changes.previous_id
        changes.pushed(book.update_id)
        yield Push(self.offered.name, frames.depth_update(i, ids, sides, book.time_ms, now_ms), (("depth", 1),))

    def close(self) -> None:
        self.market.book.unwatch(self._changes)


class _Liquidations(PacedStream):
    """One from before the subscription is not pushed again."""

    def __init__(self, offered: Offered, market: Market) -> None:
        super().__init__(offered, market)
        self._last_ms = _liquidated(market)
        market.liquidate_soon()

    def push(self, now_ms: int) -> Iterable[Push]:
        if _liquidated(self.market) > self._last_ms:
            self._last_ms = _liquidated(self.market)
            yield _force_order(self.offered.name, self.market, now_ms)


class _Tickers(PacedStream):
    def push(self, now_ms: int) -> Iterable[Push]:
        yield _TICKERS[self.offered.kind](self.offered.name, self.market, now_ms)


class _Whole(WholeStream):
    """A stream of the whole market: USD-M and COIN-M symbols together, as the venue has merged them in 2026."""

    symbols = tuple(coin.symbol for coin in COIN_M)

    def __init__(self, offered: Offered, now_ms: int) -> None:
        self._offered = offered
        self._since_ms = now_ms
        self._due_ms = next_multiple(now_ms, offered.every_ms)
        self._seen: dict[str, int] = {}

    def moved(self, markets: Iterable[Market], now_ms: int) -> list[Push]:
        if now_ms < self._due_ms:
            return []
        self._due_ms = next_multiple(now_ms, self._offered.every_ms)
        name, kind = self._offered.name, self._offered.kind
        if kind == "forceOrder":
            return [_force_order(name, one, now_ms) for one in markets if self._fresh(one, _liquidated(one))]
        if kind == "bookTicker":
            return [_book_ticker(name, one, one.book.time_ms, now_ms) for one in markets]
        if kind == "markPrice":
            return [_array(name, [_mark_price(name, one, now_ms) for one in markets])]
        traded = [one for one in markets if self._fresh(one, one.next_trade_id)]
        return [_array(name, [_TICKERS[kind](name, one, now_ms) for one in traded])] if traded else []

    def _fresh(self, market: Market, mark: int) -> bool:
        """Whether something happened since the last push (or since the subscription)."""
        before, self._seen[market.symbol] = self._seen.get(market.symbol, self._since_ms), mark
        return mark > before if self._offered.kind == "forceOrder" else mark != before


def _book_ticker(name: str, market: Market, at_ms: int, now_ms: int) -> Push:
    data = frames.book_ticker(market.instrument, market.book.top(), market.book.update_id, at_ms, now_ms)
    return Push(name, data, _seen(market, "book_ticker"))


def _mark_price(name: str, market: Market, now_ms: int) -> Push:
    mark, events = market.mark(now_ms), _seen(market, "mark_price")
    funding = (OnChange("funding_rate", market.symbol, (mark.rate, mark.next_funding_ms)),) if events else ()
    return Push(name, frames.mark_price(market.instrument, mark, now_ms), events, funding)


def _ticker(name: str, market: Market, now_ms: int) -> Push:
    last_quantity = market.deals[-1].quantity if market.deals else 0
    data = frames.ticker(market.instrument, market.candles.day(), last_quantity, now_ms)
    return Push(name, data, _seen(market, "ticker"))


def _mini_ticker(name: str, market: Market, now_ms: int) -> Push:
    return Push(name, frames.mini_ticker(market.instrument, market.candles.day(), now_ms))


def _force_order(name: str, market: Market, now_ms: int) -> Push:
    assert market.liquidated is not None
    data = frames.force_order(market.instrument, market.liquidated, now_ms)
    return Push(name, data, _seen(market, "liquidation"))


_TICKERS: Final = {"ticker": _ticker, "miniTicker": _mini_ticker, "markPrice": _mark_price}


def _seen(market: Market, word: str) -> tuple[tuple[str, int], ...]:
    """What the product sees in an element: nothing in one of COIN-M, which is not its market."""
    return ((word, 1),) if market.instrument.margin == USD_MARGINED else ()


def _liquidated(market: Market) -> int:
    return market.liquidated.time_ms if market.liquidated else 0


def _array(name: str, parts: list[Push]) -> Push:
    data = "[" + ",".join(part.data for part in parts) + "]"
    funding = tuple(rate for part in parts for rate in part.on_change)
    counted = [part.events[0] for part in parts if part.events]
    events = ((counted[0][0], len(counted)),) if counted else ()
    return Push(name, data, events, funding)


_MAKE: Final[Mapping[str, tuple[type[MarketStream], float]]] = {
    "aggTrade": (_AggregateTrades, 0.4),
    "trade": (_Trades, 0.64),
    "bookTicker": (_BookTickers, 0.6),
    "ticker": (_Tickers, 0.0),
    "miniTicker": (_Tickers, 0.0),
    "markPrice": (_Tickers, 0.0),
    "forceOrder": (_Liquidations, 0.0),
}
"""Which stream, and how many frames one step of a market makes of it."""


@lru_cache(maxsize=4096)
def offered(name: str) -> Offered | None:
    """What ``name`` asks for; ``None`` when no such stream exists (names are lower case)."""
    if name.startswith("!"):
        every_ms = _EVERY_MS.get(name)
        if every_ms is None:
            return None
        return Offered(name, route_of_stream(name), name[1:].partition("@")[0], "", every_ms, make_whole=_Whole)
    symbol, _, channel = name.partition("@")
    if not _SYMBOL.fullmatch(symbol) or symbol != symbol.lower():
        return None
    route = route_of_stream(name)
    if found := _DEPTH.fullmatch(channel):
        levels, every = found.groups()
        # the undocumented 0 ms comes about every 50 ms in the recordings
        every_ms = 50 if every == "0" else int(every or 250)
        return Offered(name, route, "depth", symbol.upper(), every_ms, levels=int(levels or 0), make=_Depth)
    if channel.startswith("kline_"):
        interval = channel.removeprefix("kline_")
        if interval not in INTERVALS:
            return None
        return Offered(name, route, "kline", symbol.upper(), 250, interval=interval, make=_Klines)
    if channel not in _EVERY_MS or channel.startswith("!"):
        return None
    kind = channel.partition("@")[0]
    make, per_step = _MAKE[kind]
    return Offered(name, route, kind, symbol.upper(), _EVERY_MS[channel], per_step=per_step, make=make)
