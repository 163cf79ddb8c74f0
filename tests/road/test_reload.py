"""Symbols come and go by SIGHUP while five venues send: on the streams that stay nothing is lost and nothing comes
twice, as the venues' own account says; and what a reload cannot do without a hole has its gap row."""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from eventually import eventually
from oracle import query
from pushed import Pushed, watch
from road_site import Site

from wsadapter.embedded.exchange import DEMO, STAND_INS
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread

pytestmark = pytest.mark.integration

RATE = int(os.environ.get("WSADAPTER_RELOAD_RATE", "200"))
"""Frames a second of each venue. 1000 is for a machine that has nothing else to do: all are made in this process."""
WORDS = {"trade", "depth", "ticker", "mark_price", "liquidation", "book_ticker"}
"""Not funding rates, told once after each connect, and candles, kept when they are closed only."""
STATES = {"bybit", "okx", "kraken"}
"""Venues that tell a new subscriber the state of..."""
BEGIN = {"ticker", "mark_price", "book_ticker"}
"""... these streams before anything has changed: one event, whatever number of sockets it comes over."""


class Reloaded(Site):
    """A site whose feeds are written anew, and read."""

    def feeds(self, text: str) -> None:
        if not hasattr(self, "base"):
            self.base = self.config.read_text()
        self.config.write_text(self.base + text)

    def reload(self, text: str, orders: int) -> None:
        """Until so many connections have what is new."""
        done = self.said(10_000_000).count("child has done its order") + orders
        self.feeds(text)
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.said(10_000_000).count("child has done its order") >= done, 60, lambda: self.said(3000))


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> Pushed:
    return watch(monkeypatch)


def venue(exchange: str, rate: int = RATE) -> VenueThread:
    feed = STAND_INS[exchange].feed
    return VenueThread(lambda: LoopbackVenue(Options(exchange=exchange, rate=rate, symbols=feed.symbols)))


def feed(exchange: str, made: VenueThread, symbols: tuple[str, ...], more: str = "") -> str:
    streams = [word for word in STAND_INS[exchange].feed.streams if word != "open_interest"]
    listed = ", ".join(f'"{symbol}"' for symbol in symbols)
    named = ", ".join(f'"{word}"' for word in streams)
    return (
        f'[[feed]]\nexchange = "{exchange}"\nsymbols = [{listed}]\nstreams = [{named}]\ndepth_levels = 0\n'
        f'ws_url = "{made.venue.url}"\n{more}'
    )


@pytest.fixture
def site(kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Reloaded]:
    made = Reloaded(tmp_path, kafka, clickhouse, database=f"reload{os.getpid()}_{tmp_path.name[-1]}")
    yield made
    made.close()


def rows(site: Site, final: str = "") -> dict[tuple[str, str, str], int]:
    """(exchange, symbol, stream) -> rows; of books the changes, as a snapshot comes with each socket."""
    found = {}
    for word in WORDS:
        where = " WHERE update_type = 'DELTA'" if word == "depth" else ""
        table = f"{site.database}.{word}{final}{where}"
        for exchange, symbol, count in query(
            site.clickhouse, f"SELECT exchange, symbol, count() FROM {table} GROUP BY 1, 2"
        ):
            found[exchange, symbol, word] = int(count)
    return found


def wrong(site: Site, pushed: Pushed, exchanges: Iterable[str]) -> dict[tuple[str, str, str], tuple[int, int, int]]:
    """Series -> rows with and without those of an equal key, and what the venues pushed, where they differ."""
    every, different, differing = rows(site), rows(site, " FINAL"), {}
    for exchange in exchanges:
        for symbol in STAND_INS[exchange].feed.symbols:
            told = pushed.of(symbol, exchange)
            for word in told.keys() & WORDS:
                key = exchange, symbol, word
                found = every.get(key, 0), different.get(key, 0), told[word]
                most = told[word] + (word in BEGIN and exchange in STATES)
                if found[0] != found[1] or not told[word] <= found[0] <= most:
                    differing[key] = found
    return differing


def test_five_venues_lose_and_double_nothing_on_what_stays(site: Reloaded, pushed: Pushed) -> None:
    with contextlib.ExitStack() as stack:
        venues = {exchange: stack.enter_context(venue(exchange)) for exchange in DEMO}

        def feeds(*which: int) -> str:
            return "".join(
                feed(exchange, made, tuple(STAND_INS[exchange].feed.symbols[index] for index in which))
                for exchange, made in venues.items()
            )

        site.feeds(feeds(0, 1))
        site.start().ready()
        pids = {name: child["pid"] for name, child in site.children().items()}
        ingests = len([1 for child in site.children().values() if child["role"] == "ingest"])
        site.reload(feeds(0, 1, 2), ingests)
        site.reload(feeds(0, 2), ingests)
        assert {name: child["pid"] for name, child in site.children().items() if name != "monitor"} == {
            name: pid for name, pid in pids.items() if name != "monitor"
        }
        for made in venues.values():  # what is pushed while the connections say goodbye reaches nobody
            made.call(lambda one: setattr(one, "paused", True))
        eventually(lambda: not wrong(site, pushed, DEMO), 60, lambda: f"rows, pushes: {wrong(site, pushed, DEMO)}")
        assert site.stop() == 0, site.said()
        print({exchange: sum(made.venue.sent.values()) for exchange, made in venues.items()})
    gaps = query(site.clickhouse, f"SELECT cause, stream, symbol FROM {site.database}.gap WHERE cause != 'connect'")
    assert gaps == []


def test_redundant_connections_are_exchanged_too(site: Reloaded, pushed: Pushed) -> None:
    with venue("binance") as made:

        def feeds(*symbols: str) -> str:
            return feed("binance", made, symbols, "redundancy = 2\n")

        site.feeds(feeds("BTCUSDT", "ETHUSDT"))
        site.start().ready()
        site.reload(feeds("BTCUSDT", "ETHUSDT", "SOLUSDT"), 4)
        site.reload(feeds("BTCUSDT", "SOLUSDT"), 4)
        made.call(lambda one: setattr(one, "paused", True))
        eventually(lambda: not wrong(site, pushed, ("binance",)), 60, lambda: f"{wrong(site, pushed, ('binance',))}")
        assert site.stop() == 0, site.said()
    assert query(site.clickhouse, f"SELECT cause, symbol FROM {site.database}.gap WHERE cause != 'connect'") == []
