"""Children that die, hang or refuse are started again, or not, as the policy says; the others are not touched."""

import os
import signal
import time

import pytest
from eventually import eventually
from supervision.supervised_site import Site, alive

FAST = {"backoff_min": 0.05, "backoff_max": 0.3, "intensity": 3, "period": 60.0}


def test_killed_child_comes_back_and_the_others_stay(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a"}, {"name": "serializer-0", "group": 20})
    first = site.wait("ingest-a", "running")[0]
    other = site.wait("serializer-0", "running")
    os.kill(first, signal.SIGKILL)

    second = site.wait("ingest-a", "running", 2)[1]
    cell = 'child_restarts_total{role="ingest",name="ingest-a",reason="signal"}'
    assert second != first
    assert other == site.happened("serializer-0", "running")
    assert eventually(lambda: site.page("supervisor")[cell]) == 1
    assert eventually(lambda: site.page("supervisor")['child_up{role="ingest",name="ingest-a"}']) == 1
    assert any(record.get("how") == "SIGKILL, perhaps out of memory" for record in site.records())
    assert supervisor.poll() is None


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT], ids=lambda number: number.name)
def test_crashed_child_comes_back_and_its_signal_is_named(site: Site, number: signal.Signals) -> None:
    site.start({"name": "ingest-a"})
    os.kill(site.wait("ingest-a", "running")[0], number)

    site.wait("ingest-a", "running", 2)
    assert any(record.get("how", "").startswith(number.name) for record in site.records())


def test_hung_child_dumps_its_stack_and_is_killed(site: Site) -> None:
    site.start({"name": "ingest-a", "options": {"hang": True}, "heartbeat_deadline": 0.6}, {"name": "serializer-0"})

    site.wait("ingest-a", "running", 2)
    cell = 'child_restarts_total{role="ingest",name="ingest-a",reason="hung"}'
    assert eventually(lambda: site.page("supervisor")[cell]) >= 1
    eventually(lambda: "fake_child.py" in site.log(), 20)  # the dump names the file in which it hangs
    assert len(site.happened("serializer-0", "started")) == 1


def test_stopped_child_is_killed_and_comes_back(site: Site) -> None:
    site.start({"name": "ingest-a", "heartbeat_deadline": 3.0})  # not before we stop it, on a loaded machine
    first = site.wait("ingest-a", "running")[0]
    os.kill(first, signal.SIGSTOP)

    site.wait("ingest-a", "running", 2)
    assert eventually(lambda: first not in site.living())


def test_child_that_never_gets_ready_is_killed_after_its_start_deadline(site: Site) -> None:
    site.start({"name": "ingest-a", "options": {"never_ready": True, "hang": True}, "start_deadline": 1.0})

    # by what the supervisor says of it: on a loaded machine the deadline is over before the child can say anything
    eventually(lambda: [record["event"] for record in site.records()].count("child started") >= 2, 20)
    cell = 'child_restarts_total{role="ingest",name="ingest-a",reason="hung"}'
    assert eventually(lambda: site.page("supervisor")[cell]) >= 1


def test_slow_start_is_borne_up_to_its_own_deadline(site: Site) -> None:
    site.start({"name": "kafka", "options": {"slow_start": 4.0}, "heartbeat_deadline": 2.0, "start_deadline": 60.0})

    site.wait("kafka", "running")
    assert len(site.happened("kafka", "started")) == 1


def test_crash_loop_opens_the_circuit_and_spares_the_others(site: Site) -> None:
    supervisor = site.start(
        {"name": "ingest-a", "options": {"exit_at_once": 1}}, {"name": "serializer-0", "group": 20}, restart=FAST
    )

    def degraded() -> list[dict[str, object]]:
        return [record for record in site.records() if record.get("event") == "child ended, circuit open"]

    eventually(lambda: len(degraded()) >= 1, 20)
    descriptors = len(os.listdir(f"/proc/{supervisor.pid}/fd"))
    eventually(lambda: len(degraded()) >= 4, 20)  # it goes on being tried, and that costs nothing
    assert len(os.listdir(f"/proc/{supervisor.pid}/fd")) <= descriptors + 4  # what one running child needs
    assert len(site.happened("serializer-0", "started")) == 1
    assert supervisor.poll() is None


def test_supervisor_gives_up_when_no_essential_child_stays_up(site: Site) -> None:
    supervisor = site.start(
        {"name": "ingest-a", "options": {"exit_at_once": 1}},
        {"name": "serializer-0", "group": 20, "options": {"exit_at_once": 3}},
        {"name": "monitor", "group": 40, "essential": False},
        restart=FAST,
    )

    assert supervisor.wait(60) == 71
    assert not site.living()


def test_refused_configuration_stops_everything_with_78_and_its_reason(site: Site) -> None:
    supervisor = site.start(
        {"name": "ingest-a"}, {"name": "consumer-0", "group": 30, "options": {"refuse": "is not ours"}}
    )

    assert supervisor.wait(60) == 78
    assert not site.living()
    reasons = [record["how"] for record in site.records() if record["event"] == "configuration refused, stopping"]
    assert reasons == ["exit 78 (CONFIG): kafka.topic_prefix: is not ours"]


def test_exit_78_after_running_is_an_ordinary_failure(site: Site) -> None:
    supervisor = site.start({"name": "consumer-0", "options": {"exit_when_running": 78}}, {"name": "ingest-a"})

    site.wait("consumer-0", "running", 3)
    cell = 'child_restarts_total{role="consumer",name="consumer-0",reason="config"}'
    assert eventually(lambda: site.page("supervisor")[cell]) >= 2
    assert supervisor.poll() is None


def test_transient_child_is_not_started_again_after_exit_0(site: Site) -> None:
    site.start({"name": "serializer-old", "restart": "transient", "options": {"drain": 0.0, "exit_at_once": 0}},
               {"name": "ingest-a"})  # fmt: skip

    eventually(lambda: "child finished" in site.log(), 20.0)
    site.wait("ingest-a", "running")
    assert len(site.happened("serializer-old", "started")) == 1


def test_what_a_dead_child_started_goes_with_it(site: Site) -> None:
    site.start({"name": "kafka", "options": {"grandchild": True}})
    child = site.wait("kafka", "running")[0]
    (grandchild,) = [int(event.split("-")[1]) for _, event, _ in site.events() if event.startswith("grandchild-")]
    assert alive(grandchild)
    os.kill(child, signal.SIGKILL)

    eventually(lambda: not alive(grandchild))


def test_child_that_the_system_refuses_to_start_is_tried_again(site: Site) -> None:
    no_such_descriptor = 999
    supervisor = site.start({"name": "ingest-a", "pass_fds": [no_such_descriptor]}, {"name": "ingest-b"})

    site.wait("ingest-b", "running")
    refused = "could not be started: Bad file descriptor"
    eventually(lambda: len([record for record in site.records() if record.get("how") == refused]) >= 2)
    assert supervisor.poll() is None


def test_arguments_larger_than_a_pipe(site: Site) -> None:
    site.start({"name": "ingest-a", "options": {"filler": "x" * 300_000}})

    site.wait("ingest-a", "running")


def test_children_are_not_killed_for_a_time_in_which_all_were_frozen(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a", "heartbeat_deadline": 5.0})
    child = site.wait("ingest-a", "running")[0]
    for pid in (child, supervisor.pid):
        os.kill(pid, signal.SIGSTOP)
    frozen = time.monotonic() + 6.5
    eventually(lambda: time.monotonic() > frozen)
    before = site.page("supervisor")["heartbeat_ns"]
    os.kill(supervisor.pid, signal.SIGCONT)
    eventually(lambda: site.page("supervisor")["heartbeat_ns"] > before)  # it has looked at its children
    os.kill(child, signal.SIGCONT)

    beat = site.page("ingest-a")["heartbeat_ns"]
    eventually(lambda: site.page("ingest-a")["heartbeat_ns"] > beat + 6 * 10**9)
    assert site.happened("ingest-a", "started") == [child]
