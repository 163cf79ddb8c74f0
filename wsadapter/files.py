"""A file that is replaced as a whole, and the small files of a state directory that must never end their process.

A state file holds what the next start would like to know. So what the disk refuses is said once, counted and tried
again, and what cannot be read (damage, another version, a hand that edited it) is set aside, said and counted. All
writes are done by one thread, in order: a disk that does not answer holds nobody up for longer than `ANSWER_SECONDS`.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Final, Generic, TypeVar

import msgspec

from wsadapter.executor import DaemonExecutor
from wsadapter.log import get_logger

RETRY_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 5.0
"""For a write that is waited for; one in a thread that hangs is done when the disk answers again."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of a state file; a larger one is none of ours."""

T = TypeVar("T")


def replace(path: str | os.PathLike[str], content: bytes, durable: bool = False) -> None:
    """Write beside, then rename: a reader, and whoever is left after a kill, finds the old content or the new one.
    ``durable``: after a loss of power, too. Only this user can read it; a link in its place is not followed. `OSError`
    when the disk is full or the directory is gone: then the old content stays."""
    beside = f"{os.fspath(path)}.new"
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(fd)
        os.replace(beside, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)  # half of it would only take room
        raise
    if durable:
        _sync_directory(os.path.dirname(path) or ".")


def _sync_directory(path: str) -> None:
    """The new name must survive, too."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class StateDirectory:
    """The state files of one process in one directory, and what went wrong with them."""

    def __init__(self, path: str | os.PathLike[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.path = os.fspath(path)
        self.write_failures = 0
        """Writes that the system refused."""
        self.damaged = 0
        """Files that could not be read."""
        self._reported: dict[str, int] = {}
        self._clock = clock
        self._files: list[StateFile[Any]] = []
        self._refused: set[str] = set()
        self._writer: DaemonExecutor | None = None
        self._retrying: Future[None] | None = None
        self._unanswered: Future[Any] | None = None
        self._retry_at = 0.0

    def file(
        self, name: str, kind: type[T], default: T, *, durable: bool = False, in_place: bool = False
    ) -> "StateFile[T]":
        """The file ``name``, JSON of ``kind``; ``default`` is what is in it when it is not there or cannot be read.
        ``in_place``: its length is always the same, so that it can be written over on a full disk."""
        file = StateFile(self, name, kind, default, durable, in_place)
        self._files.append(file)
        return file

    def new_failures(self) -> dict[str, int]:
        """By the names of their metrics: what was counted since this was asked last."""
        now = {"state_write_failures_total": self.write_failures, "state_files_damaged_total": self.damaged}
        before, self._reported = self._reported, now
        return {name: count - before.get(name, 0) for name, count in now.items()}

    def retry(self) -> None:
        """Have written again what was refused; from time to time only."""
        if (now := self._clock()) >= self._retry_at and (self._retrying is None or self._retrying.done()):
            self._retry_at = now + RETRY_SECONDS
            if any(file.pending for file in self._files):
                self._retrying = self.submit(self._write_pending)

    def _write_pending(self) -> None:
        for file in self._files:
            file.retry()

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Have it done by the thread that writes."""
        if self._writer is None:
            self._writer = DaemonExecutor(1, "state files")
        return self._writer.call(work)

    def answer(self, writing: "Future[bool]") -> bool:
        """The result of a write. `TimeoutError` when the disk does not answer, at once where it owes an older one."""
        hangs = self._unanswered is not None and not self._unanswered.done()
        try:
            return writing.result(0 if hangs else ANSWER_SECONDS)
        except TimeoutError:
            self._unanswered = self._unanswered if hangs else writing
            raise TimeoutError(errno.ETIMEDOUT, "the disk does not answer") from None

    def flush(self) -> None:
        """Wait for what is to be written, if the disk answers."""
        if self._writer is not None:
            wait([self.submit(lambda: None)], ANSWER_SECONDS)

    def refused(self, name: str, error: OSError) -> None:
        """Count a write that the system refused, and say it once."""
        self.write_failures += 1
        if name not in self._refused:
            self._refused.add(name)
            reason = error.strerror or str(error)
            path = os.path.join(self.path, name)
            get_logger().error("state file not written, going on without it", file=path, reason=reason)

    def written(self, name: str) -> None:
        """A write succeeded."""
        if name in self._refused:
            self._refused.remove(name)
            get_logger().info("state file written again", file=os.path.join(self.path, name))

    def set_aside(self, name: str, reason: str) -> None:
        """Free the name of a file that cannot be read; its content is kept for whoever wants to know."""
        self.damaged += 1
        path = os.path.join(self.path, name)
        aside = f"{path}.damaged-{time.time_ns()}"
        try:
            os.rename(path, aside)
        except OSError as error:
            aside = f"not set aside: {error.strerror}"
        get_logger().error("state file cannot be read, going on without it", file=path, kept_as=aside, reason=reason)


class StateFile(Generic[T]):
    """One file of a `StateDirectory`. No method raises for what the disk does or holds."""

    def __init__(
        self, directory: StateDirectory, name: str, kind: type[T], default: T, durable: bool, in_place: bool
    ) -> None:
        self._directory, self._name, self._default = directory, name, default
        self._durable, self._in_place = durable, in_place
        self._path = os.path.join(directory.path, name)
        self._decoder = msgspec.json.Decoder(kind)
        self._unwritten: bytes | None = None

    def read(self) -> T:
        """What is in it."""
        try:
            return self._decoder.decode(self._content())
        except FileNotFoundError:
            pass
        except OSError as error:
            self._directory.set_aside(self._name, error.strerror or str(error))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._directory.set_aside(self._name, str(error) or type(error).__name__)
        return self._default

    def write(self, value: T) -> bool:
        """Make this the content; False when the system refuses it: then `StateDirectory.retry` tries it again."""
        try:
            return self._directory.answer(self.write_soon(value))
        except TimeoutError as error:
            self._directory.refused(self._name, error)
            return False

    def write_soon(self, value: T) -> "Future[bool]":
        """The same without waiting."""
        content = msgspec.json.encode(value)
        return self._directory.submit(lambda: self._write(content))

    @property
    def pending(self) -> bool:
        """The last write was refused."""
        return self._unwritten is not None

    def retry(self) -> None:
        """In the thread that writes."""
        if self._unwritten is not None:
            self._write(self._unwritten)

    def _content(self) -> bytes:
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"longer than {MAX_BYTES} bytes")
        return content

    def _write(self, content: bytes) -> bool:
        try:
            replace(self._path, content, self._durable)
        except OSError as error:
            if not self._in_place or not _overwritten(self._path, content):
                self._unwritten = content
                self._directory.refused(self._name, error)
                return False
        self._unwritten = None
        self._directory.written(self._name)
        return True


def _overwritten(path: str, content: bytes) -> bool:
    """Where nothing can be allocated: into the block that is there, which a disk writes whole or not at all."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if os.fstat(fd).st_size != len(content):
            return False
        os.pwrite(fd, content, 0)
        os.fsync(fd)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
