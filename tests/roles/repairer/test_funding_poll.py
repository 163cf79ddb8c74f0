"""Settled funding is recorded in normal running: asked for after each full hour, each rate once, none forgotten."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import cast

import msgspec
import pytest
from msgspec import structs
from roles.repairer.driven import Driven

from wsadapter.events import FundingRate
from wsadapter.exchanges import REGISTRY, load_rest
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.bitget_rest import BitgetRest
from wsadapter.exchanges.bybit_rest import BybitInverseRest, BybitLinearRest
from wsadapter.exchanges.hyperliquid_rest import HyperliquidRest
from wsadapter.exchanges.kraken_futures_rest import KrakenFuturesRest
from wsadapter.exchanges.rest_api import Hole, Request
from wsadapter.files import StateDirectory
from wsadapter.rest.budget import Budget, Outcome
from wsadapter.rest.host import RestHost, Result
from wsadapter.roles.repairer.host_queue import HostQueue
from wsadapter.roles.repairer.open_interest import OpenInterestPoll
from wsadapter.roles.repairer.published import Published
from wsadapter.roles.repairer.settled_funding import (
    GRACE_SECONDS,
    HOUR,
    LONG_HOURS,
    RETRY_SECONDS,
    STREAM,
    FundingFile,
    FundingPoll,
)

S = 1_000_000_000
HOUR_NS = round(HOUR) * S
NOON = 500_004 * HOUR_NS
"""A full hour of the venue, at second 0 of ours."""


class Venue:
    """Its clock goes with ours, ``ahead`` seconds before it; every eighth hour a rate is settled, 3 ms late."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.now, self.ahead = 0.0, ahead

    def ns(self) -> int:
        return NOON + round((self.now + self.ahead) * S)

    def settled(self, query: Iterable[tuple[str, str]]) -> bytes:
        asked = dict(query)
        begin, end = int(asked["startTime"]), int(asked["endTime"])
        times = [hour * HOUR_NS // 1_000_000 + 3 for hour in range(499_000, 501_000) if hour % 8 == 0]
        return msgspec.json.encode(
            [
                {"symbol": asked["symbol"], "fundingTime": at, "fundingRate": f"0.000{at % 97:02}", "markPrice": "7"}
                for at in times
                if begin <= at <= end and at * 1_000_000 <= self.ns()
            ]
        )


class Bench:
    def __init__(self, directory: Path, *symbols: str, ahead: float = 0.0) -> None:
        self.venue, self.state = Venue(ahead), StateDirectory(directory)
        rest = BinanceFuturesRest()
        file = self.file = FundingFile(self.state)
        self.published = Published()
        self.poll = FundingPoll("binance", symbols, rest, file, self.venue.ns, self.venue.now, self.published)
        self.job = Driven(self.poll)

    def run(self, seconds: float) -> list[float]:
        """When it asked, until then."""
        asked = []
        while self.job.not_before <= seconds:
            self.venue.now = max(self.venue.now, self.job.not_before)
            request = self.job.at(self.venue.now)
            assert request is not None
            asked.append(self.venue.now)
            self.job.answer(self.venue.settled(request.query), self.venue.ns())
        self.venue.now = seconds
        return asked

    def hours(self, symbol: str = "BTCUSDT") -> list[int]:
        """When what it gave was settled, from noon on."""
        rates = [event for event in self.job.events if isinstance(event, FundingRate) and event.symbol == symbol]
        assert all(rate.settled and rate.funding_rate.startswith("0.000") for rate in rates)
        return [((rate.transaction_time_ns or 0) - NOON) // HOUR_NS for rate in rates]


def test_a_new_symbol_has_the_last_day_and_then_each_rate_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "BTCUSDT")
    asked = bench.run(24 * HOUR)

    assert bench.hours() == [-20, -12, -4, 4, 12, 20]
    assert len(asked) == 24, "now and after each full hour"
    assert {at % HOUR for at in asked[1:]} == {GRACE_SECONDS}
    assert bench.poll.errors == 0


def test_the_hours_are_the_venues(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "BTCUSDT", ahead=47.0)

    assert [at % HOUR for at in bench.run(3 * HOUR)[1:]] == pytest.approx([GRACE_SECONDS - 47] * 2)


def test_who_follows_goes_on_where_the_one_before_was(tmp_path: Path) -> None:
    """However long nobody was there."""
    first = Bench(tmp_path, "BTCUSDT")
    first.run(HOUR)
    first.file.save()
    first.state.flush()
    second = Bench(tmp_path, "BTCUSDT")
    second.venue.now = 80 * HOUR
    second.run(80 * HOUR)

    assert [*first.hours(), *second.hours()] == [*range(-20, 80, 8)]


def test_what_is_not_in_kafka_yet_is_asked_for_again_by_who_follows(tmp_path: Path) -> None:
    first = Bench(tmp_path, "BTCUSDT")
    first.run(HOUR)
    first.state.flush()  # and not saved
    second = Bench(tmp_path, "BTCUSDT")
    second.run(HOUR)

    assert second.hours() == first.hours() != []


def test_every_symbol_has_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "BTCUSDT", "ETHUSDT")
    bench.run(8 * HOUR)

    assert bench.hours("BTCUSDT") == bench.hours("ETHUSDT") == [-20, -12, -4, 4]


def test_what_is_not_answered_is_asked_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "BTCUSDT")
    assert bench.job.at(0.0) is not None
    bench.job.answer(b"<html>", bench.venue.ns())
    assert (bench.poll.errors, bench.job.not_before) == (1, RETRY_SECONDS)
    assert bench.job.at(RETRY_SECONDS) is not None
    bench.job.refuse()
    assert bench.poll.errors == 2
    bench.run(2 * HOUR)

    assert bench.hours() == [-20, -12, -4]


def test_a_whole_history_is_asked_for_less_often(tmp_path: Path) -> None:
    venue, file = Venue(), FundingFile(StateDirectory(tmp_path))
    poll = FundingPoll("kraken_futures", ["PF_XBTUSD"], KrakenFuturesRest(), file, venue.ns, 0.0)
    job = Driven(poll)
    assert job.at(0.0) is not None
    times = [f"2026-{1 + day // 28:02}-{1 + day % 28:02}T{hour:02}:00:00Z" for day in range(100) for hour in range(24)]
    rates = [{"timestamp": at, "fundingRate": 1.5, "relativeFundingRate": 1e-05} for at in times]
    job.answer(msgspec.json.encode({"result": "success", "serverTime": "2026-11-27T00:00:00Z", "rates": rates}), NOON)

    assert poll.errors == 0
    assert job.not_before == LONG_HOURS * HOUR + GRACE_SECONDS


def test_every_venue_that_has_a_history_is_asked() -> None:
    rests = {name: rest for name in REGISTRY if (rest := load_rest(name)) is not None}
    has = {name for name, rest in rests.items() if rest.repair(Hole(STREAM, "X", 0, 0)) is not None}
    assert has == {
        "binance", "binance_coinm", "bybit", "bybit_inverse", "okx", "kraken_futures", "gate", "bitget", "hyperliquid",
    }  # fmt: skip


def test_pages_that_begin_with_the_newest_lose_nothing(tmp_path: Path) -> None:
    venue, file = Venue(), FundingFile(StateDirectory(tmp_path))
    hours = 150
    file.put("bitget", "BTCUSDT", NOON - hours * HOUR_NS)
    job = Driven(FundingPoll("bitget", ["BTCUSDT"], BitgetRest(), file, venue.ns, 0.0))
    while (request := job.at(0.0)) is not None:
        page = int(dict(request.query)["pageNo"])
        times = [NOON // 1_000_000 - hour * 3_600_000 for hour in range(100 * (page - 1), 100 * page)]
        rows = [{"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingTime": str(at)} for at in times]
        job.answer(
            msgspec.json.encode({"code": "00000", "msg": "", "requestTime": NOON // 1_000_000, "data": rows}), NOON
        )

    rates = [event for event in job.events if isinstance(event, FundingRate)]
    assert sorted((NOON - (rate.transaction_time_ns or 0)) // HOUR_NS for rate in rates) == [*range(hours)]
    assert file.known_ns("bitget", "BTCUSDT") == NOON


def test_what_cannot_be_read_is_asked_for_again_with_all_around_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "BTCUSDT")
    request = bench.job.at(0.0)
    assert request is not None
    rows = msgspec.json.decode(bench.venue.settled(request.query))
    bench.job.answer(msgspec.json.encode([rows[0], rows[1] | {"fundingRate": "?"}, rows[2]]), bench.venue.ns())
    assert bench.poll.errors == 1
    bench.run(HOUR + GRACE_SECONDS)

    assert bench.hours() == [-20, -4, -12], "all of it again, and each published once"


def test_what_a_repair_has_published_is_not_published_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "BTCUSDT")
    bench.run(HOUR)
    (*_, last) = [event for event in bench.job.events if isinstance(event, FundingRate)]
    settled_ns = (last.transaction_time_ns or 0) + 8 * HOUR_NS
    settled = structs.replace(last, transaction_time_ns=settled_ns)
    bench.published.note("binance", (STREAM, "BTCUSDT", ""), [settled])
    bench.run(13 * HOUR)

    assert bench.hours() == [-20, -12, -4, 12], "not that of the fourth hour"


def test_venues_of_one_host_do_not_wait_for_one_another(tmp_path: Path) -> None:
    """And one that has nothing to ask is no job that waits: the queue is empty."""
    asked: list[str] = []

    class Host:
        def wait(self, request: Request, reserve: float = 0.0) -> float:
            return 0.0

        def send(self, request: Request) -> "Future[Result]":
            asked.append(dict(request.query)["symbol"])
            future: Future[Result] = Future()
            future.set_result(Result(Outcome.OK, b'{"retCode":0,"result":{"list":[]},"time":1}', NOON))
            return future

    queue, file, venue = HostQueue(cast("RestHost", Host())), FundingFile(StateDirectory(tmp_path)), Venue()
    for exchange, rest, symbol in (
        ("bybit", BybitLinearRest(), "BTCUSDT"),
        ("bybit_inverse", BybitInverseRest(), "BTCUSD"),
    ):
        queue.add(FundingPoll(exchange, [symbol], rest, file, venue.ns, 0.0))
    for _ in range(20):
        queue.step(1.0)

    assert queue.is_polled, "it was not missed: none of it counts as repaired"
    assert sorted(asked) == ["BTCUSD", "BTCUSDT"]
    assert len(queue) == 0


class Settled:
    """A venue at its host's pace: it settles each hour, and answers ``gone`` for one that it does not know."""

    def __init__(self, gone: tuple[int, bytes]) -> None:
        self.rest, self.now, self.gone = HyperliquidRest(), 0.0, gone
        self.asked: Counter[str] = Counter()
        self.budget = Budget(self.rest.weights, {}, frozenset(), lambda: 1.0)

    def ns(self) -> int:
        return NOON + round(self.now * S)

    def wait(self, request: Request, reserve: float = 0.0) -> float:
        return self.budget.wait(request, self.now, reserve)

    def send(self, request: Request) -> "Future[Result]":
        asked = msgspec.json.decode(request.body)
        self.asked[asked["coin"]] += 1
        self.budget.sent(request, self.now)
        hours = range(asked["startTime"] // 3_600_000 + 1, asked["endTime"] // 3_600_000 + 1)
        rows = [{"coin": asked["coin"], "fundingRate": "0.1", "time": hour * 3_600_000 + 5} for hour in hours]
        status, body = self.gone if asked["coin"] == "GONE" else (200, msgspec.json.encode(rows))
        outcome = self.budget.answered(status, None, None, self.now, self.rest.refusal(status, body))
        future: Future[Result] = Future()
        future.set_result(Result(outcome, body, self.ns(), "why"))
        return future


@pytest.mark.parametrize("gone", [(500, b"null"), (502, b"<html>"), (404, b"<html>")])
def test_one_that_gets_no_answer_holds_up_no_other(tmp_path: Path, gone: tuple[int, bytes]) -> None:
    host = Settled(gone)
    queue = HostQueue(cast("RestHost", host))
    poll = FundingPoll("hyperliquid", ["BTC", "ETH", "GONE"], host.rest, FundingFile(StateDirectory(tmp_path)),
                       host.ns, 0.0)  # fmt: skip
    queue.add(poll)
    while host.now < 6 * HOUR:
        queue.step(host.now)
        wait = queue.wait(host.now)
        host.now += 0.01 if wait in (0.0, float("inf")) else wait

    assert (host.asked["BTC"], host.asked["ETH"]) == (6, 6)
    assert poll.errors >= 6
    if gone[0] == 500:
        assert host.asked["GONE"] == 6, "what is final is asked once an hour"


def test_open_interest_of_two_venues_of_one_host_is_asked_for() -> None:
    polls = [OpenInterestPoll(name, {"X": 0}, BinanceFuturesRest(), 0.0) for name in ("binance", "binance_coinm")]
    assert len({poll.lane for poll in polls}) == 2
