"""How long to wait before the next attempt: exponential, full jitter, capped. Pure: no clock, no own dice.

Full jitter (a uniform choice between zero and the exponential bound) spreads clients that failed together better than
a fixed delay with noise, and its first attempt comes soon. Whoever retries keeps the number of failures in a row;
`Retries` does so for a connection.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

STABLE_SECONDS: Final = 10.0
"""A connection that stood so long, and delivered, was a good one."""


class Backoff(Struct, frozen=True):
    """Bounds in seconds. ``minimum`` is the bound of the first attempt, doubled with each, ``maximum`` the last."""

    minimum: float
    maximum: float

    def bound(self, attempt: int) -> float:
        """The longest wait before retry number ``attempt`` (0 = the first)."""
        # 2.0 ** 1024 overflows, and any cap is reached long before 2 ** 64
        return min(self.maximum, self.minimum * 2.0 ** min(max(attempt, 0), 64))

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds to wait; ``random`` gives numbers in [0, 1), `random.Random.random`."""
        return self.bound(attempt) * random()


class Retries:
    """The waits of one connection: they grow with every loss and are short again only after a connection that stood for
    `STABLE_SECONDS` and delivered. ``failures``: attempts in a row that brought no event."""

    def __init__(self, backoff: Backoff, dice: Callable[[], float]) -> None:
        self._backoff, self._dice = backoff, dice
        self._attempt = 0
        """Losses since the last good connection: the exponent of the wait."""
        self.failures = 0

    def judge(self, delivered: bool, seconds: float) -> None:
        """How good was the connection that has just ended?"""
        if not delivered:
            self.failures += 1
            return
        self.failures = 0
        if seconds >= STABLE_SECONDS:
            self._attempt = 0

    def next_wait(self, at_least: float = 0.0) -> float:
        """Seconds until the next attempt, one step further in the backoff; ``at_least``: what the peer asks for."""
        wait = self._backoff.delay(self._attempt, self._dice)
        self._attempt += 1
        return max(wait, at_least)
