"""Open interest, asked for over REST: rows, counters that balance, and a gap row for the time without an answer."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from oracle import query
from road_site import Site

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread

pytestmark = pytest.mark.integration
FEED = """
[[feed]]
name = "fut"
exchange = "binance"
symbols = ["BTCUSDT", "ETHUSDT"]
streams = ["trade", "open_interest"]
ws_url = "{ws}"
rest_url = "{rest}"
"""


@pytest.fixture
def venue() -> Iterator[VenueThread]:
    with VenueThread(lambda: LoopbackVenue(Options(rate=100, symbols=("BTCUSDT", "ETHUSDT")))) as made:
        yield made


@pytest.fixture
def site(venue: VenueThread, kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    feed = FEED.format(ws=venue.venue.url, rest=venue.venue.rest_url)
    made = Site(tmp_path, kafka, clickhouse, feed, database=f"oi{os.getpid()}")
    yield made
    made.close()


def test_it_is_recorded_and_a_silence_is_a_gap(site: Site, venue: VenueThread) -> None:
    site.start().ready()

    def rows(what: str, table: str = "open_interest", where: str = "true") -> list[list[str]]:
        return query(site.clickhouse, f"SELECT {what} FROM {site.database}.{table} FINAL WHERE {where} ORDER BY ALL")

    eventually(lambda: int(rows("count()")[0][0]) >= 4, 90, "two rounds")
    assert rows("DISTINCT symbol, source, connection") == [["BTCUSDT", "REST", "repair"], ["ETHUSDT", "REST", "repair"]]
    assert rows("countIf(open_interest <= 0)") == [["0"]]
    eventually(lambda: len(rows("symbol", "instrument")) == 2, 60, "instruments")
    states = {one["stream"]: one for one in site.status()["streams"]}
    assert (states["ethusdt@openInterest"]["state"], states["ethusdt@openInterest"]["exchange"]) == ("live", "binance")
    exposed = 'wsadapter_events_total{exchange="binance",name="repairer",role="repairer",stream="open_interest"}'
    assert exposed in site.get("/metrics")[1]

    venue.call(lambda made: made.refuse(418, {"Retry-After": "60"}, on="rest"))
    columns, polled = "symbol, cause, repair_state, isNull(ended)", "stream = 'open_interest'"
    lasts = [["BTCUSDT", "stale", "open", "1"], ["ETHUSDT", "stale", "open", "1"]]
    eventually(lambda: rows(columns, "gap", polled) == lasts, 120, "gaps without an end")
    old = site.kill("repairer")
    eventually(lambda: site.children().get("repairer", {}).get("pid") not in (0, None, old), 30, "started again")
    over = [["BTCUSDT", "stale", "unrepairable", "0"], ["ETHUSDT", "stale", "unrepairable", "0"]]
    eventually(lambda: rows(columns, "gap", polled) == over, 120, "their ends")
    assert site.status()["totals"]["polled"]["open_interest"] >= 6
    audit = site.command("audit", "--json", "--live")
    assert audit.returncode == 0, audit.stdout
    assert {one["stream"] for one in json.loads(audit.stdout)["series"]} >= {"open_interest"}
    assert site.stop() == 0, site.said()
    known = json.loads((site.state / "connections.json").read_text())
    interest = known['{stream="btcusdt@openInterest",exchange="binance"}']
    assert interest["received"] > known["fut-market-0"]["received"] - 60 * 10**9
