"""Books of venues whose REST does not join their changes, kept beside what two stand-ins send: a later book that goes
on from a kept one is the one that is made of every change since the venue's snapshot."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from fresh import fresh
from oracle import query
from road_site import Site

from wsadapter.config.model import ClickHouseConfig
from wsadapter.embedded.exchange import STAND_INS
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread
from wsadapter.roles.repairer.book_checkpoints import make
from wsadapter.stored import Stored

pytestmark = pytest.mark.integration
SECOND = 10**9
SYMBOLS = {exchange: STAND_INS[exchange].feed.symbols[0] for exchange in ("okx", "kraken")}
FEED = """
[[feed]]
exchange = "{exchange}"
symbols = ["{symbol}"]
streams = ["depth"]
depth_levels = 0
snapshot_interval = 1
ws_url = "{url}"
"""


def venue(exchange: str) -> VenueThread:
    return VenueThread(lambda: LoopbackVenue(Options(exchange=exchange, rate=100, symbols=(SYMBOLS[exchange],))))


@pytest.fixture
def site(kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        feeds = "".join(
            FEED.format(exchange=exchange, symbol=symbol, url=stack.enter_context(venue(exchange)).venue.url)
            for exchange, symbol in SYMBOLS.items()
        )
        made = Site(tmp_path, kafka, clickhouse, feeds, database=fresh("kept"))
        yield made
        made.close()


def test_a_book_that_goes_on_from_a_kept_one_is_the_venues(site: Site) -> None:
    site.start().ready()
    settings = ClickHouseConfig(url=site.clickhouse, database=site.database)

    def last(exchange: str, what: str, table: str) -> int:
        said = f"SELECT toUnixTimestamp64Nano(max({what})) FROM {site.database}.{table} WHERE exchange = '{exchange}'"
        return int(query(site.clickhouse, said)[0][0])

    with Stored.of(settings) as stored:
        asked = {}
        for exchange, symbol in SYMBOLS.items():
            eventually(
                lambda e=exchange, s=symbol: make(settings, e, s, time.time_ns() - 2 * SECOND),  # type: ignore[misc]
                180, "changes that are worth it, and a later one",
            )  # fmt: skip
            at_ns = asked[exchange] = last(exchange, "time", "book_checkpoint") + SECOND
            eventually(lambda e=exchange, at=at_ns: last(e, "time", "depth") > at, 120, "a change behind it")  # type: ignore[misc]
        books = {exchange: stored.book_at(exchange, SYMBOLS[exchange], at_ns) for exchange, at_ns in asked.items()}
        query(site.clickhouse, f"TRUNCATE TABLE {site.database}.book_checkpoint")
        for exchange, book in books.items():
            assert (book.complete, len(book.bids) > 5, len(book.asks) > 5) == (True, True, True), book.reason
            assert stored.book_at(exchange, SYMBOLS[exchange], asked[exchange]) == book
    assert site.stop() == 0, site.said()
