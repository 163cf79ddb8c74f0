"""Ring records through our own client of librdkafka and through confluent-kafka's: the same messages, the same errors.

The broker is librdkafka's in-memory one.
"""

import itertools
import os
import random
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from eventually import eventually
from kafka.mock_broker import PARTITIONS, Broker
from samples import full, sparse, trade

from wsadapter import native
from wsadapter.events.records import encode
from wsadapter.events.streams import BY_EVENT, BY_STREAM, SPECS
from wsadapter.kafka import native_client
from wsadapter.kafka.record_producer import RecordProducer
from wsadapter.roles.serializer.message_queue import BatchQueue, DirectQueue, MessageQueue
from wsadapter.roles.serializer.partitioning import partition_of
from wsadapter.shm import ring
from wsadapter.shm.ring import RingReader, RingWriter
from wsadapter.shm.segment import Segment

pytestmark = pytest.mark.skipif(not native_client.AVAILABLE, reason="the C extension is not built, or not wanted")
TRADE, GAP = BY_STREAM["trade"].kind, BY_STREAM["gap"].kind
EPOCH = 2**63 + 7
AWAY = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
_numbers = itertools.count()


class Sender:
    """What a queue needs of the serializer's producer, and of its partitioning."""

    def __init__(self, client: Any, counts: int) -> None:
        self.producer = self.direct = client
        self.counts = array("q", [counts] * 256)
        self.refused: list[tuple[bytes, int]] = []
        self.queued: dict[int, int] = {}

    def send(self, topic: str, messages: list[dict[str, Any]], partition: int) -> None:
        if self.producer.produce_batch(topic, messages, partition) < len(messages):
            self.refused += [(m["value"][9:18], m["_error"].code()) for m in messages if m.get("_error")]

    def pass_refused(self) -> None:
        self.refused += [(one.value[9:18], one.error.code()) for one in self.direct.take_refused()]

    def split(self, kind: int, messages: list[dict[str, Any]]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        for number in range(-1, PARTITIONS):
            if part := [m for m in messages if self.partition(kind, m["key"]) == number]:
                yield number, part

    def partition(self, kind: int, key: bytes) -> int:
        return self.counts[kind] - 1 if self.counts[kind] < 2 else partition_of(key, self.counts[kind])

    def on_queued(self, kind: int, count: int) -> None:
        self.queued[kind] = self.queued.get(kind, 0) + count


@pytest.fixture
def full_ring() -> Iterator[Callable[[int, random.Random], RingReader]]:
    """Makes rings that have gone round, with records of every stream, some that are none, and long ones."""
    with_names: list[tuple[str, RingWriter, RingReader]] = []

    def make(count: int, rng: random.Random) -> RingReader:
        name = f"wsadapter-direct{os.getpid()}-{next(_numbers)}"
        ring.create(name, 1 << 20, EPOCH)
        writer, reader = RingWriter.attach(name), RingReader.attach(name)
        with_names.append((name, writer, reader))
        for _ in range(5):  # 900 kB of what is done with
            assert writer.try_write(1, bytes(180_000))
            writer.publish()
            reader.poll(1)
            reader.commit(reader.position)
        events = full() + sparse()
        for number in range(count):
            dice = rng.random()
            if dice < 0.02:
                kind, payload = rng.choice(
                    [(TRADE, b"\x09short"), (TRADE, b""), (200, b"\x01kv"), (TRADE, b"\xff" * 40)]
                )
            elif dice < 0.04:
                kind, payload = TRADE, b"\x03key" + rng.randbytes(rng.randrange(1, 60_000))
            elif dice < 0.5:
                kind, payload = TRADE, encode(trade(number, f"S{rng.randrange(40)}USDT"))
            else:
                event = rng.choice(events)
                kind, payload = BY_EVENT[type(event)].kind, encode(event)
            if not writer.try_write(kind, payload):
                break
        writer.publish()
        return reader

    yield make
    for name, writer, reader in with_names:
        writer.release()
        reader.release()
        Segment.unlink(name)


def queue_of(sender: Sender, topics: dict[int, str], direct: bool) -> MessageQueue:
    producer: Any = sender
    if direct:
        return DirectQueue(producer, producer, topics, sender.on_queued)
    return BatchQueue(producer, producer, topics, GAP, sender.on_queued)


def topics_of(prefix: str) -> dict[int, str]:
    return {spec.kind: f"{prefix}.{spec.name}" for spec in SPECS}


def client_of(settings: dict[str, Any], topics: dict[int, str], direct: bool) -> Any:
    own = {kind: topic for kind, topic in topics.items() if kind != GAP}
    return RecordProducer(settings, own) if direct else Producer(settings)


@pytest.mark.parametrize("counts", [0, 1, PARTITIONS])
def test_both_ways_send_the_same_bytes_to_the_same_places_in_order(
    broker: Broker, full_ring: Callable[[int, random.Random], RingReader], counts: int
) -> None:
    """From the ring's memory, from records that were polled, and through confluent-kafka."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    reader = full_ring(700, random.Random(seed))
    found, left, queued, sampled = [], [], [], []
    for way in ("ring", "records", "confluent"):
        reader.rewind()
        topics = topics_of(f"t{next(_numbers)}")
        direct = way != "confluent"
        sender = Sender(client_of(broker.settings, topics, direct), counts)
        queue, others = queue_of(sender, topics, direct), []
        last = None
        samples = []
        while True:
            queue.sample()
            if way == "ring":
                added = queue.add_ring(reader, 97)
                assert added is not None
                count, last, rest = added[0], added[1] or last, added[2]
            else:
                records = reader.poll(97)
                count, last, rest = len(records), records[-1] if records else last, queue.add(EPOCH, records)
            others += rest
            samples.append(sorted(queue.take_samples()))
            if not count:
                break
        queue.add_message(GAP, b"gap", b"by hand")
        queue.produce()
        eventually(lambda client=sender.producer: client.flush(0.5) == 0, 30)  # type: ignore[misc]
        assert sender.refused == []
        found.append(broker.log(topics[kind] for kind in sender.queued))
        left.append((others, last))
        sampled.append(samples)
        queued.append(sender.queued)
    assert found[0] == found[1] == found[2]
    assert left[0] == left[1] == left[2]
    assert {kind for _, kind, _ in left[0][0]} >= {GAP}, "gaps are left to who names them"
    assert sampled[0] == sampled[1] == sampled[2]
    assert len(sampled[0][0]) > 5, "the first of each kind"
    assert queued[0] == queued[1] == queued[2]
    assert sum(queued[0].values()) == sum(map(len, found[0].values())) > 200


@pytest.mark.parametrize("direct", [True, False])
def test_what_is_too_large_is_refused_alone(broker: Broker, direct: bool) -> None:
    topics = topics_of(f"t{next(_numbers)}")
    sender = Sender(client_of(broker.settings | {"message.max.bytes": 2000}, topics, direct), PARTITIONS)
    queue = queue_of(sender, topics, direct)
    records = [(8 * n, TRADE, encode(trade(n))) for n in range(300)]
    for n in (0, 100, 299):
        records[n] = (8 * n, TRADE, b"\x03key" + bytes(2000 + n))
    assert queue.add(EPOCH, records) == []
    queue.produce()
    eventually(lambda: sender.producer.flush(0.5) == 0, 30)
    assert sorted(sender.refused) == [
        (b"\x11" + (8 * n).to_bytes(8, "little"), KafkaError.MSG_SIZE_TOO_LARGE) for n in (0, 100, 299)
    ]
    assert sender.queued == {TRADE: 300}
    assert sum(map(len, broker.log([topics[TRADE]]).values())) == 297


def test_records_of_any_size_keep_their_bytes(broker: Broker) -> None:
    """Larger than what the client puts together at once, between small ones."""
    topics = topics_of(f"t{next(_numbers)}")
    sender = Sender(client_of(broker.settings, topics, True), 1)
    sizes = [1, 262_144, 5, 262_125, 262_126, 262_127, 700_000, 2, 300_000]
    payloads = [b"\x01k" + bytes([n]) * size for n, size in enumerate(sizes)]
    queue_of(sender, topics, True).add(EPOCH, [(8 * n, TRADE, payload) for n, payload in enumerate(payloads)])
    eventually(lambda: sender.producer.flush(0.5) == 0, 30)
    assert sender.refused == []
    sent = [value[18:] for _, value in broker.log([topics[TRADE]])["trade", 0]]
    assert sent == [payload[2:] for payload in payloads]


def failing(make: Callable[[dict[str, Any]], Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """What a client tells whose broker is away and whose queue is purged."""
    reports: list[Any] = []
    errors: list[Any] = []

    class Logger:
        lines: list[Any] = []

        def log(self, level: int, template: str, *values: Any) -> None:
            self.lines.append((level, template, values[0], (template % values).partition("]: ")[2].partition(" (")[0]))

    def on_delivery(error: KafkaError, message: Any) -> None:
        reports.append((error.code(), error.str(), message.topic(), message.key(), message.value(), message.headers()))

    logger = Logger()
    logger.lines = []
    client = make(
        AWAY | {
            "log_level": 6, "delivery.report.only.error": True, "on_delivery": on_delivery, "logger": logger,
            "error_cb": lambda error: errors.append((error.code(), error.str().partition(" (")[0], error.fatal())),
        }
    )  # fmt: skip
    client.produce("a", b"value", b"key", headers=[("reason", b"none"), ("bytes", b"\x00\xff")])
    client.produce_batch("b", [{"key": b"", "value": b"0"}, {"key": b"k", "value": b""}], 3)
    assert len(client) >= 3  # what is to be told counts, too
    assert client.flush(0.0) >= 3

    def told() -> bool:
        client.poll(0.05)
        return len(errors) > 1 and len(logger.lines) > 0

    eventually(told, 20)
    client.purge()
    eventually(lambda: client.poll(0.05) >= 0 and len(reports) == 3, 20)
    return sorted(reports), errors, logger.lines[:1]


def test_failures_errors_and_the_log_are_told_as_confluent_kafka_tells_them() -> None:
    ours = failing(lambda settings: RecordProducer(settings, {}))
    theirs = failing(Producer)
    assert [report[:5] for report in ours[0]] == [report[:5] for report in theirs[0]]
    assert ours[0][0][5] == [("reason", b"none"), ("bytes", b"\x00\xff")], "confluent-kafka forgets them"
    assert (ours[1][:1], ours[2]) == (theirs[1][:1], theirs[2])


def test_what_has_arrived_ends_a_wait(broker: Broker) -> None:
    """Reported by the library to ours, and to nobody else: else `flush` would look again every ten milliseconds."""
    told: list[Any] = []
    client = RecordProducer(broker.settings | {"on_delivery": lambda *report: told.append(report)}, {})
    client.produce("wakes", b"value", b"key")
    assert client.poll(60), "a wait of which each callback is the end"
    assert len(client) == 0
    assert not told


@pytest.mark.parametrize(
    "setting", [{"no.such": "thing"}, {"linger.ms": "soon"}, {"acks": 0, "enable.idempotence": True}]
)
def test_a_setting_is_refused_in_the_same_words(setting: dict[str, Any]) -> None:
    said = []
    for make in (lambda s: RecordProducer(s, {}), Producer):
        with pytest.raises(KafkaException) as error:
            make(AWAY | setting)
        said.append((error.value.args[0].code(), error.value.args[0].str()))
    assert said[0][0] == said[1][0]
    assert said[1][1].endswith(said[0][1])


def test_a_partition_that_is_not_there_is_a_refusal_and_nothing_more_is_taken(broker: Broker) -> None:
    topics = topics_of(f"t{next(_numbers)}")
    client = client_of(broker.settings, topics, True)
    sender = Sender(client, PARTITIONS)
    queue = queue_of(sender, topics, True)
    queue.add(EPOCH, [(0, TRADE, encode(trade(1)))])
    eventually(lambda: client.flush(0.5) == 0, 30)  # it knows the topic now
    sender.counts = array("q", [64] * 256)
    queue.add(EPOCH, [(8 * n, TRADE, encode(trade(n, f"S{n}"))) for n in range(1, 50)])
    assert {code for _, code in sender.refused} == {KafkaError._UNKNOWN_PARTITION}
    refused = len(sender.refused)
    queue.add(EPOCH, [(8 * n, TRADE, encode(trade(n, "S1"))) for n in range(50, 60)])
    assert len(sender.refused) == refused
    assert sender.queued[TRADE] <= 50


def test_nobody_answers() -> None:
    with pytest.raises(KafkaException):
        RecordProducer(AWAY, {}).list_topics(timeout=0.1)


def test_a_module_without_librdkafka_is_no_library() -> None:
    with pytest.raises(OSError, match="rd_kafka_"):
        native.extension.open_librdkafka(native.extension.__file__)
    with pytest.raises(OSError, match="No such file"):
        native.extension.open_librdkafka("/nonexistent.so")
    assert native_client.is_available(), "what was open stays so"


def test_wrong_arguments_are_errors(broker: Broker) -> None:
    client = native.extension.Producer({"bootstrap.servers": "127.0.0.1:1"}, {TRADE: "t"})
    right = array("q", [1] * 256)
    for counts in (b"", array("q", [1] * 255), array("q", [-1] * 256), array("q", [2**40] * 256)):
        with pytest.raises(ValueError, match="partitions"):
            client.put([], EPOCH, counts)
    for records in ([1], [(1, TRADE)], [(1, TRADE, "text")], [(-1, "x", b"")]):
        with pytest.raises((TypeError, OverflowError)):
            client.put(records, EPOCH, right)
    with pytest.raises(ValueError, match="outside"):
        client.put_ring(bytearray(64), 0, 128, 1, 0, EPOCH, right, [])
    for topics in ({0: "t"}, {256: "t"}, {"x": "t"}):
        with pytest.raises((KeyError, TypeError)):
            native.extension.Producer({}, topics)
    for headers in ([1], [("a", 1)], [("a",)]):
        with pytest.raises(TypeError):
            client.send("t", -1, b"k", b"v", headers)
    assert client.take() == {}


def test_what_a_failed_call_had_taken_is_not_sent_by_the_next_one(broker: Broker) -> None:
    """Its keys lie where they came from, which is memory of others by then."""
    topics = topics_of(f"t{next(_numbers)}")
    client, counts = client_of(broker.settings, topics, True), array("q", [1] * 256)
    with pytest.raises(TypeError):
        client.put([(number, TRADE, b"\x05AAAAAvalue%d" % number) for number in range(40)] + [None], EPOCH, counts)
    assert client.put([(99, TRADE, b"\x01kgood")], EPOCH, counts) == []
    eventually(lambda: client.flush(0.5) == 0, 30)
    assert [(key, value[18:]) for key, value in broker.log([topics[TRADE]])["trade", 0]] == [(b"k", b"good")]
