"""One child process, seen from the supervisor: start, heartbeat, stop order, kill, how it ended.

A child runs in its own session: the terminal's Ctrl-C and a service manager's signal to the group reach the supervisor
alone (it drains in order), and whatever the child started itself goes down with it (`killpg` before it is reaped, while
the pid cannot be anybody else's). Only this process has the write end of the child's lifeline.

The child's stats page outlives its runs. The supervisor writes to it only while no child does.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from wsadapter import log
from wsadapter.config.model import Config
from wsadapter.errors import ExitCode, SegmentError
from wsadapter.shm import redo_log
from wsadapter.shm.segment import Segment, listing
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision import live_order, spawn
from wsadapter.supervision.child import (
    LAST_WORDS_BYTES,
    Awaited,
    ChildArgs,
    ChildState,
    RingRef,
    StopOrder,
    arguments_fd,
)
from wsadapter.supervision.instance import ChildRecord, start_ticks
from wsadapter.supervision.restart import RunHistory
from wsadapter.supervision.spawn import ForkServer, Spawned

DUMP_SECONDS: Final = 0.5
"""Between the request for a stack dump and SIGKILL."""
UP: Final = (ChildState.RUNNING, ChildState.PAUSED)
_HINTS: Final = {
    signal.SIGKILL: "SIGKILL, perhaps out of memory",
    signal.SIGBUS: "SIGBUS, perhaps /dev/shm is full or a segment was cut",
    signal.SIGALRM: "SIGALRM, it outlived its supervisor",
}


class RestartKind(StrEnum):
    PERMANENT = "permanent"
    """Always started again."""
    TRANSIENT = "transient"
    """Not after exit 0: its work is done."""


class ChildSpec(Struct, frozen=True):
    """What the supervisor must know of a child; equal specs are the same child to a reload."""

    name: str
    role: str
    module: str
    page_fields: tuple[str, ...]
    """Must hold the cells heartbeat_ns, state, pid and started_ns."""
    stop_group: int
    """Children are stopped group by group, the lowest first; one group is gone before the next is told."""
    restart: RestartKind = RestartKind.PERMANENT
    watches: bool = False
    """Reads what the others share: it is started again when any of that is made anew."""
    drains: bool = False
    """Has work left when it is down at a stop: it is started once more, to finish it."""
    essential: bool = True
    """Counts when it is decided that nothing stays up."""
    secrets: tuple[str, ...] = ("kafka", "clickhouse")
    """Services whose passwords, where the environment gave them, its configuration has."""
    start_deadline: float = 30.0
    """Oldest heartbeat of a child that is still starting, seconds."""
    heartbeat_deadline: float = 10.0
    ring: RingRef | None = None
    rings: tuple[RingRef, ...] = ()
    pass_fds: tuple[int, ...] = ()
    """Inherited under their own numbers, beside the doorbells of the rings."""
    announces: int = -1
    """Eventfd that it rings when it is RUNNING."""
    awaits: tuple[Awaited, ...] = ()
    """Services of the same supervisor that it is a client of."""
    order: Struct | dict[str, Any] | None = None
    """What the role is to do; the child reads it by `Child.order`."""
    takes_orders: bool = False
    """It is given another order, and a page for that, while it runs (`wsadapter.supervision.live_order`)."""
    forked: bool = True
    """Where there is a fork server: not for what shares few imports with others and is not to wait for them."""
    fingerprint: str = ""
    """Of what the child reads in the configuration; a change of it is a change of the child."""


class ExitStatus(Struct, frozen=True):
    """How a run ended. ``reason``: a value of the label of ``child_restarts_total``."""

    reason: str
    text: str
    code: int
    """Negative: a signal."""


class ChildProcess:
    """A child over all its runs."""

    def __init__(self, spec: ChildSpec, instance: str) -> None:
        self.spec = spec
        self.page = open_page(page_name(instance, spec.name), spec.page_fields)
        self.history = RunHistory()
        self.restart_at: float | None = 0.0
        """When it is to be started; None while it runs and when it is not to be."""
        self.was_running = False
        """It has been RUNNING once: from then on exit 78 is a failure like others."""
        self.stop_by: float | None = None
        """Set when it has been told to stop."""
        self.started = 0.0
        self.pidfd = -1
        self._process: Spawned | None = None
        self._ticks = 0
        self._last_words = -1
        self.wanted: ChildSpec | None = None
        """It has been ordered to become this and is not yet."""
        self.told = False
        """The process has the order."""
        self._orders: socket.socket | None = None
        self._orders_sent = 0
        self._next_page: StatsPage | None = None
        """Made for the order; the process puts it in the place of its own."""
        self._kill_at: float | None = None
        self._killed_as = ""

    @property
    def alive(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    @property
    def state(self) -> ChildState:
        return ChildState(self.page["state"])

    @property
    def up(self) -> bool:
        return self.alive and self.state in UP

    def start(self, config: Config, instance_fd: int, notify_fd: int, fork_server: ForkServer | None = None) -> None:
        """Start it now. OSError when the system refuses (EAGAIN at the task limit)."""
        self.restart_at = None
        self.started = time.monotonic()
        self._kill_at = None
        self._killed_as = ""
        self.page["state"] = ChildState.STARTING
        self.page["pid"] = 0
        self.page["heartbeat_ns"] = time.monotonic_ns()
        self._last_words = os.memfd_create("last-words", os.MFD_CLOEXEC)
        spec = self.spec
        rings = (*spec.rings, *((spec.ring,) if spec.ring else ()))
        bells = {*(ring.doorbell_fd for ring in rings), *(one.fd for one in spec.awaits), spec.announces}
        fds = {*spec.pass_fds, *bells, instance_fd, notify_fd, self._last_words}
        with contextlib.ExitStack() as opened:
            orders_fd = -1
            if spec.takes_orders:
                self._orders, theirs = live_order.pair()
                opened.enter_context(theirs)
                orders_fd = theirs.fileno()
            args = self._arguments(config, spec, notify_fd, self.page.name, orders_fd)
            try:
                arguments = arguments_fd(args)
                opened.callback(os.close, arguments)
                self._spawn(arguments, tuple({*fds, orders_fd} - {-1}), fork_server)
            except OSError:
                self._close_orders()
                os.close(self._last_words)
                raise

    def _arguments(self, config: Config, spec: ChildSpec, notify_fd: int, page: str, orders_fd: int) -> ChildArgs:
        return ChildArgs(
            role=spec.role,
            name=spec.name,
            instance=config.service.instance,
            config=config.with_secrets_of(spec.secrets),
            page=page,
            ring=spec.ring,
            rings=spec.rings,
            order=Raw(msgspec.json.encode(spec.order)),
            notify_fd=notify_fd,
            last_words_fd=self._last_words,
            orders_fd=orders_fd,
            awaits=spec.awaits,
            announces=spec.announces,
        )

    # Another order while it runs.

    @property
    def page_is_lost(self) -> bool:
        """Nothing of this child has its page's name. It may put the next one there at any moment."""
        name = self.page.name
        return not (self.page.is_named or (self._next_page is not None and self._next_page.is_at(name)))

    def becomes(self, spec: ChildSpec) -> bool:
        """Whether an order is all that makes it this child."""
        now = self.spec
        only_order = msgspec.structs.replace(spec, order=now.order, page_fields=now.page_fields) == now
        return only_order and now.takes_orders and self.up and self.stop_by is None

    def want(self, spec: ChildSpec) -> bool:
        """It is to become this; `tell` it. What it was to become before is forgotten; True: it has become that."""
        if self._next_page is not None:
            Segment.unlink(self._next_page.name)  # from now on it cannot be taken: has it been?
        done = self.has_become()
        self._drop_next_page()
        self.wanted, self.told = spec, False
        return done

    def tell(self, config: Config, notify_fd: int) -> None:
        """Give the running process its order. OSError, SegmentError when the system refuses."""
        assert self.wanted is not None, "told what is wanted"
        assert self._orders is not None, "only who takes orders is told"
        self._orders_sent += 1
        self._drop_next_page()
        self._next_page = StatsPage.create(f"{self.page.name}.new{self._orders_sent}", self.wanted.page_fields)
        live_order.send(
            self._orders,
            self._arguments(config, self.wanted, notify_fd, self._next_page.name, -1),
        )
        self.told = True

    def has_become(self) -> bool:
        """Whether the process has done its order since this was asked last: spec and page are the new ones then."""
        if self.wanted is None or self._next_page is None or not self._next_page.is_at(self.page.name):
            return False
        name = self.page.name
        self.page.release()
        self._next_page.release()
        self._next_page = None
        self.page = StatsPage.attach(name, writable=True)
        self.spec, self.wanted, self.told = self.wanted, None, False
        return True

    def become(self) -> None:
        """The process is gone, the next one begins with what was wanted. SegmentError when there is no memory for its
        page: then it begins as it was, and is told."""
        assert self.wanted is not None, "becomes what is wanted"
        self._drop_next_page()
        page = open_page(self.page.name, self.wanted.page_fields)
        self.page.release()
        self.page = page
        self.spec, self.wanted, self.told = self.wanted, None, False

    def _drop_next_page(self) -> None:
        if self._next_page is not None:
            Segment.unlink(self._next_page.name)
            self._next_page.release()
            self._next_page = None

    def _close_orders(self) -> None:
        if self._orders is not None:
            self._orders.close()
            self._orders = None

    def _spawn(self, arguments: int, fds: Sequence[int], fork_server: ForkServer | None) -> None:
        process = None
        if fork_server is not None and self.spec.forked:
            process = fork_server.fork(self.spec.module, arguments, fds)
        if process is None:
            process = spawn.execute(self.spec.module, arguments, fds)
        try:
            self.pidfd = os.pidfd_open(process.pid)
        except OSError:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            raise
        self._process = process
        self._ticks = start_ticks(process.pid) or 0

    def record(self) -> ChildRecord:
        return ChildRecord(self.spec.name, self.spec.role, self.pid, self._ticks)

    def order_stop(self, stop_by: float) -> None:
        """Tell it to be gone by this monotonic time; it is told a moment less, so that it can obey in time."""
        self.stop_by = stop_by
        self.restart_at = None
        if self._process is None:
            return
        margin = min(0.5, 0.1 * max(0.0, stop_by - time.monotonic()))
        try:
            # the line raises SIGTERM in the child; one that is still importing finds it when it is ready to
            self._process.write(msgspec.json.encode(StopOrder(stop_by - margin)) + b"\n")
        except BrokenPipeError:
            self._signal(signal.SIGTERM)

    def kill(self, why: str) -> None:
        """SIGKILL for it and whatever it started."""
        if self._process is not None:
            self._killed_as = self._killed_as or why
            self._kill_at = None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def due(self, resumed: float) -> float:
        """When the supervisor must check this child again. ``resumed``: heartbeats are not expected before."""
        if self.restart_at is not None:
            return self.restart_at
        if not self.alive or (self._killed_as and self._kill_at is None):
            return float("inf")
        if self._kill_at is not None:
            return self._kill_at
        return self.stop_by if self.stop_by is not None else self._heartbeat_limit(resumed)

    def watch(self, now: float, resumed: float) -> None:
        """Kill it when its heartbeat is too old (after a stack dump) or its time to stop is over."""
        if now < self.due(resumed) or not self.alive:
            return
        if self._kill_at is not None:
            self.kill("hung")
        elif self.stop_by is not None:
            log.get_logger().error("child did not stop in time, killing it", child=self.spec.name, pid=self.pid)
            self.kill("deadline")
        else:
            age = now - self.page["heartbeat_ns"] / 1e9
            log.get_logger().error(
                "child hangs, dumping its stack", child=self.spec.name, pid=self.pid, heartbeat_age=age
            )
            self._signal(signal.SIGUSR1)
            self._signal(signal.SIGCONT)  # a stopped process dumps nothing
            self._killed_as = "hung"
            self._kill_at = now + DUMP_SECONDS

    def reap(self) -> ExitStatus:
        """Collect the exit status of a process whose pidfd became readable."""
        process = self._process
        assert process is not None
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        words = os.pread(self._last_words, LAST_WORDS_BYTES, 0).decode(errors="replace")
        os.close(self._last_words)
        os.close(self.pidfd)
        self.pidfd = -1
        self._process = None
        self.told = False
        self._close_orders()
        self.was_running = self.was_running or self.page["state"] >= ChildState.RUNNING
        self.page["state"] = ChildState.STARTING
        self.page["pid"] = 0
        return ended(code, self._killed_as, words)

    def release(self, keep_page: bool) -> None:
        name = self.page.name
        self._drop_next_page()
        lost = self.page.content() if keep_page and not self.page.is_named else b""
        self.page.release()
        if not keep_page:
            Segment.unlink(name)
        elif lost:
            try:
                Segment.create(name, len(lost), lost).close()
            except SegmentError as error:
                log.get_logger().error("stats page lost", page=name, reason=str(error))

    def _heartbeat_limit(self, resumed: float) -> float:
        limit = self.spec.start_deadline if self.state == ChildState.STARTING else self.spec.heartbeat_deadline
        return max(self.page["heartbeat_ns"] / 1e9, resumed) + limit

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)


def ended(code: int, killed_as: str = "", words: str = "") -> ExitStatus:
    """What an exit status means, in words."""
    if killed_as:
        text = {"hung": "killed, it hung", "deadline": "killed, it did not stop in time"}.get(killed_as, killed_as)
        return ExitStatus("hung" if killed_as == "hung" else "signal", text, code)
    if code < 0:
        number = signal.Signals(-code) if -code in set(signal.Signals) else None
        name = number.name if number is not None else f"signal {-code}"
        return ExitStatus("signal", _HINTS.get(number, name) if number is not None else name, code)
    name = f"exit {code} ({ExitCode(code).name})" if code in set(ExitCode) else f"exit {code}"
    return ExitStatus("config" if code == ExitCode.CONFIG else "exit", f"{name}: {words}" if words else name, code)


def page_name(instance: str, child: str) -> str:
    return f"wsadapter-{instance}-stats-{child}"


def open_page(name: str, fields: Sequence[str]) -> StatsPage:
    """The page of an earlier supervisor when it has these fields; else a new one in its place, which takes over every
    cell of the same name (`redo_log.carry`). A kill leaves one of the two, whole."""
    before: StatsPage | None = None
    if Segment.exists(name):
        try:
            before = StatsPage.attach(name, writable=True)
        except SegmentError as error:
            log.get_logger().warning("stats page replaced", page=name, reason=str(error))
            Segment.unlink(name)
        else:
            if before.fields == tuple(fields):
                return before
    if before is None:
        return StatsPage.create(name, fields)
    beside = f"{name}.new"
    for left in listing(beside):  # of a supervisor that was killed here, or before its child had done an order
        Segment.unlink(left)
    made = StatsPage.create(beside, fields)
    redo_log.carry(before, made)
    before.release()
    made.release()
    Segment.replace(beside, name)
    return StatsPage.attach(name, writable=True)
