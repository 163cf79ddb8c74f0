"""What each of several rings with the same lines has seen: until when, and where it has holes. Pure.

Two questions: is there anything to wait for from the others, and did another ring cover a hole of this one?

A ring waits for another one that has records it has not been asked for yet. It waits no longer for one that has been
read well beyond the record, that is down, or that has been read to its end for `PATIENCE_NS`; and of rings that wait
for each other, the one with the older record goes first. So what a backlog holds is taken in the order of its times.

A hole is covered when another ring was whole from its beginning to its end: it had been read before, has been read to
the end, and no hole of its own lies between. Bounded: of more than `MOST_HOLES` the older ones are forgotten, and
nothing is called covered from before them. Times are receive times of one machine (ns, UTC).
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

PATIENCE_NS: Final = 2_000_000_000
"""How far one connection may lag behind another; a record that is older waits for nothing."""
LAG_NS: Final = 1_000_000_000
"""A ring that has been read so far beyond a record does not bring its copy any more."""
MOST_HOLES: Final = 256


class MissedSpan:
    """``ended_ns`` None: it lasts. An empty word or symbol means all."""

    __slots__ = ("ended_ns", "name", "started_ns", "stream", "symbol")

    def __init__(self, gap: Any) -> None:
        self.name = gap.stream, gap.symbol, gap.interval, gap.cause
        self.stream, self.symbol, self.started_ns = gap.stream, gap.symbol, gap.started_ns
        self.ended_ns: int | None = None

    def meets(self, other: "MissedSpan") -> bool:
        about = all(not a or not b or a == b for a, b in ((self.stream, other.stream), (self.symbol, other.symbol)))
        begins_before = other.ended_ns is None or self.started_ns <= other.ended_ns
        return about and begins_before and (self.ended_ns is None or self.ended_ns >= other.started_ns)


class RingHistory:
    """One ring. ``order``: its place among them; ``is_empty``: whether all of it has been read."""

    def __init__(self, order: int, is_empty: Callable[[], bool]) -> None:
        self.order, self.is_empty = order, is_empty
        self.since_ns = 0
        """Receive time of the first record seen, 0 = none yet."""
        self.seen_ns = 0
        self.held_ns: int | None = None
        """Receive time of the record at which this ring waits."""
        self._holes: deque[MissedSpan] = deque()

    def saw(self, received_ns: int) -> None:
        self.since_ns = self.since_ns or received_ns
        self.seen_ns = max(self.seen_ns, received_ns)

    def note(self, gap: Any, ended_ns: int | None) -> MissedSpan:
        """A record of a gap, its first one or a later one."""
        span = MissedSpan(gap)
        span.ended_ns = ended_ns
        for hole in self._holes:
            if hole.name == span.name and hole.ended_ns is None:
                hole.ended_ns = ended_ns
                return span
        self._holes.append(span)
        if len(self._holes) > MOST_HOLES:
            self.since_ns = max(self.since_ns, self._holes.popleft().ended_ns or self.seen_ns)
        return span

    @property
    def is_down(self) -> bool:
        """Its connection receives nothing, and has published so."""
        return any(hole.ended_ns is None and not hole.stream for hole in self._holes)

    def is_past(self, received_ns: int, order: int, patient: bool) -> bool:
        """Whether a copy of what ring ``order`` received then is not to be expected any more. ``patient``: it had its
        time."""
        if self.seen_ns >= received_ns + LAG_NS:
            return True
        if self.held_ns is not None:
            return patient and (self.held_ns, self.order) > (received_ns, order)
        return self.is_empty() and (patient or self.is_down)

    def covers(self, hole: MissedSpan) -> bool:
        if not 0 < self.since_ns <= hole.started_ns or hole.ended_ns is None or self.seen_ns < hole.ended_ns:
            return False
        return not self.misses(hole)

    def misses(self, hole: MissedSpan) -> bool:
        """Whether a hole of its own meets this one."""
        return any(mine.meets(hole) for mine in self._holes)


def covered(hole: MissedSpan, others: Sequence[RingHistory]) -> bool:
    return any(other.covers(hole) for other in others)
