"""How late events are now: median and 99th percentile of each hop over the last minute, from the pages' histograms.

The pages count since their beginning, so what they said a minute ago is taken off. Bounded: a handful of looks, each a
row of buckets for every hop and exchange.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from wsadapter.metrics import HOPS, LATENCIES
from wsadapter.roles.monitor.snapshot import Snapshot
from wsadapter.times import SECOND

WINDOW_NS: Final = 60 * SECOND
STEP_NS: Final = 5 * SECOND
BOUNDS: Final = tuple(float(le) for le in LATENCIES)

Key = tuple[int, str]
"""Number of the hop, and the exchange; empty: of all."""
Buckets = tuple[int, ...]


class RecentLatency:
    def __init__(self) -> None:
        self._looks: deque[tuple[int, Mapping[Key, Buckets]]] = deque()
        """Monotonic time, and what the pages said."""

    def observe(self, snapshot: Snapshot) -> None:
        now = snapshot.monotonic_ns
        if not self._looks or now - self._looks[-1][0] >= STEP_NS:
            self._looks.append((now, _buckets(snapshot)))
        while now - self._looks[0][0] > WINDOW_NS:
            self._looks.popleft()

    def told(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """A row a hop and exchange of which there were samples, in the order of an event's way. Of the first minute
        all that the pages hold. ``clock_offset_seconds``: by how much the venue's clock is ahead of ours, which the
        first hop has in it; None where it is not known."""
        before = self._looks[0][1] if len(self._looks) > 1 else {}
        clocks = dict(_clocks(snapshot))
        rows = []
        for key, buckets in sorted(_buckets(snapshot).items()):
            old = before.get(key, ())
            fresh = [count - (old[n] if old else 0) for n, count in enumerate(buckets)]
            if min(fresh) < 0:
                fresh = [*buckets]  # a page was made anew
            if not fresh[-1]:
                continue
            hop, exchange = key
            rows.append(
                {
                    "hop": HOPS[hop],
                    "exchange": exchange,
                    "samples": fresh[-1],
                    "p50_seconds": quantile(fresh, 0.5),
                    "p99_seconds": quantile(fresh, 0.99),
                    "clock_offset_seconds": clocks.get(exchange, (None, None))[0] if hop == 0 else None,
                    "clock_error_seconds": clocks.get(exchange, (None, None))[1] if hop == 0 else None,
                }
            )
        return rows


def _clocks(snapshot: Snapshot) -> Iterator[tuple[str, tuple[float, float]]]:
    """Exchange -> offset and its error."""
    for reading in snapshot.of("repairer"):
        errors, offsets = reading.by("venue_clock_error_ns"), reading.by("venue_clock_offset_ns")
        yield from ((name, (offsets[name] / SECOND, error / SECOND)) for name, error in errors.items() if error)


def _buckets(snapshot: Snapshot) -> dict[Key, Buckets]:
    sums: dict[Key, list[int]] = {}
    for role in ("serializer", "consumer"):
        for reading in snapshot.of(role):
            for labels, cell in reading.layout.get("latency_seconds_bucket", ()):
                key = HOPS.index(labels["hop"]), labels.get("exchange", "")
                sums.setdefault(key, [0] * len(BOUNDS))[LATENCIES.index(labels["le"])] += reading.cells[cell]
    return {key: tuple(counts) for key, counts in sums.items()}


def quantile(cumulative: list[int], part: float) -> float | None:
    """As Prometheus says it: linear within a bucket. None: more than the last bound."""
    wanted = part * cumulative[-1]
    number = next(n for n, count in enumerate(cumulative) if count >= wanted)
    low, high = (BOUNDS[number - 1] if number else 0.0), BOUNDS[number]
    if math.isinf(high):
        return None
    below = cumulative[number - 1] if number else 0
    inside = cumulative[number] - below
    return low + (high - low) * (wanted - below) / inside if inside else high
