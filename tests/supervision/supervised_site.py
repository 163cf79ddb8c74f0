"""A place where supervision tests run real supervisors over real (fake) children, watch them and clean up."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from eventually import eventually

from wsadapter.shm import segment as shm
from wsadapter.shm.stats_page import StatsPage

HERE = Path(__file__).resolve().parent


class Site:
    """A state directory, an instance name, the supervisors started in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state_dir = path / "state"
        self.events_path = path / "events"
        self.instance = "t" + secrets.token_hex(4)
        self.scenario_path = path / "scenario.json"
        self.processes: list[subprocess.Popen[bytes]] = []

    def write(self, *children: dict[str, Any], **more: Any) -> None:
        scenario = {
            "state_dir": str(self.state_dir),
            "instance": self.instance,
            "events": str(self.events_path),
            "children": children,
            **more,
        }
        beside = self.path / "scenario.new"
        beside.write_text(json.dumps(scenario))
        beside.replace(self.scenario_path)

    def start(self, *children: dict[str, Any], **more: Any) -> subprocess.Popen[bytes]:
        self.write(*children, **more)
        return self.start_again()

    def start_again(self, environ: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with open(self.path / f"log-{len(self.processes)}", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(HERE / "fake_supervisor.py"), str(self.scenario_path)],
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(HERE), **(environ or {})},
            )
        self.processes.append(process)
        return process

    def log(self, number: int = -1) -> str:
        index = number % len(self.processes)
        return (self.path / f"log-{index}").read_text()

    def records(self, number: int = -1) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log(number).splitlines() if line.startswith("{")]

    def record(self, event: str) -> dict[str, Any]:
        """The first log record of this event."""
        return next(record for record in self.records() if record["event"] == event)

    def events(self) -> list[tuple[str, str, int]]:
        """(name, event, pid) in the order in which they happened."""
        with contextlib.suppress(FileNotFoundError):
            lines = self.events_path.read_text().splitlines()
            return [(name, event, int(pid)) for name, event, pid in (line.split() for line in lines)]
        return []

    def happened(self, name: str, event: str) -> list[int]:
        """The pids of those who noted it."""
        return [pid for n, e, pid in self.events() if (n, e) == (name, event)]

    def wait(self, name: str, event: str, times: int = 1, timeout: float = 20.0) -> list[int]:
        def enough() -> list[int]:
            pids = self.happened(name, event)
            return pids if len(pids) >= times else []

        return eventually(enough, timeout, f"{times} x {name} {event}")

    def page(self, child: str) -> dict[str, int]:
        page = StatsPage.attach(f"wsadapter-{self.instance}-stats-{child}")
        try:
            return page.read()
        finally:
            page.release()

    def pids(self) -> set[int]:
        return {pid for name, _, pid in self.events() if name != "supervisor"}

    def living(self) -> set[int]:
        return {pid for pid in self.pids() if alive(pid)}

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for pid in self.living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in shm.listing(f"wsadapter-{self.instance}-"):
            shm.Segment.unlink(name)


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
