"""Every cause of a hole that the venue's side can have: a message of topic gap, a row of table gap with bounds and
state, and the marker in the data that follows. (Sequence: test_holes_seen; restart: test_audit; kafka_retention:
consumer/test_consumer_services.)"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from fresh import fresh
from oracle import query
from road.test_feed import FEED
from road.test_replay import in_kafka
from road_site import Site

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread
from wsadapter.shm.segment import Segment, listing

pytestmark = pytest.mark.integration
RING = 64 << 10


@pytest.fixture
def venue() -> Iterator[VenueThread]:
    with VenueThread(lambda: LoopbackVenue(Options(rate=300))) as made:
        yield made


@pytest.fixture
def site(venue: VenueThread, kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    feed = FEED.format(symbols='["BTCUSDT"]', url=venue.venue.url).replace('"book_ticker"]', '"mark_price"]')
    # without a repairer: the gaps stay as ingest told them
    extra = f"{feed}\n[ring]\ncapacity_bytes = {RING}\n[process.repairer]\ncount = 0\n"
    made = Site(tmp_path, kafka, clickhouse, extra, database=fresh("causes"))
    yield made
    made.close()


def test_a_lost_connection_a_full_ring_and_a_silent_stream(site: Site, venue: VenueThread) -> None:
    site.start().ready()

    def ask(sql: str) -> list[list[str]]:
        return query(site.clickhouse, sql.replace("DB", site.database))

    def gap(cause: str, more: str = "1") -> list[str]:
        columns = "stream, symbol, isNotNull(ended), missing_count, repair_state, toUnixTimestamp64Nano(receive_time)"
        sql = f"SELECT {columns} FROM DB.gap FINAL WHERE cause = '{cause}' AND {more} ORDER BY receive_time LIMIT 1"
        return eventually(lambda: ask(sql), 60, f"a gap row, cause {cause}")[0]

    def marked(at: str) -> bool:
        """Trades that came after carry the time of the gap."""
        sql = "SELECT count() FROM DB.trade WHERE toUnixTimestamp64Nano(assumeNotNull(last_gap)) = "
        return int(ask(sql + at)[0][0]) > 0

    eventually(lambda: int(ask("SELECT count() FROM DB.trade")[0][0]) > 20, 30, "trades")
    venue.call(lambda made: made.cut("reset"))
    stream, symbol, ended, _, state, at = gap("disconnect", "isNotNull(ended)")
    assert (stream, symbol, ended, state) == ("", "", "1", "open")
    eventually(lambda: marked(at), 60, "the marker of a reconnect")

    serializer = int(site.children()["serializer-0"]["pid"])
    os.kill(serializer, signal.SIGSTOP)
    eventually(lambda: site.status()["totals"]["dropped"].get("trade", 0) > 10, 30, "the ring is full")
    os.kill(serializer, signal.SIGCONT)
    stream, symbol, ended, count, state, at = gap("ring_full", "stream = 'trade'")
    assert (symbol, ended, state) == ("BTCUSDT", "1", "open")
    assert int(count) > 10
    first, last = (int(n) for n in ask("SELECT first_missing, last_missing FROM DB.gap WHERE cause = 'ring_full' "
                                       "AND stream = 'trade' ORDER BY receive_time LIMIT 1")[0])  # fmt: skip
    assert last - first + 1 == int(count)
    eventually(lambda: marked(at), 60, "the marker of a full ring")

    for name in ("btcusdt@markPrice@1s", "btcusdt@markPrice"):
        venue.call(lambda made, name=name: made.lose(name, 14))  # type: ignore[misc]
    stream, symbol, _, _, state, _ = gap("stale", "stream = 'mark_price'")
    assert (symbol, state) == ("BTCUSDT", "open")
    *_, at = gap("stale", "stream = 'mark_price' AND isNotNull(ended)")
    sql = "SELECT count() FROM DB.mark_price WHERE toUnixTimestamp64Nano(assumeNotNull(last_gap)) >= "
    eventually(lambda: int(ask(sql + at)[0][0]) > 0, 60, "the marker of a silence")

    assert site.stop() == 0, site.said()
    causes = {message.cause for message in in_kafka(site, "gap")}
    assert {"connect", "disconnect", "ring_full", "stale"} <= causes


def test_a_stop_while_a_connection_is_down_and_a_reboot(site: Site, venue: VenueThread) -> None:
    def gaps(what: str, where: str) -> list[list[str]]:
        return query(site.clickhouse, f"SELECT {what} FROM {site.database}.gap FINAL WHERE {where} ORDER BY started")

    def delivered_ns() -> int:
        states = json.loads((site.state / "connections.json").read_text())
        return min(int(states.get(name, {}).get("delivered", 0)) for name in connections)

    site.start().ready()
    connections = [name for name, child in site.children().items() if child["role"] == "ingest"]
    venue.call(lambda made: made.refuse(503, times=100_000))
    venue.call(lambda made: made.cut("reset"))
    lasting = eventually(lambda: gaps("gap_id", "cause = 'disconnect' AND isNull(ended)"), 60, "an open gap")
    assert site.stop() == 0, site.said()
    assert not listing(f"wsadapter-{site.instance}-"), "its page is gone"

    venue.call(lambda made: made.accept())
    site.start().ready()
    second_ns = time.time_ns()
    eventually(lambda: not gaps("gap_id", "isNull(ended)"), 60, "every gap has its end")
    assert {gap_id for (gap_id,) in lasting} <= {gap_id for (gap_id,) in gaps("gap_id", "cause = 'disconnect'")}

    eventually(lambda: delivered_ns() > second_ns, 60, "what was delivered is on the disk")
    known_ns, pids = delivered_ns(), [int(child["pid"]) for child in site.children().values()]
    for pid in (site.process.pid, *pids):
        os.kill(pid, signal.SIGKILL)
    killed_ns = time.time_ns()
    site.wait()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 60, "all are gone")
    for name in listing(f"wsadapter-{site.instance}-"):
        Segment.unlink(name)

    site.start().ready()
    where = f"cause = 'restart' AND isNotNull(ended) AND toUnixTimestamp64Nano(started) >= {known_ns}"
    each = "connection, toUnixTimestamp64Nano(started)"
    eventually(lambda: {name for name, _ in gaps(each, where)} == set(connections), 60, "the outage is a gap of each")
    begun = gaps(each, where)
    assert all(int(started) <= killed_ns for _, started in begun)
    assert site.stop() == 0, site.said()


def test_a_frame_that_cannot_be_decoded(kafka: str, clickhouse: str, tmp_path: Path) -> None:
    now, frames = int(time.time() * 1000), []
    for number in range(1, 60):
        price = "not a price" if number == 30 else "50000.10"
        trade = {"e": "aggTrade", "E": now + number, "s": "BTCUSDT", "a": number, "p": price, "q": "0.001",
                 "f": number, "l": number, "T": now + number, "m": False}  # fmt: skip
        frames.append(json.dumps({"stream": "btcusdt@aggTrade", "data": trade}))
    path = tmp_path / "frames.jsonl"
    path.write_text("\n".join(frames) + "\n")
    site = Site(tmp_path, kafka, clickhouse, database=fresh("undecoded"))
    try:
        site.start("replay", str(path)).wait(120)
        columns = "stream, symbol, first_missing, last_missing, missing_count, repair_state"
        sql = f"SELECT {columns}, toUnixTimestamp64Nano(receive_time) FROM {site.database}.gap WHERE cause = 'decode'"
        (row,) = query(clickhouse, sql)
        assert row[:-1] == ["trade", "BTCUSDT", "30", "30", "1", "open"]
        marker = "toUnixTimestamp64Nano(assumeNotNull(last_gap))"
        assert query(clickhouse, f"SELECT {marker} FROM {site.database}.trade WHERE trade_number = 31") == [[row[-1]]]
        assert [m.cause for m in in_kafka(site, "gap") if m.cause == "decode"] == ["decode"]
    finally:
        site.close()
