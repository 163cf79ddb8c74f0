"""What one look at the pages does not show: since when the pipeline is ready or not, how fast the spool grows, how far
the tables are behind in seconds, how late events are, which errors were the last.

Told at every look and every few seconds in between. Bounded: two times, the spool's size and what was consumed over
`WINDOW_NS`, latencies of a minute, and the last errors.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from wsadapter.roles.monitor.latency import RecentLatency
from wsadapter.roles.monitor.recent_errors import RecentErrors
from wsadapter.roles.monitor.snapshot import Snapshot
from wsadapter.times import SECOND

WINDOW_NS: Final = 60 * SECOND
STEP_NS: Final = SECOND
"""Sizes that are kept lie so far apart at least."""
LEAST_NS: Final = 3 * SECOND
"""Over less a rate says nothing."""
LAG_WINDOW_NS: Final = 15 * SECOND
"""Over which the rate is taken at which a lag is worked off: after an outage the minute before says nothing."""


class History:
    def __init__(self) -> None:
        self.not_ready_since_ns = 0
        """Wall clock; 0: it is ready."""
        self.ready_since_ns = 0
        """Wall clock; 0: it is not ready. Not before the first look."""
        self.errors = RecentErrors()
        self.latency = RecentLatency()
        self._sizes: deque[tuple[int, int]] = deque()
        """Monotonic time, bytes on the spool."""
        self._consumed: deque[tuple[int, int]] = deque()
        """Monotonic time, messages read from Kafka."""

    def observe(self, snapshot: Snapshot, reasons: Sequence[str]) -> None:
        if not reasons:
            self.not_ready_since_ns = 0
            self.ready_since_ns = self.ready_since_ns or snapshot.wall_ns
        else:
            self.ready_since_ns = 0
            self.not_ready_since_ns = self.not_ready_since_ns or snapshot.wall_ns
        self.errors.observe(snapshot)
        self.latency.observe(snapshot)
        self._observe_consumed(snapshot)
        now, size = snapshot.monotonic_ns, spooled_bytes(snapshot)
        if not size:
            self._sizes.clear()
        if not self._sizes or now - self._sizes[-1][0] >= STEP_NS:
            self._sizes.append((now, size))
        while now - self._sizes[0][0] > WINDOW_NS:
            self._sizes.popleft()

    def _observe_consumed(self, snapshot: Snapshot) -> None:
        now, consumed = snapshot.monotonic_ns, _consumed(snapshot)
        if self._consumed and consumed < self._consumed[-1][1]:
            self._consumed.clear()  # a page was made anew
        if not self._consumed or now - self._consumed[-1][0] >= STEP_NS:
            self._consumed.append((now, consumed))
        while now - self._consumed[0][0] > LAG_WINDOW_NS:
            self._consumed.popleft()

    def lag_seconds(self, snapshot: Snapshot) -> float | None:
        """How long the consumers need for what is not committed, as fast as they are now; None when it is not known,
        or nothing is consumed although something waits, as when Kafka or ClickHouse does not answer."""
        consumers = snapshot.of("consumer")
        for reading in consumers:
            if snapshot.lag_unknown(reading) or 0 in (reading.get("broker_up", 1), reading.get("clickhouse_up", 1)):
                return None
        lag = sum(reading.total("consumer_lag") for reading in consumers)
        if not lag:
            return 0.0 if consumers else None
        begin, consumed = self._consumed[0] if self._consumed else (snapshot.monotonic_ns, 0)
        elapsed, taken = snapshot.monotonic_ns - begin, _consumed(snapshot) - consumed
        return lag * elapsed / taken / SECOND if elapsed >= LEAST_NS and taken > 0 else None

    def seconds_left(self, snapshot: Snapshot) -> float | None:
        """Until the spool is full, if it grows on as it did; None while it does not, or not long enough to say."""
        begin, size = self._sizes[0] if self._sizes else (snapshot.monotonic_ns, 0)
        elapsed, grown = snapshot.monotonic_ns - begin, spooled_bytes(snapshot) - size
        if elapsed < LEAST_NS or grown <= 0:
            return None
        room = snapshot.config.spool.max_bytes - spooled_bytes(snapshot)
        return max(0, room) * elapsed / grown / SECOND


def _consumed(snapshot: Snapshot) -> int:
    return sum(reading.total("consumed_total") for reading in snapshot.of("consumer"))


def spooled_bytes(snapshot: Snapshot) -> int:
    """On the spools of all serializers."""
    return sum(reading.get("spool_bytes") for reading in snapshot.of("serializer"))
