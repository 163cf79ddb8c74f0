"""What a member of the group makes of what the Kafka client tells it, by a client that tells what the test wants."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from wsadapter.config.model import KafkaConfig
from wsadapter.events.streams import BY_STREAM
from wsadapter.files import StateDirectory
from wsadapter.kafka.messages import identify_as
from wsadapter.kafka.runs import Run, runs_of
from wsadapter.kafka.topics import TopicState
from wsadapter.roles.consumer import group
from wsadapter.roles.consumer.batches import Partition
from wsadapter.roles.consumer.commit_metadata import CommitMetadata
from wsadapter.roles.consumer.group import GroupFailed, GroupMember
from wsadapter.roles.consumer.known_topics import KnownTopics

FATAL = KafkaError(KafkaError._FATAL, "Static consumer fenced by other consumer with same group.instance.id")
FENCED = KafkaError(KafkaError.FENCED_INSTANCE_ID)
DENIED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
SPEC = BY_STREAM["trade"]
KEY = ("t.trade", 0)
TOPIC_ID = "kU4VZgZ0R8i83el9Jp+R0Q"


class Client:
    """Stands for the Kafka client. ``messages``: what the next `take` gives; ``raises``: by call."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.messages: list[Message] = []
        self.raises: dict[str, KafkaError] = {}
        self.stored: dict[tuple[str, int], tuple[int, str]] = {}
        self.assigned: list[tuple[str, int, int]] = []
        self.paused: set[tuple[str, int]] = set()
        """A new assignment leaves it as it is, as librdkafka does."""
        self.on: dict[str, Callable[..., None]] = {}

    def _call(self, name: str) -> None:
        if error := self.raises.get(name):
            raise KafkaException(error)

    def subscribe(self, topics: list[str], **on: Callable[..., None]) -> None:
        self.on = on

    def take(self, most: int, seconds: float) -> tuple[list[Run], list[Message]]:
        received, self.messages = self.messages, []
        return runs_of(received, None)

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        self._call("committed")
        known = {(p.topic, p.partition): self.stored.get((p.topic, p.partition), (-1001, "")) for p in partitions}
        return [TopicPartition(*key, offset, metadata=metadata) for key, (offset, metadata) in known.items()]

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self._call("commit")

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {(p.topic, p.partition) for p in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {(p.topic, p.partition) for p in partitions}

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned = [(p.topic, p.partition, p.offset) for p in partitions]


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> GroupMember:
    """Has partition 0 of one topic, from offset 0 on."""
    monkeypatch.setattr(group, "new_consumer", Client)
    monkeypatch.setattr(group, "topic_states", lambda kafka, names, timeout: {KEY[0]: TopicState(2, TOPIC_ID)})
    monkeypatch.setattr(group, "log_bounds", lambda kafka, keys, timeout: dict.fromkeys(keys, (0, 0)))

    def partition(name: str, number: int, start: int, progress: CommitMetadata) -> Partition:
        return Partition(SPEC, name, number, start, progress, b"INSERT\n", identify_as(SPEC))

    known = KnownTopics(StateDirectory(tmp_path), "consumer-0")
    made = GroupMember(KafkaConfig(), "i-1", [KEY[0]], partition, lambda gone, in_order: None, lambda: True, known)
    assign(made)
    return made


def client(member: GroupMember) -> Client:
    return member._consumer  # type: ignore[return-value]


def assign(member: GroupMember) -> None:
    client(member).on["on_assign"](member._consumer, [TopicPartition(*KEY)])


def with_batch(member: GroupMember) -> None:
    member.partitions[KEY].add(0, b"\x09" + b"\0" * 8 + b"\x11" + b"\x01" * 8, 0.0)
    member.partitions[KEY].cut_open()


@pytest.mark.parametrize("error", [FATAL, FENCED])
def test_a_fatal_error_that_comes_as_a_message_ends_the_member(member: GroupMember, error: KafkaError) -> None:
    """A consumer's fatal error does not come by ``error_cb``, as a producer's does."""
    client(member).messages = [Message(topic=KEY[0], partition=0, error=error)]

    with pytest.raises(GroupFailed, match=r"FATAL|FENCED"):
        member.poll(0.0)


@pytest.mark.parametrize("error", [FATAL, FENCED])
def test_a_fatal_error_of_a_commit_ends_the_member(member: GroupMember, error: KafkaError) -> None:
    with_batch(member)
    client(member).raises["commit"] = error

    with pytest.raises(GroupFailed):
        member.commit(1.0)


def test_a_fatal_error_of_a_commits_callback_ends_the_member(member: GroupMember) -> None:
    with_batch(member)
    member.commit(1.0)
    client(member).settings["on_commit"](FATAL, [])

    with pytest.raises(GroupFailed):
        member.poll(0.0)


def test_a_fatal_error_of_one_partition_of_a_commit_ends_the_member(member: GroupMember) -> None:
    with_batch(member)
    member.commit(1.0)

    class Refused:
        topic, partition, error = *KEY, FENCED

    client(member).settings["on_commit"](None, [Refused])
    with pytest.raises(GroupFailed):
        member.poll(0.0)


def test_a_fatal_error_of_the_callback_ends_the_member(member: GroupMember) -> None:
    client(member).settings["error_cb"](FATAL)

    with pytest.raises(GroupFailed):
        member.poll(0.0)


def test_a_fatal_error_at_the_assignment_is_not_retried_for_ever(member: GroupMember) -> None:
    client(member).raises["committed"] = FATAL
    assign(member)

    with pytest.raises(GroupFailed):
        member.poll(0.0)


def test_a_commit_is_unconfirmed_from_its_first_attempt_until_one_is_confirmed(member: GroupMember) -> None:
    with_batch(member)
    client(member).raises["commit"] = KafkaError(KafkaError.NOT_COORDINATOR)
    member.commit(100.0)
    assert (member.unconfirmed_since, member.commit_refusal) == (100.0, KafkaError.NOT_COORDINATOR)

    client(member).raises.clear()
    member.commit(1e9)
    assert member.unconfirmed_since == 100.0, "no answer is no confirmation"
    client(member).settings["on_commit"](None, [TopicPartition(*KEY)])

    assert (member.unconfirmed_since, member.commit_refusal) == (0.0, None)


def test_what_the_broker_does_not_let_us_read_is_known_until_it_gives_something(member: GroupMember) -> None:
    client(member).messages = [Message(topic=KEY[0], partition=0, error=DENIED)]
    member.poll(0.0)
    assert member.refused == {KEY: KafkaError.TOPIC_AUTHORIZATION_FAILED}

    client(member).messages = [Message(topic=KEY[0], partition=0, offset=0, value=b"x")]
    member.poll(0.0)

    assert member.refused == {}


def test_a_metadata_answer_that_misses_the_topic_forgets_no_watermark(
    member: GroupMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a broker gives that has just started: "not known" is no change of the partitions."""
    stored = CommitMetadata(2, None, {7: 70}, TOPIC_ID, 5)
    client(member).stored[KEY] = 10, stored.encode()
    member.topics.clear()
    monkeypatch.setattr(group, "topic_states", lambda kafka, names, timeout: {})
    assign(member)

    assert member.partitions[KEY].progress == stored
    assert client(member).assigned == [(*KEY, 10)]


def test_another_topic_of_the_same_name_is_not_read_at_the_old_offset(member: GroupMember) -> None:
    """Its offsets are there by chance: nothing is read before a gap is published, and the old name stays committed."""
    client(member).stored[KEY] = 10, CommitMetadata(2, 15, {7: 70}, "another", 5).encode()
    assign(member)
    partition = member.partitions[KEY]
    client(member).messages = [Message(topic=KEY[0], partition=0, offset=10, value=b"x", timestamp=(1, 9))]
    member.poll(0.0)

    assert member.out_of_range == {KEY}
    assert partition.idle
    assert partition.replay_to is None
    assert CommitMetadata.decode(partition.commit()[1]).topic_id == "another"

    member.seek(KEY, 0, TOPIC_ID)
    client(member).messages = [Message(topic=KEY[0], partition=0, offset=0, value=b"x", timestamp=(1, 9))]
    member.poll(0.0)
    assert partition.next_offset == 1
    assert partition.commit() == (0, CommitMetadata(2, None, {}, TOPIC_ID, 5).encode())


def test_a_paused_partition_that_is_fetched_anew_is_paused_no_more(member: GroupMember) -> None:
    """It was paused for an insert that failed, which is given up: nobody else would resume it."""
    member.pause({KEY})
    member.partitions[KEY].next_offset = 7
    member.fetch_anew()

    assert client(member).paused == set()
    assert client(member).assigned == [(*KEY, 7)]


@pytest.mark.parametrize("leaving", ["on_revoke", "on_lost"])
def test_a_paused_partition_that_comes_back_is_fetched(member: GroupMember, leaving: str) -> None:
    """ClickHouse was away during a rebalance; what is not in the member's own list nobody resumes."""
    member.pause({KEY})
    client(member).on[leaving](member._consumer, [TopicPartition(*KEY)])
    assign(member)
    assert client(member).paused == set()

    member.pause({KEY})
    assert client(member).paused == {KEY}, "it is away still"
    member.pause(set())
    assert client(member).paused == set()


@pytest.mark.parametrize("restarted", [False, True])
def test_an_offset_that_kafka_forgot_with_its_topic_is_a_gap_first(
    member: GroupMember, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, restarted: bool
) -> None:
    """It looks like a partition that nobody has read yet; what the old topic had beyond our position is missing."""
    client(member).messages = [Message(topic=KEY[0], partition=0, offset=0, value=b"x", timestamp=(1, 9))]
    member.poll(0.0)
    member.partitions[KEY].add(0, b"\x09" + b"\0" * 8 + b"\x11" + b"\x01" * 8, 0.0)
    member.partitions[KEY].done, read = 5, CommitMetadata(2, None, {}, TOPIC_ID, 9)
    member.partitions[KEY].progress = read
    member.remember(100.0)
    member._known._directory.flush()
    monkeypatch.setattr(group, "topic_states", lambda kafka, names, timeout: {KEY[0]: TopicState(2, "another")})
    if restarted:
        member._known = KnownTopics(StateDirectory(tmp_path), "consumer-0")
    else:
        client(member).on["on_revoke"](member._consumer, [TopicPartition(*KEY)])
    for _ in range(2):  # killed before the gap is published: the same again
        assign(member)

        assert member.out_of_range == {KEY}
        assert member.partitions[KEY].next_offset == 5
        assert member.partitions[KEY].progress == read
    member.seek(KEY, 0, "another")
    client(member).on["on_revoke"](member._consumer, [TopicPartition(*KEY)])
    assign(member)

    assert member.out_of_range == set()
    assert client(member).assigned == [(*KEY, 0)]


def test_a_topic_of_which_nothing_was_known_is_begun_without_a_gap(member: GroupMember) -> None:
    assert member.out_of_range == set()
    assert client(member).assigned == [(*KEY, 0)]
