"""The rings as the monitor sees them: their cursors, and whether they are read.

A ring without a reader fills up and then loses events, and nothing else shows it: each process is well by itself. So
the monitor samples all rings at every beat and every request, and knows since when a ring's head stands still although
its tail moves. Owns the samples' memory alone.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from wsadapter.roles.monitor.mapped import Mapped
from wsadapter.roles.orders import WatchedRing


class RingReading(Struct, frozen=True):
    """``used`` counts bytes between head and tail; capacity 0 = could not be read."""

    connection: str
    name: str
    capacity: int = 0
    used: int = 0
    dropped: int = 0
    epoch: int = 0
    head: int = 0


def read(rings: Iterable[WatchedRing], mapped: Mapped) -> tuple[RingReading, ...]:
    return tuple(_read(ring, mapped) for ring in rings)


def _read(watched: WatchedRing, mapped: Mapped) -> RingReading:
    ring = mapped.ring(watched.name)
    if ring is None:
        return RingReading(watched.connection, watched.name)
    tail, head = ring.tail, ring.head  # in this order: both move, and head must not be the older one
    if (tail | head) & 7 or head > ring.tail:  # no cursors: whoever attached it now would be refused
        return RingReading(watched.connection, watched.name)
    used = min(max(0, tail - head), ring.capacity)
    return RingReading(watched.connection, watched.name, ring.capacity, used, ring.dropped, ring.epoch, head)


class _Mark(Struct, frozen=True):
    """Where head and tail were when head moved last, and when that was."""

    epoch: int
    head: int
    tail: int
    at_ns: int


class RingProgress:
    """Remembers one mark a ring; knows no clock."""

    def __init__(self) -> None:
        self._marks: dict[str, _Mark] = {}

    def observe(self, rings: Sequence[RingReading], monotonic_ns: int) -> dict[str, int]:
        """Add a sample. Name of each ring that was written to and not read since its head moved last -> for how many
        ns. An empty ring has nothing to be read, and counts as read."""
        marks, stalled = self._marks, {}
        self._marks = {}
        for ring in rings:
            if not ring.capacity:
                continue  # it could not be read: the next sample begins anew
            mark = marks.get(ring.name)
            if mark is None or not ring.used or (mark.epoch, mark.head) != (ring.epoch, ring.head):
                mark = _Mark(ring.epoch, ring.head, ring.head + ring.used, monotonic_ns)
            elif ring.head + ring.used > mark.tail:
                stalled[ring.name] = monotonic_ns - mark.at_ns
            self._marks[ring.name] = mark
        return stalled
