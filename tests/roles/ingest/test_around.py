"""Which frames are written where only what is around a gap is, in virtual time; and how much memory that takes."""

from wsadapter.recordings import Frame, Kept
from wsadapter.roles.ingest.flight_recorder import Around, Batch

SECOND = 1_000_000_000


def batch(*seconds: float) -> Batch:
    frames: list[Kept] = [Frame(round(at * SECOND), "1.1", b"x") for at in seconds]
    return frames, 100 * len(frames)


def times(batches: list[Batch]) -> list[float]:
    return [at_ns / SECOND for frames, _ in batches for at_ns, _, _ in frames]


def test_what_was_before_and_what_comes_after_is_written_once() -> None:
    around = Around(before=3, after=2, room=10_000)
    for second in range(10):
        assert around.take(batch(second), second * SECOND)[:2] == ([], [])
    assert around.happened("gap", round(9.5 * SECOND))
    written, reasons, _ = around.take(batch(9.7), round(9.7 * SECOND))
    assert (times(written), reasons) == ([6, 7, 8, 9, 9.7], ["gap"])
    assert times(around.take(batch(11.4), round(11.4 * SECOND))[0]) == [11.4]
    assert not around.is_over(round(11.4 * SECOND))
    assert around.take(batch(12), 12 * SECOND)[0] == []
    assert around.is_over(12 * SECOND)


def test_another_one_meanwhile_prolongs_it() -> None:
    around = Around(before=3, after=2, room=10_000)
    assert around.happened("first", 0)
    assert around.take(batch(0), 0)[1] == ["first"]
    assert not around.happened("second", SECOND)
    assert times(around.take(batch(2.5), round(2.5 * SECOND))[0]) == [2.5]
    assert around.is_over(3 * SECOND)
    assert around.happened("third", 4 * SECOND)


def test_something_that_happens_between_two_looks_is_not_forgotten() -> None:
    """However short the time after it is."""
    around = Around(before=3, after=1, room=10_000)
    around.happened("gap", 0)
    assert not around.is_over(5 * SECOND)
    assert times(around.take(batch(4), 5 * SECOND)[0]) == [4]


def test_memory_is_bounded_and_given_back() -> None:
    around = Around(before=1000, after=1, room=250)
    assert [around.take(batch(second), second * SECOND)[2] for second in range(5)] == [0, 0, 100, 100, 100]
    around = Around(before=2, after=1, room=10_000)
    assert [around.take(batch(second), second * SECOND)[2] for second in range(5)] == [0, 0, 0, 100, 100]
    assert around.take(([], 0), 100 * SECOND)[2] == 300
