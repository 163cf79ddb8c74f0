"""Children come from the fork server, as children of the supervisor; without it they come all the same."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from eventually import eventually
from supervision.supervised_site import HERE, Site, alive

from wsadapter.supervision.fork_server import GO, MOST_DESCRIPTORS, ForkReply, ForkRequest
from wsadapter.supervision.spawn import ForkServer, execute


def fork_server(supervisor: "subprocess.Popen[bytes]") -> psutil.Process:
    """Found by the name that it gives itself."""

    def found() -> list[psutil.Process]:
        children = psutil.Process(supervisor.pid).children()
        return [child for child in children if child.name() == "fork-server"]

    return eventually(found)[0]


def test_forked_child_is_the_supervisors_own_in_a_session_of_its_own(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a"}, {"name": "serializer-0", "group": 20})
    for name in ("ingest-a", "serializer-0"):
        pid = site.wait(name, "running")[0]
        assert psutil.Process(pid).ppid() == supervisor.pid
        assert os.getsid(pid) == os.getpgid(pid) == pid
        assert Path(f"/proc/{pid}/fd/0").resolve().name.startswith("pipe:")
        # it runs in the image of the fork server: nothing was executed
        assert Path(f"/proc/{pid}/auxv").read_bytes() == Path(f"/proc/{fork_server(supervisor).pid}/auxv").read_bytes()


def test_forked_child_has_the_descriptors_of_an_executed_one(tmp_path: Path) -> None:
    seen = []
    for number, forked in enumerate((True, False)):
        (tmp_path / str(number)).mkdir()
        site = Site(tmp_path / str(number))
        try:
            site.start({"name": "ingest-a"}, forked=forked)
            pid = site.wait("ingest-a", "running")[0]
            kinds = [os.readlink(each).partition(":[")[0] for each in Path(f"/proc/{pid}/fd").iterdir()]
            seen.append(sorted(kind.replace(str(site.path), "").replace(site.instance, "") for kind in kinds))
        finally:
            site.close()
    assert seen[0] == seen[1]


def test_killed_child_comes_back_when_the_fork_server_is_gone(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a"})
    first = site.wait("ingest-a", "running")[0]
    fork_server(supervisor).kill()
    os.kill(first, signal.SIGKILL)

    second = site.wait("ingest-a", "running", 2)[1]
    assert alive(second)
    assert site.record("children are started without the fork server")
    assert supervisor.poll() is None


def test_frozen_fork_server_is_given_up_and_starts_no_second_child(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a"})
    first = site.wait("ingest-a", "running")[0]
    server = fork_server(supervisor)
    server.suspend()
    os.kill(first, signal.SIGKILL)

    second = site.wait("ingest-a", "running", 2)[1]
    eventually(lambda: not alive(server.pid))
    assert site.happened("ingest-a", "started") == [first, second]


def test_children_and_fork_server_end_with_a_killed_supervisor(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a"})
    pid = site.wait("ingest-a", "running")[0]
    server = fork_server(supervisor)
    supervisor.kill()
    supervisor.wait()

    eventually(lambda: not alive(server.pid))
    site.wait("ingest-a", "orphaned")
    eventually(lambda: not alive(pid))


def test_what_an_ended_child_leaves_behind_is_collected(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a", "options": {"grandchild": True}})
    first = site.wait("ingest-a", "running")[0]
    grandchild = next(int(event.rpartition("-")[2]) for _, event, _ in site.events() if event.startswith("grandchild-"))
    os.kill(first, signal.SIGKILL)

    site.wait("ingest-a", "running", 2)
    eventually(lambda: not psutil.pid_exists(grandchild))  # not even as a zombie
    assert supervisor.poll() is None


@pytest.fixture
def control() -> Iterator[socket.socket]:
    """The supervisor's end of a fork server that is ready."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "wsadapter.supervision.fork_server", str(theirs.fileno())],
        pass_fds=(theirs.fileno(),),
        umask=0o077,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )
    theirs.close()
    ours.settimeout(30)
    assert msgspec.json.decode(ours.recv(4096), type=ForkReply) == ForkReply()
    yield ours
    ours.close()
    assert process.wait(60) == 0


def request_fork(control: socket.socket, package: str, argument: str) -> tuple[int, int]:
    """pid, the end of the lifeline that is ours."""
    theirs, ours = os.pipe()
    request = ForkRequest(package, argument, (0,))
    socket.send_fds(control, [msgspec.json.encode(request)], [theirs])
    os.close(theirs)
    return msgspec.json.decode(control.recv(4096), type=ForkReply).pid, ours


@pytest.mark.parametrize("told", [True, False])
def test_child_of_which_the_supervisor_never_heard_does_nothing(
    control: socket.socket, tmp_path: Path, told: bool
) -> None:
    pid, lifeline = request_fork(control, "fake_program", str(tmp_path / "done"))
    if told:
        os.write(lifeline, GO)
    os.close(lifeline)

    eventually(lambda: not alive(pid))
    assert (tmp_path / "done").exists() == told


def test_forked_program_finds_what_an_executed_one_finds(control: socket.socket, tmp_path: Path) -> None:
    pid, lifeline = request_fork(control, "fake_program", str(tmp_path / "forked"))
    os.write(lifeline, GO)
    subprocess.run(
        [sys.executable, "-P", "-m", "fake_program", str(tmp_path / "executed")],
        check=True,
        umask=0o077,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )
    eventually(lambda: not alive(pid))
    os.close(lifeline)
    forked, executed = (json.loads((tmp_path / name).read_text()) for name in ("forked", "executed"))
    assert forked == executed


def test_too_many_descriptors_for_a_message_are_not_forked() -> None:
    server = ForkServer(())
    assert server.fork("fake_child", 0, range(MOST_DESCRIPTORS)) is None
    assert server.pid == 0


def test_fork_server_that_cannot_import_leaves_its_children_to_be_executed(capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(ForkServer(("no_such_package",))) as server:
        assert server.fork("fake_child", 0, ()) is None
        assert server.pid == 0
    assert "No module named 'no_such_package'" in capfd.readouterr().err


def test_exit_status_of_an_executed_child_and_its_lifeline() -> None:
    arguments = os.memfd_create("arguments")
    child = execute("no_such_package", arguments, ())
    assert child.wait() == 1
    os.close(arguments)
    with pytest.raises(OSError, match="Bad file descriptor"):
        child.write(b"")
