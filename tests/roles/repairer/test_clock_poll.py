"""By how much a venue's clock is ahead: asked, weighed by the round trip, forgotten. In virtual time."""

from collections.abc import Iterator

import pytest
from roles.repairer.driven import Driven

from wsadapter import metrics
from wsadapter.exchanges.rest_api import BadAnswer, ServerTime
from wsadapter.roles.repairer.venue_clock import BURST, EVERY_SECONDS, FIRST_SECONDS, FORGET_SECONDS, ClockPoll
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

NAME = "wsadapter-venue-clock-test"
MS = 1_000_000
SAYS = ServerTime("/time", "serverTime")


@pytest.fixture
def page() -> Iterator[StatsPage]:
    Segment.unlink(NAME)
    made = StatsPage.create(NAME, metrics.repairer(["h"], (), ["binance"]))
    yield made
    made.release()
    Segment.unlink(NAME)


def cells(page: StatsPage) -> tuple[int, int]:
    offset, error = (page[f'venue_clock_{word}_ns{{exchange="binance"}}'] for word in ("offset", "error"))
    return offset, error


def test_the_shortest_round_trip_counts(page: StatsPage) -> None:
    trips = iter([80 * MS, 20 * MS, 40 * MS])
    poll = ClockPoll("binance", SAYS, lambda: next(trips), 0.0)
    driven = Driven(poll)
    assert driven.at(FIRST_SECONDS - 1) is None
    for received_ms in (1_700_000_000_080, 1_700_000_000_110, 1_700_000_000_190):
        assert driven.at(FIRST_SECONDS) is not None
        # the venue is 5 ms ahead, and the way there is longer than the way back but for the second
        driven.answer(b'{"serverTime":%d}' % (received_ms - 5), received_ms * MS)
    poll.publish(page, FIRST_SECONDS)

    assert cells(page) == (5 * MS, 10 * MS)
    assert driven.at(FIRST_SECONDS + EVERY_SECONDS - 1) is None, f"{BURST} questions a minute"


def test_an_answer_that_says_no_time_changes_nothing(page: StatsPage) -> None:
    poll = ClockPoll("binance", SAYS, lambda: MS, 0.0)
    driven = Driven(poll)
    assert driven.at(FIRST_SECONDS) is not None
    driven.answer(b"<html>", 0)
    poll.publish(page, FIRST_SECONDS)

    assert cells(page) == (0, 0)
    assert driven.at(FIRST_SECONDS + EVERY_SECONDS) is not None, "it is asked again"


def test_an_api_that_refuses_is_not_asked_again() -> None:
    driven = Driven(ClockPoll("binance", SAYS, lambda: MS, 0.0))
    assert driven.at(FIRST_SECONDS) is not None
    driven.refuse()

    assert driven.is_done


def test_what_was_known_is_forgotten(page: StatsPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsadapter.roles.repairer.venue_clock.time.monotonic", lambda: 50.0)
    poll = ClockPoll("binance", SAYS, lambda: 2 * MS, 0.0)
    driven = Driven(poll)
    assert driven.at(FIRST_SECONDS) is not None
    driven.answer(b'{"serverTime":1700000000001}', 1_700_000_000_000 * MS)
    poll.publish(page, 51.0)
    assert cells(page) == (2 * MS, MS)
    poll.publish(page, 51.0 + FORGET_SECONDS)

    assert cells(page) == (0, 0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"serverTime": 1700000000123}', 1_700_000_000_123 * MS),
        (b'{"x":1,"serverTime":"1700000000123456"}', 1_700_000_000_123_456_000),
        (b'{"serverTime":1700000000123456789}', 1_700_000_000_123_456_789),
        (b'{"serverTime":1700000000.5}', 1_700_000_000_500 * MS),
    ],
)
def test_a_time_is_read_in_every_unit(body: bytes, expected: int) -> None:
    assert SAYS.read(body) == expected


@pytest.mark.parametrize("body", [b"", b'{"serverTime":1700000000}', b'{"serverTime":17000000001234}', b'{"time":1}'])
def test_whole_seconds_and_other_numbers_are_none(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        SAYS.read(body)
