"""Stops: in order, bounded, with the exit code that says whether something was lost."""

import os
import signal
from datetime import datetime

import pytest
from eventually import eventually
from supervision.supervised_site import Site

from wsadapter.shm import segment as shm

ROAD = (
    {"name": "ingest-a", "group": 10, "options": {"drain": 0.2}},
    {"name": "ingest-b", "group": 10},
    {"name": "serializer-0", "group": 20, "options": {"drain": 0.2}, "drains": True},
    {"name": "consumer-0", "group": 30},
    {"name": "monitor", "group": 40, "essential": False},
    {"name": "kafka", "group": 50, "essential": False},
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drains_group_by_group(site: Site, number: signal.Signals) -> None:
    supervisor = site.start(*ROAD)
    site.wait("supervisor", "ready")
    os.killpg(supervisor.pid, number)  # as Ctrl-C does, and a service manager that signals the whole group

    assert supervisor.wait(60) == 0
    order = [name for name, event, _ in site.events() if event in ("ended", "drained")]
    assert {"ingest-a", "ingest-b"} == set(order[:2])
    assert order[2:] == ["serializer-0", "consumer-0", "supervisor", "monitor", "kafka"]
    # nobody is told before the group ahead is gone
    events = [(name, event) for name, event, _ in site.events()]
    assert events.index(("serializer-0", "stopping")) > events.index(("ingest-a", "ended"))
    assert events.index(("consumer-0", "stopping")) > events.index(("serializer-0", "ended"))
    assert shm.listing(f"wsadapter-{site.instance}-") == []


@pytest.mark.parametrize(("loss", "code"), [(False, 0), (True, 75)])
def test_child_that_ignores_the_stop_is_killed_in_time(site: Site, loss: bool, code: int) -> None:
    supervisor = site.start(
        {"name": "ingest-a", "options": {"ignore_stop": True}},
        {"name": "serializer-0", "group": 20},
        drain=5.0,  # a tenth of it is the serializer's
        loss=loss,
    )
    site.wait("supervisor", "ready")
    supervisor.terminate()

    assert supervisor.wait(60) == code
    begun, ended = (datetime.fromisoformat(site.record(event)["timestamp"]) for event in ("stopping", "stopped"))
    assert (ended - begun).total_seconds() <= 5.0 + 15.0, "and not when the child would"
    assert not site.living()
    assert site.happened("serializer-0", "ended")
    assert site.record("child stopped")["how"] == "killed, it did not stop in time"


def test_second_signal_kills_what_is_left(site: Site) -> None:
    supervisor = site.start(*ROAD[:-1], {"name": "kafka", "group": 5, "options": {"drain": 60.0}}, drain=60.0)
    site.wait("supervisor", "ready")
    supervisor.terminate()
    site.wait("kafka", "stopping")
    supervisor.send_signal(signal.SIGINT)

    assert supervisor.wait(60) == 0
    assert not site.living()
    assert not site.happened("kafka", "ended")


def test_second_signal_with_loss(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a", "options": {"drain": 60.0}}, drain=60.0, loss=True)
    site.wait("supervisor", "ready")
    supervisor.terminate()
    site.wait("ingest-a", "stopping")
    supervisor.terminate()

    assert supervisor.wait(60) == 75


def test_loss_is_not_asked_for_after_a_clean_stop(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a"}, loss=True)
    site.wait("supervisor", "ready")
    supervisor.terminate()

    assert supervisor.wait(60) == 0


def test_reader_that_is_down_at_the_stop_is_started_once_more_to_drain(site: Site) -> None:
    # its backoff is longer than the test: it is down when the stop comes
    supervisor = site.start(
        {"name": "ingest-a"},
        {"name": "serializer-0", "group": 20, "drains": True},
        restart={"backoff_min": 1000.0, "backoff_max": 1000.0, "intensity": 50, "period": 60.0},
    )
    pid = site.wait("serializer-0", "running")[0]
    site.wait("supervisor", "ready")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: any(record.get("event") == "child ended" for record in site.records()))
    supervisor.terminate()

    assert supervisor.wait(60) == 0
    assert len(site.happened("serializer-0", "started")) == 2
    assert len(site.happened("serializer-0", "ended")) == 1


def test_runs_for_a_time_and_stops(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a"}, run_for=0.3)

    assert supervisor.wait(60) == 0
    assert site.happened("ingest-a", "ended")
