"""Two real ingests on one venue, one serializer, the real broker: connections are cut, processes killed, the broker
frozen. As long as one of the two stands, everything that the venue numbered is there once and in the order of its line.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Consumer, TopicPartition
from eventually import eventually
from fresh import fresh
from role_process import RoleProcess

from wsadapter import metrics as stats_fields
from wsadapter.config import load as configuration
from wsadapter.config.model import SocketConfig
from wsadapter.embedded.exchange.connection import VenueConnection
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import KafkaServer, VenueThread
from wsadapter.pb import market_pb2
from wsadapter.roles.orders import IngestOrder
from wsadapter.roles.supervisor import topology
from wsadapter.shm import doorbell, ring, watermarks
from wsadapter.shm.ring import RingReader
from wsadapter.shm.segment import Segment, listing
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import RingRef

pytestmark = pytest.mark.integration
SYMBOLS = ("BTCUSDT", "ETHUSDT")
NS = 1_790_000_000_000_000_000


class Site:
    """The market connection of a feed with redundancy 2 (or the public one, with the chain of the books)."""

    def __init__(self, directory: Path, venue: LoopbackVenue, broker: KafkaServer, root: str) -> None:
        path = directory / "config.toml"
        self.instance = fresh("tw")
        (directory / "state").mkdir(mode=0o700)
        path.write_text(
            f'[service]\ninstance = "{self.instance}"\nstate_dir = "{directory}/state"\ndrain_seconds = 5\n'
            f'[[feed]]\nexchange = "binance"\nsymbols = {list(SYMBOLS)}\nstreams = ["trade", "depth", "book_ticker"]\n'
            f'depth_levels = 0\nredundancy = 2\nws_url = "{venue.url}"\nreconnect_backoff = 0.05\nrotate_after = 4\n'
            f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\npartitions = 2\n'
        )
        self.broker = broker
        self.config = config = configuration.load(str(path), {})
        self.bell = doorbell.create()
        self.marks = f"wsadapter-{self.instance}-marks-{root}"
        watermarks.prepare(self.marks, 100)
        plans = [plan for plan in topology.assemble(config).plans if root in plan.connection]
        self.refs = [
            RingRef(p.connection, f"wsadapter-{self.instance}-{p.connection}", NS + n, self.bell, self.marks, n)
            for n, p in enumerate(plans)
        ]
        for ref in self.refs:
            ring.create(ref.name, 1 << 20, ref.epoch)
        self.ingests = [
            RoleProcess(
                "wsadapter.roles.ingest", "ingest", config,
                stats_fields.ingest(s.name for s in plan.subscriptions), ring=ref,
                order=IngestOrder(SocketConfig(), plan),
                name=plan.connection,
            )
            for plan, ref in zip(plans, self.refs, strict=True)
        ]  # fmt: skip
        self.serializer = RoleProcess(
            "wsadapter.roles.serializer", "serializer", config, stats_fields.SERIALIZER, rings=self.refs
        )

    def up(self, number: int) -> bool:
        """Connected and subscribed, its last gap ended, and the serializer has read it to there."""
        page: StatsPage = self.ingests[number].page
        return bool(page["connection_up"] and page["gap_position"] == 0)

    def looked(self) -> None:
        """Each ingest has been round its loop since: one whose socket was cut, or that is new, has said that it is not
        connected."""

        for _ in range(2):
            since = time.monotonic_ns()
            eventually(lambda at=since: all(i.page["heartbeat_ns"] > at for i in self.ingests), 30, "both look")  # type: ignore[misc]

    def published(self) -> int:
        return sum(i.page[f'events_total{{stream="{word}"}}'] for i in self.ingests for word in ("trade", "depth"))

    def more(self, count: int) -> None:
        target = self.published() + count
        eventually(lambda: self.published() >= target, 60, f"{count} more events")

    def freeze(self, stop: bool) -> None:
        for process in psutil.Process(self.broker.pid).children(recursive=True):
            process.send_signal(signal.SIGSTOP if stop else signal.SIGCONT)

    def settle(self) -> None:
        for ingest in self.ingests:
            assert ingest.stop() == 0
        eventually(self.drained, 60, "rings and spool are empty")
        assert self.serializer.stop() == 0

    def drained(self) -> bool:
        readers = [RingReader.attach(ref.name, writable=False) for ref in self.refs]
        used = sum(reader.used() for reader in readers)
        for reader in readers:
            reader.release()
        return used == 0 and self.serializer.page["spool_records"] == 0

    def close(self) -> None:
        for process in (*self.ingests, self.serializer):
            process.close()
        os.close(self.bell)
        for name in listing(f"wsadapter-{self.instance}-"):
            Segment.unlink(name)


@pytest.fixture
def broker(own_kafka: Callable[[], KafkaServer]) -> KafkaServer:
    made = own_kafka()
    made.start()
    return made


@pytest.fixture
def venue() -> Iterator[VenueThread]:
    with VenueThread(lambda: LoopbackVenue(Options(rate=300, symbols=SYMBOLS))) as made:
        yield made


def accepted(site: Site, word: str, message_type: Any) -> list[Any]:
    """What a consumer takes: of each partition and epoch only positions above the last."""
    topic = f"{site.config.kafka.topic_prefix}{word}"
    consumer = Consumer({"bootstrap.servers": site.broker.bootstrap, "group.id": "check"})
    partitions = consumer.list_topics(topic, timeout=60).topics[topic].partitions
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=60) for p in partitions}
    consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in ends.items()])
    wanted, got = sum(high - low for low, high in ends.values()), 0
    seen: dict[tuple[int, int], int] = {}
    found = []
    while got < wanted:
        for message in consumer.consume(10_000, 1.0):
            assert message.error() is None
            got += 1
            one = message_type.FromString(message.value() or b"")
            if one.position > seen.get((message.partition() or 0, one.epoch), -1):
                seen[message.partition() or 0, one.epoch] = one.position
                found.append(one)
    consumer.close()
    return found


def cut(venue: VenueThread, rng: random.Random, reset: bool) -> None:
    """Returns when the venue has let go of the socket: before that the ingest can know of nothing, and would count as
    standing when the other one is killed."""

    def abort(one: LoopbackVenue) -> VenueConnection:
        chosen = rng.choice(one.connections)
        chosen.abort(reset=reset)
        return chosen

    gone = venue.call(abort)
    eventually(lambda: venue.call(lambda one: gone not in one.connections), 60, "the venue has let go of it")


def disturb(site: Site, venue: VenueThread, rng: random.Random, rounds: int) -> None:
    """One of the two at a time, so that the other stands."""
    for _ in range(rounds):
        victim, what = rng.randrange(2), rng.choice(["kill", "cut", "reset", "serializer"])
        if what == "kill":
            site.ingests[victim].kill()
            site.more(rng.randint(10, 150))
            site.ingests[victim].start()
            site.looked()
        elif what == "serializer":
            site.serializer.kill()
            site.more(rng.randint(10, 150))
            site.serializer.start(until=None)
        else:
            cut(venue, rng, reset=what == "reset")
            site.looked()
        site.more(rng.randint(10, 100))
        eventually(lambda: all(site.up(n) for n in (0, 1)), 60, "both connections are back")
        site.more(rng.randint(20, 100))


def test_one_of_two_always_stands(tmp_path: Path, venue: VenueThread, broker: KafkaServer) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    site = Site(tmp_path, venue.venue, broker, "market-0")
    try:
        for process in (site.serializer, *site.ingests):
            process.start(until=None)
        eventually(lambda: all(site.up(n) for n in (0, 1)), 60, "both connections are up")
        site.more(100)
        disturb(site, venue, random.Random(seed), 8)
        site.settle()
        trades = accepted(site, "trade", market_pb2.Trade)
        for symbol in SYMBOLS:
            numbers = [one.trade_number for one in trades if one.symbol == symbol]
            assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1)), f"{symbol}: each once"
            # the connection that came first may have events from before the first one of the other
            later = [number for number in numbers if number >= numbers[0]]
            assert later == sorted(later), f"{symbol}: in order"
        assert {one.connection for one in trades} == {ref.connection for ref in site.refs}, "both have led"
        assert site.serializer.page['copies_total{stream="trade"}'] > 100
        print("rotations", [i.page['reconnects_total{reason="rotation"}'] for i in site.ingests])
    finally:
        site.close()


def test_books_with_the_broker_away_and_back(tmp_path: Path, venue: VenueThread, broker: KafkaServer) -> None:
    """The way over the spool, the serializer killed while it spools and while it replays."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    site = Site(tmp_path, venue.venue, broker, "public-0")
    try:
        for process in (site.serializer, *site.ingests):
            process.start(until=None)
        eventually(lambda: all(site.up(n) for n in (0, 1)), 60, "both connections are up")
        eventually(lambda: site.serializer.page['delivered_total{topic="depth"}'] > 20, 30, "delivered")
        site.freeze(True)
        eventually(lambda: site.serializer.page["spool_records"] > 50, 30, "records go to the spool")
        disturb(site, venue, rng, 3)
        site.serializer.kill()
        site.serializer.start(until=None)
        site.more(100)
        site.freeze(False)
        before = site.serializer.page['delivered_total{topic="depth"}']
        eventually(lambda: site.serializer.page['delivered_total{topic="depth"}'] > before, 60, "the replay goes on")
        site.serializer.kill()
        site.serializer.start(until=None)
        site.more(50)
        site.settle()
        books = accepted(site, "depth", market_pb2.Depth)
        for symbol in SYMBOLS:
            chain = [one for one in books if one.symbol == symbol]
            chain = [one for one in chain if one.last_update_id >= chain[0].last_update_id]
            broken = [b.last_update_id for a, b in pairwise(chain)
                      if b.previous_update_id != a.last_update_id]  # fmt: skip
            assert not broken, f"{symbol}: {len(broken)} of {len(chain)} do not continue"
        tickers = [(one.symbol, one.update_id) for one in accepted(site, "book_ticker", market_pb2.BookTicker)]
        assert len(tickers) == len(set(tickers)) > 0
    finally:
        site.freeze(False)
        site.close()
