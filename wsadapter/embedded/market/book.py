"""A small order book that changes the way a real one is reported.

Both sides are dense: `LEVELS` prices a tick apart, the spread one tick. Every change of a level takes its own update
id; ids grow by irregular steps, as those of an engine with many symbols do. Whoever pushes changes holds a `Changes`,
which collects what moved since its last push, so that streams of different pace and the REST snapshot agree.
"""

import random
from typing import Final

LEVELS: Final = 100


class Changes:
    """What moved since the last push of one stream. ``first_id`` is 0 when nothing did."""

    __slots__ = ("asks", "bids", "first_id", "previous_id")

    def __init__(self, update_id: int) -> None:
        self.previous_id = update_id
        self.first_id = 0
        self.bids: set[int] = set()
        self.asks: set[int] = set()

    def pushed(self, update_id: int) -> None:
        self.previous_id, self.first_id = update_id, 0
        self.bids.clear()
        self.asks.clear()


class Book:
    """Price -> quantity per side; ``update_id`` and ``time_ms`` are those of the last change."""

    def __init__(self, rng: random.Random, price: int, tick: int, lot: int, update_id: int, now_ms: int) -> None:
        self._rng, self._tick, self._lot = rng, tick, lot
        self.update_id, self.time_ms = update_id, now_ms
        self.best_bid = price // tick * tick
        self.best_ask = self.best_bid + tick
        self.bids = {self.best_bid - i * tick: self._quantity() for i in range(LEVELS)}
        self.asks = {self.best_ask + i * tick: self._quantity() for i in range(LEVELS)}
        self._watching: list[Changes] = []

    def watch(self) -> Changes:
        changes = Changes(self.update_id)
        self._watching.append(changes)
        return changes

    def unwatch(self, changes: Changes) -> None:
        self._watching.remove(changes)

    def top(self) -> tuple[int, int, int, int]:
        return self.best_bid, self.bids[self.best_bid], self.best_ask, self.asks[self.best_ask]

    def levels(self, count: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The best levels of both sides, best first."""
        count = min(count, LEVELS)
        bids = range(self.best_bid, self.best_bid - count * self._tick, -self._tick)
        asks = range(self.best_ask, self.best_ask + count * self._tick, self._tick)
        return [(price, self.bids[price]) for price in bids], [(price, self.asks[price]) for price in asks]

    def take(self, seller: bool, now_ms: int) -> tuple[int, int]:
        """A taker sells into the best bid or buys the best ask: price and quantity. It may take the whole level."""
        price = self.best_bid if seller else self.best_ask
        there = self.bids[price] if seller else self.asks[price]
        if there <= 2 or self._rng.random() < 0.15:
            self.move(not seller, now_ms)
            return price, there
        quantity = self._rng.randrange(1, there // 2 + 1)
        self._set(seller, price, there - quantity, now_ms)
        return price, quantity

    def stir(self, up: bool, now_ms: int) -> None:
        """An order comes or goes: mostly a quantity near the top, now and then the price moves."""
        if self._rng.random() < 0.05:
            self.move(up, now_ms)
            return
        distance = min(int(self._rng.expovariate(0.35)), LEVELS - 1) * self._tick
        bid = self._rng.random() < 0.5
        self._set(bid, self.best_bid - distance if bid else self.best_ask + distance, self._quantity(), now_ms)

    def move(self, up: bool, now_ms: int) -> None:
        """Both best prices one tick on: a level goes on each side, a new one comes at its other end."""
        step = self._tick if up else -self._tick
        if up:
            gone_ask, gone_bid = self.best_ask, self.best_bid - (LEVELS - 1) * self._tick
            new_bid, new_ask = self.best_ask, self.best_ask + LEVELS * self._tick
        else:
            gone_bid, gone_ask = self.best_bid, self.best_ask + (LEVELS - 1) * self._tick
            new_ask, new_bid = self.best_bid, self.best_bid - LEVELS * self._tick
        self._set(False, gone_ask, 0, now_ms)
        self._set(True, gone_bid, 0, now_ms)
        self.best_bid += step
        self.best_ask += step
        self._set(True, new_bid, self._quantity(), now_ms)
        self._set(False, new_ask, self._quantity(), now_ms)

    def _quantity(self) -> int:
        return 1 + int(self._rng.expovariate(1) * self._lot)

    def _set(self, bid: bool, price: int, quantity: int, now_ms: int) -> None:
        self.update_id += self._rng.randrange(1, 60)
        self.time_ms = now_ms
        side = self.bids if bid else self.asks
        if quantity:
            side[price] = quantity
        else:
            del side[price]
        for changes in self._watching:
            changes.first_id = changes.first_id or self.update_id
            (changes.bids if bid else changes.asks).add(price)
