"""The change of a connection's socket, because its time is over or because some of its streams have died: the next
one is up, acknowledged and speaks before the old one is told CLOSE. What both bring is delivered once
(`wsadapter.client.handover`); nothing is missed, and no gap is recorded.

A `NextSocket` is that next socket, with an exchange instance of its own, from its dial until the connection goes on
with it. It is ready when every stream that speaks on the old socket has spoken on the new one too, and each line of
the new one was reached by the old one, but for those of dead streams. One that is not ready within `PATIENCE_SECONDS`
is of no use, nor one for dead streams when they speak on the old socket again: that stays, and another attempt
follows. Owned by a `Connection`, one at a time; runs on the loop.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final, Literal

from wsadapter.client.clock import clock
from wsadapter.client.config import ConnectionConfig
from wsadapter.client.handler import BoundHandler
from wsadapter.client.handover import Handover
from wsadapter.client.reader import ReceiveCount
from wsadapter.client.session import Lost, Session
from wsadapter.client.subscriptions import Subscriptions, SubscriptionState
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import Acked, ConnectionPlan, Exchange, Refused

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
Reason = Literal["rotation", "stale"]
"""Why a socket is exchanged: as planned, or for streams that are silent on it."""


def due_in(rotate_after: float, max_life: float, dice: Callable[[], float]) -> float | None:
    """Seconds from a socket's begin to its rotation; None where none is needed. ``rotate_after`` 0: by the venue."""
    longest = rotate_after or max_life * HOURS
    return longest * (1.0 - SPREAD * dice()) if longest else None


class NextSocket:
    """``current``: the instance whose socket is still delivered. ``dead``: the streams that are silent there, for which
    all this is done, none when it is planned; ``trial``: they may be merely quiet, one of them must speak here first.
    `ended` is the socket's whole life, begun by the connection."""

    ended: "asyncio.Task[Lost]"

    def __init__(
        self,
        plan: ConnectionPlan,
        current: Exchange,
        hooks: BoundHandler,
        config: ConnectionConfig,
        tally: ReceiveCount,
        copies: Counter[str],
        dead: Collection[str] = (),
        trial: bool = False,
    ) -> None:
        self.exchange: Exchange = load(plan.exchange)(plan)
        mute = {(one.stream, one.symbol, one.interval) for one in plan.subscriptions if one.name in dead}
        self.overlap = Handover(hooks.events, current.reached, self.exchange.joined, copies, mute)
        self.reason: Reason = "stale" if dead else "rotation"
        self._dead = {name: current.last_receive_ns[name] for name in dead}
        """With the time of their last word on the old socket."""
        self.subscriptions = Subscriptions(self.exchange.last_receive_ns)
        self.began = time.monotonic()
        self.connected_ns = 0
        self._trial = trial
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
        self.session = Session(self.exchange, config, tally, events | answers, self._on_open, hooks.on_read_end)

    @property
    def subscribed(self) -> bool:
        """It is up, and every subscription has its answer."""
        return self._answered_at is not None and not self.ended.done()

    def ready(self) -> bool:
        """Whether the old socket can go without a hole, and is to go."""
        return self._settled() and self._better()

    def overlaps(self) -> bool:
        """Whether the old socket, gone before its time, has left nothing out between them."""
        return self._settled() and not self.overlap.unproven

    @property
    def asked_to_wait(self) -> float:
        """Seconds that the venue asked for before another attempt."""
        return self.ended.result().asked_to_wait if self.ended.done() else 0.0

    def useless(self) -> str:
        """Why it will never be ready; empty when it may be yet."""
        if self.ended.done():
            return f"it ended: {self.ended.result().reason}"
        if self.reason == "stale" and not self._still_dead():
            return "the streams speak again"
        if self.overlap.overflowed:
            return "the old socket lags too far behind"
        if self._answered_at is not None and time.monotonic() - self._answered_at >= PATIENCE_SECONDS:
            silent = self._silent() or (self._still_dead() if self._trial else [])
            return f"silent on it: {' '.join(silent[:5])}" if silent else ""
        return ""

    def plan(self) -> None:
        """The socket is to be exchanged whatever the dead streams do."""
        self.reason, self._trial = "rotation", False

    def drop(self) -> None:
        self.overlap.abandon()
        self.session.abort()
        self.ended.cancel()

    def _better(self) -> bool:
        if self.reason == "rotation":
            return True
        dead = self._still_dead()
        return bool(dead) and (not self._trial or any(self.exchange.last_receive_ns[name] for name in dead))

    def _settled(self) -> bool:
        if self._answered_at is None or self.ended.done() or self._silent():
            return False
        waited = time.monotonic() - self._answered_at
        if waited >= PATIENCE_SECONDS:
            return True  # a line that the old socket does not bring waits for nothing
        settling = waited < SETTLE_SECONDS and not self.overlap.overflowed  # of mute streams more than can be held
        if settling and not all(self.exchange.last_receive_ns[name] for name in self._rhythmic()):
            return False
        return not self.overlap.unproven

    def _silent(self) -> list[str]:
        """Streams that have spoken on the old socket since the new one has its answers, and not on the new one."""
        mine = self.exchange.last_receive_ns
        return [n for n, at in self._current.last_receive_ns.items() if at > self._answered_ns and not mine[n]]

    def _still_dead(self) -> list[str]:
        return [name for name, at in self._dead.items() if self._current.last_receive_ns[name] == at]

    def _rhythmic(self) -> list[str]:
        received = self._current.last_receive_ns
        return [name for name in self._current.cadences if received[name]]

    def _on_open(self, session: Session) -> None:
        self.connected_ns = clock.now_ns()
        for payload in self.exchange.open():
            session.request(payload)
        self.exchange.follow(self._current)

    def _on_answer(self, names: tuple[str, ...], state: SubscriptionState) -> None:
        if self.subscriptions.answered(names, state):
            self.session.settled()
            self._answered_at, self._answered_ns = time.monotonic(), clock.now_ns()
