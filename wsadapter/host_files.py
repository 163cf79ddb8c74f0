"""What all processes of a host share of a venue's limits: small files that each changes under its `flock`.

A venue counts by address, and all instances of a host have one address: so what they have used up stands in one place,
`host_directory`. That is ``$WSADAPTER_HOST_DIR``, else ``/dev/shm/wsadapter.<user id>`` (gone with the next boot, as
the limits are), else the instance's own state directory, where nothing can be shared. It belongs to one user, mode
0700: others on the host have a directory of their own and are not counted, and nobody else can hold a lock or a link
against us. Processes with a ``/dev/shm`` of their own (containers) share where the variable names a volume of theirs.

A `HostFile` has its full length from the beginning, so that a full disk changes nothing, and is written by small
writes of which each leaves it whole; a kill -9 releases the lock with its holder. What is no file of ours is set aside,
said and counted. Files that nobody has used for a day are removed when another one is made.
"""

import contextlib
import errno
import fcntl
import logging
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

UNUSED_SECONDS: Final = 86_400.0
"""More than any limit looks back."""
MOST_FILES: Final = 4_096
"""Looked through for unused ones."""
_SHARED_MEMORY: Final = Path("/dev/shm")

logger = logging.getLogger(__name__)


class Busy(Exception):
    """Another process has the file."""


class Damaged(Exception):
    """What is in the file is not ours."""


def host_directory(state_dir: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the host's limits are kept; not made here."""
    if named := environ.get("WSADAPTER_HOST_DIR"):
        return Path(named)
    shared = _SHARED_MEMORY / f"wsadapter.{os.getuid()}"
    with contextlib.suppress(OSError):
        shared.mkdir(mode=0o700, exist_ok=True)
        found = shared.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return shared
    return Path(state_dir)


class HostFile:
    """One file of so many octets. ``failures``: uses for which it could not be had, ``damaged``: how often it was set
    aside. `OSError` where the system refuses it."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size
        self.failures = self.damaged = 0
        self._reported: dict[str, int] = {}

    def new_failures(self) -> dict[str, int]:
        """By the names of their metrics: what was counted since this was asked last."""
        now = {"state_write_failures_total": self.failures, "state_files_damaged_total": self.damaged}
        before, self._reported = self._reported, now
        return {name: count - before.get(name, 0) for name, count in now.items()}

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Its descriptor, for one change; all zeros where it is new. Raises `Busy`; on `Damaged` from within it is set
        aside, and `Busy` raised: the next use makes a new one."""
        fd = self._open()
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy from None
            if not os.fstat(fd).st_nlink:
                raise Busy  # removed as unused since it was opened
            if os.fstat(fd).st_size < self.size:
                os.posix_fallocate(fd, 0, self.size)
            yield fd
        except Damaged as error:
            self._set_aside(str(error))
            raise Busy from None
        finally:
            os.close(fd)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(self.path, flags)
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return fd
            os.close(fd)
            self._set_aside("not a file")
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise
            self._set_aside(error.strerror or str(error))
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_unused()
        return os.open(self.path, flags | os.O_CREAT, 0o600)

    def _set_aside(self, reason: str) -> None:
        self.damaged += 1
        aside = f"{self.path}.damaged-{time.time_ns()}"
        try:
            os.rename(self.path, aside)
        except OSError as error:
            aside = f"not set aside: {error.strerror}"
        logger.error("%s cannot be read, its counts begin anew: %s; kept as %s", self.path, reason, aside)

    def _remove_unused(self) -> None:
        """Those of other venues and of earlier versions; a file that is locked is in use."""
        before = time.time() - UNUSED_SECONDS
        with contextlib.suppress(OSError), os.scandir(self.path.parent) as entries:
            for _, entry in zip(range(MOST_FILES), entries, strict=False):
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before:
                    _remove(entry.path)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(fd)
