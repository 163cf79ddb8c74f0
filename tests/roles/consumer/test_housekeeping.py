"""Where a log is read on that no longer holds the next offset, and what is published of what it lost."""

import gc
import select
import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Message

from wsadapter.config.model import KafkaConfig, ServiceConfig
from wsadapter.events.streams import BY_STREAM
from wsadapter.kafka.messages import gap_of, identify_as
from wsadapter.kafka.topics import TopicState
from wsadapter.pb import market_pb2
from wsadapter.roles.consumer import dead_letters, endpoint_cells, housekeeping
from wsadapter.roles.consumer.batches import Partition
from wsadapter.roles.consumer.commit_metadata import CommitMetadata
from wsadapter.roles.consumer.dead_letters import DeadLetterProducer
from wsadapter.roles.consumer.housekeeping import (
    GARBAGE_SECONDS,
    TAIL_LOOKBACK_MS,
    UNREAD_SECONDS,
    Housekeeping,
    LogEnds,
)
from wsadapter.supervision.child import ChildState

SPEC = BY_STREAM["trade"]
KEY = ("t.trade", 0)
READ_MS = 1_000_000_000
FIRST_NS = 1_000_900 * 1_000_000_000
"""When the first message that the log still has was received."""


class Broker:
    """Stands for the log of one partition, and takes what is published."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.topic_id = "id"
        self.bounds = 0, 0
        self.by_time: dict[int, int] = {}
        self.published: list[bytes] = []
        answers: dict[str, Any] = {
            "topic_states": lambda kafka, names, timeout: {KEY[0]: TopicState(1, self.topic_id)},
            "log_bounds": lambda kafka, keys, timeout: {KEY: self.bounds},
            "offset_at": lambda kafka, key, at_ms, timeout: self.by_time.get(at_ms),
            "record_at": lambda kafka, key, offset, timeout: self._record(offset),
        }
        for name, answer in answers.items():
            monkeypatch.setattr(housekeeping, name, answer)
        monkeypatch.setattr(dead_letters, "Producer", lambda settings: self)

    def _record(self, offset: int) -> Message:
        value = market_pb2.Trade(symbol="X", receive_time_ns=FIRST_NS).SerializeToString()
        return Message(topic=KEY[0], partition=0, offset=offset, value=value, timestamp=(1, READ_MS + 999_999))

    def produce(self, topic: str, value: bytes, key: bytes, on_delivery: Any) -> None:
        self.published.append(value)

    def flush(self, seconds: float) -> int:
        return 0

    @property
    def gaps(self) -> list[Any]:
        return [gap_of(value) for value in self.published]


def at(broker: Broker, offset: int, progress: CommitMetadata, exchanges: tuple[str, ...] = ("binance",)) -> Partition:
    """A partition whose offset is out of range, after the housekeeper has gone on with it."""
    kafka = KafkaConfig()
    partition = Partition(SPEC, *KEY, offset, progress, b"INSERT\n", identify_as(SPEC))
    feeds = tuple(SimpleNamespace(exchange=name) for name in exchanges)
    config = SimpleNamespace(
        service=ServiceConfig("i", "/nowhere"),
        kafka=kafka,
        feed=feeds,
        process_of=lambda name: SimpleNamespace(count=1),
    )
    child: Any = SimpleNamespace(args=SimpleNamespace(config=config, name="consumer-0"), page={}, beat=lambda: None)
    group: Any = SimpleNamespace(seek=lambda key, offset, topic_id: partition.seek(offset, topic_id))
    nothing: Any = None
    accounting: Any = SimpleNamespace(gaps=lambda spec, count: counted.append((spec.name, count)))
    keeper = Housekeeping(child, nothing, nothing, group, nothing, accounting, DeadLetterProducer(kafka))
    counted: list[tuple[str, int]] = []
    keeper._restart(KEY, partition)
    assert counted == [(SPEC.name, len(broker.published))]
    return partition


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    return Broker(monkeypatch)


def test_what_retention_took_is_a_gap_with_its_exchange_and_the_hours(broker: Broker) -> None:
    broker.bounds = 250, 300
    partition = at(broker, 100, CommitMetadata(1, None, {1: 50}, "id", READ_MS))
    (gap,) = broker.gaps

    assert (gap.exchange, gap.stream, gap.cause, gap.missing_count) == ("binance", "trade", "kafka_retention", 150)
    assert (gap.started_ns, gap.ended_ns) == (READ_MS * 1_000_000, FIRST_NS)
    assert gap.gap_id == "t.trade:0:100-250"
    assert (partition.next_offset, partition.progress.watermarks) == (250, {1: 50}), "the log is the same"


def test_several_exchanges_have_a_gap_each(broker: Broker) -> None:
    broker.bounds = 250, 300
    at(broker, 100, CommitMetadata(1, None, {}, "id", READ_MS), ("bybit", "binance", "binance"))

    assert [(gap.exchange, gap.missing_count) for gap in broker.gaps] == [("binance", None), ("bybit", None)]
    assert len({gap.gap_id for gap in broker.gaps}) == 2


def test_a_log_cut_off_at_its_tail_is_not_read_from_the_earliest(broker: Broker) -> None:
    """An unclean election took the last messages; what is new has offsets that were read before."""
    broker.bounds = 0, 300
    broker.by_time = {READ_MS - TAIL_LOOKBACK_MS: 290}
    partition = at(broker, 500, CommitMetadata(1, None, {1: 50}, "id", READ_MS))

    assert (partition.next_offset, partition.progress.watermarks) == (290, {1: 50})
    assert [gap.cause for gap in broker.gaps] == ["kafka_retention"]


def test_a_log_that_ends_before_our_last_message_goes_on_at_its_end(broker: Broker) -> None:
    broker.bounds = 0, 300
    partition = at(broker, 500, CommitMetadata(1, None, {1: 50}, "id", READ_MS))

    assert (partition.next_offset, partition.progress.watermarks) == (300, {1: 50})


def test_another_topic_of_the_same_name_is_read_from_its_beginning_without_watermarks(broker: Broker) -> None:
    broker.bounds = 0, 300
    broker.by_time = {READ_MS - TAIL_LOOKBACK_MS: 290}
    broker.topic_id = "another"
    partition = at(broker, 100, CommitMetadata(1, None, {1: 50}, "id", READ_MS))
    (gap,) = broker.gaps

    assert (partition.next_offset, partition.progress.watermarks) == (0, {})
    assert partition.progress.topic_id == "another"
    assert (gap.started_ns, gap.ended_ns, gap.missing_count) == (READ_MS * 1_000_000, FIRST_NS, None)


def test_a_partition_of_which_nothing_comes_for_a_minute_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever keeps it: its log goes on, and we have not paused it."""
    partition = Partition(SPEC, *KEY, 100, CommitMetadata(), b"INSERT\n", identify_as(SPEC))
    group = SimpleNamespace(
        partitions={KEY: partition}, paused=set(), refused={}, topics={}, unconfirmed_since=0.0, commit_refusal=None,
        broker_up=True, rebalances=1, heard=SimpleNamespace(reason=0),
    )  # fmt: skip
    keeper, states = running(monkeypatch, group)
    for now in (0.0, UNREAD_SECONDS, UNREAD_SECONDS + 1):
        keeper._publish({}, now)
    assert states == [ChildState.RUNNING, ChildState.RUNNING, ChildState.WAITING]

    partition.next_offset = 101
    keeper._publish({}, 100.0)
    group.paused = {KEY}
    keeper._publish({}, 200.0)
    group.paused, partition.next_offset = set(), 300
    keeper._publish({}, 300.0)
    keeper._publish({}, 400.0)
    assert states[3:] == [ChildState.RUNNING] * 4, "it moves, it is paused, or all of it is read"


def running(monkeypatch: pytest.MonkeyPatch, group: Any) -> tuple[Housekeeping, list[ChildState]]:
    """With ClickHouse there, and the log of one partition that ends at 300."""
    monkeypatch.setattr(endpoint_cells, "publish", lambda page, settings: None)
    config = SimpleNamespace(
        service=ServiceConfig("i", "/nowhere"), kafka=KafkaConfig(), feed=(), clickhouse=None,
        process_of=lambda name: SimpleNamespace(count=1),
    )  # fmt: skip
    states: list[ChildState] = []
    args = SimpleNamespace(config=config, name="consumer-0")
    child: Any = SimpleNamespace(args=args, page={"clickhouse_up": 1}, set_state=states.append)
    accounting: Any = SimpleNamespace(paused=lambda streams: None, lag=lambda messages, measured_ns: None)
    pool: Any = SimpleNamespace(tasks=[])
    nothing: Any = None
    keeper = Housekeeping(child, nothing, nothing, group, pool, accounting, DeadLetterProducer(KafkaConfig()))
    keeper._streams = {KEY[0]: SPEC.name}
    keeper._log_ends = LogEnds(0.0, {KEY: (0, 300)}, {}, {})
    return keeper, states


def test_what_the_driver_gives_up_is_not_held_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket in a cycle is closed when the cycle is found: so few new objects would have none looked for."""
    keeper, _ = running(monkeypatch, None)
    ours, theirs = socket.socketpair()
    with theirs:
        cycle: list[object] = [ours]
        cycle.append(cycle)
        gc.disable()
        try:
            del ours, cycle
            keeper._collect_garbage(time.monotonic())
            assert not select.select([theirs], [], [], 0)[0]
            keeper._collect_garbage(time.monotonic() + GARBAGE_SECONDS)
            assert select.select([theirs], [], [], 0)[0]
        finally:
            gc.enable()
