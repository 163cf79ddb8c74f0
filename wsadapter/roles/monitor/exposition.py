"""The Prometheus exposition: a `Snapshot` as metric families, names and labels fixed by the design.

Which cells of the pages are which metric says `wsadapter.metrics.METRICS`, in whose order they are exposed. A sample
has the labels of its cell and those of its process: ``exchange`` and ``connection`` for an ingest process, ``role`` and
``name`` for any other, and wherever it is about the process itself (``child_*``). Times in ns become seconds. Cells of
a role's own are not exposed. Label values come from the pages, whose cells are bounded.
"""

import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from wsadapter import __version__, native
from wsadapter.metrics import KAFKA_CLIENTS, METRICS, Metric
from wsadapter.roles.monitor.certificates import expiries
from wsadapter.roles.monitor.snapshot import Reading, Snapshot
from wsadapter.roles.monitor.status import not_ready

SHARED_MEMORY: Final = "/dev/shm"
PREFIX: Final = "wsadapter_"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Samples = Iterator[tuple[Labels, float]]


class StatsCollector(Collector):
    """Reads a snapshot for each scrape."""

    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self._read = read

    def collect(self) -> Iterator[Family]:
        return families(self._read())


def exposition(read: Callable[[], Snapshot]) -> Callable[[], bytes]:
    """A function that renders what ``read`` gives."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatsCollector(read))
    return lambda: generate_latest(registry)


def families(snapshot: Snapshot) -> Iterator[Family]:
    """Those that have a sample."""
    for metric in METRICS.values():
        family = Family(PREFIX + metric.name.removesuffix("_total"), metric.help, metric.kind)
        if metric.histogram:
            _add_histogram(family, metric.name, snapshot)
        elif metric.pages:
            _add_cells(family, metric, snapshot)
        if metric.name in _SEEN:
            for labels, value in _SEEN[metric.name](snapshot):
                family.add_sample(PREFIX + metric.name, dict(labels), value)
        if metric.always and not family.samples:
            family.add_sample(PREFIX + metric.name, {}, 0)
        if family.samples:
            yield family


def _build(snapshot: Snapshot) -> Samples:
    named = dict(enumerate(KAFKA_CLIENTS, 1))
    clients = {named.get(reading.get("kafka_client"), "") for reading in snapshot.of("serializer")}
    yield (
        {
            "version": __version__,
            "python": platform.python_version(),
            "native": "no" if native.extension is None else "yes",
            "kafka_client": " ".join(sorted(clients - {""})),
            "service_instance": snapshot.config.service.instance,
        },
        1,
    )


def _heartbeat_ages(snapshot: Snapshot) -> Samples:
    for reading in snapshot.processes:
        if beat := reading.get("heartbeat_ns"):
            yield _process(reading), max(0, snapshot.monotonic_ns - beat) / 1e9


def _free(snapshot: Snapshot) -> Samples:
    config = snapshot.config
    paths = {"state": config.service.state_dir, "spool": config.spool.path, "shared_memory": SHARED_MEMORY}
    for name, path in paths.items():
        with suppress(OSError):  # a directory that is not there yet
            file_system = os.statvfs(path)
            yield {"of": name}, file_system.f_bavail * file_system.f_frsize


_SEEN: Final[Mapping[str, Callable[[Snapshot], Samples]]] = {
    "build_info": _build,
    "certificate_expiry_timestamp_seconds": lambda s: (
        ({"of": name}, ends) for name, ends in expiries(s.config, s.wall_ns / 1e9)
    ),
    "ready": lambda s: iter([({}, int(not not_ready(s)))]),
    "child_heartbeat_age_seconds": _heartbeat_ages,
    "child_rss_bytes": lambda s: ((_process(r), r.use.private_bytes) for r in s.processes if r.use is not None),
    "child_shared_bytes": lambda s: ((_process(r), r.use.shared_bytes) for r in s.processes if r.use is not None),
    "child_cpu_seconds_total": lambda s: ((_process(r), r.use.cpu_seconds) for r in s.processes if r.use is not None),
    "free_bytes": _free,
    "ring_used_bytes": lambda s: (({"connection": r.connection}, r.used) for r in s.rings if r.capacity),
    "ring_capacity_bytes": lambda s: (({"connection": r.connection}, r.capacity) for r in s.rings if r.capacity),
}
"""What the monitor sees itself."""

_OF_STREAMS: Final = ("stream_state", "stream_last_timestamp_seconds")
"""Whose cells name a subscription, as the venue does."""


_WHERE_KNOWN: Final = ("certificate_expiry_timestamp_seconds",)
"""A cell of 0 says nothing: without TLS there is no certificate."""
_OF_CLOCKS: Final = ("venue_clock_offset_seconds", "venue_clock_error_seconds")


def _is_clock_known(reading: Reading, own: Labels) -> bool:
    return reading.get(f'venue_clock_error_ns{{exchange="{own["exchange"]}"}}') > 0


def _process(reading: Reading) -> dict[str, str]:
    return {"role": reading.role, "name": reading.name}


def _labels(metric: Metric, reading: Reading) -> Labels:
    if reading.role == "ingest" and not metric.name.startswith("child_"):
        return {"exchange": reading.exchange, "connection": reading.name}
    return _process(reading)


def _of_stream(own: Labels, reading: Reading) -> Labels:
    """The labels of a cell of one subscription: its name at the venue, and what it is about."""
    exchange = own.get("exchange", reading.exchange)
    known = reading.streams.get((own["stream"], exchange))
    about = {"stream": known.stream, "symbol": known.symbol} if known else {"stream": "", "symbol": ""}
    return {**own, "subscription": own["stream"], **about}


def _add_cells(family: Family, metric: Metric, snapshot: Snapshot) -> None:
    names = metric.cell_names
    for reading in snapshot.processes:
        unknown = snapshot.lag_unknown(reading) if metric.name == "consumer_lag" else ()
        for name in names & reading.layout.keys():
            labels, scale = _labels(metric, reading), 1e9 if name.endswith("_ns") else 1
            for own, cell in reading.layout[name]:
                if metric.name in _OF_STREAMS:
                    own = _of_stream(own, reading)
                is_known = own.get("stream") not in unknown
                if metric.name in _OF_CLOCKS:
                    is_known = _is_clock_known(reading, own)
                value = reading.cells[cell] / scale if is_known else math.nan
                if not value and metric.name in _WHERE_KNOWN:
                    continue
                # the supervisor's cells are about its children, who are named in the cell's own labels
                family.add_sample(PREFIX + metric.name, {**labels, **own}, value)


def _add_histogram(family: Family, name: str, snapshot: Snapshot) -> None:
    """Of those that are told apart by labels the ones in which something was counted: there are many."""
    for reading in snapshot.processes:
        labels = _process(reading)
        counts = [(own, reading.cells[cell]) for own, cell in reading.layout.get(f"{name}_count", ())]
        counted = {tuple(own.values()) for own, count in counts if count or not own}
        for own, cell in reading.layout.get(f"{name}_bucket", ()):
            if tuple(value for label, value in own.items() if label != "le") in counted:
                family.add_sample(f"{PREFIX}{name}_bucket", {**labels, **own}, reading.cells[cell])
        for own, count in counts:
            if tuple(own.values()) in counted:
                family.add_sample(f"{PREFIX}{name}_count", {**labels, **own}, count)
        for own, cell in reading.layout.get(f"{name}_sum_ns", ()):
            if tuple(own.values()) in counted:
                family.add_sample(f"{PREFIX}{name}_sum", {**labels, **own}, reading.cells[cell] / 1e9)
