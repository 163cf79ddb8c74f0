"""What the reader of the gap topic makes of a client that is finished."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from eventually import eventually

from wsadapter.config.model import KafkaConfig
from wsadapter.errors import ServiceUnavailable
from wsadapter.events import Gap
from wsadapter.events.gaps import GapCause, RepairState, begin, with_state
from wsadapter.executor import DaemonExecutor
from wsadapter.kafka import partition_watch
from wsadapter.kafka.errors import refusal
from wsadapter.kafka.messages import message_of
from wsadapter.kafka.partition_watch import PartitionWatch
from wsadapter.roles.repairer import gap_log
from wsadapter.roles.repairer.gap_log import GapLog, GapLogFailed

FATAL = KafkaError(KafkaError._FATAL)
TOPIC, KLINES = "websocket.gap", "websocket.kline"


class Client:
    """Stands for `confluent_kafka.Consumer`: an empty log."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.messages: list[Message] = []
        self.sought: list[TopicPartition] = []
        self.assigned: dict[tuple[str, int], int] = {}
        self.paused: set[tuple[str, int]] = set()

    def consume(self, limit: int, timeout: float) -> list[Message]:
        received, self.messages = self.messages, []
        return received

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return partitions

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, 0

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned = {(each.topic, each.partition): each.offset for each in partitions}

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {(each.topic, each.partition) for each in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {(each.topic, each.partition) for each in partitions}

    def seek(self, partition: TopicPartition) -> None:
        self.sought.append(partition)

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        raise KafkaException(FATAL)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> GapLog:
    monkeypatch.setattr(gap_log, "Consumer", Client)
    monkeypatch.setattr(gap_log, "partition_counts", lambda kafka, timeout: {TOPIC: 1})
    return GapLog(KafkaConfig())


def client(log: GapLog) -> Client:
    return log._consumer  # type: ignore[return-value]


def test_a_fatal_error_that_comes_as_a_message_ends_it(log: GapLog) -> None:
    client(log).messages = [Message(topic=TOPIC, partition=0, error=FATAL)]

    with pytest.raises(GapLogFailed):
        log.poll(0.0)


def test_a_fatal_error_of_a_commit_ends_it(log: GapLog) -> None:
    log.commit(0.0)

    with pytest.raises(GapLogFailed):
        log.poll(0.0)


def test_any_other_error_is_waited_out(log: GapLog) -> None:
    client(log).messages = [Message(topic=TOPIC, partition=0, error=KafkaError(KafkaError._TRANSPORT))]

    assert log.poll(0.0) == []


def test_a_partition_that_must_not_be_read_is_said_until_it_is_read(log: GapLog) -> None:
    denied = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    client(log).messages = [Message(topic=TOPIC, partition=0, error=denied)]
    log.poll(0.0)
    assert log.refused == {(TOPIC, 0): KafkaError.TOPIC_AUTHORIZATION_FAILED}

    client(log).messages = [Message(topic=TOPIC, partition=0, offset=0, value=b"")]
    log.poll(0.0)
    assert log.refused == {}


def test_a_quiet_partition_is_asked_again_until_it_says_that_it_may_be_read(log: GapLog) -> None:
    denied = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    client(log).messages = [Message(topic=TOPIC, partition=0, error=denied)]
    for _ in range(3):
        log.poll(0.0)
    assert [(each.topic, each.partition, each.offset) for each in client(log).sought] == [(TOPIC, 0, 0)], (
        "not at once again"
    )

    client(log).messages = [Message(topic=TOPIC, partition=0, error=KafkaError(KafkaError._PARTITION_EOF))]
    log.poll(0.0)
    assert log.refused == {}


def test_what_must_not_be_committed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))

    def refuse(self: Client, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        raise denied

    monkeypatch.setattr(Client, "committed", refuse)
    monkeypatch.setattr(Client, "close", lambda self: None, raising=False)
    monkeypatch.setattr(gap_log, "Consumer", Client)
    monkeypatch.setattr(gap_log, "partition_counts", lambda kafka, timeout: {TOPIC: 1})
    with pytest.raises(ServiceUnavailable) as caught:
        GapLog(KafkaConfig())

    assert refusal(caught.value.__context__) == KafkaError.GROUP_AUTHORIZATION_FAILED


@pytest.mark.parametrize("held", [False, True])
def test_partitions_and_topics_that_come_later_are_read_from_their_beginning(
    monkeypatch: pytest.MonkeyPatch, log: GapLog, held: bool
) -> None:
    counts = {TOPIC: 1}
    monkeypatch.setattr(partition_watch, "partition_counts", lambda kafka, timeout: counts)
    monkeypatch.setattr(partition_watch, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(gap_log, "MOST_GAPS", 0 if held else 1)
    log._partitions = PartitionWatch(KafkaConfig(), DaemonExecutor(1, "partitions"))
    client(log).messages = [Message(topic=TOPIC, partition=0, offset=6, value=b"")]
    log.poll(0.0)

    counts.update({TOPIC: 2, KLINES: 1})

    def all_of_them() -> bool:
        log.poll(0.0)
        return client(log).assigned == {(TOPIC, 0): 7, (TOPIC, 1): 0, (KLINES, 0): 0}

    eventually(all_of_them)
    assert client(log).paused == ({(TOPIC, 0), (TOPIC, 1)} if held else set())


def said(log: GapLog, *gaps: Gap) -> None:
    """They are the next messages of the gap topic."""
    at = log._next[TOPIC, 0]
    values = [message_of(gap).SerializeToString() for gap in gaps]
    client(log).messages = [
        Message(topic=TOPIC, partition=0, offset=at + n, value=value) for n, value in enumerate(values)
    ]
    log.poll(0.0)


def gap_of(symbol: str, number: int = 0) -> Gap:
    return begin(
        GapCause.DISCONNECT, 1, 2, exchange="binance", connection="a", symbol=symbol, ended_ns=3,
        gap_id=f"{symbol}-{number}",
    )  # fmt: skip


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> GapLog:
    """The log of an instance that is one of several: OURS is its own symbol."""
    monkeypatch.setattr(gap_log, "Consumer", Client)
    monkeypatch.setattr(gap_log, "partition_counts", lambda kafka, timeout: {TOPIC: 1})
    monkeypatch.setattr(gap_log, "MOST_GAPS", 4)
    return GapLog(KafkaConfig(), is_ours=lambda gap: gap.symbol == "OURS")


def committed(log: GapLog, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []

    def commit(self: Client, offsets: list[TopicPartition], asynchronous: bool) -> None:
        found.extend(each.offset for each in offsets)

    monkeypatch.setattr(Client, "commit", commit)
    log.commit(float("inf"))
    return found


def test_gaps_of_other_instances_are_not_ours_to_repair_and_hold_up_none_of_ours(shared: GapLog) -> None:
    said(shared, *(gap_of("THEIRS", number) for number in range(10)), gap_of("OURS"))

    assert [each.gap.symbol for each in shared.fresh()] == ["OURS"]
    assert list(shared.open) == ["OURS-0"]
    assert client(shared).paused == set()


def test_gap_of_another_instance_is_read_again_by_whoever_comes_next_until_it_is_closed(
    shared: GapLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their number may change: then it may be ours."""
    theirs = gap_of("THEIRS")
    said(shared, gap_of("OTHER"), with_state(gap_of("OTHER"), RepairState.REPAIRED), theirs)
    assert committed(shared, monkeypatch) == [2]

    said(shared, with_state(theirs, RepairState.REPAIRED))
    assert committed(shared, monkeypatch) == [4]


def test_instance_that_repairs_nothing_does_not_pin_what_others_have_done(
    shared: GapLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(shared, *(gap_of("THEIRS", number) for number in range(10)))

    assert committed(shared, monkeypatch) == [6], "the newest 4 are kept"
