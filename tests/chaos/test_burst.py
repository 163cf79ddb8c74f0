"""A burst into rings that are too small, and full before it begins: each event is stored, or missing in a gap row.

Some ten thousand frames in the suite; ``WSADAPTER_BURST=1000000 pytest -s tests/chaos/test_burst.py`` sends so many.
"""

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
from road_site import Site

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread

BURST = int(os.environ.get("WSADAPTER_BURST", "40000"))
RING = 64 << 10
PATIENCE = 60 + BURST / 2000
STREAMS = ("trade", "book_ticker")

pytestmark = [pytest.mark.integration, pytest.mark.timeout(int(600 + 16 * PATIENCE))]


@pytest.fixture
def venue() -> Iterator[VenueThread]:
    with VenueThread(lambda: LoopbackVenue(Options(mode="blast", rate=0))) as made:
        made.call(lambda venue: setattr(venue, "paused", True))
        yield made


@pytest.fixture
def site(venue: VenueThread, kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    feed = FEED.format(symbols='["BTCUSDT", "ETHUSDT"]', url=venue.venue.url)
    # without a repairer, which could not know these trades: the gaps stay as ingest told them
    extra = f"{feed}\n[ring]\ncapacity_bytes = {RING}\n[process.repairer]\ncount = 0\n"
    made = Site(tmp_path, kafka, clickhouse, extra, database=fresh("burst"))
    yield made
    made.close()


def test_a_burst_into_full_rings_is_accounted_for_to_the_event(site: Site, venue: VenueThread) -> None:
    site.start().ready()

    def sent() -> dict[str, int]:
        return {stream: venue.venue.sent[stream] for stream in STREAMS}

    def play(count: int, serializer: signal.Signals) -> None:
        """So many more frames; what reads the rings is told to stand still, or to go on, before."""
        os.kill(int(site.children()["serializer-0"]["pid"]), serializer)
        target = sum(sent().values()) + count
        venue.call(lambda made: setattr(made, "paused", False))
        eventually(lambda: sum(sent().values()) >= target, PATIENCE, lambda: f"{sent()} frames are sent")
        venue.call(lambda made: setattr(made, "paused", True))

    play(2000, signal.SIGSTOP)  # more than a ring takes
    began = time.monotonic()
    play(BURST, signal.SIGCONT)
    seconds = time.monotonic() - began
    told = sent()

    def counted(name: str) -> dict[str, int]:
        return {stream: int(site.status()["totals"][name].get(stream, 0)) for stream in STREAMS}

    def received() -> bool:
        kept, lost = counted("events"), counted("dropped")
        return all(kept[stream] + lost[stream] == told[stream] for stream in STREAMS)

    eventually(received, PATIENCE, lambda: f"sent {told}, kept {counted('events')}, dropped {counted('dropped')}")
    kept, lost = counted("events"), counted("dropped")
    assert site.stop(300) == 0, site.said()  # counters that do not balance would be another code

    def ask(sql: str) -> int:
        return int(query(site.clickhouse, sql.replace("DB", site.database))[0][0])

    for stream in STREAMS:
        assert lost[stream] > 0, "the ring was never full: this test says nothing"
        assert ask(f"SELECT count() FROM DB.{stream}") == kept[stream]
        missing = ask(f"SELECT sum(missing_count) FROM DB.gap FINAL WHERE cause = 'ring_full' AND stream = '{stream}'")
        assert missing == lost[stream], f"{stream}: {lost[stream]} dropped, the gaps say {missing}"
    total, stored, missing = (sum(each.values()) for each in (told, kept, lost))
    print(f"\n{total:,} events in {seconds:.1f} s: {stored:,} stored, {missing:,} in gaps")


def test_a_stop_with_full_rings_leaves_a_gap_row_for_all_that_was_dropped(site: Site, venue: VenueThread) -> None:
    """Nothing comes after it that could end the holes; the serializer makes room while the ingests wait."""
    site.start().ready()
    serializer = int(site.children()["serializer-0"]["pid"])
    os.kill(serializer, signal.SIGSTOP)
    venue.call(lambda made: setattr(made, "paused", False))
    eventually(lambda: all(site.status()["totals"]["dropped"].get(stream, 0) > 100 for stream in STREAMS), PATIENCE)
    venue.call(lambda made: setattr(made, "paused", True))
    site.process.send_signal(signal.SIGTERM)
    eventually(lambda: not venue.call(lambda made: len(made.connections)), PATIENCE, "the ingests say goodbye")
    os.kill(serializer, signal.SIGCONT)
    assert site.wait(300) == 0, site.said()
    for stream in STREAMS:
        there = f"SELECT count() FROM {site.database}.{stream}"
        full = f"{site.database}.gap FINAL WHERE cause = 'ring_full' AND stream = '{stream}'"
        gone = f"SELECT ifNull(sum(missing_count), 0) FROM {full}"
        ((kept,),), ((lost,),) = query(site.clickhouse, there), query(site.clickhouse, gone)
        assert int(kept) + int(lost) == venue.venue.sent[stream], f"{stream}: {kept} stored, {lost} in gaps"
