"""The flight recorder: raw frames of one connection, all of them or those around a gap, written beside the pipeline.

Guarantee: recording the market never waits for it. A tap (`wsadapter.client.tap`) copies each frame on the loop; one
thread writes (`wsadapter.roles.ingest.recording_files`). What waits for the disk, or is kept until something happens,
is bounded in bytes (``buffer_bytes``): what does not fit is counted, and said in the file, and is decoded as ever.

Mode ``around`` keeps the last ``before`` seconds in memory (`Around`, which is told the time). With a gap or a frame
that gives no event they are written, and whatever comes until ``after`` seconds are over; each time a file of its own.

Owned by the ingest process; used on its loop.
"""

import time
from collections import deque
from concurrent.futures import Future, wait
from typing import Final

from wsadapter.client.tap import FrameTap
from wsadapter.config.model import RecordConfig
from wsadapter.executor import DaemonExecutor
from wsadapter.log import Repeated, get_logger
from wsadapter.recordings import Header, Kept, note
from wsadapter.roles.ingest.recording_files import KEEP_SECONDS, RecordedCount, RecordingFiles

STOP_SECONDS: Final = 2.0
"""For the disk to take what waits, when the process ends."""

log = get_logger()
Batch = tuple[list[Kept], int]
"""Frames, and their bytes in memory."""


class Around:
    """Which batches are written where only what is around something is. ``room``: bytes of memory for the others."""

    def __init__(self, before: float, after: float, room: int) -> None:
        self._before_ns, self._after_ns, self._room = round(before * 1e9), round(after * 1e9), room
        self._kept: deque[Batch] = deque()
        self._bytes = 0
        self._until_ns = 0
        self._reasons: list[str] = []

    def happened(self, reason: str, now_ns: int) -> bool:
        """What comes from now on is written, and what is kept. Whether it is the first of several."""
        first = now_ns >= self._until_ns and not self._reasons
        self._until_ns = now_ns + self._after_ns
        if first:
            self._reasons.append(reason)
        return first

    def take(self, batch: Batch, now_ns: int) -> tuple[list[Batch], list[str], int]:
        """(batches to write, why they begin here, bytes that are forgotten instead)."""
        if self._reasons or now_ns < self._until_ns:
            written, reasons = [*self._kept, batch], self._reasons
            self._kept.clear()
            self._bytes, self._reasons = 0, []
            return written, reasons, 0
        if batch[0]:
            self._kept.append(batch)
            self._bytes += batch[1]
        forgotten = 0
        while self._kept and (self._bytes > self._room or self._kept[0][0][-1][0] < now_ns - self._before_ns):
            _, size = self._kept.popleft()
            self._bytes -= size
            forgotten += size
        return [], [], forgotten

    def is_over(self, now_ns: int) -> bool:
        """Nothing is to be written now."""
        return not self._reasons and now_ns >= self._until_ns


class FlightRecorder:
    """``tap``: for the connection, see `FrameTap.of`."""

    def __init__(self, settings: RecordConfig, header: Header, count: RecordedCount) -> None:
        tap = FrameTap(settings.buffer_bytes)
        self.tap = tap.of(header.connection)
        self._tap, self._files, self._count = tap, RecordingFiles(settings, header, count), count
        self._around: Around | None = None
        if settings.mode == "around":
            self._around = Around(settings.before, settings.after, settings.buffer_bytes * 3 // 4)
        self._disk = DaemonExecutor(1, "recorder")
        self._work: deque[Future[None]] = deque()
        self._said = 0
        """Of the frames that did not fit, those that a file says."""
        self._is_open = False
        self._kept_ns = 0
        self._repeated = Repeated(60.0)

    def happened(self, reason: str, now_ns: int) -> None:
        """A gap, or a frame without an event."""
        is_first = self._around is not None and self._around.happened(reason, now_ns)
        if is_first and (kept_back := self._repeated("around")) is not None:
            log.info("frames around this are recorded", reason=reason, not_logged=kept_back)

    def tick(self, now_ns: int) -> None:
        """Hand on what came since the last one."""
        batch, reasons = self._tap.take(), list[str]()
        if self._around is None:
            batches = [batch] if batch[0] else []
        else:
            batches, reasons, forgotten = self._around.take(batch, now_ns)
            self._tap.release(forgotten)
        for reason in reasons:
            self._write([note(now_ns, around=reason)], 0)
        if missing := self._tap.dropped - self._said:
            self._said += missing
            self._count.missing += missing
            self._write([note(now_ns, dropped=missing)], 0)
            if self._repeated("dropped") is not None:
                log.warning("the disk is too slow for a recording; the market is recorded", frames_missing=missing)
        for frames, size in batches:
            self._write(frames, size)
        if self._is_open and self._around is not None and self._around.is_over(now_ns):
            self._is_open = False
            self._work.append(self._disk.call(self._files.close))
        if now_ns - self._kept_ns > KEEP_SECONDS * 1e9:
            self._kept_ns = now_ns
            self._work.append(self._disk.call(self._files.keep_bounds))
        while self._work and self._work[0].done():
            self._work.popleft().result()  # an error that is none of the disk's ends the process, as everywhere

    def end(self) -> None:
        """Have what is to be written written, and the file closed."""
        self.tick(time.time_ns())
        self._work.append(self._disk.call(self._files.close))

    def stop(self) -> None:
        """The same, and wait for it, but not for a disk that does not answer."""
        self.end()
        wait(self._work, STOP_SECONDS)

    def _write(self, frames: list[Kept], size: int) -> None:
        def write() -> None:
            self._files.write(frames)
            self._tap.release(size)

        self._is_open = True
        self._work.append(self._disk.call(write))
