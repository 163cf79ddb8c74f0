"""The last hour of each symbol, minute by minute, in virtual time."""

import os
from pathlib import Path

import pytest

from wsadapter.config.model import Config, ServiceConfig
from wsadapter.roles.monitor.last_hour import MINUTES, LastHour
from wsadapter.roles.monitor.snapshot import Reading, Snapshot
from wsadapter.roles.orders import WatchedStream
from wsadapter.times import SECOND

LIVE, STALE, REQUESTED = 2, 3, 0
NOBODY = 2**30
"""No process has such an id."""


@pytest.fixture
def hour(tmp_path: Path) -> "Told":
    return Told(tmp_path)


class Told:
    """Looks at connections of one venue."""

    def __init__(self, directory: Path) -> None:
        self._config = Config(ServiceConfig("i", str(directory)))
        self.hour = LastHour()

    def look(self, second: float, *connections: Reading) -> None:
        at = int(second * SECOND)
        supervisor = Reading("supervisor", "supervisor", {})
        self.hour.observe(Snapshot(self._config, 1_000 * 60 * SECOND + at, at, 0, supervisor, connections, ()))

    def __getitem__(self, symbol: str) -> str:
        (digits,) = [digits for _, name, digits in self.hour.told()["symbols"] if name == symbol]
        assert len(digits) == MINUTES
        return str(digits).lstrip("0")


def connection(name: str = "binance-0", up: int = 1, gaps: int = 0, pid: int = 0, **states: int) -> Reading:
    """``states``: of each symbol's trades; of a symbol in capitals its tickers."""
    cells = {
        "state": 2,
        "pid": pid or os.getpid(),
        "connection_up": up,
        'gaps_total{cause="sequence"}': gaps,
        **{f'stream_state{{stream="{symbol}"}}': state for symbol, state in states.items()},
    }
    about = {(s, "binance"): WatchedStream(s, "trade", s.upper(), "binance") for s in states}
    return Reading("ingest", name, cells, exchange="binance", streams=about)


def test_a_minute_is_recorded_in_part_not_or_not_seen(hour: Told) -> None:
    hour.look(0, connection(a=LIVE))
    hour.look(30, connection(a=LIVE))  # minute 0: recorded
    hour.look(60, connection(a=LIVE))
    hour.look(90, connection(a=LIVE, up=0))  # minute 1: in part
    hour.look(120, connection(a=LIVE, up=0))  # minute 2: not at all
    hour.look(240, connection(a=LIVE))  # minute 3: nobody looked
    assert hour["A"] == "13201"


@pytest.mark.parametrize("bad", [connection(a=STALE), connection(a=REQUESTED), connection(a=LIVE, pid=NOBODY)])
def test_what_is_not_recorded(hour: Told, bad: Reading) -> None:
    hour.look(0, bad)
    assert hour["A"] == "2"


def test_a_gap_between_two_looks_is_seen_and_one_of_before_the_first_is_not_blamed(hour: Told) -> None:
    hour.look(0, connection(a=LIVE, gaps=7))
    hour.look(60, connection(a=LIVE, gaps=8))
    hour.look(120, connection(a=LIVE, gaps=8))
    assert hour["A"] == "151"


def test_the_worst_subscription_of_a_symbol_and_the_best_of_redundant_connections(hour: Told) -> None:
    hour.look(0, connection(a=LIVE, A=STALE, b=LIVE))
    assert (hour["A"], hour["B"]) == ("2", "1")
    hour.look(60, connection(a=LIVE, A=STALE, b=LIVE), connection("binance-0b", a=LIVE, A=LIVE, b=LIVE))
    assert hour["A"] == "21"
    hour.look(120, connection(a=LIVE, up=0), connection("binance-0b", a=LIVE))
    assert hour["A"] == "211"


def test_an_hour_is_kept_and_what_is_not_watched_any_more_forgotten(hour: Told) -> None:
    for minute in range(150):
        hour.look(60 * minute, connection(a=LIVE, b=LIVE) if minute < 100 else connection(a=LIVE, c=LIVE))
    assert hour["A"] == "1" * MINUTES
    assert hour["B"] == "1" * 10 + "0" * 50
    for minute in range(150, 170):
        hour.look(60 * minute, connection(a=LIVE))
    assert [name for _, name, _ in hour.hour.told()["symbols"]] == ["A", "C"]
    hour.look(60 * 10_000, connection(a=LIVE))
    assert hour["A"] == "1"


def test_a_clock_that_is_set_back(hour: Told) -> None:
    hour.look(119, connection(a=LIVE))
    hour.look(121, connection(a=LIVE))
    hour.look(119, connection(a=LIVE, up=0))  # by a moment: the minute goes on
    assert hour["A"] == "13"
    hour.look(-7_200, connection(a=LIVE))
    assert hour["A"] == "1"
