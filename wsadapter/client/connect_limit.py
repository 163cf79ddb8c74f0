"""How often a venue is dialled: no more attempts in any time span than it allows, over all instances of a host.

Every dial, the first one, one after a loss and one of a rotation, takes a grant before; so do requests on a socket,
where the venue counts them by address. The times of the last grants are in one small file per venue host in the host's
directory (``attempts/<host>``, see `wsadapter.host_files`), which everybody who dials reads and writes under its
`flock`. So no process stands between: it works while the supervisor is away, a kill -9 releases the lock with its
holder, and what was granted is remembered by the file, whoever is killed or started again. A page of shared memory
would need an atomic operation that Python does not have.

    header   | magic | hash of the boot id | number of the next grant |      then ``attempts`` slots, i64 ns each

Grant n is slot ``n % attempts``: a grant is free when the one ``attempts`` before it is older than the span. The slot
is written first and the number after it, each in one write: killed in between, the grant was not given. Killed after
it, an attempt counts that was never made, until the span is over. Times are CLOCK_MONOTONIC, which all processes share
until the next boot; those of an earlier boot are carried over by the file's own time. The span is longer than the
venue's, as an attempt reaches it a while after its grant: by `MARGIN_SECONDS`, a short one by as much as it lasts.

A holder that is stopped (SIGSTOP) is waited for, the lock tried again and again, but for `STOPPED_SECONDS` only. Where
the file cannot be had, each process keeps to the limit by itself. A time ahead of the clock counts as now.
"""

import logging
import os
import re
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from wsadapter.exchanges.venue import AttemptLimit
from wsadapter.host_files import Busy, Damaged, HostFile

MARGIN_SECONDS: Final = 15.0
"""The longest that a dial may take until it reaches the venue, and some."""
BUSY_SECONDS: Final = 0.02
"""Another process has the file."""
STOPPED_SECONDS: Final = 5.0
"""So long nobody has it who runs."""
MAGIC: Final = 0x57534154  # "WSAT"
_HEADER: Final = struct.Struct("<QQQ")
_SLOT: Final = struct.Struct("<q")
_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"


logger = logging.getLogger(__name__)


class ConnectLimiter(Protocol):
    def acquire(self) -> float:
        """0: granted, dial now. Else the seconds after which to ask again."""


def _span(limit: AttemptLimit) -> float:
    return limit.seconds + min(MARGIN_SECONDS, limit.seconds)


class LocalLimiter:
    """Grants of this process alone, for a client without a state directory."""

    def __init__(self, limit: AttemptLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self._span = _span(limit)
        self._clock = clock
        self._given: deque[float] = deque(maxlen=limit.attempts)

    def acquire(self) -> float:
        now, given = self._clock(), self._given
        if len(given) == given.maxlen and (wait := given[0] + self._span - now) > 0:
            return wait
        given.append(now)
        return 0.0


class SharedLimiter:
    """Grants of all processes over one directory. ``venue``: host and port. ``file`` counts as failures the attempts
    for which it could not be used."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        venue: str,
        limit: AttemptLimit,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._limit, self._clock_ns = limit, clock_ns
        self._span_ns = round(_span(limit) * 1e9)
        path = Path(directory) / "attempts" / re.sub(r"[^A-Za-z0-9.-]", "_", venue)
        self.file = HostFile(path, _HEADER.size + limit.attempts * _SLOT.size)
        self._boot = zlib.crc32(Path(_BOOT_ID).read_bytes())
        self._own = LocalLimiter(limit, lambda: clock_ns() / 1e9)
        """The grants of this process; all that is known while the file cannot be used."""
        self._failing = False
        self._busy_since: int | None = None

    def acquire(self) -> float:
        try:
            with self.file.locked() as fd:
                wait = self._acquire(fd)
        except Busy:
            now = self._clock_ns()
            self._busy_since = self._busy_since or now
            if now - self._busy_since < STOPPED_SECONDS * 1e9:
                return BUSY_SECONDS
            return self._alone("it is locked all the time")
        except OSError as error:
            return self._alone(error.strerror or str(error))
        self._failing, self._busy_since = False, None
        if not wait:
            self._own.acquire()
        return wait

    def _alone(self, reason: str) -> float:
        self.file.failures += 1
        if not self._failing:
            logger.error("%s: each process counts for itself against the venue's limit: %s", self.file.path, reason)
        self._failing = True
        return self._own.acquire()

    def _acquire(self, fd: int) -> float:
        now = self._clock_ns()
        number = self._next(fd, now)
        place = _HEADER.size + number % self._limit.attempts * _SLOT.size
        slot = os.pread(fd, _SLOT.size, place)
        if number >= self._limit.attempts and len(slot) == _SLOT.size:
            wait: int = min(now, _SLOT.unpack(slot)[0]) + self._span_ns - now
            if wait > 0:
                return wait / 1e9
        os.pwrite(fd, _SLOT.pack(now), place)
        os.pwrite(fd, self._header(number + 1), 0)
        return 0.0

    def _next(self, fd: int, now: int) -> int:
        """The number of the next grant, after a check of the file."""
        header = os.pread(fd, _HEADER.size, 0).ljust(_HEADER.size, b"\0")
        magic, boot, number = _HEADER.unpack(header)
        if magic >> 32 != MAGIC and any(header):
            raise Damaged("no file of attempts")
        if magic != MAGIC << 32 | self._limit.attempts:
            number, boot = 0, self._boot  # new, or of a version with another limit
        if boot != self._boot:
            self._carry_over(fd, number, now)
        return int(number)

    def _carry_over(self, fd: int, number: int, now: int) -> None:
        """Times of another boot's clock: the file was last written when the last of them was given."""
        octets = os.pread(fd, self._limit.attempts * _SLOT.size, _HEADER.size)
        times = [at for (at,) in _SLOT.iter_unpack(octets)]
        last = times[(number - 1) % self._limit.attempts] if number else 0
        ago = max(0, time.time_ns() - os.fstat(fd).st_mtime_ns)
        oldest = now - self._span_ns
        carried = (max(oldest, min(now, now - ago - (last - at))) for at in times)
        os.pwrite(fd, b"".join(map(_SLOT.pack, carried)), _HEADER.size)
        os.pwrite(fd, self._header(number), 0)

    def _header(self, number: int) -> bytes:
        return _HEADER.pack(MAGIC << 32 | self._limit.attempts, self._boot, number)
