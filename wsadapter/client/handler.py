"""Who gets the events: the handler's methods, looked up once.

`EventHandler` names all of them; a handler has those that it cares about, and what it lacks is dropped. They are plain
functions called from the socket's read callback, in the venue's order: a slow one delays the connection, and one that
raises ends the client. Owns nothing.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from wsadapter.events import (
    BookTicker,
    Depth,
    Event,
    FundingRate,
    Gap,
    Kline,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Ticker,
    Trade,
)


class EventHandler(Protocol):
    """All methods are optional."""

    def on_kline(self, event: Kline) -> None: ...
    def on_ticker(self, event: Ticker) -> None: ...
    def on_depth(self, event: Depth) -> None: ...
    def on_trade(self, event: Trade) -> None: ...
    def on_funding_rate(self, event: FundingRate) -> None: ...
    def on_mark_price(self, event: MarkPrice) -> None: ...
    def on_liquidation(self, event: Liquidation) -> None: ...
    def on_book_ticker(self, event: BookTicker) -> None: ...
    def on_open_interest(self, event: OpenInterest) -> None: ...
    def on_gap(self, event: Gap) -> None: ...

    def on_error(self, kind: str, detail: str) -> None:
        """A frame (or an element of one) gave no event, see `wsadapter.exchanges.venue.Bad` for the kinds; or kind
        "refused": the venue refused a subscription."""

    def on_read_end(self) -> None:
        """After the last event of each socket read."""

    def on_connected(self, at_ns: int) -> None:
        """A socket is up; subscriptions are being sent."""

    def on_subscribed(self, at_ns: int) -> None:
        """Every subscription of that socket is acknowledged (or refused)."""

    def on_disconnected(self, reason: str, at_ns: int) -> None:
        """A socket ended or an attempt to connect failed; see `wsadapter.metrics.RECONNECT_REASONS`, and "stopped"
        after `Client.stop`."""


METHODS: Final[Mapping[type[Event], str]] = {
    Kline: "on_kline",
    Ticker: "on_ticker",
    Depth: "on_depth",
    Trade: "on_trade",
    FundingRate: "on_funding_rate",
    MarkPrice: "on_mark_price",
    Liquidation: "on_liquidation",
    BookTicker: "on_book_ticker",
    OpenInterest: "on_open_interest",
    Gap: "on_gap",
}


def _ignore(*_: object) -> None:
    """Stands in for the hooks that a handler does not have."""


class BoundHandler:
    """A handler's methods. ``events`` has only those that exist."""

    def __init__(self, handler: object) -> None:
        self.events: dict[type, Callable[[Any], object]] = {
            event: method for event, name in METHODS.items() if (method := _method(handler, name)) is not None
        }
        self.on_error = _method(handler, "on_error") or _ignore
        self.on_read_end = _method(handler, "on_read_end") or _ignore
        self.on_connected = _method(handler, "on_connected") or _ignore
        self.on_subscribed = _method(handler, "on_subscribed") or _ignore
        self.on_disconnected = _method(handler, "on_disconnected") or _ignore


def _method(handler: object, name: str) -> Callable[..., object] | None:
    method = getattr(handler, name, None)
    if inspect.iscoroutinefunction(method):
        # called and never awaited, it would drop every event without a word
        raise TypeError(f"{type(handler).__name__}.{name} is async: handlers are plain functions")
    return method if callable(method) else None
