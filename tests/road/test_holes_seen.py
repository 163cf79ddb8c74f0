"""Frames that the venue loses end as gap rows with the ids that are missing, and as the gap marker in the data."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from fresh import fresh
from oracle import query
from road.test_feed import FEED
from road_site import Site

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread

pytestmark = pytest.mark.integration


@pytest.fixture
def venue() -> Iterator[VenueThread]:
    with VenueThread(lambda: LoopbackVenue(Options(rate=200))) as made:
        yield made


@pytest.fixture
def site(venue: VenueThread, kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    feed = FEED.format(symbols='["BTCUSDT"]', url=venue.venue.url)
    made = Site(tmp_path, kafka, clickhouse, feed, database=fresh("holes"))
    yield made
    made.close()


def test_lost_trades_are_a_gap_row(site: Site, venue: VenueThread) -> None:
    site.start().ready()

    def ask(sql: str) -> list[list[str]]:
        return query(site.clickhouse, sql.replace("DB", site.database))

    eventually(lambda: int(ask("SELECT count() FROM DB.trade")[0][0]) > 20, 30, "trades")
    venue.call(lambda made: made.lose("btcusdt@aggTrade", 5))
    columns = "stream, symbol, first_missing, last_missing, missing_count, toUnixTimestamp64Nano(receive_time)"
    wanted = f"SELECT {columns} FROM DB.gap FINAL WHERE cause = 'sequence'"
    ((stream, symbol, first, last, count, at),) = eventually(lambda: ask(wanted), 30, "a gap row")

    assert (stream, symbol, count) == ("trade", "BTCUSDT", "5")
    assert int(last) - int(first) == 4
    around = f"trade_number BETWEEN {int(first) - 1} AND {int(last) + 1}"
    eventually(lambda: ask(f"SELECT count() FROM DB.trade WHERE {around}") == [["2"]], 30, "both neighbours")
    marker = "toUnixTimestamp64Nano(assumeNotNull(last_gap))"
    assert ask(f"SELECT {marker} FROM DB.trade WHERE trade_number = {int(last) + 1}") == [[at]]
    metrics = site.metrics()
    assert 'wsadapter_gaps_total{cause="sequence",connection="fut-market-0",exchange="binance"} 1.0' in metrics
    assert site.stop() == 0, site.said()
