"""The rules of WebSocket that picows leaves to its user. Pure.

Fragments: picows passes each frame up as it comes, checks no order and joins nothing. What comes out of `Fragments` is
one whole message of at most ``max_size`` bytes, or `Violation`.

Keepalive, told the time and the last read: no frame for the ping interval: ping. Nothing after that, not even a pong,
for the reply timeout: dead. Any frame is a sign of life. Before the verdict there is one short grace: if this process
itself slept, its socket is read first.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

GRACE_SECONDS: Final = 0.1


class Violation(Exception):
    """The server broke the protocol; ``reason`` is protocol or oversize. The session cannot be trusted any further."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Fragments:
    """At most one unfinished message."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._parts = bytearray()
        self._is_text = True
        self.unfinished = False
        """A plain attribute: it is read for every frame."""

    def first(self, is_text: bool, fin: bool, payload: Callable[[], bytes]) -> tuple[bytes, bool] | None:
        """A TEXT or BINARY frame: (message, is it text) when it is whole."""
        if self.unfinished:
            raise Violation("protocol", "a message begins inside another")
        if fin:
            return payload(), is_text
        self._parts, self._is_text, self.unfinished = bytearray(payload()), is_text, True
        return None

    def next(self, fin: bool, size: int, payload: Callable[[], bytes]) -> tuple[bytes, bool] | None:
        """A CONTINUATION frame; ``size`` is judged before ``payload`` is copied."""
        if not self.unfinished:
            raise Violation("protocol", "a continuation of nothing")
        if len(self._parts) + size > self._max_size:
            raise Violation("oversize", "the fragments of one message exceed the limit")
        self._parts += payload()
        if not fin:
            return None
        whole, self._parts, self.unfinished = bytes(self._parts), bytearray(), False
        return whole, self._is_text


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

    def check(self, now: float, last_read: float) -> tuple[Action, float]:
        """What to do now, and in how many seconds to check again."""
        if self._asked_at is None or last_read >= self._asked_at:
            self._asked_at, self._in_grace = None, False
            remaining = last_read + self._ping_interval - now
            if remaining > 0:
                return Action.WAIT, remaining
            self._asked_at = now
            return Action.PING, min(self._pong_timeout, self._ping_interval)
        remaining = self._asked_at + self._pong_timeout - now
        if remaining > 0:
            # an answer begins the next interval: with a reply timeout longer than that, look for it now and then
            return Action.WAIT, min(remaining, self._ping_interval / 4)
        if not self._in_grace:
            self._in_grace = True
            return Action.WAIT, GRACE_SECONDS
        return Action.DEAD, 0.0
