"""A gap of hours or days, as of a symbol that comes back: much of the log is read for it, and no other gap waits."""

import json
from concurrent.futures import Future
from typing import cast

import pytest
from roles.repairer.fake_log import CONNECTION, MS, FakeLog

from wsadapter.config.model import KafkaConfig
from wsadapter.events import Event, Gap, Source, Trade
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.rest_api import Request, Series
from wsadapter.rest.budget import Outcome
from wsadapter.rest.host import RestHost, Result
from wsadapter.roles.repairer.gap_repair import MOST_SEARCHES, GapRepair, Searches
from wsadapter.roles.repairer.host_queue import HostQueue
from wsadapter.roles.repairer.published import Published

START = 1_795_000_000_000
SECONDS = 10_000
"""Long is the gap; a trade of the symbol each ten, and of another one, which another connection brings, each one."""


class Host:
    """A venue that has all trades."""

    def wait(self, request: Request, reserve: float = 0.0) -> float:
        return 0.0

    def send(self, request: Request) -> "Future[Result]":
        query = dict(request.query)
        if "fromId" in query:
            numbers = [n for n in range(1, SECONDS // 10) if n >= int(query["fromId"])]
        else:
            first, last = int(query["startTime"]), int(query["endTime"])
            numbers = [n for n in range(1, SECONDS // 10) if first <= START + n * 10_000 <= last]
        rows = [
            {"a": n, "p": "1", "q": "1", "f": n, "l": n, "T": START + n * 10_000, "m": True}
            for n in numbers[: int(query["limit"])]
        ]
        future: Future[Result] = Future()
        future.set_result(Result(Outcome.OK, json.dumps(rows).encode(), (START + 10**9) * MS))
        return future


class Site:
    def __init__(self, log: FakeLog) -> None:
        for second in range(SECONDS + 100):
            at = START + second * 1_000
            log.trade(second + 1, at, at, symbol="ETHUSDT", connection="other-market-0")
        log.trade(SECONDS // 10, at, at)
        self.queue = HostQueue(cast(RestHost, Host()))
        self.published, self.searches = Published(), Searches()
        self.now = 0.0

    def gap(self, begin: int, end: int, connection: str = CONNECTION, symbol: str = "") -> str:
        """From one second to another; its name."""
        started, ended = START + begin * 1_000, START + end * 1_000
        name = f"{connection}:{begin}"
        gap = Gap(
            "binance", symbol, None, None, ended * MS, Source.WEBSOCKET, connection, None, name, 2,
            "trade" if symbol else "", "", "reload" if symbol else "disconnect", started * MS, ended * MS,
            None, None, None, "open",
        )  # fmt: skip
        series = [Series("trade", "BTCUSDT")]
        self.queue.add(
            GapRepair(
                gap, BinanceFuturesRest(), series, KafkaConfig(), self.now, None, self.searches, self.published
            )
        )  # fmt: skip
        return name

    def run(self) -> tuple[list[str], list[int]]:
        """The gaps in the order in which they are done, and what is published. The log does not show it yet."""
        events: list[Event] = []
        while len(self.queue):
            events += self.queue.step(self.now)
            self.now += 0.02
            assert self.now < 5_000, "it never ends"
        done = [job.gap.gap_id for job in self.queue.finished if isinstance(job, GapRepair)]
        return done, [event.trade_number or 0 for event in events if isinstance(event, Trade)]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(FakeLog(monkeypatch))


def test_a_short_gap_of_its_connection_is_repaired_meanwhile_and_each_trade_comes_once(site: Site) -> None:
    long = site.gap(0, SECONDS, symbol="BTCUSDT")
    short = site.gap(SECONDS - 100, SECONDS - 70)
    done, published = site.run()
    assert done == [short, long]
    assert sorted(published) == [*range(1, SECONDS // 10)]


def test_however_many_are_long_a_short_one_may_look_into_the_log(site: Site) -> None:
    for number in range(MOST_SEARCHES + 1):
        site.gap(number, SECONDS, f"fut-market-{number}", "BTCUSDT")
    short = site.gap(SECONDS - 100, SECONDS - 70, "fut-public-0")
    done, _ = site.run()
    assert done[0] == short
