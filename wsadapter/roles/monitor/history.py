"""What one look at the pages does not show: since when the pipeline is not ready, how fast the spool grows.

Told at every look and every few seconds in between. Bounded: one time, and the spool's size over `WINDOW_NS`.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from wsadapter.roles.monitor.snapshot import Snapshot
from wsadapter.times import SECOND

WINDOW_NS: Final = 60 * SECOND
STEP_NS: Final = SECOND
"""Sizes that are kept lie so far apart at least."""
LEAST_NS: Final = 3 * SECOND
"""Over less a rate says nothing."""


class History:
    def __init__(self) -> None:
        self.not_ready_since_ns = 0
        """Wall clock; 0: it is ready."""
        self._sizes: deque[tuple[int, int]] = deque()
        """Monotonic time, bytes on the spool."""

    def observe(self, snapshot: Snapshot, reasons: Sequence[str]) -> None:
        if not reasons:
            self.not_ready_since_ns = 0
        elif not self.not_ready_since_ns:
            self.not_ready_since_ns = snapshot.wall_ns
        now, size = snapshot.monotonic_ns, spooled_bytes(snapshot)
        if not size:
            self._sizes.clear()
        if not self._sizes or now - self._sizes[-1][0] >= STEP_NS:
            self._sizes.append((now, size))
        while now - self._sizes[0][0] > WINDOW_NS:
            self._sizes.popleft()

    def seconds_left(self, snapshot: Snapshot) -> float | None:
        """Until the spool is full, if it grows on as it did; None while it does not, or not long enough to say."""
        begin, size = self._sizes[0] if self._sizes else (snapshot.monotonic_ns, 0)
        elapsed, grown = snapshot.monotonic_ns - begin, spooled_bytes(snapshot) - size
        if elapsed < LEAST_NS or grown <= 0:
            return None
        room = snapshot.config.spool.max_bytes - spooled_bytes(snapshot)
        return max(0, room) * elapsed / grown / SECOND


def spooled_bytes(snapshot: Snapshot) -> int:
    """On the spools of all serializers."""
    return sum(reading.get("spool_bytes") for reading in snapshot.of("serializer"))
