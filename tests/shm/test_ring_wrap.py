"""Wrap-around at each offset, the largest record, one more, and a full ring."""

from collections.abc import Callable, Iterator

import pytest
from shm.test_ring_model import begin_at

from wsadapter.errors import RecordTooLarge, SegmentError
from wsadapter.shm import ring
from wsadapter.shm.ring import RingReader, RingWriter, max_payload

CAPACITY = 256
Ends = tuple[RingWriter, RingReader]


@pytest.fixture
def ends_at(segment_name: str) -> Iterator[Callable[[int], Ends]]:
    """Both ends of an empty ring of 256 bytes whose cursors are at a position."""
    ring.create(segment_name, CAPACITY, 1)
    ends: list[RingWriter | RingReader] = []

    def attach(position: int) -> Ends:
        begin_at(segment_name, position)
        writer, reader = RingWriter.attach(segment_name), RingReader.attach(segment_name)
        ends.extend((writer, reader))
        return writer, reader

    yield attach
    for end in ends:
        end.release()


def test_every_size_at_every_offset(ends_at: Callable[[int], Ends]) -> None:
    for offset in range(0, CAPACITY, 8):
        writer, reader = ends_at((1 << 40) + offset)
        for length in range(max_payload(CAPACITY) + 1):
            payload = bytes(range(1, length + 1))
            assert writer.try_write(9, payload)
            assert reader.poll(1) == []
            writer.publish()
            assert reader.poll(2) == [(writer.last_position, 9, payload)]
            reader.commit(reader.position)
        writer.release()
        reader.release()


@pytest.mark.parametrize("offset", range(0, CAPACITY, 8))
def test_the_largest_record_fits_an_empty_ring_at_every_offset(ends_at: Callable[[int], Ends], offset: int) -> None:
    writer, reader = ends_at(offset)
    largest = bytes([offset]) * max_payload(CAPACITY)
    assert writer.try_write(1, largest)
    for length in (max_payload(CAPACITY) + 1, CAPACITY - 8, CAPACITY, CAPACITY + 1):
        with pytest.raises(RecordTooLarge, match=rf"{length} bytes, the most is {max_payload(CAPACITY)}"):
            writer.try_write(1, bytes(length))
    writer.publish()
    assert reader.poll(9) == [(writer.last_position, 1, largest)]


@pytest.mark.parametrize("offset", range(0, CAPACITY, 8))
def test_full_writes_nothing_and_room_comes_back(ends_at: Callable[[int], Ends], offset: int) -> None:
    writer, reader = ends_at(offset)
    written = 0
    while writer.try_write(1, bytes([written]) * 17):
        written += 1
    assert written >= 6
    used = writer.used()
    for _ in range(3):
        assert not writer.try_write(1, bytes(17))
    assert used == writer.used() <= CAPACITY
    writer.publish()
    records = reader.poll(100)
    assert [bytes([n]) * 17 for n in range(written)] == [payload for _, _, payload in records]
    assert not writer.try_write(1, bytes(17)), "polled is not done with"
    reader.commit(reader.position)
    assert writer.try_write(1, b"again")
    writer.publish()
    assert [payload for _, _, payload in reader.poll(100)] == [b"again"]


def test_exactly_full_is_allowed(ends_at: Callable[[int], Ends]) -> None:
    writer, reader = ends_at(0)
    for _ in range(4):
        assert writer.try_write(1, bytes(56))
    assert writer.used() == CAPACITY
    assert not writer.try_write(1, b"")
    writer.publish()
    assert len(reader.poll(9)) == 4
    reader.commit(reader.position)
    assert writer.try_write(1, b"")
    assert writer.last_position == CAPACITY


@pytest.mark.parametrize("kind", [0, -1, 256, 1 << 32])
def test_kinds_are_1_to_255(ends_at: Callable[[int], Ends], kind: int) -> None:
    writer, reader = ends_at(CAPACITY - 8)
    with pytest.raises(KeyError):
        writer.try_write(kind, b"12345678")
    assert writer.last_position == -1, "the lap has changed, no record was written"
    assert writer.try_write(255, b"good")
    writer.publish()
    assert reader.poll(9) == [(CAPACITY, 255, b"good")]


def test_a_payload_that_is_no_bytes_leaves_no_record(ends_at: Callable[[int], Ends]) -> None:
    writer, reader = ends_at(0)
    with pytest.raises(TypeError):
        writer.try_write(1, "text")  # type: ignore[arg-type]
    writer.publish()
    assert reader.poll(9) == []


def test_commit_is_bounded_by_head_and_cursor(ends_at: Callable[[int], Ends]) -> None:
    writer, reader = ends_at(64)
    for _ in range(3):
        writer.try_write(1, b"12345678")
    writer.publish()
    reader.poll(2)
    for position in (56, 104, 65):
        with pytest.raises(ValueError, match=rf"commit {position}, head 64, cursor 96"):
            reader.commit(position)
    reader.commit(80)
    assert (reader.head, reader.position) == (80, 96)


@pytest.mark.parametrize("capacity", [0, 32, 100, 65_537, 1 << 33])
def test_capacity_is_a_power_of_two(segment_name: str, capacity: int) -> None:
    with pytest.raises(ValueError, match=rf"capacity {capacity} is not a power of two"):
        ring.create(segment_name, capacity, 1)


def test_a_watcher_follows_for_laps_and_knows_when_it_was_lapped(
    ends_at: Callable[[int], Ends], segment_name: str
) -> None:
    writer, reader = ends_at(0)
    watcher = RingReader.attach(segment_name, writable=False)
    try:
        for number in range(100):
            assert writer.try_write(1, b"%04d" % number)
            writer.publish()
            assert [payload for _, _, payload in reader.poll(10)] == [b"%04d" % number]
            assert [payload for _, _, payload in watcher.poll(10)] == [b"%04d" % number]
            reader.commit(reader.position)
        for number in range(CAPACITY // 16 + 1):
            assert writer.try_write(1, b"%04d" % number)
            writer.publish()
            reader.poll(10)
            reader.commit(reader.position)
        with pytest.raises(SegmentError, match="does not fit cursor"):
            watcher.poll(10)
    finally:
        watcher.release()
