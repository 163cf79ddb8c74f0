"""One instance per state directory: locks, the list of children, the epoch. The supervisor owns all of it.

* ``supervisor.lock``: held by a live supervisor only. A second one is refused at once, with the pid of the first.
* ``instance.lock``: the same open file is inherited by every child, so the lock lasts until the last of them is gone.
  A new supervisor that finds it held waits for the old children, and after the limit kills them: never two readers
  on one ring head.
* ``children.json``: pid and start time of the children, to find them again without taking a reused pid for one.
* ``instance``: the instance's name, where the configuration has none.
* ``reload.json``: when the configuration was last reloaded and, if it was refused, why.
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
from typing import Annotated, Final, cast

import msgspec
from msgspec import Meta, Struct

from wsadapter import log
from wsadapter.errors import AlreadyRunning, ConfigError, ServiceUnavailable
from wsadapter.files import StateDirectory

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE})
"""What a disk says that may pass: the start is to be tried again, which a service manager does not after exit 78."""
LOCK: Final = "instance.lock"
SUPERVISOR_LOCK: Final = "supervisor.lock"
RELOAD: Final = "reload.json"
_EPOCH: Final = cast(type[int], Annotated[int, Meta(ge=0, lt=2**63 - 10**6)])
KILL_SECONDS: Final = 5.0
"""For a process to be gone after SIGKILL."""


class ChildRecord(Struct, frozen=True):
    """A running child; ``started`` is its start time in clock ticks since boot (field 22 of /proc/pid/stat)."""

    name: str
    role: str
    pid: Annotated[int, Meta(ge=1, le=2**22)]
    started: int


class ReloadOutcome(Struct, frozen=True):
    """``refused``: why; empty when the new configuration is in use. ``at_ns`` 0: there was none."""

    at_ns: int = 0
    refused: str = ""


class Instance:
    """The state directory, locked. `lock_fd` is what children inherit."""

    def __init__(self, state: StateDirectory, supervisor_fd: int, lock_fd: int) -> None:
        self.state = state
        """The directory's other files, for whoever keeps something from run to run."""
        self.lock_fd = lock_fd
        self._supervisor_fd = supervisor_fd
        self._children = state.file("children.json", tuple[ChildRecord, ...], ())
        self._reload = state.file(RELOAD, ReloadOutcome, ReloadOutcome())
        self._epoch = state.file("epoch", _EPOCH, 0, durable=True, in_place=True)
        self._last_epoch = 0

    @staticmethod
    def was_claimed(state_dir: str) -> bool:
        """Whether an instance has lived there before."""
        return os.path.lexists(os.path.join(state_dir, LOCK))

    @classmethod
    def claim(cls, state_dir: str, old_children_seconds: float) -> "Instance":
        """Lock the directory. Waits up to ``old_children_seconds`` for children of a supervisor that was killed, then
        kills them. Raises `AlreadyRunning` when another supervisor lives there, `ConfigError` when the directory cannot
        be used, `ServiceUnavailable` when that may pass."""
        try:
            prepare(state_dir)
            supervisor_fd = _open(os.path.join(state_dir, SUPERVISOR_LOCK))
            lock_fd = _open(os.path.join(state_dir, LOCK))
        except OSError as error:
            if error.errno in PASSING:
                raise ServiceUnavailable(f"service.state_dir: {state_dir}: {error.strerror}") from error
            raise ConfigError([("service.state_dir", f"{state_dir}: {error.strerror}")]) from error
        try:
            ours = _try_lock(supervisor_fd)
        except OSError as error:  # a network file system without locks
            message = f"{state_dir}: its file system cannot lock files: {error.strerror}"
            raise ConfigError([("service.state_dir", message)]) from error
        if not ours:
            holder = os.pread(supervisor_fd, 32, 0).strip()
            os.close(supervisor_fd)
            os.close(lock_fd)
            raise AlreadyRunning(state_dir, int(holder) if holder.isdigit() else 0)
        instance = cls(StateDirectory(state_dir), supervisor_fd, lock_fd)
        pid = f"{os.getpid()}\n".encode()
        try:
            os.pwrite(supervisor_fd, pid, 0)
            os.ftruncate(supervisor_fd, len(pid))
        except OSError as error:  # only the refusal of a second supervisor names it
            instance.state.refused(SUPERVISOR_LOCK, error)
        if not _try_lock(lock_fd):
            _wait_for_old_children(state_dir, instance._children.read(), lock_fd, old_children_seconds)
        return instance

    def record(self, children: Iterable[ChildRecord]) -> None:
        """Keep the list of running children. Without it the next start finds them by the lock."""
        self._children.write_soon(tuple(children))

    def reloaded(self, refused: str) -> None:
        """Keep what came of a reload, for who asked for it."""
        self._reload.write_soon(ReloadOutcome(time.time_ns(), refused))

    def next_epoch(self) -> int:
        """Larger than every epoch given before in this directory, durable before it is returned. Where the disk takes
        nothing, or its file is damaged, the clock alone stands for those of earlier runs."""
        self._last_epoch = max(self._last_epoch + 1, self._epoch.read() + 1, time.time_ns())
        self._epoch.write(self._last_epoch)
        return self._last_epoch

    def release(self) -> None:
        """Give the directory back; ``instance.lock`` lasts while a child has it."""
        self.state.flush()
        os.close(self._supervisor_fd)
        os.close(self.lock_fd)


def prepare(state_dir: str) -> None:
    """Make the directory, or see that it is ours and nobody else's to read. Raises OSError."""
    os.makedirs(state_dir, mode=DIRECTORY_MODE, exist_ok=True)
    status = os.stat(state_dir)
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"belongs to uid {status.st_uid}, we are uid {os.geteuid()}")
    if stat.S_IMODE(status.st_mode) != DIRECTORY_MODE:
        os.chmod(state_dir, DIRECTORY_MODE)


def supervisor_of(state_dir: str) -> int:
    """A pidfd of the supervisor that lives there; `ServiceUnavailable` when there is none. Takes no lock."""
    try:
        with open(os.path.join(state_dir, SUPERVISOR_LOCK), "rb") as file:
            inode, pid = os.fstat(file.fileno()).st_ino, int(file.read(32))
        fd = os.pidfd_open(pid)
    except (OSError, ValueError):
        raise ServiceUnavailable(f"no supervisor runs on {state_dir}") from None
    if _has_flock(pid, inode):
        return fd
    os.close(fd)
    raise ServiceUnavailable(f"no supervisor runs on {state_dir}")


def _has_flock(pid: int, inode: int) -> bool:
    """Asked of the table of all locks (proc_locks(5)): a process of the same user in another user namespace, as each
    one of a unit with PrivateUsers= is, may not look at another one's descriptors. Of the file's place the inode alone
    is compared: the device of a stacked file system has another number there."""
    with open("/proc/locks", encoding="ascii") as file:
        for line in file:
            # 12: FLOCK  ADVISORY  WRITE 4242 fd:01:131079 0 EOF; who waits for one has an arrow before FLOCK
            words = line.split()
            if words[1] == "FLOCK" and words[4] == str(pid) and words[5].rpartition(":")[2] == str(inode):
                return True
    return False


def last_reload(state_dir: str) -> ReloadOutcome:
    try:
        with open(os.path.join(state_dir, RELOAD), "rb") as file:
            return msgspec.json.decode(file.read(), type=ReloadOutcome)
    except (OSError, msgspec.MsgspecError):
        return ReloadOutcome()


def start_ticks(pid: int) -> int | None:
    """When this process started, in clock ticks since boot; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            content = file.read()
    except OSError:
        return None
    # the command, field 2, may hold spaces and parentheses: count from the last one
    return int(content.rpartition(b")")[2].split()[19])


def _wait_for_old_children(state_dir: str, old: Iterable[ChildRecord], lock_fd: int, seconds: float) -> None:
    """Wait until the old children are gone, kill those that remain at the end, take the lock."""
    names = [record.name for record in old]
    log.get_logger().warning("children of a killed supervisor still run, waiting", children=names, seconds=seconds)
    holders: dict[int, str] = {}
    with contextlib.ExitStack() as stack:
        pidfds = _pidfds(old, stack)
        remaining = _wait_gone(pidfds, seconds)
        # the list can miss a child that was started in the moment of the kill; the lock cannot
        if remaining or not _try_lock(lock_fd):
            holders = _holders(lock_fd, stack)
            remaining |= holders
            log.get_logger().warning("killing old children", children=sorted(remaining.values()))
            for fd, name in remaining.items():
                try:
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                except OSError as error:  # another user's
                    log.get_logger().error("old child cannot be killed", child=name, reason=error.strerror)
            holders = _wait_gone(remaining, KILL_SECONDS)
    if not _try_lock(lock_fd):
        names = sorted(holders.values()) or ["a process that cannot be seen from here"]
        held = f"instance.lock is held by {', '.join(names)} and does not become free"
        raise ServiceUnavailable(f"service.state_dir: {state_dir}: {held}")


def _pidfds(records: Iterable[ChildRecord], stack: contextlib.ExitStack) -> dict[int, str]:
    pidfds = {}
    for record in records:
        with contextlib.suppress(OSError):
            fd = os.pidfd_open(record.pid)
            stack.callback(os.close, fd)
            # compared after the pidfd is held: the pid cannot pass to another process unseen
            if start_ticks(record.pid) == record.started:
                pidfds[fd] = record.name
    return pidfds


def _holders(lock_fd: int, stack: contextlib.ExitStack) -> dict[int, str]:
    """pidfd -> name, of everybody who holds the lock on this file, us excepted. Who only has it open (a backup, a
    pager) is no holder: the kernel says of each open file which locks it has (proc_pid_fdinfo(5))."""
    status = os.fstat(lock_fd)
    holders = {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()):
        with contextlib.suppress(OSError):
            fd = os.pidfd_open(pid)
            stack.callback(os.close, fd)
            if any(_has_lock(pid, number, status) for number in os.listdir(f"/proc/{pid}/fd")):
                holders[fd] = f"pid {pid}"
    return holders


def _has_lock(pid: int, number: str, status: os.stat_result) -> bool:
    try:
        if not os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), status):
            return False
        with open(f"/proc/{pid}/fdinfo/{number}", "rb") as file:
            return any(line.startswith(b"lock:") and b"FLOCK" in line for line in file)
    except OSError:
        return False


def _wait_gone(pidfds: dict[int, str], seconds: float) -> dict[int, str]:
    """Those that are still there after ``seconds``."""
    present = dict(pidfds)
    deadline = time.monotonic() + seconds
    poll = select.poll()
    for fd in present:
        poll.register(fd, select.POLLIN)
    while present and (rest := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(rest * 1000):
            poll.unregister(fd)
            del present[fd]
    return present


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
