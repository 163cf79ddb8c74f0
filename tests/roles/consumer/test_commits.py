"""Which commit is due, and when an intent counts."""

import struct

from wsadapter.events.streams import BY_STREAM
from wsadapter.kafka.messages import identify_as
from wsadapter.roles.consumer.batches import BatchState, Partition
from wsadapter.roles.consumer.commit_metadata import CommitMetadata
from wsadapter.roles.consumer.commits import IDLE_SECONDS, RETRY_SECONDS, Commits, Key

A: Key = ("t", 0)
B: Key = ("t", 1)


def partition(number: int = 0) -> Partition:
    return Partition(BY_STREAM["trade"], "t", number, 0, CommitMetadata(2), b"INSERT\n", lambda value: None)


def with_batch(number: int = 0) -> Partition:
    made = partition(number)
    made.add(0, struct.pack("<BQBQ", 9, 1, 17, 1), 0.0)
    made.cut_open()
    return made


def state(partition: Partition) -> BatchState:
    assert partition.cut is not None
    return partition.cut.state


def insert(partition: Partition) -> None:
    """As the pool does with what is intended."""
    assert partition.cut is not None
    partition.cut.advance(BatchState.INSERTING)
    partition.finish()


def test_an_intent_waits_for_no_one_and_takes_the_others_along() -> None:
    commits, partitions = Commits(), {A: with_batch(), B: partition(1)}

    assert commits.due(partitions, 100.0) == partitions


def test_progress_alone_waits_a_while() -> None:
    commits, partitions = Commits(), {A: with_batch()}
    commits.due(partitions, 100.0)
    commits.confirmed([A], partitions)
    insert(partitions[A])

    assert commits.due(partitions, 100.0 + IDLE_SECONDS / 2) == {}
    assert commits.due(partitions, 100.0 + IDLE_SECONDS) == partitions


def test_one_at_a_time() -> None:
    commits, partitions = Commits(), {A: with_batch()}
    commits.due(partitions, 100.0)
    partitions[B] = with_batch(1)

    assert commits.due(partitions, 200.0) == {}
    commits.confirmed([A], partitions)
    assert commits.due(partitions, 200.0) == {B: partitions[B]}


def test_an_intent_counts_once_and_only_when_confirmed() -> None:
    commits, partitions = Commits(), {A: with_batch()}
    commits.due(partitions, 100.0)
    assert state(partitions[A]) is BatchState.CUT
    commits.confirmed([A], partitions)
    assert state(partitions[A]) is BatchState.INTENDED
    commits.confirmed([A], partitions)

    assert state(partitions[A]) is BatchState.INTENDED
    assert commits.due(partitions, 200.0) == {}


def test_after_a_failure_the_same_is_said_again_a_little_later() -> None:
    commits, partitions = Commits(), {A: with_batch()}
    commits.due(partitions, 100.0)
    commits.failed(100.0)

    assert commits.due(partitions, 100.0) == {}
    assert state(partitions[A]) is BatchState.CUT
    assert commits.due(partitions, 100.0 + RETRY_SECONDS) == partitions


def test_a_partition_that_the_broker_refused_has_no_intent() -> None:
    commits, partitions = Commits(), {A: with_batch(), B: with_batch(1)}
    commits.due(partitions, 100.0)
    commits.confirmed([B], partitions)
    commits.failed(100.0)

    assert (state(partitions[A]), state(partitions[B])) == (BatchState.CUT, BatchState.INTENDED)
    assert commits.due(partitions, 101.0) == {A: partitions[A]}


def test_a_partition_that_was_revoked_and_came_back_is_another_one() -> None:
    commits, partitions = Commits(), {A: with_batch()}
    commits.due(partitions, 100.0)
    commits.forget(A)
    again = {A: with_batch()}
    commits.confirmed([A], again)

    assert state(again[A]) is BatchState.CUT
    assert commits.due(again, 101.0) == again


def test_dead_letters_alone_are_not_sent_twice_for_a_commit_that_carries_their_batch() -> None:
    """They wait for no intent; one that is confirmed meanwhile, as another partition needed a commit, changes nothing:
    sent again, they would call the batch behind them done."""
    letters = Partition(BY_STREAM["trade"], "t", 1, 0, CommitMetadata(2), b"INSERT\n", identify_as(BY_STREAM["trade"]))
    letters.add(0, b"garbage", 0.0)
    letters.cut_open()
    commits, partitions = Commits(), {A: with_batch(), B: letters}
    assert letters.cut is not None
    letters.cut.advance(BatchState.INSERTING)
    commits.due(partitions, 100.0)
    commits.confirmed([A, B], partitions)

    assert (state(partitions[A]), state(letters)) == (BatchState.INTENDED, BatchState.INSERTING)


def test_settled_is_when_the_broker_knows_that_all_is_done() -> None:
    commits, partitions = Commits(), {A: with_batch()}
    for _ in range(2):
        assert not commits.all_committed(partitions)
        commits.expedite(100.0)
        commits.due(partitions, 100.0)
        assert not commits.all_committed(partitions)
        commits.confirmed([A], partitions)
        if partitions[A].cut is not None:
            assert not commits.all_committed(partitions)
            insert(partitions[A])

    assert commits.all_committed(partitions)
    assert not commits.uncommitted(partitions)
    assert commits.all_committed({})
