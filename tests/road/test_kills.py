"""kill -9 of any one child under load, stand-ins included: it comes back by itself and what reached a ring is in the
tables once."""

import glob
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from oracle import RingWatcher, compare, stored, unique
from road.audited import audit
from road_site import Site

from wsadapter.embedded.servers import ClickHouseServer

pytestmark = pytest.mark.integration


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, extra="[restart]\nbackoff_min = 0.1\nintensity = 20\n")
    yield made
    made.close()


def assert_stored_once(watcher: RingWatcher, url: str) -> None:
    lost, duplicated = compare(watcher.published, stored(url))
    assert not lost, f"{len(lost)} of {len(watcher.published)} lost, first {lost[:3]}"
    assert not duplicated, f"{len(duplicated)} stored twice, first {duplicated[:3]}"
    for table, (plain, final) in unique(url).items():
        assert plain == final or table == "gap", table


def await_recovery(site: Site, name: str, old_pid: int) -> None:
    def recovered() -> bool:
        child = site.children().get(name, {})
        return child.get("state") == "running" and child.get("pid") not in (0, old_pid)

    eventually(recovered, 60, f"{name} killed, back again")


def test_every_child_killed_once(site: Site) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    site.start("--demo", "--rate", "5000").ready()
    watcher = RingWatcher(site.rings())
    children = sorted(site.children())
    rng.shuffle(children)
    for name in children:
        watcher.wait_for(rng.randint(100, 3000))
        await_recovery(site, name, site.kill(name))
    eventually(lambda: site.get("/readyz")[0] == 200, 60, "ready again")
    watcher.wait_for(3000)
    audited = audit(site)
    assert site.stop() == 0, site.said()
    watcher.stop()
    assert watcher.published
    assert not {one["verdict"] for one in audited["live"]["hops"]} & {"unexplained", "damaged spool", "earlier"}
    assert not glob.glob(f"/dev/shm/wsadapter-{site.instance}-*"), site.said()

    with ClickHouseServer(site.state) as engine:
        assert_stored_once(watcher, engine.url)
