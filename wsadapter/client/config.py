"""What a client is told: the settings of one feed for a program of its own.

`ConnectionConfig` is the `[[feed]]` of `wsadapter.config.model` plus the limits that an operator never turns. Checked
by the exchange module (names) and here (numbers); both raise `ConfigError` with every error.
"""

from collections.abc import Sequence
from typing import Final, Self, cast
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from wsadapter.config.model import DEFAULT_EXCHANGE, DEFAULT_STREAMS, SocketConfig
from wsadapter.config.types import loopback
from wsadapter.errors import ConfigError
from wsadapter.exchanges.venue import ConnectionPlan, FeedSettings

MIB: Final = 1024 * 1024


class StreamConfig(Struct, frozen=True):
    """One stream word with settings of its own; None or empty = those of the `ConnectionConfig`."""

    stream: str
    intervals: tuple[str, ...] = ()
    depth_levels: int | None = None
    depth_speed: str | None = None


class ConnectionConfig(SocketConfig, frozen=True):
    """Seconds and bytes. ``streams``: words (kline ticker depth trade raw_trade funding_rate mark_price liquidation
    book_ticker) or `StreamConfig`. ``ws_url`` replaces the venue's base address. ``reconnect_backoff`` is the bound of
    the first wait, doubled up to ``reconnect_backoff_max``. ``max_reconnects``: failures in a row before the client
    gives up, 0 = never. ``ack_timeout`` 0 = the venue's."""

    symbols: Sequence[str]
    exchange: str = DEFAULT_EXCHANGE
    streams: Sequence[str | StreamConfig] = DEFAULT_STREAMS
    intervals: Sequence[str] = ("1m",)
    depth_levels: int = 20
    depth_speed: str = "100ms"
    name: str = ""
    testnet: bool = False
    ws_url: str = ""
    reconnect_backoff_max: float = 30.0
    pong_timeout: float = 10.0
    connect_timeout: float = 10.0
    ack_timeout: float = 0.0
    max_message_size: int = 32 * MIB

    @classmethod
    def of_plan(cls, plan: ConnectionPlan, socket: SocketConfig) -> Self:
        """For one connection that is planned already."""
        kept = {name: getattr(socket, name) for name in SocketConfig.__struct_fields__}
        return cls(symbols=plan.symbols, exchange=plan.exchange, **kept)

    def feed(self) -> FeedSettings:
        """What the exchange module plans from, the `StreamConfig`s merged into one; raises `ConfigError`."""
        self._check()
        detailed = [s for s in self.streams if isinstance(s, StreamConfig)]
        merged = replace(
            self,
            name=self.name or self.exchange,
            symbols=tuple(self.symbols),
            streams=tuple(s.stream if isinstance(s, StreamConfig) else s for s in self.streams),
            intervals=tuple(code for s in detailed for code in s.intervals) or tuple(self.intervals),
            depth_levels=next((s.depth_levels for s in detailed if s.depth_levels is not None), self.depth_levels),
            depth_speed=next((s.depth_speed for s in detailed if s.depth_speed is not None), self.depth_speed),
        )
        return cast(FeedSettings, merged)  # its streams are words now

    def _check(self) -> None:
        errors = [
            (name, "must be a list of names, not one text")
            for name, value in (("symbols", self.symbols), ("streams", self.streams), ("intervals", self.intervals))
            if isinstance(value, str)
        ]
        if self.ws_url and (refused := _refused_url(self.ws_url)):
            errors.append(("ws_url", refused))
        for name in ("reconnect_backoff", "reconnect_backoff_max", "ping_interval", "pong_timeout", "connect_timeout"):
            if not 0 < getattr(self, name) <= 86_400:
                errors.append((name, "must be more than 0 and at most a day of seconds"))
        for name in ("ack_timeout", "rotate_after"):
            if not 0 <= getattr(self, name) <= 86_400:
                errors.append((name, "must be 0 to a day of seconds"))
        if self.max_reconnects < 0:
            errors.append(("max_reconnects", "must not be negative (0 = no limit)"))
        for name in ("max_message_size", "read_buffer_size", "write_buffer_size"):
            if not 1024 <= getattr(self, name) <= 1024 * MIB:
                errors.append((name, "must be 1 KiB to 1 GiB"))
        if errors:
            raise ConfigError(errors)


def _refused_url(url: str) -> str:
    """Why not, or empty."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0:
        return "must be wss://host or wss://host:port (ws:// on loopback)"
    if parts.scheme == "ws" and not loopback(parts.hostname):
        return "ws:// is for loopback only, use wss://"
    return ""
