"""The whole product as its users start it: the command, a configuration, free ports; killed and asked at will."""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eventually import PATIENCE, eventually
from fresh import drop_database

from wsadapter.embedded.ports import free_port
from wsadapter.shm.segment import Segment, listing

_numbers = itertools.count()


class Site:
    """One state directory and one configuration. Without ``kafka``/``clickhouse`` the stand-ins are started with it.

    More ``partitions`` than two are for a test with more consumers."""

    def __init__(
        self,
        directory: Path,
        kafka: str = "",
        clickhouse: str = "",
        extra: str = "",
        database: str = "market",
        partitions: int = 2,
    ) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.instance = f"t{os.getpid()}-{next(_numbers)}"
        self.embedded = not kafka
        self.kafka = kafka or f"127.0.0.1:{free_port()}"
        self.clickhouse = clickhouse or f"http://127.0.0.1:{free_port()}"
        self.monitor = f"127.0.0.1:{free_port()}"
        self.database = database
        self.config = directory / "wsadapter.toml"
        self.config.write_text(
            f'[service]\ninstance = "{self.instance}"\nstate_dir = "{self.state}"\ndrain_seconds = 100\n'
            f'[kafka]\nbootstrap_servers = "{self.kafka}"\ntopic_prefix = "{database}."\n'
            f"partitions = {partitions}\n"  # several, as a real one has, but each costs inserts of its own
            f'[clickhouse]\nurl = "{self.clickhouse}"\ndatabase = "{database}"\nbatch_seconds = 0.5\n'
            f'[monitor]\nlisten = "{self.monitor}"\n'
            f"{extra}\n"
        )
        self.output = directory / "output"
        self.environ: dict[str, str] = {}
        """Of every start, beside our own."""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, environ: Mapping[str, str] | None = None) -> "Site":
        command = [str(Path(sys.executable).with_name("wsadapter-supervisor")), "--config", str(self.config)]
        embedded = ["--embedded"] if self.embedded else []
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, *embedded, *arguments],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environ, **(environ or {})},
            )
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def wait(self, timeout: float = 90.0) -> int:
        """Its exit code; like `eventually`, it waits longer than a quiet machine needs."""
        try:
            return self.process.wait(PATIENCE * timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {PATIENCE * timeout} s:\n{self.said()}") from None

    def stop(self, timeout: float = 90.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def close(self) -> None:
        """Leave nothing running, whatever the test did, and no tables in an engine of the whole run."""
        self.end()
        if not self.embedded:
            drop_database(self.clickhouse, self.database)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def said(self, last: int = 6000) -> str:
        return self.output.read_text(errors="replace")[-last:] if self.output.exists() else ""

    def get(self, path: str) -> tuple[int, str]:
        """(status, body); status 0 when the monitor does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.monitor}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def status(self) -> dict[str, Any]:
        """What the monitor says, asked until it answers: it may be restarted just now, or late on a loaded machine.

        Empty where the supervisor has ended."""
        last = ""

        def ask() -> str | None:
            nonlocal last
            code, body = self.get("/status")
            last = f"{code} {body[:200]}"
            if code == 200:
                return body
            return None if self.process.poll() is None else "{}"

        found: dict[str, Any] = json.loads(eventually(ask, 60, lambda: f"/status answers: {last}") or "")
        return found

    def metrics(self) -> str:
        """The text of ``/metrics``, asked until the monitor answers."""

        def ask() -> str | None:
            code, body = self.get("/metrics")
            return body if code == 200 else None

        return eventually(ask, 60, "/metrics answers") or ""

    def ready(self, timeout: float = 120.0) -> "Site":
        """Every child up, every subscription acked, broker and ClickHouse answering."""

        def look() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.said()}"
            return self.get("/readyz")[0] == 200

        eventually(look, timeout, lambda: f"ready: {self.get('/readyz')[1]}")
        return self

    def children(self) -> dict[str, dict[str, Any]]:
        """Name -> child, the supervisor left out."""
        return {c["name"]: c for c in self.status().get("children", []) if c["role"] != "supervisor"}

    def kill(self, name: str) -> int:
        """kill -9 of one child; its pid."""
        pid = eventually(lambda: int(self.children().get(name, {}).get("pid") or 0), 30, name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def counter(self, name: str) -> float:
        """The sum of a metric over its labels; 0 while the monitor does not answer."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"wsadapter_{name}[{{ ]", line))

    def power_off(self) -> None:
        """kill -9 of everything at once, and no shared memory is left: what a reboot leaves behind."""
        pids = [int(child["pid"]) for child in self.children().values()]
        for pid in (self.process.pid, *pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        eventually(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in pids), 12, "its children are gone")
        for name in listing(f"wsadapter-{self.instance}-"):
            Segment.unlink(name)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a subcommand beside it."""
        command = [sys.executable, "-m", "wsadapter.cli.main", *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    def rings(self) -> list[str]:
        return [ring["name"] for ring in self.status()["rings"]]
