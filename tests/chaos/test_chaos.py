"""A seeded nemesis strikes the whole road every few seconds; at the end the oracle compares rings, broker and tables.

``make chaos FOR=600`` (seconds), ``SEED=`` to repeat one; ``make chaos KILLS=300`` does nothing but so many kill -9, as
fast as those killed come back. The invariants are those of the fault list: I1 acknowledged is never lost, I2 nothing
damaged or made up, I3 what is missing is explained, I4 order, I5 recovery, I6 nothing leaks, I7 counters and exit code
agree.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from chaos import broker_log
from chaos.killer import Killer
from chaos.nemesis import Nemesis
from chaos.surroundings import SmallDisk, SteppedClock
from eventually import eventually
from oracle import RingWatcher, compare, query, stored, unique
from road.audited import audit
from road.test_feed import FEED
from road_site import Site

from wsadapter.embedded.servers import ClickHouseServer, KafkaServer, VenueThread
from wsadapter.shm.segment import listing

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(7200),
    # random by nature: a run of its own with a seed to repeat it, not the verdict about a change
    pytest.mark.skipif("WSADAPTER_CHAOS" not in os.environ, reason="make chaos FOR=600 runs it"),
]

SECONDS = float(os.environ.get("WSADAPTER_CHAOS", "20"))
KILLS = int(os.environ.get("WSADAPTER_KILLS", "0"))
SEED = int(os.environ.get("WSADAPTER_SEED", "0")) or random.randrange(1, 1 << 32)
RATE = 600
BACKOFF = "backoff_max = 0.5\n" if KILLS else ""
RECOVERY_SECONDS = 60.0
DESCRIPTORS = 200
STATE_MEGABYTES = 256
REBOOTS = 3


@pytest.fixture
def clock(tmp_path: Path) -> SteppedClock | None:
    return SteppedClock(tmp_path) if SteppedClock.possible else None


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk | None]:
    """That of the state directory."""
    made = SmallDisk(tmp_path / "state", STATE_MEGABYTES) if SmallDisk.possible else None
    yield made
    if made:
        made.close()


@pytest.fixture
def site(
    venue: VenueThread,
    broker: KafkaServer,
    engine: ClickHouseServer,
    clock: SteppedClock | None,
    disk: SmallDisk | None,
    tmp_path: Path,
) -> Iterator[Site]:
    feed = FEED.format(symbols='["BTCUSDT", "ETHUSDT", "SOLUSDT"]', url=venue.venue.url)
    feed = feed.replace(
        '"book_ticker"]', '"book_ticker", "depth", "kline", "mark_price", "open_interest"]\ndepth_levels = 0'
    )
    feed = f'{feed}rest_url = "{venue.venue.rest_url}"\n'
    restart = f"[restart]\nbackoff_min = 0.1\n{BACKOFF}intensity = 1000\n"
    made = Site(tmp_path, broker.bootstrap, engine.url, f"{feed}\n{restart}")
    made.environ = clock.environ if clock else {}
    yield made
    made.close()


def test_a_machine_that_reboots_under_load(site: Site, engine: ClickHouseServer) -> None:
    """What was in a ring is gone with the machine: it is fetched again, or said."""
    print(f"\nseed {SEED}")
    rng = random.Random(SEED)
    site.start().ready()
    for number in range(REBOOTS):
        watcher = RingWatcher(site.rings())
        watcher.wait_for(rng.randint(RATE, 10 * RATE))
        watcher.stop()
        site.power_off()
        time.sleep(rng.uniform(0.0, 3.0))
        site.start().ready()
        print(f"reboot {number + 1}", flush=True)
    watcher = RingWatcher(site.rings())
    watcher.wait_for(3 * RATE)
    eventually(lambda: not site.status()["repairers"][0]["gaps_open"], 4 * RECOVERY_SECONDS, "no gap is open")
    audit(site)
    assert site.stop() == 0, site.said()
    watcher.stop()
    trades = (
        f"SELECT symbol, max(trade_number) - min(trade_number) + 1 - uniqExact(trade_number)"
        f" FROM {site.database}.trade GROUP BY symbol"
    )
    assert {symbol: int(missing) for symbol, missing in query(engine.url, trades)} == {
        "BTCUSDT": 0,
        "ETHUSDT": 0,
        "SOLUSDT": 0,
    }
    lost, duplicated = compare(watcher.published, stored(engine.url, site.database))
    assert (lost, duplicated) == ([], [])


def test_whatever_is_done_to_it(
    site: Site,
    venue: VenueThread,
    broker: KafkaServer,
    engine: ClickHouseServer,
    clock: SteppedClock | None,
    disk: SmallDisk | None,
) -> None:
    print(f"\nseed {SEED}")
    nemesis = (Killer if KILLS else Nemesis)(SEED, site, venue, broker, engine, clock, disk)
    site.start().ready()
    watcher = RingWatcher(site.rings())
    watcher.wait_for(RATE)
    began = time.monotonic()
    while nemesis.done.total() < KILLS if KILLS else time.monotonic() < began + SECONDS:
        watcher.wait_for(nemesis.rng.randint(1, RATE if KILLS else 3 * RATE))
        print(f"{time.monotonic() - began:7.1f} s  {nemesis.done.total() + 1:4}  {nemesis.strike()}", flush=True)
    site.ready()
    watcher.wait_for(3 * RATE)

    def open_gaps() -> int:
        return int(site.status()["repairers"][0]["gaps_open"])

    while left := open_gaps():  # hundreds, within the venue's weight
        print(f"{left} gaps are open yet", flush=True)
        eventually(lambda: open_gaps() < left, RECOVERY_SECONDS, "one gap after the other is worked off")
    found = audit(site)  # I3
    # a trade that is missing is one that the venue kept no longer when its gap's turn came
    oldest = {symbol: market.deals[0].aggregate_id for symbol, market in venue.venue.floor.markets.items()}
    missing = [hole for hole in found["holes"] if hole["stream"] == "trade"]
    for hole in missing:
        assert hole["last_missing"] < oldest[hole["symbol"]], (hole, oldest)
    restarts = sum(int(child["restarts"]) for child in site.children().values())
    for child in site.children().values():
        assert psutil.Process(child["pid"]).num_fds() < DESCRIPTORS, child["name"]
    children = [int(child["pid"]) for child in site.children().values()]
    assert site.stop() == 0, site.said()
    watcher.stop()
    repeated = broker_log.check(broker.bootstrap, f"{site.database}.", watcher)  # I1, I2, I4
    lost, duplicated = compare(watcher.published, stored(engine.url, site.database))
    gaps = query(engine.url, f"SELECT cause, count() FROM {site.database}.gap FINAL GROUP BY cause ORDER BY cause")

    print(f"{len(watcher.contents):,} records, {repeated:,} twice in Kafka, {sum(nemesis.done.values())} deeds:")
    for name, times in sorted(nemesis.recovery.items()):
        print(
            f"  {name}: {nemesis.done[name]}, {'running' if KILLS else 'ready'} again after {max(times):.1f} s at most"
        )
    print(
        "gaps",
        " ".join(f"{cause}={count}" for cause, count in gaps),
        "holes, each explained by a gap row:",
        len(found["holes"]),
        "numbers missing in them:",
        sum(hole["missing"] or 0 for hole in found["holes"]),
        "trades that the venue kept no longer:",
        sum(hole["missing"] for hole in missing),
        "restarts",
        restarts,
    )
    assert not lost, f"{len(lost)} of {len(watcher.published)} lost, first {lost[:3]}"
    assert not duplicated, f"{len(duplicated)} stored twice, first {duplicated[:3]}"
    for table, (plain, final) in unique(engine.url, site.database).items():
        assert plain == final or table == "gap", table
    assert max(max(times) for times in nemesis.recovery.values()) < RECOVERY_SECONDS  # I5
    assert not any(psutil.pid_exists(pid) for pid in children)  # I6
    assert not listing(f"wsadapter-{site.instance}-"), "counters that do not balance, or a ring, are kept"
    assert restarts >= nemesis.kills  # I7
