"""One socket of a connection, from its dial to its end: its session, its exchange instance and its subscriptions.

A connection has one that is ``current`` and, while it rotates, a ``next`` one beside it; both are made in the same way,
and the hand-over is an assignment. Owned by a `wsadapter.client.connection.Connection`; used on the loop only.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

from wsadapter.client.clock import clock
from wsadapter.client.config import ConnectionConfig
from wsadapter.client.dial import Dialer
from wsadapter.client.reader import ReceiveCount
from wsadapter.client.rotation import Rotation
from wsadapter.client.session import Lost, Session, Timers
from wsadapter.client.subscriptions import SubscriptionState, SubscriptionStates
from wsadapter.client.tap import Tap
from wsadapter.client.terms import Terms
from wsadapter.exchanges.venue import Exchange


class LiveSocket:
    """``on_open`` is called with this socket when requests can be sent."""

    ended: "asyncio.Task[Lost]"
    """The socket's life, from `dial` on."""

    def __init__(
        self,
        exchange: Exchange,
        config: ConnectionConfig,
        tally: ReceiveCount,
        on_open: Callable[["LiveSocket"], object],
        on_read_end: Callable[[], object],
        tap: Tap | None = None,
    ) -> None:
        self.exchange = exchange
        self.subscriptions = SubscriptionStates(exchange.last_receive_ns)
        self.connected_ns = 0
        """Since when it is up, 0 = it is not."""
        self.began = self.opened = time.monotonic()
        """Monotonic: its dial, and when it came up."""
        self.timers = Timers()
        """Of the connection, for this socket; they end with it."""
        self.is_announced = False
        """The venue has said that it will close it."""
        self.leave_for = ""
        """Why another one is to follow it, where the venue said so before it took over."""
        self.answered = False
        """Every subscription had its answer."""
        self._on_open = on_open
        self.session = Session(exchange, config, tally, self._open, on_read_end, tap)

    def dial(self, dialer: Dialer) -> None:
        self.ended = asyncio.ensure_future(dialer.live(self.session))

    def request(self, payloads: Iterable[bytes]) -> None:
        for payload in payloads:
            self.session.request(payload, is_answered=payload not in self.exchange.aside)

    def answer(self, names: Iterable[str], state: SubscriptionState) -> bool:
        """The venue's answer to these subscriptions; whether every request has one now."""
        if not self.subscriptions.answered(names, state):
            return False
        self.answered = True
        self.session.all_answered()
        return True

    @property
    def subscribed(self) -> bool:
        """It is up, and every subscription has had its answer."""
        return self.answered and not self.ended.done()

    @property
    def delivered(self) -> bool:
        """Whether it was up and brought anything."""
        return self.connected_ns != 0 and self.exchange.last_receive_ns != self.subscriptions.at_open

    def end(self) -> None:
        """At once, whatever state it is in."""
        self.timers.clear_all()
        self.session.abort()
        self.ended.cancel()

    def _open(self) -> None:
        self.connected_ns, self.opened = clock.now_ns(), time.monotonic()
        self._on_open(self)


class NextSocket(LiveSocket):
    """Made while another one still delivers. ``rotation`` says when it takes over; from then on it is as any other.
    ``terms``: those of the connection from then on."""

    rotation: Rotation
    terms: Terms

    def end(self) -> None:
        self.rotation.handover.abandon()
        super().end()
