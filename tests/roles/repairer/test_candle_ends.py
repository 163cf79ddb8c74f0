"""Candles that nothing closes, in virtual time: which are asked for and when, what counts as their end, what a restart
knows."""

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import pytest

from wsadapter.events import Kline, Source
from wsadapter.events.gaps import RepairState
from wsadapter.exchanges.rest_api import BadAnswer, Fetch, Filled, Filling, Hole, Request, RestExchange, Rows
from wsadapter.files import StateDirectory
from wsadapter.pb import market_pb2
from wsadapter.rest.budget import Outcome
from wsadapter.rest.host import RestHost, Result
from wsadapter.roles.repairer import open_candles
from wsadapter.roles.repairer.candle_ends import GRACE_NS, MOST_OF_SERIES, CandleEnd, CandleEnds, OpenCandle
from wsadapter.roles.repairer.host_queue import BAD_ANSWERS, MOST_OTHERS, HostQueue
from wsadapter.roles.repairer.open_candles import OpenCandles
from wsadapter.roles.repairer.published import Published
from wsadapter.shm.stats_page import StatsPage

S = 1_000_000_000
MINUTE = 60 * S
MS = 1_000_000
WEBSOCKET = market_pb2.SOURCE_WEBSOCKET
SERIES = ("deribit", "A", "1m")


def said(minute: int, closed: bool = False, symbol: str = "A", interval: str = "1m") -> Any:
    """As it stands in the log."""
    return market_pb2.Kline(
        exchange="deribit", source=WEBSOCKET, symbol=symbol, interval=interval, open_time_ns=minute * MINUTE,
        close_time_ns=(minute + 1) * MINUTE - MS, closed=closed,
    )  # fmt: skip


def opened(minute: int) -> OpenCandle:
    return OpenCandle(*SERIES, minute * MINUTE, (minute + 1) * MINUTE - MS)


def row(minute: int) -> Kline:
    return Kline(
        "deribit", "A", None, None, 1, Source.REST, "repair", None, "1m", minute * MINUTE, (minute + 1) * MINUTE - MS,
        "1", "1", "1", "1", "5", None, None, None, None, True, None, None,
    )  # fmt: skip


@pytest.fixture
def ends() -> CandleEnds:
    return CandleEnds([SERIES])


def test_a_candle_is_due_a_grace_after_its_end_and_once(ends: CandleEnds) -> None:
    ends.add(said(1))
    end = 2 * MINUTE
    assert ends.due("deribit", end + GRACE_NS - S) == []
    assert ends.due("gate", end + GRACE_NS) == []
    assert ends.due("deribit", end + GRACE_NS) == [opened(1)]
    assert ends.due("deribit", end + MINUTE) == []
    ends.later(opened(1))
    assert ends.due("deribit", end + MINUTE) == [opened(1)]


def test_what_its_successor_closed_is_never_asked_for(ends: CandleEnds) -> None:
    for minute in range(1, 50):
        ends.add(said(minute))
        ends.add(said(minute, closed=True))
        ends.add(said(minute))  # a copy of another connection, later
    assert ends.due("deribit", 1 << 62) == []
    ends.add(said(7))  # the newest ones again, after a reconnect
    assert ends.due("deribit", 1 << 62) == []


def test_a_candle_that_a_reconnect_left_open_is_asked_for_though_the_next_one_has_come(ends: CandleEnds) -> None:
    ends.add(said(1))
    ends.add(said(2))
    ends.add(said(2, closed=True))
    ends.add(said(3))
    assert ends.due("deribit", 3 * MINUTE) == [opened(1)]


def test_series_of_others_are_none_of_ours(ends: CandleEnds) -> None:
    ends.add(said(1, symbol="B"))
    ends.add(said(1, interval="5m"))
    ends.put(OpenCandle("deribit", "gone", "1m", 0, 1))
    assert ends.due("deribit", 1 << 62) == []
    assert ends.all() == []


def test_what_is_kept_of_a_series_is_bounded(ends: CandleEnds) -> None:
    for minute in range(3 * MOST_OF_SERIES):
        ends.add(said(minute))
    assert [candle.open_time_ns // MINUTE for candle in ends.all()] == list(
        range(2 * MOST_OF_SERIES, 3 * MOST_OF_SERIES)
    )
    assert ends.given_up == 2 * MOST_OF_SERIES


class Rest:
    """A venue with a row for each minute in ``rows``, whose clock stands still."""

    def __init__(self, *minutes: int) -> None:
        self.minutes = minutes
        self.holes: list[Hole] = []
        self.broken = 0

    def repair(self, hole: Hole) -> Filling:
        self.holes.append(hole)
        rows = yield Fetch(Request("candles"), self.parse)
        events = [row(minute) for minute in rows.events]
        yield events
        return Filled(RepairState.REPAIRED if events else RepairState.UNREPAIRABLE, len(events))

    def parse(self, body: bytes, received_ns: int) -> Rows:
        if self.broken:
            self.broken -= 1
            raise BadAnswer("not closed yet")
        return Rows([*self.minutes], len(self.minutes), received_ns)


class Host:
    """Answers at once."""

    def __init__(self) -> None:
        self.clock_ns = 0
        self.asked = 0

    def venue_ns(self) -> int:
        return self.clock_ns

    def wait(self, request: Request, reserve: float = 0.0) -> float:
        return 0.0

    def send(self, request: Request) -> "Future[Result]":
        self.asked += 1
        future: Future[Result] = Future()
        future.set_result(Result(Outcome.OK, b"", self.clock_ns))
        return future


class Log:
    """How far it is read, and how far it may be forgotten."""

    def __init__(self) -> None:
        self.read = {("kline", 0): 0}
        self.kept: Mapping[tuple[str, int], int] = {}

    def candles_read(self) -> Mapping[tuple[str, int], int]:
        return self.read

    def candles_kept(self, read: Mapping[tuple[str, int], int]) -> None:
        self.kept = read


class Site:
    """The open candles of one venue over a queue, and their time. ``published``: what came of them."""

    def __init__(self, state: StateDirectory, rest: Rest) -> None:
        self.host, self.rest, self.log = Host(), rest, Log()
        self.queue = HostQueue(cast(RestHost, self.host))
        self.page: dict[str, int] = dict.fromkeys(
            ("candles_confirmed_total", "candles_unconfirmed_total", "candles_replaced_total"), 0
        )
        hosts = {SERIES: (self.queue, cast(RestExchange, rest))}
        self.by_repairs = Published()
        self.open = OpenCandles(cast(StatsPage, self.page), state, [SERIES], hosts, self.by_repairs)
        self.published: list[Kline] = []
        self.now = 0.0

    def at(self, clock_ns: int) -> list[Kline]:
        """What is published until the venue's clock says this."""
        self.published = []
        while self.host.clock_ns < clock_ns:
            self.host.clock_ns += S
            self.now += 1.0
            self.open.step(self.now)
            for _ in range(4):
                self.published += cast(list[Kline], self.queue.step(self.now))
            for job in self.queue.finished:
                assert isinstance(job, CandleEnd)
                self.open.finished(job)
            self.queue.finished.clear()
        return self.published

    @property
    def counts(self) -> tuple[int, int]:
        self.now += 1.0
        self.open.step(self.now)
        return self.page["candles_confirmed_total"], self.page["candles_unconfirmed_total"]


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path)


def test_of_a_quiet_symbol_the_row_of_the_venue_is_published_as_the_end(state: StateDirectory) -> None:
    site = Site(state, Rest(1))
    site.open.add(said(1))
    assert site.at(2 * MINUTE + GRACE_NS - 2 * S) == []
    assert site.host.asked == 0
    (candle,) = site.at(2 * MINUTE + 2 * GRACE_NS)
    assert (candle.open_time_ns, candle.closed, candle.source) == (MINUTE, True, Source.REST)
    (hole,) = site.rest.holes
    assert (hole.first, hole.last, hole.interval) == (MINUTE, MINUTE, "1m")
    assert site.at(9 * MINUTE) == []
    assert (site.host.asked, site.counts) == (1, (1, 0))


def test_the_host_of_a_series_is_asked_and_no_other_one_of_its_exchange(state: StateDirectory) -> None:
    """Live and testnet have candles of one exchange, of different symbols."""
    page = cast(StatsPage, dict.fromkeys(("candles_unconfirmed_total", "candles_replaced_total"), 0))
    series = [("deribit", symbol, "1m") for symbol in ("A", "B")]
    hosts = [Host(), Host()]
    queues = [HostQueue(cast(RestHost, host)) for host in hosts]
    rest = cast(RestExchange, Rest(1))
    made = OpenCandles(page, state, series, {one: (queue, rest) for one, queue in zip(series, queues, strict=True)},
                       Published())  # fmt: skip
    made.add(said(1, symbol="B"))
    for host in hosts:
        host.clock_ns = 2 * MINUTE + 2 * GRACE_NS
    made.step(1.0)
    for queue in queues:
        queue.step(1.0)
    assert [host.asked for host in hosts] == [0, 1]


def test_a_candle_that_a_repair_has_published_meanwhile_is_not_published_again(state: StateDirectory) -> None:
    """The log shows it only some time later."""
    site = Site(state, Rest(1))
    site.open.add(said(1))
    assert site.by_repairs.new("deribit", ("kline", "A", "1m"), [row(1)]) == [row(1)]
    assert site.at(9 * MINUTE) == []
    assert (site.host.asked, site.counts) == (1, (1, 0))

    other = Site(state, Rest(1))
    other.open.add(said(1))
    assert len(other.at(9 * MINUTE)) == 1
    assert other.by_repairs.new("deribit", ("kline", "A", "1m"), [row(1)]) == [], "a repair knows of it"


def test_what_the_stream_closes_after_all_is_counted_as_there_twice(state: StateDirectory) -> None:
    site = Site(state, Rest(1))
    site.open.add(said(1))
    site.at(3 * MINUTE)
    from_rest = said(1, closed=True)
    from_rest.source = market_pb2.SOURCE_REST  # as it comes back through the log
    site.open.add(from_rest)
    assert site.counts == (1, 0)
    assert site.page["candles_replaced_total"] == 0
    for _ in range(2):
        site.open.add(said(1, closed=True))
    site.open.add(said(2))
    site.open.add(said(2, closed=True))
    assert site.counts == (1, 0)
    assert site.page["candles_replaced_total"] == 1


def test_a_successor_before_its_turn_saves_the_request(state: StateDirectory) -> None:
    site = Site(state, Rest(1))
    site.open.add(said(1))
    site.host.clock_ns = 3 * MINUTE
    site.open.step(1.0)
    assert len(site.queue) == 1
    site.open.add(said(1, closed=True))
    assert site.at(4 * MINUTE) == []
    assert (site.host.asked, site.counts) == (0, (0, 0))


def test_a_row_that_the_venue_does_not_have_is_not_made_up(state: StateDirectory) -> None:
    site = Site(state, Rest())
    site.open.add(said(1))
    assert site.at(9 * MINUTE) == []
    assert (site.host.asked, site.counts) == (1, (0, 1))


def test_an_answer_that_is_not_there_yet_is_asked_for_again(state: StateDirectory) -> None:
    rest = Rest(1)
    rest.broken = BAD_ANSWERS - 1
    site = Site(state, rest)
    site.open.add(said(1))
    assert [candle.open_time_ns for candle in site.at(9 * MINUTE)] == [MINUTE]
    assert (site.host.asked, site.counts) == (BAD_ANSWERS, (1, 0))


def test_our_clock_may_be_ahead_of_the_venue(state: StateDirectory) -> None:
    """The first answer shows it: the row is of a candle that is still open there, and is not published."""
    site = Site(state, Rest(1))
    ends, rest = CandleEnds([SERIES]), cast(RestExchange, site.rest)
    job = CandleEnd(opened(1), ends, rest, lambda: 2 * MINUTE - 30 * S, Published())
    ends.put(opened(1))
    steps = job.run()
    next(steps)
    with pytest.raises(BadAnswer, match="clock"):
        steps.send(Rows([1], 1, 0))
    assert not job.confirmed
    assert ends.is_open(opened(1))


def test_when_the_queue_is_full_it_is_due_again(state: StateDirectory) -> None:
    site = Site(state, Rest(1))
    for _ in range(MOST_OTHERS):
        ends, rest = CandleEnds([SERIES]), cast(RestExchange, site.rest)
        site.queue.add(CandleEnd(opened(0), ends, rest, site.host.venue_ns, Published()))
    site.open.add(said(1))
    site.host.clock_ns = 3 * MINUTE
    site.open.step(1.0)
    assert site.queue.dropped == 1
    assert [candle.open_time_ns for candle in site.at(3 * MINUTE + 400 * S)] == [MINUTE]


def test_a_restart_knows_what_was_open(state: StateDirectory, tmp_path: Path) -> None:
    site = Site(state, Rest(1))
    site.open.keep(site.log, 0.0)
    site.open.add(said(1))
    site.log.read = {("kline", 0): 7}
    site.open.keep(site.log, 5.0)
    assert site.log.kept == {("kline", 0): 0}, "not written yet: a restart reads it again"
    site.open.keep(site.log, open_candles.KEEP_SECONDS)
    state.flush()
    site.open.keep(site.log, open_candles.KEEP_SECONDS + 1)
    assert site.log.kept == {("kline", 0): 7}

    follows = Site(StateDirectory(tmp_path), Rest(1))  # it finds no word of the candle in the log
    assert [candle.open_time_ns for candle in follows.at(3 * MINUTE)] == [MINUTE]
    follows.open.close(follows.log)
    assert Site(StateDirectory(tmp_path), Rest(1)).at(9 * MINUTE) == []


def test_a_full_disk_keeps_the_log(state: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    site = Site(state, Rest(1))
    monkeypatch.setattr("wsadapter.files.replace", full)
    site.open.add(said(1))
    for now in range(0, 60, 5):
        site.open.keep(site.log, float(now))
        state.flush()
    assert site.log.kept == {}
    assert state.new_failures()["state_write_failures_total"] > 0
