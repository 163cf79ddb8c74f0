"""One symbol's market: a random walk with a book, trades, candles, a mark price and liquidations, in market time.

Sans-I/O: `Market.advance` moves it to a moment and returns what the subscribed streams push up to there, in order. It
draws from its own seeded generator and reads no clock. Everything comes from the same trades and the same book, so the
streams and REST never disagree. Within a symbol no two events of one stream share a sorting key of the tables.
"""

import random
from collections import deque
from typing import Final
from zlib import crc32

from wsadapter.embedded.market import binance_frames as frames
from wsadapter.embedded.market.binance_frames import MARK_DIGITS, AggregateTrade, Liquidated, Mark, Push
from wsadapter.embedded.market.binance_streams import Offered
from wsadapter.embedded.market.book import Book, Changes
from wsadapter.embedded.market.candles import Candle, Candles
from wsadapter.embedded.market.instruments import MarketInstrument, text

DEALS_KEPT: Final = 20_000
FUNDING_MS: Final = 8 * 3_600_000
RATE_MS: Final = 10_000
"""How long a funding rate stays what it is."""
CATCH_UP: Final = 1.0
"""Seconds of trading made up for after a stall; the rest of it passed without trades."""


class _DueStream:
    """A subscribed stream and when it is due next."""

    def __init__(self, offered: Offered, now_ms: int, book: Book) -> None:
        self.offered = offered
        self.due_ms = now_ms if offered.kind == "kline" else self.next_due(now_ms)
        self.changes: Changes | None = book.watch() if offered.kind == "depth" else None
        self.last_id = 0
        """Of a candle: the last trade that was pushed. Of liquidations: the time of the last one."""

    def next_due(self, now_ms: int) -> int:
        every = max(self.offered.every_ms, 1)
        return (now_ms // every + 1) * every


class Market:
    """``next_aggregate_id`` and ``next_trade_id`` are the ledger's to cover before anything is sent."""

    def __init__(self, instrument: MarketInstrument, seed: int, now_ms: int, first_ids: tuple[int, int]) -> None:
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.next_aggregate_id, self.next_trade_id = first_ids
        self.now_ms = now_ms
        self.steps_per_second = 20.0
        self._rng = random.Random(f"{seed}:{self.symbol}:{now_ms}")
        # ids of a run start above those of any run before: market time grows, and no book makes a million ids a second
        self.book = Book(self._rng, instrument.price, instrument.tick, instrument.lot, now_ms * 1000, now_ms)
        self.candles = Candles(now_ms, instrument.price)
        self.deals: deque[AggregateTrade] = deque(maxlen=DEALS_KEPT)
        self.liquidated: Liquidated | None = None
        self._next_liquidation_ms = now_ms + 1500
        self._streams: dict[str, _DueStream] = {}
        self._credit = 0.0
        self._out: list[Push] = []
        self._until_ms = now_ms

    def subscribe(self, offered: Offered) -> None:
        if offered.name in self._streams:
            return
        stream = self._streams[offered.name] = _DueStream(offered, self.now_ms, self.book)
        if offered.kind == "forceOrder":
            # a liquidation from before is not pushed again, and the first new one comes soon
            stream.last_id = self.liquidated.time_ms if self.liquidated else 0
            self._next_liquidation_ms = min(self._next_liquidation_ms, self.now_ms + 1500)

    def unsubscribe(self, name: str) -> None:
        stream = self._streams.pop(name, None)
        if stream and stream.changes:
            self.book.unwatch(stream.changes)

    @property
    def subscribed(self) -> list[Offered]:
        return [stream.offered for stream in self._streams.values()]

    def wants(self, channel: str) -> str:
        """The name of the stream ``channel`` of this symbol when somebody has subscribed to it, else nothing."""
        name = f"{self.symbol.lower()}@{channel}"
        return name if name in self._streams else ""

    def advance(self, now_ms: int) -> list[Push]:
        """Trade until ``now_ms``; what is to be pushed, oldest first."""
        self._out, self._until_ms = [], now_ms
        seconds = min((now_ms - self.now_ms) / 1000, CATCH_UP)
        self._credit += self.steps_per_second * seconds * self._rng.uniform(0.5, 1.5)
        steps, before = int(self._credit), self.now_ms
        self._credit -= steps
        wanted = {kind: self.wants(kind) for kind in ("aggTrade", "trade", "bookTicker")}
        for step in range(1, steps + 1):
            at = before + (now_ms - before) * step // steps
            self.candles.roll(at, self._closed)
            self._step(at, now_ms, wanted)
        self.now_ms = now_ms
        self.candles.roll(now_ms, self._closed)
        self._liquidate(now_ms)
        for stream in self._streams.values():
            if stream.offered.every_ms and now_ms >= stream.due_ms:
                self._push_due(stream, now_ms)
        return self._out

    def _step(self, at: int, now_ms: int, wanted: dict[str, str]) -> None:
        """One change of the book: a trade, or an order that comes or goes."""
        top, i = self.book.top(), self.instrument
        drift = 0.3 * max(-1.0, min(1.0, (top[0] - i.price) / (i.price * 0.02)))
        if self._rng.random() < 0.4:
            deal = self._deal(self._rng.random() < 0.5 + drift, at)
            if wanted["aggTrade"]:
                self._out.append(Push(wanted["aggTrade"], frames.agg_trade(i, deal, now_ms), "trade", 1))
            if wanted["trade"]:
                self._out += (Push(wanted["trade"], data, "trade", 1) for data in frames.trades(i, deal, now_ms))
        else:
            self.book.stir(self._rng.random() < 0.5 - drift, at)
        if wanted["bookTicker"] and self.book.top() != top:
            data = frames.book_ticker(i, self.book.top(), self.book.update_id, at, now_ms)
            self._out.append(Push(wanted["bookTicker"], data, "book_ticker", 1))

    def _deal(self, seller: bool, at: int) -> AggregateTrade:
        price, quantity = self.book.take(seller, at)
        parts = min(quantity, self._rng.choice((1, 1, 1, 2, 3)))
        fills = (quantity // parts,) * (parts - 1)
        deal = AggregateTrade(
            self.next_aggregate_id, price, quantity, self.next_trade_id, (*fills, quantity - sum(fills)), at, seller
        )
        self.next_aggregate_id += 1
        self.next_trade_id += parts
        self.deals.append(deal)
        self.candles.minute.add(price, quantity, deal.first_id, deal.last_id, not seller)
        return deal

    def _closed(self, interval: str, candle: Candle) -> None:
        stream = self._streams.get(f"{self.symbol.lower()}@kline_{interval}")
        if stream:
            data = frames.kline(self.instrument, interval, candle, True, self._until_ms)
            self._out.append(Push(stream.offered.name, data, "kline", 1))
            stream.last_id = candle.last_id

    def _push_due(self, stream: _DueStream, now_ms: int) -> None:
        offered, i = stream.offered, self.instrument
        if offered.kind == "kline":
            candle = self.candles.current(offered.interval)
            if not candle.trades or candle.last_id == stream.last_id:
                return
            stream.last_id, stream.due_ms = candle.last_id, now_ms + offered.every_ms
            data = frames.kline(i, offered.interval, candle, False, now_ms)
            self._out.append(Push(offered.name, data, "kline", 1))
            return
        stream.due_ms = stream.next_due(now_ms)
        if offered.kind == "depth":
            self._push_depth(stream, now_ms)
        elif offered.kind == "forceOrder":
            if self.liquidated and self.liquidated.time_ms > stream.last_id:
                stream.last_id = self.liquidated.time_ms
                self._out.append(self.force_order(offered.name, now_ms))
        else:
            make = {"ticker": self.ticker, "miniTicker": self.mini_ticker, "markPrice": self.mark_price}[offered.kind]
            self._out.append(make(offered.name, now_ms))

    def _push_depth(self, stream: _DueStream, now_ms: int) -> None:
        book, changes, count = self.book, stream.changes, stream.offered.levels
        if changes is None or not changes.first_id:
            return
        if count:
            bids, asks = book.levels(count)
        else:
            bids = [(price, book.bids.get(price, 0)) for price in sorted(changes.bids)]
            asks = [(price, book.asks.get(price, 0)) for price in sorted(changes.asks)]
        sides = frames.levels(self.instrument, bids), frames.levels(self.instrument, asks)
        ids = changes.first_id, book.update_id, changes.previous_id
        data = frames.depth_update(self.instrument, ids, sides, book.time_ms, now_ms)
        self._out.append(Push(stream.offered.name, data, "depth", 1))
        changes.pushed(book.update_id)

    def _liquidate(self, now_ms: int) -> None:
        """At most one a second, the largest of it, as the venue reports them."""
        if now_ms < self._next_liquidation_ms:
            return
        self._next_liquidation_ms = now_ms + 1000 + int(self._rng.expovariate(1 / 12_000))
        sell = self._rng.random() < 0.5
        average = self.book.best_bid if sell else self.book.best_ask
        price = average + (-3 if sell else 3) * self.instrument.tick
        quantity = 1 + int(self._rng.expovariate(1) * self.instrument.lot)
        self.liquidated = Liquidated(sell, price, average, quantity, now_ms)

    def mark(self, now_ms: int) -> Mark:
        """Near the last price; the same for everybody who looks at the same millisecond."""
        scale = 10 ** (MARK_DIGITS - self.instrument.price_digits)
        index = (self.book.best_bid + self.book.best_ask) * scale // 2 + crc32(b"%d" % now_ms) % max(scale, 2)
        price = index + index // 50_000
        return Mark(price, (price + index) // 2, index, index - index // 9_000, self.rate(now_ms), _funding(now_ms))

    def rate(self, now_ms: int) -> str:
        """The funding rate at a moment, past ones included."""
        return text(5_000 + crc32(f"{self.symbol}:{now_ms // RATE_MS}".encode()) % 10_000, 8)

    def mark_price(self, name: str, now_ms: int) -> Push:
        mark = self.mark(now_ms)
        data, count = frames.mark_price(self.instrument, mark, now_ms), frames.counts_as(self.instrument)
        funding = ((self.symbol, mark.rate, mark.next_funding_ms),) * count
        return Push(name, data, "mark_price", count, funding)

    def ticker(self, name: str, now_ms: int) -> Push:
        last_quantity = self.deals[-1].quantity if self.deals else 0
        data = frames.ticker(self.instrument, self.candles.day(), last_quantity, now_ms)
        return Push(name, data, "ticker", frames.counts_as(self.instrument))

    def mini_ticker(self, name: str, now_ms: int) -> Push:
        return Push(name, frames.mini_ticker(self.instrument, self.candles.day(), now_ms))

    def book_ticker(self, name: str, now_ms: int) -> Push:
        data = frames.book_ticker(self.instrument, self.book.top(), self.book.update_id, self.book.time_ms, now_ms)
        return Push(name, data, "book_ticker", frames.counts_as(self.instrument))

    def force_order(self, name: str, now_ms: int) -> Push:
        assert self.liquidated is not None
        data = frames.force_order(self.instrument, self.liquidated, now_ms)
        return Push(name, data, "liquidation", frames.counts_as(self.instrument))


def _funding(now_ms: int) -> int:
    return (now_ms // FUNDING_MS + 1) * FUNDING_MS
