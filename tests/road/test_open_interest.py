"""What is asked for over REST all the time: open interest, with rows, counters that balance, and a gap row for the time
without an answer; and whole books beside their changes, which the books made of those agree with."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from fresh import fresh
from oracle import query
from road_site import Site

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread
from wsadapter.stored import Stored

pytestmark = pytest.mark.integration
MUTATIONS = Path(__file__).parents[1] / "mutations"
FEED = """
[[feed]]
name = "fut"
exchange = "binance"
symbols = ["BTCUSDT", "ETHUSDT"]
streams = ["trade", "open_interest", "depth"]
depth_levels = 0
snapshot_interval = 1
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
    made = Site(tmp_path, kafka, clickhouse, feed, database=fresh("oi"))
    made.environ["PYTHONPATH"] = str(MUTATIONS / "quick_polls")  # as often as it takes, in a third of the time
    yield made
    made.close()


def books_agree(site: Site, snapshots: list[list[str]]) -> bool:
    """Those that are made of changes with the snapshots of the same numbers; False where there are none yet."""
    told = {int(number): tuple(best) for number, *best in snapshots}
    with Stored(site.clickhouse, database=site.database) as stored:
        books = [
            *stored.books("binance", "ETHUSDT", time.time_ns() - 300 * 10**9, time.time_ns() + 300 * 10**9, levels=5)
        ]
        last = stored.book_at("binance", "ETHUSDT", books[-1].time_ns)
    made = [book for book in books if book.complete and book.last_update_id in told and book.base_ns != book.changed_ns]
    if not made:
        return False
    assert {
        (str(book.bids[0].price), str(book.asks[0].quantity)) == told[book.last_update_id or 0] for book in made
    } == {True}
    complete = [book.complete for book in books]
    assert all(complete[complete.index(True) :]), "from the first snapshot on"
    assert last.complete
    return True


def test_it_is_recorded_and_a_silence_is_a_gap(site: Site, venue: VenueThread) -> None:
    site.start().ready()

    def rows(what: str, table: str = "open_interest", where: str = "true") -> list[list[str]]:
        return query(site.clickhouse, f"SELECT {what} FROM {site.database}.{table} FINAL WHERE {where} ORDER BY ALL")

    both = "countIf(symbol = 'BTCUSDT') >= 2 AND countIf(symbol = 'ETHUSDT') >= 2"
    eventually(lambda: rows(f"toUInt8({both})") == [["1"]], 90, "two rounds")
    assert rows("DISTINCT symbol, source, connection") == [["BTCUSDT", "REST", "repair"], ["ETHUSDT", "REST", "repair"]]
    assert rows("countIf(open_interest <= 0)") == [["0"]]
    eventually(lambda: len(rows("symbol", "instrument")) == 2, 60, "instruments")
    states = {one["stream"]: one for one in site.status()["streams"]}
    assert (states["ethusdt@openInterest"]["state"], states["ethusdt@openInterest"]["exchange"]) == ("live", "binance")
    exposed = 'wsadapter_events_total{exchange="binance",name="repairer",role="repairer",stream="open_interest"}'
    assert exposed in site.metrics()

    snapshots = "update_type = 'SNAPSHOT' AND symbol = 'ETHUSDT'"
    eventually(lambda: int(rows("count()", "depth", snapshots)[0][0]) >= 4, 60, "the first book and those after it")
    venue.call(lambda made: made.refuse(418, {"Retry-After": "3"}, times=1000, on="rest"))
    columns, polled = "symbol, cause, repair_state, isNull(ended)", "stream = 'open_interest'"
    lasts = [["BTCUSDT", "stale", "open", "1"], ["ETHUSDT", "stale", "open", "1"]]
    eventually(lambda: rows(columns, "gap", polled) == lasts, 120, "gaps without an end")
    old = site.kill("repairer")
    eventually(lambda: site.children().get("repairer", {}).get("pid") not in (0, None, old), 30, "started again")
    venue.call(lambda made: made.accept())
    over = [["BTCUSDT", "stale", "unrepairable", "0"], ["ETHUSDT", "stale", "unrepairable", "0"]]
    eventually(lambda: rows(columns, "gap", polled) == over, 120, "their ends")
    # whether a change ends with a snapshot's number is the venue's chance
    best = "last_update_id, toString(bid_price[1]), toString(ask_quantity[1])"
    eventually(
        lambda: books_agree(site, rows(best, "depth", snapshots)), 120, "numbers that changes and a snapshot have"
    )
    assert site.status()["totals"]["polled"]["open_interest"] >= 6
    audit = site.command("audit", "--json", "--live")
    assert audit.returncode == 0, audit.stdout
    assert {one["stream"] for one in json.loads(audit.stdout)["series"]} >= {"open_interest"}
    assert site.stop() == 0, site.said()
    known = json.loads((site.state / "connections.json").read_text())
    interest = known['{stream="btcusdt@openInterest",exchange="binance"}']
    assert interest["received"] > known["fut-market-0"]["received"] - 60 * 10**9
