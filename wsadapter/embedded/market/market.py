"""One symbol's market: a random walk with a book, trades, candles, a mark price and liquidations, in market time.

Sans-I/O: `Market.advance` moves it to a moment and returns what the subscribed streams push up to there, in order. It
draws from its own seeded generator and reads no clock. Everything comes from the same trades and the same book, so the
streams and REST never disagree, and no dialect's payload is made here: the streams do that. Within a symbol no two
events of one stream share a sorting key of the tables.
"""

import random
from collections import deque
from typing import Final
from zlib import crc32

from wsadapter.embedded.market.book import Book
from wsadapter.embedded.market.candles import Candle, Candles, open_ms
from wsadapter.embedded.market.instruments import MarketInstrument, text
from wsadapter.embedded.market.streams import AggregateTrade, Liquidated, Mark, MarketStream, Offered, Push

DEALS_KEPT: Final = 20_000
HISTORY_STEPS, HISTORY_MS = 60, 5_000
"""How a market trades before anybody looks, and for how long."""
FUNDING_MS: Final = 8 * 3_600_000
RATE_MS: Final = 10_000
"""How long a funding rate stays what it is."""
CATCH_UP: Final = 1.0
"""Seconds of trading made up for after a stall; the rest of it passed without trades."""
MARK_DIGITS: Final = 8


class Tick:
    """The direction of the last price against the one before: ``same``, and whether the last other one was lower."""

    def __init__(self, price: int) -> None:
        self._price, self.same, self.up = price, True, True

    def move(self, price: int) -> None:
        self.same = price == self._price
        self.up = self.up if self.same else price > self._price
        self._price = price


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
        self.tick = Tick(instrument.price)
        self.liquidated: Liquidated | None = None
        self.streams: dict[str, MarketStream] = {}
        self._next_liquidation_ms = now_ms + 1500
        self._credit = 0.0
        self._unseen: dict[str, Candle] = {}
        """Interval -> candle that closed before anybody could see it."""
        self._late: list[Push] = []
        self._out: list[Push] = []
        self._until_ms = now_ms

    def remember_minute(self) -> None:
        """Trade through the end of the minute before now, which nobody has seen: who subscribes to candles first gets
        that minute's last state at once, as if it had just closed. To be called before anything else."""
        opened = open_ms("1m", self.now_ms)
        self.candles = Candles(opened - 1, self.instrument.price)
        for step in range(HISTORY_STEPS):
            at = opened - HISTORY_MS + HISTORY_MS * step // HISTORY_STEPS
            self._step(at, at)
        self.candles.roll(self.now_ms, lambda interval, candle: self._unseen.update({interval: candle}))

    def subscribe(self, offered: Offered) -> None:
        if offered.name not in self.streams:
            stream = self.streams[offered.name] = offered.make(offered, self)
            if stream.snapshot(self.now_ms) is None:  # one that begins with what there was needs nothing late
                self._tell_unseen(stream)

    def _tell_unseen(self, stream: MarketStream) -> None:
        for interval, candle in tuple(self._unseen.items()):
            if pushes := list(stream.candle_closed(interval, candle, self.now_ms)):
                self._late += pushes
                del self._unseen[interval]

    def unsubscribe(self, name: str) -> None:
        stream = self.streams.pop(name, None)
        if stream:
            stream.close()

    @property
    def subscribed(self) -> list[Offered]:
        return [stream.offered for stream in self.streams.values()]

    def liquidate_soon(self) -> None:
        """Somebody waits for liquidations: the first new one comes soon."""
        self._next_liquidation_ms = min(self._next_liquidation_ms, self.now_ms + 1500)

    def advance(self, now_ms: int) -> list[Push]:
        """Trade until ``now_ms``; what is to be pushed, oldest first."""
        self._out, self._late, self._until_ms = self._late, [], now_ms
        seconds = min((now_ms - self.now_ms) / 1000, CATCH_UP)
        self._credit += self.steps_per_second * seconds * self._rng.uniform(0.5, 1.5)
        steps, before = int(self._credit), self.now_ms
        self._credit -= steps
        for step in range(1, steps + 1):
            at = before + (now_ms - before) * step // steps
            self.candles.roll(at, self._closed)
            self._step(at, now_ms)
        self.now_ms = now_ms
        self.candles.roll(now_ms, self._closed)
        self._liquidate(now_ms)
        for stream in self.streams.values():
            self._out += stream.moved(now_ms)
        return self._out

    def _step(self, at: int, now_ms: int) -> None:
        """One change of the book: a trade, or an order that comes or goes."""
        top, i = self.book.top(), self.instrument
        drift = 0.3 * max(-1.0, min(1.0, (top[0] - i.price) / (i.price * 0.02)))
        if self._rng.random() < 0.4:
            deal = self._deal(self._rng.random() < 0.5 + drift, at)
            for stream in self.streams.values():
                self._out += stream.traded(deal, now_ms)
        else:
            self.book.stir(self._rng.random() < 0.5 - drift, at)
        if self.book.top() != top:
            for stream in self.streams.values():
                self._out += stream.best_changed(at, now_ms)

    def _deal(self, seller: bool, at: int) -> AggregateTrade:
        price, quantity = self.book.take(seller, at)
        parts = min(quantity, self._rng.choice((1, 1, 1, 2, 3)))
        fills = (quantity // parts,) * (parts - 1)
        deal = AggregateTrade(
            self.next_aggregate_id,
            price,
            quantity,
            self.next_trade_id,
            (*fills, quantity - sum(fills)),
            at,
            seller,
            self.book.update_id,
        )
        self.next_aggregate_id += 1
        self.next_trade_id += parts
        self.deals.append(deal)
        self.tick.move(price)
        self.candles.minute.add(price, quantity, deal.first_id, deal.last_id, not seller)
        return deal

    def _closed(self, interval: str, candle: Candle) -> None:
        for stream in self.streams.values():
            self._out += stream.candle_closed(interval, candle, self._until_ms)

    def _liquidate(self, now_ms: int) -> None:
        """At most one a second."""
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

    def open_interest(self) -> int:
        """In units of the quantity: grows within each minute, and is the same at every full one."""
        return self.instrument.lot * 20_000 + self.candles.minute.volume


def _funding(now_ms: int) -> int:
    return (now_ms // FUNDING_MS + 1) * FUNDING_MS
