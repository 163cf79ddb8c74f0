"""The names in /dev/shm removed under a running supervisor (RemoveIPC, a cleaner): noticed, said, made anew."""

import os
import signal

from eventually import eventually
from supervision.supervised_site import Site

from wsadapter.shm.segment import Segment, listing


def test_pages_are_made_anew_and_their_children_started_again(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a"}, {"name": "serializer-0", "group": 20})
    site.wait("supervisor", "ready")
    site.wait("ingest-a", "running")
    pids = {name: site.happened(name, "started")[0] for name in ("ingest-a", "serializer-0")}
    os.kill(pids["ingest-a"], signal.SIGKILL)
    site.wait("ingest-a", "running", 2)
    names = listing(f"wsadapter-{site.instance}-")
    supervisor.send_signal(signal.SIGSTOP)  # all at once, however loaded the machine is
    for name in names:
        Segment.unlink(name)
    supervisor.send_signal(signal.SIGCONT)

    site.wait("ingest-a", "running", 3)
    site.wait("serializer-0", "running", 2)
    assert listing(f"wsadapter-{site.instance}-") == names
    page = site.page("supervisor")
    assert page["segments_lost_total"] == len(names)
    assert page['child_restarts_total{role="ingest",name="ingest-a",reason="signal"}'] == 1, "its counts are kept"
    record = site.record("shared memory was removed from outside and is made anew")
    assert record["segments"] == names
    assert "RemoveIPC=no" in record["remedy"]
    supervisor.terminate()
    assert supervisor.wait(60) == 0


def test_only_who_uses_what_was_removed_is_started_again(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a"}, {"name": "ingest-b"})
    site.wait("supervisor", "ready")
    Segment.unlink(f"wsadapter-{site.instance}-stats-ingest-b")

    site.wait("ingest-b", "running", 2)
    eventually(lambda: site.page("ingest-b")["pid"] != 0)
    assert len(site.happened("ingest-a", "started")) == 1
    supervisor.terminate()
    assert supervisor.wait(60) == 0
