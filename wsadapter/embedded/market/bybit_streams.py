"""Bybit's streams (linear perpetuals): the topics, and what each pushes.

From the documentation of v5: trades have UUIDs, books and tickers begin with a snapshot for each new subscriber and go
on with what has changed, level 1 of the book is always a snapshot. (The re-push of an unchanged level 1 after three
seconds is left out: here the best prices never rest so long.)
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from wsadapter.embedded.market import bybit_frames as frames
from wsadapter.embedded.market.candles import Candle
from wsadapter.embedded.market.market import Market
from wsadapter.embedded.market.streams import AggregateTrade, MarketStream, Offered, PacedStream, Push

INTERVALS: Final = {
    "1": "1m", "3": "3m", "5": "5m", "15": "15m", "30": "30m", "60": "1h", "120": "2h", "240": "4h", "360": "6h",
    "720": "12h", "D": "1d", "W": "1w", "M": "1M",
}  # fmt: skip
"""Their code -> ours."""
DEEPEST: Final = 1000
_EVERY_MS: Final = {1: 10, 50: 20, 200: 100, DEEPEST: 200}
"""Levels of a book -> pace of its stream."""
_SYMBOL: Final = re.compile(r"[A-Z0-9]{2,24}(-[A-Z0-9]{1,12})?")


class _Trades(MarketStream):
    def __init__(self, offered: Offered, market: Market) -> None:
        super().__init__(offered, market)
        self._tick = frames.Tick(market.deals[-1].price if market.deals else market.instrument.price)

    def traded(self, deal: AggregateTrade, now_ms: int) -> Iterable[Push]:
        data = frames.public_trade(self.offered.name, self.market.instrument, deal, self._tick.next(deal.price), now_ms)
        yield Push(self.offered.name, data, (("trade", len(deal.fills)),))


class _Klines(PacedStream):
    """Each candle when it closes, and the open one when it has changed."""

    def __init__(self, offered: Offered, market: Market) -> None:
        super().__init__(offered, market)
        self._last_id = 0

    def candle_closed(self, interval: str, candle: Candle, now_ms: int) -> Iterable[Push]:
        if interval == self.offered.interval:
            self._last_id = candle.last_id
            yield self._push(candle, True, now_ms)

    def push(self, now_ms: int) -> Iterable[Push]:
        candle = self.market.candles.current(self.offered.interval)
        if candle.trades and candle.last_id != self._last_id:
            self._last_id = candle.last_id
            yield self._push(candle, False, now_ms)

    def _push(self, candle: Candle, closed: bool, now_ms: int) -> Push:
        o, deals = self.offered, self.market.deals
        traded_ms = deals[-1].time_ms if deals else candle.open_ms
        code = o.name.split(".")[1]
        data = frames.kline(o.name, self.market.instrument, (code, o.interval), candle, closed, traded_ms, now_ms)
        return Push(o.name, data, (("kline", 1),))


class BookStream(PacedStream):
    """The best levels as they were pushed last, with their number ``u``: it grows by one with each push."""

    def __init__(self, offered: Offered, market: Market) -> None:
        super().__init__(offered, market)
        # numbers of a later subscription are above these: no book is pushed a thousand times a second
        self.update_id = market.now_ms
        self._bids, self._asks = self._levels()
        self._seq, self._time_ms = market.book.update_id, market.book.time_ms

    def snapshot(self, now_ms: int) -> Push:
        return self._push("snapshot", list(self._bids.items()), list(self._asks.items()), now_ms)

    def push(self, now_ms: int) -> Iterable[Push]:
        bids, asks = self._levels()
        changes = _changed(self._bids, bids, reverse=True), _changed(self._asks, asks, reverse=False)
        if not any(changes):
            return
        self._bids, self._asks = bids, asks
        self._seq, self._time_ms = self.market.book.update_id, self.market.book.time_ms
        self.update_id += 1
        yield self.snapshot(now_ms) if self.offered.levels == 1 else self._push("delta", *changes, now_ms)

    def _levels(self) -> tuple[dict[int, int], dict[int, int]]:
        bids, asks = self.market.book.levels(self.offered.levels)
        return dict(bids), dict(asks)

    def _push(self, kind: str, bids: list[tuple[int, int]], asks: list[tuple[int, int]], now_ms: int) -> Push:
        name, numbers = self.offered.name, (self.update_id, self._seq, self._time_ms)
        data = frames.orderbook(name, self.market.instrument, kind, (bids, asks), numbers, now_ms)
        return Push(name, data, (("depth", 1),))


class _Tickers(PacedStream):
    """All fields for a new subscriber, then those that have changed."""

    def __init__(self, offered: Offered, market: Market) -> None:
        super().__init__(offered, market)
        self._tick = frames.Tick(market.instrument.price)
        self._seq = market.book.update_id
        self._last = frames.ticker(market, self._tick, market.now_ms)

    def snapshot(self, now_ms: int) -> Push:
        return self._push("snapshot", self._last, now_ms)

    def push(self, now_ms: int) -> Iterable[Push]:
        fields = frames.ticker(self.market, self._tick, now_ms)
        changed = {key: value for key, value in fields.items() if self._last[key] != value}
        self._last, self._seq = fields, self.market.book.update_id
        if changed:
            yield self._push("delta", changed, now_ms)

    def _push(self, kind: str, fields: dict[str, str], now_ms: int) -> Push:
        data = frames.tickers(self.offered.name, self.market.symbol, kind, fields, self._seq, now_ms)
        return Push(self.offered.name, data, tuple((word, 1) for word, of in _TOLD.items() if of & fields.keys()))


_TOLD: Final = {
    "ticker": {"lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h", "volume24h", "turnover24h"},
    "mark_price": {"markPrice", "indexPrice"},
    "funding_rate": {"fundingRate", "nextFundingTime"},
    "open_interest": {"openInterest"},
    "book_ticker": {"bid1Price", "bid1Size", "ask1Price", "ask1Size"},
}
"""The event that the product makes of a frame when one of these fields is in it."""


class _Liquidations(PacedStream):
    """One from before the subscription is not pushed again."""

    def __init__(self, offered: Offered, market: Market) -> None:
        super().__init__(offered, market)
        self._last_ms = market.liquidated.time_ms if market.liquidated else 0
        market.liquidate_soon()

    def push(self, now_ms: int) -> Iterable[Push]:
        order = self.market.liquidated
        if order and order.time_ms > self._last_ms:
            self._last_ms = order.time_ms
            data = frames.all_liquidation(self.offered.name, self.market.instrument, [order], now_ms)
            yield Push(self.offered.name, data, (("liquidation", 1),))


@lru_cache(maxsize=4096)
def offered(name: str) -> Offered | None:
    """What the topic ``name`` asks for; ``None`` when nobody handles it."""
    head, _, symbol = name.rpartition(".")
    if not _SYMBOL.fullmatch(symbol):
        return None
    if head == "publicTrade":
        return Offered(name, "", head, symbol, 0, per_step=0.4, make=_Trades)
    if head == "tickers":
        return Offered(name, "", head, symbol, 100, make=_Tickers)
    if head == "allLiquidation":
        return Offered(name, "", head, symbol, 500, make=_Liquidations)
    kind, _, detail = head.partition(".")
    if kind == "kline" and detail in INTERVALS:
        return Offered(name, "", kind, symbol, 1000, interval=INTERVALS[detail], make=_Klines)
    if kind == "orderbook" and detail.isascii() and detail.isdecimal() and int(detail) in _EVERY_MS:
        return Offered(name, "", kind, symbol, _EVERY_MS[int(detail)], levels=int(detail), make=BookStream)
    return None


def _changed(before: dict[int, int], after: dict[int, int], reverse: bool) -> list[tuple[int, int]]:
    """Levels that are new, other or gone (quantity 0), best first."""
    changed = {price: quantity for price, quantity in after.items() if before.get(price) != quantity}
    return sorted((changed | {price: 0 for price in before if price not in after}).items(), reverse=reverse)
