"""Wipe Kafka's data, keep ClickHouse's, run again: offsets begin at zero, and nothing is missing."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from oracle import RingWatcher, compare, stored
from road_site import Site

from wsadapter.embedded.servers import ClickHouseServer

pytestmark = pytest.mark.integration


@pytest.fixture
def site(java: None, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_two_runs_with_a_wiped_broker_between(site: Site) -> None:
    published = set()
    for _ in range(2):
        site.start("--demo", "--rate", "1000").ready()
        watcher = RingWatcher(site.rings())
        watcher.wait_for(4000)
        assert site.stop() == 0, site.said()
        watcher.stop()
        published |= watcher.published
        shutil.rmtree(site.state / "kafka")
        assert os.path.isdir(site.state / "clickhouse")

    with ClickHouseServer(site.state) as engine:
        lost, duplicated = compare(published, stored(engine.url))
    assert (lost, duplicated) == ([], [])
