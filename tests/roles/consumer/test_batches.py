"""When a batch is cut, what is in it, and what a message is."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsadapter.clickhouse.completeness import ALIVE_SECONDS
from wsadapter.config.warnings import LATE_SECONDS
from wsadapter.events.streams import BY_STREAM
from wsadapter.kafka.messages import identify_as, varint
from wsadapter.kafka.record_consumer import FetchedMessage
from wsadapter.kafka.runs import MessageList
from wsadapter.pb import market_pb2
from wsadapter.roles.consumer.batches import (
    FIRST_SECONDS,
    OURS_SECONDS,
    QUIET_FACTOR,
    QUIET_ROWS,
    QUIET_SECONDS,
    Batch,
    BatchState,
    Partition,
)
from wsadapter.roles.consumer.commit_metadata import CommitMetadata
from wsadapter.roles.ingest.coverage_log import EVERY_SECONDS

HEAD = b"INSERT INTO t FORMAT Protobuf\n"
NO_LIMIT = 10**9
MANY = 16


def partition(start: int = 0, progress: CommitMetadata | None = None, word: str = "trade") -> Partition:
    spec = BY_STREAM[word]
    return Partition(spec, "t", 0, start, progress or CommitMetadata(4), HEAD, identify_as(spec))


def value(epoch: int, position: int, more: bytes = b"") -> bytes:
    return struct.pack("<BQBQ", 9, epoch, 17, position) + more


def filled(count: int, now: float = 0.0, word: str = "trade") -> Partition:
    made = partition(word=word)
    for number in range(count):
        made.add(number, value(1, number), now)
    return made


def followed(count: int, word: str = "trade") -> Partition:
    """Its first batch is in; so many rows are in the next one."""
    made = filled(1, word=word)
    made.cut_open()
    insert(made)
    for number in range(1, count + 1):
        made.add(number, value(1, number), 0.0)
    return made


def insert(made: Partition) -> None:
    """The cut batch is intended, inserted and done."""
    assert made.cut is not None
    made.cut.advance(BatchState.INTENDED)
    made.cut.advance(BatchState.INSERTING)
    made.finish()


def at(state: BatchState, content: bytes) -> Partition:
    """A partition whose only batch has one message and is in this state."""
    made = partition()
    made.add(0, content, 0.0)
    if state is not BatchState.OPEN:
        made.cut_open()
    made.batches[0].state = state
    return made


@pytest.mark.parametrize("state", BatchState)
@pytest.mark.parametrize("content", [value(1, 1), b"garbage"])
def test_no_batch_is_done_that_was_not_inserted_and_none_inserted_that_was_not_intended(
    state: BatchState, content: bytes
) -> None:
    made = at(state, content)
    batch = made.batches[0]
    inserts = {BatchState.INTENDED} if batch.rows else {BatchState.CUT}
    ends = {BatchState.INSERTING} if batch.rows else {BatchState.INSERTING, BatchState.CUT}

    for following, before in ((BatchState.INSERTING, inserts), (BatchState.DONE, ends)):
        batch.state = state
        if state in before:
            batch.advance(following)
        else:
            with pytest.raises(AssertionError):
                batch.advance(following)


def test_a_batch_that_is_done_is_never_done_again() -> None:
    made = filled(3)
    made.cut_open()
    insert(made)
    made.add(3, value(1, 3), 0.0)
    made.cut_open()

    with pytest.raises(AssertionError):
        made.finish()  # the second one is not in


def test_a_busy_partition_is_cut_after_the_time_and_a_quiet_one_waits_up_to_five_times_as_long() -> None:
    busy, quiet = followed(QUIET_ROWS), followed(QUIET_ROWS - 1)

    assert not busy.due(0.9, NO_LIMIT, NO_LIMIT, 1.0)
    assert busy.due(1.0, NO_LIMIT, NO_LIMIT, 1.0)
    assert not quiet.due(QUIET_FACTOR - 0.1, NO_LIMIT, NO_LIMIT, 1.0)
    assert quiet.due(QUIET_FACTOR, NO_LIMIT, NO_LIMIT, 1.0)


@pytest.mark.parametrize("seconds", [1.0, 8.0, 25.0, 60.0])
@pytest.mark.parametrize("word", ["coverage", "gap"])
def test_what_says_that_rows_are_there_waits_a_few_seconds_whatever_is_configured(word: str, seconds: float) -> None:
    """Else a connection that lives would be taken for one that does not, in SQL."""
    made = followed(1, word)

    assert not made.due(0.9, NO_LIMIT, NO_LIMIT, seconds)
    assert made.due(OURS_SECONDS, NO_LIMIT, NO_LIMIT, seconds)


@pytest.mark.parametrize(("seconds", "most"), [(4.0, 20.0), (8.0, QUIET_SECONDS), (25.0, 25.0), (60.0, 60.0)])
def test_what_a_quiet_partition_waits_longer_has_a_bound(seconds: float, most: float) -> None:
    quiet = followed(1)

    assert not quiet.due(most - 0.1, NO_LIMIT, NO_LIMIT, seconds)
    assert quiet.due(most, NO_LIMIT, NO_LIMIT, seconds)


def test_a_connection_that_lives_is_in_the_tables_in_time_until_a_warning_says_that_it_is_not() -> None:
    """A heartbeat, then coverage is cut, then what it waits for is, and a while for the inserts."""
    assert EVERY_SECONDS + OURS_SECONDS + max(QUIET_SECONDS, LATE_SECONDS) + 5 <= ALIVE_SECONDS


@pytest.mark.parametrize("rows", [1, QUIET_ROWS])
def test_the_first_batch_of_an_assignment_does_not_wait_for_more(rows: int) -> None:
    made = filled(rows)

    assert not made.due(FIRST_SECONDS - 0.01, NO_LIMIT, NO_LIMIT, 1.0)
    assert made.due(FIRST_SECONDS, NO_LIMIT, NO_LIMIT, 1.0)
    assert made.due(0.05, NO_LIMIT, NO_LIMIT, 0.05)  # a shorter time is what was asked for


def test_after_a_replay_a_batch_waits_as_usual() -> None:
    made = partition(progress=CommitMetadata(4, intent=0))
    made.add(0, value(1, 0), 0.0)
    made.add(1, value(1, 1), 0.0)
    insert(made)

    assert not made.due(FIRST_SECONDS, NO_LIMIT, NO_LIMIT, 1.0)
    assert made.due(QUIET_FACTOR, NO_LIMIT, NO_LIMIT, 1.0)


def test_full_is_cut_at_once() -> None:
    made = filled(10)

    assert made.due(0.0, 10, NO_LIMIT, 1.0)
    assert made.due(0.0, NO_LIMIT, made.buffered, 1.0)
    assert not made.due(0.0, 11, NO_LIMIT, 1.0)


def test_nothing_is_cut_while_a_batch_is_on_its_way() -> None:
    made = filled(10)
    made.cut_open()
    made.add(10, value(1, 10), 0.0)

    assert not made.due(100.0, 1, 1, 0.0)


def test_a_batch_is_the_statement_and_length_delimited_messages() -> None:
    made = partition()
    values = [value(1, n, b"x" * size) for n, size in enumerate((0, 1, 109, 110, 16_365, 16_366, 40_000))]
    for offset, content in enumerate(values):
        made.add(offset, content, 0.0)
    batch = made.cut_open()

    assert bytes(batch.body) == HEAD + b"".join(varint(len(v)) + v for v in values)
    assert [batch.message(row) for row in range(batch.rows)] == values
    assert batch.messages([1, 3]) == b"".join(varint(len(v)) + v for v in (values[1], values[3]))
    assert list(batch.offsets) == list(range(len(values)))


def test_the_range_covers_what_was_dropped() -> None:
    made = partition(start=5)
    for offset, position in ((5, 1), (6, 2), (7, 1), (9, 2)):  # offset 8 is not in the log
        made.add(offset, value(1, position), 0.0)
    batch = made.cut_open()

    assert (batch.first, batch.last, batch.rows, batch.redelivered) == (5, 9, 2, 2)
    insert(made)
    assert made.done == 10


def test_a_fetch_repeated_after_a_pause_is_ignored() -> None:
    made = filled(3)
    made.add(1, value(1, 99), 0.0)

    assert made.cut_open().rows == 3


def test_watermarks_are_per_epoch() -> None:
    made = partition()
    for offset, (epoch, position) in enumerate([(1, 500), (2, 10), (1, 400), (2, 20), (1, 501)]):
        made.add(offset, value(epoch, position), 0.0)

    assert list(made.cut_open().offsets) == [0, 1, 3, 4]


def test_watermarks_are_committed_with_the_offset_that_they_belong_to() -> None:
    made = filled(3)
    made.cut_open()
    made.add(3, value(1, 3), 0.0)

    offset, metadata = made.commit()
    assert (offset, CommitMetadata.decode(metadata)) == (0, CommitMetadata(4, 2, {}))
    insert(made)
    offset, metadata = made.commit()
    assert (offset, CommitMetadata.decode(metadata)) == (3, CommitMetadata(4, None, {1: 2}))


def test_an_intended_range_is_cut_exactly_and_not_before_it_is_whole() -> None:
    made = partition(10, CommitMetadata(4, 12))
    made.add(10, value(1, 10), 0.0)
    made.add(11, value(1, 11), 0.0)
    assert not made.due(1000.0, 1, 1, 0.0)
    made.add(12, value(1, 12), 0.0)
    made.add(13, value(1, 13), 0.0)

    assert made.cut is not None
    assert (made.cut.first, made.cut.last, made.cut.rows) == (10, 12, 3)
    assert made.open is not None
    assert (made.open.first, made.open.rows) == (13, 1)


def test_an_intended_range_whose_last_message_is_gone_ends_at_the_next() -> None:
    made = partition(10, CommitMetadata(4, 12))
    made.add(10, value(1, 10), 0.0)
    made.add(14, value(1, 14), 0.0)

    assert made.cut is not None
    assert (made.cut.first, made.cut.last, made.cut.rows) == (10, 12, 1)
    assert made.open is not None
    assert (made.open.first, made.open.last) == (13, 14)


def test_what_is_not_ours_is_a_letter_and_not_a_row() -> None:
    made = partition()
    strangers = [b"", None, b"hello", b'{"a": 1}', b"\xff" * 40, market_pb2.Trade(symbol="X").SerializeToString()]
    for offset, content in enumerate(strangers):
        made.add(offset, content, 0.0)
    batch = made.cut_open()

    assert batch.rows == 0
    assert [letter.offset for letter in batch.letters] == list(range(len(strangers)))
    assert {letter.reason for letter in batch.letters} == {"foreign"}
    assert [letter.value for letter in batch.letters] == [content or b"" for content in strangers]


def test_ours_without_a_ring_identity_is_a_row() -> None:
    made = partition()
    content = market_pb2.Trade(symbol="BTCUSDT", receive_time_ns=1).SerializeToString()
    for offset in range(2):
        made.add(offset, content, 0.0)

    assert made.cut_open().rows == 2


def test_an_identity_in_another_place_is_found() -> None:
    identity = market_pb2.Trade(epoch=7, position=64, receive_time_ns=1).SerializeToString()
    swapped = identity[18:] + identity[9:18] + identity[:9]
    made = partition()
    made.add(0, swapped, 0.0)
    made.add(1, identity, 0.0)
    batch = made.cut_open()

    assert (batch.rows, batch.redelivered) == (1, 1)


def test_letters_count_as_buffered() -> None:
    made = partition()
    made.add(0, b"?" * 1000, 0.0)

    assert made.buffered == 1000
    assert made.due(0.0, NO_LIMIT, 1000, 1.0)


def test_what_is_being_replayed_is_still_intended() -> None:
    """A commit amid a replay, for the sake of other partitions, must not take the intent back."""
    made = partition(10, CommitMetadata(4, 19, {}))
    made.add(10, value(1, 10), 0.0)

    assert made.cut is None
    offset, said = made.commit()
    assert (offset, CommitMetadata.decode(said).intent) == (10, 19)


def test_what_an_earlier_owner_intended_may_be_in() -> None:
    """Killed, it could not say. What was cut here is not in before it is sent."""
    made = partition(0, CommitMetadata(4, 1, {}, "", 0, 7))
    assert not made.untouched
    for number in range(4):
        made.add(number, value(1, number), 0.0)
    assert made.cut is not None
    assert made.cut.may_be_in
    made.cut.advance(BatchState.INTENDED)
    made.cut.advance(BatchState.INSERTING)
    made.finish()
    assert not made.cut_open().may_be_in
    assert CommitMetadata.decode(made.commit()[1]) == CommitMetadata(4, 3, {1: 1}, "", 0, 7)


def test_who_leaves_in_order_says_that_nothing_is_in() -> None:
    """Not before: the next attempt may be made at any time after a commit."""
    made = filled(4)
    batch = made.cut_open()
    assert not CommitMetadata.decode(made.commit()[1]).untouched
    _, said = made.commit(leaving=True)
    assert CommitMetadata.decode(said).untouched

    follows = partition(0, CommitMetadata.decode(said))
    assert follows.untouched
    for number in range(4):
        follows.add(number, value(1, number), 0.0)
    assert follows.cut is not None
    assert not follows.cut.may_be_in

    batch.may_be_in = True
    assert not CommitMetadata.decode(made.commit(leaving=True)[1]).untouched


def test_a_half_of_what_was_refused_is_not_in() -> None:
    made = filled(4)
    made.cut_open().advance(BatchState.INTENDED)
    made.cut.advance(BatchState.INSERTING)  # type: ignore[union-attr]
    made.halve()
    assert made.untouched
    for number in range(4):
        made.add(number, value(1, number), 0.0)
    assert made.cut is not None
    assert not made.cut.may_be_in


def test_a_jump_in_the_same_log_keeps_the_watermarks() -> None:
    made = partition(100, CommitMetadata(4, None, {1: 50}, "id"))
    made.seek(80, "id")
    for offset, position in enumerate((49, 50, 51)):
        made.add(80 + offset, value(1, position), 0.0)

    batch = made.cut_open()
    assert (batch.redelivered, batch.rows) == (2, 1)


def test_a_jump_forgets_the_watermarks_and_the_intent() -> None:
    made = partition(100, CommitMetadata(4, 120, {1: 50}))
    made.seek(0)
    made.add(0, value(1, 3), 0.0)

    assert made.cut_open().rows == 1
    assert made.commit()[0] == 0


def test_a_batch_without_rows_moves_the_offset() -> None:
    made = partition(0, CommitMetadata(4, None, {1: 10}))
    made.add(0, value(1, 5), 0.0)
    batch = made.cut_open()
    assert (batch.rows, batch.redelivered) == (0, 1)
    made.finish()

    assert made.done == 1


def test_the_body_can_be_cut_from_an_empty_head() -> None:
    batch = Batch(0, b"", 0.0)

    assert (batch.rows, batch.size) == (0, 0)


FOREIGN = (None, b"", b"hello", b"\x09" * 17, b"\x09" * 40, b"\x11" * 18)
ours = st.builds(value, st.integers(1, 3), st.integers(0, 200), st.sampled_from([b"", b"x" * 109, b"x" * 110]))
logs = st.lists(
    st.tuples(st.integers(1, 2), ours | st.sampled_from([*FOREIGN, value(1, 7, b"x" * 20_000)])), max_size=80
)
"""(how much further the offset is, the value)."""
rising = st.integers(1, 3).flatmap(
    lambda epochs: st.just([(1, value(1 + n % epochs, 10 + n, b"x" * (n % 130))) for n in range(60)])
)


def run(offsets: Sequence[int], values: Sequence[bytes | None]) -> MessageList:
    return MessageList(
        FetchedMessage("t", 0, offset, 0, None, content) for offset, content in zip(offsets, values, strict=True)
    )


def state(made: Partition) -> Any:
    """All that a partition has become."""
    batches = [made.cut, made.open]
    return made.next_offset, made.replay_to, made.commit(), [b and {**vars(b), "body": bytes(b.body)} for b in batches]


def test_a_batch_knows_when_its_first_message_came_to_kafka() -> None:
    made = partition(0, CommitMetadata(4))
    made.extend(run(range(20), [value(1, n) for n in range(20)]), 1.0, at_ms=130, first_ms=110)
    made.extend(run(range(20, 22), [value(1, n) for n in range(20, 22)]), 1.0, at_ms=150, first_ms=140)
    batch = made.cut_open()
    made.extend(run([22], [value(1, 22)]), 2.0, at_ms=200, first_ms=200)

    assert (batch.first_ms, batch.at_ms) == (110, 150)
    assert made.open is not None
    assert made.open.first_ms == 200


@given(logs | rising, st.integers(1, 60), st.none() | st.integers(0, 90), st.integers(0, 5))
@example(
    [(1, value(1, n)) for n in range(40)] + [(1, value(1, 39))] + [(1, value(1, n)) for n in range(40, 80)], 40, None, 0
)
def test_a_run_taken_together_is_the_same_as_its_messages_one_by_one(
    log: list[tuple[int, bytes | None]], chunk: int, intent: int | None, again: int
) -> None:
    one, together = (partition(0, CommitMetadata(4, intent, {1: 5})) for _ in range(2))
    offsets, offset = [], -1
    for further, _ in log:
        offset += further
        offsets.append(offset)
    values = [content for _, content in log]
    begin = 0
    while begin < len(log):
        part = slice(begin, begin + chunk)
        together.extend(run(offsets[part], values[part]), 1.0)
        for position, content in zip(offsets[part], values[part], strict=True):
            one.add(position, content, 1.0)
        assert state(together) == state(one)
        begin = max(begin + 1, part.stop - again)  # the last ones are fetched again
        for each in (one, together):
            if each.due(1.0, 30, NO_LIMIT, 5.0):
                each.cut_open()
    assert state(together) == state(one)


@pytest.mark.parametrize(
    "spoilt",
    [None, b"no", value(1, 3), b"\x0a" + value(1, 90)[1:], value(1, 90)[:9] + b"\x12" + value(1, 90)[10:],
     value(1, 90, b"x" * 20_000), value(2**64 - 1, 2**64 - 1)],
)  # fmt: skip
def test_a_run_with_one_message_that_is_not_a_plain_row_is_the_same_as_its_messages_one_by_one(
    spoilt: bytes | None,
) -> None:
    one, together = partition(), partition()
    values: list[bytes | None] = [*(value(1, n) for n in range(MANY)), spoilt, value(1, 99)]
    together.extend(run(range(len(values)), values), 0.0)
    for offset, content in enumerate(values):
        one.add(offset, content, 0.0)
    assert together.cut_open().last == one.cut_open().last == MANY + 1
    assert state(together) == state(one)
    assert [together.cut.message(row) for row in range(MANY)] == values[:MANY]  # type: ignore[union-attr]
