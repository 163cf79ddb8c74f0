"""The time of reads, when the wall clock is set: two hands, in virtual time; the reader in C by the same cells."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter import native
from wsadapter.client.clock import ReceiveClock
from wsadapter.client.reader import PythonReader, ReceiveCount, frame_reader

SECOND = 1_000_000_000
START = 1_790_771_371 * SECOND


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Wall clock and monotonic clock."""
    now = [START, 5 * SECOND]
    monkeypatch.setattr("wsadapter.client.clock.time", FakeTime(now))
    return now


class FakeTime:
    def __init__(self, hands: list[int]) -> None:
        self._hands = hands

    def time_ns(self) -> int:
        return self._hands[0]

    def monotonic_ns(self) -> int:
        return self._hands[1]


def test_it_is_the_wall_clock_s_and_follows_it_forward(hands: list[int]) -> None:
    clock = ReceiveClock()
    assert clock.now_ns() == START
    hands[0], hands[1] = hands[0] + 3600 * SECOND, hands[1] + SECOND
    assert clock.now_ns() == START + 3600 * SECOND


def test_a_wall_clock_that_was_set_back_is_waited_for_at_half_its_pace(hands: list[int]) -> None:
    clock = ReceiveClock()
    before = clock.now_ns()
    hands[0] -= 5 * SECOND
    assert clock.now_ns() == before
    ahead = []
    for _ in range(11):
        hands[0], hands[1] = hands[0] + SECOND, hands[1] + SECOND
        ahead.append((clock.now_ns() - hands[0]) / SECOND)
    assert ahead == [4.5, 4, 3.5, 3, 2.5, 2, 1.5, 1, 0.5, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 10 * SECOND), st.integers(-3600 * SECOND, 3600 * SECOND)), max_size=40))
def test_it_never_goes_back(steps: list[tuple[int, int]]) -> None:
    now, times = [START, 0], []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("wsadapter.client.clock.time", FakeTime(now))
        clock = ReceiveClock()
        for passed, step in steps:
            now[0], now[1] = now[0] + passed + step, now[1] + passed
            times.append(clock.now_ns())
            assert times[-1] >= now[0]
    assert times == sorted(times)


def reader(kind: str, clock: ReceiveClock) -> object:
    if kind == "in C" and native.extension is None:
        pytest.skip("the extension is not built")
    make = PythonReader if kind == "in Python" else frame_reader
    return make(lambda payload, at_ns: [], lambda transport, frame: None, lambda: None, ReceiveCount(), clock)


@pytest.mark.parametrize("kind", ["in C", "in Python"])
def test_the_reads_of_one_process_never_go_back(kind: str) -> None:
    clock, times = ReceiveClock(), []
    one = reader(kind, clock)
    clock.cells[0], clock.cells[1] = time.time_ns() + 3600 * SECOND, time.monotonic_ns()  # the clock is set back here
    last = clock.cells[0]
    for _ in range(3):
        times.append(one.date())  # type: ignore[attr-defined]
        one.finish()  # type: ignore[attr-defined]
    assert [last, *times, clock.now_ns()] == sorted([last, *times, clock.cells[0]])
    assert times[-1] < last + 600 * SECOND

    clock.cells[0] = 0  # and forward
    before = time.time_ns()
    assert before <= one.date() <= time.time_ns()  # type: ignore[attr-defined]
