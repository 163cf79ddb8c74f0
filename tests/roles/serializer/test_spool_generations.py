"""What earlier runs left is replayed first, by one serializer, whatever the configuration says now."""

import errno
import os
import time
from pathlib import Path

import pytest
from eventually import eventually

from wsadapter.roles.serializer import spool as spool_module
from wsadapter.roles.serializer import spool_generations
from wsadapter.roles.serializer.spool_directory import SpoolError
from wsadapter.roles.serializer.spool_generations import COUNT_SECONDS, SpoolGenerations
from wsadapter.roles.serializer.spool_segment import Record

MIB = 1 << 20


def records(epoch: int, *positions: int) -> list[Record]:
    return [(epoch, position, 4, b"payload") for position in positions]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def opened(path: Path, generation: int, number: int = 0) -> SpoolGenerations:
    return SpoolGenerations(str(path), generation, f"serializer-{number}", MIB, number == 0)


def drain(spools: SpoolGenerations) -> list[Record]:
    found = []
    while spools.records:
        found += spools.poll(2)
        spools.commit(*spools.polled_to)
    return found


def test_a_restart_in_the_same_run_goes_on(path: Path) -> None:
    spools = opened(path, 7)
    spools.append(records(1, 0, 8, 16))
    spools.poll(1)
    spools.commit(*spools.polled_to)
    spools.close()
    again = opened(path, 7)
    assert not again.held_back
    again.append(records(1, 24))
    assert drain(again) == records(1, 8, 16, 24)
    again.close()
    assert list(path.iterdir()) == []


def test_the_first_serializer_replays_all_that_was_left(path: Path) -> None:
    for generation, number, epoch in ((9, 0, 1), (9, 1, 2), (10, 1, 1), (10, 2, 3)):
        spools = opened(path, generation, number or 3)  # none of them is first
        spools.append(records(epoch, generation * 8, generation * 8 + 8))
        spools.close()
    first, second = opened(path, 11, 0), opened(path, 11, 1)
    assert (first.held_back, second.held_back) == (False, True)
    second.append(records(1, 96))
    first.append(records(2, 96))
    assert first.records == 9
    assert drain(first) == [
        *records(2, 72, 80), *records(1, 72, 80), *records(1, 80, 88), *records(3, 80, 88), *records(2, 96),
    ]  # fmt: skip
    assert not second.held_back
    assert drain(second) == records(1, 96)
    first.close()
    second.close()
    assert list(path.iterdir()) == []


def test_what_is_left_counts_against_the_limit(path: Path) -> None:
    spools = opened(path, 1)
    big = [(1, position, 4, bytes(1000)) for position in range(0, 8 * 5000, 8)]
    stored = sum(spools.append(big[first : first + 50]) for first in range(0, 1000, 50))
    assert stored == 1000
    assert spools.append(big[stored:]) < 30
    spools.close()
    again = opened(path, 2)
    assert again.append(big[stored : stored + 50]) < 30
    while again.records > 500:
        again.poll(10)
        again.commit(*again.polled_to)
    assert again.append(big[stored : stored + 10]) == 10
    again.close()


def test_a_damaged_file_holds_nobody_back(path: Path) -> None:
    spools = opened(path, 1)
    spools.append(records(1, 0, 8, 16))
    spools.close()
    segment = next(path.rglob("*.spool"))
    content = bytearray(segment.read_bytes())
    content[40] ^= 1
    segment.write_bytes(content)
    again = opened(path, 2)
    assert drain(again) == records(1, 8, 16)
    assert again.lost_records == 1
    assert not again.held_back
    again.close()
    assert [file.name for file in path.rglob("*.damaged")] == [segment.name + ".damaged"]
    opened(path, 3).close()


@pytest.mark.parametrize("number", [0, 1])
def test_an_empty_generation_holds_nobody_back(path: Path, number: int) -> None:
    """A kill between making or removing a generation and the spool in it."""
    (path / f"{3:020d}").mkdir(parents=True)
    first = opened(path, 4)
    spools = first if number == 0 else opened(path, 4, number)
    assert not spools.held_back
    assert [entry.name for entry in path.iterdir()] == [f"{4:020d}"]


@pytest.mark.parametrize("number", [0, 1])
def test_what_is_no_directory_in_a_generation_is_left_alone(path: Path, number: int) -> None:
    earlier = path / f"{3:020d}"
    earlier.mkdir(parents=True)
    (earlier / "note").write_text("of an operator")
    (earlier / "stored.new").write_text("{")
    first = opened(path, 4)
    spools = first if number == 0 else opened(path, 4, number)
    assert (spools.held_back, spools.awaited) == (False, "")
    assert spools.records == 0
    assert (earlier / "note").exists()


@pytest.mark.parametrize("names", [("stored",), ("stored.new",), ("stored", "stored.new")])
def test_a_generation_with_files_of_ours_alone_is_removed(path: Path, names: tuple[str, ...]) -> None:
    """The group was killed while they were written; what was stored before is replayed first."""
    spools = opened(path, 3)
    spools.append(records(1, 0, 8))
    spools.close()
    for name in names:
        (path / f"{3:020d}" / name).write_text("{")
    first, second = opened(path, 4), opened(path, 4, 1)
    assert second.held_back
    drain(first)
    assert not second.held_back
    first.close()
    second.close()
    assert list(path.iterdir()) == []


def test_a_decision_of_another_life_is_carried_out_once(path: Path) -> None:
    """Killed after the decision: the spool that it names may be gone, or committed, or neither."""
    spools = opened(path, 1)
    spools.append(records(1, 0, 8, 16))
    spools.poll(2)
    decided = spools.polled_to
    spools.close()
    for _ in range(2):
        again = opened(path, 2)
        again.commit(*decided)
        assert again.records == 1
        again.close()
    again = opened(path, 3)
    again.append(records(2, 0, 8, 16))
    assert drain(again) == [*records(1, 16), *records(2, 0, 8, 16)]
    again.append(records(2, 24, 32))
    again.commit(*decided)
    assert drain(again) == records(2, 24, 32), "the decision was about a spool that is gone"
    again.close()


def test_the_limit_is_of_all_serializers_and_runs_together(path: Path) -> None:
    def opened_two(generation: int) -> list[SpoolGenerations]:
        return [SpoolGenerations(str(path), generation, f"serializer-{n}", MIB, n == 0, 2) for n in (0, 1)]

    def on_disk() -> int:
        return sum(file.stat().st_size for file in path.rglob("*.spool"))

    big = [(1, position, 4, bytes(1000)) for position in range(0, 8 * 600, 8)]
    for generation in (1, 2, 3):
        both = opened_two(generation)
        for spools in both:
            while spools.append(big[:20]) == 20:
                pass
        assert MIB - 50_000 < on_disk() <= MIB
        for spools in both:
            spools.close()
    first, second = opened_two(4)
    drain(first)
    assert not second.held_back
    time.sleep(COUNT_SECONDS)
    assert second.append(big[:200]) == 200
    first.close()
    second.close()


def test_what_an_earlier_run_stored_is_known_to_the_serializer_of_the_ring(path: Path) -> None:
    """Killed between the sync and the store of head: head is moved over those records by whoever has the ring now, even
    when the first serializer has replayed and deleted them."""
    for number in (0, 1):
        spools = opened(path, 1, number)
        spools.append(records(10 + number, 0, 8, 16))
        spools.close()
    early = opened(path, 2, 1)  # before the first one has begun
    assert [early.last_position(epoch) for epoch in (10, 11, 12)] == [16, 16, -1]
    early.close()
    first = opened(path, 2)
    drain(first)
    for _ in range(2):  # the first one is killed and starts again
        late = opened(path, 2, 1)
        assert [late.last_position(epoch) for epoch in (10, 11, 12)] == [16, 16, -1]
        late.close()
        for spool in first._all():
            spool.close()
        first = opened(path, 2)
    first.close()
    last = opened(path, 3)
    assert not last.records
    last.close()
    assert list(path.iterdir()) == []


def test_a_full_disk_at_the_start_ends_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state directory's file system has no room for a directory: the serializer goes on without a spool, and has
    one when there is room."""

    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "makedirs", no_room)
        spools = opened(path, 1)
        assert spools.append(records(1, 0, 8)) == 0
        assert (spools.records, spools.poll(10), spools.appended, spools.last_position(1)) == (0, [], 0, -1)
        spools.commit(*spools.polled_to)
        spools.rewind()
    monkeypatch.setattr(spool_generations, "OPEN_SECONDS", 0.0)
    eventually(lambda: spools.append(records(1, 0, 8)) == 2)
    assert drain(spools) == records(1, 0, 8)
    spools.close()


@pytest.mark.parametrize("file", ["confirmed", "checkpoint"])
def test_a_directory_that_has_no_room_for_its_files_is_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """The lock that was taken first is given back."""
    opening = os.open

    def no_room(name: str, flags: int, *mode: int) -> int:
        if flags & os.O_CREAT and name.endswith(file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opening(name, flags, *mode)

    monkeypatch.setattr(spool_generations, "OPEN_SECONDS", 0.0)
    with monkeypatch.context() as full:
        full.setattr(os, "open", no_room)
        spools = opened(path, 1)
        for _ in range(2):
            assert spools.append(records(1, 0, 8)) == 0
    assert spools.append(records(1, 0, 8)) == 2
    assert drain(spools) == records(1, 0, 8)
    spools.close()


def test_a_spool_with_records_that_cannot_be_opened_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records are older than those of the rings: nothing may be produced before them."""
    spools = opened(path, 1)
    spools.append(records(1, 0, 8))
    spools.close()
    monkeypatch.setattr(spool_module, "open_number", lambda path: no_file())
    with pytest.raises(SpoolError):
        opened(path, 1)


def no_file() -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
