"""The records of a spool in one file: their bytes, how they are read back, how damage is passed.

    record   | u32 crc32 of all that follows | u32 length | u32 'WS' version kind
             | u64 number | u64 epoch | u64 position | payload |

A segment's name is the number of its first record; numbers grow by one over the life of a spool, so the number tells
what is missing after damage, and what comes in the next segment again (a write that failed halfway). What is no record
is never returned: not its bytes, and not a guess at its length; reading goes on at the next place where a record with
the right checksum begins. Little-endian, so a spool can be read on another machine.

Knows files only through descriptors; owns nothing.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Final

Record = tuple[int, int, int, bytes]
"""(epoch, position, kind, payload), as it was in the ring."""

FORMAT_VERSION: Final = 2
"""2: a payload is a key and a message, not msgpack (`wsadapter.events.records`)."""
SUFFIX: Final = ".spool"
DAMAGED_SUFFIX: Final = ".damaged"
CHUNK: Final = 1 << 20

_HEADER: Final = struct.Struct("<IIIQQQ")
_CHECKED: Final = struct.Struct("<IIQQQ")
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size
_MARK: Final = 0x575300 | FORMAT_VERSION  # above the kind
_MARK_BYTES: Final = _MARK.to_bytes(3, "little")
_MARK_AT: Final = 9
"""Where the mark stands in a header: after crc, length and the kind's byte."""


def encode(number: int, record: Record) -> bytes:
    epoch, position, kind, payload = record
    head = _CHECKED.pack(len(payload), _MARK << 8 | kind, number, epoch, position)
    return _CRC.pack(zlib.crc32(payload, zlib.crc32(head))) + head + payload


def walk(fd: int, offset: int, end: int) -> Iterator[tuple[int, int, Record]]:
    """(where it ends, number, record) of each record from ``offset`` on. Stops at ``end``, or at what is no record."""
    data, base, at, need = b"", offset, 0, HEADER_BYTES
    crc32, unpack = zlib.crc32, _HEADER.unpack_from
    while True:
        if len(data) - at < need:
            base, at = base + at, 0
            data = os.pread(fd, min(max(need, CHUNK), end - base), base)
            if len(data) < need:
                return
        crc, length, mark, number, epoch, position = unpack(data, at)
        need = HEADER_BYTES + length
        if mark >> 8 != _MARK or base + at + need > end:
            return
        if len(data) - at < need:
            continue
        payload = data[at + HEADER_BYTES : at + need]
        if crc32(payload, crc32(data[at + 4 : at + HEADER_BYTES])) != crc:
            return
        at += need
        need = HEADER_BYTES
        yield base + at, number, (epoch, position, mark & 255, payload)


def resume_after_damage(fd: int, offset: int, end: int) -> int:
    """Where the next record begins after the damage at ``offset``; ``end`` when there is none."""
    data = os.pread(fd, end - offset, offset)
    at = _MARK_AT
    while (at := data.find(_MARK_BYTES, at + 1)) != -1:
        begin = offset + at - _MARK_AT
        if next(walk(fd, begin, end), None) is not None:
            return begin
    return end


class SpoolSegment:
    """One file of the spool. ``end``: up to here it is durable; ``first``: number of its first record."""

    __slots__ = ("damaged", "end", "first", "path")

    def __init__(self, directory: str, first: int, end: int) -> None:
        self.path = os.path.join(directory, f"{first:020d}{SUFFIX}")
        self.first = first
        self.end = end
        self.damaged = False
        """Something in it could not be read: it is set aside, not deleted, when it is done with."""

    def open(self, flags: int) -> int:
        return os.open(self.path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def retire(self) -> None:
        """All of it that can be read was replayed."""
        if self.damaged:
            os.rename(self.path, self.path + DAMAGED_SUFFIX)
        else:
            os.unlink(self.path)


def last_positions(directory: str) -> dict[int, int]:
    """`Spool.last_positions` of a spool that is another process's; OSError when it is gone."""
    for name in sorted(os.listdir(directory), reverse=True):
        if name.endswith(SUFFIX) and name.removesuffix(SUFFIX).isdigit():
            size = os.lstat(os.path.join(directory, name)).st_size
            _, last, positions = last_record(SpoolSegment(directory, int(name.removesuffix(SUFFIX)), size))
            if last is not None:
                return positions
    return {}


def last_record(segment: SpoolSegment) -> tuple[int, int | None, dict[int, int]]:
    """Where the last record ends, its number, and the last position of each epoch; damage before it is left for the
    reader to find. What is there is durable when this returns: who wrote it may have been killed before the sync."""
    end = offset = 0
    last: int | None = None
    positions: dict[int, int] = {}
    fd = segment.open(os.O_RDONLY)
    try:
        while offset < segment.end:
            for end, number, (epoch, position, _, _) in walk(fd, offset, segment.end):
                offset, last, positions[epoch] = end, number, position
            offset = resume_after_damage(fd, offset, segment.end)
        os.fdatasync(fd)
    finally:
        os.close(fd)
    return end, last, positions
