"""How long to wait before the next attempt: exponential, full jitter, capped. Pure: no clock, no state, no own dice.

Full jitter (a uniform choice between zero and the exponential bound) spreads clients that failed together better than
a fixed delay with noise, and its first attempt comes soon. Whoever retries keeps the number of failures in a row.
"""

from collections.abc import Callable

from msgspec import Struct


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
