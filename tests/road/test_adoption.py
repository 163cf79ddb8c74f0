"""The supervisor dies with the broker down, alone or with its whole group: the next start adopts the rings, and what
reached one is in the tables once."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eventually import eventually
from fresh import fresh
from oracle import RingWatcher, compare, stored
from road_site import Site

from wsadapter.embedded.servers import KafkaServer
from wsadapter.shm.segment import listing

pytestmark = pytest.mark.integration


@pytest.fixture
def site(own_kafka: Callable[[], KafkaServer], clickhouse: str, tmp_path: Path) -> Iterator[tuple[Site, KafkaServer]]:
    broker = own_kafka()
    broker.start()
    made = Site(tmp_path, broker.bootstrap, clickhouse, database=fresh("adopt"))
    yield made, broker
    made.close()
    # what a killed supervisor leaves behind is for the next start; here there is none
    assert not listing(f"wsadapter-{made.instance}-")


def gone(pids: list[int]) -> bool:
    return not any(os.path.exists(f"/proc/{pid}/exe") for pid in pids)


@pytest.mark.parametrize("whole_group", [False, True], ids=["supervisor alone", "whole group"])
def test_the_next_start_adopts_the_rings(site: tuple[Site, KafkaServer], whole_group: bool) -> None:
    road, broker = site
    road.start("--demo", "--rate", "5000").ready()
    watcher = RingWatcher(road.rings())
    watcher.wait_for(5000)
    broker.kill()
    watcher.wait_for(10_000)
    pids = [child["pid"] for child in road.children().values()]

    if whole_group:
        for pid in [road.process.pid, *pids]:
            os.kill(pid, signal.SIGKILL)
    else:
        road.process.kill()
    road.process.wait()
    eventually(lambda: gone(pids), 12, "no child outlives its supervisor")
    watcher.stop()

    broker.start()
    assert road.start("--demo", "--for", "3s").wait() == 0, road.said()
    assert "lost 0  duplicates 0" in road.said(), "its account"
    lost, duplicated = compare(watcher.published, stored(road.clickhouse, road.database))
    assert not lost, f"{len(lost)} of {len(watcher.published)} lost, first {lost[:3]}"
    assert not duplicated, f"{len(duplicated)} stored twice, first {duplicated[:3]}"


def test_a_stop_with_the_broker_down_keeps_the_rings(site: tuple[Site, KafkaServer]) -> None:
    road, broker = site
    patient = road.config.read_text()
    road.config.write_text(patient.replace("drain_seconds = 100", "drain_seconds = 10"))
    road.start("--demo", "--rate", "2000").ready()
    watcher = RingWatcher(road.rings())
    watcher.wait_for(2000)
    broker.kill()
    watcher.wait_for(2000)
    assert road.stop() == 0, "what is in a ring is kept, not lost"
    watcher.stop()

    broker.start()
    road.config.write_text(patient)
    assert road.start("--demo", "--for", "3s").wait() == 0, road.said()
    assert "lost 0  duplicates 0" in road.said(), "its account"
    lost, duplicated = compare(watcher.published, stored(road.clickhouse, road.database))
    assert (lost, duplicated) == ([], [])
