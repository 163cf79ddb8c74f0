"""When silence is death: the ping policy of a connection. Pure: told the time and the last read, it says what to do.

No frame for the ping interval: ping. Nothing after that, not even a pong, for the reply timeout: dead. Any frame is a
sign of life. Before the verdict there is one short grace: if this process itself slept, its socket is read first.
"""

from enum import Enum, auto
from typing import Final

GRACE_SECONDS: Final = 0.1


class Action(Enum):
    WAIT = auto()
    PING = auto()
    DEAD = auto()


class Keepalive:
    """All times in seconds of one monotonic clock."""

    def __init__(self, ping_interval: float, pong_timeout: float) -> None:
        self._ping_interval, self._pong_timeout = ping_interval, pong_timeout
        self._asked_at: float | None = None
        self._in_grace = False

    def look(self, now: float, last_read: float) -> tuple[Action, float]:
        """What to do now, and in how many seconds to look again."""
        if self._asked_at is None or last_read >= self._asked_at:
            self._asked_at, self._in_grace = None, False
            left = last_read + self._ping_interval - now
            if left > 0:
                return Action.WAIT, left
            self._asked_at = now
            return Action.PING, min(self._pong_timeout, self._ping_interval)
        left = self._asked_at + self._pong_timeout - now
        if left > 0:
            # an answer begins the next interval: with a reply timeout longer than that, look for it now and then
            return Action.WAIT, min(left, self._ping_interval / 4)
        if not self._in_grace:
            self._in_grace = True
            return Action.WAIT, GRACE_SECONDS
        return Action.DEAD, 0.0
