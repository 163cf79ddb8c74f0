"""What is missing follows from what the log holds: exactly, whatever came in between and in whatever order."""

import random

from hypothesis import given
from hypothesis import strategies as st

from wsadapter.exchanges.rest_api import Hole, Series
from wsadapter.roles.repairer.missing_range import MOST_RUNS, MissingRange, Runs

TRADES = Series("trade", "BTCUSDT")
CANDLES = Series("kline", "BTCUSDT", "1m")
MINUTE = 60_000_000_000


@given(
    before=st.integers(0, 5), missing=st.integers(0, 9), after=st.integers(0, 5), repaired=st.integers(0, 9),
    early=st.integers(0, 4), seed=st.integers(0, 99),
)  # fmt: skip
def test_trades(before: int, missing: int, after: int, repaired: int, early: int, seed: int) -> None:
    """Ids 100...: ``before`` received before the hole, then ``missing`` (the first ``repaired`` of them are in the log
    already, from REST), ``early`` received when the hole was not over yet, ``after`` behind it."""
    around = MissingRange(TRADES, 1_000, 2_000)
    numbers = iter(range(100, 200))
    records = [(next(numbers), False, 1_000 - 10 * n) for n in reversed(range(before))]
    lost = [next(numbers) for _ in range(missing)]
    records += [(number, True, 9_000) for number in lost[:repaired]]
    records += [(next(numbers), False, 1_500) for _ in range(early)]
    records += [(next(numbers), False, 2_000 + n) for n in range(after)]
    random.Random(seed).shuffle(records)
    for number, rest, received in records:
        around.add(number, number + 1, True, rest, received)

    hole = around.hole()
    left = lost[repaired:]
    assert around.ends == (after > 0)
    if before and after:
        assert (hole is None) == (not left)
        if hole is not None:
            assert (hole.first, hole.last) == (left[0], left[-1])
        return
    assert hole is not None  # open on a side: time must say it
    assert hole.first == (None if not before else left[0] if left else 100 + before + missing + early)
    assert (hole.last is None) == (not after)
    for number in lost[:repaired]:
        assert number in around.present.runs


def test_events_without_a_number_are_known_by_their_id() -> None:
    around = MissingRange(TRADES, 1_000, 2_000)
    around.add_identity("2a74ac78")

    assert around.present.identities == {"2a74ac78"}
    assert around.hole() is not None


def test_bounds_that_are_known_are_cut_by_what_is_there() -> None:
    around = MissingRange(TRADES, 1_000, 2_000)
    for number in (5, 6, 9):
        around.add(number, number + 1, True, True, 5_000)
    hole = around.hole(5, 9)
    assert hole is not None
    assert (hole.first, hole.last) == (7, 8)
    for number in (7, 8):
        around.add(number, number + 1, True, True, 5_000)
    assert around.hole(5, 9) is None


def candle(around: MissingRange, minute: int, closed: bool, received: int, rest: bool = False) -> None:
    around.add(minute * MINUTE, (minute + 1) * MINUTE, closed, rest, received)


def bounds(hole: Hole | None) -> tuple[int | None, int | None] | None:
    return None if hole is None else (hole.first, hole.last)


def test_a_candle_that_was_open_before_and_after_is_not_missing() -> None:
    around = MissingRange(CANDLES, 1_000, 2_000)
    candle(around, 7, False, 990)
    candle(around, 7, False, 2_010)
    assert around.hole() is None


def test_candles_that_closed_meanwhile() -> None:
    around = MissingRange(CANDLES, 1_000, 2_000)
    candle(around, 6, True, 900)
    candle(around, 7, False, 990)
    candle(around, 9, False, 2_010)
    assert bounds(around.hole()) == (7 * MINUTE, 9 * MINUTE - 1)
    candle(around, 7, True, 9_999, rest=True)
    assert bounds(around.hole()) == (8 * MINUTE, 9 * MINUTE - 1)
    candle(around, 8, True, 9_999, rest=True)
    assert around.hole() is None


def test_a_candle_that_had_closed_before_is_not_fetched_again() -> None:
    around = MissingRange(CANDLES, 1_000, 2_000)
    candle(around, 7, True, 990)
    candle(around, 8, True, 2_500)
    assert around.hole() is None


def test_another_connection_that_went_on_leaves_no_hole() -> None:
    around = MissingRange(CANDLES, 1_000, 9_000)
    candle(around, 7, False, 990)
    candle(around, 7, True, 3_000)
    candle(around, 8, False, 4_000)
    candle(around, 8, True, 9_500)
    assert around.hole() is None


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 6)), max_size=25))
def test_runs_hold_what_was_added(added: list[tuple[int, int]]) -> None:
    runs, model = Runs(), set[int]()
    for first, length in added:
        runs.add(first, first + length)
        model |= {*range(first, first + length)}
    assert {number for number in range(60) if number in runs} == model
    assert len(runs) == sum(number - 1 not in model for number in model)
    for number in range(60):
        following = next(n for n in range(number, 99) if n not in model)
        assert runs.end_of(number) == following
        before = next(n for n in range(number, -2, -1) if n - 1 not in model)
        assert runs.first_of(number) == before


def test_a_million_contiguous_numbers_are_one_run() -> None:
    runs = Runs()
    for number in range(1_000_000):
        runs.add(number, number + 1)
    assert len(runs) == 1
    runs = Runs()
    for number in range(0, 4 * MOST_RUNS, 2):
        runs.add(number, number + 1)
    assert len(runs) == MOST_RUNS
