"""The planned change of a connection's socket: the next one is up, acknowledged and speaks before the old one is told
CLOSE. What both bring is delivered once (`wsadapter.overlap`); nothing is missed, and no gap is recorded.

A `Successor` is that next socket, with an exchange instance of its own, from its dial until the connection goes on with
it. It is ready when every stream that speaks on the old socket has spoken on the new one too, and each line of the new
one was reached by the old one. One that is not ready within `PATIENCE_SECONDS` is of no use: the old socket stays, and
another attempt follows. Owned by a `Connection`, one at a time; runs on the loop.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from wsadapter.exchanges import load
from wsadapter.exchanges.base import Acked, ConnectionPlan, Exchange, Refused
from wsadapter.handler import Hooks
from wsadapter.overlap import Overlap
from wsadapter.reading import Tally
from wsadapter.retries import asked_to_wait
from wsadapter.session import Lost, Rules, Session
from wsadapter.subscriptions import Subscriptions, SubscriptionState

SPREAD: Final = 0.1
"""Sockets rotate in the last tenth of their time, so that those made together do not go together."""
SETTLE_SECONDS: Final = 10.0
"""Streams that have a rhythm get so long for their first word on the new socket."""
PATIENCE_SECONDS: Final = 30.0
"""From the last acknowledgement on."""
RETRY_SECONDS: Final = 300.0
LOOK_SECONDS: Final = 0.1
AFTER_SECONDS: Final = 30.0
"""How long copies are looked for behind a hand-over: how far the new socket may lag behind the old one."""
HOURS: Final = 23 / 24
"""The part of a venue's longest life that we use."""

Dispatch = dict[type, Callable[[Any], object]]


def due_in(rotate_after: float, max_life: float, dice: Callable[[], float]) -> float | None:
    """Seconds from a socket's begin to its rotation; None where none is needed. ``rotate_after`` 0: by the venue."""
    longest = rotate_after or max_life * HOURS
    return longest * (1.0 - SPREAD * dice()) if longest else None


class Successor:
    """``current``: the instance whose socket is still delivered. `ended` is the socket's whole life, begun by the
    connection."""

    ended: "asyncio.Task[Lost]"

    def __init__(
        self,
        plan: ConnectionPlan,
        current: Exchange,
        hooks: Hooks,
        rules: Rules,
        tally: Tally,
        copies: Counter[str],
    ) -> None:
        self.exchange: Exchange = load(plan.exchange)(plan)
        self.overlap = Overlap(hooks.events, current.reached, self.exchange.skipped, copies)
        self.subscriptions = Subscriptions(self.exchange.last_receive_ns)
        self.began = time.monotonic()
        self.connected_ns = 0
        self._current = current
        self._answered_at: float | None = None
        self._answered_ns = 0
        events: Dispatch = dict.fromkeys(hooks.events, self.overlap.second)
        self.events = events
        """Dispatch of the events, also behind the hand-over."""
        answers: Dispatch = {
            Acked: lambda item: self._on_answer(item.names, SubscriptionState.ACKED),
            Refused: lambda item: self._on_answer(item.names, SubscriptionState.REFUSED),
        }
        self.session = Session(self.exchange, rules, tally, events | answers, self._on_open, hooks.on_read_end)

    @property
    def subscribed(self) -> bool:
        """It is up, and every subscription has its answer."""
        return self._answered_at is not None and not self.ended.done()

    def ready(self) -> bool:
        """Whether the old socket can go without a hole."""
        if self._answered_at is None or self.ended.done() or self._silent():
            return False
        waited = time.monotonic() - self._answered_at
        if waited >= PATIENCE_SECONDS:
            return True  # a line that the old socket does not bring waits for nothing
        if waited < SETTLE_SECONDS and not all(self.exchange.last_receive_ns[name] for name in self._rhythmic()):
            return False
        return not self.overlap.unproven

    def overlaps(self) -> bool:
        """Whether the old socket, gone before its time, has left nothing out between them."""
        return self.ready() and not self.overlap.unproven

    @property
    def asked_to_wait(self) -> float:
        """Seconds that the venue asked for before another attempt."""
        return asked_to_wait(self.ended.result()) if self.ended.done() else 0.0

    def useless(self) -> str:
        """Why it will never be ready; empty when it may be yet."""
        if self.ended.done():
            return f"it ended: {self.ended.result().reason}"
        if self.overlap.overflowed:
            return "the old socket lags too far behind"
        if self._answered_at is not None and time.monotonic() - self._answered_at >= PATIENCE_SECONDS:
            return f"silent on it: {' '.join(self._silent()[:5])}" if self._silent() else ""
        return ""

    def drop(self) -> None:
        self.overlap.abandon()
        self.session.abort()
        self.ended.cancel()

    def _silent(self) -> list[str]:
        """Streams that have spoken on the old socket since the new one has its answers, and not on the new one."""
        mine = self.exchange.last_receive_ns
        return [n for n, at in self._current.last_receive_ns.items() if at > self._answered_ns and not mine[n]]

    def _rhythmic(self) -> list[str]:
        received = self._current.last_receive_ns
        return [name for name in self._current.cadences if received[name]]

    def _on_open(self, session: Session) -> None:
        self.connected_ns = time.time_ns()
        for payload in self.exchange.open():
            session.request(payload)
        self.exchange.follow(self._current)

    def _on_answer(self, names: tuple[str, ...], state: SubscriptionState) -> None:
        if self.subscriptions.answered(names, state):
            self.session.settled()
            self._answered_at, self._answered_ns = time.monotonic(), time.time_ns()
