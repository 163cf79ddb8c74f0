"""What a gap lacks, from a log in memory: whatever the clock did, however far back, and ids that begin anew."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roles.repairer.driven import Driven
from roles.repairer.fake_log import CONNECTION, EPOCH, MS, FakeLog

from wsadapter.config.model import KafkaConfig
from wsadapter.events import Gap, Source, Trade
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.rest_api import Request, RestExchange, Series
from wsadapter.kafka.backfill import PREFIX
from wsadapter.roles.repairer import gap_repair
from wsadapter.roles.repairer.backfill import backfill_of
from wsadapter.roles.repairer.gap_repair import GapRepair
from wsadapter.roles.repairer.published import Published

START = 1_795_000_000_000
"""When the gap began, by the venue's clock (ms), which is right."""
TRADES = Series("trade", "BTCUSDT")
TICKER = Series("ticker", "BTCUSDT")
ETHER = Series("trade", "ETHUSDT")
Trades = dict[int, int]
"""Trade number -> the venue's time (ms)."""


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> FakeLog:
    return FakeLog(monkeypatch)


class Case:
    """A gap in the log, and a venue that has all trades."""

    def __init__(self, log: FakeLog, venue: Trades) -> None:
        self.log, self.venue = log, venue
        self.asked: list[dict[str, str]] = []
        self._published = Published()
        self._begin = self._end = 0

    def record(self, numbers: range, clock_ms: int = 0, **fields: Any) -> None:
        """Trades that are received as they happen, by a clock that is ahead by so much."""
        for number in numbers:
            self.log.trade(number, self.venue[number], self.venue[number] + clock_ms, **fields)

    def begin(self) -> None:
        self._begin = self._end = self.log.place()

    def end(self) -> None:
        self._end = self.log.place()

    def gap(self, started_ms: int, ended_ms: int, cause: str = "disconnect", connection: str = CONNECTION) -> Gap:
        return Gap(
            "binance", "", None, None, ended_ms * MS, Source.WEBSOCKET, connection, None, f"{EPOCH}:{self._begin}", 2,
            "", "", cause, started_ms * MS, ended_ms * MS, None, None, None, "open",
        )  # fmt: skip

    def repair(
        self, started_ms: int, ended_ms: int, cause: str = "disconnect", rest: RestExchange | None = None,
        series: tuple[Series, ...] = (TRADES,), left: tuple[Series, ...] = (),
    ) -> tuple[list[int], str]:  # fmt: skip
        """What is published, and the gap's state."""
        job = GapRepair(
            self.gap(started_ms, ended_ms, cause), rest or BinanceFuturesRest(), series, KafkaConfig(), 0.0,
            (EPOCH, self._end), published=self._published, left=left,
        )  # fmt: skip
        driven = Driven(job)
        self.drive(driven)
        self.job, self.rows = job, [event for event in driven.events if isinstance(event, Gap)]
        return [event.trade_number or 0 for event in driven.events if isinstance(event, Trade)], job.outcome

    def drive(self, *jobs: Driven) -> None:
        """In turns to their ends: first all ask, then all are answered. What they publish is not in the log yet."""
        for turn in range(100_000):
            for driven, request in [(each, each.at(turn * 0.1)) for each in jobs]:
                if request is not None:
                    driven.answer(self.answer(request), (START + 3_600_000) * MS)
            if all(driven.is_done for driven in jobs):
                return
        raise AssertionError("it never ends")

    def beside(self, *gaps: Gap) -> list[list[int]]:
        """Repaired at the same time, as their connections are others: what each publishes."""
        rest, kafka = BinanceFuturesRest(), KafkaConfig()
        jobs = [
            backfill_of(gap, {"fut": rest}, kafka, 0.0, published=self._published)
            or GapRepair(gap, rest, (TRADES,), kafka, 0.0, published=self._published)
            for gap in gaps
        ]
        driven = [Driven(job) for job in jobs]
        self.drive(*driven)
        assert {job.outcome for job in jobs} == {"repaired"}
        return [[event.trade_number or 0 for event in each.events if isinstance(event, Trade)] for each in driven]

    def answer(self, request: Request) -> bytes:
        query = dict(request.query)
        self.asked.append(query)
        if query["symbol"] != "BTCUSDT":
            return b"[]"
        if "fromId" in query:
            numbers = [n for n in sorted(self.venue) if n >= int(query["fromId"])]
        else:
            first, last = int(query["startTime"]), int(query["endTime"])
            assert first <= last, "an end before the beginning"
            numbers = [n for n, ms in sorted(self.venue.items()) if first <= ms <= last]
        return json.dumps(
            [{"a": n, "p": "1", "q": "1", "f": n, "l": n, "T": self.venue[n], "m": True} for n in numbers]
            [: int(query["limit"])]
        ).encode()  # fmt: skip


def one_a_second(first: int, count: int, start_ms: int) -> Trades:
    return {first + n: start_ms + 1_000 * n for n in range(count)}


@pytest.mark.parametrize("ahead_s", [0, 3_600, 120, 5, -3_600])
def test_a_clock_that_was_set_before_the_gap_changes_nothing(log: FakeLog, ahead_s: int) -> None:
    """It was ahead by so much until a minute before the gap; 300 trades before it, 30 in it, 60 after it."""
    case = Case(log, one_a_second(1_000, 390, START - 300_000))
    case.record(range(1_000, 1_240), ahead_s * 1_000)
    case.record(range(1_240, 1_300))
    case.begin()
    case.end()
    case.record(range(1_330, 1_390))
    assert case.repair(START, START + 30_000) == ([*range(1_300, 1_330)], "repaired")
    assert [query["fromId"] for query in case.asked] == ["1300"]


@pytest.mark.parametrize("is_known", [False, True])
def test_a_symbol_that_a_reload_took_while_the_connection_was_away_is_asked_for(log: FakeLog, is_known: bool) -> None:
    """Not even a restart since, which knows of no reload, calls it whole."""
    case = Case(log, one_a_second(1_000, 390, START - 300_000))
    case.record(range(1_000, 1_300))
    case.record(range(1_000, 1_300), symbol="ETHUSDT")
    case.begin()
    case.end()
    case.record(range(1_330, 1_390))
    assert case.repair(START, START + 30_000, left=(ETHER,) * is_known) == ([*range(1_300, 1_330)], "repaired")
    assert [(query["symbol"], query["fromId"]) for query in case.asked] == [("BTCUSDT", "1300"), ("ETHUSDT", "1300")]


def test_a_quiet_symbol_that_a_reload_took_is_asked_for_by_time(log: FakeLog) -> None:
    case = Case(log, one_a_second(1_000, 390, START - 300_000))
    case.record(range(1_000, 1_300))
    case.begin()
    case.end()
    case.record(range(1_330, 1_390))
    case.repair(START, START + 30_000, left=(ETHER,))
    (query,) = (query for query in case.asked if query["symbol"] == "ETHUSDT")
    assert (int(query["startTime"]), int(query["endTime"])) == (START - 2_000, START + 31_000)


@pytest.mark.parametrize("carried_by", [None, CONNECTION, "other-market-0"])
def test_a_start_asks_for_what_its_plan_does_not_have_only_where_it_came_again(
    log: FakeLog, carried_by: str | None
) -> None:
    """What is taken out of the configuration while nothing runs nobody misses. What the start still carried, or another
    connection does, was left later."""
    case = Case(log, one_a_second(1_000, 390, START - 300_000))
    case.record(range(1_000, 1_300))
    case.record(range(1_000, 1_300), symbol="ETHUSDT")
    case.begin()
    case.end()
    case.record(range(1_330, 1_390))
    if carried_by is not None:
        case.record(range(1_335, 1_390), symbol="ETHUSDT", connection=carried_by)
    assert case.repair(START, START + 30_000, "restart")[0] == [*range(1_300, 1_330)]
    asked = {query["symbol"] for query in case.asked}
    assert asked == {"BTCUSDT"} | ({"ETHUSDT"} if carried_by is not None else set())


def test_a_first_start_does_not_go_on_with_what_was_given_up(log: FakeLog) -> None:
    case = Case(log, one_a_second(1_000, 390, START - 300_000))
    case.record(range(1_000, 1_100), symbol="ETHUSDT")
    case.record(range(1_100, 1_300))
    case.begin()
    case.end()
    case.record(range(1_330, 1_390))
    case.repair(START, START + 30_000, "connect")
    assert {query["symbol"] for query in case.asked} == {"BTCUSDT"}


def test_a_stream_that_a_reload_took_while_the_gap_waited_is_not_called_whole(log: FakeLog) -> None:
    case = Case(log, one_a_second(1_000, 390, START - 300_000))
    case.record(range(1_000, 1_300))
    case.begin()
    case.end()
    case.record(range(1_330, 1_390))
    published, state = case.repair(START, START + 30_000, left=(TICKER, TRADES))
    assert published == [*range(1_300, 1_330)]
    assert state == "partial"
    assert [(row.stream, row.symbol, row.repair_state) for row in case.rows] == [
        ("trade", "", "repaired"), ("ticker", "", "unrepairable"), ("", "", "partial"),
    ]  # fmt: skip


@pytest.mark.parametrize("ahead_s", [5, 120, 1_800])
def test_a_clock_that_was_set_back_in_the_gap(log: FakeLog, ahead_s: int) -> None:
    case = Case(log, one_a_second(1_000, 390, START - 300_000))
    case.record(range(1_000, 1_300), ahead_s * 1_000)
    case.begin()
    case.end()
    case.record(range(1_320, 1_390))
    assert case.repair(START + ahead_s * 1_000, START + 20_000) == ([*range(1_300, 1_320)], "repaired")


def test_a_gap_that_ends_before_it_began_is_not_judged_by_its_times(log: FakeLog) -> None:
    """Nobody trades after it."""
    case = Case(log, one_a_second(1_000, 320, START - 300_000))
    case.record(range(1_000, 1_300), 1_800_000)
    case.begin()
    case.end()
    assert case.repair(START + 1_800_000, START + 20_000) == ([], "partial")
    assert case.asked == []
    assert case.job.outcomes[0][1].reason == gap_repair.CLOCK_WENT_BACK


def test_records_in_the_gap_are_not_fetched_again(log: FakeLog) -> None:
    """Two losses in one gap, another connection that went on for a while, and a repair that was cut short."""
    case = Case(log, one_a_second(1_000, 400, START - 300_000))
    case.record(range(1_000, 1_300))
    case.begin()
    case.record(range(1_310, 1_320))
    case.record(range(1_320, 1_325), connection="other-market-0")
    case.end()
    case.record(range(1_340, 1_400))
    case.record(range(1_300, 1_305), connection="repair", rest=True)
    assert case.repair(START, START + 40_000) == ([*range(1_305, 1_310), *range(1_325, 1_340)], "repaired")


def test_what_two_gaps_lack_is_published_once(log: FakeLog) -> None:
    """A symbol goes with one reload and comes back with another: it is missing in the gaps of both, and the log does
    not show yet what the repair of the first has published. What the log has lost is another matter."""
    case = Case(log, one_a_second(1_000, 390, START - 300_000))
    case.record(range(1_000, 1_300))
    case.begin()
    case.end()
    case.record(range(1_330, 1_390))
    assert case.repair(START, START + 10_000) == ([*range(1_300, 1_330)], "repaired")
    assert case.repair(START + 20_000, START + 30_000) == ([], "repaired")
    assert case.repair(START, START + 30_000, cause="kafka_retention") == ([*range(1_300, 1_330)], "repaired")


def test_two_connections_that_lack_the_same_publish_it_once(log: FakeLog) -> None:
    """Redundant ones at their first start, or two backfills of one time: each looks into the log before any of them
    publishes. What the log has lost is published again, though not by two at once."""
    case = Case(log, one_a_second(1_000, 100, START))
    case.begin()
    case.end()
    case.record(range(1_030, 1_100))
    twins = CONNECTION, f"{CONNECTION}-r2"
    requests = [case.gap(START, START + 29_999, "connect", f"{PREFIX}fut") for _ in twins]
    for request in requests:
        request.stream, request.symbol = "trade", "BTCUSDT"
    for cause in ("connect", "kafka_retention"):
        of_both = case.beside(*[case.gap(START, START + 30_000, cause, name) for name in twins])
        assert sorted(itertools.chain(*of_both)) == [*range(1_000, 1_030)], cause
    assert sorted(itertools.chain(*case.beside(*requests))) == [*range(1_000, 1_030)]


def test_a_symbol_that_has_gone_since_is_repaired_too(log: FakeLog) -> None:
    """The gap's turn comes when a reload has taken the symbol out of the connection's plan."""
    case = Case(log, one_a_second(1_000, 390, START - 300_000))
    for number in range(50):
        log.trade(number, START - 50_000 + number * 1_000, START - 50_000 + number * 1_000, symbol="ETHUSDT")
    case.record(range(1_000, 1_300))
    case.begin()
    case.end()
    for number in range(50, 90):
        at = START - 50_000 + number * 1_000
        log.trade(number, at, at, symbol="ETHUSDT", connection="other-market-0")
    log.trade(90, START + 40_000, START + 40_000, symbol="ETHUSDT")
    case.record(range(1_330, 1_390))
    ethereum = (Series("trade", "ETHUSDT"),)
    assert case.repair(START, START + 30_000, series=ethereum) == ([*range(1_300, 1_330)], "repaired")
    assert [series.symbol for series, _ in case.job.outcomes] == ["ETHUSDT", "BTCUSDT"]


def test_what_another_connection_carries_is_not_repaired(log: FakeLog) -> None:
    case = Case(log, one_a_second(1_000, 390, START - 300_000))
    case.record(range(1_000, 1_300), connection="other-market-0")
    case.begin()
    case.end()
    case.record(range(1_330, 1_390))  # it came with the reload that made the gap
    ethereum = (Series("trade", "ETHUSDT"),)
    assert case.repair(START, START + 30_000, series=ethereum) == ([], "repaired")
    assert [series.symbol for series, _ in case.job.outcomes] == ["ETHUSDT"]


def test_after_a_power_cut_the_last_record_is_looked_for_however_long_ago(log: FakeLog) -> None:
    """Nobody knows when it was: the gap says only how long the new connection took."""
    case = Case(log, one_a_second(1_000, 2_500, START - 600_000))
    case.record(range(1_000, 1_600))
    case.begin()
    case.end()
    case.record(range(3_400, 3_500))
    back = START + 1_800_000
    assert case.repair(back - 300, back, "connect") == ([*range(1_600, 3_400)], "repaired")


def test_a_symbol_that_did_not_trade_before_the_power_cut_is_fetched_from_there_on(log: FakeLog) -> None:
    case = Case(log, one_a_second(1_000, 600, START))
    for number in range(50):
        log.trade(number, START - 5_000 + number, START - 5_000 + number, symbol="ETHUSDT")
    case.begin()
    case.end()
    case.record(range(1_500, 1_600))
    both = TRADES, Series("trade", "ETHUSDT")
    assert case.repair(START + 499_900, START + 500_000, "connect", series=both) == ([*range(1_000, 1_500)], "repaired")


def test_a_log_that_does_not_reach_back_leaves_the_hole_partial(log: FakeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap_repair, "EARLIER", (10, 20))
    case = Case(log, one_a_second(1_000, 2_500, START - 600_000))
    case.record(range(1_000, 1_600))
    case.begin()
    case.end()
    for number in range(100):
        log.trade(number, START + number, START + number, symbol="ETHUSDT", connection="other-market-0")
    case.record(range(3_400, 3_500))
    back = START + 1_800_000
    published, state = case.repair(back - 300, back, "connect")
    assert (state, case.job.outcomes[0][1].reason) == ("partial", gap_repair.NO_START)
    assert len(published) <= 3


def test_a_first_start_has_nothing_before_it(log: FakeLog) -> None:
    case = Case(log, one_a_second(1_000, 100, START))
    case.begin()
    case.end()
    case.record(range(1_003, 1_100))
    assert case.repair(START, START + 3_000, "connect") == ([1_000, 1_001, 1_002], "repaired")


@pytest.mark.parametrize("missed", [0, 5])
def test_ids_that_begin_anew_are_fetched(log: FakeLog, missed: int) -> None:
    """Delisted and listed again under the old name, while we were away, which missed the last of the old ones too."""
    old = one_a_second(1_000_000, 40, START - 40_000)
    case = Case(log, old | one_a_second(1, 80, START + 10_000))
    case.record(range(1_000_000, 1_000_040 - missed))
    case.begin()
    case.end()
    case.record(range(21, 81))
    published, state = case.repair(START, START + 30_000)
    assert (published, state) == ([*range(1, 21), *range(1_000_040 - missed, 1_000_040)], "repaired")


def test_ids_that_begin_anew_and_that_the_venue_does_not_have(log: FakeLog) -> None:
    case = Case(log, one_a_second(1_000_000, 40, START - 40_000) | one_a_second(1, 80, START + 10_000))
    case.record(range(1_000_000, 1_000_040))
    case.begin()
    case.end()
    case.record(range(21, 81))
    del case.venue[7]
    assert case.repair(START, START + 30_000) == ([*range(1, 7), *range(8, 21)], "partial")
    assert case.job.outcomes[0][1].missing == ((7, 7),)


@pytest.mark.parametrize("shown", [1, 60])
def test_a_server_that_lags_is_no_new_numbering(log: FakeLog, shown: int) -> None:
    case = Case(log, one_a_second(1_000, 400, START - 300_000))
    case.record(range(1_000, 1_300))
    case.begin()
    case.end()
    case.record(range(1_297, 1_297 + shown))
    assert case.repair(START, START + 10_000) == ([], "repaired")
    assert case.asked == []


class RawTrades(BinanceFuturesRest):
    """A venue whose trades with numbers are single ones."""

    variants: Mapping[str, Any] = {"aggregated": False}


def test_of_two_series_of_one_stream_the_venue_s_is_looked_at(log: FakeLog) -> None:
    case = Case(log, one_a_second(1_000, 390, START - 300_000))
    case.record(range(1_000, 1_300))
    case.begin()
    case.end()
    case.record(range(1_330, 1_390))
    assert case.repair(START, START + 30_000, rest=RawTrades())[1] == "repaired"
    assert "fromId" not in case.asked[0]  # the log holds none of its numbers


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.sampled_from(["lost", "own", "other", "rest"]), min_size=1, max_size=6),
    lengths=st.lists(st.integers(1, 9), min_size=6, max_size=6),
    steps=st.just((0, 0)) | st.tuples(st.integers(-4_000, 4_000), st.integers(-4_000, 4_000)),
    before=st.integers(0, 40),
    after=st.integers(0, 40),
)
def test_whatever_was_there_what_is_called_repaired_is_whole(
    monkeypatch: pytest.MonkeyPatch,
    parts: list[str],
    lengths: list[int],
    steps: tuple[int, int],
    before: int,
    after: int,
) -> None:
    """Within the gap trades are lost, received in a moment of connection, received by another connection, or were
    fetched by a repair that was cut short. The clock is set before the gap and in it, by so many seconds."""
    log = FakeLog(monkeypatch)
    venue = one_a_second(1_000, 400, START - 100_000)
    case = Case(log, venue)
    ahead, later = steps[0] * 1_000, steps[1] * 1_000
    first = 1_100
    case.record(range(first - before, first), ahead)
    case.begin()
    number = first
    lost: list[int] = []
    for part, length in zip(parts, lengths, strict=False):
        numbers = range(number, number + length)
        number += length
        if part == "lost":
            lost += numbers
        elif part == "own":
            case.record(numbers, ahead)
        elif part == "other":
            case.record(numbers, later, connection="other-market-0")
        else:
            case.record(numbers, later, connection="repair", rest=True)
    case.end()
    case.record(range(number, number + after), later)
    published, state = case.repair(venue[first] + ahead, venue[number] + later)
    assert len(published) == len(set(published))
    if before and after:
        assert published == lost
        assert state == "repaired"
    elif steps == (0, 0):  # a side that shows nothing is bounded by our clock, right or wrong
        assert {*lost} <= {*published}


@pytest.mark.parametrize(
    ("cause", "silent_ms", "expected"), [("connect", 60_000, 1), ("connect", 2_000, 0), ("restart", 60_000, 0)]
)
def test_a_start_that_knows_nothing_of_what_was_before_it_says_so(
    log: FakeLog, monkeypatch: pytest.MonkeyPatch, cause: str, silent_ms: int, expected: int
) -> None:
    """A new state directory: the log has records of the connection that it does not know of."""
    told: list[dict[str, Any]] = []

    class Told:
        def warning(self, event: str, **fields: Any) -> None:
            told.append({"event": event, **fields})

        info = warning

    monkeypatch.setattr(gap_repair, "log", Told())
    case = Case(log, {n: START + 1000 * n for n in range(200)})
    case.record(range(10))
    started_ms = START + 9_000 + silent_ms
    case.begin()
    case.end()
    case.record(range(100, 110))
    case.repair(started_ms, started_ms + 100, cause)

    said = [one for one in told if "recorded before this start" in one["event"]]
    assert len(said) == expected
    assert all(one["until"].startswith("2026-") and one["connection"] == CONNECTION for one in said)
