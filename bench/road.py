"""The whole road: venue -> ingest -> ring -> serializer -> the broker's acknowledgement, as the product runs it.

One start of the product serves several runs. CPU is that of supervisor, ingests, serializer and monitor together, from
the last look at which no frame had come to the last acknowledgement; events/s is over the same span. Nothing is pinned,
neither here nor for the yardstick.
"""

import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.accounts import Stopwatch, by_role
from bench.processes import BenchFailed, Program, Venue, wait_until
from bench.product import Product
from bench.services import Services
from bench.yardsticks import CLIENTS, Yardsticks
from wsadapter.config.model import KafkaConfig

CONNECTIONS: Final = 2
"""That a feed of every kind of stream needs: the venue splits them."""
TRADES: Final = 0.30


class Road:
    """The product, connected, beside a venue that sends when told to."""

    def __init__(self, directory: Path, services: Services, linger: float, **options: Any) -> None:
        self._directory, self._services = directory, services
        self.prefix = services.prefix()
        self.kafka: KafkaConfig = services.topics(self.prefix)
        self.venue = Venue(directory, manual=True)
        connections = options.pop("connections", CONNECTIONS)
        try:
            self.product = Product(directory, self.kafka, self.venue.url, linger=linger, **options)
        except BaseException:
            self.venue.close()
            raise
        try:
            self.product.running(connections, with_consumer="clickhouse" in options)
            time.sleep(0.5)
        except BaseException:
            self.close()
            raise

    def keep_alive(self) -> None:
        """From now on the product will not miss data between two runs."""
        self.venue.order("trickle")

    def run(self, count: int, rate: float = 0.0) -> dict[str, Any]:
        """``count`` frames as fast as they are taken, or ``rate`` a second."""
        product, seconds = self.product, 60 + (count / rate if rate else count / 2000)
        wait_until(product.subscribed, 60, "every connection subscribed", 0.05)
        self.venue.order(f"pace {rate} {count}" if rate else f"blast {count}")
        self.venue.expect("begin", seconds)
        received, delivered, dropped = product.frames, product.delivered, product.dropped()
        deadline = time.monotonic() + seconds
        watch = Stopwatch(product.pids())
        while product.frames == received:
            watch = Stopwatch(product.pids())
            self._nap(deadline)
        sent = int(self.venue.expect("end", seconds))
        while product.delivered < delivered + sent - (product.dropped() - dropped):
            self._nap(deadline)
        wall, cpu = watch.wall(), watch.cpu()
        if product.dropped() > dropped:
            raise BenchFailed(f"the ring was full: {product.dropped() - dropped} events dropped")
        total = sum(cpu.values())
        roles = {role: spent / sent * 1e6 for role, spent in by_role(cpu, product.roles()).items()}
        return {"frames": sent, "cpu_us": total / sent * 1e6, "per_s": sent / wall, "cpu_s": total, "wall_s": wall,
                "roles": roles}  # fmt: skip

    def run_with_latency(self, count: int, rate: float) -> dict[str, Any]:
        with latency_reader(self._directory, self.kafka.bootstrap_servers, f"{self.prefix}.trade", "ours", count,
                            rate) as reader:  # fmt: skip
            found = self.run(count, rate)
            return {**found, "latency_ms": reader.result(30)}

    def close(self) -> None:
        try:
            self.product.close()
        finally:
            self.venue.close()
            self._services.drop_topics(f"{self.prefix}.")

    def _nap(self, deadline: float) -> None:
        if self.product.process.poll() is not None:
            raise BenchFailed("the product ended")
        if time.monotonic() > deadline:
            counts = f"{self.product.delivered} delivered, {self.product.frames} received"
            raise BenchFailed(f"the road took too long: {counts}")
        time.sleep(0.004)


def latency_reader(directory: Path, bootstrap: str, topic: str, layout: str, count: int, rate: float) -> Program:
    """Started and reading; its result comes when all trades have come."""
    trades = round(count * TRADES)
    argv = [sys.executable, "-m", "bench.reader", bootstrap, topic, layout, trades, 30 + count / rate]
    reader = Program(argv, directory / "reader.log")
    try:
        while reader.line(30) != "ready":
            pass
    except BaseException:
        reader.close()
        raise
    return reader


def yardstick(yardsticks: Yardsticks, services: Services, directory: Path, name: str, count: int, *, rate: float = 0.0,
              linger: float = 5, latency: bool = False) -> dict[str, Any]:  # fmt: skip
    """The same with one of the peers' clients: linger, acks and idempotence of ours, topics made beforehand."""
    services.plain_topics(CLIENTS[name].topics)
    settings = {"linger.ms": linger, "acks": "all", "enable.idempotence": True}

    def run() -> dict[str, Any]:
        return yardsticks.run(name, directory, count, rate, kafka=services.bootstrap, settings=settings)

    if not latency:
        return run()
    with latency_reader(directory, services.bootstrap, "bench-aggTrade", "bound", count, rate) as reader:
        return {**run(), "latency_ms": reader.result(30)}
