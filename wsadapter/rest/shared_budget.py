"""What all instances of a host have asked of one REST host lately: a file of windows, beside each process's own budget.

`wsadapter.rest.budget` knows what this process has sent and what the host's header says; where there is no header two
instances would each use all of the limit. So every request takes its units here first, in the file of its host
(`wsadapter.host_files`): all of its windows or none, in one change under the file's lock. What was taken and never sent
(a kill -9 in between) counts until its window is over.

    header  | magic | hash of the boot id |      then for each window 64 slots | number of the bucket | units |

A window is cut into `BUCKETS` buckets of monotonic time; what lies in those of the last window and the one before
counts. After another boot it begins anew, as one in ``/dev/shm`` does.
"""

import logging
import os
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from wsadapter.host_files import Busy, Damaged, HostFile

BUCKETS: Final = 60
SLOTS: Final = 64
BUSY_SECONDS: Final = 0.02
"""Another process has the file."""
STOPPED_SECONDS: Final = 5.0
"""So long nobody has it who runs: then it is gone without."""
MAGIC: Final = 0x57535242_00000001  # "WSRB"
_HEADER: Final = struct.Struct("<QQ")
_SLOT: Final = struct.Struct("<qq")
_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"

logger = logging.getLogger(__name__)


class Take(Struct, frozen=True):
    """So many ``units`` of a window's ``limit`` in so many ``seconds``. ``window``: its number."""

    window: int
    units: int
    limit: float
    seconds: float


class SharedBudget:
    """The windows of one host. ``path``: of its file, which counts as failures the requests that went without."""

    def __init__(self, path: Path, windows: int, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.file = HostFile(path, _HEADER.size + windows * SLOTS * _SLOT.size)
        self._clock_ns = clock_ns
        self._boot = zlib.crc32(Path(_BOOT_ID).read_bytes())
        self._busy_since: int | None = None
        self._failing = False

    def take(self, takes: Sequence[Take]) -> float:
        """0: taken, ask now. Else the seconds after which to try again, and nothing is taken."""
        try:
            with self.file.locked() as fd:
                wait = self._take(fd, takes)
        except Busy:
            now = self._clock_ns()
            self._busy_since = self._busy_since or now
            if now - self._busy_since < STOPPED_SECONDS * 1e9:
                return BUSY_SECONDS
            return self._without("it is locked all the time")
        except OSError as error:
            return self._without(error.strerror or str(error))
        self._busy_since, self._failing = None, False
        return wait

    def _without(self, reason: str) -> float:
        self.file.failures += 1
        if not self._failing:
            logger.error("%s: this process counts its requests for itself: %s", self.file.path, reason)
        self._failing = True
        return 0.0

    def _take(self, fd: int, takes: Sequence[Take]) -> float:
        content = os.pread(fd, self.file.size, 0)
        magic, boot = _HEADER.unpack_from(content)
        if magic != MAGIC and any(content[: _HEADER.size]):
            raise Damaged("no file of requests")
        if (magic, boot) != (MAGIC, self._boot):
            content = _HEADER.pack(MAGIC, self._boot).ljust(self.file.size, b"\0")
            os.pwrite(fd, content, 0)
        now = self._clock_ns()
        windows = [_Window(content, each, now) for each in takes]
        wait = max((window.wait for window in windows), default=0.0)
        for window in windows:
            if not wait or window.is_ahead:
                os.pwrite(fd, window.octets(0 if wait else window.units), window.place)
        return wait


class _Window:
    """What is in a window, and how long to wait for room in it. ``is_ahead``: some of it is dated after the clock; it
    counts as now, once that is written."""

    def __init__(self, content: bytes, take: Take, now_ns: int) -> None:
        self.place, self.units = _HEADER.size + take.window * SLOTS * _SLOT.size, take.units
        width = max(1, round(take.seconds * 1e9 / BUCKETS))
        self._bucket, most = now_ns // width, int(take.limit) + 1
        self._taken: dict[int, int] = {}
        self.is_ahead = False
        for number, units in _SLOT.iter_unpack(content[self.place : self.place + SLOTS * _SLOT.size]):
            if units > 0 and number >= self._bucket - BUCKETS:
                self.is_ahead |= number > self._bucket
                at = min(number, self._bucket)
                self._taken[at] = min(self._taken.get(at, 0) + units, most)
        over, self.wait = sum(self._taken.values()) + take.units - take.limit, 0.0
        for number in sorted(self._taken):
            if over <= 0:
                break
            over -= self._taken[number]
            self.wait = ((number + BUCKETS + 1) * width - now_ns) / 1e9

    def octets(self, more: int) -> bytes:
        """The window with so many units more."""
        slots = [(0, 0)] * SLOTS
        for number, units in {**self._taken, self._bucket: self._taken.get(self._bucket, 0) + more}.items():
            slots[number % SLOTS] = number, units
        return b"".join(_SLOT.pack(*slot) for slot in slots)
