"""A book that only a checksum proves: kept level by level as the venue's own texts, cut to the levels subscribed to.

For venues that number nothing (`wsadapter.exchanges.venue.Checked`). Pure; one per stream and socket. Venues never
delete a level that dropped out of the depth, so both sides are cut after each change. Texts stay as they came:
checksums are made of digits, trailing zeros included.
"""

import zlib
from bisect import bisect_left
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from wsadapter import native

Level = tuple[str, str]
"""Price and quantity."""


class SideInPython:
    """``sign``: 1 where the lowest price is the best, -1 where the highest is."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._order: list[Decimal] = []
        self._levels: dict[Decimal, Level] = {}

    def __len__(self) -> int:
        return len(self._order)

    def change(self, price: str, quantity: str) -> None:
        """Quantity 0 removes the level."""
        key = self._sign * Decimal(price)
        is_there = key in self._levels
        if quantity.strip("0.") == "":
            if is_there:
                del self._levels[key]
                del self._order[bisect_left(self._order, key)]
            return
        self._levels[key] = price, quantity
        if not is_there:
            self._order.insert(bisect_left(self._order, key), key)

    def cut(self, levels: int) -> None:
        for key in self._order[levels:]:
            del self._levels[key]
        del self._order[levels:]

    def best(self, levels: int) -> list[Level]:
        """The best first."""
        return [self._levels[key] for key in self._order[:levels]]

    def digits_crc(self, levels: int, crc: int) -> int:
        """CRC32, going on from ``crc``, of the digits of so many best levels: no dots, no leading zeros."""
        texts = (text.replace(".", "").lstrip("0") for level in self.best(levels) for text in level)
        return zlib.crc32("".join(texts).encode(), crc)


_native: Final = native.extension
BookSide: Final[Any] = SideInPython if _native is None else _native.BookSide


class CheckedBook:
    """``levels``: of each side that the venue keeps for this subscription."""

    __slots__ = ("asks", "bids", "levels")

    def __init__(self, levels: int) -> None:
        self.levels = levels
        self.bids, self.asks = BookSide(-1), BookSide(1)

    def change(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """One message's changes, in its order; a price may come twice."""
        for side, changes in ((self.bids, bids), (self.asks, asks)):
            for price, quantity in changes:
                side.change(price, quantity)
            side.cut(self.levels)


class DigitsChecksum(Struct, frozen=True):
    """Of the digits of so many best asks, then of as many best bids."""

    best: int

    def __call__(self, book: CheckedBook) -> int:
        crc: int = book.bids.digits_crc(self.best, book.asks.digits_crc(self.best, 0))
        return crc
