"""`backfill` beside a running instance: what was never recorded is fetched, what is there is not there twice."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
symbols = ["BTCUSDT"]
streams = ["trade"]
ws_url = "{ws}"
rest_url = "{rest}"
"""


@pytest.fixture
def venue() -> Iterator[VenueThread]:
    with VenueThread(lambda: LoopbackVenue(Options(rate=200, symbols=("BTCUSDT", "ETHUSDT")))) as made:
        yield made


@pytest.fixture
def site(venue: VenueThread, kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    feed = FEED.format(ws=venue.venue.url, rest=venue.venue.rest_url)
    made = Site(tmp_path, kafka, clickhouse, feed, database=fresh("bf"))
    yield made
    made.close()


def test_a_range_is_fetched_once(site: Site, venue: VenueThread) -> None:
    market = venue.call(lambda made: made.floor.open("ETHUSDT"))
    since_ns = time.time_ns()
    since = iso(since_ns)
    site.start().ready()

    def number(sql: str) -> int:
        return int(query(site.clickhouse, sql.replace("DB", site.database))[0][0])

    eventually(lambda: number("SELECT count() FROM DB.trade") > 100, 60, "trades")
    # a clock that is put forward would not do: there is no backfill of what our clock calls the future
    eventually(lambda: venue.call(lambda made: len(market.candles.closed["1m"])) >= 1, 90, "a candle")
    until_ns = time.time_ns() - 2_000_000_000  # the venue may be late with what it trades now
    until = iso(until_ns)
    # it has dealt behind the range: nothing comes into it any more
    eventually(lambda: venue.call(lambda made: market.deals[-1].time_ms * 1_000_000 > until_ns), 30, "a later deal")
    traded = venue.call(lambda made: [since_ns <= deal.time_ms * 1_000_000 <= until_ns for deal in market.deals])

    def backfilled(*arguments: str) -> list[dict[str, Any]]:
        done = site.command("backfill", "--since", str(since), "--until", str(until), *arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        assert {one["state"] for one in found} == {"repaired"}
        return found

    both = ("--symbol", "BTCUSDT", "--symbol", "ETHUSDT", "--stream", "trade")
    first = {one["symbol"]: one["fetched"] for one in backfilled(*both)}
    assert first["ETHUSDT"] == sum(traded) > 0
    eventually(lambda: number("SELECT count() FROM DB.trade WHERE symbol = 'ETHUSDT'") == first["ETHUSDT"], 30, "rows")
    whole = "SELECT max(trade_number) - min(trade_number) + 1 - uniqExact(trade_number) FROM DB.trade WHERE symbol = "
    eventually(lambda: (number(whole + "'ETHUSDT'"), number(whole + "'BTCUSDT'")) == (0, 0), 30, "rows of both")
    assert {one["symbol"]: one["fetched"] for one in backfilled(*both)} == {"BTCUSDT": 0, "ETHUSDT": 0}
    assert doubled(site.clickhouse, site.database, "trade") == 0

    (candles,) = backfilled("--symbol", "ETHUSDT", "--stream", "kline", "--interval", "1m")
    assert candles["state"] == "repaired"
    eventually(lambda: number("SELECT count() FROM DB.kline FINAL WHERE interval = '1m'") == candles["fetched"], 30)
    states = f"SELECT DISTINCT repair_state FROM {site.database}.gap FINAL WHERE startsWith(gap_id, 'backfill:')"
    eventually(lambda: query(site.clickhouse, states) == [["repaired"]], 30, "the last state of each gap")

    refused = site.command("backfill", "--since", "1m", "--symbol", "NOSUCH", "--stream", "trade")
    assert (refused.returncode, "'NOSUCH': nobody records it" in refused.stderr) == (64, True), refused.stderr
    assert site.stop() == 0, site.said()
    assert site.command("backfill", "--since", "1m").returncode == 69
