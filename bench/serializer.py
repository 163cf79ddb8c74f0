"""Serializer alone: a full ring -> the broker's acknowledgement; and a slow one, fed by an ingest at 5,000 a second.

CPU is the serializer process's (librdkafka's threads included), from the first cycle's end to the last acknowledgement
over the events between. ``bare`` is `bench.bare_producer`: messages that need no work, same settings.
"""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.accounts import Stopwatch, memory
from bench.ingest import IngestAlone, Ring, expected_of, fill
from bench.processes import Program, Role, Venue
from bench.services import Services, config
from wsadapter import metrics as stats_fields
from wsadapter.config.model import KafkaConfig

RING: Final = 256 << 20
DIRECT: Final = "wsadapter.roles.serializer"
CONFLUENT: Final = "bench.confluent_serializer"
PACE: Final = 5000
AVERAGE_BYTES: Final = 300


class SerializerAlone(Role):
    def __init__(self, directory: Path, kafka: KafkaConfig, source: Ring, module: str = DIRECT) -> None:
        super().__init__(
            module, config("serializer", directory, kafka),
            stats_fields.serializer(("binance",)), directory,
            rings=(source.ref,),
        )  # fmt: skip

    @property
    def delivered(self) -> int:
        return self.total("delivered_total")

    def measure(self, expected: int, seconds: float) -> dict[str, Any]:
        """From the next delivery on until ``expected`` events are delivered in all."""
        before = self.delivered
        self.wait_for(lambda: self.delivered > before, 30, "first delivery")
        watch, first = Stopwatch({"serializer": self.pid}), self.delivered
        self.wait_for(lambda: self.delivered >= expected, seconds, f"{expected} deliveries")
        wall, cpu, count = watch.wall(), watch.cpu()["serializer"], expected - first
        held, page = memory(self.pid), self.page
        cycles = page["delivery_seconds_count"]
        return {
            "events": count, "cpu_us": cpu / max(1, count) * 1e6, "per_s": count / wall, "rss_anon_mb": held.anon,
            "delivery_ms": page["delivery_seconds_sum_ns"] / 1e6 / max(1, cycles),
        }  # fmt: skip


class FullRing(Ring):
    """A ring with the events of ``count`` frames, for one serializer."""

    def __init__(self, directory: Path, count: int) -> None:
        super().__init__(RING)
        self.events = fill(directory, self, count)

    def deliver(self, directory: Path, kafka: KafkaConfig, module: str = DIRECT) -> dict[str, Any]:
        with closing(SerializerAlone(directory, kafka, self, module)) as serializer:
            return serializer.measure(self.events, 60)


def full_ring(directory: Path, services: Services, count: int, module: str) -> dict[str, Any]:
    """A full ring by one of the two clients of librdkafka."""
    prefix = services.prefix()
    kafka = services.topics(prefix)
    try:
        with closing(FullRing(directory, count)) as full:
            return full.deliver(directory, kafka, module)
    finally:
        services.drop_topics(f"{prefix}.")


def paced(directory: Path, services: Services, count: int) -> dict[str, Any]:
    """An ingest beside it hands over single frames as they come."""
    prefix = services.prefix()
    kafka = services.topics(prefix)
    try:
        with (
            closing(Ring()) as between,
            Venue(directory, manual=True) as venue,
            closing(SerializerAlone(directory, kafka, between)) as serializer,
            closing(IngestAlone(directory, venue.url, between)) as ingest,
        ):
            ingest.subscribed()
            ingest.reads = False
            serializer.wait_running()
            venue.order(f"pace {PACE} {count}")
            return serializer.measure(expected_of(count, "all"), 60 + count / PACE)
    finally:
        services.drop_topics(prefix)


def bare(directory: Path, services: Services, count: int) -> dict[str, Any]:
    prefix = services.prefix()
    kafka = services.topics(prefix)
    argv = [sys.executable, "-m", "bench.bare_producer", msgspec.json.encode(kafka).decode(), f"{prefix}.trade"]
    try:
        with Program([*argv, count, AVERAGE_BYTES], directory / "bare_producer.log") as program:
            return program.result(60)
    finally:
        services.drop_topics(prefix)
