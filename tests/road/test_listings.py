"""A feed of rules on a real run: it waits for its first listing, takes up what is listed, drains what is delisted."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from fresh import fresh
from oracle import query
from road_site import Site

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread

pytestmark = pytest.mark.integration
CHINESE = "币安人生USDT"
FEEDS = """
[[feed]]
name = "ruled"
exchange = "binance"
symbols = ["*USDT", "!SOL*"]
streams = ["trade"]
listing_refresh = "1s"
ws_url = "{ws}"
rest_url = "{rest}"

[[feed]]
name = "plain"
exchange = "binance"
symbols = ["SOLUSDT"]
streams = ["trade"]
ws_url = "{ws}"
rest_url = "{rest}"
"""


@pytest.fixture
def venue() -> Iterator[VenueThread]:
    with VenueThread(lambda: LoopbackVenue(Options(rate=100, symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT")))) as made:
        yield made


@pytest.fixture
def site(venue: VenueThread, kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    feeds = FEEDS.format(ws=venue.venue.url, rest=venue.venue.rest_url)
    made = Site(tmp_path, kafka, clickhouse, feeds, database=fresh("rules"))
    yield made
    made.close()


def test_listings_are_picked_up_and_delistings_drained(site: Site, venue: VenueThread) -> None:
    venue.call(lambda made: made.refuse(503, times=1_000, on="rest"))
    site.start()

    def rows(what: str, table: str = "trade", where: str = "true") -> list[list[str]]:
        return query(site.clickhouse, f"SELECT {what} FROM {site.database}.{table} FINAL WHERE {where} ORDER BY ALL")

    def streams() -> list[str]:
        return sorted(one["stream"] for one in site.status()["streams"] if one["state"] == "live")

    def counted() -> dict[str, list[str]]:
        """Symbol -> trades that are there twice, and that are not there."""
        sums = "count() - uniqExact(trade_id), max(trade_number) - min(trade_number) + 1 - uniqExact(trade_id)"
        found = query(site.clickhouse, f"SELECT symbol, {sums} FROM {site.database}.trade GROUP BY ALL")
        return {symbol: rest for symbol, *rest in found}

    eventually(lambda: streams() == ["solusdt@aggTrade"], 90, "the feed without rules runs meanwhile")
    waits = f"feed ruled waits: no listing of binance yet, asked for at {venue.venue.rest_url}"
    eventually(lambda: waits in json.loads(site.get("/readyz")[1] or "{}").get("reasons", ()), 30, "it waits")
    venue.call(lambda made: made.accept())
    site.ready()
    eventually(lambda: streams() == ["btcusdt@aggTrade", "ethusdt@aggTrade", "solusdt@aggTrade"], 60, "resolved")

    venue.call(lambda made: made.list_symbol(CHINESE))
    eventually(lambda: [CHINESE] in rows("DISTINCT symbol"), 60, "its trades are in the table")
    venue.call(lambda made: made.delist_symbol("ETHUSDT"))
    left = ["btcusdt@aggTrade", "solusdt@aggTrade", f"{CHINESE.lower()}@aggTrade"]
    eventually(lambda: streams() == left, 60, lambda: f"{streams()}")
    traded = [["BTCUSDT", "TRADING"], ["ETHUSDT", "delisted"], ["SOLUSDT", "TRADING"], [CHINESE, "TRADING"]]
    eventually(lambda: rows("symbol, status", "instrument") == traded, 60, "each a row")
    site.ready()
    eventually(lambda: all(each == ["0", "0"] for each in counted().values()), 60, lambda: f"{counted()}")

    assert site.stop() == 0, site.said()
    said = [json.loads(line) for line in site.output.read_text().splitlines() if line.startswith("{")]
    picked_up, drained = (
        [line for line in said if line["event"] == what] for what in ("symbol picked up", "symbol drained")
    )
    assert [(one["feed"], one["symbol"], one["rule"]) for one in picked_up] == [("ruled", CHINESE, "*USDT")]
    assert [(one["feed"], one["symbol"], one["reason"]) for one in drained] == [("ruled", "ETHUSDT", "status delisted")]
    assert counted() == {symbol: ["0", "0"] for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", CHINESE)}
    planned = site.command("plan", "--json")
    symbols = {stream["symbol"] for each in json.loads(planned.stdout) for stream in each["streams"]}
    assert symbols == {"BTCUSDT", "SOLUSDT", CHINESE}
