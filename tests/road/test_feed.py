"""A feed of the configuration, no demo and no stand-ins: the venue's own address, a reload, a stop that drains."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from fresh import fresh
from oracle import query
from pushed import Pushed, watch
from road_site import Site

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread

pytestmark = pytest.mark.integration
FEED = """
[[feed]]
name = "fut"
exchange = "binance"
symbols = {symbols}
streams = ["trade", "book_ticker"]
ws_url = "{url}"
"""


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> Pushed:
    return watch(monkeypatch)


@pytest.fixture
def venue(pushed: Pushed) -> Iterator[VenueThread]:
    with VenueThread(lambda: LoopbackVenue(Options(rate=200))) as made:
        yield made


@pytest.fixture
def site(venue: VenueThread, kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    feed = FEED.format(symbols='["BTCUSDT"]', url=venue.venue.url)
    made = Site(tmp_path, kafka, clickhouse, feed, database=fresh("feed"))
    yield made
    made.close()


def symbols(site: Site) -> set[str]:
    return {row[0] for row in query(site.clickhouse, f"SELECT DISTINCT symbol FROM {site.database}.trade")}


def test_a_feed_is_recorded_reloaded_and_drained(site: Site, pushed: Pushed) -> None:
    site.start().ready()
    eventually(lambda: symbols(site) == {"BTCUSDT"}, 30, "rows")
    pids = {name: child["pid"] for name, child in site.children().items()}

    text = site.config.read_text()
    site.config.write_text(text.replace('["BTCUSDT"]', "[]"))
    site.process.send_signal(signal.SIGHUP)
    eventually(lambda: "reload refused" in site.said(), 20, "the old configuration stays")
    assert {name: child["pid"] for name, child in site.children().items()} == pids

    site.config.write_text(text.replace('["BTCUSDT"]', '["BTCUSDT", "ETHUSDT"]'))
    site.process.send_signal(signal.SIGHUP)
    eventually(lambda: symbols(site) == {"BTCUSDT", "ETHUSDT"}, 60, "the new symbol's rows")
    site.ready()
    after = {name: child["pid"] for name, child in site.children().items()}
    assert {name for name in pids if pids[name] != after[name]} == {"monitor"}
    assert "added ETHUSDT trade on fut-market-0" in site.said(1_000_000)

    assert site.stop() == 0, site.said()
    for stream in ("trade", "book_ticker"):
        rows = query(site.clickhouse, f"SELECT symbol, count() FROM {site.database}.{stream} GROUP BY 1 ORDER BY 1")
        assert rows == [[symbol, str(pushed.of(symbol)[stream])] for symbol in ("BTCUSDT", "ETHUSDT")], stream
    for line in site.said(1_000_000).splitlines():
        assert json.loads(line)["level"], line
