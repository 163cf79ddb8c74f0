"""What earlier runs left is replayed first, by one serializer, whatever the configuration says now."""

from pathlib import Path

import pytest

from wsadapter.roles.serializer.spool_generations import SpoolGenerations
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


def test_what_is_no_directory_in_a_generation_is_left_alone(path: Path) -> None:
    (path / f"{3:020d}").mkdir(parents=True)
    (path / f"{3:020d}" / "note").write_text("of an operator")
    spools = opened(path, 4)
    assert not spools.held_back
    assert spools.records == 0


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
