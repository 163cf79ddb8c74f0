"""The budget of a host, on a clock of our own: never more than the host allows, never earlier than it says."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.exchanges.rest_api import ErrorKind, Limit, Refusal, Request
from wsadapter.rest.budget import BAN, LIMITED_SECONDS, RESERVE, RETRY, Budget, Outcome

WEIGHTS = Limit(2400, 60.0)
SPENDABLE = 2400 * (1 - RESERVE)
HEAVY, LIGHT = Request("/trades", weight=20), Request("/klines", weight=1)
POOLED = Request("/funding", weight=0, pool="funding")


def budget() -> Budget:
    return Budget(WEIGHTS, {"funding": Limit(500, 300.0)}, frozenset((418,)), lambda: 1.0)


def test_a_minute_is_spent_and_then_waited_for() -> None:
    own, now, sent = budget(), 1_000.0, 0
    while own.wait(HEAVY, now) == 0:
        own.sent(HEAVY, now)
        sent += HEAVY.weight
    assert sent == SPENDABLE
    assert own.wait(HEAVY, now) == 60.0
    assert own.wait(HEAVY, now + 59) == 1.0
    assert own.wait(HEAVY, now + 60) == 0


def test_the_header_counts_others_too() -> None:
    own = budget()
    own.sent(HEAVY, 0.0)
    assert own.answered(200, 1790, None, 0.1) is Outcome.OK
    assert own.used(0.2) == 1790
    assert own.wait(LIGHT, 0.2) == 0
    assert own.wait(HEAVY, 0.2) == pytest.approx(59.9)
    own.sent(LIGHT, 0.3)
    assert own.used(0.4) == 1791
    own.answered(200, 1, None, 20.0)  # a new minute there
    assert own.wait(HEAVY, 20.0) == 0


@pytest.mark.parametrize("units", [1200, 6000])
def test_the_host_says_itself_what_it_allows(units: int) -> None:
    own = budget()
    assert (own.limit, own.used(0.0)) == (2400, 0)
    own.allow(Limit(units, 60.0))
    sent = 0
    while own.wait(HEAVY, 0.0) == 0:
        own.sent(HEAVY, 0.0)
        sent += HEAVY.weight
    assert (own.limit, sent) == (units, units * (1 - RESERVE))
    own.allow(Limit(units // 2, 60.0))
    assert own.wait(LIGHT, 30.0) == 30.0


def test_429_is_obeyed_by_every_request() -> None:
    own = budget()
    assert own.answered(429, None, 17.0, 100.0) is Outcome.AGAIN
    assert [own.wait(request, 100.0) for request in (HEAVY, LIGHT, POOLED)] == [17.0] * 3
    assert own.wait(LIGHT, 116.9) > 0
    assert own.wait(LIGHT, 117.0) == 0
    own.answered(429, None, None, 200.0)
    assert own.wait(LIGHT, 200.0) == LIMITED_SECONDS


@pytest.mark.parametrize("status", [418, 403, 451])
def test_bans_grow_and_are_forgotten_after_a_success(status: int) -> None:
    own = budget()
    for bans, seconds in enumerate((120.0, 240.0, 480.0)):
        now = bans * 1e6
        assert own.answered(status, None, None, now) is Outcome.AGAIN
        assert own.paused(now) == seconds
    own.answered(status, None, 9e9, 4e6)
    assert own.paused(4e6) == BAN.maximum
    own.answered(200, None, None, 5e6)
    own.answered(status, None, None, 6e6)
    assert own.paused(6e6) == 120.0


@pytest.mark.parametrize("status", [500, 503, 504, 301, 302, 408, 204])
def test_an_absent_host_is_asked_less_and_less(status: int) -> None:
    own, now, waits = budget(), 0.0, []
    for _ in range(12):
        assert own.answered(status, None, None, now) is Outcome.ABSENT
        waits.append(own.wait(LIGHT, now))
        now += waits[-1]
    assert waits[:4] == [1.0, 1.5, 2.5, 4.5]
    assert waits[-1] == RETRY.minimum + RETRY.maximum


@pytest.mark.parametrize("status", [200, 400, 404, 422, 500])
def test_a_refusal_is_about_the_request(status: int) -> None:
    own = budget()
    assert own.answered(status, 5, None, 0.0, Refusal(-1121, "Invalid symbol.")) is Outcome.REFUSED
    assert own.wait(LIGHT, 0.0) == 0


@pytest.mark.parametrize(
    ("status", "refusal"), [(400, None), (404, None), (422, None), (400, Refusal(-1007, "", ErrorKind.AGAIN)),
                            (200, Refusal(10016, "", ErrorKind.AGAIN))],
)  # fmt: skip
def test_a_page_that_is_not_the_api_s_says_nothing_about_the_request(status: int, refusal: Refusal | None) -> None:
    own, now, waits = budget(), 0.0, []
    for _ in range(12):
        assert own.answered(status, None, None, now, refusal) is Outcome.UNANSWERED
        waits.append(own.wait(LIGHT, now))
        now += waits[-1]
    assert waits[:3] == [1.0, 1.5, 2.5]
    assert waits[-1] == RETRY.minimum + RETRY.maximum


def test_an_error_of_a_host_that_is_not_well_is_about_the_moment() -> None:
    own = budget()
    assert own.answered(503, None, None, 0.0, Refusal("busy", "", ErrorKind.AGAIN)) is Outcome.ABSENT
    assert own.paused(0.0) == 1.0


def test_an_error_of_the_api_may_be_a_limit() -> None:
    own = budget()
    limited = Refusal(10006, "Too many visits!", ErrorKind.LIMITED)
    assert own.answered(200, None, 3.0, 0.0, limited) is Outcome.AGAIN
    assert own.paused(0.0) == 3.0
    own.answered(200, None, None, 10.0, limited)
    assert own.paused(10.0) == LIMITED_SECONDS


def test_a_pool_has_a_limit_of_its_own() -> None:
    own = budget()
    for _ in range(375):
        assert own.wait(POOLED, 0.0) == 0
        own.sent(POOLED, 0.0)
    assert own.wait(POOLED, 1.0) == 299.0
    assert own.wait(HEAVY, 1.0) == 0
    assert own.wait(POOLED, 300.0) == 0


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), others=st.integers(0, 700), header=st.booleans(), offset=st.floats(0, 59))
def test_a_host_that_counts_by_its_own_minutes_never_says_429(
    seed: int, others: int, header: bool, offset: float
) -> None:
    """The host counts in fixed minutes of its own; ``others`` use up to the reserve of each."""
    dice, own, now = random.Random(seed), budget(), 1_000.0
    minute, counted = -1, 0
    spent = 0
    while now < 1_600:
        request = dice.choice((HEAVY, LIGHT, Request("/depth", weight=10)))
        if (wait := own.wait(request, now)) > 0:
            assert wait <= 60.0
            now += wait
            continue
        own.sent(request, now)
        if (of := int((now + offset) // 60)) != minute:
            minute, counted = of, min(others, int(2400 * RESERVE))
        counted += request.weight
        spent += request.weight
        if header:
            assert counted <= 2400
        own.answered(200, counted if header else None, None, now)
        now += dice.random() * 0.2
    # and it does not dawdle
    assert spent > 0.5 * (SPENDABLE - others) * 10
