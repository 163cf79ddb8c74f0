"""Start one role as the supervisor would: its stats page, its rings, its arguments on standard input."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from eventually import PATIENCE, eventually
from msgspec import Raw, Struct

from wsadapter.config.model import Config
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import ChildArgs, ChildState, RingRef, arguments_fd


class RoleProcess:
    """One role, started and killed at will; the page outlives the process, as it does in production."""

    def __init__(
        self,
        module: str,
        role: str,
        config: Config,
        fields: Sequence[str],
        rings: Sequence[RingRef] = (),
        ring: RingRef | None = None,
        order: Struct | Mapping[str, Any] | None = None,
        name: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._environ = environ or {}
        name = name or f"{role}-0"
        self._module = module
        page = f"wsadapter-{config.service.instance}-stats-{name}"
        self.page = StatsPage.create(page, fields)
        told = Raw(msgspec.json.encode({} if order is None else order))
        self._args = ChildArgs(role, name, config.service.instance, config, page, ring, tuple(rings), told)
        self._fds = sorted({r.doorbell_fd for r in (*rings, *([ring] if ring else []))})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    def start(self, until: ChildState | None = ChildState.RUNNING, timeout: float = 30.0) -> "RoleProcess":
        self.page["state"] = 0
        arguments = arguments_fd(self._args)
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module, str(arguments)],
            stdin=subprocess.PIPE,
            pass_fds=[*self._fds, arguments],
            close_fds=True,
            env={**os.environ, **self._environ},
        )
        os.close(arguments)
        if until is not None:
            eventually(lambda: self.page["state"] == until or self.returncode is not None, timeout, self._module)
            assert self.returncode is None, f"{self._module} ended with {self.returncode}"
        return self

    def kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        if self.returncode is None:
            self._process.terminate()
        code = self._process.wait(PATIENCE * timeout)
        assert self._process.stdin is not None
        self._process.stdin.close()
        return code

    def close(self) -> None:
        if self._process is not None and self.returncode is None:
            self.kill()
        name = self.page.name
        self.page.release()
        Segment.unlink(name)
