"""The reference of the metrics, from their registry: docs/metrics.md is what `reference` says, and a test holds it."""

from collections.abc import Iterator
from typing import Final

from wsadapter.metrics import METRICS, STREAM_WORDS, Metric

HEAD: Final = """# Metrics

What `/metrics` of the monitor exposes, for Prometheus. Made by `wsadapter-supervisor generate metrics`; the alerts on
them are in [runbook.md](runbook.md), the dashboard comes from `wsadapter-supervisor generate grafana`.

* A metric of a connection has the labels `exchange` and `connection`; one of any other process, and each `child_*`, has
  `role` and `name`. Labels of its own are in the third column.
* `stream` is one of {streams}. What a subscription is about say `stream` and `symbol`;
  `subscription` is its name at the venue.
* A series is there when the process that counts it is; a counter starts at 0 with its process's page, which outlives
  a restart of the process.

| metric | kind | labels | what it is |
|---|---|---|---|
"""
OF_STREAMS: Final = ("subscription", "stream", "symbol")
SEEN: Final = {
    "build_info": ("version", "python", "native", "kafka_client", "service_instance"),
    "certificate_expiry_timestamp_seconds": ("of",),
    "free_bytes": ("of",),
    "ring_used_bytes": ("connection",),
    "ring_capacity_bytes": ("connection",),
}
"""Labels of what the monitor sees itself."""


def reference() -> str:
    """As Markdown."""
    streams = ", ".join(f"`{word}`" for word in STREAM_WORDS)
    lines = [
        f"| `wsadapter_{metric.name}` | {metric.kind} | {' '.join(f'`{label}`' for label in labels(metric))} |"
        f" {metric.help} |\n"
        for metric in METRICS.values()
    ]
    return HEAD.format(streams=streams) + "".join(lines)


def labels(metric: Metric) -> Iterator[str]:
    """Its own, each once."""
    own = [label for cells in metric.pages.values() for axis in cells.axes for label in axis.labels]
    if any(axis.given in ("subscriptions", "polls") for cells in metric.pages.values() for axis in cells.axes):
        own = [*OF_STREAMS, *(label for label in own if label not in OF_STREAMS)]
    yield from dict.fromkeys((*own, *SEEN.get(metric.name, ())))
