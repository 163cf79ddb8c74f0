"""The recordings of one connection in the directory of all of them: rotated, and bounded in bytes and age.

Used by one thread, that of a `wsadapter.roles.ingest.flight_recorder.FlightRecorder`. A file is begun when frames come
and closed when it is large or old enough; each process that records holds a lock on the file that it writes. Whoever
begins one, and now and then, removes the oldest files that nobody writes until all recordings of the directory together
are within ``max_bytes`` and ``max_age``; where only files that are written are left, this one is closed, so that it can
go. What the disk refuses is counted, said and tried again after `RETRY_SECONDS`; the frames of meanwhile are missing,
and the next file says how many.
"""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import structs

from wsadapter.config.model import KIB, MIB, RecordConfig
from wsadapter.log import Repeated, get_logger
from wsadapter.recordings import NOTE, SUFFIX, Header, Kept, RecordingWriter, note

RETRY_SECONDS: Final = 5.0
KEEP_SECONDS: Final = 30.0
"""Between two looks at the bounds."""
MOST_FILE_BYTES: Final = 64 * MIB
MOST_FILE_SECONDS: Final = 3600.0

log = get_logger()


class RecordedCount:
    """Of one process. ``frames`` and ``octets`` in recordings, ``missing``: frames that should be in one and are not,
    ``failures``: refusals of the disk. They only grow."""

    def __init__(self) -> None:
        self.frames = self.octets = self.missing = self.failures = 0


class RecordingFiles:
    def __init__(
        self, settings: RecordConfig, header: Header, count: RecordedCount,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._count = count
        self._settings, self._header, self._monotonic = settings, header, monotonic
        self._directory = Path(settings.path)
        self._most = min(MOST_FILE_BYTES, max(64 * KIB, settings.max_bytes // 16))
        self._longest = min(MOST_FILE_SECONDS, settings.max_age / 4)
        self._writer: RecordingWriter | None = None
        self._began = self._refused_until = float("-inf")
        self._unsaid = 0
        """Frames missing that no file says yet."""
        self._repeated = Repeated(60.0)

    def write(self, frames: Sequence[Kept]) -> None:
        """Whatever happens to them, this returns."""
        count = sum(socket != NOTE for _, socket, _ in frames)
        if self._monotonic() < self._refused_until:
            self._lack(count)
            return
        try:
            writer = self._open()
            before = writer.octets
            if self._unsaid:
                writer.write([note(frames[0][0], dropped=self._unsaid)])
                self._unsaid = 0
            writer.write(frames)
            self._count.octets += writer.octets - before
            self._count.frames += count
            if writer.octets >= self._most or self._monotonic() - self._began >= self._longest:
                self._close()
        except OSError as error:
            self._refused(error)
            self._lack(count)

    def keep_bounds(self) -> None:
        """What is too much or too old goes; a file that is long enough is closed."""
        try:
            if self._writer is not None and self._monotonic() - self._began >= self._longest:
                self._close()
            self._bound()
        except OSError as error:
            self._refused(error)

    def close(self) -> None:
        """The file is whole; the next frames begin another one."""
        try:
            self._close()
        except OSError as error:
            self._refused(error)

    def _open(self) -> RecordingWriter:
        if self._writer is None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._bound()
            now_ns = time.time_ns()
            at = datetime.fromtimestamp(now_ns // 10**9, UTC)
            connection = re.sub(r"[^\w.-]", "_", self._header.connection)
            name = f"{connection}-{at:%Y%m%dT%H%M%S}.{now_ns // 1000 % 10**6:06}Z{SUFFIX}"
            writer = RecordingWriter(self._directory / name, structs.replace(self._header, started_ns=now_ns))
            fcntl.flock(writer.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._writer, self._began = writer, self._monotonic()
            self._count.octets += writer.octets
            log.info("recording", file=name)
        return self._writer

    def _close(self) -> None:
        if (writer := self._writer) is not None:
            self._writer = None
            before = writer.octets
            try:
                writer.close()
            finally:
                self._count.octets += writer.octets - before

    def _bound(self) -> None:
        found = [(entry.stat(), Path(entry.path)) for entry in _recordings(self._directory)]
        total, now = sum(stat.st_size for stat, _ in found), time.time()
        for stat, path in sorted(found, key=lambda each: each[0].st_mtime):
            is_old = now - stat.st_mtime > self._settings.max_age
            if (is_old or total > self._settings.max_bytes) and _removed(path):
                total -= stat.st_size
        if total > self._settings.max_bytes:
            self._close()

    def _lack(self, count: int) -> None:
        self._count.missing += count
        self._unsaid += count

    def _refused(self, error: OSError) -> None:
        self._count.failures += 1
        self._refused_until = self._monotonic() + RETRY_SECONDS
        if self._repeated("refused") is not None:
            log.warning("frames are not recorded; the market is", path=str(self._directory), reason=str(error))
        with contextlib.suppress(OSError):
            self._close()


def _recordings(directory: Path) -> list[os.DirEntry[str]]:
    if not directory.exists():
        return []
    with os.scandir(directory) as entries:
        return [entry for entry in entries if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False)]


def _removed(path: Path) -> bool:
    """Unless somebody writes it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
