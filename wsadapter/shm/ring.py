"""A ring of records in shared memory: one writer process, one reader process, either may be killed at any moment.

Layout (u64 words in machine order, which is little-endian):

       0  magic << 32 | layout version          256  head     the reader's line
       8  capacity (bytes, a power of two)      384  dropped  the writer's, a count
      16  epoch                                4096  the records, `capacity` bytes
     128  tail     the writer's line

    record   | u64 kind << 32 | length | payload, zero to seven bytes to the next multiple of 8 |
    kind     1 to 255
    kind 0   padding up to the end of the ring; the next record begins at its start

Tail and head are byte **positions** that only grow; a position's place is ``position & (capacity - 1)``. A record's
position is that of its header, after any padding. Records below head are done with, from head to tail they are
published, above tail nothing counts. Cursors sit 128 bytes apart because the CPU fetches cache lines in pairs.

Ownership: the writer alone stores tail, dropped and free space; the reader alone stores head. Each caches the other's
cursor and looks again only when the cached one does not suffice. The supervisor alone creates and unlinks.

Guarantees: a record is seen whole or not at all, in order. A writer killed anywhere loses only what it had not
published: its successor continues at tail. A reader killed anywhere loses nothing: its successor begins at head and
sees again what was polled and not committed. A full ring is a return value. Memory that cannot be a record is a
`SegmentError` that names the position, never a loop and never bytes beyond tail. Headers are checked;
there is no checksum: the memory model below needs none.

A framed record (8 + payload, rounded up to 8) is at most a quarter of the capacity; more is `RecordTooLarge`. A half is
the limit at which an empty ring always fits a record whatever its offset; a quarter keeps one giant from needing
the ring to itself.

Memory model: every access to a word that the other process stores, or reads of ours, is `load` (acquire) or `store`
(release). They are C11 atomics where the extension is built, and plain loads and stores of an aligned word in Python,
which is the same on x86-64 (TSO) and on no other machine: **aarch64 wants the extension, anything else is refused**.
``tests/shm/test_ring_memory_order.py`` tries every order that a weak memory allows, and fails when one of these four is
taken away:

* **tail, stored by `RingWriter.publish` with release**: headers, payloads and padding below it were stored before it
  in program order, and release lets none of them be seen after it. The C parts store headers and payloads as they like
  (`append_record`), for nothing counts above tail.
* **tail, loaded by `RingReader` with acquire**: what is copied after it cannot have been fetched before it. With the
  store above: whoever sees a tail sees all records below it, whole.
* **head, stored by `RingReader.commit` with release**: the copies of what lies below it were loaded before it, and
  release keeps loads, too, from moving behind it. (A producer that has the ring's own bytes commits after they were
  acknowledged: its thread has handed that over through a lock.)
* **head, loaded by `RingWriter` with acquire**: what it writes into the freed space cannot be seen before the head
  that freed it. With the store above: nobody overwrites what is still being copied.
* **capacity, epoch, magic** never change: they were there before the segment had a name, and the kernel's lock of the
  directory orders that. **dropped** is a count for watchers and orders nothing; it is stored whole.
* **The killed.** A kill comes between two instructions: all stores before it in the program are made, none behind it.
  Who reaps the process is ordered after them by the kernel, and starts the successor. So what only a successor reads
  (the banks of `ring_counters`, `redo_log`, `watermarks`) needs the compiler's order and no barrier.
* **The doorbell** is a system call under a lock of the kernel: what was published before it was rung is seen by who
  cleared it after that. It is rung unconditionally, there is no "reader sleeps" flag: the one order that neither
  machine gives, of a store before a later load of another word, is not relied on.

A word is whole: an aligned 8-byte store or load is one instruction on both. In Python only through an aligned
``memoryview.cast('Q')``: `struct.pack_into` zero-fills first (readers saw 6-33 % zeros; a cursor read as 0 replays the
ring).

`SYNC` comments mark every access to a word that the other process stores, or reads of ours.
"""

import mmap
import platform
import struct
import sys
from collections.abc import Callable
from typing import Any

from wsadapter import native
from wsadapter.errors import RecordTooLarge, SegmentError
from wsadapter.shm.segment import Segment

LAYOUT_VERSION = 2
"""2: a payload is a key and a message, not msgpack (`wsadapter.events.records`)."""
MAGIC = 0x57534152  # "WSAR"
DATA = 4096
"""Where the records begin; also what a ring costs beside its capacity."""
MIN_CAPACITY = 64
MAX_CAPACITY = 1 << 32

_MAGIC, _CAPACITY, _EPOCH, _TAIL, _HEAD, _DROPPED = 0, 1, 2, 16, 32, 48  # word indexes
_LENGTH = 0xFFFFFFFF
_KINDS = {kind: kind << 32 for kind in range(1, 256)}  # refuses 0 and saves the hot path a shift
_ABOVE = 256 << 32  # no header is as large
_HEADER = struct.Struct("<QQQ")
X86_64, AARCH64 = ("x86_64", "AMD64"), ("aarch64", "arm64")
"""As `platform.machine` says it."""

Scanned = tuple[int, int, int, int]
Scan = Callable[[mmap.mmap, int, int, int, int], Scanned]


class OtherLayout(SegmentError):
    """A ring of another version of this program: whole, and only that version can read what is in it."""

    def __init__(self, name: str, version: int, unread_bytes: int) -> None:
        self.version, self.unread_bytes = version, unread_bytes
        super().__init__(
            f"ring {name} refused: layout version {version}, this program has version {LAYOUT_VERSION}; "
            f"{unread_bytes:,} bytes are unread in it"
        )


def create(name: str, capacity: int, epoch: int) -> None:
    """Make an empty ring. It appears complete or not at all."""
    _require_ordered_memory()
    if not MIN_CAPACITY <= capacity <= MAX_CAPACITY or capacity & (capacity - 1):
        raise ValueError(
            f"ring {name}: capacity {capacity} is not a power of two from {MIN_CAPACITY} to {MAX_CAPACITY}"
        )
    header = _HEADER.pack(MAGIC << 32 | LAYOUT_VERSION, capacity, epoch)
    Segment.create(name, size(capacity), header).close()


def size(capacity: int) -> int:
    """Of the segment."""
    return DATA + capacity


def max_payload(capacity: int) -> int:
    """The longest payload a ring of this capacity takes."""
    return capacity // 4 - 8


class PureAppender:
    """Writes records one after the other, without a look at the cursors; its twin is in C. ``at``, ``stop`` and
    ``last`` are places in the mapping, not positions: they stay small integers, which are cheaper. ``lap``
    makes a place a position."""

    __slots__ = ("_map", "_max_payload", "_words", "at", "lap", "last", "stop")

    def __init__(self, mapping: mmap.mmap, at: int, lap: int, max_payload: int) -> None:
        self._map, self._max_payload = mapping, max_payload
        self._words = memoryview(mapping).cast("Q")
        self.at, self.lap, self.last, self.stop = at, lap, -1 - lap, 0

    def append(self, kind: int, payload: bytes) -> bool:
        """Whether it fitted before ``stop``. Kinds are 1 to 255, any other is a KeyError."""
        length = len(payload)
        at = self.at
        end = at + (length + 15 & -8)
        if end > self.stop or length > self._max_payload:
            return False
        self._words[at >> 3] = _KINDS[kind] | length
        self._map[at + 8 : at + 8 + length] = payload
        self.last = at
        self.at = end  # private until publish(): an exception above leaves no record
        return True

    def release(self) -> None:
        self._words.release()
        self.stop = 0


def scan_in_python(
    mapping: mmap.mmap, at: int, stop: int, limit: int, lap: int, out: list[tuple[int, int, bytes]]
) -> Scanned:
    """Append (position, kind, payload) of each record from ``at`` on to ``out``; (place, end, header, limit) where it
    stopped: ``end`` lies beyond ``place`` when what begins there is no record."""
    header, end = 0, at
    with memoryview(mapping) as octets, octets.cast("Q") as words:
        while at < stop and limit:
            header = words[at >> 3]
            length = header & _LENGTH
            end = at + (length + 15 & -8)
            if end > stop or not _LENGTH < header < _ABOVE:
                break
            out.append((at + lap, header >> 32, mapping[at + 8 : at + 8 + length]))
            at = end
            limit -= 1
    return at, end, header, limit


def load_in_python(words: memoryview, index: int) -> int:
    """A word that the other process stores. A plain load: enough on x86-64."""
    return words[index]


def store_in_python(words: memoryview, index: int, value: int) -> None:
    """A word that the other process loads. A plain store: enough on x86-64."""
    words[index] = value


_native: Any = native.extension
Appender: Any = PureAppender if _native is None else _native.Appender
_scan = scan_in_python if _native is None else _native.scan
load: Callable[[memoryview, int], int] = load_in_python if _native is None else _native.load
store: Callable[[memoryview, int, int], None] = store_in_python if _native is None else _native.store


class RingWriter:
    """The writing end. One per ring at a time; the supervisor sees to that."""

    __slots__ = ("_max_payload", "_segment", "_words", "appender", "capacity", "epoch")

    def __init__(self, segment: Segment, words: memoryview) -> None:
        self._segment = segment
        self._words = words
        self.capacity = words[_CAPACITY]
        self.epoch = words[_EPOCH]
        self._max_payload = max_payload(self.capacity)
        # SYNC tail: our predecessor's last publish; what it wrote above is not there.
        tail = load(words, _TAIL)
        lap = (tail & -self.capacity) - DATA
        self.appender = Appender(segment.map, tail - lap, lap, self._max_payload)
        """Writes where there is known to be room: up to its ``stop``, the end of the lap or of the free space."""

    @classmethod
    def attach(cls, name: str) -> "RingWriter":
        """Continue at the published tail, whatever became of the last writer."""
        segment, words = _attach(name, writable=True)
        return cls(segment, words)

    def try_write(self, kind: int, payload: bytes) -> bool:
        """Append a record, visible to the reader from the next publish(); False if it does not fit now (nothing is
        written then). Kinds are 1 to 255, any other is a KeyError."""
        append = self.appender.append
        return append(kind, payload) or (self._make_room(len(payload)) and append(kind, payload))

    @property
    def last_position(self) -> int:
        """Position of the last record this writer wrote; -1 before the first."""
        return int(self.appender.last + self.appender.lap)

    @property
    def tail(self) -> int:
        """Where the next `publish` ends."""
        return int(self.appender.at + self.appender.lap)

    def publish(self) -> None:
        """Hand every record written so far to the reader: one store."""
        # SYNC tail: pairs with the loads in RingReader. Headers and payloads were stored before it.
        store(self._words, _TAIL, self.appender.at + self.appender.lap)

    def used(self) -> int:
        """Bytes taken, unpublished records and padding included."""
        # SYNC head: only grows, so this may be too much, never too little.
        return int(self.appender.at + self.appender.lap - load(self._words, _HEAD))

    @property
    def dropped(self) -> int:
        return self._words[_DROPPED]

    def add_dropped(self, count: int) -> None:
        # SYNC dropped: a count for watchers, orders nothing.
        self._words[_DROPPED] += count

    def release(self) -> None:
        """Unmap without publishing. Harmless when repeated."""
        self.appender.release()
        self._words.release()
        self._segment.close()

    def _make_room(self, length: int) -> bool:
        """Look at head again and begin the next lap if this record needs it; False if it does not fit."""
        if length > self._max_payload:
            raise RecordTooLarge(
                f"ring {self._segment.name}: a payload of {length} bytes, the most is {self._max_payload} "
                f"(capacity {self.capacity})"
            )
        capacity, appender = self.capacity, self.appender
        tail = appender.at + appender.lap
        # SYNC head: pairs with the store in RingReader.commit; below it the reader has finished copying.
        head = load(self._words, _HEAD)
        if not tail - capacity <= head <= tail:
            raise SegmentError(f"ring {self._segment.name}: head {head} does not fit tail {tail}, capacity {capacity}")
        framed = length + 15 & -8
        rest = DATA + capacity - appender.at
        if tail + framed + (rest if framed > rest else 0) > head + capacity:
            return False
        if framed > rest:
            if rest:
                self._words[appender.at >> 3] = rest - 8  # kind 0
            appender.at = DATA
            appender.lap += capacity
            appender.last -= capacity
        appender.stop = min(head + capacity - appender.lap, DATA + capacity)
        return True


class RingReader:
    """The reading end. One per ring at a time; more may watch (``writable=False``), which cannot commit."""

    __slots__ = ("_head", "_map", "_segment", "_tail", "_words", "capacity", "epoch", "position")

    def __init__(self, segment: Segment, words: memoryview) -> None:
        self._segment = segment
        self._map = segment.map
        self._words = words
        self.capacity = words[_CAPACITY]
        self.epoch = words[_EPOCH]
        # SYNC head: our predecessor's last commit.
        self._head = load(words, _HEAD)
        self.position = self._tail = self._head
        """The cursor: end of the last polled record. Commit it when all that was polled is done."""

    @classmethod
    def attach(cls, name: str, writable: bool = True) -> "RingReader":
        """Begin at head, whatever became of the last reader."""
        segment, words = _attach(name, writable)
        return cls(segment, words)

    def poll(self, limit: int) -> list[tuple[int, int, bytes]]:
        """Up to ``limit`` records after the cursor: (position, kind, payload). Fewer means that the ring was empty
        after them. Moves the cursor, not head. Damage is raised once the good records before it have been returned."""
        records: list[tuple[int, int, bytes]] = []

        def copy(mapping: mmap.mmap, at: int, stop: int, most: int, lap: int) -> Scanned:
            return _scan(mapping, at, stop, most, lap, records)

        self.walk(limit, copy)
        return records

    def walk(self, limit: int, scan: Scan) -> int:
        """The same for who does something else with records than to copy them: ``scan`` is given (mapping, at, stop,
        limit, lap), the places between which they lie, and returns (place, end, header, limit) where it stopped. How
        many there were."""
        most, last = limit, DATA + self.capacity
        position, tail = self.position, self._tail
        while limit > 0:
            if position == tail and position == (tail := self._load_tail(position)):
                break
            at = (position & (self.capacity - 1)) + DATA
            lap = position - at
            stop = min(tail - lap, last)
            at, end, header, limit = scan(self._map, at, stop, limit, lap)
            position = at + lap
            if at < end:  # stopped by what is no record: padding up to the end of the ring, or damage
                if header > _LENGTH or not end == stop == last:
                    if limit < most:
                        break
                    raise SegmentError(
                        f"ring {self._segment.name}: damaged record at position {position} (header {header:#x})"
                    )
                position = end + lap
        self.position = position
        return most - limit

    def _load_tail(self, position: int) -> int:
        # SYNC tail: pairs with the store in RingWriter.publish; all records below it are complete.
        tail = load(self._words, _TAIL)
        # SYNC head: our own store, or for a watcher the reader's: it moves on, and the writer may lap who stays behind.
        head = load(self._words, _HEAD)
        if not position <= tail <= min(head, position) + self.capacity or tail & 7:
            raise SegmentError(f"ring {self._segment.name}: tail {tail} does not fit cursor {position}")
        self._tail = tail
        return tail

    def commit(self, position: int) -> None:
        """Everything below ``position`` is done with: the position of a polled record, or the cursor."""
        if not self._head <= position <= self.position or position & 7:
            raise ValueError(f"ring {self._segment.name}: commit {position}, head {self._head}, cursor {self.position}")
        # SYNC head: pairs with the loads in RingWriter. The payloads below were copied out before it.
        store(self._words, _HEAD, position)
        self._head = position

    def resume_at(self, position: int) -> None:
        """Commit what our predecessor had decided to commit, as its redo log says, and begin there; harmless when it
        had done so."""
        if self._head < position <= self.tail:
            # SYNC head: as in commit().
            store(self._words, _HEAD, position)
            self._head = position
            self.rewind()

    def skip_damage(self) -> int:
        """Move the cursor to tail, past what is no record and all behind it; how many bytes. `SegmentError` when tail
        is no cursor either."""
        tail = self._load_tail(self.position)
        skipped, self.position = tail - self.position, tail
        return skipped

    def rewind(self) -> None:
        """Poll again from head."""
        self.position = self._tail = self._head

    def unread(self) -> int:
        """How many records lie between head and tail; for the reader itself, or while nobody reads."""
        here = self.position, self._tail
        self.rewind()
        count = 0
        try:
            while records := self.poll(1024):
                count += len(records)
        finally:
            self.position, self._tail = here
        return count

    @property
    def head(self) -> int:
        # SYNC head: our own store, or for a watcher the reader's.
        return load(self._words, _HEAD)

    @property
    def tail(self) -> int:
        # SYNC tail: as in poll().
        return load(self._words, _TAIL)

    @property
    def dropped(self) -> int:
        # SYNC dropped: a count, orders nothing.
        return self._words[_DROPPED]

    def used(self) -> int:
        """Bytes from head to tail."""
        tail = self.tail  # first: for a watcher both move, and head must not be the older one
        return max(0, tail - self.head)

    @property
    def is_named(self) -> bool:
        """Whether who attaches now finds this ring."""
        return self._segment.is_named

    def release(self) -> None:
        """Unmap without committing. Harmless when repeated."""
        self._words.release()
        self._segment.close()


def _attach(name: str, writable: bool) -> tuple[Segment, memoryview]:
    _require_ordered_memory()
    segment = Segment.attach(name, writable)
    if segment.size < DATA + MIN_CAPACITY or segment.size % 8:
        segment.close()
        raise SegmentError(f"{name} refused: {segment.size} bytes are no ring")
    words = segment.buf.cast("Q")
    version, unread = words[_MAGIC] & 0xFFFFFFFF, load(words, _TAIL) - load(words, _HEAD)
    if problem := _problem(words, segment.size):
        words.release()
        segment.close()
        raise SegmentError(f"ring {name} refused: {problem}")
    if version != LAYOUT_VERSION:
        words.release()
        segment.close()
        raise OtherLayout(name, version, unread)
    return segment, words


def _problem(words: memoryview, size: int) -> str:
    magic, version, capacity = words[_MAGIC] >> 32, words[_MAGIC] & 0xFFFFFFFF, words[_CAPACITY]
    if magic != MAGIC:
        return f"not a ring (magic {magic:#x}, expected {MAGIC:#x})"
    if capacity & (capacity - 1) or size != DATA + capacity:
        return f"capacity {capacity} in a segment of {size} bytes (layout version {version})"
    # SYNC head: before tail, so that a running reader cannot get ahead of the tail we saw.
    head = load(words, _HEAD)
    tail = load(words, _TAIL)
    # A watcher of a running pair may see tail a lap or more beyond the head it read before; aligned is all it can ask.
    if head > tail or (head | tail) & 7:
        return f"head {head} and tail {tail} are no cursors"
    return ""


def _require_ordered_memory() -> None:
    machine = platform.machine()
    ordered = machine in X86_64 or (machine in AARCH64 and _native is not None)
    if not ordered or sys.maxsize < 2**32 or sys.byteorder != "little":
        raise SegmentError(
            f"the ring needs x86-64, or aarch64 with the C extension (docs/install.md): Python has no fences for the "
            f"memory model of this machine ({machine})"
        )
