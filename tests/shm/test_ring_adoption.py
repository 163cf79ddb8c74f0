"""A ring left by killed processes: what was published is there, what was not is not, what was committed stays so."""

import pytest
from shm.ring_child import KIND, end, payload, start

from wsadapter.errors import SegmentError
from wsadapter.shm import ring
from wsadapter.shm.ring import RingReader, RingWriter

CAPACITY = 1 << 16


@pytest.mark.parametrize("published", [0, 1, 50])
def test_a_killed_writers_unpublished_records_vanish(segment_name: str, published: int) -> None:
    ring.create(segment_name, CAPACITY, 42)
    end(start("half", segment_name, published, 20))
    reader = RingReader.attach(segment_name)
    assert published == reader.unread()
    assert [payload(1, n) for n in range(published)] == [record for _, _, record in reader.poll(1000)]
    writer = RingWriter.attach(segment_name)
    assert (writer.epoch, reader.epoch) == (42, 42)
    assert writer.try_write(KIND, b"next")
    writer.publish()
    assert [(writer.last_position, KIND, b"next")] == reader.poll(1000)
    writer.release()
    reader.release()


@pytest.mark.parametrize("committed", [0, 1, 7, 10])
def test_a_killed_readers_records_come_again_unless_committed(segment_name: str, committed: int) -> None:
    ring.create(segment_name, CAPACITY, 1)
    writer = RingWriter.attach(segment_name)
    for sequence in range(12):
        assert writer.try_write(KIND, payload(1, sequence))
    writer.publish()
    end(start("read", segment_name, 10, committed))
    reader = RingReader.attach(segment_name)
    assert 12 - committed == reader.unread()
    assert [payload(1, n) for n in range(committed, 12)] == [record for _, _, record in reader.poll(1000)]
    writer.release()
    reader.release()


def test_counts_of_dropped_records_survive_the_writer(segment_name: str) -> None:
    ring.create(segment_name, CAPACITY, 1)
    for count in (3, 4):
        writer = RingWriter.attach(segment_name)
        writer.add_dropped(count)
        writer.release()
    reader = RingReader.attach(segment_name)
    assert reader.dropped == 7
    reader.release()


def test_a_ring_is_complete_or_absent_for_a_second_creator(segment_name: str) -> None:
    ring.create(segment_name, CAPACITY, 5)
    with pytest.raises(SegmentError, match="exists already"):
        ring.create(segment_name, CAPACITY, 6)
    reader = RingReader.attach(segment_name)
    assert reader.epoch == 5
    reader.release()
