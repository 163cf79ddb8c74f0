"""Damage in one ring: it costs what lies behind it there, is counted, and the other rings are read."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from samples import NS, trade

from wsadapter import metrics
from wsadapter.config.model import KafkaConfig
from wsadapter.events.records import Record, encode, messages_in_python
from wsadapter.events.streams import BY_EVENT
from wsadapter.pb import market_pb2
from wsadapter.roles.serializer.delivery import Delivery, Reader
from wsadapter.roles.serializer.redundant_reader import attach
from wsadapter.roles.serializer.spool_generations import SpoolGenerations
from wsadapter.roles.serializer.spooling import Spooling
from wsadapter.shm import ring, watermarks
from wsadapter.shm.ring import DATA, RingWriter, scan_in_python
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import RingRef

NAME = f"wsadapter-damaged{os.getpid()}"
KIND = BY_EVENT[type(trade(1))].kind
TAIL = 128


class Broker:
    """Takes everything at once."""

    def __init__(self) -> None:
        self.dead: Counter[tuple[str, str]] = Counter()
        self.letter_gaps: Counter[str] = Counter()
        self.numbers: list[int] = []
        self.gaps: list[Any] = []
        self.is_refused = self.is_direct = False

    def send(self, topic: str, messages: Sequence[dict[str, Any]], partition: int) -> None:
        if topic.endswith("gap"):
            self.gaps += [market_pb2.Gap.FromString(message["value"]) for message in messages]
            return
        self.numbers += [market_pb2.Trade.FromString(message["value"]).trade_number for message in messages]

    def flush(self, seconds: float) -> bool:
        return True

    def acknowledged(self) -> None:
        """Nothing was refused."""


class DirectBroker(Broker):
    """The same for records, in the place of the client in C."""

    def __init__(self) -> None:
        super().__init__()
        self.is_direct = True
        self.direct = self
        self.taken: dict[int, int] = {}

    def put(self, records: list[Record], epoch: int, counts: Any) -> list[Record]:
        built: list[dict[str, Any]] = []
        left = messages_in_python(records, epoch, {KIND: built})
        self.taken[KIND] = self.taken.get(KIND, 0) + len(built)
        self.send("trade", built, 0)
        return left

    def put_ring(
        self, mapping: Any, at: int, stop: int, limit: int, lap: int, epoch: int, counts: Any, left: list[Record]
    ) -> tuple[int, int, int, int, Record | None]:
        records: list[Record] = []
        where = scan_in_python(mapping, at, stop, limit, lap, records)
        left += self.put(records, epoch, counts)
        return (*where, records[-1] if records else None)

    def take_counts(self) -> dict[int, int]:
        taken, self.taken = self.taken, {}
        return taken

    def pass_refused(self) -> None:
        """Nothing was refused."""


class Serializer:
    """Two rings, the first of them to be damaged; redundant ones have the same lines."""

    def __init__(self, directory: Path, redundant: bool, broker: Broker) -> None:
        marks = f"{NAME}-marks" if redundant else ""
        if redundant:
            watermarks.prepare(marks, 20)
        self.refs = [RingRef(f"c{n}", f"{NAME}-{n}", NS + n, 0, marks, n) for n in (0, 1)]
        for ref in self.refs:
            ring.create(ref.name, 1 << 16, ref.epoch)
        self.writers = [RingWriter.attach(ref.name) for ref in self.refs]
        self.page = StatsPage.create(f"{NAME}-page", metrics.SERIALIZER)
        self.broker, self.spools = broker, SpoolGenerations(str(directory), 1, "serializer-0", 1 << 20, True)

    def start(self) -> None:
        self.readers: list[Reader] = attach(self.refs, self.page)
        self.delivery = Delivery(self.page, KafkaConfig(), cast(Any, self.broker), self.readers, self.spools)
        Spooling(self.spools, self.readers, self.delivery)

    def write(self, number: int, *trades: int) -> None:
        for one in trades:
            assert self.writers[number].try_write(KIND, encode(trade(one)))
        self.writers[number].publish()

    def cycles(self) -> None:
        for _ in range(3):
            for reader in self.readers:
                self.delivery.take(reader, 100)
            self.delivery.produce()
            assert self.delivery.arrived(0.0)
            self.delivery.commit_rings(self.readers)

    def store(self, number: int, offset: int, word: int) -> None:
        segment = Segment.attach(self.refs[number].name, writable=True)
        with segment.buf[offset : offset + 8] as octets:
            octets[:] = word.to_bytes(8, "little")
        segment.close()

    def close(self) -> None:
        self.spools.close()
        for view in (*self.readers, *self.writers, self.page):
            view.release()
        for name in (*(ref.name for ref in self.refs), f"{NAME}-page", f"{NAME}-marks"):
            Segment.unlink(name)


@pytest.fixture(params=[Broker, DirectBroker], ids=["messages", "direct"])
def broker(request: pytest.FixtureRequest) -> Broker:
    made: Broker = request.param()
    return made


@pytest.fixture(params=[False, True], ids=["alone", "redundant"])
def serializer(tmp_path: Path, broker: Broker, request: pytest.FixtureRequest) -> Iterator[Serializer]:
    made = Serializer(tmp_path / "spool", request.param, broker)
    yield made
    made.close()


def test_a_damaged_record_costs_what_lies_behind_it_and_no_more(serializer: Serializer) -> None:
    serializer.write(0, 1, 2)
    second = serializer.writers[0].last_position
    serializer.write(0, 3)
    serializer.store(0, DATA + second, 0)  # no kind, no length
    serializer.start()
    serializer.write(1, 100)
    serializer.cycles()
    serializer.write(0, 101)
    for reader in serializer.readers:
        serializer.delivery.poll(reader, 100)
        reader.rewind()  # an acknowledgement that does not come: all of it is polled again
    serializer.cycles()

    assert sorted(serializer.broker.numbers) == [1, 100, 101]
    assert serializer.page["ring_damaged_bytes_total"] == serializer.writers[0].last_position - second
    assert serializer.page['delivered_total{topic="trade"}'] == 3
    assert all(reader.head == reader.tail for reader in serializer.readers)
    (gap,) = [gap for gap in serializer.broker.gaps if gap.cause == "decode"]
    assert (gap.exchange, gap.connection, gap.repair_state) == ("binance", trade(1).connection, "open")
    assert (gap.started_ns, gap.ended_ns) == (trade(1).receive_time_ns, trade(101).receive_time_ns)


def test_a_ring_whose_tail_is_none_is_left_alone(serializer: Serializer) -> None:
    serializer.start()
    serializer.write(0, 1)
    serializer.cycles()
    serializer.store(0, TAIL, (1 << 40) + 3)
    serializer.write(1, 2)
    serializer.cycles()

    assert serializer.broker.numbers == [1, 2]
    assert serializer.page["ring_damaged_bytes_total"] == 0


def test_a_segment_that_is_no_ring_is_left_out(serializer: Serializer) -> None:
    serializer.store(0, 0, 7)
    serializer.write(1, 1)
    serializer.start()
    serializer.cycles()

    assert serializer.broker.numbers == [1]
