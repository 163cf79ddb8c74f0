"""A feed's live events for a program of its own: no supervisor, no ring, no Kafka.

`Client` runs the connections that a `ConnectionConfig` needs (one per class of streams) on the caller's event loop,
asyncio's or uvloop, and calls the handler. See docs/client.md. The ingest role is a `Client` of one connection whose
handler writes to a ring.
"""

import asyncio
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from wsadapter.client.config import ConnectionConfig, StreamConfig
from wsadapter.client.connect_limit import ConnectLimiter, LocalLimiter
from wsadapter.client.connection import Connection, GivenUp
from wsadapter.client.dial import TrustStore
from wsadapter.client.handler import BoundHandler, EventHandler
from wsadapter.client.subscriptions import SubscriptionState
from wsadapter.errors import ConfigError
from wsadapter.events.gaps import GapCause
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import ConnectionPlan

__all__: Final = [
    "Client",
    "ClientStats",
    "ConnectionConfig",
    "EventHandler",
    "GivenUp",
    "StreamConfig",
    "SubscriptionState",
]


class ClientStats(Struct, frozen=True):
    """``connected_since``: since when every connection is up, None while one is not. ``reconnect_count``: connections
    lost and attempts failed. ``error_count``: those, frames without an event and refused subscriptions.
    ``active_streams``: subscriptions acknowledged on a connection that is up."""

    connected_since: datetime | None
    reconnect_count: int
    messages_received: int
    error_count: int
    active_streams: int


class Client:
    """Create it inside a running event loop or outside; use it from one loop only. ``plan``: this connection only, in
    place of all that the config needs. ``attempts``: who grants its dials; without it, it keeps to the venue's limit by
    itself. ``last_event_ns``: receive time of the last event that an earlier process had, 0 = there was none: the first
    gap is then the time since (of cause ``missed_by``), else that of the first dial (`connect`)."""

    def __init__(
        self,
        config: ConnectionConfig,
        handler: object,
        plan: ConnectionPlan | None = None,
        attempts: ConnectLimiter | None = None,
        last_event_ns: int = 0,
        missed_by: GapCause = GapCause.RESTART,
    ) -> None:
        hooks = BoundHandler(handler)
        feed = config.feed()
        plans = [plan] if plan is not None else load(config.exchange).plan(feed)
        if not plans:
            raise ConfigError([("streams", "none of these is a WebSocket stream")])
        # reading the certificate store takes a third of a second
        trust = TrustStore() if any(each.url.startswith("wss:") for each in plans) else None
        granting = attempts or LocalLimiter(load(config.exchange).attempt_limit)
        self.connections = tuple(
            Connection(each, config, hooks, trust, granting, last_event_ns, missed_by) for each in plans
        )
        requests: dict[str, LocalLimiter] = {}
        for connection in self.connections:
            if (limit := connection.exchange.message_limit) is not None:
                netloc = urlsplit(connection.plan.url).netloc
                connection.dialer.requests = requests.setdefault(netloc, LocalLimiter(limit))
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        """Connect and subscribe; returns when every subscription has its answer. It retries like `start` does, so bound
        it with `asyncio.timeout` where that is too patient. Events flow from here on."""
        self._begin()
        ready = asyncio.create_task(self._all_subscribed())
        try:
            await asyncio.wait((ready, *self._tasks), return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                await self.start()  # a connection ended: say why
        finally:
            ready.cancel()

    async def start(self) -> None:
        """Run until `stop`. Raises what a handler raised, or `GivenUp`; then, and when cancelled, all connections are
        dropped."""
        self._begin()
        try:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in self._tasks:
                if task.done():
                    task.result()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Say CLOSE on every connection, deliver what the venue sent before its own CLOSE (2 s at most), and return.
        A stopped client is not started again."""
        for connection in self.connections:
            connection.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def get_stats(self) -> ClientStats:
        up = [connection.connected_ns for connection in self.connections]
        return ClientStats(
            datetime.fromtimestamp(max(up) / 1e9, UTC) if all(up) else None,
            sum(connection.losses for connection in self.connections),
            sum(connection.tally.messages for connection in self.connections),
            sum(connection.error_count for connection in self.connections),
            sum(
                state in (SubscriptionState.ACKED, SubscriptionState.LIVE)
                for connection in self.connections
                if connection.connected_ns
                for state, _ in connection.subscriptions().values()
            ),
        )

    async def _all_subscribed(self) -> None:
        for connection in self.connections:
            await connection.subscribed.wait()

    def _begin(self) -> None:
        if not self._tasks:
            self._tasks = [asyncio.create_task(connection.run()) for connection in self.connections]
