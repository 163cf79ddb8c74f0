"""The Grafana dashboard: an overview that is chosen, and below it every metric of the registry.

A row of the registry is a panel by its kind: a counter as its rate, a histogram as its median and 99th percentile, a
gauge as it is. So a metric that is added is on the dashboard, and one that goes leaves no dead panel.
"""

from collections.abc import Iterator
from typing import Any, Final

from wsadapter.metrics import METRICS, Metric

WIDTH: Final = 24
HEIGHT: Final = 8
RATE: Final = "$__rate_interval"
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def _late(hop: str, by: str) -> str:
    """The 99th percentile of a hop."""
    buckets = f'rate(wsadapter_latency_seconds_bucket{{hop="{hop}"}}[{RATE}])'
    return f"histogram_quantile(0.99, sum by (le, {by}) ({buckets}))"


OVERVIEW: Final = (
    ("Ready", "min(wsadapter_ready)", "", "stat"),
    ("Connections down", "count(wsadapter_connection_up == 0) or vector(0)", "", "stat"),
    ("Streams stale or refused", "count(wsadapter_stream_state >= 3) or vector(0)", "", "stat"),
    ("Gaps that wait for repair", "sum(wsadapter_gaps_open)", "", "stat"),
    ("Events", f"sum by (exchange, stream) (rate(wsadapter_events_total[{RATE}]))", "{{exchange}} {{stream}}", ""),
    ("Delivered to Kafka", f"sum by (topic) (rate(wsadapter_delivered_total[{RATE}]))", "{{topic}}", ""),
    ("Rows in ClickHouse", f"sum by (stream) (rate(wsadapter_accepted_rows_total[{RATE}]))", "{{stream}}", ""),
    ("Behind Kafka, messages", "sum by (stream) (wsadapter_consumer_lag)", "{{stream}}", ""),
    ("Rings, fill", "wsadapter_ring_used_bytes / wsadapter_ring_capacity_bytes", "{{connection}}", "percentunit"),
    ("Spool, bytes", "sum by (name) (wsadapter_spool_bytes)", "{{name}}", "bytes"),
    ("Late, venue to receipt, p99", _late("venue_to_receive", "exchange"), "{{exchange}}", "s"),
    ("Late, receipt to Kafka, p99", _late("receive_to_delivered", "exchange"), "{{exchange}}", "s"),
    ("Late, Kafka to ClickHouse, p99", _late("delivered_to_inserted", "stream"), "{{stream}}", "s"),
    ("Clock of the venue, ahead by", "wsadapter_venue_clock_offset_seconds", "{{exchange}}", "s"),
    ("Gaps, by cause", f"sum by (cause) (increase(wsadapter_gaps_total[{RATE}]))", "{{cause}}", ""),
    ("Found a ring full", f"sum by (stream) (rate(wsadapter_ring_dropped_total[{RATE}]))", "{{stream}}", ""),
)  # fmt: skip
"""Title, query, legend, and what Grafana calls the kind of panel or the unit."""
GROUPS: Final = {
    "ingest": "Connections", "serializer": "Serializers and spool", "consumer": "Consumers and ClickHouse",
    "repairer": "Repair and REST", "supervisor": "Supervision", "exchange": "Stand-ins", "service": "Stand-ins",
    "monitor": "Monitor",
}  # fmt: skip
PROCESSES: Final = "Processes, rings and disks"


def dashboard(datasource: str = "") -> dict[str, Any]:
    """As Grafana imports it, where a person chooses the data source; with the uid of one, as it is provisioned."""
    panels = list(_placed(_overview(), 0))
    below = (len(OVERVIEW) + 3) // 4 * HEIGHT
    for title, metrics in _grouped().items():
        row = {"type": "row", "title": title, "collapsed": True, "gridPos": _place(0, below, WIDTH, 1)}
        panels.append({**row, "panels": list(_placed((_panel(metric) for metric in metrics), below + 1))})
        below += 1
    for number, panel in enumerate(panel for outer in panels for panel in (outer, *outer.get("panels", ()))):
        panel["id"] = number + 1
    choice = [] if datasource else [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
    made = {
        "title": "wsadapter",
        "uid": "wsadapter",
        "tags": ["wsadapter"],
        "schemaVersion": 39,
        "timezone": "utc",
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": choice},
        "panels": panels,
    }
    return _with_datasource(made, datasource) if datasource else made


def _with_datasource(value: Any, uid: str) -> Any:
    """The same with this one in the place of each."""
    if value == DATASOURCE:
        return {**DATASOURCE, "uid": uid}
    if isinstance(value, dict):
        return {name: _with_datasource(inner, uid) for name, inner in value.items()}
    return [_with_datasource(inner, uid) for inner in value] if isinstance(value, list) else value


def _overview() -> Iterator[dict[str, Any]]:
    for title, query, legend, kind in OVERVIEW:
        stat = kind == "stat"
        yield _made(title, "", [(query, legend)], "stat" if stat else "timeseries", "" if stat else kind)


def _grouped() -> dict[str, list[Metric]]:
    groups: dict[str, list[Metric]] = {}
    for metric in METRICS.values():
        # what several roles count is the first one's; what every process has, and what no page has, is apart
        role = next(iter(metric.pages), "") if not metric.name.startswith("child_") else ""
        groups.setdefault(GROUPS.get(role, PROCESSES), []).append(metric)
    return groups


def _panel(metric: Metric) -> dict[str, Any]:
    name = f"wsadapter_{metric.name}"
    unit = "bytes" if metric.name.endswith("_bytes") else "s" if metric.name.endswith("_seconds") else ""
    if metric.histogram:
        labels = [
            *dict.fromkeys(each for cells in metric.pages.values() for axis in cells.axes for each in axis.labels)
        ]
        by, legend = ", ".join(labels or ["name"]), " ".join(f"{{{{{label}}}}}" for label in labels or ["name"])
        quantile = "histogram_quantile({}, sum by (le, {}) (rate({}_bucket[{}])))"
        queries = [(quantile.format(part, by, name, RATE), f"{legend} {part}") for part in (0.5, 0.99)]
        return _made(metric.name, metric.help, queries, unit=unit)
    if metric.kind == "counter":
        return _made(metric.name, metric.help, [(f"rate({name}[{RATE}])", "__auto")])
    if metric.name.endswith("_expiry_timestamp_seconds"):
        return _made(metric.name, metric.help, [(f"{name} - time()", "__auto")], unit="s")
    if metric.name.endswith("_timestamp_seconds"):
        return _made(metric.name, metric.help, [(f"time() - ({name} > 0)", "__auto")], unit="s")
    return _made(metric.name, metric.help, [(name, "__auto")], unit=unit)


def _made(
    title: str, text: str, queries: list[tuple[str, str]], kind: str = "timeseries", unit: str = ""
) -> dict[str, Any]:
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": unit or "short"}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": query, "legendFormat": legend, "datasource": DATASOURCE}
            for number, (query, legend) in enumerate(queries)
        ],
    }


def _placed(panels: Iterator[dict[str, Any]], top: int) -> Iterator[dict[str, Any]]:
    """Four beside each other."""
    for number, panel in enumerate(panels):
        line, column = divmod(number, 4)
        yield {**panel, "gridPos": _place(column * WIDTH // 4, top + line * HEIGHT, WIDTH // 4, HEIGHT)}


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}
