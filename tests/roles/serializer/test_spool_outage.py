"""A small ring, a big spool, and the real broker away: nothing is dropped, nothing is lost, order holds."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, TopicPartition
from eventually import eventually
from fresh import fresh
from role_process import RoleProcess
from samples import NS, trade

from wsadapter import metrics as stats_fields
from wsadapter.config import load as configuration
from wsadapter.embedded.servers import KafkaServer
from wsadapter.events.records import encode
from wsadapter.events.streams import BY_EVENT
from wsadapter.pb import market_pb2
from wsadapter.shm import doorbell, ring
from wsadapter.shm.ring import RingReader, RingWriter
from wsadapter.shm.segment import Segment
from wsadapter.supervision.child import ChildState, RingRef

pytestmark = pytest.mark.integration
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
KIND = BY_EVENT[type(trade(1))].kind


class Feed(threading.Thread):
    """Writes trades into a ring at a steady rate, as ingest would: what finds it full is dropped and counted. As long
    as it ``waits`` it writes nothing while half of the ring is taken: on a machine that is slow nothing is dropped for
    want of time, and a reader that has stopped stops it, too."""

    def __init__(self, name: str, bell: int) -> None:
        super().__init__(daemon=True)
        self._writer, self._bell = RingWriter.attach(name), bell
        self._reader = RingReader.attach(name, writable=False)
        self._over = threading.Event()
        self.rate = 0
        self.waits = True
        self.published: list[tuple[str, int, int]] = []
        """(symbol, position, number)"""
        self.dropped = 0
        self.start()

    def run(self) -> None:
        number = 0
        while not self._over.wait(0.01):
            if self.waits and self._reader.used() > self._reader.capacity // 2:
                continue
            for _ in range(self.rate // 100):
                number += 1
                symbol = SYMBOLS[number % len(SYMBOLS)]
                if self._writer.try_write(KIND, encode(trade(number, symbol))):
                    self.published.append((symbol, self._writer.last_position, number))
                else:
                    self.dropped += 1
            self._writer.publish()
            doorbell.ring(self._bell)

    def wait_for(self, count: int) -> None:
        """Until ``count`` more are published."""
        target = len(self.published) + count
        eventually(lambda: len(self.published) >= target, 60, f"{count} more published")

    def stop(self) -> None:
        self._over.set()
        self.join()
        self._reader.release()
        self._writer.release()


class Rig:
    def __init__(self, directory: Path, broker: KafkaServer, ring_bytes: int, spool_bytes: int) -> None:
        path = directory / "config.toml"
        name = fresh("o")
        path.write_text(
            f'[service]\ninstance = "{name}"\nstate_dir = "{directory}/state"\ndrain_seconds = 3\n'
            f'[[feed]]\nname = "binance"\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n'
            f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\n[spool]\nmax_bytes = {spool_bytes}\n'
        )
        self.broker = broker
        self.config = configuration.load(str(path), {})
        self.ring = f"wsadapter-{name}-c0"
        ring.create(self.ring, ring_bytes, NS)
        self.bell = doorbell.create()
        self.feed = Feed(self.ring, self.bell)
        ref = RingRef("c0", self.ring, NS, self.bell)
        self.serializer = RoleProcess(
            "wsadapter.roles.serializer", "serializer", self.config, stats_fields.SERIALIZER, rings=[ref]
        )

    @property
    def spooled(self) -> int:
        return self.serializer.page["spool_records"]

    def freeze(self) -> None:
        """The broker neither answers nor goes away."""
        for process in psutil.Process(self.broker.pid).children(recursive=True):
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        for process in psutil.Process(self.broker.pid).children(recursive=True):
            process.send_signal(signal.SIGCONT)

    def drained(self) -> bool:
        reader = RingReader.attach(self.ring, writable=False)
        try:
            return reader.used() == 0 and self.spooled == 0 and self.serializer.page["outstanding"] == 0
        finally:
            reader.release()

    def settle(self, timeout: float = 60.0) -> None:
        self.feed.rate = 0
        eventually(self.drained, timeout, "ring and spool are empty")

    def check(self) -> int:
        """What a consumer with watermarks takes is what was published, in order per symbol; how many came twice."""
        topic = f"{self.config.kafka.topic_prefix}trade"
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": "check"})
        partitions = consumer.list_topics(topic, timeout=60).topics[topic].partitions
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=60) for p in partitions}
        consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in ends.items()])
        wanted, got, repeated = sum(high - low for low, high in ends.values()), 0, 0
        seen: dict[int, int] = {}
        taken: dict[str, list[tuple[int, int]]] = {}
        while got < wanted:
            for message in consumer.consume(10_000, 1.0):
                assert message.error() is None
                got += 1
                found = market_pb2.Trade.FromString(message.value() or b"")
                if found.position <= seen.get(message.partition() or 0, -1):
                    repeated += 1
                    continue
                seen[message.partition() or 0] = found.position
                taken.setdefault(found.symbol, []).append((found.position, found.trade_number))
        consumer.close()
        for symbol in SYMBOLS:
            assert taken.get(symbol, []) == [(p, n) for s, p, n in self.feed.published if s == symbol]
        return repeated

    def close(self) -> None:
        self.feed.stop()
        self.serializer.close()
        os.close(self.bell)
        Segment.unlink(self.ring)


MakeRig = Callable[[int, int], Rig]


@pytest.fixture
def rig(own_kafka: Callable[[], KafkaServer], tmp_path: Path) -> Iterator[MakeRig]:
    made: list[Rig] = []

    def make(ring_bytes: int, spool_bytes: int) -> Rig:
        made.append(Rig(tmp_path, own_kafka(), ring_bytes, spool_bytes))
        made[-1].broker.start()
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_the_broker_is_killed_under_load(rig: MakeRig) -> None:
    road = rig(256 << 10, 1 << 30)
    road.serializer.start()
    road.feed.rate = 1000
    road.feed.wait_for(500)
    road.broker.kill()
    road.feed.wait_for(5000)
    eventually(lambda: road.spooled > 3000 and road.serializer.page["broker_up"] == 0, 30, "on the spool")
    road.broker.start()
    road.settle()
    assert road.feed.dropped == 0
    assert road.check() == 0, "what was in flight is not sent twice while we live"
    page = road.serializer.page
    assert page['delivered_total{topic="trade"}'] == len(road.feed.published)
    assert page["spooled_total"] > 5000
    assert page["broker_up"] == 1
    assert road.serializer.stop() == 0
    assert not list(Path(road.config.spool.path).iterdir()), "an empty spool leaves nothing behind"


def test_the_serializer_is_killed_while_it_spools_and_while_it_replays(rig: MakeRig) -> None:
    road = rig(4 << 20, 1 << 30)
    road.serializer.start()
    road.feed.rate = 4000
    road.feed.wait_for(1000)
    road.freeze()
    for _ in range(3):
        before = road.spooled
        road.feed.wait_for(1000)
        eventually(lambda before=before: road.spooled > before + 500, 20, "records go to the spool")  # type: ignore[misc]
        road.serializer.kill()
        road.serializer.start(until=None)
    road.feed.wait_for(20_000)
    road.thaw()
    replayed = 0
    for _ in range(3):
        before = road.serializer.page['delivered_total{topic="trade"}']
        eventually(
            lambda before=before: road.serializer.page['delivered_total{topic="trade"}'] > before,  # type: ignore[misc]
            30,
            "the replay goes on",
        )
        replayed += road.spooled > 0
        road.serializer.kill()
        road.serializer.start(until=None)
    road.settle()
    assert replayed, "killed in mid-replay at least once"
    assert road.feed.dropped == 0
    print(f"{road.check()} of {len(road.feed.published)} came twice")
    page = road.serializer.page
    assert page['delivered_total{topic="trade"}'] == len(road.feed.published), "each is counted once"
    assert page["spooled_total"] <= len(road.feed.published), "none went to the spool twice"
    assert road.serializer.stop() == 0


def test_a_full_spool_fills_the_ring_and_a_stop_keeps_both(rig: MakeRig) -> None:
    road = rig(64 << 10, 1 << 20)
    road.serializer.start()
    road.feed.rate = 400
    road.feed.wait_for(200)
    road.freeze()
    eventually(lambda: road.serializer.page["spooled_total"] > 0, 20, "records go to the spool")
    road.feed.rate, road.feed.waits = 4000, False
    eventually(lambda: road.feed.dropped > 500, 60, "spool and ring are full")
    assert road.serializer.page["spool_bytes"] <= 1 << 20
    road.feed.rate = 0
    assert road.serializer.stop() == 0, "what is on the spool is kept"
    assert road.spooled > 3000
    road.serializer.start(until=None)
    road.thaw()
    eventually(lambda: road.serializer.page["state"] == ChildState.RUNNING, 30, "the topics are there")
    road.settle()
    road.check()
    assert road.serializer.stop() == 0
