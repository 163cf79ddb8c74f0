"""The restart policy in virtual time: backoff, jitter, intensity in a period, reset after a stable time."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.backoff import Backoff
from wsadapter.supervision.restart import ChildRun, NextStart, RestartPolicy, RunHistory, after, decide, hopeless

POLICY = RestartPolicy(Backoff(0.5, 30.0), intensity=5, period=60.0, stable=60.0)
LATEST = 0.999999999


def latest() -> float:
    return LATEST


def crash_loop(policy: RestartPolicy, count: int, lives: float, dice: random.Random) -> list[tuple[float, bool]]:
    """(wait, degraded) of each restart of a child that lives ``lives`` seconds each time."""
    now, history, waits = 0.0, RunHistory(), []
    for _ in range(count):
        history = after(history, ChildRun(now, now + lives), policy)
        now += lives
        decision = decide(history, now, policy, dice.random)
        waits.append((decision.at - now, decision.degraded))
        now = decision.at
    return waits


def test_backoff_doubles_up_to_its_cap() -> None:
    backoff = Backoff(0.5, 30.0)
    assert [backoff.bound(n) for n in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.bound(10**9) == 30.0
    assert backoff.bound(-1) == 0.5
    assert backoff.delay(3, lambda: 0.0) == 0.0
    assert backoff.delay(3, lambda: 0.5) == 2.0


@given(st.floats(0.01, 100), st.floats(0.01, 10_000), st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_delay_is_bounded(minimum: float, factor: float, attempt: int, dice: random.Random) -> None:
    backoff = Backoff(minimum, minimum * factor)
    assert 0 <= backoff.delay(attempt, dice.random) <= backoff.maximum
    assert backoff.bound(attempt) <= backoff.bound(attempt + 1) or backoff.bound(attempt) == backoff.maximum


def test_waits_grow_until_the_circuit_opens() -> None:
    now, history, bounds = 0.0, RunHistory(), []
    for _ in range(7):
        history = after(history, ChildRun(now, now), POLICY)
        decision = decide(history, now, POLICY, latest)
        bounds.append((round(decision.at - now, 3), decision.degraded))
        now += 0.1  # in truth it would wait; the bounds do not depend on that
    assert bounds == [(0.5, False), (1, False), (2, False), (4, False), (8, False), (24, True), (24, True)]


def test_single_crash_comes_back_within_the_first_bound() -> None:
    history = after(RunHistory(), ChildRun(0.0, 10.0), POLICY)
    assert decide(history, 10.0, POLICY, latest).at < 10.5


def test_stable_run_forgets_the_failures() -> None:
    history = RunHistory()
    for n in range(20):
        history = after(history, ChildRun(n, n), POLICY)
    assert history.open
    history = after(history, ChildRun(100.0, 160.0), POLICY)
    assert history == RunHistory(exits=(160.0,))


def test_what_was_stable_is_back_at_once_and_waits_when_it_fails_again() -> None:
    history = after(RunHistory(failures=3, exits=(1.0,)), ChildRun(2.0, 62.0), POLICY)
    assert decide(history, 62.0, POLICY, latest) == NextStart(62.0, degraded=False)

    history = after(history, ChildRun(62.0, 63.0), POLICY)
    assert round(decide(history, 63.0, POLICY, latest).at, 3) == 63.5


def test_open_circuit_stays_open_at_its_own_slow_pace() -> None:
    # once degraded there are fewer than `intensity` exits per period, and yet it is not healthy
    waits = crash_loop(POLICY, 200, lives=0.01, dice=random.Random(1))
    opened = next(n for n, (_, degraded) in enumerate(waits) if degraded)
    assert all(degraded for _, degraded in waits[opened:])
    assert all(24.0 <= round(wait, 6) <= 30.0 for wait, _ in waits[opened:])


def test_rare_crashes_never_open_the_circuit() -> None:
    assert not any(degraded for _, degraded in crash_loop(POLICY, 300, lives=59.0, dice=random.Random(2)))


@given(
    runs=st.lists(st.tuples(st.floats(0, 200), st.floats(0, 100)), min_size=1, max_size=80),
    intensity=st.integers(1, 10),
    seed=st.integers(0, 2**32),
)
def test_invariants(runs: list[tuple[float, float]], intensity: int, seed: int) -> None:
    policy = RestartPolicy(Backoff(0.5, 30.0), intensity=intensity, period=60.0, stable=60.0)
    dice = random.Random(seed)
    now, history, ends = 0.0, RunHistory(), [float("-inf")]
    for lives, extra in runs:
        stable = lives >= policy.stable
        before = history
        history = after(history, ChildRun(now, now + lives), policy)
        now += lives
        ends = [now] if stable else [*ends, now]
        decision = decide(history, now, policy, dice.random)
        # always tried again, never in the past, never later than the cap
        assert now <= decision.at <= now + policy.backoff.maximum
        # open exactly when some period since the last stable run held more than intensity exits
        recent = [end for end in ends if now - end <= policy.period]
        assert decision.degraded == ((before.open and not stable) or len(recent) > intensity)
        assert len(history.exits) <= intensity + 1
        assert decide(history, now, policy, lambda: 0.25) == decide(history, now, policy, lambda: 0.25)
        now = decision.at + extra


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ([], False),
        ([(RunHistory(open=True), False)], True),
        ([(RunHistory(open=True), True)], False),
        ([(RunHistory(open=True), False), (RunHistory(), False)], False),
        ([(RunHistory(open=True), False), (RunHistory(open=True), False)], True),
    ],
)
def test_hopeless_only_when_all_are(children: list[tuple[RunHistory, bool]], expected: bool) -> None:
    assert hopeless(children) == expected
