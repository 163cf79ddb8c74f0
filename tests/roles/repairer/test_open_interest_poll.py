"""When open interest is asked for, what of it is an event, and what a silence of it is."""

import msgspec
import pytest
from roles.repairer.driven import Driven

from wsadapter.events import Gap, OpenInterest, Source
from wsadapter.events.gaps import GapCause
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.rest_api import Limit
from wsadapter.roles.repairer import open_interest
from wsadapter.roles.repairer.open_interest import (
    DAY_NS,
    EVERY_SECONDS,
    LIVE,
    REFUSED,
    REFUSED_SECONDS,
    REQUESTED,
    STALE,
    OpenInterestPoll,
    cadence,
)

S = 1_000_000_000
START = 1_780_000_000 * S


def answer(symbol: str, at: float, value: str = "10.5") -> bytes:
    return msgspec.json.encode({"openInterest": value, "symbol": symbol, "time": START // 1_000_000 + round(at * 1000)})


def poll(*symbols: str, received: int = 0, now: float = 0.0) -> OpenInterestPoll:
    return OpenInterestPoll("binance", dict.fromkeys(symbols, received), BinanceFuturesRest(), now)


def symbol_asked(driven: Driven, now: float) -> str:
    request = driven.at(now)
    assert request is not None
    return dict(request.query)["symbol"]


@pytest.mark.parametrize(
    ("symbols", "seconds"), [(1, EVERY_SECONDS), (3, EVERY_SECONDS), (50, EVERY_SECONDS), (500, 100.0)]
)
def test_many_symbols_are_asked_for_less_often(symbols: int, seconds: float) -> None:
    assert cadence(symbols, Limit(2400, 60.0), 1) == seconds


def test_a_host_that_allows_less_is_asked_less_often() -> None:
    made = poll(*(f"S{number}" for number in range(100)))
    driven = Driven(made)
    assert (made.cadence, made.silence_ns) == (20.0, 60 * S)
    made.allow(Limit(600, 60.0))
    assert (made.cadence, made.silence_ns) == (80.0, 240 * S)
    symbol = symbol_asked(driven, 0.0)
    driven.answer(answer(symbol, 0), START)
    assert [made.symbols[symbol].received_ns, driven.not_before] == [START, 0.2]


def test_each_symbol_has_its_turn_and_they_are_spread() -> None:
    made = poll("A", "B")
    driven = Driven(made)
    times = []
    for _ in range(6):
        now = driven.not_before
        symbol = symbol_asked(driven, now)
        times.append((now, symbol))
        driven.answer(answer(symbol, now), START + round(now * S))
    assert times == [(0, "A"), (5, "B"), (10, "A"), (15, "B"), (20, "A"), (25, "B")]
    assert driven.at(29.0) is None


def test_a_start_begins_with_those_that_were_not_answered_for_longest() -> None:
    """A process that is begun anew before its round is over asks for them all the same."""
    received = {"A": START - 1 * S, "B": START - 9 * S, "C": 0, "D": START - 5 * S}
    driven = Driven(OpenInterestPoll("binance", received, BinanceFuturesRest(), 0.0))
    asked = []
    for _ in received:
        asked.append(symbol_asked(driven, now := driven.not_before))
        driven.answer(answer(asked[-1], now), START + round(now * S))
    assert asked == ["C", "B", "D", "A"]


def test_each_answer_says_since_when_it_is_covered() -> None:
    made = poll("A")
    driven = Driven(made)
    for at in (0, 10, 20, 200, 210):
        assert symbol_asked(driven, float(at)) == "A"
        driven.answer(answer("A", at), START + at * S)

    spans = [((row.from_ns - START) // S, (row.to_ns - START) // S) for row in driven.coverage]
    assert spans == [(0, 0), (0, 10), (0, 20), (200, 200), (200, 210)], "a silence ends it"
    assert {(row.symbol, row.stream, row.connection) for row in driven.coverage} == {("A", "open_interest", "repair")}


@pytest.mark.parametrize(("silent", "since"), [(14, -14), (31, 0)])
def test_what_an_earlier_process_asked_for_in_time_is_covered(silent: int, since: int) -> None:
    driven = Driven(poll("A", received=START - silent * S))
    assert symbol_asked(driven, 0.0) == "A"
    driven.answer(answer("A", 0), START)

    assert [(row.from_ns, row.to_ns) for row in driven.coverage] == [(START + since * S, START)]


@pytest.mark.parametrize("received", [-15, -5])
def test_a_new_day_is_a_row_of_its_own(received: int) -> None:
    """Also where the last answer of the day before came to another process. Seconds from a midnight."""
    midnight = START // DAY_NS * DAY_NS + DAY_NS
    driven = Driven(poll("A", received=midnight + received * S))
    for at in range(received + 10, 26, 10):
        assert symbol_asked(driven, float(at - received)) == "A"
        driven.answer(answer("A", at), midnight + at * S)

    rows = {row.from_ns: row.to_ns for row in driven.coverage}  # the newest of each
    assert {(first - midnight) // S: (last - midnight) // S for first, last in rows.items()} == {received: 5, 5: 25}


def test_what_was_missed_is_not_caught_up() -> None:
    made = poll("A")
    driven = Driven(made)
    assert symbol_asked(driven, 1000.0) == "A"
    driven.answer(answer("A", 1000), START + 1000 * S)
    assert driven.not_before == 1000.0


def test_the_same_moment_of_the_venue_is_no_new_event() -> None:
    made = poll("A")
    driven = Driven(made)
    assert driven.at(0.0)
    (event,) = driven.answer(answer("A", 0), START)
    assert isinstance(event, OpenInterest)
    assert (event.open_interest, event.source, event.last_gap_ns) == ("10.5", Source.REST, None)
    assert driven.at(10.0)
    assert driven.answer(answer("A", 0, "11"), START + 10 * S) == []
    assert made.symbols["A"].received_ns == START + 10 * S
    assert driven.at(20.0)
    assert len(driven.answer(answer("A", 20), START + 20 * S)) == 1


def test_a_silence_is_a_gap_when_it_is_over() -> None:
    made = poll("A")
    driven = Driven(made)
    assert driven.at(0.0)
    assert made.symbols["A"].state == REQUESTED
    driven.answer(answer("A", 0), START)
    made.check(START + 29 * S)
    assert made.symbols["A"].state == LIVE
    made.check(START + 31 * S)
    assert made.symbols["A"].state == STALE
    assert driven.at(90.0)
    gap, event = driven.answer(answer("A", 90), START + 90 * S)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.stream, gap.symbol, gap.repair_state) == ("stale", "open_interest", "A", "unrepairable")
    assert (gap.started_ns, gap.ended_ns, gap.source) == (START, START + 90 * S, Source.REST)
    assert event.last_gap_ns == gap.receive_time_ns
    assert made.symbols["A"].state == LIVE


def test_a_silence_that_lasts_is_a_gap_without_an_end() -> None:
    made = poll("A", "B")
    driven = Driven(made)
    for now, symbol in ((0.0, "A"), (5.0, "B")):
        assert symbol_asked(driven, now) == symbol
        driven.answer(answer(symbol, now), START + round(now * S))
    assert made.new_silences(START + 30 * S) == []
    (gap,) = made.new_silences(START + 31 * S)
    assert (gap.symbol, gap.stream, gap.cause, gap.version, gap.repair_state) == (
        "A",
        "open_interest",
        "stale",
        1,
        "open",
    )
    assert (gap.started_ns, gap.ended_ns, gap.connection, gap.source) == (START, None, "repair", Source.REST)
    assert made.new_silences(START + 33 * S) == [], "once"
    gap.gap_id = "7:70"  # as the ring names it
    assert [one.symbol for one in made.new_silences(START + 3600 * S)] == ["B"]

    assert symbol_asked(driven, 4000.0) == "A"
    end, event = driven.answer(answer("A", 4000), START + 4000 * S)
    assert isinstance(end, Gap)
    assert (end.gap_id, end.version, end.cause, end.repair_state) == ("7:70", 2, "stale", "unrepairable")
    assert (end.started_ns, end.ended_ns) == (START, START + 4000 * S)
    assert event.last_gap_ns == end.receive_time_ns
    assert made.new_silences(START + 4001 * S) == []


def test_one_that_is_refused_for_good_or_never_answers_is_silent_too() -> None:
    made = poll("A")
    driven = Driven(made)
    assert made.new_silences(START) == []
    assert symbol_asked(driven, 0.0) == "A"
    driven.refuse()
    (gap,) = made.new_silences(START + 31 * S)
    assert (gap.symbol, gap.cause, gap.started_ns) == ("A", GapCause.STALE, START)
    assert made.symbols["A"].state == REFUSED


def test_a_process_that_follows_ends_what_another_said() -> None:
    lasting = open_interest.begin_silence("binance", "A", GapCause.STALE, START - 100 * S, START)
    lasting.gap_id = "7:70"
    made = OpenInterestPoll("binance", {"A": START - 100 * S}, BinanceFuturesRest(), 0.0, {"A": lasting, "B": None})
    driven = Driven(made)
    assert made.new_silences(START) == []
    assert driven.at(0.0)
    end, _ = driven.answer(answer("A", 1), START + S)
    assert isinstance(end, Gap)
    assert (end.gap_id, end.version, end.cause, end.ended_ns) == ("7:70", 2, "stale", START + S)

    (again,) = made.new_silences(START + 40 * S)
    again.gap_id = "7:90"
    (end,) = made.end_silences(START + 41 * S)
    assert (end.gap_id, end.ended_ns, made.end_silences(START + 42 * S)) == ("7:90", START + 41 * S, [])


def test_what_another_process_left_unsaid_is_said_at_once() -> None:
    made = poll("A", received=START - 100 * S)
    (gap,) = made.new_silences(START)
    assert (gap.cause, gap.started_ns) == ("restart", START - 100 * S)


@pytest.mark.parametrize(("away", "causes"), [(29, []), (31, ["restart"])])
def test_what_no_process_saw_is_a_gap_too(away: int, causes: list[str]) -> None:
    made = poll("A", received=START)
    driven = Driven(made)
    assert driven.at(0.0)
    found = driven.answer(answer("A", away), START + away * S)
    assert [event.cause for event in found if isinstance(event, Gap)] == causes


def test_refused_and_unreadable_answers_do_not_hold_up_others() -> None:
    made = poll("A", "B")
    driven = Driven(made)
    assert symbol_asked(driven, 0.0) == "A"
    driven.refuse()
    assert made.symbols["A"].state == REFUSED
    assert symbol_asked(driven, 5.0) == "B"
    assert driven.answer(answer("A", 5), START) == []
    assert made.errors == 2
    assert symbol_asked(driven, 15.0) == "B"
    driven.answer(answer("B", 15), START)
    assert driven.not_before == 25.0 < REFUSED_SECONDS
