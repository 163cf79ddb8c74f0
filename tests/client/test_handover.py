"""Two sockets, every interleaving: what comes out is every event once, in the order of its line."""

from collections import Counter
from collections.abc import Collection
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import NS, full, trade

from wsadapter.client.handover import Handover, Subject
from wsadapter.events import Depth, Event, Gap, StreamType, Trade, UpdateType
from wsadapter.events.gaps import UNKNOWN, GapCause, Missing, begin, filler
from wsadapter.events.sequence import place
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import ConnectionPlan, Subscription

SYMBOLS = ("BTCUSDT", "ETHUSDT")
TRADES_OF_BTC = (Subscription("btcusdt@trade", StreamType.TRADE, "BTCUSDT"),)
KINDS = ("trade", "named trade", "diff", "book")


def event(kind: str, symbol: str, number: int) -> Event:
    if kind == "trade":
        return trade(number, symbol)
    if kind == "named trade":  # its id is no number
        raw = {"aggregated": False, "trade_number": None, "trade_id": f"id-{number:06}"}
        return msgspec.structs.replace(trade(number, symbol), **raw)
    sample = full()[2 if kind == "diff" else 7]
    if isinstance(sample, Depth):
        return msgspec.structs.replace(
            sample, symbol=symbol, update_type=UpdateType.DELTA, level_limit=0,
            first_update_id=10 * number - 9, last_update_id=10 * number, previous_update_id=10 * number - 10,
        )  # fmt: skip
    return msgspec.structs.replace(sample, symbol=symbol, update_id=10 * number)


class Bench:
    def __init__(self, mute: Collection[Subject] = (), added: Collection[Subject] = ()) -> None:
        self.out: list[Event] = []
        self.copies: Counter[str] = Counter()
        plan = ConnectionPlan("c", "binance", "ws://127.0.0.1:1/public/stream", TRADES_OF_BTC, SYMBOLS)
        self.exchange = load("binance")(plan)
        self.exchange.mark("depth", "BTCUSDT", event("diff", "BTCUSDT", 1).last_gap_ns or 0)  # as the first one's
        kinds = {type(event(kind, "BTCUSDT", 1)) for kind in KINDS} | {Gap}
        deliver = dict.fromkeys(kinds, self.out.append)
        self.overlap = Handover(deliver, lambda _: None, self.exchange, self.copies, mute, added)

    @property
    def gaps(self) -> list[Gap]:
        return [one for one in self.out if isinstance(one, Gap)]


@st.composite
def overlaps(draw: st.DrawFn) -> tuple[list[Event], list[Event], list[bool]]:
    """What two sockets bring of one sequence, and in which order: the first one up to somewhere, the second one from
    somewhere before that, in every line."""
    lines = draw(
        st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(SYMBOLS)), min_size=1, max_size=40).map(
            lambda drawn: [*dict.fromkeys(drawn), *drawn]
        )
    )
    numbers: Counter[tuple[str, str]] = Counter()
    sequence = []
    for kind, symbol in lines:
        numbers[kind, symbol] += 1
        sequence.append(event(kind, symbol, numbers[kind, symbol]))
    first_ends = draw(st.integers(len(dict.fromkeys(lines)), len(sequence)))
    second_begins = draw(st.integers(0, first_ends))
    first, second = sequence[:first_ends], sequence[second_begins:]
    turns = draw(st.permutations([True] * len(first) + [False] * len(second)))
    return first, second, turns


def play(bench: Bench, first: list[Event], second: list[Event], turns: list[bool]) -> None:
    """The hand-over comes as soon as the first socket has brought all it has."""
    mine, theirs = iter(first), iter(second)
    left = len(first)
    for is_first in turns:
        if is_first:
            bench.overlap.first(next(mine))
            left -= 1
            if not left:
                bench.overlap.hand_over()
        else:
            bench.overlap.second(next(theirs))


@given(overlaps())
def test_every_event_once_and_in_order(drawn: tuple[list[Event], list[Event], list[bool]]) -> None:
    first, second, turns = drawn
    bench = Bench()
    play(bench, first, second, turns)

    whole = {id(one): one for one in (*first, *second)}.values()
    assert not bench.gaps
    assert Counter(place(one) for one in bench.out) == Counter(place(one) for one in whole)
    for line in {found.key for one in whole if (found := place(one))}:
        numbers = [found[1:] for one in bench.out if (found := place(one)) and found.key == line]
        assert all((a[0], a[2] or ()) < (b[0], b[2] or ()) for a, b in pairwise(numbers))
    assert bench.copies.total() == len(first) + len(second) - len(bench.out)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.sampled_from(["trade", "diff"]))
def test_what_neither_brought_is_a_gap_in_its_place(before: int, missing: int, after: int, kind: str) -> None:
    bench = Bench()
    for number in range(1, before + 1):
        bench.overlap.first(event(kind, "BTCUSDT", number))
    for number in range(before + missing + 1, before + missing + after + 1):
        bench.overlap.second(event(kind, "BTCUSDT", number))
    assert bench.overlap.unproven
    bench.overlap.hand_over()

    (gap,) = bench.gaps
    following = bench.out[bench.out.index(gap) + 1]
    assert bench.out.index(gap) == before
    assert (gap.stream, gap.symbol, gap.cause) == ("trade" if kind == "trade" else "depth", "BTCUSDT", "sequence")
    assert following.last_gap_ns == gap.receive_time_ns == NS if kind == "trade" else following.last_gap_ns
    if isinstance(following, Trade):
        assert (gap.first_missing, gap.last_missing, gap.missing_count) == (before + 1, before + missing, missing)


def test_what_is_held_is_bounded() -> None:
    bench = Bench()
    for number in range(1, 20_002):
        bench.overlap.second(trade(number))
    assert bench.overlap.overflowed
    bench.overlap.abandon()
    assert bench.copies["trade"] == 20_001
    assert bench.out == []


def test_a_series_without_numbers_is_proven_by_one_event_of_both() -> None:
    bench = Bench()
    for number in (4, 5, 6):
        bench.overlap.second(event("named trade", "BTCUSDT", number))
    assert bench.overlap.unproven
    bench.overlap.first(event("named trade", "BTCUSDT", 4))
    assert not bench.overlap.unproven
    bench.overlap.hand_over()
    bench.overlap.second(event("named trade", "BTCUSDT", 4))

    assert [one.trade_id for one in bench.out if isinstance(one, Trade)] == ["id-000004", "id-000005", "id-000006"]
    assert bench.copies == {"trade": 2}


def quick_trade(number: int, received: int) -> Event:
    return msgspec.structs.replace(event("trade", "BTCUSDT", number), receive_time_ns=received)


def test_of_a_mute_line_the_first_socket_has_nothing_to_prove() -> None:
    bench = Bench()
    bench.overlap.first(event("trade", "BTCUSDT", 1))
    bench.overlap.second(event("trade", "BTCUSDT", 4))
    assert bench.overlap.unproven

    bench = Bench(mute=[(StreamType.TRADE, "BTCUSDT", "")])
    bench.overlap.first(event("trade", "BTCUSDT", 1))
    bench.overlap.second(event("trade", "BTCUSDT", 4))
    assert not bench.overlap.unproven
    bench.overlap.second(event("trade", "ETHUSDT", 9))
    assert bench.overlap.unproven, "another one has"


def test_what_was_held_behind_a_hole_is_marked_by_its_gap() -> None:
    bench = Bench()
    bench.overlap.first(quick_trade(1, NS))
    for number in (4, 5, 6):
        bench.overlap.second(quick_trade(number, NS + number))
    bench.overlap.hand_over()

    _, gap, *after = bench.out
    assert isinstance(gap, Gap)
    assert (gap.first_missing, gap.last_missing, gap.receive_time_ns) == (2, 3, NS + 4)
    assert [one.last_gap_ns for one in after] == [NS + 4] * 3


def test_a_silence_that_ends_on_the_second_socket_is_one_gap_with_its_ids() -> None:
    bench = Bench()
    before = load("binance")(ConnectionPlan("c", "binance", "ws://127.0.0.1:1/public/stream", TRADES_OF_BTC, SYMBOLS))
    bench.overlap.first(quick_trade(1, NS))
    begun = before.silent("btcusdt@trade", NS, NS + 1)
    bench.overlap.second(quick_trade(4, NS + 4))
    bench.exchange.succeed(before)
    bench.overlap.hand_over()

    _, gap, _ = bench.out
    assert isinstance(gap, Gap)
    assert begun is not None
    assert (gap.cause, gap.started_ns, gap.ended_ns, gap.version) == ("stale", begun.started_ns, NS + 4, 2)
    assert (gap.first_missing, gap.last_missing, gap.missing_count) == (2, 3, 2)
    assert bench.exchange.close(NS + 5) == [], "and it is over"


@pytest.mark.parametrize("missing", [2, 5])
def test_a_run_of_failures_that_a_held_event_ends_is_one_gap(missing: int) -> None:
    """The first socket could not decode two messages and ended; the next event is one that the second had brought."""
    bench = Bench()
    before = load("binance")(ConnectionPlan("c", "binance", "ws://127.0.0.1:1/public/stream", TRADES_OF_BTC, SYMBOLS))
    bench.overlap.first(quick_trade(1, NS))
    for number in (2, 3):
        before.outages.failed("trade", "BTCUSDT", "btcusdt@trade", NS + number)  # type: ignore[attr-defined]  # a session
    bench.overlap.second(quick_trade(2 + missing, NS + 9))
    bench.exchange.succeed(before)
    bench.overlap.hand_over()

    _, gap, event = bench.out
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.missing_count) == (("decode", 2) if missing == 2 else ("sequence", 5))
    assert (gap.first_missing, gap.last_missing) == (2, 1 + missing)
    assert event.last_gap_ns == gap.receive_time_ns
    assert bench.exchange.close(NS + 20) == [], "and it is over"


def test_a_run_of_failures_without_numbers_ends_with_a_held_event_too() -> None:
    bench = Bench()
    before = load("binance")(ConnectionPlan("c", "binance", "ws://127.0.0.1:1/public/stream", TRADES_OF_BTC, SYMBOLS))
    bench.overlap.first(event("named trade", "BTCUSDT", 1))
    before.outages.failed("trade", "BTCUSDT", "btcusdt@trade", NS + 2)  # type: ignore[attr-defined]  # a session
    held = msgspec.structs.replace(event("named trade", "BTCUSDT", 3), receive_time_ns=NS + 3)
    bench.overlap.second(held)
    bench.exchange.succeed(before)
    bench.overlap.hand_over()

    _, gap, _ = bench.out
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.missing_count, gap.started_ns, gap.ended_ns) == ("decode", 1, NS + 2, NS + 3)
    assert bench.exchange.close(NS + 20) == []


@pytest.mark.parametrize("missing", [2, 5])
def test_what_the_second_socket_could_not_decode_is_one_gap_with_the_ids_of_the_hole(missing: int) -> None:
    bench = Bench()
    own = begin(
        GapCause.DECODE, NS + 2, NS + 9, exchange="binance", connection="c", stream="trade", symbol="BTCUSDT",
        ended_ns=NS + 9, missing=(None, None, 2),
    )  # fmt: skip
    bench.overlap.first(quick_trade(1, NS))
    bench.overlap.second(own)
    bench.overlap.second(quick_trade(2 + missing, NS + 9))
    bench.overlap.hand_over()

    (gap,) = bench.gaps
    assert (gap.cause, gap.missing_count) == (("decode", 2) if missing == 2 else ("sequence", 5))
    assert (gap.first_missing, gap.last_missing) == (2, 1 + missing)
    assert bench.out[-1].last_gap_ns == gap.receive_time_ns


def test_a_run_of_failures_of_both_sockets_is_one_run() -> None:
    """Without numbers its begin and its count are all that is known."""
    plan = ConnectionPlan("c", "binance", "ws://127.0.0.1:1/public/stream", TRADES_OF_BTC, SYMBOLS)
    first, second = load("binance")(plan), load("binance")(plan)
    for session, at_ns in ((first, NS), (second, NS + 5)):
        session.outages.failed("trade", "BTCUSDT", "btcusdt@trade", at_ns)  # type: ignore[attr-defined]  # a session
    second.succeed(first)

    (gap,) = second.close(NS + 9)
    assert (gap.started_ns, gap.ended_ns, gap.missing_count) == (NS, NS + 9, 2)


def snapshot(number: int) -> Event:
    delta = event("diff", "BTCUSDT", number)
    return msgspec.structs.replace(
        delta, update_type=UpdateType.SNAPSHOT, level_limit=1000, previous_update_id=None, first_update_id=None
    )


def test_a_book_that_begins_with_a_snapshot_on_each_socket_waits_for_none_on_the_first() -> None:
    """What the first socket's changes have passed tells nothing new, and would set the book back."""
    bench = Bench()
    bench.overlap.second(snapshot(3))
    bench.overlap.second(event("diff", "BTCUSDT", 4))
    assert bench.overlap.unproven
    bench.overlap.first(event("diff", "BTCUSDT", 3))
    bench.overlap.first(event("diff", "BTCUSDT", 4))
    assert not bench.overlap.unproven
    bench.overlap.second(event("diff", "BTCUSDT", 5))
    bench.overlap.hand_over()
    later = snapshot(2)  # asked for anew
    bench.overlap.second(later)

    assert bench.out == [*(event("diff", "BTCUSDT", number) for number in (3, 4, 5)), later]
    assert bench.copies == {"depth": 2}


def test_what_only_the_second_socket_has_is_held_whole_until_it_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is no sign that the first one lags; of a stream that both have it is."""
    monkeypatch.setattr("wsadapter.client.handover.MOST_HELD", 20)
    bench = Bench(added={(StreamType.TRADE, "ETHUSDT", "")})
    other = Bench()
    for number in range(1, 31):
        bench.overlap.second(event("trade", "ETHUSDT", number))
        other.overlap.second(event("trade", "ETHUSDT", number))
    assert (bench.overlap.overflowed, other.overlap.overflowed) == (False, True)
    assert not bench.overlap.unproven
    bench.overlap.hand_over()
    assert bench.out == [event("trade", "ETHUSDT", number) for number in range(1, 31)]


def found(cause: GapCause, at_ns: int, *, symbol: str = "BTCUSDT", missing: Missing = UNKNOWN) -> Gap:
    """By the second socket, before its next event."""
    return begin(
        cause, NS, at_ns, exchange="binance", connection="c", stream="trade", symbol=symbol, ended_ns=at_ns,
        missing=missing,
    )  # fmt: skip


def named(event: Event, gap: Gap) -> Event:
    return msgspec.structs.replace(event, last_gap_ns=gap.receive_time_ns)


@pytest.mark.parametrize("kind", ["trade", "named trade"])
@pytest.mark.parametrize("symbol", ["BTCUSDT", ""])
def test_a_gap_that_only_the_second_socket_can_tell_of_stands_before_what_names_it(kind: str, symbol: str) -> None:
    """The first one ended before it came to that place."""
    bench = Bench()
    bench.overlap.first(event(kind, "BTCUSDT", 1))
    bench.overlap.second(event(kind, "BTCUSDT", 1))
    gap = found(GapCause.DECODE, NS + 2, symbol=symbol)
    bench.overlap.second(gap)
    for number in (2, 3):
        bench.overlap.second(named(event(kind, "BTCUSDT", number), gap))
    assert gap not in bench.out
    bench.overlap.hand_over()
    bench.overlap.second(named(event(kind, "BTCUSDT", 4), gap))

    assert bench.out.index(gap) == 1
    assert [one.last_gap_ns for one in bench.out[2:]] == [NS + 2] * 3
    assert bench.exchange.marked("trade", "BTCUSDT") == NS + 2


@pytest.mark.parametrize("first_ends", [4, 5, 6])
def test_what_the_first_socket_brought_is_missing_to_nobody(first_ends: int) -> None:
    bench = Bench()
    gap = found(GapCause.SEQUENCE, NS + 5, missing=(3, 4, 2))
    bench.overlap.second(event("trade", "BTCUSDT", 2))
    bench.overlap.second(gap)
    for number in (5, 6, 7):
        bench.overlap.second(named(event("trade", "BTCUSDT", number), gap))
    for number in range(1, first_ends + 1):
        bench.overlap.first(event("trade", "BTCUSDT", number))
    bench.overlap.hand_over()

    assert not bench.gaps
    assert [one.trade_number for one in bench.out if isinstance(one, Trade)] == [*range(1, 8)]
    assert {one.last_gap_ns for one in bench.out[first_ends:]} == {None}


def test_what_the_first_socket_ended_within_is_missing_from_there_on() -> None:
    bench = Bench()
    gap = found(GapCause.SEQUENCE, NS + 5, missing=(3, 5, 3))
    bench.overlap.second(event("trade", "BTCUSDT", 2))
    bench.overlap.second(gap)
    bench.overlap.second(named(event("trade", "BTCUSDT", 6), gap))
    for number in (1, 2, 3):
        bench.overlap.first(event("trade", "BTCUSDT", number))
    bench.overlap.hand_over()

    (only,) = bench.gaps
    assert (only.first_missing, only.last_missing, only.missing_count) == (4, 5, 2)
    assert bench.out[-2:] == [only, bench.out[-1]]
    assert bench.out[-1].last_gap_ns == only.receive_time_ns


def lagging(first_ends: int, missing: tuple[int, int]) -> tuple[Bench, Gap]:
    """The second socket has come as far as 3 when the first one ends, and then misses some."""
    bench = Bench()
    for number in range(1, first_ends + 1):
        bench.overlap.first(quick_trade(number, NS + number))
    for number in (2, 3):
        bench.overlap.second(event("trade", "BTCUSDT", number))
    bench.overlap.hand_over()
    first, last = missing
    gap = found(GapCause.SEQUENCE, NS + 20, missing=(first, last, last - first + 1))
    bench.exchange.mark("trade", "BTCUSDT", NS + 20)  # as it does that found it
    bench.overlap.second(gap)
    for number in range(last + 1, 13):
        bench.overlap.second(named(event("trade", "BTCUSDT", number), gap))
    return bench, gap


@pytest.mark.parametrize("first_ends", [6, 9])
def test_what_a_lagging_socket_misses_and_the_one_before_it_brought_is_repaired(first_ends: int) -> None:
    bench, _ = lagging(first_ends, (4, 6))

    (gap,) = bench.gaps
    assert (gap.repair_state, gap.missing_count, gap.first_missing) == ("repaired", 0, None)
    assert [one.trade_number for one in bench.out if isinstance(one, Trade)] == [*range(1, 13)]
    assert {one.last_gap_ns for one in bench.out[first_ends + 1 :]} == {gap.receive_time_ns}


def test_what_it_misses_beyond_that_is_one_gap() -> None:
    bench, _ = lagging(6, (4, 8))

    (gap,) = bench.gaps
    assert (gap.repair_state, gap.first_missing, gap.last_missing, gap.missing_count) == ("open", 7, 8, 2)
    assert (gap.started_ns, gap.ended_ns) == (NS + 6, NS + 20)
    assert bench.out.index(gap) == 6
    assert {one.last_gap_ns for one in bench.out[7:]} == {NS + 20}


@pytest.mark.parametrize("aggregated", [False, True])
def test_what_it_misses_of_one_series_is_not_measured_by_another_one(aggregated: bool) -> None:
    """Numbers of single and of aggregated trades are others; of which a gap is, the event behind it says."""
    bench = Bench()
    bench.overlap.first(msgspec.structs.replace(event("trade", "BTCUSDT", 9), aggregated=True))
    bench.overlap.first(msgspec.structs.replace(event("trade", "BTCUSDT", 3), aggregated=False))
    bench.overlap.hand_over()
    gap = found(GapCause.SEQUENCE, NS + 20, missing=(4, 6, 3))
    bench.overlap.second(gap)
    bench.overlap.second(msgspec.structs.replace(event("trade", "BTCUSDT", 7), aggregated=aggregated))
    assert [one.repair_state for one in bench.gaps] == ["repaired" if aggregated else "open"]


@st.composite
def unsteady(draw: st.DrawFn) -> tuple[int, list[int], int, int]:
    """Up to where the first socket brought all; what the second one brought of it and beyond, with holes; after how
    many of these the first one had brought its last, and had ended."""
    last = draw(st.integers(1, 12))
    begin_at = draw(st.integers(1, last + 3))
    lost = draw(st.sets(st.integers(begin_at, 16), max_size=8))
    second = [number for number in range(begin_at, 18) if number not in lost]
    brought = draw(st.integers(0, len(second)))
    return last, second, brought, draw(st.integers(brought, len(second)))


@given(unsteady())
def test_each_number_is_there_once_or_missing_in_one_open_gap(drawn: tuple[int, list[int], int, int]) -> None:
    """And each gap that an event names was published before it."""
    last, second, brought, ended_after = drawn
    bench, mine = Bench(), ("trade", "BTCUSDT")
    before = load("binance")(ConnectionPlan("c", "binance", "ws://127.0.0.1:1/public/stream", TRADES_OF_BTC, SYMBOLS))
    expected = None
    for place_of_it in range(len(second) + 1):
        if place_of_it == brought:
            for number in range(1, last + 1):
                bench.overlap.first(quick_trade(number, NS + number))
        if place_of_it == ended_after:
            bench.exchange.succeed(before)
            bench.overlap.hand_over()
            expected = expected or last + 1
        if place_of_it == len(second):
            break
        number = second[place_of_it]
        if expected is not None and number > expected:
            missing = expected, number - 1, number - expected
            at_ns = NS + 100 + number
            bench.exchange.mark(*mine, at_ns)
            bench.overlap.second(found(GapCause.SEQUENCE, at_ns, missing=missing))
        expected = max(number + 1, expected or 0)
        named_ns = bench.exchange.marked(*mine)
        bench.overlap.second(msgspec.structs.replace(quick_trade(number, NS + 100 + number), last_gap_ns=named_ns))
    there = [one.trade_number or 0 for one in bench.out if isinstance(one, Trade)]
    assert there == sorted(set(there))
    open_ones = [gap for gap in bench.gaps if gap.repair_state == "open"]
    missing_numbers = [
        number for gap in open_ones for number in range(gap.first_missing or 0, (gap.last_missing or 0) + 1)
    ]
    assert sorted([*there, *missing_numbers]) == [*range(1, second[-1] + 1)]
    told = {0}
    for one in bench.out:
        if isinstance(one, Gap):
            told.add(one.receive_time_ns)
        else:
            assert (one.last_gap_ns or 0) in told


def test_a_gap_that_no_event_of_its_series_follows_is_published_as_it_was_found() -> None:
    bench = Bench()
    bench.overlap.first(event("trade", "BTCUSDT", 9))
    bench.overlap.hand_over()
    gap = found(GapCause.SEQUENCE, NS + 20, missing=(4, 6, 3))
    bench.overlap.second(gap)
    bench.overlap.second(event("trade", "ETHUSDT", 1))
    assert bench.out[1:] == [gap, event("trade", "ETHUSDT", 1)]


def test_a_number_that_the_venue_gave_to_no_event_is_no_hole_between_two_sockets() -> None:
    one, three = (msgspec.structs.replace(event("trade", "BTCUSDT", n), aggregated=False) for n in (1, 3))
    for by_first in (True, False):
        bench = Bench()
        void = filler(2, NS, exchange="binance", connection="c", stream="trade", symbol="BTCUSDT")
        bench.overlap.first(one)
        if by_first:
            bench.overlap.first(void)
        for each in (one, void, three):
            bench.overlap.second(each)
        bench.overlap.hand_over()
        assert bench.out == [one, void, three]
        assert bench.copies == {"trade": 1}
