"""What the venue answers cannot be read: it costs itself, is said, and nothing waits behind it."""

import json
from concurrent.futures import Future
from typing import Any, cast

import pytest
from roles.repairer.fake_log import CONNECTION, EPOCH, MS, FakeLog

from wsadapter.config.model import KafkaConfig
from wsadapter.events import Event, Gap, Source, Trade
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.rest_api import Request, Series
from wsadapter.rest.budget import Outcome
from wsadapter.rest.host import RestHost, Result
from wsadapter.roles.repairer.gap_repair import GapRepair
from wsadapter.roles.repairer.host_queue import BAD_ANSWERS, MOST_TRIES, HostQueue
from wsadapter.roles.repairer.published import KEPT_SECONDS, Published

START = 1_795_000_000_000
FIRST, LAST = 1_000, 4_000


class Host:
    """A venue with trades, one a second; ``broken`` cannot be read, from ``cursed`` on no answer can."""

    def __init__(self) -> None:
        self.broken: set[int] = set()
        self.cursed: range = range(0)
        self.page: bytes | None = None
        self.asked: list[int] = []
        self.symbols: list[str] = []
        self.silent = ""
        """Of this symbol nothing is answered."""

    def wait(self, request: Request, reserve: float = 0.0) -> float:
        return 0.0

    def send(self, request: Request) -> "Future[Result]":
        query = dict(request.query)
        self.symbols.append(query["symbol"])
        if query["symbol"] == self.silent:
            absent: Future[Result] = Future()
            absent.set_result(Result(Outcome.ABSENT, reason="HTTP 502: not an answer of the API"))
            return absent
        first = int(query["fromId"])
        self.asked.append(first)
        future: Future[Result] = Future()
        if self.page is not None and first in self.cursed:
            future.set_result(Result(Outcome.UNANSWERED, reason="HTTP 404: not an answer of the API"))
            return future
        rows: list[dict[str, Any]] = [
            {"a": n, "p": "1e5" if n in self.broken else "1", "q": "1", "f": n, "l": n, "T": venue_ms(n), "m": True}
            for n in range(first, min(first + int(query["limit"]), LAST))
        ]
        body = b"<html>" if first in self.cursed else json.dumps(rows).encode()
        future.set_result(Result(Outcome.OK, body, (START + 10**7) * MS))
        return future


def venue_ms(number: int) -> int:
    return START + 1_000 * (number - FIRST)


class Site:
    """A queue, and gaps of one connection: they have one lane. What is published is in the log at once."""

    def __init__(self, log: FakeLog) -> None:
        self.host, self.log = Host(), log
        self.queue = HostQueue(cast(RestHost, self.host))
        self.series = [Series("trade", "BTCUSDT"), Series("ticker", "BTCUSDT")]
        self.events: list[Event] = []
        self.now = 0.0
        self.published_s = 0.0
        """What time it is where what was published is remembered."""
        self.published = Published(lambda: self.published_s)
        self.is_seen = True
        """Whether the log shows what was published: of a gap of long ago it is beyond where it is looked at."""
        self._next = FIRST

    def record(self, count: int) -> None:
        for number in range(self._next, self._next + count):
            self.log.trade(number, venue_ms(number), venue_ms(number))
        self._next += count

    def gap(self, missing: int) -> None:
        at = self.log.place()
        started, ended = venue_ms(self._next), venue_ms(self._next + missing)
        gap = Gap(
            "binance", "", None, None, ended * MS, Source.WEBSOCKET, CONNECTION, None, f"{EPOCH}:{at}", 2, "", "",
            "disconnect", started * MS, ended * MS, None, None, None, "open",
        )  # fmt: skip
        job = GapRepair(
            gap, BinanceFuturesRest(), self.series, KafkaConfig(), self.now, (EPOCH, at), published=self.published
        )
        self.queue.add(job)
        self._next += missing

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            for event in self.queue.step(self.now):
                self.events.append(event)
                if isinstance(event, Trade) and self.is_seen:
                    number = event.trade_number or 0
                    self.log.trade(number, venue_ms(number), venue_ms(number), "repair", rest=True)
            self.now += 0.02

    def pass_days(self) -> None:
        """Of which something else is published in each half."""
        for _ in range(4):
            self.published_s += KEPT_SECONDS
            self.published.note("binance", ("trade", "ETHUSDT", ""), ())

    @property
    def numbers(self) -> list[int]:
        return [event.trade_number or 0 for event in self.events if isinstance(event, Trade)]

    def states(self, stream: str) -> list[tuple[str, int | None, int | None, int | None]]:
        return [
            (gap.repair_state, gap.first_missing, gap.last_missing, gap.missing_count)
            for gap in self.events
            if isinstance(gap, Gap) and gap.stream == stream
        ]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(FakeLog(monkeypatch))


def test_a_bad_row_costs_itself_and_its_id_is_said(site: Site) -> None:
    site.host.broken = {1_015, 1_016, 1_019, 1_051}
    for missing in (10, 5):
        site.record(10)
        site.gap(missing)
        site.record(20)
    site.run(60.0)
    assert sorted(site.numbers) == [*(n for n in range(1_010, 1_020) if n not in site.host.broken), 1_050, 1_052,
                                    1_053, 1_054]  # fmt: skip
    assert site.states("trade") == [("partial", 1_015, 1_019, 3), ("partial", 1_051, 1_051, 1)]
    assert site.queue.bad_rows == 4
    assert site.queue.bad_answers == 0
    assert len(site.queue.finished) == 2


def test_an_answer_that_cannot_be_read_ends_after_some_tries_and_holds_up_nothing(site: Site) -> None:
    site.host.cursed = range(1_010, 1_020)
    for _ in range(3):
        site.record(10)
        site.gap(10)
        site.record(10)
    site.run(30.0)
    assert [job.gap.started_ns for job in site.queue.finished if isinstance(job, GapRepair)] == [
        venue_ms(1_040) * MS, venue_ms(1_070) * MS
    ]  # fmt: skip
    assert sorted(site.numbers) == [*range(1_040, 1_050), *range(1_070, 1_080)]
    site.run(300.0)
    first = site.queue.finished[2]
    assert isinstance(first, GapRepair)
    filled = dict(zip(["trade", "ticker"], (filled for _, filled in first.outcomes), strict=True))["trade"]
    assert (filled.state, filled.missing) == ("unrepairable", ((1_010, 1_019),))
    assert "JSON" in filled.reason
    assert site.host.asked.count(1_010) == BAD_ANSWERS == site.queue.bad_answers


def test_a_page_of_another_hand_leaves_the_gap_open(site: Site) -> None:
    site.host.cursed, site.host.page = range(1_010, 1_020), b"<html>"
    for _ in range(2):
        site.record(10)
        site.gap(10)
        site.record(10)
    site.run(1_000.0)
    assert sorted(site.numbers) == [*range(1_040, 1_050)]
    assert len(site.queue.finished) == 1
    assert len(site.host.asked) > BAD_ANSWERS
    site.host.cursed = range(0)
    site.run(100.0)
    assert sorted(site.numbers) == [*range(1_010, 1_020), *range(1_040, 1_050)]
    assert {job.counts["repaired"] for job in site.queue.finished if isinstance(job, GapRepair)} == {1}


def test_one_symbol_without_an_answer_keeps_back_no_other(site: Site) -> None:
    site.series = [Series("trade", "ETHUSDT"), Series("trade", "BTCUSDT")]
    site.host.silent = "ETHUSDT"
    site.record(10)
    site.log.trade(1_009, venue_ms(1_009), venue_ms(1_009), symbol="ETHUSDT")
    site.gap(10)
    site.record(10)
    site.log.trade(1_020, venue_ms(1_020), venue_ms(1_020), symbol="ETHUSDT")
    site.run(600.0)
    assert site.numbers == [*range(1_010, 1_020)]
    assert site.host.symbols.count("BTCUSDT") == 1, "what is done is not asked again"
    assert site.host.symbols.count("ETHUSDT") > 2 * MOST_TRIES
    assert site.queue.finished == []
    site.host.silent = ""
    site.run(100.0)
    (job,) = site.queue.finished
    assert isinstance(job, GapRepair)
    assert job.counts == {"repaired": 2}


def test_a_gap_that_is_begun_anew_goes_on_where_it_was(site: Site) -> None:
    site.is_seen = False
    site.host.cursed, site.host.page = range(2_010, 2_011), b"<html>"
    site.record(10)
    site.gap(1_500)
    site.record(10)
    site.run(100.0)
    assert site.host.asked.count(1_010) == 1
    assert site.host.asked.count(2_010) > 3
    site.host.cursed = range(0)
    site.run(100.0)
    assert site.numbers == [*range(1_010, 2_510)]
    assert site.states("trade") == [("repaired", None, None, None)]


def test_a_gap_that_is_begun_anew_for_days_publishes_nothing_twice_and_is_forgotten_then(site: Site) -> None:
    site.is_seen = False
    site.host.cursed, site.host.page = range(2_010, 2_011), b"<html>"
    site.record(10)
    site.gap(1_500)
    site.record(10)
    site.run(100.0)
    assert site.numbers == [*range(1_010, 2_010)]
    site.pass_days()
    site.host.cursed = range(0)
    site.run(100.0)
    assert site.numbers == [*range(1_010, 2_510)]
    assert site.states("trade") == [("repaired", None, None, None)]
    assert site.published.of("binance", "trade", "BTCUSDT", "") != []
    site.pass_days()
    assert site.published.of("binance", "trade", "BTCUSDT", "") == []
