"""Named shared memory segments: POSIX shm objects that outlive whoever made them.

A segment is a file in /dev/shm, which is what `shm_open` opens on Linux (shm_overview(7)). One code path serves every
Python version and **no resource tracker is involved**: `multiprocessing.shared_memory` hands names to a tracker that
unlinks them when an unrelated interpreter or the last child ends (python/cpython#82300; the switch to turn it off
exists from 3.13 only), and a ring must survive all of these to be adopted.

Guarantees:
* A segment appears under its name complete: it is made without a name, allocated, given its header, then linked. A
  creator killed half way leaves nothing behind, and a name is never taken over.
* Its pages exist: `posix_fallocate` fails with ENOSPC here instead of SIGBUS at the first touch later.
* Mode 0600 under any umask. Attaching refuses symlinks, anything but a regular file, a foreign owner, another mode.

The supervisor alone creates and unlinks; a child may put a stats page that was made for it in the place of its own.
Whoever attaches owns its mapping and closes it.
"""

import contextlib
import errno
import mmap
import os
import re
import stat
from typing import NoReturn

from wsadapter.errors import SegmentError

DIRECTORY = "/dev/shm"
MODE = 0o600
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


class Segment:
    """One mapping of a named segment in this process."""

    __slots__ = ("_file", "buf", "map", "name", "size")

    def __init__(self, name: str, mapping: mmap.mmap, fd: int) -> None:
        self.name = name
        self._file = os.fstat(fd)
        self.size = len(mapping)
        self.map = mapping
        """The mapping itself: slices of it copy bytes in one step, without a memoryview between."""
        self.buf = memoryview(mapping)

    @classmethod
    def create(cls, name: str, size: int, header: bytes = b"") -> "Segment":
        """Make a zeroed segment that begins with ``header``; nobody can see it without that header."""
        path = _path(name)
        if size <= 0 or len(header) > size:
            raise ValueError(f"segment {name}: size {size} does not hold a header of {len(header)} bytes")
        try:
            fd = os.open(DIRECTORY, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, MODE)
        except OSError as error:
            raise SegmentError(f"segment {name}: cannot create it in {DIRECTORY}: {error.strerror}") from error
        try:
            os.fchmod(fd, MODE)  # the umask may have taken bits away
            _allocate(fd, name, size)
            if header:
                os.pwrite(fd, header, 0)
            mapping = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            # With a directory fd Python calls linkat(AT_SYMLINK_FOLLOW), without one plain link(), which would link
            # the magic symlink in /proc itself.
            os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)
            return cls(name, mapping, fd)
        except FileExistsError as error:
            raise SegmentError(f"segment {name} exists already") from error
        except OSError as error:
            raise SegmentError(f"segment {name}: cannot create {size} bytes: {error.strerror}") from error
        finally:
            os.close(fd)

    @classmethod
    def attach(cls, name: str, writable: bool = True) -> "Segment":
        """Map an existing segment; refuse it if it could be another user's or not a segment at all."""
        # O_NONBLOCK: a FIFO planted under the name must be refused, not waited for.
        flags = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_RDWR if writable else os.O_RDONLY)
        try:
            fd = os.open(_path(name), flags)
        except OSError as error:
            _refuse_open(name, error)
        try:
            status = os.fstat(fd)
            _check(name, status)
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            return cls(name, mmap.mmap(fd, status.st_size, mmap.MAP_SHARED, protection), fd)
        except OSError as error:
            raise SegmentError(f"segment {name}: cannot map it: {error.strerror}") from error
        finally:
            os.close(fd)

    @property
    def is_named(self) -> bool:
        """Whether its name leads to it. When the name is gone (somebody cleaned up) the mappings live on, and nobody
        can attach any more."""
        return self.is_at(self.name)

    def is_at(self, name: str) -> bool:
        """Whether this name leads to it: it may have been put in the place of another one (`replace`)."""
        try:
            return os.path.samestat(os.stat(_path(name), follow_symlinks=False), self._file)
        except OSError:
            return False

    def close(self) -> None:
        """Unmap; the segment itself stays. Views made from ``buf`` must be released first. Harmless when repeated."""
        self.buf.release()
        try:
            self.map.close()
        except BufferError as error:
            raise SegmentError(f"segment {self.name}: a view of it is still held, release that first") from error

    @staticmethod
    def unlink(name: str) -> bool:
        """Take the name away (mappings live on); False if there was none."""
        try:
            os.unlink(_path(name))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise SegmentError(f"segment {name}: cannot unlink it: {error.strerror}") from error
        return True

    @staticmethod
    def rename(name: str, new: str) -> None:
        """Give it another name in one step (never two names, never none); mappings are not affected."""
        if Segment.exists(new):  # a check suffices: the supervisor alone makes names
            raise SegmentError(f"segment {name}: cannot rename it to {new}, which exists already")
        try:
            os.rename(_path(name), _path(new))
        except OSError as error:
            raise SegmentError(f"segment {name}: cannot rename it to {new}: {error.strerror}") from error

    @staticmethod
    def replace(name: str, old: str) -> None:
        """Give it the name of another one, which loses it in the same step; mappings of both live on."""
        try:
            os.rename(_path(name), _path(old))
        except OSError as error:
            raise SegmentError(f"segment {name}: cannot take the place of {old}: {error.strerror}") from error

    @staticmethod
    def exists(name: str) -> bool:
        return os.path.lexists(_path(name))


def listing(prefix: str) -> list[str]:
    """The names present that begin with ``prefix``, sorted."""
    return sorted(name for name in os.listdir(DIRECTORY) if name.startswith(prefix))


def size_of(name: str) -> int:
    """Bytes of a segment, whoever it is of; 0 where there is none."""
    try:
        return os.stat(_path(name), follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def free_bytes() -> int:
    """What can still be allocated for segments."""
    status = os.statvfs(DIRECTORY)
    return status.f_bavail * status.f_frsize


def _path(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise SegmentError(
            f"segment name {name!r}: letters, digits, '_', '-' and '.', not first '-' or '.', at most 200"
        )
    return f"{DIRECTORY}/{name}"


def _allocate(fd: int, name: str, size: int) -> None:
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
            raise
        message = f"segment {name}: {size} bytes wanted, {free_bytes()} bytes free in {DIRECTORY} ({error.strerror})"
        raise SegmentError(message) from error


def _check(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SegmentError(f"segment {name} refused: not a regular file")
    if status.st_uid != os.geteuid():
        raise SegmentError(f"segment {name} refused: it belongs to uid {status.st_uid}, we are uid {os.geteuid()}")
    if stat.S_IMODE(status.st_mode) != MODE:
        raise SegmentError(f"segment {name} refused: its mode is {stat.S_IMODE(status.st_mode):04o}, not {MODE:04o}")
    if status.st_size == 0:
        raise SegmentError(f"segment {name} refused: it is empty")


def _refuse_open(name: str, error: OSError) -> NoReturn:
    reason = error.strerror
    with contextlib.suppress(OSError):
        if os.path.islink(_path(name)):
            reason = "it is a symbolic link"
    raise SegmentError(f"segment {name} refused: {reason}") from error
