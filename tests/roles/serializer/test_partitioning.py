"""Keys go where the Kafka clients send them; what is sent again when partitions were added goes where it went."""

import errno
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Producer
from roles.serializer.test_spooling import FRAMED, KIND, Page, Ring
from samples import trade

from wsadapter import files, metrics
from wsadapter.config.model import KafkaConfig
from wsadapter.events.records import encode
from wsadapter.pb import market_pb2
from wsadapter.roles.serializer.delivery import Delivery
from wsadapter.roles.serializer.partitioning import murmur2, partition_of
from wsadapter.roles.serializer.spool_generations import SpoolGenerations
from wsadapter.roles.serializer.spooling import Spooling

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "BNBUSDT", "LTCUSDT")


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        ("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829), ("abc", 479470107),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)  # fmt: skip
def test_the_hash_is_kafkas(key: str, hashed: int) -> None:
    """Vectors of Kafka's own test."""
    assert murmur2(key.encode()) == hashed % 2**32


def test_keys_go_where_librdkafka_sends_them() -> None:
    client = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "partitioner": "murmur2_random"})
    client.list_topics("t", timeout=60)
    count = len(client.list_topics("t", timeout=60).topics["t"].partitions)
    rng = random.Random(1)
    sent: list[tuple[int, int]] = []

    def delivered(error: Any, message: Any) -> None:
        sent.append((message.partition(), partition_of(message.key(), count)))

    for _ in range(500):
        client.produce("t", b"", rng.randbytes(rng.randint(1, 40)), on_delivery=delivered)
    assert client.flush(30) == 0
    assert len(sent) == 500
    assert all(partition == expected for partition, expected in sent)


class Trades(Ring):
    """A ring in memory with trades of several symbols."""

    def poll(self, limit: int) -> list[tuple[int, int, bytes]]:
        return [(at, KIND, payload(at)) for at, _, _ in super().poll(limit)]


def payload(position: int) -> bytes:
    number = position // FRAMED
    return encode(trade(number, SYMBOLS[number % len(SYMBOLS)]))


class Broker:
    """A topic; a kill leaves a part of what was sent in its log."""

    def __init__(self) -> None:
        self.partitions = 4
        self.log: list[tuple[int, int, int]] = []
        """(partition, epoch, position)"""
        self.queue: list[tuple[int, int, int]] = []
        self.dead: Counter[tuple[str, str]] = Counter()
        self.letter_gaps: Counter[str] = Counter()
        self.is_refused = self.is_direct = False
        self.renewed = 0

    def send(self, topic: str, messages: Sequence[dict[str, Any]], partition: int) -> None:
        for message in messages:
            one = market_pb2.Trade.FromString(message["value"])
            where = partition if partition >= 0 else partition_of(message["key"], self.partitions)
            self.queue.append((where, one.epoch, one.position))

    def flush(self, seconds: float) -> bool:
        self.log += self.queue
        self.queue.clear()
        return True

    def rejoin(self) -> None:
        """It sends in batches."""

    def renew(self) -> None:
        self.renewed += 1

    def acknowledged(self) -> None:
        """Nothing was refused."""

    def killed(self, reached: set[int]) -> None:
        """The client is gone; of what it had queued only these partitions have theirs."""
        self.log += [one for one in self.queue if one[0] in reached]
        self.queue.clear()

    def accepted(self) -> list[int]:
        """Positions that a consumer takes."""
        seen: dict[int, int] = {}
        positions = []
        for partition, _, position in self.log:
            if position > seen.get(partition, -1):
                seen[partition] = position
                positions.append(position)
        return sorted(positions)


class Rig:
    def __init__(self, directory: Path) -> None:
        self.page, self.ring, self.broker = Page(), Trades(100, 1 << 20), Broker()
        self.directory = directory
        self.spools = self.spools_of(1)
        self.start()

    def spools_of(self, run: int) -> SpoolGenerations:
        return SpoolGenerations(str(self.directory), run, "serializer-0", 1 << 20, True)

    def start(self, is_known: bool = True) -> None:
        """A serializer begins and learns how many partitions there are."""
        self.ring.rewind()
        page, producer, rings = cast(Any, self.page), cast(Any, self.broker), cast(Any, [self.ring])
        self.delivery = Delivery(page, KafkaConfig(), producer, rings, self.spools)
        if is_known:
            self.delivery.partitioning.learn({KIND: self.broker.partitions})

    def reboot(self, run: int, is_known: bool = True) -> None:
        """Nothing is left but the disk, and the ring is empty: what was in it is on the spool."""
        assert self.ring.head == self.ring.tail
        self.spools.close()
        self.page, self.spools = Page(), self.spools_of(run)
        self.start(is_known)

    def spool(self) -> None:
        """The broker has not acknowledged in time: all that is in the ring goes to the disk."""
        self.delivery.leave_to_spool()
        self.ring.rewind()
        readers: Any = [self.ring]
        assert Spooling(self.spools, readers, self.delivery).spool()

    def replay(self, batch: int) -> None:
        self.delivery.send(self.spools.poll(batch))
        assert self.delivery.arrived(0.0)
        self.delivery.commit_spool()

    def replay_all(self) -> None:
        while self.spools.records:
            self.replay(25)

    def send(self, limit: int = 10_000) -> None:
        self.delivery.build(self.ring.epoch, self.ring.poll(limit))
        self.delivery.produce()

    def acknowledge(self) -> None:
        assert self.delivery.arrived(0.0)
        self.delivery.commit_rings(cast(Any, [self.ring]))

    @property
    def count(self) -> int:
        return self.page['partitions{topic="trade"}']


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "spool")
    yield made
    made.spools.close()


@pytest.mark.parametrize("reached", [{0}, {1}, {2}, {3}, {0, 1}, {2, 3}, {0, 3}, {1, 2, 3}])
def test_partitions_are_added_and_the_serializer_is_killed_in_mid_batch(rig: Rig, reached: set[int]) -> None:
    rig.ring.write(40)
    rig.send()
    rig.acknowledge()
    rig.ring.write(40)
    rig.send()
    rig.broker.killed(reached)
    rig.broker.partitions = 5
    rig.start()
    assert rig.count == 4, "what was sent under it may be sent again"
    rig.ring.write(40)
    rig.send(30)
    rig.acknowledge()
    rig.broker.killed(reached)
    rig.start()  # killed once more, half way
    assert rig.count == 4
    rig.send(40)
    rig.broker.killed(reached)
    rig.start()
    rig.send()
    rig.acknowledge()
    assert (rig.count, rig.broker.renewed) == (5, 1), "all that was sent under the old count is through"
    rig.ring.write(40)
    rig.send()
    rig.acknowledge()
    assert rig.broker.accepted() == rig.ring.published
    assert {partition for partition, _, _ in rig.broker.log} == set(range(5))


@pytest.mark.parametrize("reached", [{0}, {1}, {2}, {3}, {0, 1}, {2, 3}, {0, 3}, {1, 2, 3}])
def test_partitions_are_added_while_the_host_is_down_and_records_are_on_the_spool(rig: Rig, reached: set[int]) -> None:
    """The page has gone with the shared memory; the spool has the counts with it, over as many reboots as it takes."""
    rig.ring.write(40)
    rig.send()
    rig.acknowledge()
    rig.ring.write(40)
    rig.send()
    rig.spool()
    rig.broker.killed(reached)
    rig.broker.partitions = 5
    rig.reboot(2)
    assert rig.count == 5, "what is in the new rings was never sent"
    rig.replay(30)
    rig.ring.write(40)
    rig.spool()
    rig.delivery.send(rig.spools.poll(10))
    rig.broker.killed(reached)
    rig.broker.partitions = 6
    rig.reboot(3)
    rig.replay_all()
    assert sorted(set(rig.broker.accepted())) == rig.ring.published
    rig.ring.write(40)
    rig.send()
    rig.acknowledge()
    assert rig.broker.accepted() == rig.ring.published
    assert {partition for partition, _, _ in rig.broker.log} >= {4, 5}


def test_what_was_spooled_before_the_count_was_known_keeps_that_of_its_first_replay(rig: Rig) -> None:
    """The broker was away when the run began: the file has the count before anything is sent under it."""
    rig.reboot(2, is_known=False)
    rig.ring.write(40)
    rig.spool()
    assert rig.spools.partitions == {}
    rig.delivery.partitioning.learn({KIND: 4})
    rig.delivery.send(rig.spools.poll(100))
    rig.broker.killed({1, 2})
    rig.broker.partitions = 5
    rig.reboot(3)
    rig.replay_all()
    assert rig.broker.accepted() == rig.ring.published
    assert {partition for partition, _, _ in rig.broker.log} == set(range(4))


def test_a_spool_whose_counts_cannot_be_written_takes_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    record = (rig.ring.epoch, 0, KIND, payload(0))
    with monkeypatch.context() as full:
        full.setattr(files, "replace", no_room)
        assert rig.spools.append([record], {KIND: 4}) == 0
        assert rig.spools.records == 0
    assert rig.spools.append([record], {KIND: 4}) == 1


def test_what_was_spooled_for_a_topic_that_has_fewer_partitions_now_follows_it(rig: Rig) -> None:
    rig.ring.write(40)
    rig.send()
    rig.spool()
    rig.broker.killed(set())
    rig.broker.partitions = 2
    rig.reboot(2)
    rig.replay_all()
    assert rig.broker.accepted() == rig.ring.published
    assert {partition for partition, _, _ in rig.broker.log} == {0, 1}


def test_a_topic_with_fewer_partitions_is_another_one(rig: Rig) -> None:
    rig.ring.write(5)
    rig.send()
    rig.broker.killed(set())
    rig.broker.partitions = 2
    rig.start()
    assert rig.count == 2


def test_a_client_that_is_given_up_may_have_sent_what_is_in_the_rings(rig: Rig) -> None:
    rig.ring.write(5)
    rig.delivery.partitioning.learn({KIND: 6})
    rig.ring.write(5)
    rig.send()
    rig.delivery.forget()
    rig.ring.rewind()
    rig.send(5)
    rig.acknowledge()
    assert rig.count == 4
    rig.send()
    rig.acknowledge()
    assert rig.count == 6


def test_a_count_that_is_not_known_is_the_clients(rig: Rig) -> None:
    assert 'partitions{topic="depth"}' in metrics.SERIALIZER
    other = next(kind for kind in rig.delivery.partitioning._counts if kind != KIND)
    messages = [{"key": b"key", "value": b""}]
    assert list(rig.delivery.partitioning.split(other, messages)) == [(-1, messages)]
