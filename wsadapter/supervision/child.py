"""The child's side of supervision: arguments, stop orders, heartbeat, exit code. One `Child` per process.

A child is ``python -m wsadapter.<role> <fd>`` with a pipe as standard input, the lifeline. The descriptor is a memory
file with its arguments (`ChildArgs` as JSON). What comes on the lifeline is the stop order; its end (EOF) means that
the supervisor is gone: the child drains and is dead within ten seconds, whatever it was doing.

How a stop reaches a child, none of it by polling or by a thread:

* SIGTERM, SIGINT: Python handlers, with `signal.set_wakeup_fd` so that none is lost between a check and a poll.
* The lifeline raises SIGTERM too (F_SETSIG on the pipe): a child that does not poll its descriptors notices.
* PR_SET_PDEATHSIG SIGCONT wakes a stopped child when the supervisor dies; it then finds the lifeline closed.

All of them end in `Child.stopping`, and `Child.stop_fd` becomes readable. The supervisor creates the stats page; the
child is its only writer.
"""

import contextlib
import ctypes
import faulthandler
import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from enum import IntEnum
from types import FrameType
from typing import Final, NoReturn, TypeVar

import msgspec
from msgspec import Raw, Struct

from wsadapter import log
from wsadapter.config.model import Config, ProcessConfig
from wsadapter.errors import ConfigError, ExitCode, SchemaMismatch, WsadapterError
from wsadapter.shm import redo_log
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.heap import give_back, share_arenas
from wsadapter.supervision.title import set_title

LIFELINE: Final = 0
ORPHAN_SECONDS: Final = 8.0
"""What a child may take to drain when its supervisor is gone."""
ORPHAN_ALARM_SECONDS: Final = 9.0
"""Then SIGALRM's default action ends it, even if it hangs."""
LAST_WORDS_BYTES: Final = 4096
BEAT_SECONDS: Final = 0.5
GIVE_BACK_NS: Final = 60_000_000_000
"""So often memory that an outage or a large batch needed goes back to the system: a tenth of a millisecond."""
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG: Final = 1
_MCL_CURRENT_AND_FUTURE: Final = 3

T = TypeVar("T")


class ChildState(IntEnum):
    """The cell ``state`` of a child's page."""

    STARTING = 0
    WAITING = 1
    """Alive, for a service that is not there yet."""
    RUNNING = 2
    STOPPING = 3
    PAUSED = 4
    """Alive, needs the operator (alarm)."""


class RingRef(Struct, frozen=True):
    """``name``: the shared memory segment. ``doorbell_fd``: eventfd, inherited under this number. ``marks``: page of
    watermarks of redundant connections, ``member``: which of them this is."""

    connection: str
    name: str
    epoch: int
    doorbell_fd: int
    marks: str = ""
    member: int = 0


class Awaited(Struct, frozen=True):
    """A service that the same supervisor starts, or one process of it: its eventfd ``fd`` is rung once when it is up,
    and stays readable. From the monotonic time ``until`` on it is late."""

    service: str
    fd: int
    until: float


class ChildArgs(Struct, frozen=True):
    """What a child is to do. Ingest: ``ring`` is its own. Serializer: ``rings`` are those assigned to it."""

    role: str
    name: str
    instance: str
    config: Config
    page: str
    ring: RingRef | None = None
    rings: tuple[RingRef, ...] = ()
    order: Raw = Raw(b"null")
    """What the role is to do, as JSON; see `Child.order`."""
    notify_fd: int = -1
    """Eventfd of the supervisor, rung when the state changes."""
    last_words_fd: int = -1
    """Memory file of the supervisor for the reason of an exit."""
    orders_fd: int = -1
    """Where orders come to a child that runs (`wsadapter.supervision.live_order`); -1: it is started again instead."""
    awaits: tuple[Awaited, ...] = ()
    announces: int = -1
    """Eventfd to be rung when this child is RUNNING."""


class StopOrder(Struct, frozen=True):
    """The supervisor's last line on the lifeline: the monotonic time by which the child must be gone."""

    stop_by: float


class Child:
    """This process as the supervisor's child."""

    def __init__(self, args: ChildArgs, page: StatsPage) -> None:
        self.args = args
        self.page = page
        self._left: StatsPage | None = None
        """The page before this one, while somebody writes to it."""
        self.deadline = float("inf")
        """Monotonic time by which a stopping child must be gone."""
        self.orphaned = False
        """The supervisor is gone: all children drain at the same time, and nobody starts this one again."""
        self._stopping = False
        self._listening = False
        self._received = b""
        self._heartbeat = page.index("heartbeat_ns")
        self._give_back_at_ns = 0
        self._stop_event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._signals, self._signals_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._stop_event, select.EPOLLIN)
        self._epoll.register(self._signals, select.EPOLLIN)
        self.stop_fd = self._epoll.fileno()
        """Becomes readable, and stays so, when this child is to stop: then read `stopping`."""

    @classmethod
    def start(cls) -> "Child":
        """Become the child that the arguments describe."""
        args = _read_arguments()
        set_title(args.role, args.name)
        log.setup(args.config.service.log_format, args.config.service.log_level, role=args.role, name=args.name)
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        page = StatsPage.attach(args.page, writable=True)
        child = cls(args, page)
        child._listen()
        page["pid"] = os.getpid()
        page["started_ns"] = time.time_ns()
        child.beat()
        place(args.config.process_of(args.role))
        return child

    def order(self, kind: type[T]) -> T:
        """What the supervisor tells this role to do."""
        return msgspec.json.decode(self.args.order, type=kind)

    def beat(self) -> None:
        """To be called by the role's own loop, at least once a second: it proves that the loop runs."""
        now_ns = self.page.cells[self._heartbeat] = time.monotonic_ns()
        if now_ns >= self._give_back_at_ns:
            self._give_back_at_ns = now_ns + GIVE_BACK_NS
            give_back()

    def ready(self) -> None:
        self.set_state(ChildState.RUNNING)
        if self.args.announces >= 0 and not self._stopping:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_write(self.args.announces, 1)

    def is_awaited(self, service: str) -> bool:
        """The service is started by the same supervisor, was not up yet, and is not late: nothing to warn of."""
        return any(
            one.service == service and time.monotonic() < one.until and not _readable(one.fd)
            for one in self.args.awaits
        )

    def is_new(self, service: str) -> bool:
        """The service is started by the same supervisor, which has just begun: what it does not do yet is no fault."""
        return any(one.service == service and time.monotonic() < one.until for one in self.args.awaits)

    def await_service(self, service: str) -> None:
        """Wait, the heart beating, while it `is_awaited`; a stop ends that."""
        while not self.stopping and self.is_awaited(service):
            self.set_state(ChildState.WAITING)
            bells = [one.fd for one in self.args.awaits if one.service == service and not _readable(one.fd)]
            self.wait(bells, BEAT_SECONDS)

    def set_state(self, state: ChildState) -> None:
        self.beat()
        if (self._stopping and state != ChildState.STOPPING) or self.page["state"] == state:
            return
        self.page["state"] = state
        self._notify()

    def take(self, args: ChildArgs) -> StatsPage:
        """The order of these arguments is done: their stats page, with every count, in the place of the one that there
        was. Whoever writes to that must be told before anything else is counted, then call `free`."""
        page = StatsPage.attach(args.page, writable=True)
        redo_log.carry(self.page, page)
        Segment.replace(args.page, self.args.page)
        self.args = msgspec.structs.replace(args, page=self.args.page, orders_fd=self.args.orders_fd)
        self._left, self.page = self.page, page
        self._heartbeat = page.index("heartbeat_ns")
        self._notify()
        return page

    def free(self) -> None:
        """Nobody writes to the page before `take` any more."""
        if self._left is not None:
            self._left.release()
            self._left = None

    def _notify(self) -> None:
        if self.args.notify_fd >= 0:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_write(self.args.notify_fd, 1)

    @property
    def stopping(self) -> bool:
        """A stop was ordered, a stop signal came or the supervisor is gone."""
        if not self._stopping and self._epoll.poll(0):
            self._check_stop()
        return self._stopping

    def wait(self, fds: Sequence[int], timeout: float) -> list[int]:
        """Those of ``fds`` that are readable; empty when ``timeout`` seconds passed or a stop came meanwhile. A child
        that is stopping already is not woken by the stop again."""
        poll = select.poll()
        for fd in fds:
            poll.register(fd, select.POLLIN)
        if not self.stopping:
            poll.register(self.stop_fd, select.POLLIN)
        readable = [fd for fd, _ in poll.poll(max(0.0, timeout) * 1000)]
        if self.stop_fd in readable:
            self._check_stop()
            readable.remove(self.stop_fd)
        return readable

    def stop(self, deadline: float) -> None:
        """What a stop signal or order does; a role may call it to end itself."""
        if self._stopping:
            return
        self.deadline = min(self.deadline, deadline)
        self._stopping = True
        self.set_state(ChildState.STOPPING)
        os.eventfd_write(self._stop_event, 1)

    def release(self) -> None:
        self.page.release()

    def _listen(self) -> None:
        """Arm every way in which a stop can come; then check what came before."""
        os.set_blocking(LIFELINE, False)
        self._epoll.register(LIFELINE, select.EPOLLIN)
        self._listening = True
        signal.set_wakeup_fd(self._signals_in, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_stop_signal)
        # the terminal's own signals are for the supervisor; a background process that logs must not be stopped for it
        for number in (signal.SIGHUP, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        fcntl.fcntl(LIFELINE, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(LIFELINE, fcntl.F_SETSIG, signal.SIGTERM)
        fcntl.fcntl(LIFELINE, fcntl.F_SETFL, fcntl.fcntl(LIFELINE, fcntl.F_GETFL) | os.O_ASYNC)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)
        self._check_stop()

    def _on_stop_signal(self, number: int, frame: FrameType | None) -> None:
        # under uvloop the wake-up descriptor is uvloop's own: what would have come on the pipe is done here
        self._check_stop()
        self.stop(time.monotonic() + self.args.config.service.drain_seconds)

    def _check_stop(self) -> None:
        """Read what came in. A signal handler may interrupt this anywhere and do the same: every step bears that."""
        with contextlib.suppress(BlockingIOError):
            if set(STOP_SIGNALS) & set(os.read(self._signals, 4096)):
                self.stop(time.monotonic() + self.args.config.service.drain_seconds)
        if not self._listening:
            return
        try:
            while chunk := os.read(LIFELINE, 4096):
                self._received += chunk
            gone = True
        except BlockingIOError:
            gone = False
        while b"\n" in self._received:
            line, _, self._received = self._received.partition(b"\n")
            self.deadline = msgspec.json.decode(line, type=StopOrder).stop_by
            self.stop(self.deadline)
        if gone:
            self._orphan()

    def _orphan(self) -> None:
        if self.orphaned:
            return
        self.orphaned = True
        signal.setitimer(signal.ITIMER_REAL, ORPHAN_ALARM_SECONDS)
        deadline = time.monotonic() + min(ORPHAN_SECONDS, self.args.config.service.drain_seconds)
        self.stop(deadline)
        self.deadline = min(self.deadline, deadline)


def run_child(main: Callable[[Child], int]) -> NoReturn:
    """Be a child: start, run ``main``, end with the exit code that tells the supervisor what to do next."""
    child: Child | None = None
    reason = ""
    try:
        child = Child.start()
        code = main(child)
    except WsadapterError as error:
        code, reason = int(error.exit_code), str(error)
        kind = "refused" if isinstance(error, ConfigError | SchemaMismatch) else "failed"
        log.get_logger().error(kind, reason=reason, error=type(error).__name__, exit_code=code)
    except Exception as error:
        code, reason = int(ExitCode.INTERNAL), f"{type(error).__name__}: {error}"
        log.get_logger().exception("failed", exit_code=code)
    if child is not None and reason and child.args.last_words_fd >= 0:
        os.pwrite(child.args.last_words_fd, reason.encode(errors="replace")[:LAST_WORDS_BYTES], 0)
    for number in STOP_SIGNALS:
        # the interpreter takes its handlers away before it ends: another stop would end it, and not with ``code``
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def _readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def arguments_fd(args: ChildArgs) -> int:
    """A memory file with the arguments, for a child to inherit. Not the lifeline: a pipe takes more than 1 MiB at once
    with a privilege only, and hundreds of symbols are more. The caller closes it when the child has started."""
    fd = os.memfd_create("arguments", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(msgspec.json.encode(args))
    return fd


def _read_arguments() -> ChildArgs:
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        sys.stderr.write("this is a child of wsadapter-supervisor, which starts it\n")
        raise SystemExit(ExitCode.USAGE)
    with open(int(sys.argv[1]), "rb") as file:
        file.seek(0)  # the position is shared with whoever wrote it
        return msgspec.json.decode(file.read(), type=ChildArgs)


def place(process: ProcessConfig) -> None:
    """CPU affinity, niceness and memory of this process, as configured for its role; before it has threads. What the
    system refuses (a missing privilege, a limit) is logged and borne: slower recording beats none."""
    share_arenas()
    if process.cpu:
        _attempt("cpu", lambda: os.sched_setaffinity(0, process.cpu))
    if process.nice:
        _attempt("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, process.nice))
    if process.lock_memory:
        _attempt("lock_memory", _lock_memory)


def _attempt(setting: str, apply: Callable[[], object]) -> None:
    try:
        apply()
    except OSError as error:
        log.get_logger().warning("setting refused by the system, going on without", setting=setting, reason=str(error))


def _lock_memory() -> None:
    if ctypes.CDLL(None, use_errno=True).mlockall(_MCL_CURRENT_AND_FUTURE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
