"""Rings to the real broker: in order, once a record while nothing is killed, nothing lost when it is."""

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not in __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from eventually import eventually
from role_process import RoleProcess
from samples import NS, full, sparse, trade

from wsadapter import metrics as stats_fields
from wsadapter.config import load as configuration
from wsadapter.config.model import Config
from wsadapter.errors import ServiceUnavailable
from wsadapter.events import Depth, Event
from wsadapter.events.records import encode
from wsadapter.events.streams import BY_EVENT, SPECS
from wsadapter.kafka import topics
from wsadapter.kafka.errors import code_text
from wsadapter.kafka.messages import gap_of
from wsadapter.pb import market_pb2
from wsadapter.shm import doorbell, ring
from wsadapter.shm.ring import RingReader, RingWriter
from wsadapter.shm.segment import Segment
from wsadapter.supervision.child import RingRef

pytestmark = pytest.mark.integration
_numbers = itertools.count()
WAYS = {"direct": os.environ.get("WSADAPTER_PURE", ""), "confluent": "1"}
"""Our own client of librdkafka where the extension is built, and confluent-kafka's: what the environment says of it."""


class Road:
    """A ring, its writer, and a serializer that reads it."""

    def __init__(self, config: Config, way: str) -> None:
        self.config = config
        self.name = f"wsadapter-{config.service.instance}-c0"
        ring.create(self.name, 1 << 20, NS)
        self.bell = doorbell.create()
        self.writer = RingWriter.attach(self.name)
        self.ref = RingRef("c0", self.name, NS, self.bell)
        self.serializer = RoleProcess(
            "wsadapter.roles.serializer", "serializer", config, stats_fields.SERIALIZER, rings=[self.ref],
            environ={"WSADAPTER_PURE": WAYS[way]},
        )  # fmt: skip

    def publish(self, *records: tuple[int, bytes]) -> None:
        for kind, payload in records:
            assert self.writer.try_write(kind, payload)
        self.writer.publish()
        doorbell.ring(self.bell)

    def unread(self) -> int:
        reader = RingReader.attach(self.name, writable=False)
        try:
            return reader.unread()
        finally:
            reader.release()

    def settle(self, seconds: float = 60) -> None:
        """All that was published is done with: on a machine that is slow it may have gone over the spool."""
        page = self.serializer.page
        busy = ("spool_records", "outstanding", "journal_length")
        eventually(lambda: self.unread() == 0 and not any(page[cell] for cell in busy), seconds)

    def close(self) -> None:
        self.serializer.close()
        self.writer.release()
        os.close(self.bell)
        Segment.unlink(self.name)


@pytest.fixture
def way() -> str:
    return "direct"


both_ways = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def road(way: str, kafka: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Road]:
    number = next(_numbers)
    text = (
        f'[service]\ninstance = "serializer{os.getpid()}-{number}"\nstate_dir = "{tmp_path}"\n'
        f'[[feed]]\nname = "binance"\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n'
        f'[kafka]\nbootstrap_servers = "{kafka}"\ntopic_prefix = "t{os.getpid()}-{number}."\n'
        f"{getattr(request, 'param', '')}"
    )
    path = tmp_path / "config.toml"
    path.write_text(text)
    made = Road(configuration.load(str(path), {}), way)
    yield made
    made.close()


def records(events: Sequence[Event]) -> list[tuple[int, bytes]]:
    return [(BY_EVENT[type(e)].kind, encode(e)) for e in events]


def _bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int] | None:
    """None while a new topic's partition has no leader that its broker knows of."""
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=60)
    except KafkaException:
        return None
    return low, high


def log(config: Config, stream: str) -> list[tuple[int, bytes, bytes]]:
    """Everything in a stream's topic now: (partition, key, value) in partition order."""
    topic = config.kafka.topic_prefix + stream
    consumer = Consumer({"bootstrap.servers": config.kafka.bootstrap_servers, "group.id": "check"})
    partitions = consumer.list_topics(topic, timeout=60).topics[topic].partitions
    ends = {}
    for p in partitions:
        found = eventually(lambda p=p: _bounds(consumer, topic, p), 30, "a leader")  # type: ignore[misc]
        assert found is not None
        ends[p] = found
    consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in ends.items()])
    wanted = sum(high - low for low, high in ends.values())
    got: list[tuple[int, bytes, bytes]] = []
    while len(got) < wanted:
        for message in consumer.consume(10_000, 1.0):
            assert message.error() is None
            got.append((message.partition() or 0, message.key() or b"", message.value() or b""))
    consumer.close()
    return sorted(got, key=lambda m: m[0])


def test_every_stream_type_reaches_its_topic(road: Road) -> None:
    events = full() + sparse()
    road.serializer.start()
    road.publish(*records(events))
    road.settle()

    for spec in SPECS:
        values = [m[2] for m in log(road.config, spec.name)]
        assert len(values) == sum(isinstance(e, spec.event) for e in events), spec.name
        assert road.serializer.page[f'delivered_total{{topic="{spec.name}"}}'] == len(values)
    assert road.serializer.stop() == 0


@both_ways
def test_a_record_that_is_no_event_goes_to_the_dead_letters(road: Road) -> None:
    road.serializer.start()
    road.publish((4, b"\xc1 no record"), *records([trade(1)]))
    road.settle()

    assert [m[2] for m in log(road.config, "dead_letter")] == [b"\xc1 no record"]
    assert len(log(road.config, "trade")) == 1
    assert road.serializer.page['dead_letters_total{reason="encode",topic="trade"}'] == 1


@both_ways
@pytest.mark.parametrize("road", ["[kafka.producer]\n'message.max.bytes' = 20000\n"], indirect=True)
def test_a_message_that_is_too_large_costs_itself_only(road: Road) -> None:
    book = next(event for event in full() if isinstance(event, Depth))
    levels = ["1234567890.12345678"] * 1_000
    huge = msgspec.structs.replace(book, bid_price=levels, bid_quantity=levels, ask_price=levels, ask_quantity=levels)
    road.serializer.start()
    road.publish(*records([trade(1), huge, book, trade(2)]))
    road.settle()

    page = road.serializer.page
    assert len(log(road.config, "trade")) == page['delivered_total{topic="trade"}'] == 2
    assert len(log(road.config, "depth")) == page['delivered_total{topic="depth"}'] == 1
    assert page['dead_letters_total{reason="too_large",topic="depth"}'] == 1
    ((_, key, made),) = log(road.config, "gap")
    gap = gap_of(made)
    assert gap is not None
    assert (key, gap.stream, gap.repair_state) == (b"binance:BTCUSDT", "depth", "unrepairable")
    assert page['letter_gaps_total{stream="depth"}'] == 1
    assert road.serializer.stop() == 0


@both_ways
def test_killed_at_random_points_nothing_is_lost_and_order_holds(road: Road) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    number = 0
    road.serializer.start()
    for _ in range(5):
        batch = [trade(number := number + 1) for _ in range(rng.randint(1, 1500))]
        road.publish(*records(list(batch)))
        eventually(lambda: road.unread() < rng.randint(1, 1500), 20)
        road.serializer.kill()
        road.serializer.start()
    road.settle()
    assert road.serializer.stop() == 0

    seen: dict[int, int] = {}
    accepted = []
    for partition, _, value in log(road.config, "trade"):
        message = market_pb2.Trade.FromString(value)
        if message.position >= seen.get(partition, -1) + 1:  # a consumer's watermark
            seen[partition] = message.position
            accepted.append(message.trade_number)
    assert sorted(accepted) == list(range(1, number + 1))
    page = road.serializer.page
    assert page['delivered_total{topic="trade"}'] == number, "each is counted once"
    assert page['produced_total{topic="trade"}'] >= len(log(road.config, "trade"))


def test_stop_drains_the_ring(road: Road) -> None:
    road.publish(*records([trade(n) for n in range(1, 3001)]))
    road.serializer.start()
    assert road.serializer.stop() == 0

    assert road.unread() == 0
    assert len(log(road.config, "trade")) == 3000


def limited(road: Road, limit: int | None, later: int | None = None) -> None:
    """The topics are there already, and take only so much; ``later``: after the serializer has read the limit."""
    topics.ensure_topics(road.config.kafka, 10)
    if limit is not None:
        set_limit(road, limit)
    road.serializer.start()
    if later is not None:
        set_limit(road, later)


def set_config(road: Road, key: str, value: str) -> None:
    """Of the trades' topic."""
    admin = AdminClient({"bootstrap.servers": road.config.kafka.bootstrap_servers})
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    name = road.config.kafka.topic_prefix + "trade"
    (done,) = admin.incremental_alter_configs([ConfigResource("topic", name, incremental_configs=[entry])]).values()
    done.result()


def set_limit(road: Road, limit: int) -> None:
    set_config(road, "max.message.bytes", str(limit))
    eventually(lambda: topics.message_limit(road.config.kafka, 5) == limit, 20, "the broker has the limit")


@pytest.mark.parametrize("limit", [16_384, 65_536])
def test_a_topic_that_takes_less_than_a_batch_gets_smaller_batches(road: Road, limit: int) -> None:
    limited(road, limit)
    road.publish(*records([trade(n) for n in range(1, 4001)]))
    road.settle()

    assert road.serializer.page['delivered_total{topic="trade"}'] == 4000
    assert len(log(road.config, "trade")) == 4000
    assert log(road.config, "dead_letter") == []
    assert road.serializer.stop() == 0


@both_ways
def test_of_a_batch_that_is_refused_each_message_is_judged_alone(road: Road) -> None:
    """The limit falls while we run: the client stops, the next one sends one by one, and nobody is a dead letter but
    the one that is itself too large; what a consumer's watermark lets pass is everything."""
    limited(road, None, later=3_000)
    big = msgspec.structs.replace(trade(2000), trade_id=random.Random(1).randbytes(3_000).hex())  # lz4 does not save it
    road.publish(*records([*(trade(n) for n in range(1, 2000)), big, *(trade(n) for n in range(2001, 4001))]))
    page = road.serializer.page
    eventually(lambda: page['delivered_total{topic="trade"}'] == 3999 and page["spool_records"] == 0, 60)
    road.settle()

    assert page['dead_letters_total{reason="rejected",topic="trade"}'] == 1
    assert accepted(road) == [n for n in range(1, 4001) if n != 2000]
    assert road.serializer.returncode is None, "no restart"
    assert road.serializer.stop() == 0


def accepted(road: Road) -> list[int]:
    """Numbers of the trades that a consumer's watermark lets pass."""
    seen: dict[int, int] = {}
    passed = []
    for partition, _, value in log(road.config, "trade"):
        message = market_pb2.Trade.FromString(value)
        if message.position > seen.get(partition, -1):
            seen[partition] = message.position
            passed.append(message.trade_number)
    return sorted(passed)


def test_a_refusal_that_passes_is_an_outage(road: Road) -> None:
    """The broker believes no timestamp for a while. Records go to the spool, /readyz has the broker's words, nothing
    becomes a dead letter and nothing restarts; then all of it arrives, in order."""
    limited(road, None)
    set_config(road, "message.timestamp.before.max.ms", "0")
    page = road.serializer.page
    number = 0

    def refused() -> bool:
        nonlocal number
        if road.unread() == 0:
            road.publish(*records([trade(number := number + 1) for _ in range(1000)]))
        return page["broker_refusal"] == KafkaError.INVALID_TIMESTAMP and page["spool_records"] > 1000

    eventually(refused, 30, "refused, and what comes meanwhile goes to the spool")
    assert "Broker: Invalid timestamp" in code_text(page["broker_refusal"])
    set_config(road, "message.timestamp.before.max.ms", "3600000")
    eventually(lambda: page['delivered_total{topic="trade"}'] == number and page["spool_records"] == 0, 60)

    eventually(lambda: page["broker_refusal"] == 0, 20, "nothing is refused any more")
    assert accepted(road) == list(range(1, number + 1))
    assert log(road.config, "dead_letter") == []
    assert road.serializer.returncode is None, "no restart"
    assert road.serializer.stop() == 0


def test_a_topic_that_is_deleted_is_made_anew(road: Road) -> None:
    road.serializer.start()
    road.publish(*records([trade(n) for n in range(1, 11)]))
    page = road.serializer.page
    eventually(lambda: page['delivered_total{topic="trade"}'] == 10, 60)
    admin = AdminClient({"bootstrap.servers": road.config.kafka.bootstrap_servers})
    name = road.config.kafka.topic_prefix + "trade"
    old = topics.topic_states(road.config.kafka, [name], 30.0)[name].topic_id
    for done in admin.delete_topics([name]).values():
        done.result()
    number = 10

    def made_anew() -> bool:
        nonlocal number
        road.publish(*records([trade(number := number + 1)]))
        try:
            there = topics.topic_states(road.config.kafka, [name], 30.0)
        except (KafkaException, ServiceUnavailable):
            return False
        return name in there and there[name].topic_id not in ("", old)

    eventually(made_anew, 60, "a broker that has much to do deletes it some time after it has said so")
    for _ in range(20):
        road.publish(*records([trade(number := number + 1)]))
    eventually(lambda: page['delivered_total{topic="trade"}'] == number and page["spool_records"] == 0, 90)

    assert set(range(11, number + 1)) >= set(accepted(road)) >= {number}, "what was in the old log is gone"
    assert log(road.config, "dead_letter") == []
    assert road.serializer.returncode is None, "no restart"
    assert road.serializer.stop() == 0
