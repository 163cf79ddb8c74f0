"""One instance per state directory: locks, the list of children, the epoch. The supervisor owns all of it.

* ``supervisor.lock``: held by a live supervisor only. A second one is refused at once, with the pid of the first.
* ``instance.lock``: the same open file is inherited by every child, so the lock lasts until the last of them is gone.
  A new supervisor that finds it held waits for the old children, and after the limit kills them: never two readers
  on one ring head.
* ``children.json``: pid and start time of the children, to find them again without taking a reused pid for one.
* ``epoch``: the last epoch given to a ring. Epochs only grow, whatever the clock does.

The directory has mode 0700, its files 0600. Locks are `flock`: they go with their holders, kill -9 included.
"""

import contextlib
import errno
import fcntl
import os
import select
import signal
import stat
import time
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from wsadapter import files, log
from wsadapter.errors import ConfigError

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
KILL_SECONDS: Final = 5.0
"""For a process to be gone after SIGKILL."""


class ChildRecord(Struct, frozen=True):
    """A running child; ``started`` is its start time in clock ticks since boot (field 22 of /proc/pid/stat)."""

    name: str
    role: str
    pid: int
    started: int


class Instance:
    """The state directory, locked. `lock_fd` is what children inherit."""

    def __init__(self, state_dir: str, supervisor_fd: int, lock_fd: int) -> None:
        self.state_dir = state_dir
        self.lock_fd = lock_fd
        self._supervisor_fd = supervisor_fd

    @classmethod
    def claim(cls, state_dir: str, old_children_seconds: float) -> "Instance":
        """Lock the directory. Waits up to ``old_children_seconds`` for children of a supervisor that was killed, then
        kills them. Raises `ConfigError` when another supervisor lives there or the directory cannot be used."""
        try:
            prepare(state_dir)
            supervisor_fd = _open(os.path.join(state_dir, "supervisor.lock"))
            lock_fd = _open(os.path.join(state_dir, "instance.lock"))
        except OSError as error:
            raise ConfigError([("service.state_dir", f"{state_dir}: {error.strerror}")]) from error
        if not _try_lock(supervisor_fd):
            holder = os.pread(supervisor_fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(supervisor_fd)
            os.close(lock_fd)
            raise ConfigError([("service.state_dir", f"{state_dir} is in use by the supervisor with pid {holder}")])
        os.ftruncate(supervisor_fd, 0)
        os.pwrite(supervisor_fd, f"{os.getpid()}\n".encode(), 0)
        if not _try_lock(lock_fd):
            _outlive(state_dir, lock_fd, old_children_seconds)
        return cls(state_dir, supervisor_fd, lock_fd)

    def record(self, children: Iterable[ChildRecord]) -> None:
        """Keep the list of running children; whole at every moment."""
        files.replace(self._path("children.json"), msgspec.json.encode(tuple(children)))

    def next_epoch(self) -> int:
        """Larger than every epoch given before in this directory, durable before it is returned."""
        path = self._path("epoch")
        last = 0
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            with open(fd, "rb") as file:
                content = file.read(32).strip()
            if not content.isdigit():
                raise ConfigError([("service.state_dir", f"{path} does not hold a number: {content!r}")])
            last = int(content)
        epoch = max(last + 1, time.time_ns())
        files.replace(path, f"{epoch}\n".encode(), durable=True)
        return epoch

    def release(self) -> None:
        """Give the directory back; ``instance.lock`` lasts while a child has it."""
        os.close(self._supervisor_fd)
        os.close(self.lock_fd)

    def _path(self, name: str) -> str:
        return os.path.join(self.state_dir, name)


def prepare(state_dir: str) -> None:
    """Make the directory, or see that it is ours and nobody else's to read. Raises OSError."""
    os.makedirs(state_dir, mode=DIRECTORY_MODE, exist_ok=True)
    status = os.stat(state_dir)
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"belongs to uid {status.st_uid}, we are uid {os.geteuid()}")
    if stat.S_IMODE(status.st_mode) != DIRECTORY_MODE:
        os.chmod(state_dir, DIRECTORY_MODE)


def start_ticks(pid: int) -> int | None:
    """When this process started, in clock ticks since boot; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            content = file.read()
    except OSError:
        return None
    # the command, field 2, may hold spaces and parentheses: count from the last one
    return int(content.rpartition(b")")[2].split()[19])


def _outlive(state_dir: str, lock_fd: int, seconds: float) -> None:
    """Wait until the old children are gone, kill those that are left at the end, take the lock."""
    old = _old_children(state_dir)
    names = [record.name for record in old]
    log.get_logger().warning("children of a killed supervisor still run, waiting", children=names, seconds=seconds)
    with contextlib.ExitStack() as stack:
        pidfds = _pidfds(old, stack)
        left = _wait_gone(pidfds, seconds)
        # the list can miss a child that was started in the moment of the kill; the lock cannot
        if left or not _try_lock(lock_fd):
            left |= {fd: record.name for fd, record in _holders(state_dir, stack).items()}
            log.get_logger().warning("killing old children", children=sorted(left.values()))
            for fd in left:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
            _wait_gone(left, KILL_SECONDS)
    if not _try_lock(lock_fd):
        raise ConfigError([("service.state_dir", f"{state_dir}: instance.lock is held by a process that does not end")])


def _old_children(state_dir: str) -> tuple[ChildRecord, ...]:
    try:
        with open(os.path.join(state_dir, "children.json"), "rb") as file:
            return msgspec.json.decode(file.read(), type=tuple[ChildRecord, ...])
    except (FileNotFoundError, msgspec.MsgspecError):
        return ()


def _pidfds(records: Iterable[ChildRecord], stack: contextlib.ExitStack) -> dict[int, str]:
    pidfds = {}
    for record in records:
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(record.pid)
            stack.callback(os.close, fd)
            # asked after the pidfd is held: the pid cannot pass to another process unseen
            if start_ticks(record.pid) == record.started:
                pidfds[fd] = record.name
    return pidfds


def _holders(state_dir: str, stack: contextlib.ExitStack) -> dict[int, ChildRecord]:
    """pidfd -> process, of everybody who has instance.lock open, us excepted."""
    path = os.path.realpath(os.path.join(state_dir, "instance.lock"))
    found = {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()):
        with contextlib.suppress(OSError):
            fd = os.pidfd_open(pid)
            stack.callback(os.close, fd)
            if any(_points_to(f"/proc/{pid}/fd/{number}", path) for number in os.listdir(f"/proc/{pid}/fd")):
                found[fd] = ChildRecord(name=f"pid {pid}", role="", pid=pid, started=0)
    return found


def _points_to(link: str, path: str) -> bool:
    try:
        return os.readlink(link) == path
    except OSError:
        return False


def _wait_gone(pidfds: dict[int, str], seconds: float) -> dict[int, str]:
    """Those that are still there after ``seconds``."""
    left = dict(pidfds)
    deadline = time.monotonic() + seconds
    poll = select.poll()
    for fd in left:
        poll.register(fd, select.POLLIN)
    while left and (remaining := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(remaining * 1000):
            poll.unregister(fd)
            del left[fd]
    return left


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
