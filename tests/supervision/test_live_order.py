"""A child that runs is given another order and a stats page for it: it goes on, whatever is killed meanwhile."""

import os
import signal
from typing import Any

from eventually import eventually
from supervision.supervised_site import Site

from wsadapter.shm import segment as shm


def child(number: int, **options: Any) -> dict[str, Any]:
    return {"name": "ingest-a", "takes_orders": True, "options": {"number": number, **options}}


def ordered(site: Site, *children: dict[str, Any]) -> None:
    site.write(*children)
    site.processes[-1].send_signal(signal.SIGHUP)


def assert_tidy(site: Site) -> None:
    assert not [name for name in shm.listing(f"wsadapter-{site.instance}-") if ".new" in name]


def test_it_takes_one_order_after_the_other_and_keeps_its_counts(site: Site) -> None:
    supervisor = site.start(child(1), {"name": "ingest-b"})
    site.wait("supervisor", "ready")
    for number in (2, 3):
        ordered(site, child(number), {"name": "ingest-b"})
        site.wait("ingest-a", f"ordered-{number}")
        eventually(lambda number=number: f"done_{number}" in site.page("ingest-a"))  # type: ignore[misc]
    page = site.page("ingest-a")
    assert (page["done"], page["done_3"]) == (2, 1)
    assert "done_2" not in page
    eventually(lambda: site.log().count("child has done its order") == 2)
    assert page["pid"] == site.happened("ingest-a", "started")[0]
    os.kill(page["pid"], signal.SIGKILL)  # the next one begins with the order of now
    site.wait("ingest-a", "running", 2)
    assert site.page("ingest-a")["done"] == 2
    supervisor.terminate()
    assert supervisor.wait(60) == 0
    assert len(site.happened("ingest-a", "started")) == 2
    assert len(site.happened("ingest-b", "started")) == 1
    assert "removed from outside" not in site.log()
    assert_tidy(site)


def test_a_new_order_takes_the_place_of_one_that_is_not_done(site: Site) -> None:
    supervisor = site.start(child(1))
    site.wait("supervisor", "ready")
    ordered(site, child(2, never=True))
    site.wait("ingest-a", "ordered-2")
    ordered(site, child(3))
    eventually(lambda: "done_3" in site.page("ingest-a"))
    assert site.page("ingest-a")["done"] == 1
    supervisor.terminate()
    assert supervisor.wait(60) == 0
    assert len(site.happened("ingest-a", "started")) == 1
    assert_tidy(site)


def test_a_child_killed_with_an_order_that_is_not_done_begins_with_it(site: Site) -> None:
    supervisor = site.start(child(1))
    site.wait("supervisor", "ready")
    ordered(site, child(2, never=True))
    site.wait("ingest-a", "ordered-2")
    os.kill(site.happened("ingest-a", "started")[0], signal.SIGKILL)
    site.wait("ingest-a", "running", 2)
    assert "done_2" in site.page("ingest-a")
    supervisor.terminate()
    assert supervisor.wait(60) == 0
    assert_tidy(site)


def test_a_supervisor_killed_before_the_order_is_done_leaves_a_page_that_the_next_one_takes(site: Site) -> None:
    site.start(child(1))
    site.wait("supervisor", "ready")
    ordered(site, child(2))
    eventually(lambda: "done_2" in site.page("ingest-a"))
    ordered(site, child(3, never=True))
    site.wait("ingest-a", "ordered-3")
    site.processes[-1].kill()
    supervisor = site.start_again()
    site.wait("supervisor", "ready", 2)
    page = site.page("ingest-a")
    assert (page["done"], page["done_3"]) == (1, 0)
    assert_tidy(site)
    supervisor.terminate()
    assert supervisor.wait(60) == 0


def test_what_is_more_than_an_order_starts_it_again(site: Site) -> None:
    supervisor = site.start(child(1))
    site.wait("supervisor", "ready")
    ordered(site, {**child(2), "heartbeat_deadline": 9.0})
    site.wait("ingest-a", "running", 2)
    assert not site.happened("ingest-a", "ordered-2")
    supervisor.terminate()
    assert supervisor.wait(60) == 0
