"""A spool's directory: who may use it, and the small files in it.

Guarantees: one process at a time has it (flock), its name is durable before anything in it is, and a number that is
written over is the old one or the new one after a kill or a power cut, with room for it on a full disk.

Owns nothing: what it opens is its caller's.
"""

import contextlib
import fcntl
import os
import zlib
from typing import Final

import msgspec

from wsadapter.errors import WsadapterError

NEW_DIRECTORIES: Final = 3
"""Path, generation and serializer: so many levels may have been made for this spool."""
NUMBER_BYTES: Final = 30
"""Of what `write_number` writes; what an earlier version has left may be shorter."""


class SpoolError(WsadapterError):
    """The directory cannot be used, or another process uses it. ``is_full``: for want of room."""

    def __init__(self, reason: str, is_full: bool = False) -> None:
        super().__init__(reason)
        self.is_full = is_full


def claim(directory: str) -> int:
    """Make the directory ours alone; its descriptor holds the lock. Its name, and those of the directories above it
    that may be new, are durable."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    parent = directory
    for _ in range(NEW_DIRECTORIES):
        parent = os.path.dirname(parent)
        _sync_directory(parent)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if os.fstat(fd).st_mode & 0o077:
            os.fchmod(fd, 0o700)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise SpoolError(f"spool {directory} is in use by another process") from None
    except OSError:
        os.close(fd)
        raise
    return fd


def _sync_directory(path: str) -> None:
    """What a directory above us holds; one that we may not open is not ours to make durable."""
    try:
        fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def open_number(path: str) -> int:
    """A file for `write_number`, made where there is none."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def write_number(fd: int, number: int) -> None:
    """In place, so that a full disk has room for it: the old one or the new one, never a part."""
    digits = b"%020d" % number
    os.pwrite(fd, b"%s %08x\n" % (digits, zlib.crc32(digits)), 0)


def read_number(fd: int) -> int | None:
    """None: there is none, or none that can be read."""
    digits, _, check = os.pread(fd, NUMBER_BYTES, 0).partition(b" ")
    return int(digits) if check == b"%08x\n" % zlib.crc32(digits) else None


def load_numbers(path: str) -> dict[int, int]:
    """A file of numbers by number, as JSON; empty when there is none, or none that can be read."""
    with contextlib.suppress(OSError, ValueError), open(path, "rb") as file:
        return {int(key): number for key, number in msgspec.json.decode(file.read(), type=dict[str, int]).items()}
    return {}
