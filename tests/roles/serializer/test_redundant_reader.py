"""Several connections with the same streams: each event is published once, whatever is lost, late or killed."""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roles.serializer.redundant_bench import MS, NS, STREAMS, Bench, Killed, event, gap, identity, numbers
from samples import full

from wsadapter.events import Depth, Liquidation, Trade, UpdateType
from wsadapter.events.sequence import place
from wsadapter.exchanges import books as books_of_venues
from wsadapter.roles.serializer import arbitration
from wsadapter.roles.serializer.quiet_lines import JUDGED, QUIET_NS
from wsadapter.roles.serializer.ring_history import LAG_NS
from wsadapter.shm import watermarks
from wsadapter.shm.segment import Segment

MakeBench = Callable[[int], Bench]


@pytest.fixture
def bench() -> Iterator[MakeBench]:
    made: list[Bench] = []

    def make(connections: int = 2) -> Bench:
        made.append(Bench(connections))
        return made[-1]

    yield make
    for each in made:
        each.close()


def trades(bench: Bench, ring: int, *which: int) -> None:
    for number in which:
        bench.connections[ring].write(event("trade", "BTCUSDT", number, bench.now_ns))


def books(bench: Bench, ring: int, *which: int) -> None:
    for number in which:
        bench.connections[ring].write(event("book", "BTCUSDT", number, bench.now_ns))


def test_the_first_copy_is_published(bench: MakeBench) -> None:
    made = bench(2)
    trades(made, 0, 1, 2, 3)
    trades(made, 1, 1, 2, 3, 4)
    made.cycle()
    trades(made, 0, 4, 5)
    made.drain()

    assert numbers(made.events()) == [1, 2, 3, 4, 5]
    assert made.copies == {"trade": 4}


def test_on_a_full_page_lines_of_symbols_and_rings_that_are_no_more_make_room(
    bench: MakeBench, capsys: pytest.CaptureFixture[str]
) -> None:
    made = bench(2)
    made.end()
    Segment.unlink(made.page_name)
    watermarks.create(made.page_name, 5)
    page = watermarks.Watermarks(made.page_name)
    page.store((JUDGED, 7), arbitration.State(high=9))  # of a ring that was
    page.release()
    made.start()

    def trade_each(ring: int, *symbols: str) -> None:
        for symbol in symbols:
            made.connections[ring].write(event("trade", symbol, 1, made.now_ns))

    rings = {(JUDGED, one.epoch) for one in made.connections}

    def kept() -> set[str]:
        made.restart()
        lines = set(made.group.page.kept)
        assert rings <= lines, "what tells a copy after a kill"
        return {str(key[1]) for key in lines - rings}

    trade_each(0, "A", "B", "C")
    trade_each(1, "A")
    made.drain()
    assert kept() == {"A", "B", "C"}, "in the place of the ring's"
    trade_each(0, "D")
    made.drain()
    assert "page of watermarks is full" in capsys.readouterr().out
    assert kept() == {"A", "B", "C"}, "all of them moved today"

    made.now_ns += 2 * QUIET_NS
    made.connections[1].write(event("trade", "C", 2, made.now_ns))
    trade_each(1, "E", "F", "G")
    made.drain()
    assert "full" in capsys.readouterr().out
    assert kept() == {"C", "E", "F"}
    trade_each(0, "E", "F")
    made.drain()
    assert made.copies == {"trade": 3}, "that of A, too"


def test_events_of_one_time_are_told_apart_by_their_ordinals(bench: MakeBench) -> None:
    """4 and 5 have one time, as 2 and 3 have."""
    made = bench(2)
    for ring in (0, 1):
        for number in (2, 3, 4, 5):
            made.connections[ring].write(event("mark", "BTCUSDT", number, made.now_ns))
        made.cycle()
    made.drain()

    marks = [(m.event_time_ns, m.ordinal) for m in made.events()]
    assert marks == sorted(set(marks))
    assert len(marks) == 4
    assert made.copies == {"mark_price": 4}


def test_what_one_connection_missed_the_other_fills_in_before_it_goes_on(bench: MakeBench) -> None:
    made = bench(2)
    for write in (trades, books):
        write(made, 0, 1, 2)
        write(made, 1, 1, 2)
    made.drain()
    made.connections[0].lose(made.now_ns)
    made.connections[0].return_(made.now_ns + 1)
    for write in (trades, books):
        write(made, 0, 5, 6)
    made.cycle()
    assert numbers(made.events()) == [1, 2], "the first ring is read first, and waits"
    for write in (trades, books):
        write(made, 1, 3, 4, 5, 6)
    made.drain()

    assert numbers(made.events()) == [1, 2, 3, 4, 5, 6]
    assert [m.update_id for m in made.events() if hasattr(m, "update_id")] == [7, 14, 21, 28, 35, 42]
    assert all(one.cause == "disconnect" for one in made.gaps())


def test_a_survivor_goes_on_at_once(bench: MakeBench) -> None:
    made = bench(2)
    for ring in (0, 1):
        for write in (trades, books):
            write(made, ring, 1, 2)
    made.drain()
    before = made.now_ns
    trades(made, 1, 3, 4)
    books(made, 1, 3, 4)
    made.cycle()

    assert numbers(made.events()) == [1, 2, 3, 4]
    assert made.now_ns == before


def test_a_hole_in_both_is_told_with_its_numbers(bench: MakeBench) -> None:
    made = bench(2)
    for ring in (0, 1):
        trades(made, ring, 1, 2)
        made.connections[ring].lose(made.now_ns)
        made.connections[ring].return_(made.now_ns + 5)
        trades(made, ring, 5, 6)
    made.drain()

    assert numbers(made.events()) == [1, 2, 5, 6]
    (found,) = [one for one in made.gaps() if one.stream]
    assert (found.cause, found.stream, found.symbol) == ("sequence", "trade", "BTCUSDT")
    assert (found.first_missing, found.last_missing, found.missing_count) == (3, 4, 2)
    assert {one.repair_state for one in made.gaps()} == {"open"}


def test_the_venues_own_hole_is_told_once(bench: MakeBench) -> None:
    made = bench(2)
    for ring in (0, 1):
        trades(made, ring, 1, 2)
        told = {"stream": "trade", "symbol": "BTCUSDT", "first_missing": 3, "last_missing": 4, "missing_count": 2}
        made.connections[ring].write(gap("sequence", made.now_ns, made.now_ns, made.now_ns, **told))
        trades(made, ring, 5)
    made.drain()

    assert numbers(made.events()) == [1, 2, 5]
    assert [(one.repair_state, one.first_missing) for one in made.gaps()] == [("open", 3)] * 2, "one of each connection"


DAY = 86_400_000 * MS


def away(bench: Bench, ring: int, started_ns: int) -> None:
    """A reload that had taken the symbol brings it back now."""
    told = {"stream": "trade", "symbol": "BTCUSDT"}
    bench.connections[ring].write(gap("reload", started_ns, bench.now_ns, bench.now_ns, **told))


@pytest.mark.parametrize("is_later", [False, True])
def test_of_a_symbol_that_a_reload_brings_back_nothing_is_missing_by_numbers(bench: MakeBench, is_later: bool) -> None:
    """Nobody was to record what lies between; the gaps of the reload say so. One connection may have its first trade
    before the other is told of the reload."""
    made = bench(2)
    for ring in (0, 1):
        trades(made, ring, 1000, 1001)
        made.now_ns += 3 * MS
    made.drain()
    left_ns = made.now_ns
    made.now_ns += 20 * DAY
    away(made, 0, left_ns - 6 * MS)
    made.now_ns += 100 * MS
    if is_later:
        trades(made, 0, 20_001_001)
        made.connections[1].write(event("trade", "ETHUSDT", 7, made.now_ns))
        made.cycle()
        made.now_ns += 100 * MS
    away(made, 1, left_ns)
    for ring in (0, 1):
        trades(made, ring, *range(20_001_002 if is_later and not ring else 20_001_001, 20_001_004))
    made.drain()

    assert numbers(made.events()) == [1000, 1001, 20_001_001, 20_001_002, 20_001_003]
    assert [one.cause for one in made.gaps()] == ["reload", "reload"]
    assert "open" in {one.repair_state for one in made.gaps()}


def back_after_a_day(bench: MakeBench) -> tuple[Bench, int]:
    """Two connections with trades, of which a reload had taken the symbol from the first; and since when."""
    made = bench(2)
    for each in (0, 1):
        trades(made, each, 1000, 1001)
    made.drain()
    left_ns = made.now_ns
    made.now_ns += DAY
    away(made, 0, left_ns)
    return made, left_ns


@pytest.mark.parametrize("ring", [0, 1])
def test_a_jump_is_told_though_a_reload_had_taken_the_symbol_from_one_connection(bench: MakeBench, ring: int) -> None:
    made, _ = back_after_a_day(bench)
    made.now_ns += MS
    made.connections[1].write(event("trade", "ETHUSDT", 7, made.now_ns))
    made.drain()
    trades(made, ring, 1005)
    made.drain()

    (found,) = (one for one in made.gaps() if one.cause == "sequence")
    assert (found.first_missing, found.last_missing) == (1002, 1004)


@pytest.mark.parametrize("is_between", [False, True])
def test_a_jump_outside_of_the_time_that_all_were_away_is_told(bench: MakeBench, is_between: bool) -> None:
    """One connection after the other was away; or both were, and trades have come since."""
    made, left_ns = back_after_a_day(bench)
    made.now_ns += DAY
    away(made, 1, left_ns if not is_between else made.now_ns - DAY // 2)
    made.now_ns += DAY
    if not is_between:
        for each in (0, 1):
            trades(made, each, 5001)
        made.drain()
        made.now_ns += DAY
    for each in (0, 1):
        trades(made, each, 9001)
    made.drain()

    (found,) = (one for one in made.gaps() if one.cause == "sequence")
    assert found.last_missing == 9000


def fillers(bench: Bench, ring: int, *which: int) -> None:
    """As an exchange session tells of numbers that the venue gave to no event."""
    for number in which:
        bench.connections[ring].write(
            gap("filler", bench.now_ns, bench.now_ns, bench.now_ns, stream="trade", symbol="BTCUSDT",
                first_missing=number, last_missing=number, missing_count=0, repair_state="repaired")
        )  # fmt: skip


def raw_trades(bench: Bench, ring: int, *which: int) -> None:
    for number in which:
        one = event("trade", "BTCUSDT", number, bench.now_ns)
        bench.connections[ring].write(msgspec.structs.replace(one, aggregated=False))


def test_a_number_without_an_event_is_not_waited_for(bench: MakeBench) -> None:
    """Whichever ring is ahead, and though trades and single trades have numbers of their own."""
    made = bench(2)
    for ring in (0, 1):
        trades(made, ring, 1)
        raw_trades(made, ring, 1)
        fillers(made, ring, 2, 3)
        raw_trades(made, ring, 4)
    trades(made, 0, 2)
    made.cycle()
    trades(made, 1, 2)
    made.cycle()

    assert numbers([one for one in made.events() if not one.aggregated]) == [1, 4]
    assert numbers([one for one in made.events() if one.aggregated]) == [1, 2]
    assert [(one.cause, one.first_missing) for one in made.gaps()] == [("filler", 2), ("filler", 3)]
    assert made.copies == {"trade": 4, "gap": 2}


def test_what_is_missing_before_a_number_without_an_event_is_told(bench: MakeBench) -> None:
    made = bench(2)
    for ring in (0, 1):
        raw_trades(made, ring, 1)
        fillers(made, ring, 4)
        raw_trades(made, ring, 5)
    made.drain()

    (found,) = made.gaps()
    assert (found.cause, found.first_missing, found.last_missing, found.missing_count) == ("sequence", 2, 4, 2)
    assert numbers(made.events()) == [1, 5]


def test_a_hole_of_one_connection_is_repaired_by_the_other(bench: MakeBench) -> None:
    made = bench(2)
    for ring in (0, 1):
        trades(made, ring, 1)
    told = {"stream": "trade", "symbol": "BTCUSDT", "first_missing": 2, "last_missing": 3, "missing_count": 2}
    made.connections[0].write(gap("sequence", made.now_ns, made.now_ns, made.now_ns, **told))
    trades(made, 0, 4)
    trades(made, 1, 2, 3, 4)
    made.drain()
    assert numbers(made.events()) == [1, 2, 3, 4]
    assert [(one.repair_state, one.missing_count) for one in made.gaps()] == [("repaired", 2)]

    made.now_ns += 10 * MS
    made.connections[1].lose(made.now_ns)
    for _ in range(20):
        made.now_ns += 100 * MS
        trades(made, 0, 5 + _)
    made.connections[1].return_(made.now_ns)
    made.now_ns += MS
    for ring in (0, 1):
        trades(made, ring, 25)
    made.drain()
    begun, ended = (one for one in made.gaps() if one.cause == "disconnect")
    assert (begun.repair_state, begun.version) == ("open", 1)
    assert (ended.repair_state, ended.version, ended.gap_id) == ("repaired", 2, begun.gap_id)


def test_a_hole_that_meets_one_of_the_other_is_not_called_repaired(bench: MakeBench) -> None:
    made = bench(2)
    for ring in (0, 1):
        trades(made, ring, 1)
    made.connections[0].lose(made.now_ns)
    made.now_ns += 100 * MS
    made.connections[1].lose(made.now_ns)
    made.now_ns += 100 * MS
    for one in made.connections:
        one.return_(made.now_ns)
    made.now_ns += MS
    for ring in (0, 1):
        trades(made, ring, 9)
    made.drain()

    assert {one.repair_state for one in made.gaps()} == {"open"}


def test_depth_changes_its_source_only_where_the_chain_goes_on(bench: MakeBench) -> None:
    """The other connection's events begin and end elsewhere: none of them names the last one published."""
    made = bench(2)
    for number in (1, 2, 3):
        made.connections[0].write(event("diff", "BTCUSDT", number, made.now_ns))
    made.cycle()
    shifted = [event("diff", "BTCUSDT", number, made.now_ns) for number in (2, 3, 4)]
    for one in shifted:
        one.last_update_id += 5  # type: ignore[attr-defined]
        one.previous_update_id += 5  # type: ignore[attr-defined]
        made.connections[1].write(one)
    made.cycle()
    assert [m.last_update_id for m in made.events()] == [10, 20, 30]
    made.connections[0].write(event("diff", "BTCUSDT", 4, made.now_ns))
    made.cycle()
    assert [m.last_update_id for m in made.events()] == [10, 20, 30, 40]
    made.drain()  # the first one says no more: after two seconds the other takes over, and says so

    assert [m.last_update_id for m in made.events()] == [10, 20, 30, 40, 45]
    (found,) = made.gaps()
    assert (found.cause, found.stream, found.connection) == ("sequence", "depth", made.events()[-1].connection)


@pytest.mark.parametrize("is_timed", [False, True])
def test_numbers_that_begin_anew_are_no_copies(bench: MakeBench, is_timed: bool) -> None:
    made = bench(2)
    for ring in (0, 1):
        trades(made, ring, 1000, 1001)
    made.drain()
    made.now_ns += 3600 * 1000 * MS
    for ring in (0, 1):
        for number in (5, 6):
            one = event("trade", "BTCUSDT", number, made.now_ns)
            one.event_time_ns = one.transaction_time_ns = made.now_ns if is_timed else None
            made.connections[ring].write(one)
    made.drain()

    assert numbers(made.events()) == [1000, 1001, 5, 6]


@pytest.mark.parametrize("is_timed", [False, True])
def test_what_a_venue_tells_again_after_quiet_minutes_are_copies(bench: MakeBench, is_timed: bool) -> None:
    """At a subscription some tell the last trade again, or the newest hundred; an ingest that was started anew does not
    know them."""
    made = bench(2)
    for ring in (0, 1):
        trades(made, ring, 1000, 1001, 1002)
    made.drain()
    made.now_ns += 3600 * 1000 * MS
    for number in (1000, 1001, 1002) if is_timed else (1002,):
        one = event("trade", "BTCUSDT", number, made.now_ns)
        if not is_timed:
            one.event_time_ns = one.transaction_time_ns = None
        made.connections[1].write(one)
    made.drain()
    for ring in (0, 1):
        trades(made, ring, 1003)
    made.drain()

    assert numbers(made.events()) == [1000, 1001, 1002, 1003]
    assert not made.gaps()


@pytest.mark.parametrize("is_late", [False, True])
def test_a_chain_that_goes_on_with_lower_numbers_goes_on(bench: MakeBench, is_late: bool) -> None:
    """Whichever connection is first; the other's events are copies after it as before it."""
    made = bench(2)

    def write(ring: int, *chain: int) -> None:
        for previous, number in itertools.pairwise(chain):
            one = event("diff", "BTCUSDT", 1, made.now_ns)
            one.first_update_id = None  # type: ignore[attr-defined]
            one.last_update_id, one.previous_update_id = number, previous  # type: ignore[attr-defined]
            made.connections[ring].write(one)

    for ring in (0, 1):
        write(ring, 10, 20, 30)
    made.cycle()
    write(0, 30, 5, 8)
    if is_late:
        made.cycle()
    write(1, 30, 5, 8, 40)
    made.drain()
    write(0, 8, 40, 50)
    made.drain()

    assert [m.last_update_id for m in made.events()] == [20, 30, 5, 8, 40, 50]
    assert made.gaps() == []


def numbered_book(bench: Bench, ring: int, number: int, kind: UpdateType) -> None:
    """Of a venue whose books begin with a snapshot of some levels and whose changes are numbered without holes."""
    is_whole = kind is UpdateType.SNAPSHOT
    book = msgspec.structs.replace(
        unnumbered(bench, 0, kind), level_limit=50 if is_whole else 0, event_time_ns=bench.now_ns,
        transaction_time_ns=bench.now_ns, first_update_id=number, last_update_id=number,
        previous_update_id=None if is_whole else number - 1,
    )  # fmt: skip
    bench.connections[ring].write(book)


@pytest.mark.parametrize("restarts", [1, 2])
@pytest.mark.parametrize("killed", [False, True])
def test_a_book_that_begins_anew_takes_its_changes_along(bench: MakeBench, restarts: int, killed: bool) -> None:
    """Whatever holes there were, and though one connection still brings changes of the old numbers."""
    made = bench(2)
    whole, change = UpdateType.SNAPSHOT, UpdateType.DELTA
    for ring in (0, 1):
        numbered_book(made, ring, 100_000, whole)
        for number in (100_001, 100_010, 100_020, 100_021):
            numbered_book(made, ring, number, change)
    made.drain()
    expected = [100_000, 100_001, 100_010, 100_020, 100_021]
    for _ in range(restarts):
        assert [m.last_update_id for m in made.events()] == expected
        made.now_ns += 60_000 * MS
        last = expected[-1]
        for ring in (0, 1):
            if ring:
                made.cycle()
            for number in (last + 1, last + 2):
                numbered_book(made, ring, number, change)
            made.connections[ring].write(
                gap("sequence", made.now_ns, made.now_ns, made.now_ns, stream="depth", symbol="BTCUSDT")
            )
            numbered_book(made, ring, 1, whole)
            for number in range(2, 9 + ring):
                numbered_book(made, ring, number, change)
            made.now_ns += MS
        if killed:
            made.restart()
        made.drain()
        expected += [last + 1, last + 2, *range(1, 10)]
    made.now_ns += 3600_000 * MS
    for ring in (0, 1):
        for number in (10, 11, 12):
            numbered_book(made, ring, number, change)
    made.drain()

    assert [m.last_update_id for m in made.events()] == [*expected, 10, 11, 12]


@pytest.mark.parametrize("seconds", [15, 3600])
def test_a_count_that_begins_anew_is_no_copy_of_the_old_numbers(bench: MakeBench, seconds: int) -> None:
    """However many holes both connections had; what one still brings of the old numbers is a copy."""

    def tell(*numbers: int, rings: tuple[int, ...] = (0, 1), at_ns: int = 0) -> None:
        for ring in rings:
            for number in numbers:
                one = event("book", "BTCUSDT", number, made.now_ns)
                one.event_time_ns = one.transaction_time_ns = at_ns or made.now_ns
                made.connections[ring].write(one)

    made = bench(2)
    tell(1000)
    for first in (1010, 1020):
        for ring in (0, 1):
            made.connections[ring].lose(made.now_ns)
            made.connections[ring].return_(made.now_ns + 1)
        tell(first, first + 1)
        made.now_ns += 3000 * MS
        made.drain()
    last_ns = made.now_ns
    tell(1022, rings=(0,))
    made.now_ns += seconds * 1000 * MS
    tell(1, 2, rings=(0,))
    made.cycle()
    tell(1021, 1022, rings=(1,), at_ns=last_ns)
    tell(1, 2, 3, rings=(1,))
    made.drain()

    expected = [1000, 1010, 1011, 1020, 1021, 1022, 1, 2, 3]
    assert [m.update_id // 7 for m in made.events()] == expected


def test_two_rings_that_wait_for_each_other_do_not_wait_for_ever(bench: MakeBench) -> None:
    made = bench(2)
    for ring in (0, 1):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            made.connections[ring].write(event("trade", symbol, 1, made.now_ns))
    made.drain()
    made.connections[0].write(event("trade", "BTCUSDT", 5, made.now_ns))
    made.connections[1].write(event("trade", "ETHUSDT", 5, made.now_ns))
    begin = made.now_ns
    made.drain()

    assert made.now_ns - begin <= 2100 * MS
    assert len(made.gaps()) == 2


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), st.booleans(), st.booleans())
def test_nothing_lost_nothing_twice(seed: int, kills: bool, spools: bool) -> None:
    """Random events, lags, disconnects, batches, kills at any step and partial commits."""
    rng = random.Random(seed)
    made = Bench()
    try:
        play(made, rng, kills, spools)
        union = {identity(one) for one in itertools.chain(*(c.wrote for c in made.connections))}
        got = Counter(identity(one) for one in made.events())
        assert not union - got.keys(), f"lost: {sorted(union - got.keys(), key=str)[:5]}"
        twice = {key: count for key, count in got.items() if count > 1}
        assert not twice, f"twice: {twice}"
        # a hole of a numbered line that nobody had is told with its numbers
        told = {n for g in made.gaps() if g.stream == "trade" and g.repair_state == "open"
                for n in range(g.first_missing, g.last_missing + 1)}  # fmt: skip
        for symbol in ("BTCUSDT", "ETHUSDT"):
            have = set(numbers(made.events(), symbol))
            missing = set(range(min(have, default=0), max(have, default=0))) - have
            assert missing <= told
    finally:
        made.close()


def play(made: Bench, rng: random.Random, kills: bool, spools: bool) -> None:
    next_number: Counter[tuple[str, str]] = Counter()
    late: list[list[tuple[str, str, int, int]]] = [[] for _ in made.connections]

    def deaths() -> Iterator[bool]:
        while True:
            yield kills and rng.random() < 0.02

    kill = deaths()
    for _ in range(rng.randint(5, 60)):
        made.now_ns += rng.choice([0, MS, 50 * MS, 300 * MS])
        for _ in range(rng.randint(0, 8)):
            line = rng.choice(STREAMS), rng.choice(("BTCUSDT", "ETHUSDT"))
            next_number[line] += 1
            for queue, connection in zip(late, made.connections, strict=True):
                if connection.down_since is None:
                    queue.append((*line, next_number[line], made.now_ns))
        for queue, connection in zip(late, made.connections, strict=True):
            overdue = sum(made.now_ns - at > LAG_NS // 2 for *_, at in queue)
            count = max(overdue, rng.choice([0, len(queue), rng.randint(0, len(queue))]))
            for stream, symbol, number, _ in queue[:count]:
                connection.write(event(stream, symbol, number, made.now_ns))
            del queue[:count]
            if connection.down_since is not None and rng.random() < 0.3:
                connection.return_(made.now_ns)
            elif connection.down_since is None and rng.random() < 0.08:
                if rng.random() < 0.5:
                    queue.clear()  # what was on the wire
                connection.lose(made.now_ns) if not queue else None
        try:
            if spools and rng.random() < 0.4:
                made.spool(rng, rng.choice([1, 3, 1000]), kill)
            else:
                made.cycle(rng.choice([1, 5, 1000]), kill)
        except Killed:
            made.restart()
            made.now_ns += rng.choice([0, 500 * MS, 3000 * MS])
    for queue, connection in zip(late, made.connections, strict=True):
        for stream, symbol, number, _ in queue:
            connection.write(event(stream, symbol, number, made.now_ns))
    made.drain()


def test_marks_of_an_event_that_was_acknowledged_and_not_committed_are_the_same(bench: MakeBench) -> None:
    """Killed between the watermarks and head: the records are read again, and are copies."""
    made = bench(2)
    trades(made, 0, 1, 2)
    trades(made, 1, 1, 2, 3)
    for reader in made.readers:
        made.log += [(reader.epoch, record) for record in reader.poll(100)]
    heads = [reader.head for reader in made.readers]
    for reader in made.readers:
        for _, key, state in reader._log:
            made.group.store(key, state)
    made.restart()
    assert [reader.head for reader in made.readers] == heads
    made.drain()

    assert numbers(made.events()) == [1, 2, 3]


def test_liquidations_are_known_by_what_they_say(bench: MakeBench) -> None:
    made = bench(2)
    sample = next(one for one in full() if isinstance(one, Liquidation))
    other = msgspec.structs.replace(sample, price="9911")
    for ring in (0, 1):
        made.connections[ring].write(sample)
        made.connections[ring].write(other)
    made.drain()

    assert [message.price for message in made.events()] == ["9910", "9911"]
    assert made.copies == {"liquidation": 2}


def named(bench: Bench, ring: int, *which: int) -> None:
    """Trades whose ids are no numbers, and come in no order."""
    for number in which:
        one = event("trade", "BTCUSDT", number, bench.now_ns)
        changes = {"trade_number": None, "trade_id": f"2ee8-{number}", "aggregated": False}
        bench.connections[ring].write(msgspec.structs.replace(one, **changes))


def test_trades_without_numbers_are_known_by_their_ids(bench: MakeBench) -> None:
    made = bench(2)
    named(made, 0, 3, 1, 5)
    named(made, 1, 1, 2, 3)
    made.cycle()
    named(made, 1, 4, 5)
    named(made, 0, 4)
    trades(made, 0, 7)
    trades(made, 1, 7)
    made.drain()

    ids = [message.trade_id for message in made.events() if not message.HasField("trade_number")]
    assert sorted(ids) == [f"2ee8-{number}" for number in (1, 2, 3, 4, 5)], "each once, none dropped"
    assert numbers([m for m in made.events() if m.HasField("trade_number")]) == [7]
    assert made.copies == {"trade": 5}
    assert not made.gaps()


def test_an_id_that_one_ring_brings_twice_is_not_a_copy(bench: MakeBench) -> None:
    made = bench(2)
    named(made, 0, 1, 1)
    made.drain()

    assert len(made.events()) == 2, "the venue sent it twice on one connection"


def whole_book(bench: Bench, ring: int, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a venue without numbers, larger than one event: a snapshot and a change of its time, which brings the rest."""
    monkeypatch.setattr(books_of_venues, "MOST_LEVELS", 2)
    for part in books_of_venues.parted(unnumbered(bench, at, UpdateType.SNAPSHOT, 3)):
        assert isinstance(part, Depth)
        bench.connections[ring].write(part)


def unnumbered(bench: Bench, at: int, kind: UpdateType, levels: int = 1) -> Depth:
    book = next(one for one in full() if isinstance(one, Depth))
    price, quantity = [f"{100 - level}" for level in range(levels)], ["1"] * levels
    return msgspec.structs.replace(
        book, symbol="BTCUSDT", update_type=kind, level_limit=0, event_time_ns=NS + at, transaction_time_ns=None,
        first_update_id=None, last_update_id=None, previous_update_id=None, ordinal=0, receive_time_ns=bench.now_ns,
        bid_price=price, bid_quantity=quantity, ask_price=[], ask_quantity=[],
    )  # fmt: skip


def changes(bench: Bench, ring: int, *times: int) -> None:
    for at in times:
        bench.connections[ring].write(unnumbered(bench, at, UpdateType.DELTA))


def told(bench: Bench) -> list[tuple[str, int]]:
    names = {UpdateType.SNAPSHOT: "snapshot", UpdateType.DELTA: "change"}
    return [(names[UpdateType(m.update_type)], m.event_time_ns - NS) for m in bench.events()]


def test_a_book_that_the_other_connection_is_beyond_is_a_copy_with_all_its_parts(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(2)
    whole_book(made, 0, 10, monkeypatch)
    changes(made, 0, 11, 12, 13)
    whole_book(made, 1, 12, monkeypatch)
    changes(made, 1, 13)
    made.drain()
    changes(made, 1, 14)
    changes(made, 0, 14, 15)
    made.drain()

    rest = [("change", at) for at in (10, 11, 12, 13, 14, 15)]
    assert told(made) == [("snapshot", 10), *rest], "none with its first levels alone"
    assert made.copies == {"depth": 4}


def test_a_book_from_the_midst_of_a_hole_is_none(bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one from before the first change that another connection brought."""
    made = bench(2)
    whole_book(made, 0, 10, monkeypatch)
    whole_book(made, 1, 5, monkeypatch)
    changes(made, 1, 6)
    made.drain()
    assert told(made) == [("snapshot", 10), ("change", 10), ("snapshot", 5), ("change", 5), ("change", 6)]

    made.log.clear()
    made.connections[0].lose(made.now_ns)
    made.connections[1].lose(made.now_ns)
    for ring in (0, 1):
        made.connections[ring].return_(made.now_ns + ring)
    whole_book(made, 0, 20, monkeypatch)
    made.now_ns += 10_000 * MS
    made.drain()
    whole_book(made, 1, 15, monkeypatch)
    made.now_ns += 10_000 * MS
    made.drain()
    assert told(made) == [("snapshot", 20), ("change", 20), ("snapshot", 15), ("change", 15)]


def test_ids_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arbitration, "REMEMBERED", 3)
    lines = arbitration.Arbitration({})

    def verdict(ring: int, number: int) -> arbitration.Precedence:
        sample = next(one for one in full() if isinstance(one, Trade))
        found = place(msgspec.structs.replace(sample, trade_number=None, trade_id=str(number)))
        assert found is not None
        return lines.judge(ring, found, 1, False)[0]

    assert [verdict(0, number) for number in range(4)] == [arbitration.Precedence.PASS] * 4
    assert verdict(1, 3) is arbitration.Precedence.COPY
    assert verdict(1, 0) is arbitration.Precedence.PASS, "forgotten: twice is better than never"


def test_ids_are_forgotten_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look for the oldest one for each that comes costs more the more there are."""
    monkeypatch.setattr(arbitration, "REMEMBERED", 80)
    lines = arbitration.Arbitration({})
    sample = next(one for one in full() if isinstance(one, Trade))
    sizes = []
    for number in range(1_000):
        found = place(msgspec.structs.replace(sample, trade_number=None, trade_id=str(number)))
        assert found is not None
        assert lines.judge(0, found, 1, False)[0] is arbitration.Precedence.PASS
        sizes.append(len(lines._published["trade"]))
        if number % 97 == 0:
            assert lines.judge(1, found, 1, False)[0] is arbitration.Precedence.COPY

    after = sizes[80:]
    assert min(after) == 80
    assert max(after) == 90
    assert sum(later < earlier for earlier, later in itertools.pairwise(sizes)) <= 1_000 / 10
