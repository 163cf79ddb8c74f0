"""When does the next socket of a connection take over from the current one? Pure: told the time and what both have
received, and whether the streams of the two overlap (`wsadapter.client.handover`).

A connection exchanges its socket because its time is over, because other subscriptions are wanted, or because some of
its streams have died. The next one is ready when every stream of both that speaks on the current socket has spoken on
the next one too, and each series of the next was reached by the current one, but for those of dead streams and of new
ones: nothing is missed then, and no gap is recorded. A stream that answers each subscription (`Cadence.reply`) must
have done so, however quiet it is: one that has not is forgotten there. One that is not ready within `PATIENCE_SECONDS`
is of no use, nor one for dead streams when they speak on the current socket again: that stays, and another attempt
follows.
"""

from collections.abc import Callable, Collection
from typing import Final, Literal

from wsadapter.backoff import Backoff
from wsadapter.client.handover import Handover
from wsadapter.exchanges.venue import Exchange

SPREAD: Final = 0.1
"""Sockets rotate in the last tenth of their time, so that those made together do not go together."""
SETTLE_SECONDS: Final = 10.0
"""Streams that have a rhythm get so long for their first word on the next socket."""
PATIENCE_SECONDS: Final = 30.0
"""From the last acknowledgement on."""
RETRY_SECONDS: Final = 300.0
CHANGE_BACKOFF: Final = Backoff(5.0, RETRY_SECONDS)
"""Where other subscriptions are wanted."""
CHECK_SECONDS: Final = 0.1
AFTER_SECONDS: Final = 30.0
"""How long copies are looked for behind a hand-over: how far the new socket may lag behind the old one."""
HOURS: Final = 23 / 24
"""The part of a venue's longest life that we use."""

Reason = Literal["rotation", "stale"]
"""Why a socket is exchanged: as planned, or for streams that are silent on it."""


def due_in(rotate_after: float, max_life: float, dice: Callable[[], float]) -> float | None:
    """Seconds from a socket's begin to its rotation; None where none is needed. ``rotate_after`` 0: by the venue."""
    longest = rotate_after or max_life * HOURS
    return longest * (1.0 - SPREAD * dice()) if longest else None


class Rotation:
    """From one exchange instance to the next of the connection. ``expected``: streams that go well on the current
    socket and are acknowledged on the next. ``dead``: those that are silent on the current socket, for which all this
    is done, none when it is planned; ``trial``: they may be merely quiet, one of them must speak on the next one first.
    All times are monotonic seconds."""

    def __init__(
        self,
        current: Exchange,
        successor: Exchange,
        handover: Handover,
        expected: Callable[[], Collection[str]],
        dead: Collection[str] = (),
        trial: bool = False,
    ) -> None:
        self.handover = handover
        self.reason: Reason = "stale" if dead else "rotation"
        self._current, self._successor, self._trial = current, successor, trial
        self._expected = expected
        self._dead = {name: current.last_receive_ns[name] for name in dead}
        """With the time of their last word on the current socket."""
        self._answered_at: float | None = None
        self._answered_ns = 0

    def answered(self, now: float, now_ns: int) -> None:
        """Every subscription of the next socket has its answer."""
        self._answered_at, self._answered_ns = now, now_ns

    def plan(self) -> None:
        """The socket is to be exchanged whatever the dead streams do."""
        self.reason, self._trial = "rotation", False

    def ready(self, now: float) -> bool:
        """Whether the current socket can go without a hole, and is to go."""
        if not self._settled(now) or self._owing():
            return False
        dead = self._still_dead()
        spoke = any(self._successor.last_receive_ns[name] for name in dead)
        return self.reason == "rotation" or (spoke if self._trial else bool(dead))

    def overlaps(self, now: float) -> bool:
        """Whether the current socket, gone before its time, has left nothing out between them."""
        return self._settled(now) and not self.handover.unproven

    def useless(self, now: float) -> str:
        """Why the next socket will never be ready; empty when it may be yet."""
        if self.reason == "stale" and not self._still_dead():
            return "the streams speak again"
        if self.handover.overflowed:
            return "the old socket lags too far behind"
        if self._answered_at is not None and now - self._answered_at >= PATIENCE_SECONDS:
            silent = self._silent() or self._owing() or (self._still_dead() if self._trial else [])
            return f"silent on it: {' '.join(silent[:5])}" if silent else ""
        return ""

    def _settled(self, now: float) -> bool:
        if self._answered_at is None or self._silent():
            return False
        waited = now - self._answered_at
        if waited >= PATIENCE_SECONDS:
            return True  # a series that the current socket does not bring waits for nothing
        settling = waited < SETTLE_SECONDS and not self.handover.overflowed  # of mute streams more than can be held
        if settling and not all(self._successor.last_receive_ns[name] for name in self._rhythmic()):
            return False
        return not self.handover.unproven

    def _silent(self) -> list[str]:
        """Streams that have spoken on the current socket since the next one has its answers, and not on the next."""
        received = self._successor.last_receive_ns
        spoken = (name for name, at in self._current.last_receive_ns.items() if at > self._answered_ns)
        return [name for name in spoken if received.get(name) == 0]

    def _owing(self) -> list[str]:
        """Streams that answer each subscription and have not done so on the next socket."""
        received = self._successor.last_receive_ns
        owing = [name for name, cadence in self._successor.cadences.items() if cadence.reply and not received[name]]
        expected = self._expected() if owing else ()
        return [name for name in owing if name in expected]

    def _still_dead(self) -> list[str]:
        return [name for name, at in self._dead.items() if self._current.last_receive_ns[name] == at]

    def _rhythmic(self) -> list[str]:
        received = self._current.last_receive_ns
        return [name for name in self._current.cadences if received[name] and name in self._successor.last_receive_ns]
