"""Symbols come and go by SIGHUP while five venues send: on the streams that stay nothing is lost and nothing comes
twice, as the venues' own account says; and what a reload cannot do without a hole has its gap row."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from eventually import eventually
from fresh import fresh
from oracle import query
from pushed import Pushed, watch
from road_site import Site

from wsadapter.embedded.exchange import DEMO, STAND_INS
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread
from wsadapter.events.streams import BY_STREAM

pytestmark = pytest.mark.integration

RATE = int(os.environ.get("WSADAPTER_RELOAD_RATE", "200"))
"""Frames a second of each venue. 1000 is for a machine that has nothing else to do: all are made in this process."""
WORDS = {"trade", "depth", "ticker", "mark_price", "liquidation", "book_ticker"}
"""Not funding rates, told once after each connect, and candles, kept when they are closed only."""
STATES = {"bybit", "okx", "kraken"}
"""Venues that tell a new subscriber the state of..."""
BEGIN = {"ticker", "mark_price", "book_ticker"}
"""... these streams before anything has changed: an event where it is newer than the last one."""
GONE = 1
"""Of a feed's symbols, the one that is removed."""


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
        # else the repairer has another list of symbols to make books of, and is started again
        "snapshot_interval = 0\n"
        f'ws_url = "{made.venue.url}"\n{more}'
    )


@pytest.fixture
def site(kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Reloaded]:
    made = Reloaded(tmp_path, kafka, clickhouse, database=fresh("reload"))
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
    """Series -> rows with and without those of an equal key, and what the venues pushed, where they differ. The second
    symbol goes: what its old socket brings while it is closed is nobody's any more."""
    every, different, differing = rows(site), rows(site, " FINAL"), {}
    for exchange in exchanges:
        for index, symbol in enumerate(STAND_INS[exchange].feed.symbols):
            told = pushed.of(symbol, exchange)
            for word in told.keys() & WORDS:
                key = exchange, symbol, word
                found, least = every.get(key, 0), told[word] if index != GONE else 1
                is_whole = found >= least and (found <= told[word] or (word in BEGIN and exchange in STATES))
                if not is_whole or found != different.get(key, 0):
                    differing[key] = found, different.get(key, 0), told[word]
    return differing


def doubled(site: Site, differing: Iterable[tuple[str, str, str]]) -> list[list[str]]:
    """The rows of these series that have a key in common: which records they are, and when they came."""
    found = []
    for exchange, symbol, word in differing:
        table, order = f"{site.database}.{word}", ", ".join(BY_STREAM[word].order_by)
        found += query(
            site.clickhouse,
            f"SELECT '{word}', exchange, symbol, connection, epoch, position, event_time, receive_time, {order} "
            f"FROM {table} WHERE exchange = '{exchange}' AND symbol = '{symbol}' AND ({order}) IN (SELECT {order} "
            f"FROM {table} WHERE exchange = '{exchange}' AND symbol = '{symbol}' GROUP BY {order} HAVING count() > 1) "
            f"ORDER BY {order}, position LIMIT 20",
        )
    return found


def told(site: Site, pushed: Pushed, exchanges: Iterable[str]) -> str:
    differing = wrong(site, pushed, exchanges)
    return f"rows, by key, pushes: {differing}; twice: {doubled(site, differing)}"


def gaps(site: Site, until_ns: int) -> list[list[str]]:
    """What was missed while the venues sent: one that is stopped for longer than a stream may be silent is stale,
    rightly."""
    return query(
        site.clickhouse,
        f"SELECT cause, stream, symbol FROM {site.database}.gap "
        f"WHERE cause != 'connect' AND toUnixTimestamp64Nano(receive_time) < {until_ns}",
    )


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
        stopped_ns = time.time_ns()
        for made in venues.values():  # what is pushed while the connections say goodbye reaches nobody
            made.call(lambda one: setattr(one, "paused", True))
        eventually(lambda: not wrong(site, pushed, DEMO), 60, lambda: told(site, pushed, DEMO))
        assert site.stop() == 0, site.said()
        print({exchange: sum(made.venue.sent.values()) for exchange, made in venues.items()})
    assert gaps(site, stopped_ns) == []


def holes(site: Site, symbol: str) -> list[list[str]]:
    """Connection, begin and end (seconds) of each hole in the numbers of a symbol's trades that no gap row explains, to
    a second: the venue may have been quiet for so long before it and behind it."""
    return query(
        site.clickhouse,
        f"""WITH t AS (SELECT connection, trade_number AS n, toFloat64(receive_time) AS at,
        lagInFrame(trade_number) OVER w AS n0, lagInFrame(toFloat64(receive_time)) OVER w AS at0
        FROM {site.database}.trade FINAL WHERE symbol = '{symbol}'
        WINDOW w AS (ORDER BY trade_number ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)),
        g AS (SELECT toFloat64(started) AS s, toFloat64(ifNull(ended, now64(9))) AS e
        FROM {site.database}.gap FINAL WHERE cause IN ('restart', 'reload', 'disconnect', 'connect'))
        SELECT connection, at0, at FROM t WHERE n0 > 0 AND n > n0 + 1
        AND NOT arrayExists(x -> x.1 <= at0 + 1 AND x.2 >= at - 1, (SELECT groupArray((s, e)) FROM g))""",
    )


def test_redundant_connections_are_exchanged_too(site: Reloaded, pushed: Pushed) -> None:
    with venue("binance") as made:

        def feeds(*symbols: str) -> str:
            return feed("binance", made, symbols, "redundancy = 2\n")

        site.feeds(feeds("BTCUSDT", "ETHUSDT"))
        site.start().ready()
        site.reload(feeds("BTCUSDT", "ETHUSDT", "SOLUSDT"), 4)
        site.reload(feeds("BTCUSDT", "SOLUSDT"), 4)
        stopped_ns = time.time_ns()
        made.call(lambda one: setattr(one, "paused", True))
        eventually(lambda: not wrong(site, pushed, ("binance",)), 60, lambda: told(site, pushed, ("binance",)))
        assert site.stop() == 0, site.said()
    assert gaps(site, stopped_ns) == []


def test_killed_in_the_middle_of_a_reload_either_configuration_is_there_and_every_hole_has_its_row(
    site: Reloaded, pushed: Pushed
) -> None:
    with venue("binance") as made:

        def feeds(*symbols: str, name: str = "binance") -> str:
            return feed("binance", made, symbols, f'name = "{name}"\n[restart]\nbackoff_min = 0.1\n')

        def begin(text: str) -> None:
            begun = site.said(10_000_000).count("rotation begins (other subscriptions")
            site.feeds(text)
            site.process.send_signal(signal.SIGHUP)
            eventually(lambda: site.said(10_000_000).count("rotation begins (other subscriptions") > begun, 60)

        def recorded(symbol: str) -> bool:
            return bool(rows(site).get(("binance", symbol, "trade")))

        site.feeds(feeds("BTCUSDT"))
        site.start().ready()
        eventually(lambda: recorded("BTCUSDT"), 60)
        begin(feeds("BTCUSDT", "ETHUSDT"))
        os.kill(site.children()["binance-market-0"]["pid"], signal.SIGKILL)
        eventually(lambda: recorded("ETHUSDT"), 60)
        site.ready()
        begin(feeds("BTCUSDT", "ETHUSDT", "SOLUSDT"))
        site.process.kill()
        site.process.wait()
        site.start().ready()
        eventually(lambda: recorded("SOLUSDT"), 60)
        site.feeds(feeds("BTCUSDT", "ETHUSDT", "SOLUSDT", name="renamed"))
        site.process.send_signal(signal.SIGHUP)
        eventually(lambda: "renamed-market-0" in site.children(), 60)
        site.ready()
        made.call(lambda one: setattr(one, "paused", True))
        assert site.stop() == 0, site.said()
    gaps = query(
        site.clickhouse,
        "SELECT connection, cause, stream, symbol, toFloat64(started), toFloat64(ended), repair_state "
        f"FROM {site.database}.gap FINAL ORDER BY started",
    )
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        assert holes(site, symbol) == [], (symbol, gaps)
    found = query(
        site.clickhouse,
        f"SELECT DISTINCT connection FROM {site.database}.gap FINAL "
        "WHERE cause IN ('restart', 'reload') AND ended IS NOT NULL",
    )
    assert {"binance-market-0", "renamed-market-0", "renamed-public-0"} <= {connection for (connection,) in found}
    causes = {cause for connection, cause, *_ in gaps if connection.startswith("renamed")}
    assert causes == {"reload"}, gaps
    assert query(site.clickhouse, f"SELECT count() FROM {site.database}.gap FINAL WHERE ended IS NULL") == [["0"]]
