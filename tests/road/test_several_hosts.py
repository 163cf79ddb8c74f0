"""Three instances share one configuration, one Kafka and one ClickHouse: nothing is lost or recorded twice, when one of
them is replaced by another host and when the others take its symbols over."""

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from oracle import query
from road_site import Site

from wsadapter.config.shards import owner
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.market import market
from wsadapter.embedded.servers import VenueThread
from wsadapter.times import iso

pytestmark = pytest.mark.integration
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT")
RATE = int(os.environ.get("WSADAPTER_SHARD_RATE", "300"))
"""Frames a second over all instances. 9000 is for a machine that has nothing else to do."""
HOSTS = itertools.count()


class Host(Site):
    """One instance, with a state directory of its own."""

    def __init__(self, directory: Path, kafka: str, clickhouse: str, venue: VenueThread, shard: str) -> None:
        home = directory / f"host-{next(HOSTS)}"
        home.mkdir()
        listed = ", ".join(f'"{symbol}"' for symbol in SYMBOLS)
        feed = (
            f'[[feed]]\nexchange = "binance"\nsymbols = [{listed}]\nstreams = ["trade"]\n'
            f'ws_url = "{venue.venue.url}"\nrest_url = "{venue.venue.rest_url}"\n'
            '[kafka.consumer]\n"session.timeout.ms" = 12000\n'  # until a dead host's partitions are another's
        )
        super().__init__(home, kafka, clickhouse, feed, database=f"shards{os.getpid()}", partitions=4)
        self.whole = self.config.read_text()
        self.say(shard)

    def say(self, shard: str) -> None:
        self.config.write_text(self.whole.replace("[service]\n", f'[service]\nshard = "{shard}"\n'))

    def reload(self, shard: str) -> None:
        self.say(shard)
        self.process.send_signal(signal.SIGHUP)


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Iterator[VenueThread]:
    # what a host missed must still be there when another one asks for it
    monkeypatch.setattr(market, "DEALS_KEPT", max(market.DEALS_KEPT, 60 * RATE))
    # its time is ours: a backfill goes by the venue's
    with VenueThread(lambda: LoopbackVenue(Options(rate=RATE, symbols=SYMBOLS, minute_ends_in=0.0))) as made:
        yield made


@pytest.fixture
def hosts(venue: VenueThread, kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[list[Host]]:
    made = [Host(tmp_path, kafka, clickhouse, venue, f"{number}/3") for number in (1, 2, 3)]
    yield made
    for each in made:
        each.end()
    made[0].close()


def ask(host: Host, sql: str) -> list[list[str]]:
    return query(host.clickhouse, sql.replace("DB", host.database))


def newest(host: Host) -> dict[str, int]:
    rows = ask(host, "SELECT symbol, max(trade_number) FROM DB.trade GROUP BY symbol")
    return {symbol: int(number) for symbol, number in rows}


def grows(host: Host, symbols: tuple[str, ...] = SYMBOLS) -> None:
    """Each of the symbols has new trades."""
    before = newest(host)
    eventually(
        lambda: all(newest(host).get(symbol, 0) > before.get(symbol, 0) for symbol in symbols),
        60,
        lambda: f"{before} grows: {newest(host)}",
    )


def holes(host: Host) -> list[list[str]]:
    return ask(
        host,
        "SELECT symbol, max(trade_number) - min(trade_number) + 1 - uniqExact(trade_number) AS missing "
        "FROM DB.trade FINAL GROUP BY symbol HAVING missing > 0",
    )


def recorders(host: Host) -> dict[str, set[str]]:
    """Symbol -> the shards whose connections received it."""
    sql = "SELECT DISTINCT symbol, extract(connection, '-s([0-9]+)-') FROM DB.trade WHERE source = 'WEBSOCKET'"
    found: dict[str, set[str]] = {}
    for symbol, number in ask(host, sql):
        found.setdefault(symbol, set()).add(number)
    return found


def test_each_symbol_is_recorded_once_and_a_dead_hosts_symbols_go_on_elsewhere(
    hosts: list[Host], venue: VenueThread, kafka: str, clickhouse: str, tmp_path: Path
) -> None:
    first, second, third = hosts
    for host in hosts:
        host.start()
    for host in hosts:
        host.ready()
    grows(first)
    once = {symbol: {str(owner("binance", symbol, 3))} for symbol in SYMBOLS}
    eventually(lambda: recorders(first) == once, 60, lambda: f"each by its owner: {recorders(first)}")

    # another machine with the same configuration, and nothing of the state of the one that burnt
    third.power_off()
    replacement = Host(tmp_path, kafka, clickhouse, venue, "3/3")
    hosts.append(replacement)
    replacement.start().ready()
    grows(first)
    eventually(lambda: not holes(first), 60, lambda: f"holes: {holes(first)}")

    # nobody comes for this one: the others take its symbols over
    since = str(iso(time.time_ns() - 10_000_000_000))
    replacement.power_off()
    for number, host in enumerate((first, second), 1):
        host.reload(f"{number}/2")
    grows(first)
    # rows that the dead one left in Kafka may have been what grew
    both = {"ETHUSDT": {"1", "3"}, "DOGEUSDT": {"2", "3"}}
    eventually(lambda: {name: recorders(first)[name] for name in both} == both, 60, lambda: f"{recorders(first)}")
    # in between nobody recorded them; whichever host is asked, each fetches its own
    done = first.command("backfill", "--since", since, "--stream", "trade", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {one["symbol"]: one["state"] for one in json.loads(done.stdout)} == dict.fromkeys(SYMBOLS, "repaired")
    eventually(lambda: not holes(first), 60, lambda: f"holes: {holes(first)}")

    venue.call(lambda one: setattr(one, "paused", True))
    assert [first.stop(), second.stop()] == [0, 0], (first.said(), second.said())
    assert ask(first, "SELECT count() FROM DB.trade") == ask(first, "SELECT count() FROM DB.trade FINAL")
