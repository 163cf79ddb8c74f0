"""The last errors: which counters of failures rose since the monitor looks, in which process, and when last.

The pages hold counts without times, so the time is that of the look that saw the count rise: right to
`wsadapter.roles.monitor.__main__.OBSERVE_SECONDS`. What was counted before the first look has no time and is not told.
Bounded: one entry a process and counter, the oldest of more than `MAX_ERRORS` is forgotten.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from wsadapter.metrics import METRICS
from wsadapter.roles.monitor.snapshot import Snapshot

MAX_ERRORS: Final = 50
FAILURES: Final = (
    "reload_failures_total", "state_write_failures_total", "state_files_damaged_total", "rings_damaged_total",
    "segments_lost_total", "child_restarts_total", "connection_errors_total", "too_large_total", "unencodable_total",
    "ring_dropped_total", "decode_errors_total", "gaps_total", "spool_lost_total", "ring_damaged_bytes_total",
    "dead_letters_total", "insert_retries_total", "rejected_rows_total", "candles_unconfirmed_total",
    "poll_errors_total", "instrument_failures_total", "listings_refused_total", "rest_limited_total",
    "rest_banned_total", "rest_failed_total", "rest_refused_total", "rest_bad_answers_total", "rest_bad_rows_total",
    "listen_failures_total", "recording_missing_total", "drift_total", "recording_failures_total",
)  # fmt: skip
"""The metrics that count what ought not to happen."""
_METRIC_OF: Final[Mapping[str, str]] = {cell: name for name in FAILURES for cell in METRICS[name].cell_names}

_Key = tuple[str, str, str]
"""Process, metric, and the labels by which it is told apart."""


class Failure(Struct):
    """``count``: since the monitor looks."""

    at_ns: int
    count: int


class RecentErrors:
    def __init__(self) -> None:
        self._counts: dict[_Key, int] | None = None
        self._failures: dict[_Key, Failure] = {}
        """The one that rose last is at the end."""

    def observe(self, snapshot: Snapshot) -> None:
        counts = dict(_counts(snapshot))
        before, self._counts = self._counts, counts
        if before is None:
            return
        for key, count in counts.items():
            old = before.get(key, 0)
            risen = count - old if count >= old else count  # a page that was made anew counts from 0
            if risen:
                failure = self._failures.pop(key, Failure(0, 0))
                self._failures[key] = Failure(snapshot.wall_ns, failure.count + risen)
        for key in list(self._failures)[:-MAX_ERRORS]:
            del self._failures[key]

    def newest_first(self) -> list[dict[str, Any]]:
        return [
            {
                "time": failure.at_ns / 1e9,
                "name": name,
                "metric": metric,
                "what": METRICS[metric].help.removesuffix("."),
                "labels": labels,
                "count": failure.count,
            }
            for (name, metric, labels), failure in reversed(self._failures.items())
        ]


def _counts(snapshot: Snapshot) -> Iterator[tuple[_Key, int]]:
    sums: dict[_Key, int] = {}
    for reading in snapshot.processes:
        for cell_name, cells in reading.layout.items():
            if (metric := _METRIC_OF.get(cell_name)) is None:
                continue
            for labels, cell in cells:
                key = (reading.name, metric, ", ".join(dict.fromkeys(value for value in labels.values() if value)))
                sums[key] = sums.get(key, 0) + reading.cells[cell]
    yield from sums.items()
