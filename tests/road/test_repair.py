"""What was missed while the connection was away is fetched again: exactly that, once, whatever is killed meanwhile."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eventually import eventually
from fresh import fresh
from oracle import doubled, query
from road_site import Site

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread
from wsadapter.times import iso

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
    with VenueThread(lambda: LoopbackVenue(Options(rate=200, symbols=("BTCUSDT", "ETHUSDT")))) as made:
        yield made


Make = Callable[[str], Site]


@pytest.fixture
def make(venue: VenueThread, kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Make]:
    sites: list[Site] = []

    def build(streams: str) -> Site:
        feed = FEED.format(streams=streams, ws=venue.venue.url, rest=venue.venue.rest_url)
        sites.append(Site(tmp_path, kafka, clickhouse, feed, database=fresh("rep")))
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
        return sum(doubled(self._site.clickhouse, self._site.database, table) for table in ("trade", "kline"))


def cut(venue: VenueThread, site: Site, then: Callable[[LoopbackVenue], None] = lambda made: None) -> None:
    """The venue hangs up and takes nobody for a while; a minute of its market ends meanwhile. ``then``: done to it in
    the moment in which it takes clients again."""

    def away(made: LoopbackVenue) -> int:
        made.refuse(503, times=1000)
        made.clock.end_minute_in(3)
        return made.cut("reset")

    def back(made: LoopbackVenue) -> None:
        made.accept()
        then(made)

    now = venue.call(lambda made: made.clock.now_ms())
    venue.call(away)
    eventually(lambda: venue.call(lambda made: made.clock.now_ms()) > (now // 60_000 + 1) * 60_000 + 1_500, 30, "away")
    venue.call(back)
    site.ready()


def worked_off(tables: Tables, count: int) -> bool:
    """So many gaps ended, and none of them is open."""
    states = tables.states()
    return len(states) >= count and "open" not in states.values()


def host(site: Site) -> dict[str, int]:
    found: dict[str, int] = site.status()["repairers"][0]["hosts"][0]
    return found


def begin(make: Make, streams: str) -> tuple[Site, Tables]:
    """A road that has worked off the gap of its own start."""
    site = make(streams).start().ready()
    tables = Tables(site)
    eventually(lambda: tables.number("SELECT count() FROM DB.trade") > 100, 60, "trades")
    eventually(lambda: worked_off(tables, 1), 60, "the start")
    return site, tables


def assert_whole(tables: Tables) -> None:
    """Trades and candles without a break, those of the cut from REST, none twice."""
    eventually(lambda: not tables.holes(), 60, "trades")
    candles = (
        "SELECT symbol, countIf(source = 'REST'), dateDiff('minute', min(open_time), max(open_time)) + 1 - count() "
        "FROM DB.kline FINAL WHERE interval = '1m' GROUP BY symbol"
    )

    def full() -> bool:
        rows = tables.ask(candles)
        return len(rows) == 2 and all(int(rest) >= 1 and missing == "0" for _, rest, missing in rows)

    eventually(full, 60, f"{tables.ask(candles)}")
    assert tables.doubled() == 0


def test_a_cut_is_repaired(make: Make, venue: VenueThread) -> None:
    site = make(REPAIRABLE).start().ready()
    tables = Tables(site)
    eventually(lambda: tables.number("SELECT count() FROM DB.trade") > 100, 60, "trades")
    cut(venue, site)
    eventually(lambda: worked_off(tables, 2), 90, f"{tables.states()} {site.said()}")
    assert set(tables.states().values()) == {"repaired"}
    assert_whole(tables)
    fetched = tables.number("SELECT count() FROM DB.trade FINAL WHERE source = 'REST'")
    assert fetched > 0
    status = site.status()
    assert status["totals"]["repaired"]["trade"] >= fetched
    (repairer,) = status["repairers"]
    assert repairer["gaps_open"] == 0
    assert repairer["hosts"][0]["requests"] > 0
    metrics = site.get("/metrics")[1]
    assert 'wsadapter_repaired_total{name="repairer",role="repairer",stream="trade"}' in metrics
    until = iso(time.time_ns())
    assert until is not None
    assert site.stop() == 0, site.said()
    audit = json.loads(site.command("audit", "--json", "--until", until).stdout)
    assert (audit["verdict"], audit["holes"]) == ("complete", [])


def kill_when_it_has_fetched_more(site: Site) -> None:
    """Between two of the requests that the gap needs."""

    def fetched() -> int:
        return int(site.status()["totals"]["repaired"].get("trade", 0))

    before = fetched()
    eventually(lambda: fetched() > before, 60, "a part of it")
    assert site.status()["repairers"][0]["gaps_open"] == 1
    old = site.kill("repairer")
    eventually(lambda: site.children().get("repairer", {}).get("pid") not in (0, None, old), 30, "started again")


def test_a_repairer_that_is_killed_in_the_middle_of_it(make: Make, venue: VenueThread) -> None:
    site, tables = begin(make, REPAIRABLE)
    cut(venue, site, lambda made: made.delay(1.0))
    kill_when_it_has_fetched_more(site)
    venue.call(lambda made: made.delay(0.0))
    eventually(lambda: worked_off(tables, 2), 90, f"{tables.states()}")
    assert set(tables.states().values()) == {"repaired"}
    assert_whole(tables)
    assert site.stop() == 0, site.said()


def test_a_ban_outlives_a_kill(make: Make, venue: VenueThread) -> None:
    site, tables = begin(make, REPAIRABLE)
    cut(venue, site, lambda made: made.refuse(418, {"Retry-After": "25"}, on="rest"))
    eventually(lambda: host(site)["banned"] == 1, 60, "banned")
    asked = host(site)["requests"]
    old = site.kill("repairer")
    eventually(lambda: site.children().get("repairer", {}).get("pid") not in (0, None, old), 30, "started again")
    eventually(
        lambda: site.children()["repairer"]["state"] == "running" and host(site)["paused_seconds"] > 0, 20, "ban"
    )
    assert host(site)["requests"] == asked
    assert "a ban from before the restart lasts" in site.said(100_000)
    eventually(lambda: len(tables.states()) >= 2, 20, "the gap is in its table")
    assert "open" in tables.states().values()
    eventually(lambda: worked_off(tables, 2), 90, "after the ban")
    assert set(tables.states().values()) == {"repaired"}
    assert_whole(tables)
    assert site.stop() == 0, site.said()


def test_streams_without_a_history_leave_it_partial(make: Make, venue: VenueThread) -> None:
    site, tables = begin(make, '["trade", "kline", "depth", "ticker", "mark_price", "liquidation"]')
    venue.call(lambda made: made.lose("btcusdt@aggTrade", 5))
    venue.call(lambda made: made.refuse(429, {"Retry-After": "3"}, times=2, on="rest"))
    sequence = "SELECT repair_state FROM DB.gap FINAL WHERE cause = 'sequence' AND stream = 'trade'"
    eventually(lambda: tables.ask(sequence) == [["repaired"]], 90, "five trades")
    assert host(site)["limited"] == 2
    cut(venue, site)
    whole = "SELECT connection, repair_state FROM DB.gap FINAL WHERE cause = 'disconnect' AND stream = '' ORDER BY ALL"
    eventually(lambda: tables.ask(whole) == [["fut-market-0", "partial"], ["fut-public-0", "partial"]], 90, "partial")
    streams = "SELECT stream, repair_state FROM DB.gap FINAL WHERE cause = 'disconnect' AND stream != '' ORDER BY ALL"
    assert tables.ask(streams) == [
        ["depth", "partial"], ["funding_rate", "repaired"], ["kline", "repaired"], ["liquidation", "unrepairable"],
        ["mark_price", "unrepairable"], ["ticker", "unrepairable"], ["trade", "repaired"],
    ]  # fmt: skip
    books = "SELECT count() FROM DB.depth FINAL WHERE source = 'REST' AND update_type = 'SNAPSHOT' AND level_limit = 50"
    eventually(lambda: tables.number(books) >= 2, 30, "books")
    assert_whole(tables)
    assert site.stop() == 0, site.said()
