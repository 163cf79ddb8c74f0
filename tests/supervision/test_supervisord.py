"""supervisord.conf as it is shipped, under a real supervisord: start, stop, refusal, kill -9 of supervisord itself."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from eventually import eventually

from wsadapter.shm.segment import Segment, listing

pytest.importorskip("supervisor", reason="supervisord is not here: make setup")
ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
[service]
instance = "{instance}"
state_dir = "{state}"
drain_seconds = 3
[[feed]]
exchange = "binance"
symbols = ["BTCUSDT"]
streams = ["trade"]
ws_url = "ws://127.0.0.1:1"
[kafka]
bootstrap_servers = "127.0.0.1:1"
[clickhouse]
url = "http://127.0.0.1:1"
[monitor]
listen = "127.0.0.1:{port}"
"""


class Supervisord:
    """A directory with what a clone has in the places that supervisord.conf names. Nothing that it records is there:
    it runs and waits."""

    def __init__(self) -> None:
        # short: the path of a socket has 108 bytes at most
        self.path = Path(tempfile.mkdtemp(prefix="sd", dir="/tmp"))
        shutil.copy(ROOT / "supervisord.conf", self.path)
        (self.path / "deploy" / "run").mkdir(parents=True)
        (self.path / ".venv").symlink_to(sys.prefix)
        self.instance = f"sd{os.getpid()}{self.path.name}"
        self.other = socket.create_server(("127.0.0.1", 0))
        """Another process, which has the monitor's port: no reason not to record."""
        port = self.other.getsockname()[1]
        self.config = self.path / "wsadapter.toml"
        self.config.write_text(CONFIG.format(instance=self.instance, state=self.path / "state", port=port))
        self.processes: list[subprocess.Popen[bytes]] = []
        self.sockets: list[socket.socket] = []

    def start(self) -> subprocess.Popen[bytes]:
        ours, theirs = socket.socketpair()  # as journald's: it cannot be opened by a name
        self.sockets.append(ours)
        with theirs:
            process = subprocess.Popen(
                [str(self.path / ".venv/bin/supervisord"), "-c", str(self.path / "supervisord.conf")],
                stdin=subprocess.DEVNULL, stdout=theirs.fileno(), stderr=theirs.fileno(), cwd="/",
                env={"PATH": os.environ["PATH"], "HOME": str(self.path)},
            )  # fmt: skip
        self.processes.append(process)
        return process

    def control(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.path / ".venv/bin/supervisorctl"), "-c", str(self.path / "supervisord.conf"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def running(self) -> int:
        """The pid of a program that handles its signals (it has its stats page); 0 when there is none. To look for the
        page costs nothing, `control` a process."""
        if not listing(f"wsadapter-{self.instance}-stats-monitor"):
            return 0
        words = self.control("status", "wsadapter").stdout.split()
        return int(words[3].rstrip(",")) if words[1:2] == ["RUNNING"] else 0

    def log(self, name: str) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.path / "deploy" / "run" / name).read_text()
        return ""

    def said(self) -> str:
        """For a failure: how it stands, and the ends of both logs."""
        logs = (self.log(name)[-4000:] for name in ("supervisord.log", "wsadapter.log"))
        return "\n".join((self.control("status").stdout, *logs))

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
                process.wait(60)
        for left in psutil.process_iter(["cmdline"]):
            if str(self.path) in " ".join(left.info["cmdline"] or ()):
                left.kill()
        for ours in (self.other, *self.sockets):
            ours.close()
        for name in listing(f"wsadapter-{self.instance}-"):
            Segment.unlink(name)
        shutil.rmtree(self.path)


@pytest.fixture
def site() -> Iterator[Supervisord]:
    made = Supervisord()
    yield made
    made.close()


def test_it_is_started_stopped_and_controlled_and_leaves_nothing_beside_its_files(site: Supervisord) -> None:
    supervisord = site.start()
    pid = eventually(site.running, 60, "the program runs")
    assert site.control("signal", "HUP", "wsadapter").returncode == 0
    assert site.control("stop", "wsadapter").returncode == 0
    assert not psutil.pid_exists(pid)
    assert "stopped: wsadapter (exit status 0)" in site.log("supervisord.log")
    assert site.control("start", "wsadapter").returncode == 0
    assert eventually(site.running, 60, "the program runs again") != pid
    supervisord.terminate()
    assert supervisord.wait(60) == 0
    assert {path.name for path in site.path.iterdir()} == {
        ".venv", "deploy", "state", "supervisord.conf", "wsadapter.toml",
    }  # fmt: skip
    assert site.log("wsadapter.log").count('"event": "stopped", "exit_code": 0') == 2
    assert "monitor.listen cannot be had" in site.log("wsadapter.log")


def test_a_refused_configuration_is_not_started_again(site: Supervisord) -> None:
    site.config.write_text("[service]\nno_such_key = 1\n")
    site.start()
    eventually(lambda: "exited: wsadapter" in site.log("supervisord.log"), 60, "it has ended")
    assert "exited: wsadapter (exit status 78; expected)" in site.log("supervisord.log")
    assert site.control("status", "wsadapter").stdout.split()[1] == "EXITED"
    assert "service.no_such_key" in site.log("wsadapter.log")


def test_a_new_supervisord_replaces_what_a_killed_one_left_when_it_is_told_to_end(site: Supervisord) -> None:
    first = site.start()
    old = eventually(site.running, 60, "the program runs")
    first.kill()
    first.wait()
    assert psutil.pid_exists(old), "the recording goes on"

    site.start()
    remedy = (
        f"in use by the supervisor with pid {old}, which records. To replace it: kill -TERM {old}, then start again"
    )
    eventually(lambda: remedy in site.log("wsadapter.log"), 60, "the remedy is said")
    assert psutil.pid_exists(old)
    os.kill(old, signal.SIGTERM)
    new = eventually(
        lambda: not psutil.pid_exists(old) and (pid := site.running()) and pid != old and pid, 60, site.said
    )
    assert new != old
    eventually(lambda: "exited: wsadapter (exit status 73; not expected)" in site.log("supervisord.log"))


def test_an_upgrade_by_the_page_drains_moves_and_starts_again(site: Supervisord) -> None:
    """docs/upgrade.md, what it says for supervisord, in this directory; the new installation is there already."""
    (block,) = re.findall(r"```sh\n([^`]*supervisorctl[^`]*)```", (ROOT / "docs" / "upgrade.md").read_text())
    here = block.replace("/etc/wsadapter/", f"{site.path}/").replace("/opt/wsadapter", f"{site.path}/.venv")
    (site.path / ".venv-new").symlink_to(sys.prefix)
    supervisord = site.start()
    pid = eventually(site.running, 60, "the program runs")

    lines = [line for line in here.splitlines() if re.search(r"/supervisorctl |^mv ", line)]
    assert len(lines) == 3
    stop, shut_down, move = lines
    for line in (stop, shut_down):
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not psutil.pid_exists(pid), "it has drained before anything is moved"
    assert supervisord.wait(60) == 0
    subprocess.run(["bash", "-c", move], check=True, timeout=60)
    assert (site.path / ".venv-old").is_symlink()
    site.start()
    assert eventually(site.running, 60, "the program runs again") != pid
