"""Pages and rings stay mapped between two looks, and what their names lead to is always what is read."""

import os
from collections.abc import Iterator

import pytest

from wsadapter.roles.monitor import rings
from wsadapter.roles.monitor.mapped import Mapped
from wsadapter.roles.orders import WatchedRing
from wsadapter.shm import ring
from wsadapter.shm.ring import RingWriter
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

NAME = f"wsadapter-mapped{os.getpid()}"


@pytest.fixture
def mapped() -> Iterator[Mapped]:
    made = Mapped()
    yield made
    made.release()
    Segment.unlink(NAME)


def create_page(count: int, name: str = NAME) -> None:
    page = StatsPage.create(name, ("count",))
    page["count"] = count
    page.release()


def count(mapped: Mapped) -> int | None:
    page = mapped.page(NAME)
    return None if page is None else page["count"]


def mappings() -> int:
    with open("/proc/self/maps", encoding="utf-8") as lines:
        return sum(NAME in line for line in lines)


def test_a_page_is_mapped_once(mapped: Mapped) -> None:
    create_page(1)

    assert mapped.page(NAME) is mapped.page(NAME)
    assert mappings() == 1


def test_a_page_that_is_not_there_yet_is_found_later(mapped: Mapped) -> None:
    assert count(mapped) is None
    create_page(1)
    assert count(mapped) == 1


def test_a_page_that_was_unlinked_is_let_go(mapped: Mapped) -> None:
    create_page(1)
    assert count(mapped) == 1
    Segment.unlink(NAME)

    assert count(mapped) is None
    assert mappings() == 0


def test_a_page_in_the_place_of_another_one_is_read(mapped: Mapped) -> None:
    create_page(1)
    assert count(mapped) == 1
    create_page(2, f"{NAME}-new")
    Segment.replace(f"{NAME}-new", NAME)

    assert count(mapped) == 2
    assert mappings() == 1


def test_a_ring_is_seen_as_it_is_now(mapped: Mapped) -> None:
    def read() -> tuple[int, int, int]:
        (found,) = rings.read([WatchedRing("a", NAME)], mapped)
        return found.epoch, found.capacity, found.used

    assert read() == (0, 0, 0)
    ring.create(NAME, 4096, 7)
    assert read() == (7, 4096, 0)
    writer = RingWriter.attach(NAME)
    writer.try_write(1, b"x" * 8)
    writer.publish()
    writer.release()
    assert read() == (7, 4096, 16)
    Segment.unlink(NAME)
    assert read() == (0, 0, 0)
    assert mappings() == 0
    ring.create(NAME, 8192, 8)
    assert read() == (8, 8192, 0)


def test_a_ring_whose_cursors_are_damaged_cannot_be_read(mapped: Mapped) -> None:
    ring.create(NAME, 4096, 7)
    watched = WatchedRing("a", NAME)
    (whole,) = rings.read([watched], mapped)
    segment = Segment.attach(NAME)
    segment.map[16 * 8 : 17 * 8] = (13).to_bytes(8, "little")
    (damaged,) = rings.read([watched], mapped)
    segment.close()

    assert (whole.capacity, damaged.capacity) == (4096, 0)
