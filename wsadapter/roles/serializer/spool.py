"""The spool: an ordered, bounded, checksummed log of ring records on disk, for while the broker is away.

Guarantees
* `append` returns how many of the records are on the disk now (one write, one fdatasync); those survive a kill at any
  moment and a power cut. Fewer than it was given: the spool is full, or the disk is (ENOSPC, EIO): an answer, never an
  exception, said once in the log.
* `poll` gives the records back in the order in which they came. After a crash it begins at the last `commit`, or a
  little before it (the checkpoint is synced only before the last file goes): what comes twice, consumers drop by
  (epoch, position). No file is left and no checkpoint can be read: all was done with.
* A torn tail (killed in mid-write) is cut when the spool is opened; the log says how many bytes. It was never reported
  as stored: ``confirmed`` says up to which record `append` had answered. Damage to records that were confirmed costs
  these and no others: it is logged with file, offset, bytes and number of records, counted in `lost_records` and
  `damaged_bytes`, and the file stays, as ``*.damaged``. After a power cut ``confirmed`` may be a little old; damage at
  the very end then counts as torn.
* What was appended with the numbers of partitions under which it may have been sent has them with it, as durable as it
  is: ``partitions``.
* Never more than ``max_bytes`` on disk, files set aside included. Space is freed by whole segments.

One process owns a spool (flock on its directory, mode 0700, files 0600). Files: segments
(`wsadapter.roles.serializer.spool_segment`), ``checkpoint``, the number of the first record that is not done with, and
``confirmed``, the number behind the last record that is durable. It knows neither rings nor Kafka.
"""

import contextlib
import errno
import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from wsadapter import files
from wsadapter.log import get_logger
from wsadapter.roles.serializer.spool_directory import (
    SpoolError,
    claim,
    load_numbers,
    open_number,
    read_number,
    write_number,
)
from wsadapter.roles.serializer.spool_segment import (
    DAMAGED_SUFFIX,
    SUFFIX,
    Record,
    SpoolSegment,
    encode,
    last_record,
    resume_after_damage,
    walk,
)

SEGMENT_BYTES: Final = 16 << 20
POLL_BYTES: Final = 64 << 20
"""A poll gives back no more payload than this, and one record."""
RESERVE_BYTES: Final = 64 << 20
RESERVE_PART: Final = 20
"""Left free on the file system, or a twentieth of a small one: what else lives there (the state directory, by default)
must be able to write."""
SEGMENTS: Final = 8
"""At least as many, so that a small spool frees space in small steps."""

PARTITIONS: Final = "partitions"
"""File: `Spool.partitions`, as JSON."""
FULL: Final = (errno.ENOSPC, errno.EDQUOT)

log = get_logger()


class Spool:
    def __init__(
        self, directory: str, max_bytes: int, segment_bytes: int = SEGMENT_BYTES, reserve: int = RESERVE_BYTES
    ) -> None:
        self._directory, self._reserve = directory, reserve
        generation, name = directory.split(os.sep)[-2:]
        self.identity = zlib.crc32(f"{generation}/{name}".encode())
        """The same in every life, for a decision that another life may have to carry out."""
        self.max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes // SEGMENTS)
        self.lost_records = 0
        """Damaged records that were passed since the spool was opened."""
        self._lost_before = 0
        """The same up to the last commit."""
        self.damaged_bytes = 0
        self.last_positions: dict[int, int] = {}
        """Epoch -> last position, of those in the last segment when it was opened (an append is in one segment)."""
        self.partitions = load_numbers(os.path.join(directory, PARTITIONS))
        """Kind -> count of partitions under which the records may have been sent."""
        try:
            with contextlib.ExitStack() as opened:
                self._directory_fd = claim(directory)
                opened.callback(os.close, self._directory_fd)
                self._checkpoint_fd = open_number(os.path.join(directory, "checkpoint"))
                opened.callback(os.close, self._checkpoint_fd)
                self._confirmed_fd = open_number(os.path.join(directory, "confirmed"))
                opened.callback(os.close, self._confirmed_fd)
                self._segments, self._set_aside = self._list()
                self._done = self._load_done()
                self._next = self._recover()
                self._close_files = opened.pop_all().close
        except OSError as error:
            raise SpoolError(f"spool {directory}: {error.strerror}", error.errno in FULL) from error
        self._write_fd = -1
        """Of the last segment while it takes records."""
        self._refused = False
        self._reading: SpoolSegment | None = None
        self._read_fd = -1
        self._offset = 0
        self._expected = self._done

    @property
    def records(self) -> int:
        """How many are not done with."""
        return self._next - self._done

    @property
    def next_number(self) -> int:
        """Of the record that is appended next; it counts up from 0 over the life of the directory."""
        return self._next

    @property
    def polled_to(self) -> int:
        """Records below this number have been polled."""
        return self._expected

    @property
    def size(self) -> int:
        """Bytes on disk, for records that can be read; the last segment to be replayed counts whole."""
        return sum(segment.end for segment in self._segments)

    def append(self, records: Sequence[Record], partitions: Mapping[int, int] | None = None) -> int:
        """How many of them, from the first on, are durable now. ``partitions``: kind -> count under which they may have
        been sent."""
        room = min(self.max_bytes - self.size - self._set_aside, self._free_bytes())
        parts: list[bytes] = []
        for number, record in enumerate(records, self._next):
            part = encode(number, record)
            if (room := room - len(part)) < 0:
                break
            parts.append(part)
        if len(parts) < len(records):
            self._refuse("the spool is full, or its file system nearly is")
        if not parts:
            return 0
        try:
            if partitions is not None:
                self.keep_partitions(partitions)
            self._write(b"".join(parts))
        except OSError as error:
            self._refuse(error.strerror or str(error))
            self._give_up_segment()
            return 0
        self._next += len(parts)
        self._confirm()
        if len(parts) == len(records):
            self._refused = False
        return len(parts)

    def keep_partitions(self, counts: Mapping[int, int]) -> None:
        """Write down what `partitions` is from now on; `OSError`: it is what it was."""
        if counts != self.partitions:
            content = msgspec.json.encode({str(kind): count for kind, count in counts.items()})
            files.replace(os.path.join(self._directory, PARTITIONS), content, durable=True)
            self.partitions = dict(counts)

    def poll(self, limit: int) -> list[Record]:
        """Up to ``limit`` records, and some `POLL_BYTES`, after those polled before; none: there are no more."""
        records: list[Record] = []
        room = POLL_BYTES
        while len(records) < limit and room > 0 and (segment := self._readable()) is not None:
            stop = self._stop_number(segment)
            with contextlib.suppress(OSError):  # a place that cannot be read is damage
                for offset, number, record in walk(self._read_fd, self._offset, segment.end):
                    if number >= stop:  # the remains of a write that failed; they came again in the next segment
                        offset = segment.end
                    elif number >= self._expected:
                        self._pass(number)
                        self._expected = number + 1
                        records.append(record)
                        room -= len(record[3])
                    self._offset = offset
                    if offset == segment.end or len(records) == limit or room <= 0:
                        break
            if self._offset < segment.end and len(records) < limit and room > 0:
                self._skip_damage(segment)
        if len(records) < limit and room > 0:
            self._pass(self._next)
            self._expected = self._next
        return records

    def commit(self, number: int | None = None) -> None:
        """Records below ``number`` are done with (None: all that was polled); before anything is polled also those that
        our predecessor had decided on. Harmless when repeated. A checkpoint that cannot be written is not fatal: the
        last file stays, and more comes twice."""
        number = self._expected if number is None else number
        if not self._done <= number <= self._next:
            return
        self._done, self._expected = number, max(self._expected, number)
        self._lost_before = self.lost_records
        is_saved = self._save_checkpoint()
        if not self.records:
            self._close_write()
            self._close_read()
        while self._segments and self._stop_number(self._segments[0]) <= self._done:
            if len(self._segments) == 1 and not is_saved:
                break
            self._retire_first()

    def rewind(self) -> None:
        """Poll again from the last commit. Damage that was passed since is met, and counted, again."""
        self._close_read()
        self._expected, self.lost_records = self._done, self._lost_before

    def close(self) -> None:
        self._close_write()
        self._close_read()
        self._close_files()

    def remove(self) -> None:
        """Close it, empty as it is, and delete it, in an order in which no part of it says that something is missing.
        What was set aside keeps its directory, under another name."""
        self.close()
        self._unlink("confirmed")
        while self._segments:
            self._retire_first()
        for name in ("checkpoint", "checkpoint.new", PARTITIONS, f"{PARTITIONS}.new"):
            self._unlink(name)
        try:
            os.rmdir(self._directory)
        except OSError:
            parent, name = os.path.split(self._directory)
            root, generation = os.path.split(parent)
            os.rename(self._directory, os.path.join(root, f"damaged-{generation}-{name}"))

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._directory, name))

    def _retire_first(self) -> None:
        segment = self._segments[0]
        if segment is self._reading:
            self._close_read()
        del self._segments[0]
        self._set_aside += segment.end if segment.damaged else 0
        with contextlib.suppress(OSError):  # the next start tries again
            segment.retire()

    # -- writing

    def _write(self, data: bytes) -> None:
        if self._write_fd >= 0 and self._segments[-1].end >= self._segment_bytes:
            self._close_write()
        if self._write_fd < 0:
            segment = SpoolSegment(self._directory, self._next, 0)
            self._write_fd = segment.open(os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            self._segments.append(segment)
            os.fsync(self._directory_fd)  # the name must survive a power cut too
        segment = self._segments[-1]
        view = memoryview(data)
        written = 0
        while written < len(data):
            written += os.pwrite(self._write_fd, view[written:], segment.end + written)
        os.fdatasync(self._write_fd)
        segment.end += len(data)

    def _free_bytes(self) -> int:
        """What the file system can give us, the reserve apart."""
        try:
            free = os.fstatvfs(self._directory_fd)
        except OSError as error:
            self._refuse(error.strerror or str(error))
            return 0
        reserve = min(self._reserve, free.f_blocks * free.f_frsize // RESERVE_PART)
        return max(0, free.f_bavail * free.f_frsize - reserve)

    def _confirm(self) -> None:
        """Written in place, so that a full disk has room for it; not synced. Unwritten, an end that rots counts as
        torn."""
        with contextlib.suppress(OSError):
            write_number(self._confirmed_fd, self._next)

    def _give_up_segment(self) -> None:
        """After a failed write or sync nobody knows what of it is on the disk: never write there again."""
        if self._write_fd < 0:
            return
        segment = self._segments[-1]
        with contextlib.suppress(OSError):
            os.ftruncate(self._write_fd, segment.end)
        self._close_write()
        if segment.end == 0:
            if segment is self._reading:
                self._close_read()
            del self._segments[-1]
            with contextlib.suppress(OSError):
                os.unlink(segment.path)

    def _refuse(self, reason: str) -> None:
        if not self._refused:
            log.error("spool accepts no more, rings fill now", reason=reason, spool=self._directory, bytes=self.size)
        self._refused = True

    def _close_write(self) -> None:
        if self._write_fd >= 0:
            os.close(self._write_fd)
        self._write_fd = -1

    # -- reading

    def _readable(self) -> SpoolSegment | None:
        """The segment with unread bytes that comes next, opened."""
        segment = self._reading
        if segment is not None and self._offset < segment.end:
            return segment
        following = 0 if segment is None else self._segments.index(segment) + 1
        while following < len(self._segments) and self._segments[following].end == 0:
            following += 1
        if following == len(self._segments):
            return None
        self._close_read()
        segment = self._segments[following]
        self._read_fd = segment.open(os.O_RDONLY)
        self._reading, self._offset = segment, 0
        return segment

    def _stop_number(self, segment: SpoolSegment) -> int:
        """Records of this segment have smaller numbers."""
        following = self._segments.index(segment) + 1
        return self._segments[following].first if following < len(self._segments) else self._next

    def _skip_damage(self, segment: SpoolSegment) -> None:
        begin, segment.damaged = self._offset, True
        self._offset = segment.end
        with contextlib.suppress(OSError):
            self._offset = resume_after_damage(self._read_fd, begin, segment.end)
        self.damaged_bytes += self._offset - begin
        log.error("damage in the spool", file=segment.path, offset=begin, bytes=self._offset - begin)

    def _pass(self, number: int) -> None:
        """The next record that there is has this number."""
        if missing := number - self._expected:
            self.lost_records += missing
            log.error("records of the spool are lost", spool=self._directory, first=self._expected, records=missing)

    def _close_read(self) -> None:
        if self._read_fd >= 0:
            os.close(self._read_fd)
        self._reading, self._read_fd, self._offset = None, -1, 0

    # -- opening

    def _list(self) -> tuple[list[SpoolSegment], int]:
        """Segments in order, and the bytes of what was set aside."""
        segments, aside = [], 0
        for name in sorted(os.listdir(self._directory)):
            size = os.lstat(os.path.join(self._directory, name)).st_size
            if name.endswith(DAMAGED_SUFFIX):
                aside += size
            elif name.endswith(SUFFIX) and name.removesuffix(SUFFIX).isdigit():
                segments.append(SpoolSegment(self._directory, int(name.removesuffix(SUFFIX)), size))
        return segments, aside

    def _recover(self) -> int:
        """Drop the segments that are done with, cut the torn tail of the last one; the number of the next record.
        Where confirmed records cannot be read the file is kept, and reading passes them as lost."""
        while len(self._segments) > 1 and self._segments[1].first <= self._done:
            self._segments.pop(0).retire()
        confirmed = read_number(self._confirmed_fd) or 0
        following = max(self._done, confirmed)
        while self._segments:
            segment = self._segments[-1]
            end, last, self.last_positions = last_record(segment)
            if (last + 1 if last is not None else segment.first) < confirmed:
                segment.damaged = True
            elif torn := segment.end - end:
                log.warning("torn tail of the spool cut", file=segment.path, offset=end, bytes=torn)
                with contextlib.suppress(OSError):
                    os.truncate(segment.path, end)
                segment.end = end
            if last is not None:
                following = max(following, last + 1)
                break
            self._segments.pop()
            self._set_aside += segment.end if segment.damaged else 0
            segment.retire()
        if self._segments and self._segments[0].first > self._done:
            self._done = self._segments[0].first  # the checkpoint is older than what was deleted, or unreadable
        return following

    def _load_done(self) -> int:
        """The checkpoint. One that is new is written at once, so that a full disk has room for it later."""
        if (done := read_number(self._checkpoint_fd)) is not None:
            return done
        if self._segments and os.fstat(self._checkpoint_fd).st_size:
            log.warning("checkpoint of the spool cannot be read: all of it is replayed", spool=self._directory)
        done = 0 if self._segments else read_number(self._confirmed_fd) or 0
        with contextlib.suppress(OSError):
            write_number(self._checkpoint_fd, done)
        return done

    def _save_checkpoint(self) -> bool:
        """Whether it is as durable as the removal of the files that it makes superfluous. While one is left that is
        not done with, the files tell, and an older checkpoint costs a repetition, not a record."""
        try:
            write_number(self._checkpoint_fd, self._done)
            if self._segments and not self.records:
                os.fdatasync(self._checkpoint_fd)
        except OSError:
            return False
        return True
