"""When a batch is cut, what is in it, and what a message is."""

import struct

from wsadapter.batches import QUIET_FACTOR, QUIET_ROWS, Batch, Partition, varint
from wsadapter.consumer import identify_as
from wsadapter.pb import market_pb2
from wsadapter.progress import Progress
from wsadapter.streams import BY_STREAM

SPEC = BY_STREAM["trade"]
HEAD = b"INSERT INTO t FORMAT Protobuf\n"
NO_LIMIT = 10**9


def partition(start: int = 0, progress: Progress | None = None) -> Partition:
    return Partition(SPEC, "t", 0, start, progress or Progress(4), HEAD, identify_as(SPEC))


def value(epoch: int, position: int, more: bytes = b"") -> bytes:
    return struct.pack("<BQBQ", 9, epoch, 17, position) + more


def filled(count: int, now: float = 0.0) -> Partition:
    made = partition()
    for number in range(count):
        made.add(number, value(1, number), now)
    return made


def test_a_busy_partition_is_cut_after_the_time_and_a_quiet_one_waits_up_to_five_times_as_long() -> None:
    busy, quiet = filled(QUIET_ROWS), filled(QUIET_ROWS - 1)

    assert not busy.due(0.9, NO_LIMIT, NO_LIMIT, 1.0)
    assert busy.due(1.0, NO_LIMIT, NO_LIMIT, 1.0)
    assert not quiet.due(QUIET_FACTOR - 0.1, NO_LIMIT, NO_LIMIT, 1.0)
    assert quiet.due(QUIET_FACTOR, NO_LIMIT, NO_LIMIT, 1.0)


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
    made.finish()
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
    assert (offset, Progress.decode(metadata)) == (0, Progress(4, 2, {}))
    made.finish()
    offset, metadata = made.commit()
    assert (offset, Progress.decode(metadata)) == (3, Progress(4, None, {1: 2}))


def test_an_intended_range_is_cut_exactly_and_not_before_it_is_whole() -> None:
    made = partition(10, Progress(4, 12))
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
    made = partition(10, Progress(4, 12))
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


def test_a_jump_forgets_the_watermarks_and_the_intent() -> None:
    made = partition(100, Progress(4, 120, {1: 50}))
    made.jump(0)
    made.add(0, value(1, 3), 0.0)

    assert made.cut_open().rows == 1
    assert made.commit()[0] == 0


def test_a_batch_without_rows_moves_the_offset() -> None:
    made = partition(0, Progress(4, None, {1: 10}))
    made.add(0, value(1, 5), 0.0)
    batch = made.cut_open()
    assert (batch.rows, batch.redelivered) == (0, 1)
    made.finish()

    assert made.done == 1


def test_the_body_can_be_cut_from_an_empty_head() -> None:
    batch = Batch(0, b"", 0.0)

    assert (batch.rows, batch.size) == (0, 0)
