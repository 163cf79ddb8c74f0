"""How long a connection waits before its next attempt, and when it gives up. Pure.

Waits grow with every loss and are short again only after a connection that stood for `STABLE_SECONDS` and delivered;
what the venue asks for (Retry-After, bans) is obeyed.
"""

from collections.abc import Callable
from typing import Final

from wsadapter.backoff import Backoff
from wsadapter.client.session import Lost

STABLE_SECONDS: Final = 10.0
"""A connection that stood so long, and delivered, was a good one."""
BANNED_SECONDS: Final = 120.0
"""Pause after 403 and 418 that do not say how long: the venue's shortest ban."""


class Retries:
    """``failures``: attempts in a row that brought no event."""

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

    def wait_after(self, lost: Lost) -> float:
        """Seconds until the next attempt, one step further in the backoff."""
        wait = self._backoff.delay(self._attempt, self._dice)
        self._attempt += 1
        return max(wait, asked_to_wait(lost))


def asked_to_wait(lost: Lost) -> float:
    """Seconds that the venue wants us to stay away."""
    if lost.retry_after is not None:
        return lost.retry_after
    return BANNED_SECONDS if lost.reason in ("http_403", "http_418") else 0.0
