"""Our own consumer does what confluent-kafka's does, and its messages are read in place as they are in Python."""

import gc
import itertools
import random
import struct
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from eventually import eventually
from kafka.mock_broker import PARTITIONS, Broker
from samples import random_event

from wsadapter.events import Event, records
from wsadapter.events.streams import BY_EVENT, SPECS
from wsadapter.kafka import native_client
from wsadapter.kafka.confluent_consumer import ConfluentConsumer
from wsadapter.kafka.framing import NO_STOP, frame, frame_in_python
from wsadapter.kafka.record_consumer import RecordConsumer, new_consumer
from wsadapter.kafka.runs import Run
from wsadapter.reader.decoding import decoder, in_python

pytestmark = pytest.mark.skipif(not native_client.AVAILABLE, reason="the C extension is not built, or not wanted")

Client = RecordConsumer | ConfluentConsumer
BOTH = pytest.mark.parametrize("make", [RecordConsumer, ConfluentConsumer])
AWAY = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "group.id": "away"}
_numbers = itertools.count()


class Told:
    """What a client calls back with."""

    def __init__(self) -> None:
        self.commits: list[Any] = []
        self.errors: list[Any] = []
        self.statistics: list[Any] = []
        self.assigned: list[Any] = []
        self.revoked: list[Any] = []


def settings(broker: Broker, **more: object) -> dict[str, Any]:
    named = {key.replace("_", "."): value for key, value in more.items()}
    return {
        "bootstrap.servers": broker.address, "group.id": f"g{next(_numbers)}", "enable.auto.commit": False,
        "enable.auto.offset.store": False, "fetch.wait.max.ms": 10, "log_level": 0, **named,
    }  # fmt: skip


def sent(broker: Broker, messages: list[tuple[int, bytes | None, bytes | None]]) -> str:
    """A new topic with these (partition, key, value)."""
    topic, producer = f"c{next(_numbers)}", Producer({"bootstrap.servers": broker.address, "log_level": 0})
    for partition, key, value in messages:
        producer.produce(topic, value, key, partition)
    eventually(lambda: producer.flush(0.5) == 0, 30)
    return topic


def taken(client: Client, count: int, **arguments: Any) -> tuple[list[Run], list[Any]]:
    """So many messages, and whatever comes with them."""
    runs: list[Run] = []
    failed: list[Any] = []

    def enough() -> bool:
        more = client.take(20, 0.1, **arguments)
        runs.extend(more[0])
        failed.extend(more[1])
        return sum(len(run.messages) for run in runs) >= count

    eventually(enough, 30)
    return runs, failed


def no_more(client: Client, failed: list[Any], count: int) -> bool:
    """So many errors have come."""
    failed += client.take(1, 0.1)[1]
    return len(failed) >= count


def seen(runs: list[Run]) -> dict[int, list[Any]]:
    """Partition -> what its messages say of themselves."""
    found: dict[int, list[Any]] = {}
    for run in runs:
        for message in run.messages:
            assert (message.partition(), run.messages[0].offset() <= message.offset()) == (run.partition, True)
            found.setdefault(run.partition, []).append(
                (message.offset(), message.timestamp()[1], message.key(), message.value())
            )
    return found


def some(count: int, rng: random.Random) -> list[tuple[int, bytes | None, bytes | None]]:
    keys = (b"binance:BTCUSDT", b"", None, b"\xff\0")
    return [
        (rng.randrange(PARTITIONS), rng.choice(keys), rng.choice((None, b"", rng.randbytes(rng.randrange(1, 300)))))
        for _ in range(count)
    ]


def test_both_take_the_same_messages(broker: Broker) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    messages = some(900, random.Random(seed))
    topic = sent(broker, messages)
    found: list[dict[int, list[Any]]] = []
    wanted_found: list[dict[int, list[Any]]] = []
    ends: list[tuple[dict[int, tuple[int, int]], list[Any]]] = []
    for make in (RecordConsumer, ConfluentConsumer):
        for wanted in (None, {b"binance:BTCUSDT": True, b"": True, None: False, b"\xff\0": False}):
            client = make(settings(broker, enable_partition_eof=True))
            client.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
            expected = sum(wanted is None or wanted[key] for _, key, _ in messages)
            runs, failed = taken(client, expected, wanted=wanted)
            eventually(partial(no_more, client, failed, PARTITIONS), 30)
            (found if wanted is None else wanted_found).append(seen(runs))
            last = {run.partition: (run.last_offset, run.last_ms) for run in runs}
            ends.append((last, sorted((e.error().code(), e.topic(), e.partition()) for e in failed)))
            client.close()
    assert found[0] == found[1]
    assert wanted_found[0] == wanted_found[1]
    assert len([*chain(*found[0].values())]) == 900 > len([*chain(*wanted_found[0].values())]) > 0
    assert ends[0][1] == ends[2][1] == [(KafkaError._PARTITION_EOF, topic, number) for number in range(PARTITIONS)]
    assert ends[0][0] == ends[2][0], "wanted or not, the last one is told"


@BOTH
def test_partitions_come_and_go_and_pause(broker: Broker, make: Callable[[dict[str, Any]], Client]) -> None:
    topic = sent(broker, [(number % 2, b"k", str(number).encode()) for number in range(20)])
    client = make(settings(broker, auto_offset_reset="error"))
    client.incremental_assign([TopicPartition(topic, 0, 4)])
    assert [message[0] for message in seen(taken(client, 6)[0])[0]] == [4, 5, 6, 7, 8, 9]
    client.incremental_assign([TopicPartition(topic, 1, 9)])
    assert {(at.topic, at.partition) for at in client.assignment()} == {(topic, 0), (topic, 1)}
    assert seen(taken(client, 1)[0])[1][0][3] == b"19"
    assert client.get_watermark_offsets(TopicPartition(topic, 1), cached=True) == (0, 10)
    client.incremental_unassign([TopicPartition(topic, 1)])
    client.incremental_assign([TopicPartition(topic, 1, 8)])
    assert [message[0] for message in seen(taken(client, 2)[0])[1]] == [8, 9]
    client.pause([TopicPartition(topic, 0)])
    client.assign([TopicPartition(topic, 0, 9), TopicPartition(topic, 1, 1000)])
    failed: list[Any] = []
    eventually(partial(no_more, client, failed, 1), 20)
    assert (failed[0].error().code(), failed[0].topic(), failed[0].partition()) == (
        KafkaError._AUTO_OFFSET_RESET, topic, 1,
    )  # fmt: skip
    assert "out of range" in failed[0].error().str()
    client.resume([TopicPartition(topic, 0)])
    (at,) = client.offsets_for_times([TopicPartition(topic, 0, 2**62)], timeout=60)
    assert (at.topic, at.partition, at.offset, at.error) == (topic, 0, -1, None)
    client.close()


@BOTH
def test_a_group_is_joined_committed_to_and_left(broker: Broker, make: Callable[[dict[str, Any]], Client]) -> None:
    topic = sent(broker, [(number, b"k", b"v") for number in range(PARTITIONS)])
    told, own = Told(), settings(broker)
    more = {
        "on_commit": lambda error, places: told.commits.append((error, [(at.partition, at.offset) for at in places])),
        "stats_cb": told.statistics.append, "statistics.interval.ms": 50,
    }  # fmt: skip
    client = make(own | more)

    def on_assign(consumer: Any, places: list[Any]) -> None:
        told.assigned += [(at.topic, at.partition) for at in places]
        assert {at.offset for at in consumer.committed(places, timeout=60)} == {-1001}
        consumer.assign([TopicPartition(at.topic, at.partition, 0) for at in places])

    client.subscribe(
        [topic], on_assign, lambda _, places: told.revoked.extend((at.topic, at.partition) for at in places)
    )
    taken(client, PARTITIONS)
    everything = [(topic, number) for number in range(PARTITIONS)]
    assert sorted(told.assigned) == everything
    client.commit(offsets=[TopicPartition(topic, 1, 7, metadata="w2:ü:" + "x" * 400)], asynchronous=True)
    eventually(lambda: client.take(1, 0.1) is not None and len(told.commits) > 0 and len(told.statistics) > 0, 20)
    assert told.commits == [(None, [(1, 7)])]
    assert b"brokers" in bytes(told.statistics[0], "utf-8") if isinstance(told.statistics[0], str) else told.statistics
    client.commit(offsets=[TopicPartition(topic, 2, 8, metadata="w3")], asynchronous=False)
    places = [TopicPartition(topic, number) for number in range(3)]
    assert [(at.offset, at.metadata) for at in client.committed(places, timeout=60)][1:] == [
        (7, "w2:ü:" + "x" * 400), (8, "w3"),
    ]  # fmt: skip
    client.close()
    assert sorted(told.revoked) == everything
    for other in (RecordConsumer, ConfluentConsumer):  # whoever has committed it, either can read it
        again: Client = other(own)
        kept = [(at.offset, at.metadata) for at in again.committed(places, timeout=60)]
        assert (kept[0][0], kept[1:]) == (-1001, [(7, "w2:ü:" + "x" * 400), (8, "w3")])
        again.close()


@BOTH
def test_what_a_rebalance_raises_ends_the_call(broker: Broker, make: Callable[[dict[str, Any]], Client]) -> None:
    topic = sent(broker, [(0, b"k", b"v")])
    client = make(settings(broker))

    def on_assign(consumer: Any, places: list[Any]) -> None:
        raise LookupError("no state")

    client.subscribe([topic], on_assign, lambda _, places: None)
    with pytest.raises(LookupError, match="no state"):
        taken(client, 1)
    client.close()


@pytest.mark.parametrize("setting", [{"no.such": "thing"}, {"fetch.min.bytes": "few"}])
def test_a_setting_is_refused_in_the_same_words(setting: dict[str, Any]) -> None:
    said = []
    for make in (RecordConsumer, ConfluentConsumer):
        with pytest.raises(KafkaException) as error:
            make(AWAY | setting)
        said.append((error.value.args[0].code(), error.value.args[0].str()))
    assert said[0][0] == said[1][0]
    assert said[1][1].endswith(said[0][1])


def test_a_consumer_without_a_group_is_refused() -> None:
    with pytest.raises(KafkaException, match=r"wants a group\.id"):
        RecordConsumer(AWAY | {"group.id": ""})


@BOTH
def test_a_broker_that_is_away_is_told(make: Callable[[dict[str, Any]], Client]) -> None:
    told = Told()
    client = make(AWAY | {"error_cb": lambda error: told.errors.append((error.code(), error.fatal()))})
    with pytest.raises(KafkaException):
        client.list_topics(timeout=0.1)
    with pytest.raises(KafkaException) as late:
        client.committed([TopicPartition("t", 0)], timeout=0.1)
    assert late.value.args[0].code() in (KafkaError._TIMED_OUT, KafkaError._WAIT_COORD, KafkaError._TRANSPORT)
    eventually(lambda: client.take(1, 0.05) is not None and len(told.errors) > 1, 20)
    assert {code for code, _ in told.errors} <= {
        KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE,
    }  # fmt: skip
    client.close()
    with pytest.raises(RuntimeError):
        client.take(1, 0)


def test_messages_outlive_their_client_and_are_given_back(broker: Broker) -> None:
    topic = sent(broker, [(0, b"k", str(number).encode()) for number in range(50)])
    client = RecordConsumer(settings(broker))
    client.assign([TopicPartition(topic, 0, 0)])
    runs, _ = taken(client, 50)
    client.close()
    client.close()
    first: Any = runs[0].messages
    for run in runs[1:]:
        first.extend(run.messages)
        assert len(run.messages) == 0
    assert [message.value() for message in first] == [str(number).encode() for number in range(50)]
    first.drop(49)
    assert (len(first), first[0].offset(), first[-1].value()) == (1, 49, b"49")
    with pytest.raises(IndexError):
        first[1]
    for count in (-1, 2):
        with pytest.raises(ValueError, match="not there"):
            first.drop(count)
    for wrong in (first, [first], None):
        with pytest.raises(TypeError):
            first.extend(wrong)
    runs.clear()
    del run, first
    gc.collect()
    for most, seconds in ((0, 0.0), (10**6, 0.0)):
        one = RecordConsumer(AWAY)
        with pytest.raises(ValueError, match="messages"):
            one.take(most, seconds)
    del one  # not closed


@BOTH
def test_no_client_is_closed_by_hand(broker: Broker, make: Callable[[dict[str, Any]], Client]) -> None:
    client = make(settings(broker))
    client.assign([TopicPartition(sent(broker, [(0, b"k", b"v")]), 0, 0)])
    runs, _ = taken(client, 1)
    del client
    gc.collect()
    assert runs[0].messages[0].value() == b"v"


def test_the_one_in_c_is_used_where_it_is(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    for available, kind in ((True, RecordConsumer), (False, ConfluentConsumer)):
        monkeypatch.setattr("wsadapter.kafka.record_consumer.AVAILABLE", available)
        client = new_consumer(settings(broker))
        assert type(client) is kind
        client.close()


class AllKnown:
    def __contains__(self, at_ns: object) -> bool:
        return True


def test_messages_are_decoded_in_place_as_bytes_are(broker: Broker) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    values: dict[str, list[bytes | None]] = {spec.name: [] for spec in SPECS}
    for number in range(400):
        event, epoch = random_event(rng), rng.randrange(1, 3)
        made: list[dict[str, bytes]] = []
        spec = BY_EVENT[type(event)]
        records.messages([(rng.randrange(number + 9), spec.kind, records.encode(event))], epoch, {spec.kind: made})
        value = made[0]["value"]
        values[spec.name].append(rng.choice((value,) * 20 + (value[:-3], value[18:], b"", None)))
    for spec in SPECS:
        topic = sent(broker, [(0, b"k", value) for value in values[spec.name]])
        client = RecordConsumer(settings(broker))
        client.assign([TopicPartition(topic, 0, 0)])
        runs, _ = taken(client, len(values[spec.name]))
        messages: Any = runs[0].messages if runs else []
        for run in runs[1:]:
            messages.extend(run.messages)
        client.close()
        found = []
        for decode, held in ((decoder(spec.name), messages), (in_python(spec), values[spec.name])):
            out: list[Event] = []
            marks: dict[int, int] = {}
            stops, at = [], 0
            while at < len(held):
                at = decode(held, at, marks, {}, AllKnown(), out)
                stops.append(at)
                at += 1
            found.append((out, marks, stops))
        assert found[0] == found[1]


def test_messages_are_framed_in_place_as_bytes_are(broker: Broker) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng, values = random.Random(seed), list[bytes | None]()
    for number in range(600):
        head = struct.pack("<BQBQ", 9, rng.randrange(1, 3), 17, rng.randrange(number, number + 9))
        value = head + rng.randbytes(rng.choice((0, 109, 110, 3000)))
        values.append(rng.choice((value,) * 40 + (value[9:], b"", None)))
    client = RecordConsumer(settings(broker))
    client.assign([TopicPartition(sent(broker, [(0, b"k", value) for value in values]), 0, 0)])
    runs, _ = taken(client, len(values))
    messages: Any = runs[0].messages
    for run in runs[1:]:
        messages.extend(run.messages)
    client.close()
    messages.drop(7)
    found = []
    for make, content, offsets in (
        (frame, messages.values, messages.offsets),
        (frame_in_python, values[7:], [*range(7, len(values))]),
    ):
        marks, body, at, next_offset, said = {1: 100}, bytearray(), 0, 50, list[Any]()
        while at < len(messages):
            at, next_offset, *more = make(content, offsets, at, next_offset, 580, marks, body)
            said.append((at, next_offset, more))
            at += 1
        found.append((marks, body, said))
    assert found[0] == found[1]
    with pytest.raises(TypeError):
        frame(messages.values, [*range(7, len(values))], 0, 0, NO_STOP, {}, bytearray())
