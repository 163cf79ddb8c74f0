"""The ring against a deque: random sizes, capacities, offsets and orders of every operation."""

import os
from collections import deque

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wsadapter.shm import ring
from wsadapter.shm.ring import DATA, RingReader, RingWriter, max_payload
from wsadapter.shm.segment import Segment

Record = tuple[int, int, bytes]


def begin_at(name: str, position: int) -> None:
    """Move an empty ring's cursors, as if it had carried ``position`` bytes."""
    segment = Segment.attach(name)
    words = segment.buf.cast("Q")
    words[16] = words[32] = position
    words.release()
    segment.close()


class RingModel(RuleBasedStateMachine):
    """``unpublished``, ``unpolled`` and ``polled`` are the records by how far they got; the positions are modelled by
    the documented rule, not by the code."""

    name = f"wsadapter-model{os.getpid()}"

    @initialize(power=st.integers(6, 12), start=st.integers(0, 1 << 58), epoch=st.integers(0, 2**64 - 1))
    def create(self, power: int, start: int, epoch: int) -> None:
        self.capacity, self.epoch = 1 << power, epoch
        ring.create(self.name, self.capacity, epoch)
        self.tail = self.published = self.head = start * 8
        begin_at(self.name, self.tail)
        self.writer, self.reader = RingWriter.attach(self.name), RingReader.attach(self.name)
        self.unpublished: list[Record] = []
        self.unpolled: deque[Record] = deque()
        self.polled: deque[Record] = deque()
        self.number = self.dropped = 0
        self.last_position = -1

    def teardown(self) -> None:
        self.writer.release()
        self.reader.release()
        assert Segment.unlink(self.name)

    @rule(kind=st.integers(1, 255), part=st.integers(0, 16), more=st.integers(0, 15))
    def write(self, kind: int, part: int, more: int) -> None:
        length = min(max_payload(self.capacity) * part // 16 + more, max_payload(self.capacity))
        self.number += 1
        payload = (self.number.to_bytes(4, "big") * (length // 4 + 1))[:length]
        framed = 8 + -(-length // 8) * 8
        rest = self.capacity - self.tail % self.capacity
        position = self.tail if framed <= rest else self.tail + rest
        fits = position + framed - self.head <= self.capacity
        assert self.writer.try_write(kind, payload) is fits
        if fits:
            self.unpublished.append((position, kind, payload))
            self.tail = position + framed
            self.last_position = position
        else:
            self.dropped += 1
            self.writer.add_dropped(1)

    @rule()
    def publish(self) -> None:
        self.writer.publish()
        self.unpolled.extend(self.unpublished)
        self.unpublished.clear()
        self.published = self.tail

    @rule(limit=st.integers(0, 9) | st.just(10_000))
    def poll(self, limit: int) -> None:
        expected = [self.unpolled.popleft() for _ in range(min(limit, len(self.unpolled)))]
        assert expected == self.reader.poll(limit)
        self.polled.extend(expected)

    @precondition(lambda self: self.polled)
    @rule(share=st.integers(0, 8))
    def commit(self, share: int) -> None:
        for _ in range(len(self.polled) * share // 8):
            self.polled.popleft()
        self.head = self.polled[0][0] if self.polled else self.reader.position
        self.reader.commit(self.head)

    @rule()
    def rewind(self) -> None:
        self.reader.rewind()
        self.unpolled.extendleft(reversed(self.polled))
        self.polled.clear()

    @rule()
    def replace_reader(self) -> None:
        self.reader.release()
        self.reader = RingReader.attach(self.name)
        self.unpolled.extendleft(reversed(self.polled))
        self.polled.clear()

    @rule()
    def replace_writer(self) -> None:
        self.writer.release()
        self.writer = RingWriter.attach(self.name)
        self.unpublished.clear()
        self.tail = self.published
        self.last_position = -1

    @invariant()
    def words_agree(self) -> None:
        if not hasattr(self, "writer"):
            return
        assert (self.published, self.head) == (self.reader.tail, self.reader.head)
        assert self.published - self.head == self.reader.used()
        assert self.tail - self.head == self.writer.used() <= self.capacity
        assert self.last_position == self.writer.last_position
        assert self.dropped == self.writer.dropped == self.reader.dropped
        assert self.epoch == self.writer.epoch == self.reader.epoch
        here = self.reader.position
        assert len(self.polled) + len(self.unpolled) == self.reader.unread()
        assert here == self.reader.position
        assert Segment.exists(self.name)


RingModel.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
test_ring_is_a_bounded_deque = RingModel.TestCase


def test_layout_begins_at_4096(segment_name: str) -> None:
    ring.create(segment_name, 64, 1)
    writer = RingWriter.attach(segment_name)
    assert writer.try_write(3, b"12345678")
    segment = Segment.attach(segment_name, writable=False)
    assert bytes(segment.buf[DATA : DATA + 16]) == (3 << 32 | 8).to_bytes(8, "little") + b"12345678"
    segment.close()
    writer.release()
