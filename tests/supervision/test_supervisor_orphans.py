"""kill -9 of the supervisor: no child outlives it for long, and the next supervisor waits for those that still are."""

import errno
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from eventually import eventually
from supervision.supervised_site import Site, alive

from wsadapter.errors import ServiceUnavailable
from wsadapter.supervision import instance
from wsadapter.supervision.instance import Instance


def test_killed_supervisor_leaves_no_child(site: Site) -> None:
    supervisor = site.start(
        {"name": "ingest-a", "options": {"drain": 0.3}},
        {"name": "serializer-0", "group": 20},
        {"name": "consumer-0", "group": 30, "options": {"never_ready": True, "hang": True}},
        {"name": "consumer-1", "group": 30, "options": {"stuck_drain": True}},
        {"name": "kafka", "group": 50},
    )
    site.wait("ingest-a", "running")
    site.wait("serializer-0", "running")
    site.wait("consumer-0", "started")
    site.wait("consumer-1", "running")
    stopped = site.wait("kafka", "running")[0]
    os.kill(stopped, signal.SIGSTOP)
    supervisor.kill()
    supervisor.wait()

    # those that can drain do so and are gone at once; the stopped one wakes up and is gone too
    site.wait("ingest-a", "ended")
    site.wait("serializer-0", "orphaned")
    site.wait("kafka", "ended")
    # one spins in its own loop, one is stuck in its drain: both are ended by their alarm
    eventually(lambda: not site.living(), 12)


def test_supervisor_killed_in_the_middle_of_a_drain_leaves_no_child(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a", "options": {"stuck_drain": True}}, drain=60.0)
    site.wait("supervisor", "ready")
    supervisor.terminate()
    site.wait("ingest-a", "stopping")
    supervisor.kill()
    supervisor.wait()

    eventually(lambda: not site.living(), 11)


def test_second_supervisor_is_refused_and_names_the_first(site: Site) -> None:
    first = site.start({"name": "ingest-a"})
    site.wait("ingest-a", "running")
    second = site.start_again()

    assert second.wait(60) == 73
    assert f"in use by the supervisor with pid {first.pid}" in site.log()
    assert first.poll() is None
    assert len(site.happened("ingest-a", "started")) == 1


def test_next_supervisor_waits_for_the_old_children(site: Site) -> None:
    first = site.start({"name": "serializer-0", "options": {"drain": 1.5}})
    old = site.wait("serializer-0", "running")[0]
    first.kill()
    first.wait()
    site.start_again()

    site.wait("serializer-0", "running", 2)
    order = [(event, pid) for name, event, pid in site.events() if name == "serializer-0"]
    new = order[-1][1]
    assert order.index(("ended", old)) < order.index(("started", new))


def test_next_supervisor_kills_old_children_that_do_not_end(site: Site) -> None:
    first = site.start({"name": "serializer-0", "options": {"stuck_drain": True}}, old_children_seconds=0.5)
    old = site.wait("serializer-0", "running")[0]
    first.kill()
    first.wait()
    site.start_again()

    new = site.wait("serializer-0", "running", 2)[1]
    assert "killing old children" in site.log(), "it ended by its own alarm"
    assert new != old
    assert not alive(old)


def test_old_child_that_is_not_in_the_list_is_found_by_its_lock_and_a_reused_pid_is_left_alone(site: Site) -> None:
    first = site.start({"name": "serializer-0", "options": {"stuck_drain": True}}, old_children_seconds=0.5)
    old = site.wait("serializer-0", "running")[0]
    first.kill()
    first.wait()
    with open(site.state_dir / "instance.lock", "rb") as lock:  # as a backup has it open
        bystander = subprocess.Popen(["sleep", "600"], stdin=lock)
    listed = [{"name": "x", "role": "x", "pid": bystander.pid, "started": 1}]
    (site.state_dir / "children.json").write_text(json.dumps(listed))
    site.start_again()
    try:
        site.wait("serializer-0", "running", 2)
        assert "killing old children" in site.log()
        assert not alive(old)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_lock_that_cannot_be_freed_is_refused_with_its_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Instance.claim(str(tmp_path), 1.0)
    holder = subprocess.Popen(["sleep", "600"], pass_fds=[first.lock_fd])
    first.release()

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(signal, "pidfd_send_signal", forbidden)
    monkeypatch.setattr(instance, "KILL_SECONDS", 0.1)
    with pytest.raises(ServiceUnavailable, match=f"instance.lock is held by pid {holder.pid} and does not become free"):
        Instance.claim(str(tmp_path), 0.1)
    holder.kill()
    holder.wait()


def test_files_are_private(site: Site) -> None:
    before = os.umask(0)
    try:
        site.start({"name": "ingest-a"})
    finally:
        os.umask(before)
    site.wait("ingest-a", "running")
    assert site.state_dir.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in site.state_dir.iterdir()}
    assert modes == {"supervisor.lock": 0o600, "instance.lock": 0o600, "children.json": 0o600}
