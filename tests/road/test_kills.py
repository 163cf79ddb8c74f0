"""kill -9 of any one child under load, stand-ins included: it comes back by itself and what reached a ring is in the
tables once."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from oracle import RingWatcher, compare, stored, unique
from road_site import Site

pytestmark = pytest.mark.integration
BLAST = {"WSADAPTER_VENUE_RATE": "5000"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, extra="[restart]\nbackoff_min = 0.1\nintensity = 20\n")
    yield made
    made.close()


def recovered(site: Site, name: str, old_pid: int) -> bool:
    child = site.children().get(name, {})
    return child.get("state") == "running" and child.get("pid") not in (0, old_pid)


def test_every_child_killed_once(site: Site) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    site.start("--demo", environ=BLAST).ready()
    watcher = RingWatcher(site.rings())
    children = sorted(site.children())
    rng.shuffle(children)
    for name in children:
        before = len(watcher.published)
        eventually(lambda before=before: len(watcher.published) > before + rng.randint(100, 3000), 30, "load")
        pid = site.kill(name)
        eventually(lambda name=name, pid=pid: recovered(site, name, pid), 60, f"{name} killed, back again")
    eventually(lambda: site.get("/readyz")[0] == 200, 60, "ready again")
    # the venue stops first, then the road drains; ClickHouse must outlive both to be asked
    site.stop_road()
    watcher.stop()
    assert watcher.published

    lost, duplicated = compare(watcher.published, stored(site.clickhouse))
    assert not lost, f"{len(lost)} of {len(watcher.published)} lost, first {lost[:3]}"
    assert not duplicated, f"{len(duplicated)} stored twice, first {duplicated[:3]}"
    for table, (plain, final) in unique(site.clickhouse).items():
        assert plain == final or table == "gap", table
