"""The four barriers of a ring suffice under a weak memory, and none of them is one too many: every order is tried."""

from collections.abc import Sequence
from itertools import product

import pytest
from msgspec import structs
from shm.memory_order import HEAD, TAIL, Barrier, Memory, Program, Ring, Violation, explore, in_order

RINGS = [
    Ring(4, (1, 1, 1, 1)),  # two records a lap
    Ring(6, (1, 2, 2, 1)),  # the third one does not fit the end of the lap
    Ring(5, (2, 1, 2)),  # padding of two words, of which one says so
]
BATCHES = [(1, 1), (2, 1), (1, 2), (2, 2)]
"""Records a publication, records a poll."""


def finished(programs: Sequence[Program]) -> tuple[int, ...]:
    return tuple((1 << len(program)) - 1 for program in programs)


@pytest.mark.parametrize("ring", RINGS)
def test_what_is_copied_is_what_was_published_in_every_order(ring: Ring) -> None:
    ends = 0
    for writes, reads in BATCHES:
        programs = ring.writer(0, writes), ring.reader(0, reads)
        ends += any(done == finished(programs) for done, _ in explore(programs, ring.empty))
    assert ends >= 1, "nothing ran to its end: nothing was tried"


@pytest.mark.parametrize("missing", Barrier)
def test_without_one_barrier_some_order_copies_what_was_not_published(missing: Barrier) -> None:
    for ring, (writes, reads) in product(RINGS, BATCHES):
        weaker = structs.replace(ring, barriers=frozenset(Barrier) - {missing})
        try:
            for _ in explore((weaker.writer(0, writes), weaker.reader(0, reads)), weaker.empty):
                pass
        except Violation:
            return
    pytest.fail(f"{missing.value}: no order needs it, or the model does not see it")


@pytest.mark.parametrize("ring", RINGS)
def test_a_writer_killed_anywhere_and_its_successor(ring: Ring) -> None:
    """It continues at the published tail; what its predecessor wrote above is overwritten and seen by nobody."""
    ends = 0
    for writes, reads in BATCHES:
        killed: set[tuple[int, Memory]] = set()
        for done, memory in explore((ring.writer(0, writes), ring.reader(0, reads)), ring.empty):
            if in_order(done[0]):
                killed.add((done[1], memory))
        for read, memory in killed:
            tail = dict(memory)[TAIL]
            programs = ring.writer(tail, 1, generation=1), ring.reader(0, reads, adopted=tail)
            ends += any(done == finished(programs) for done, _ in explore(programs, memory, (0, read)))
    assert ends >= 1


@pytest.mark.parametrize("ring", RINGS)
def test_a_reader_killed_anywhere_and_its_successor(ring: Ring) -> None:
    """It begins at head and sees again what was copied and not committed."""
    ends = 0
    for writes, reads in BATCHES:
        writer = ring.writer(0, writes)
        killed: set[tuple[int, Memory]] = set()
        for done, memory in explore((writer, ring.reader(0, reads)), ring.empty):
            if in_order(done[1]):
                killed.add((done[0], memory))
        for written, memory in killed:
            programs = writer, ring.reader(dict(memory)[HEAD], 1)
            ends += any(done == finished(programs) for done, _ in explore(programs, memory, (written, 0)))
    assert ends >= 1


def test_a_kill_between_accesses_that_are_out_of_order_is_none() -> None:
    assert [in_order(mask) for mask in (0b0, 0b1, 0b11, 0b10, 0b101)] == [True, True, True, False, False]
