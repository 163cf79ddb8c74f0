"""The capacity model: from what is subscribed to events, bytes, cores and disk. Pure; figures are `capacity_figures`.

What is expected of a connection is the sum of its streams. The n-th symbol of a feed is taken for the n-th busiest of
its venue. Redundant connections receive everything each, and it is stored once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import exp, log
from typing import Final

from msgspec import Struct

from wsadapter.cli import capacity_figures as figures
from wsadapter.cli.placement import Expected, Placed
from wsadapter.config.model import Config
from wsadapter.exchanges import load
from wsadapter.roles.supervisor.rings import member

DAY: Final = 86_400
ONE_PARTITION: Final = 500.0
"""Events a second up to which a topic wants one partition: more are more requests, and no consumer is that slow."""


class Capacity(Struct, frozen=True):
    """Of an instance. ``events``: stored, a second; ``burst``: in the busiest second. ``ring_seconds``: how long the
    fullest ring lasts in a burst with nobody reading. Disks: bytes a day, Kafka's without replicas."""

    connections: int
    processes: int
    events: float
    burst: float
    network_bytes: float
    cores: dict[str, float]
    memory_mb: int
    ring_bytes: int
    ring_seconds: float
    kafka_bytes: float
    clickhouse_bytes: float
    topics: dict[str, float]


def rate(exchange: str, stream: str, rank: int) -> float:
    """Events a second of one symbol's stream; ``rank``: 0 is the busiest."""
    word = "trade" if stream == "raw_trade" else stream
    venue = getattr(load(exchange), "venue", None)  # somebody else's exchange may be no venue of tables
    busiest = getattr(venue, "busiest", None) or figures.BUSIEST
    fall = float((rank + 1) ** -figures.FALL)
    if word == "depth":
        return min(busiest["depth"] * fall, getattr(venue, "books_a_second", 0.0) or figures.BOOKS_A_SECOND)
    if word in busiest:
        return busiest[word] * fall
    pace = figures.PACE.get(word, 0.0)
    return min(pace, busiest["trade"] * fall) if word == "kline" else pace


def with_expected(connections: Iterable[Placed], config: Config) -> Iterator[tuple[Placed, Mapping[str, float]]]:
    """Each connection with its events a second by stream."""
    ranks = {feed.name: {symbol: rank for rank, symbol in enumerate(feed.symbols)} for feed in config.feed}
    for one in connections:
        places: dict[str, int] = ranks.get(one.feed, {})
        rates: dict[str, float] = defaultdict(float)
        for each in one.streams:
            word = "trade" if each.stream == "raw_trade" else each.stream
            rates[word] += rate(one.exchange, word, places.get(each.symbol, 0))
        yield one, rates


def expected(rates: Mapping[str, float]) -> Expected:
    octets = sum(events * figures.SIZES[word].frame for word, events in rates.items())
    return Expected(round(sum(rates.values()), 1), round(octets, 1))


def capacity(connections: Sequence[Placed], config: Config) -> Capacity:
    ingest, network, fullest, sockets = 0.0, 0.0, 0.0, 0
    topics: dict[str, float] = defaultdict(float)
    for one, rates in with_expected(connections, config):
        if not one.exchange:  # the repairer's
            _add(topics, rates)
            continue
        sockets += 1
        told = expected(rates)
        network += told.bytes
        ingest += cores(told.events, figures.INGEST_US)
        fullest = max(fullest, sum(events * (figures.SIZES[word].record + 8) for word, events in rates.items()))
        if not member(one.connection).number:
            _add(topics, rates)
    stored = float(sum(topics.values()))
    counts = {role: config.process_of(role).count for role in ("serializer", "consumer", "repairer")}
    rings = sockets + (1 if counts["repairer"] else 0)
    together = {"ingest": sockets, "supervisor": 1, "monitor": 1, **counts}
    return Capacity(
        connections=sockets,
        processes=sum(together.values()),
        events=round(stored, 1),
        burst=round(stored * figures.BURST, 1),
        network_bytes=round(network, 1),
        cores={
            "ingest": round(ingest, 3),
            "serializer": round(cores(stored, figures.SERIALIZER_US), 3),
            "consumer": round(cores(stored, figures.CONSUMER_US), 3),
            "idle": figures.IDLE_CORES,
        },
        memory_mb=sum(count * figures.MEMORY_MB[role] for role, count in together.items()),
        ring_bytes=rings * config.ring.capacity_bytes,
        ring_seconds=round(config.ring.capacity_bytes / (fullest * figures.BURST), 1) if fullest else 0.0,
        kafka_bytes=round(DAY * sum(kafka_bytes(word, events, config) for word, events in topics.items())),
        clickhouse_bytes=round(DAY * clickhouse_bytes(topics)),
        topics={word: round(events, 1) for word, events in sorted(topics.items())},
    )


def _add(sums: dict[str, float], more: Mapping[str, float]) -> None:
    for word, events in more.items():
        sums[word] += events


def cores(events: float, measured: Sequence[tuple[float, float]]) -> float:
    """CPU seconds a second: us an event between the measured rates, on logarithmic scales; below the first one as
    there, for each event then is a wake-up of its own."""
    if events <= 0:
        return 0.0
    (first, dearest), (last, cheapest) = measured[0], measured[-1]
    us = dearest if events <= first else cheapest
    for (low, dear), (high, cheap) in pairwise(measured):
        if low < events <= min(high, last):
            share = log(events / low) / log(high / low)
            us = exp(log(dear) + share * (log(cheap) - log(dear)))
    return events * us / 1e6


def kafka_bytes(word: str, events: float, config: Config) -> float:
    """A second, in the log of one replica: the fuller a batch, the less."""
    size = figures.SIZES[word]
    together = max(1.0, events / config.kafka.partitions * figures.LINGER_SECONDS)
    each = size.packed + (size.alone - size.packed + figures.KAFKA_BATCH) / together + figures.KAFKA_RECORD
    return events * each


def clickhouse_bytes(topics: Mapping[str, float]) -> float:
    """A second, merged."""
    return sum(events * figures.SIZES[word].row for word, events in topics.items())


def advice(found: Capacity, config: Config) -> str:
    """What a topic that is made by hand, or before, may have fewer of."""
    quiet = [word for word, events in found.topics.items() if events < ONE_PARTITION]
    if config.kafka.partitions == 1 or not quiet:
        return ""
    return (
        f"1 is enough for {', '.join(quiet)}, if you make these topics yourself; kafka.partitions is for every stream"
    )


def lines(found: Capacity, config: Config) -> Iterator[tuple[str, str]]:
    """Head and text of each line."""
    by_role = ", ".join(f"{role} {share:.2f}" for role, share in found.cores.items())
    kept = found.kafka_bytes * config.kafka.retention_hours / 24 * config.kafka.replication_factor
    yield "processes", f"{found.processes}, of which {found.connections} connections; {found.memory_mb} MB of memory"
    yield "events", f"{found.events:,.0f} a second expected, {found.burst:,.0f} in the busiest"
    yield "network", f"{size(found.network_bytes)}/s"
    yield "cores", f"{sum(found.cores.values()):.2f}: {by_role}"
    yield "/dev/shm", f"{size(found.ring_bytes)} of rings; a burst fills the first after {found.ring_seconds:,.0f} s"
    yield "Kafka", f"{size(found.kafka_bytes)} a day, {size(kept)} within its retention, all replicas"
    yield "ClickHouse", f"{size(found.clickhouse_bytes)} a day"
    if said := advice(found, config):
        yield "partitions", said


def size(octets: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if octets < 1000:
            return f"{octets:.3g} {unit}"
        octets /= 1000
    return f"{octets:,.3g} TB"
