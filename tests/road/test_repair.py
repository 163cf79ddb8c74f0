"""What was missed while the connection was away is fetched again: exactly that, once, whatever is killed meanwhile."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eventually import eventually
from oracle import query
from road_site import Site

from wsadapter.embedded.venue import Options, Venue
from wsadapter.embedded.venue_thread import VenueThread

pytestmark = pytest.mark.integration
FEED = """
[[feed]]
name = "fut"
exchange = "binance"
symbols = ["BTCUSDT", "ETHUSDT"]
streams = {streams}
intervals = ["1m", "3m"]
ws_url = "{ws}"
rest_url = "{rest}"
"""
REPAIRABLE = '["trade", "kline"]'


@pytest.fixture
def venue() -> Iterator[VenueThread]:
    with VenueThread(lambda: Venue(Options(rate=200, symbols=("BTCUSDT", "ETHUSDT")))) as made:
        yield made


Make = Callable[[str], Site]


@pytest.fixture
def make(venue: VenueThread, kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Make]:
    sites: list[Site] = []

    def build(streams: str) -> Site:
        feed = FEED.format(streams=streams, ws=venue.venue.url, rest=venue.venue.rest_url)
        sites.append(Site(tmp_path, kafka, clickhouse, feed, database=f"rep{os.getpid()}_{tmp_path.name[-3:-1]}x"))
        return sites[-1]

    yield build
    for site in sites:
        site.close()


class Tables:
    def __init__(self, site: Site) -> None:
        self._site = site

    def ask(self, sql: str) -> list[list[str]]:
        return query(self._site.clickhouse, sql.replace("DB", self._site.database))

    def number(self, sql: str) -> int:
        return int(self.ask(sql)[0][0])

    def states(self) -> dict[str, str]:
        """gap_id -> state, of those with an end."""
        rows = self.ask("SELECT gap_id, repair_state FROM DB.gap FINAL WHERE ended IS NOT NULL")
        return {row[0]: row[1] for row in rows}

    def holes(self) -> list[list[str]]:
        """Symbols whose trade numbers have a break, and how many are missing."""
        return self.ask(
            "SELECT symbol, max(trade_number) - min(trade_number) + 1 - uniqExact(trade_number) AS missing "
            "FROM DB.trade FINAL GROUP BY symbol HAVING missing > 0"
        )

    def doubled(self) -> int:
        """Rows that FINAL takes away."""
        return sum(self.number(f"SELECT (SELECT count() FROM DB.{t}) - (SELECT count() FROM DB.{t} FINAL)")
                   for t in ("trade", "kline"))  # fmt: skip


def cut(venue: VenueThread, site: Site, seconds_of_market: int = 3) -> None:
    """The venue hangs up and takes nobody for a while; a minute of its market ends meanwhile."""

    def away(made: Venue) -> int:
        made.refuse(503, times=1000)
        made.clock.end_minute_in(seconds_of_market)
        return made.cut("reset")

    now = venue.call(lambda made: made.clock.now_ms())
    venue.call(away)
    eventually(lambda: venue.call(lambda made: made.clock.now_ms()) > (now // 60_000 + 1) * 60_000 + 1_500, 30, "away")
    venue.call(lambda made: made.accept())
    site.ready()


def all_worked_off(tables: Tables) -> bool:
    states = tables.states()
    return bool(states) and "open" not in states.values()


def test_a_cut_is_repaired(make: Make, venue: VenueThread) -> None:
    site = make(REPAIRABLE).start().ready()
    tables = Tables(site)
    eventually(lambda: tables.number("SELECT count() FROM DB.trade") > 100, 60, "trades")
    cut(venue, site)
    eventually(lambda: all_worked_off(tables) and len(tables.states()) > 1, 90, f"{tables.states()} {site.said()}")
    assert set(tables.states().values()) == {"repaired"}
    eventually(lambda: not tables.holes(), 60, f"{tables.holes()}")
    fetched = tables.number("SELECT count() FROM DB.trade FINAL WHERE source = 'REST'")
    assert fetched > 50
    # the candle that closed meanwhile is there, from REST, for both symbols
    candles = "SELECT count() FROM DB.kline FINAL WHERE source = 'REST' AND interval = '1m'"
    eventually(lambda: tables.number(candles) == 2, 30, "candles")
    assert tables.doubled() == 0
    status = site.status()
    assert status["totals"]["repaired"]["trade"] >= fetched
    (repairer,) = status["repairers"]
    assert repairer["gaps_open"] == 0
    assert repairer["hosts"][0]["requests"] > 0
    metrics = site.get("/metrics")[1]
    assert 'wsadapter_repaired_total{name="repairer",role="repairer",stream="trade"}' in metrics
    assert site.stop() == 0, site.said()
    audit = json.loads(site.command("audit", "--json").stdout)
    assert (audit["verdict"], audit["holes"]) == ("complete", [])
