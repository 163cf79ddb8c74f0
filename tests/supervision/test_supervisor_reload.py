"""SIGHUP: only children whose spec changed are touched; a bad configuration changes nothing; storms are one reload."""

import signal
import time

from eventually import eventually
from supervision.supervised_site import Site

from wsadapter.supervision.instance import last_reload

BASE = ({"name": "ingest-a"}, {"name": "ingest-b"}, {"name": "serializer-0", "group": 20})


def test_reload_touches_only_what_changed(site: Site) -> None:
    supervisor = site.start(*BASE)
    site.wait("supervisor", "ready")
    site.write(BASE[0], {"name": "serializer-0", "group": 20, "options": {"changed": 1}}, {"name": "ingest-c"})
    supervisor.send_signal(signal.SIGHUP)

    site.wait("ingest-c", "running")
    site.wait("serializer-0", "running", 2)
    order = [(name, event) for name, event, _ in site.events()]
    assert order.index(("serializer-0", "stopping")) > order.index(("ingest-b", "ended"))
    assert order.index(("ingest-c", "started")) > order.index(("serializer-0", "ended"))
    assert len(site.happened("ingest-a", "started")) == 1
    up = eventually(
        lambda: page if (page := site.page("supervisor")).get('child_up{role="ingest",name="ingest-c"}') else {}
    )
    assert 'child_up{role="ingest",name="ingest-b"}' not in up
    supervisor.terminate()
    assert supervisor.wait(60) == 0


def test_bad_configuration_changes_nothing(site: Site) -> None:
    supervisor = site.start(*BASE)
    site.wait("supervisor", "ready")
    (site.path / "scenario.json.bad").touch()
    supervisor.send_signal(signal.SIGHUP)

    eventually(lambda: "feed[0].name: is bad" in site.log())
    eventually(lambda: site.page("supervisor")["config_last_reload_successful"] == 0)
    supervisor.terminate()
    assert supervisor.wait(60) == 0
    assert len([event for _, event, _ in site.events() if event == "started"]) == 3


def test_what_is_applied_without_being_read_is_no_outcome_of_a_reload(site: Site) -> None:
    """The file on disk is refused still, whatever a listing changes."""
    supervisor = site.start(*BASE)
    site.wait("supervisor", "ready")
    (site.path / "scenario.json.bad").touch()
    supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: site.page("supervisor")["config_last_reload_successful"] == 0)
    cells = (
        "config_last_reload_successful", "config_last_reload_success_ns", "reloads_total", "reload_failures_total",
    )  # fmt: skip
    before = [site.page("supervisor")[cell] for cell in cells]
    outcome = eventually(lambda: said if (said := last_reload(str(site.state_dir))).refused else None)

    site.write(*BASE, {"name": "ingest-c"})
    (site.path / "scenario.json.apply").touch()
    site.wait("ingest-c", "running")
    eventually(lambda: 'child_up{role="ingest",name="ingest-c"}' in site.page("supervisor"))
    assert [site.page("supervisor")[cell] for cell in cells] == before
    assert last_reload(str(site.state_dir)) == outcome

    (site.path / "scenario.json.bad").unlink()
    supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: site.page("supervisor")["config_last_reload_successful"] == 1)
    eventually(lambda: not last_reload(str(site.state_dir)).refused)


def test_what_was_to_be_applied_is_when_a_reload_that_came_with_it_is_refused(site: Site) -> None:
    site.start(*BASE)
    site.wait("supervisor", "ready")
    (site.path / "scenario.json.bad").touch()
    site.write(*BASE, {"name": "ingest-c"})
    (site.path / "beside").write_text("with a signal")
    (site.path / "beside").rename(site.path / "scenario.json.apply")
    site.wait("ingest-c", "running")
    assert site.happened("supervisor", "reload-begin")


def test_no_exception_out_of_a_reload_ends_the_supervisor(site: Site) -> None:
    supervisor = site.start(*BASE)
    site.wait("supervisor", "ready")
    (site.path / "scenario.json.broken").touch()
    supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: "a defect of ours" in site.log())
    (site.path / "scenario.json.broken").unlink()
    site.write(*BASE, {"name": "ingest-c"})
    supervisor.send_signal(signal.SIGHUP)

    site.wait("ingest-c", "running")
    cells = ("reloads_total", "reload_failures_total", "config_last_reload_successful")
    eventually(lambda: [site.page("supervisor")[cell] for cell in cells] == [1, 1, 1])
    supervisor.terminate()
    assert supervisor.wait(60) == 0
    assert len([event for _, event, _ in site.events() if event == "started"]) == 4


def test_storm_is_coalesced_one_at_a_time(site: Site) -> None:
    supervisor = site.start(*BASE)
    site.wait("supervisor", "ready")
    begun = time.monotonic()
    while time.monotonic() < begun + 1.5:
        supervisor.send_signal(signal.SIGHUP)
    site.wait("supervisor", "reload-end")
    storm = time.monotonic() - begun
    supervisor.terminate()

    assert supervisor.wait(60) == 0
    reloads = [event for name, event, _ in site.events() if event.startswith("reload-")]
    assert reloads == ["reload-begin", "reload-end"] * (len(reloads) // 2)
    assert len(reloads) // 2 <= 3 + storm
    assert len([event for _, event, _ in site.events() if event == "started"]) == 3


def test_child_added_by_a_reload_that_refuses_its_configuration_does_not_stop_the_rest(site: Site) -> None:
    supervisor = site.start(BASE[0])
    site.wait("supervisor", "ready")
    site.write(BASE[0], {"name": "consumer-0", "options": {"refuse": "not ours"}})
    supervisor.send_signal(signal.SIGHUP)

    site.wait("consumer-0", "started", 2)
    assert supervisor.poll() is None
