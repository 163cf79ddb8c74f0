"""The whole road for hours under load, with cuts, rotations, outages and reloads from a seed: nothing may grow.

``make soak FOR=7200`` (seconds), ``RATE=2000`` frames a second, ``SEED=`` to repeat one. Every minute the memory,
descriptors and threads of each role, the segments and the spool are noted; ``build/soak`` has them as CSV and plot.
After the first half hour a role may grow by less than 1 MB an hour, descriptors and segments must be what they were,
the audit finds nothing unexplained and the counters balance. How many frames a second really came is said, not judged:
that is the machine.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import soak_report
from chaos.nemesis import Nemesis
from chaos.soak_samples import Sampler, write_csv
from eventually import eventually
from oracle import query
from road.test_feed import FEED
from road_site import Site

from wsadapter.embedded.servers import ClickHouseServer, KafkaServer, VenueThread
from wsadapter.errors import ServiceUnavailable
from wsadapter.shm.segment import listing

SECONDS = float(os.environ.get("WSADAPTER_SOAK", "0"))
RATE = float(os.environ.get("WSADAPTER_RATE", "2000"))
SEED = int(os.environ.get("WSADAPTER_SEED", "0")) or random.randrange(1, 1 << 32)
REPORT = Path("build/soak")
SYMBOLS = (
    "BTCUSDT",
    "ETHUSDT",
    "BNBUSDT",
    "XRPUSDT",
    "ADAUSDT",
    "DOGEUSDT",
    "LTCUSDT",
    "LINKUSDT",
    "AVAXUSDT",
    "SOLUSDT",
)
"""Enough that the venue still knows each one's trades when a gap's turn comes."""
EVERY = 60.0
ROTATION = 600.0
AUDIT_SECONDS = 3600.0
STARTS = 10

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(int(2 * SECONDS + 7200)),
    pytest.mark.skipif(not SECONDS, reason="make soak FOR=7200 runs it"),
]


class Weather(Nemesis):
    """What happens to an instance from outside; no process of ours is killed, so that each has a long life.

    A reload starts the monitor again, as ever: there is none between two fifths and nine tenths of the run."""

    usual = "^(cut|lose|reload|(kill|stop) (the broker|ClickHouse)$)"
    calm = False

    def strike(self) -> str:
        deeds = self._deeds
        if self.calm:
            self._deeds = [deed for deed in deeds if deed[1] != "reload"]
        try:
            return super().strike()
        finally:
            self._deeds = deeds

    def _kill_broker(self) -> None:
        """A machine that is waited for may take longer to start the broker than the broker allows itself."""
        self._broker.kill()
        self._pause(0.5, 6.0)
        for attempt in range(STARTS):
            try:
                self._broker.start()
                return
            except ServiceUnavailable:
                if attempt == STARTS - 1:
                    raise

    def wait(self) -> float:
        """Seconds until the next deed."""
        return self.rng.uniform(20.0, 120.0)


@pytest.fixture
def site(venue: VenueThread, broker: KafkaServer, engine: ClickHouseServer, tmp_path: Path) -> Iterator[Site]:
    feed = FEED.format(symbols=json.dumps(SYMBOLS), url=venue.venue.url).replace(
        '"book_ticker"]', '"book_ticker", "depth", "kline", "mark_price"]\ndepth_levels = 0'
    )
    feed = f'{feed}rest_url = "{venue.venue.rest_url}"\nrotate_after = {ROTATION}\n'
    made = Site(tmp_path, broker.bootstrap, engine.url, f"{feed}\n[restart]\nbackoff_min = 0.1\nintensity = 1000\n")
    yield made
    made.close()


def audit(site: Site) -> None:
    """Nothing unexplained; the tables are large, so it may take its time."""
    command = [sys.executable, "-m", "wsadapter.cli.main", "audit", "--live", "--json", "--config", str(site.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=AUDIT_SECONDS, check=False)
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])


def test_nothing_grows(site: Site, venue: VenueThread, broker: KafkaServer, engine: ClickHouseServer) -> None:
    print(f"\nseed {SEED}, {RATE:.0f} frames a second for {SECONDS:.0f} s")
    weather = Weather(SEED, site, venue, broker, engine, None, None)
    site.start().ready()
    sampler = Sampler(site)
    next_sample, next_deed = 0.0, weather.wait()
    while sampler.seconds < SECONDS:
        sampler.wait_for(min(next_sample, next_deed, SECONDS))
        if sampler.seconds >= next_sample:
            sampler.take({"kafka": broker.pid, "clickhouse": engine.pid})
            next_sample += EVERY
            write(sampler)
        if sampler.seconds >= next_deed:
            weather.calm = 0.4 < sampler.seconds / SECONDS < 0.9
            print(f"{sampler.seconds:7.0f} s  {weather.strike()}", flush=True)
            next_deed = sampler.seconds + weather.wait()
    site.ready()
    sampler.take({"kafka": broker.pid, "clickhouse": engine.pid})
    found = write(sampler)
    said = soak_report.table(found)
    segments = soak_report.constant(sampler.around, SECONDS)
    first, last = sampler.around[0], sampler.around[-1]
    rate = (last.frames - first.frames) / (last.second - first.second)
    load = sum(one.load for one in sampler.around) / len(sampler.around)
    spool = max(one.spool_bytes for one in sampler.around) / 1e6
    print(f"{said}\n{rate:.0f} frames/s received, load {load:.1f}, segments {segments[0]} -> {segments[1]}, "
          f"spool up to {spool:.0f} MB")  # fmt: skip
    for name, times in sorted(weather.recovery.items()):
        print(f"  {name}: {weather.done[name]}, ready again after {max(times):.1f} s at most")

    eventually(lambda: not site.status()["repairers"][0]["gaps_open"], 600, "no gap is open")
    audit(site)
    assert site.stop(600) == 0, site.said()
    assert not listing(f"wsadapter-{site.instance}-"), "counters that do not balance, or a ring, are kept"
    gaps = query(engine.url, f"SELECT cause, count() FROM {site.database}.gap FINAL GROUP BY cause ORDER BY cause")
    print("gaps", " ".join(f"{cause}={count}" for cause, count in gaps), "audit clean, counters balanced")
    assert not [row for row in found if row.grows], said
    assert not [row for row in found if row.leaks_descriptors], said
    assert segments[1] <= segments[0]


def write(sampler: Sampler) -> list[soak_report.Row]:
    """What there is by now: a soak that is ended early has told that much."""
    REPORT.mkdir(parents=True, exist_ok=True)
    write_csv(REPORT / "samples.csv", sampler.samples, sampler.around)
    (REPORT / "memory.svg").write_text(soak_report.plot(sampler.samples))
    found = soak_report.rows(sampler.samples, SECONDS)
    (REPORT / "table.txt").write_text(soak_report.table(found) + "\n")
    return found
