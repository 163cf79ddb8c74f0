"""The Prometheus exposition: a `Snapshot` as metric families, names and labels fixed by the design.

A cell ``frames_total`` of a page becomes ``wsadapter_frames_total`` with the labels of its process: ``exchange`` and
``connection`` for an ingest process, ``role`` and ``name`` for any other. ``*_bucket`` cells with their sum and count
become a histogram, ``*_ns`` times become ``*_seconds``. Cells that `HELP` does not name are a role's own and are not
exposed. Label values come from the pages, whose fields are bounded.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from wsadapter import __version__, metrics, native
from wsadapter.roles.monitor.snapshot import Reading, Snapshot

PREFIX: Final = "wsadapter_"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

HELP: Final[Mapping[str, str]] = {
    "accepted_rows_total": "Rows handed to ClickHouse that its views accepted.",
    "acks_total": "Subscription requests that the loopback venue acknowledged.",
    "broker_up": "1 when the Kafka broker answers this process.",
    "build_info": "1; version, and whether the C extension is in use, as labels.",
    "bytes_total": "WebSocket payload bytes received.",
    "candle_checks_dropped_total": "Checks of candles that found too many others waiting.",
    "candle_checks_total": "Neighbouring candles whose trade ids do not chain, compared with what REST says.",
    "candles_differing_total": "Candles of the stream that REST contradicted and replaced.",
    "child_cpu_seconds_total": "Processor time of the process.",
    "child_heartbeat_age_seconds": "Time since the process's own loop last turned.",
    "child_pid": "Process id.",
    "child_restarts_total": "Restarts of a child, by the reason of its end.",
    "child_rss_bytes": "Resident memory of the process.",
    "child_start_time_seconds": "When the process started, seconds since the epoch.",
    "child_state": "0 starting, 1 waiting for a service, 2 running, 3 stopping, 4 paused (needs the operator).",
    "child_up": "1 when the supervisor sees the child running.",
    "clickhouse_up": "1 when ClickHouse answers this process.",
    "clients": "Connections that the loopback venue serves.",
    "connected_since_seconds": "When the connection was made, seconds since the epoch; 0 when it is down.",
    "connection_attempts_delayed_total": "Attempts to connect that waited for the venue's limit.",
    "connection_attempts_total": "Attempts to connect, for whatever reason.",
    "connection_up": "1 when the WebSocket connection is up.",
    "copies_total": "Events that came twice, by two sockets or connections, and were passed on once.",
    "consumed_total": "Messages read from Kafka.",
    "consumer_lag": "Messages in Kafka that are not committed yet.",
    "dead_letters_total": "Messages that can never succeed, set aside.",
    "decode_errors_total": "Frames or events refused by the decoder.",
    "decoded_total": "Market events that the decoder made of frames: written to the ring, dropped or too large.",
    "delivered_total": "Records delivered to Kafka and done with, each once.",
    "delivery_seconds": "Time from produce until all of the batch was seen acknowledged (at least linger.ms).",
    "error_count": "Errors of the connection.",
    "events_total": "Market events written to the ring.",
    "filtered_rows_total": "Rows that a view passes over: candles that are not closed.",
    "frames_sent_total": "Frames that the loopback venue sent.",
    "frames_total": "WebSocket frames received.",
    "gap_missing_total": "Events known to be missing, from gaps whose bounds are known.",
    "gap_open": "1 while a gap of the connection lasts.",
    "gaps_open": "Gaps that have ended and are not worked off by the repairer yet.",
    "gaps_total": "Gaps recorded.",
    "insert_retries_total": "Inserts sent again under the same token.",
    "insert_seconds": "Time of one insert.",
    "inserts_total": "Inserts done.",
    "last_receive_seconds": "When the last frame came, seconds since the epoch.",
    "open_candle_copies_total": "Of the copies those of candles that are not closed.",
    "open_candles_total": "Candles received that are not closed.",
    "out_of_order_total": "Events whose id was not above the highest one: repeats and late ones.",
    "outstanding": "Messages produced and not yet acknowledged.",
    "paused": "1 when the consumer does not read this stream's topic.",
    "instrument_failures_total": "Instruments that could not be fetched or inserted; it is tried again.",
    "instrument_rows_total": "Rows inserted into the table instrument.",
    "poll_errors_total": "Answers about open interest that were refused or could not be read.",
    "produced_total": "Messages handed to the Kafka client, those that are sent again included.",
    "queries_total": "Requests that the embedded service answered.",
    "rebalances_total": "Changes of the partitions that this consumer has.",
    "reconnect_count": "Connections made after the first one.",
    "reconnects_total": "Connections lost, not made, or exchanged for the next one (rotation, stale).",
    "records_total": "Records written to the ring.",
    "redelivered_total": "Messages that were in Kafka before and were dropped.",
    "rejected_rows_total": "Rows that went to the table rejected.",
    "reloads_total": "Reloads of the configuration.",
    "repaired_total": "Events fetched again by REST.",
    "repairs_total": "Gaps worked off, by what became of them.",
    "replay_done": "1 when the replayed file is through.",
    "requests_total": "Requests answered.",
    "rest_bad_answers_total": "REST answers that could not be read.",
    "rest_banned_total": "REST answers 418, 403 and 451: the venue wants to be left alone.",
    "rest_failed_total": "REST requests without an answer, or with 5xx.",
    "rest_limited_total": "REST answers 429: too many requests.",
    "rest_paused_seconds": "How long the host is left alone yet.",
    "rest_queue": "Jobs that wait for the host.",
    "rest_refused_total": "REST requests that the venue will never answer.",
    "rest_requests_total": "REST requests sent.",
    "rest_weight_limit": "Weight that the host allows a minute; a quarter of it is left to others.",
    "rest_weight_used": "Weight of the host's current minute that is used.",
    "ring_capacity_bytes": "Size of the ring.",
    "ring_dropped_total": "Events that found the ring full.",
    "ring_used_bytes": "Bytes in the ring that Kafka has not acknowledged.",
    "sent_total": "Events that the loopback venue sent.",
    "service_up": "1 when the embedded service answers.",
    "spool_bytes": "Bytes waiting in the spool on disk.",
    "spool_lost_total": "Records of the spool that could not be read back: damage on the disk.",
    "spool_records": "Records waiting in the spool on disk.",
    "spooled_total": "Records that went to the spool.",
    "unsettled_rows": "Rows inserted of which the server has not said yet how many it rejected.",
    "stream_last_seconds": "When the stream's last frame came, seconds since the epoch.",
    "too_large_total": "Events that are larger than a ring takes.",
    "stream_state": "0 requested, 1 acked, 2 live, 3 stale, 4 refused.",
}

ZERO_UNTIL_COUNTED: Final = ("spool_bytes", "gap_missing_total", "repaired_total")
"""Exposed as 0 when no page has the cell: a dashboard's alert needs the series."""

_BESIDE: Final[Mapping[str, str]] = {"polled_total": "events_total"}
"""Cells that are exposed under another cell's name; their own is another for the sake of those who sum cells up."""

_RENAMED: Final[Mapping[str, str]] = {"state": "child_state", "started_ns": "child_start_time_ns"}

Labels = Mapping[str, str]


class Families:
    """Metric families by name, filled sample by sample."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}

    def add(self, name: str, labels: Labels, value: float) -> None:
        counter = name.endswith("_total")
        base = name.removesuffix("_total") if counter else name
        self._family(base, "counter" if counter else "gauge", name).add_sample(PREFIX + name, dict(labels), value)

    def add_histogram(
        self, name: str, labels: Labels, buckets: Iterable[tuple[str, int]], total: float, count: int
    ) -> None:
        family = self._family(name, "histogram", name)
        for bound, value in buckets:
            family.add_sample(f"{PREFIX}{name}_bucket", {**labels, "le": bound}, value)
        family.add_sample(f"{PREFIX}{name}_count", dict(labels), count)
        family.add_sample(f"{PREFIX}{name}_sum", dict(labels), total)

    def __contains__(self, name: str) -> bool:
        return name.removesuffix("_total") in self._families

    def all(self) -> Iterator[Metric]:
        return iter(self._families.values())

    def _family(self, base: str, kind: str, name: str) -> Metric:
        if base not in self._families:
            self._families[base] = Metric(PREFIX + base, HELP[name], kind)
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
        _page(found, reading, labels)
    for ring in snapshot.rings:
        if ring.capacity:
            labels = {"connection": ring.connection}
            found.add("ring_used_bytes", labels, ring.used)
            found.add("ring_capacity_bytes", labels, ring.capacity)
    for name in ZERO_UNTIL_COUNTED:
        if name not in found:
            found.add(name, {}, 0)
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


def _page(found: Families, reading: Reading, labels: Labels) -> None:
    histograms: dict[str, list[tuple[str, int]]] = {}
    for field, value in reading.cells.items():
        name, own = metrics.parse(field)
        if name.endswith("_bucket"):
            histograms.setdefault(name.removesuffix("_bucket"), []).append((dict(own)["le"], value))
    for name, buckets in histograms.items():
        if name not in HELP:
            continue
        total, count = reading.get(f"{name}_sum_ns") / 1e9, reading.get(f"{name}_count")
        found.add_histogram(name, labels, buckets, total, count)
    for field, value in reading.cells.items():
        name, own = metrics.parse(field)
        name = _BESIDE.get(name, name)
        if _exposed(name) in HELP:
            # the supervisor's cells are about its children: their labels are in the field
            _cell(found, name, dict(own) if name.startswith("child_") else {**labels, **dict(own)}, value)


def _exposed(cell: str) -> str:
    return cell.removesuffix("_ns") + "_seconds" if cell.endswith("_ns") else cell


def _cell(found: Families, cell: str, labels: Labels, value: int) -> None:
    found.add(_exposed(cell), labels, value / 1e9 if cell.endswith("_ns") else value)
