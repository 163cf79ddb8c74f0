"""A market whose book is known at each moment, and how venues tell it: changes, snapshots on the socket and over REST.

It shares nothing with what builds books: sides are dicts of numbers, sorted when they are looked at.
"""

import random
from decimal import Decimal

from wsadapter.events import Depth, Source, UpdateType

STEP = 100_000_000
Sides = tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]


class Market:
    """``levels``: of each side that the venue's stream keeps; 0: all of them."""

    def __init__(
        self, rng: random.Random, exchange: str, begin_ns: int, levels: int = 0, numbered: bool = True
    ) -> None:
        self._rng, self._exchange, self._levels, self._numbered = rng, exchange, levels, numbered
        self.now_ns = begin_ns
        self._middle = 61_800
        self._sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for _ in range(400):
            self._change_one()
        self._last = 1_000
        self._told: tuple[dict[int, int], dict[int, int]] = self._visible()

    def _change_one(self) -> None:
        side = self._rng.randrange(2)
        price = self._middle + (1 if side else -1) * self._rng.randrange(1, 90)
        if self._rng.random() < 0.3:
            self._sides[side].pop(price, None)
        else:
            self._sides[side][price] = self._rng.randrange(1, 10_000)

    def _visible(self) -> tuple[dict[int, int], dict[int, int]]:
        bids, asks = (dict(sorted(side.items(), reverse=not number)) for number, side in enumerate(self._sides))
        if not self._levels:
            return bids, asks
        return dict([*bids.items()][: self._levels]), dict([*asks.items()][: self._levels])

    def book(self, levels: int | None = None) -> Sides:
        """As it is now, and as the stream has it."""
        bids, asks = (
            [(Decimal(price) / 10, Decimal(quantity) / 1000) for price, quantity in side.items()]
            for side in self._visible()
        )
        return bids[:levels], asks[:levels]

    def _event(
        self,
        kind: UpdateType,
        limit: int,
        sides: tuple[dict[int, int], dict[int, int]],
        first: int | None,
        last: int | None,
        previous: int | None,
        source: Source,
    ) -> Depth:
        prices = [[f"{price / 10:.1f}" for price in side] for side in sides]
        quantities = [[f"{quantity / 1000:.3f}" for quantity in side.values()] for side in sides]
        return Depth(
            self._exchange,
            "BTCUSDT",
            self.now_ns,
            self.now_ns,
            self.now_ns,
            source,
            f"{self._exchange}-0",
            None,
            kind,
            limit,
            first,
            last,
            previous,
            prices[0],
            quantities[0],
            prices[1],
            quantities[1],
        )

    def change(self) -> Depth:
        """What has changed within a step. A window that a level leaves does not say so."""
        self.now_ns += STEP
        self._middle += self._rng.choice((-3, 0, 0, 3))
        for side, sign in ((0, -1), (1, 1)):
            for price in [p for p in self._sides[side] if (p - self._middle) * sign <= 0]:
                del self._sides[side][price]
        for _ in range(self._rng.randrange(1, 12)):
            self._change_one()
        now, before, previous = self._visible(), self._told, self._last
        self._last += self._rng.randrange(1, 9)
        sides: list[dict[int, int]] = []
        for number in range(2):
            changed = {p: q for p, q in now[number].items() if before[number].get(p) != q}
            gone = {p: 0 for p in before[number] if p not in self._sides[number]}
            sides.append(changed | gone)
        self._told = now
        if not self._numbered:
            return self._event(UpdateType.DELTA, 0, (sides[0], sides[1]), None, None, None, Source.WEBSOCKET)
        return self._event(
            UpdateType.DELTA, 0, (sides[0], sides[1]), previous + 1, self._last, previous, Source.WEBSOCKET
        )

    def snapshot(self, limit: int = 0, source: Source = Source.WEBSOCKET) -> Depth:
        """``limit``: what it says of its levels; over REST, so many are told."""
        bids, asks = self._visible()
        if source is Source.REST and limit:
            bids, asks = dict([*bids.items()][:limit]), dict([*asks.items()][:limit])
        last = self._last if self._numbered else None
        return self._event(UpdateType.SNAPSHOT, limit, (bids, asks), None, last, None, source)

    def top(self, levels: int) -> Depth:
        """Of a stream whose books come whole."""
        bids, asks = self._visible()
        best = dict([*bids.items()][:levels]), dict([*asks.items()][:levels])
        return self._event(UpdateType.SNAPSHOT, levels, best, None, self._last, None, Source.WEBSOCKET)
