"""A histogram in a stats page: the cells of `stats_fields.histogram`, observed by their one writer."""

from bisect import bisect_left
from typing import Final

from wsadapter.shm.stats_page import StatsPage

SECONDS: Final = ("0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.5", "1", "5", "+Inf")
"""Histogram bounds, as exposed."""
SECONDS_NS: Final = tuple(int(float(le) * 1e9) for le in SECONDS[:-1])


class Histogram:
    def __init__(self, page: StatsPage, name: str) -> None:
        self._cells = page.cells
        self._buckets = tuple(page.index(f'{name}_bucket{{le="{le}"}}') for le in SECONDS)
        self._sum = page.index(f"{name}_sum_ns")
        self._count = page.index(f"{name}_count")

    def observe(self, elapsed_ns: int, times: int = 1) -> None:
        """``times`` observations of ``elapsed_ns``; buckets are cumulative, as they are exposed."""
        cells = self._cells
        for index in self._buckets[bisect_left(SECONDS_NS, elapsed_ns) :]:
            cells[index] += times
        cells[self._sum] += elapsed_ns * times
        cells[self._count] += times
