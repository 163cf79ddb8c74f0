"""The child's side: how a stop arrives, in a plain loop and in uvloop; heartbeat, states, exit codes."""

import contextlib
import json
import os
import platform
import resource
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from eventually import eventually
from msgspec import Raw, structs

from wsadapter.config.model import Config, ProcessConfig, ServiceConfig
from wsadapter.metrics import CHILD
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import GIVE_BACK_NS, Awaited, Child, ChildArgs, ChildState, StopOrder, arguments_fd
from wsadapter.supervision.title import title

HERE = Path(__file__).resolve().parent


class Started:
    """A child process without a supervisor: the test holds its lifeline."""

    def __init__(self, tmp_path: Path, page: StatsPage, module: str, options: dict[str, Any], config: Config) -> None:
        self.page = page
        self.events = tmp_path / "events"
        self.notify = os.eventfd(0, os.EFD_NONBLOCK)
        self.last_words = os.memfd_create("words")
        options = {"events": str(self.events), **options}
        args = ChildArgs(role="ingest", name="ingest-a", instance="i", config=config, page=page.name,
                         order=Raw(msgspec.json.encode(options)),
                         notify_fd=self.notify, last_words_fd=self.last_words)  # fmt: skip
        arguments = arguments_fd(args)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(arguments)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=(self.notify, self.last_words, arguments),
            env={**os.environ, "PYTHONPATH": str(HERE)},
        )
        os.close(arguments)

    def write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait_for(self, state: ChildState) -> None:
        eventually(lambda: self.page["state"] == state, message=f"state {state}")

    def stderr(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stderr):
            assert stream is not None
            stream.close()
        os.close(self.notify)
        os.close(self.last_words)


def config(drain: float = 5.0, process: ProcessConfig | None = None) -> Config:
    service = ServiceConfig(instance="i", state_dir="/nowhere", drain_seconds=drain)
    return Config(service=service, process={"ingest": process} if process else {})


@pytest.fixture
def page() -> Iterator[StatsPage]:
    page = StatsPage.create(f"wsadapter-t{secrets.token_hex(4)}-stats-x", CHILD)
    yield page
    name = page.name
    page.release()
    Segment.unlink(name)


@contextlib.contextmanager
def started(
    tmp_path: Path, page: StatsPage, module: str = "fake_child", child_config: Config | None = None, **options: Any
) -> Iterator[Started]:
    child = Started(tmp_path, page, module, options, child_config or config())
    try:
        yield child
    finally:
        child.close()


MODULES = pytest.mark.parametrize("module", ["fake_child", "fake_loop_child"])


@MODULES
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops(tmp_path: Path, page: StatsPage, module: str, number: signal.Signals) -> None:
    with started(tmp_path, page, module) as child:
        child.wait_for(ChildState.RUNNING)
        child.process.send_signal(number)
        assert child.process.wait(60) == 0


@MODULES
def test_order_on_the_lifeline_stops(tmp_path: Path, page: StatsPage, module: str) -> None:
    with started(tmp_path, page, module) as child:
        child.wait_for(ChildState.RUNNING)
        child.write(msgspec.json.encode(StopOrder(1e12)) + b"\n")
        assert child.process.wait(60) == 0


@MODULES
def test_order_written_before_the_child_listens(tmp_path: Path, page: StatsPage, module: str) -> None:
    with started(tmp_path, page, module) as child:
        child.write(msgspec.json.encode(StopOrder(1e12)) + b"\n")
        assert child.process.wait(60) == 0
        assert page["state"] == ChildState.STOPPING


@MODULES
def test_end_of_the_lifeline_stops(tmp_path: Path, page: StatsPage, module: str) -> None:
    with started(tmp_path, page, module) as child:
        child.wait_for(ChildState.RUNNING)
        child.hang_up()
        assert child.process.wait(60) == 0
        assert "orphaned=True" in child.stderr() or "orphaned" in child.events.read_text()


@MODULES
def test_stop_and_continue_is_no_stop(tmp_path: Path, page: StatsPage, module: str) -> None:
    with started(tmp_path, page, module) as child:
        child.wait_for(ChildState.RUNNING)
        child.process.send_signal(signal.SIGSTOP)
        child.process.send_signal(signal.SIGCONT)
        beat = page["heartbeat_ns"]
        eventually(lambda: page["heartbeat_ns"] > beat)
        assert child.process.poll() is None


def test_signal_that_another_thread_takes_wakes_the_loop(tmp_path: Path, page: StatsPage) -> None:
    with started(tmp_path, page, signals_elsewhere=True) as child:
        child.wait_for(ChildState.RUNNING)
        child.process.terminate()
        assert child.process.wait(60) == 0


def test_signal_in_a_storm_is_not_lost(tmp_path: Path, page: StatsPage) -> None:
    with started(tmp_path, page, drain=0.5) as child:
        child.wait_for(ChildState.RUNNING)
        for _ in range(500):
            child.process.send_signal(signal.SIGTERM)
        assert child.process.wait(60) == 0


def test_heartbeat_and_notification(tmp_path: Path, page: StatsPage) -> None:
    with started(tmp_path, page) as child:
        child.wait_for(ChildState.RUNNING)
        assert os.eventfd_read(child.notify) >= 1
        assert page["pid"] == child.process.pid
        assert page["started_ns"] > 1_600_000_000 * 10**9
        beat = page["heartbeat_ns"]
        eventually(lambda: page["heartbeat_ns"] > beat)


def test_deadline_of_the_order_ends_a_long_drain(tmp_path: Path, page: StatsPage) -> None:
    with started(tmp_path, page, drain=60.0) as child:
        child.wait_for(ChildState.RUNNING)
        child.write(msgspec.json.encode(StopOrder(0.0)) + b"\n")
        assert child.process.wait(60) == 0


def test_refusal_is_78_and_its_reason_is_left_behind(tmp_path: Path, page: StatsPage) -> None:
    with started(tmp_path, page, refuse="is bad\n\x1b[31mred") as child:
        assert child.process.wait(60) == 78
        assert os.pread(child.last_words, 4096, 0).decode() == "kafka.topic_prefix: is bad\n\x1b[31mred"
        lines = [json.loads(line) for line in child.stderr().splitlines()]
        assert [(line["level"], line["role"], line["name"]) for line in lines] == [("error", "ingest", "ingest-a")]


def test_unknown_error_is_70_with_a_traceback_in_one_line(tmp_path: Path, page: StatsPage) -> None:
    with started(tmp_path, page, exit_at_once="no number") as child:
        assert child.process.wait(60) == 70
        (line,) = child.stderr().splitlines()
        assert "ValueError" in json.loads(line)["exception"]


def test_place_of_a_role(tmp_path: Path, page: StatsPage) -> None:
    cpu = min(os.sched_getaffinity(0))
    with started(tmp_path, page, child_config=config(process=ProcessConfig(cpu=(cpu,), nice=3))) as child:
        child.wait_for(ChildState.RUNNING)
        assert os.sched_getaffinity(child.process.pid) == {cpu}
        assert os.getpriority(os.PRIO_PROCESS, child.process.pid) == 3


def test_locked_memory(tmp_path: Path, page: StatsPage) -> None:
    with started(tmp_path, page, child_config=config(process=ProcessConfig(lock_memory=True))) as child:
        child.wait_for(ChildState.RUNNING)
        status = Path(f"/proc/{child.process.pid}/status").read_text()
        locked = int(next(line for line in status.splitlines() if line.startswith("VmLck")).split()[1])
        child.process.terminate()
        assert child.process.wait(60) == 0
        assert locked > 0 or "lock_memory" in child.stderr()  # a low RLIMIT_MEMLOCK refuses it, and that is said


def test_impossible_place_is_said_and_borne(tmp_path: Path, page: StatsPage) -> None:
    with started(tmp_path, page, child_config=config(process=ProcessConfig(cpu=(1000,)))) as child:
        child.wait_for(ChildState.RUNNING)
        child.process.terminate()
        assert child.process.wait(60) == 0
        assert json.loads(child.stderr().splitlines()[0])["setting"] == "cpu"


def test_two_processes_of_a_role_are_told_apart_by_their_titles(tmp_path: Path, page: StatsPage) -> None:
    with started(tmp_path, page) as child:
        child.wait_for(ChildState.RUNNING)
        shown = psutil.Process(child.process.pid)

        assert "".join(shown.cmdline()) == "wsadapter: ingest ingest-a"
        assert Path(f"/proc/{child.process.pid}/comm").read_text() == "ingest-a\n"


@pytest.mark.parametrize(
    ("role", "name", "says"), [("monitor", "monitor", "wsadapter: monitor"), ("ingest", "b-0", "wsadapter: ingest b-0")]
)
def test_title(role: str, name: str, says: str) -> None:
    assert title(role, name) == says


def test_a_module_started_by_hand_says_who_starts_it() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "wsadapter.roles.monitor"], capture_output=True, stdin=subprocess.DEVNULL
    )
    assert process.returncode == 64
    assert process.stderr == b"this is a child of wsadapter-supervisor, which starts it\n"


def test_a_service_of_the_same_supervisor_is_awaited_until_it_announces_itself_or_is_late(page: StatsPage) -> None:
    bell = os.eventfd(0)
    awaited = Awaited("kafka", bell, time.monotonic() + 60.0)
    args = ChildArgs(role="consumer", name="a", instance="i", config=config(), page=page.name, awaits=(awaited,))
    child = Child(args, page)
    late = Child(structs.replace(args, awaits=(structs.replace(awaited, until=time.monotonic()),)), page)
    kafka = Child(structs.replace(args, awaits=(), announces=bell), page)

    assert child.is_awaited("kafka")
    assert not child.is_awaited("clickhouse")
    assert not late.is_awaited("kafka")
    late.await_service("kafka")
    announcement = threading.Timer(0.05, kafka.ready)
    announcement.start()
    child.await_service("kafka")
    announcement.join()

    assert page["state"] == ChildState.RUNNING, "announced by then"
    assert not child.is_awaited("kafka")
    assert child.is_new("kafka")
    os.close(bell)


def test_of_a_service_of_several_processes_those_that_are_not_up_are_waited_for(
    page: StatsPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bells = [os.eventfd(1), os.eventfd(0)]
    awaits = tuple(Awaited("kafka", bell, time.monotonic() + 60.0) for bell in bells)
    child = Child(
        ChildArgs(role="consumer", name="a", instance="i", config=config(), page=page.name, awaits=awaits), page
    )
    waited: list[list[int]] = []

    def wait(fds: list[int], timeout: float) -> list[int]:
        waited.append(fds)
        os.eventfd_write(bells[1], 1)
        return fds

    monkeypatch.setattr(child, "wait", wait)
    child.await_service("kafka")

    assert waited == [[bells[1]]], "what is up would end the wait at once, again and again"
    for bell in bells:
        os.close(bell)


def test_a_stop_ends_the_wait_for_a_service(page: StatsPage) -> None:
    bell = os.eventfd(0)
    awaited = Awaited("kafka", bell, time.monotonic() + 60.0)
    args = ChildArgs(role="consumer", name="a", instance="i", config=config(), page=page.name, awaits=(awaited,))
    child, kafka = Child(args, page), Child(structs.replace(args, awaits=(), announces=bell), page)
    kafka.stop(deadline=0.0)
    kafka.ready()
    assert child.is_awaited("kafka"), "one that ends is not up"
    child.stop(deadline=0.0)
    child.await_service("kafka")
    os.close(bell)


def test_wait_returns_readable_descriptors_only(page: StatsPage) -> None:
    args = ChildArgs(role="ingest", name="a", instance="i", config=config(), page=page.name)
    child = Child(args, page)
    silent, loud = os.eventfd(0), os.eventfd(1)
    assert child.wait([silent, loud], 5.0) == [loud]
    assert child.wait([silent], 0.0) == []
    child.stop(deadline=0.0)
    assert child.stopping
    assert child.wait([silent], 0.01) == []
    child.ready()
    assert page["state"] == ChildState.STOPPING
    os.close(silent)
    os.close(loud)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library goes its own way")
def test_what_a_large_batch_needed_goes_back_though_something_lies_behind_it(
    page: StatsPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Child(ChildArgs(role="ingest", name="a", instance="i", config=config(), page=page.name), page)
    child.beat()
    batch = [bytes(4000) for _ in range(20_000)]
    behind = batch.pop()
    del batch
    needed = resident_bytes()
    child.beat()
    assert needed - resident_bytes() < 20_000_000
    later_ns = time.monotonic_ns() + GIVE_BACK_NS
    monkeypatch.setattr(time, "monotonic_ns", lambda: later_ns)
    child.beat()
    assert needed - resident_bytes() > 60_000_000
    assert behind


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
