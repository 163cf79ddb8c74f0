"""The events that a reader gives: those of `wsadapter.events`, immutable, with the same names and fields.

Each is an instance of its class there, too (mypy does not like an immutable child of a mutable class; msgspec does).
Decimals are the venue's text: ``Decimal(trade.price)`` is exact, ``float(trade.price)`` is fast. The levels of a book
are tuples.
"""

from collections.abc import Mapping
from typing import Final

from wsadapter import events
from wsadapter.events import Event


class Kline(events.Kline, frozen=True, array_like=True, gc=False):  # type: ignore[misc]
    __doc__ = events.Kline.__doc__


class Ticker(events.Ticker, frozen=True, array_like=True, gc=False):  # type: ignore[misc]
    __doc__ = events.Ticker.__doc__


class Depth(events.Depth, frozen=True, array_like=True, gc=False):  # type: ignore[misc]
    __doc__ = events.Depth.__doc__


class Trade(events.Trade, frozen=True, array_like=True, gc=False):  # type: ignore[misc]
    __doc__ = events.Trade.__doc__


class FundingRate(events.FundingRate, frozen=True, array_like=True, gc=False):  # type: ignore[misc]
    __doc__ = events.FundingRate.__doc__


class MarkPrice(events.MarkPrice, frozen=True, array_like=True, gc=False):  # type: ignore[misc]
    __doc__ = events.MarkPrice.__doc__


class Liquidation(events.Liquidation, frozen=True, array_like=True, gc=False):  # type: ignore[misc]
    __doc__ = events.Liquidation.__doc__


class BookTicker(events.BookTicker, frozen=True, array_like=True, gc=False):  # type: ignore[misc]
    __doc__ = events.BookTicker.__doc__


class OpenInterest(events.OpenInterest, frozen=True, array_like=True, gc=False):  # type: ignore[misc]
    __doc__ = events.OpenInterest.__doc__


class Gap(events.Gap, frozen=True, array_like=True, gc=False):  # type: ignore[misc]
    __doc__ = events.Gap.__doc__


class Coverage(events.Coverage, frozen=True, array_like=True, gc=False):  # type: ignore[misc]
    __doc__ = events.Coverage.__doc__


FROZEN: Final[Mapping[type[Event], type[Event]]] = {
    kind.__bases__[0]: kind
    for kind in (
        Kline, Ticker, Depth, Trade, FundingRate, MarkPrice, Liquidation, BookTicker, OpenInterest, Gap, Coverage,
    )
}  # fmt: skip
"""Class of `wsadapter.events` -> the immutable one."""
