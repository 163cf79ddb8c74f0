"""Two processes, one ring: a long stream arrives in order, once, undamaged; then the same under kill -9 of either."""

import os
import random
import select
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from eventually import eventually
from shm.ring_child import ENTRY, KIND, end, identify, start

from wsadapter.shm import doorbell, ring
from wsadapter.shm.ring import RingReader
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

RECORDS = int(os.environ.get("WSADAPTER_RING_RECORDS", "200000"))
KILLS = int(os.environ.get("WSADAPTER_RING_KILLS", "14"))


@pytest.fixture
def bell() -> Iterator[int]:
    fd = doorbell.create()
    yield fd
    os.close(fd)


@pytest.fixture
def page(segment_name: str) -> Iterator[StatsPage]:
    name = f"{segment_name}-page"
    made = StatsPage.create(name, [f"published{run}" for run in range(KILLS + 2)])
    yield made
    made.release()
    Segment.unlink(name)


def test_a_stream_of_two_processes_is_in_order_and_whole(segment_name: str, page: StatsPage, bell: int) -> None:
    ring.create(segment_name, 1 << 16, 1)
    reader = RingReader.attach(segment_name)
    waiter = select.poll()
    waiter.register(bell, select.POLLIN)
    child = start("write", segment_name, page.name, bell, 0, RECORDS, pass_fds=(bell,))
    expected = 0
    try:
        while expected < RECORDS:
            assert waiter.poll(30_000), f"no doorbell after {expected} records"
            doorbell.clear(bell)
            while records := reader.poll(256):
                for _, kind, record in records:
                    assert (KIND, (0, expected)) == (kind, identify(record))
                    expected += 1
                reader.commit(reader.position)
        assert (reader.unread(), page["published0"]) == (0, RECORDS)
        assert reader.tail > 100 * reader.capacity
    finally:
        end(child)
        reader.release()


def test_kill_9_of_either_side_loses_nothing(segment_name: str, page: StatsPage, bell: int, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    log = tmp_path / "delivered"
    ring.create(segment_name, 1 << 14, 1)
    run = 0

    def start_writer() -> subprocess.Popen[str]:
        return start("write", segment_name, page.name, bell, run, 0, pass_fds=(bell,))

    def start_reader() -> subprocess.Popen[str]:
        return start("deliver", segment_name, bell, log, pass_fds=(bell,))

    watcher = RingReader.attach(segment_name, writable=False)
    writer, reader = start_writer(), start_reader()
    try:
        for _ in range(KILLS):
            before = watcher.head
            eventually(lambda before=before: watcher.head > before, message="the pair does not move")  # type: ignore[misc]
            deadline = time.monotonic() + chance.uniform(0, 0.05)
            while time.monotonic() < deadline:  # a random point of its work, of any instruction
                pass
            if chance.random() < 0.5:
                end(writer)
                run += 1
                writer = start_writer()
            else:
                end(reader)
                reader = start_reader()
        end(writer)
        eventually(lambda: watcher.head == watcher.tail, message="the reader does not drain")
    finally:
        end(writer)
        end(reader)
        watcher.release()

    delivered = list(ENTRY.iter_unpack(log.read_bytes()))
    once = list(dict.fromkeys(delivered))
    assert once[0] == (0, 0)
    for (same, number), following in pairwise(once):
        assert following == (same, number + 1) or (following[0] > same and following[1] == 0), "a hole"
    last = dict(once)
    lost = [n for n in range(run + 1) if page[f"published{n}"] > last.get(n, -1) + 1]
    assert lost == []
    assert len(once) > 1000
    print(f"{KILLS} kills, {len(once)} records, {len(delivered) - len(once)} delivered twice")
