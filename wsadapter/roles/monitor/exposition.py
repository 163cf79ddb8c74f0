"""The Prometheus exposition: a `Snapshot` as metric families, names and labels fixed by the design.

A cell ``frames_total`` of a page becomes ``wsadapter_frames_total`` with the labels of its process: ``exchange`` and
``connection`` for an ingest process, ``role`` and ``name`` for any other. ``*_bucket`` cells with their sum and count
become a histogram, ``*_ns`` times become ``*_seconds``. Cells that `wsadapter.metrics.METRICS` does not name are a
role's own and are not exposed. Label values come from the pages, whose fields are bounded.
"""

import math
import platform
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from wsadapter import __version__, metrics, native
from wsadapter.roles.monitor.snapshot import Reading, Snapshot

PREFIX: Final = "wsadapter_"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_RENAMED: Final[Mapping[str, str]] = {"state": "child_state", "started_ns": "child_start_time_ns"}

Labels = Mapping[str, str]


class Families:
    """Metric families by name, filled sample by sample."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}

    def add(self, name: str, labels: Labels, value: float) -> None:
        self._family(name).add_sample(PREFIX + name, dict(labels), value)

    def add_histogram(
        self, name: str, labels: Labels, buckets: Iterable[tuple[str, int]], total: float, count: int
    ) -> None:
        family = self._family(name)
        for bound, value in buckets:
            family.add_sample(f"{PREFIX}{name}_bucket", {**labels, "le": bound}, value)
        family.add_sample(f"{PREFIX}{name}_count", dict(labels), count)
        family.add_sample(f"{PREFIX}{name}_sum", dict(labels), total)

    def __contains__(self, name: str) -> bool:
        return name.removesuffix("_total") in self._families

    def all(self) -> Iterator[Metric]:
        return iter(self._families.values())

    def _family(self, name: str) -> Metric:
        metric, base = metrics.METRICS[name], name.removesuffix("_total")
        if base not in self._families:
            self._families[base] = Metric(PREFIX + base, metric.help, metric.kind)
        return self._families[base]


class StatsCollector(Collector):
    """Reads a snapshot for each scrape."""

    def __init__(self, take: Callable[[], Snapshot]) -> None:
        self._take = take

    def collect(self) -> Iterator[Metric]:
        return families(self._take()).all()


def exposition(take: Callable[[], Snapshot]) -> Callable[[], bytes]:
    """A function that renders what ``take`` sees now."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatsCollector(take))
    return lambda: generate_latest(registry)


def families(snapshot: Snapshot) -> Families:
    found = Families()
    build = {
        "version": __version__,
        "python": platform.python_version(),
        "native": "no" if native.extension is None else "yes",
        "instance": snapshot.config.service.instance,
    }
    found.add("build_info", build, 1)
    for reading in (snapshot.supervisor, *snapshot.children):
        labels = {"role": reading.role, "name": reading.name}
        _process(found, reading, labels, snapshot.monotonic_ns)
        if reading.role == "ingest":
            labels = {"exchange": snapshot.exchange_of(reading.name), "connection": reading.name}
        _page(found, reading, labels, snapshot.lag_unknown(reading))
    for ring in snapshot.rings:
        if ring.capacity:
            labels = {"connection": ring.connection}
            found.add("ring_used_bytes", labels, ring.used)
            found.add("ring_capacity_bytes", labels, ring.capacity)
    for metric in metrics.METRICS.values():
        if metric.always and metric.name not in found:
            found.add(metric.name, {}, 0)
    return found


def _process(found: Families, reading: Reading, labels: Labels, monotonic_ns: int) -> None:
    if beat := reading.get("heartbeat_ns"):
        found.add("child_heartbeat_age_seconds", labels, max(0, monotonic_ns - beat) / 1e9)
    for cell in _RENAMED:
        if cell in reading.cells:
            _cell(found, _RENAMED[cell], labels, reading.cells[cell])
    if reading.use is not None:
        found.add("child_rss_bytes", labels, reading.use.rss_bytes)
        found.add("child_cpu_seconds_total", labels, reading.use.cpu_seconds)


def _page(found: Families, reading: Reading, labels: Labels, lag_unknown: Collection[str]) -> None:
    histograms: dict[str, list[tuple[str, int]]] = {}
    for field, value in reading.cells.items():
        name, own = metrics.parse(field)
        if name.endswith("_bucket"):
            histograms.setdefault(name.removesuffix("_bucket"), []).append((dict(own)["le"], value))
    for name, buckets in histograms.items():
        if name not in metrics.METRICS:
            continue
        total, count = reading.get(f"{name}_sum_ns") / 1e9, reading.get(f"{name}_count")
        found.add_histogram(name, labels, buckets, total, count)
    for field, value in reading.cells.items():
        name, own = metrics.parse(field)
        name = metrics.SHOWN_AS.get(name, name)
        if _exposed(name) in metrics.METRICS:
            is_unknown = name == "consumer_lag" and dict(own)["stream"] in lag_unknown
            # the supervisor's cells are about its children: their labels are in the field
            shown = dict(own) if name.startswith("child_") else {**labels, **dict(own)}
            _cell(found, name, shown, math.nan if is_unknown else value)


def _exposed(cell: str) -> str:
    return cell.removesuffix("_ns") + "_seconds" if cell.endswith("_ns") else cell


def _cell(found: Families, cell: str, labels: Labels, value: float) -> None:
    found.add(_exposed(cell), labels, value / 1e9 if cell.endswith("_ns") else value)
