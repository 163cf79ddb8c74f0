"""A handler that keeps everything, and a client configuration with short limits."""

from typing import Any

from client.loopback_ws import Loopback

from wsadapter.client.client import ConnectionConfig
from wsadapter.events import Trade


class Recording:
    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.errors: list[tuple[str, str]] = []
        self.lost: list[str] = []
        self.reads = 0
        self.connected = 0
        self.subscribed = 0

    @property
    def numbers(self) -> list[int | None]:
        return [trade.trade_number for trade in self.trades]

    def on_trade(self, event: Trade) -> None:
        self.trades.append(event)

    def on_error(self, kind: str, detail: str) -> None:
        self.errors.append((kind, detail))

    def on_read_end(self) -> None:
        self.reads += 1

    def on_connected(self, at_ns: int) -> None:
        self.connected += 1

    def on_subscribed(self, at_ns: int) -> None:
        self.subscribed += 1

    def on_disconnected(self, reason: str, at_ns: int) -> None:
        self.lost.append(reason)


def config(venue: Loopback, **changes: Any) -> ConnectionConfig:
    """One connection (trades), quick to retry, patient in everything that a test does not set."""
    settings: dict[str, Any] = {
        "symbols": ["BTCUSDT"],
        "streams": ["trade"],
        "ws_url": venue.url,
        "reconnect_backoff": 0.01,
        "reconnect_backoff_max": 0.02,
        **changes,
    }
    return ConnectionConfig(**settings)
