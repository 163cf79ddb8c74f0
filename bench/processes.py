"""Processes that a benchmark starts: each has a time limit, and is gone when its `with` block ends.

Ports are free ones, shared memory is named after this process, and only what was started here is stopped, by pid.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from msgspec import Raw, Struct

from bench.frames import ROOT
from wsadapter.config.model import Config
from wsadapter.shm.segment import Segment, listing
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import ChildArgs, ChildState, RingRef, arguments_fd

PREFIX: Final = f"bench{os.getpid()}"
"""Instances begin with it, and so do their segments."""
STOP_SECONDS: Final = 30.0


class BenchFailed(Exception):
    """A measurement could not be made; the others can."""


def free_ports(count: int = 1) -> int:
    """The first of ``count`` neighbouring free ports."""
    for _ in range(100):
        with contextlib.ExitStack() as held:
            first = held.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for offset in range(1, count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            except (OSError, OverflowError):
                continue
            return port
    raise BenchFailed("no free ports")


def clean_segments() -> None:
    """Whatever a killed child or a failed benchmark left."""
    for name in listing(f"wsadapter-{PREFIX}"):
        Segment.unlink(name)


def wait_until(predicate: Callable[[], object], seconds: float, what: str, step: float = 0.005) -> None:
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            raise BenchFailed(f"{what}: not within {seconds:.0f} s")
        time.sleep(step)


def pinned(argv: Sequence[object], cpu: int | None) -> list[str]:
    """The command on one core, or anywhere."""
    return [*(["taskset", "-c", str(cpu)] if cpu is not None else []), *map(str, argv)]


def cores() -> tuple[int | None, int | None]:
    """(venue's core, client's core), as in the peers' run.py; no pinning on a machine with one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


class Program:
    """A process with pipes for input and output; its errors go to a file that is shown when it fails."""

    def __init__(self, argv: Sequence[object], errors: Path, environ: Mapping[str, str] | None = None) -> None:
        self._errors = errors
        with errors.open("ab") as stderr:
            self.process = subprocess.Popen(
                list(map(str, argv)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT,
                env={**os.environ, **(environ or {})},
            )  # fmt: skip
        self._buffer = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    def order(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def line(self, seconds: float) -> str:
        """The next line of its output; `BenchFailed` at its end or when none comes."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise BenchFailed(f"{self.process.args!r}: silent for {seconds:.0f} s{self._said()}")
            if not (chunk := os.read(self.process.stdout.fileno(), 65536)):
                raise BenchFailed(f"{self.process.args!r}: ended{self._said()}")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def result(self, seconds: float) -> dict[str, Any]:
        """The next line of its output that is JSON."""
        deadline = time.monotonic() + seconds
        while not (line := self.line(max(0.1, deadline - time.monotonic()))).startswith("{"):
            pass
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; the exit code."""
        process = self.process
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _said(self) -> str:
        text = self._errors.read_text(errors="replace").strip()[-600:]
        return f":\n{text}" if text else ""


class Venue(Program):
    """`bench.venue` on free ports."""

    def __init__(self, directory: Path, *, frames: int = 0, mix: str = "all", rate: float = 0.0, manual: bool = False,
                 cpu: int | None = None) -> None:  # fmt: skip
        port = free_ports(2)
        self.url = f"ws://127.0.0.1:{port}"
        argv = [sys.executable, "-m", "bench.venue", "--port", port, "--frames", frames, "--mix", mix, "--rate", rate]
        super().__init__(pinned([*argv, *(["--manual"] if manual else [])], cpu), directory / "venue.log")
        self.expect("ready", 30)

    def expect(self, word: str, seconds: float) -> str:
        """The rest of the next line, which must begin with ``word``."""
        found, _, rest = self.line(seconds).partition(" ")
        if found != word:
            raise BenchFailed(f"the venue said {found}, not {word}")
        return rest


class Role(Program):
    """One role of the product, without a supervisor: its stats page, its rings, its arguments on standard input."""

    def __init__(
        self,
        module: str,
        config: Config,
        fields: Iterable[str],
        directory: Path,
        *,
        ring: RingRef | None = None,
        rings: Sequence[RingRef] = (),
        order: Struct | None = None,
    ) -> None:
        role = module.rpartition(".")[2].removeprefix("unchecked_").removeprefix("confluent_")
        page = f"wsadapter-{config.service.instance}-stats-{role}"
        self.page = StatsPage.create(page, tuple(fields))
        instance = config.service.instance
        told = Raw(msgspec.json.encode({} if order is None else order))
        args = ChildArgs(role, f"{role}-0", instance, config, page, ring, tuple(rings), told)
        self._errors = directory / f"{role}.log"
        arguments = arguments_fd(args)
        fds = sorted({arguments, *(ref.doorbell_fd for ref in (*rings, *([ring] if ring else [])))})
        with self._errors.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(arguments)],
                stdin=subprocess.PIPE,
                stderr=stderr,
                pass_fds=fds,
                cwd=ROOT,
            )
        os.close(arguments)
        self._buffer = b""

    def wait_running(self, seconds: float = 30.0) -> None:
        self.wait_for(lambda: self.page["state"] == ChildState.RUNNING, seconds, "running")

    def wait_for(self, predicate: Callable[[], object], seconds: float, what: str) -> None:
        def look() -> object:
            if (code := self.process.poll()) is not None:
                raise BenchFailed(f"{self.process.args!r} ended with {code}{self._said()}")
            return predicate()

        wait_until(look, seconds, what)

    def total(self, prefix: str) -> int:
        """Sum of the cells whose names begin with ``prefix``."""
        return sum(value for field, value in self.page.read().items() if field.startswith(prefix))

    def close(self, number: signal.Signals = signal.SIGTERM) -> int:
        code = super().close(number)
        name = self.page.name
        self.page.release()
        Segment.unlink(name)
        return code
