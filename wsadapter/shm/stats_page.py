"""Stats pages: counters of one process, readable by all, alive after its death.

Layout (little-endian, one segment):

       0  u64 magic << 32 | layout version      16  u64 length of the label blob
       8  u64 slot count                        24  u64 offset of the slots, a multiple of 128
      32  label blob: JSON list of field names, in slot order, then zeros up to the slots
       .  i64 per slot

The page describes itself: a reader needs its name and nothing else. The header never changes after creation.

Ownership: the supervisor creates and unlinks; **one process writes the slots**, so `cells[i] += 1` needs no lock;
anybody reads. A slot is one aligned 8-byte word, stored and loaded whole (`memoryview.cast('q')`; `struct.pack_into`
zero-fills first and shows readers false zeros). Slots are not ordered with one another: a reader may see a later
counter before an earlier one, so do not derive a promise from two of them.
"""

import json
import struct
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from wsadapter.errors import SegmentError
from wsadapter.shm.segment import Segment

LAYOUT_VERSION = 1
MAGIC = 0x57534150  # "WSAP"

SECONDS: Final = ("0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.5", "1", "5", "+Inf")
"""Histogram bounds, as exposed."""

_HEADER = struct.Struct("<QQQQ")  # read and written only while nobody writes it: cursors need cast('Q'), this does not
_ALIGN = 128


class StatsPage:
    """One process's view of a stats page."""

    __slots__ = ("_index", "_segment", "cells", "fields")

    def __init__(self, segment: Segment, fields: tuple[str, ...], offset: int) -> None:
        self._segment = segment
        self.fields = fields
        self._index = {field: slot for slot, field in enumerate(fields)}
        with segment.buf[offset : offset + 8 * len(fields)] as slots:
            self.cells = slots.cast("q")
        """For hot paths: bind it and the index once, then ``cells[i] += 1``."""

    @classmethod
    def create(cls, name: str, fields: Sequence[str]) -> "StatsPage":
        """Make the page, every slot zero."""
        if not fields or len(set(fields)) != len(fields):
            raise ValueError(f"stats page {name}: field names must be present and unique")
        blob = json.dumps(list(fields), separators=(",", ":")).encode()
        offset = -(-(_HEADER.size + len(blob)) // _ALIGN) * _ALIGN
        header = _HEADER.pack(MAGIC << 32 | LAYOUT_VERSION, len(fields), len(blob), offset) + blob
        return cls(Segment.create(name, offset + 8 * len(fields), header), tuple(fields), offset)

    @classmethod
    def attach(cls, name: str, writable: bool = False) -> "StatsPage":
        segment = Segment.attach(name, writable)
        try:
            fields, offset = _read_header(segment)
            return cls(segment, fields, offset)
        except SegmentError:
            segment.close()
            raise

    @property
    def name(self) -> str:
        return self._segment.name

    @property
    def is_named(self) -> bool:
        """Whether a reader that attaches now finds this page."""
        return self._segment.is_named

    def is_at(self, name: str) -> bool:
        """Whether this page is what has that name now."""
        return self._segment.is_at(name)

    def content(self) -> bytes:
        """All of the segment."""
        return bytes(self._segment.buf)

    def index(self, field: str) -> int:
        return self._index[field]

    def __contains__(self, field: object) -> bool:
        return field in self._index

    def __getitem__(self, field: str) -> int:
        return self.cells[self._index[field]]

    def __setitem__(self, field: str, value: int) -> None:
        self.cells[self._index[field]] = value

    def read(self) -> dict[str, int]:
        return dict(zip(self.fields, self.cells.tolist(), strict=True))

    def release(self) -> None:
        """Unmap; the page itself stays. Harmless when repeated."""
        self.cells.release()
        self._segment.close()


class Histogram:
    """Times, counted in the cells that `wsadapter.metrics.histogram` names, by the page's one writer. ``labels``: as
    ``a="v",b="w"``."""

    def __init__(self, page: StatsPage, name: str, labels: str = "", bounds: tuple[str, ...] = SECONDS) -> None:
        self._cells = page.cells
        self._bounds_ns = tuple(int(float(le) * 1e9) for le in bounds[:-1])
        before, own = (f"{labels},", f"{{{labels}}}") if labels else ("", "")
        self._buckets = tuple(page.index(f'{name}_bucket{{{before}le="{le}"}}') for le in bounds)
        self._sum = page.index(f"{name}_sum_ns{own}")
        self._count = page.index(f"{name}_count{own}")

    def observe(self, elapsed_ns: int, times: int = 1) -> None:
        """``times`` observations of ``elapsed_ns``; buckets are cumulative, as they are exposed."""
        cells = self._cells
        for index in self._buckets[bisect_left(self._bounds_ns, elapsed_ns) :]:
            cells[index] += times
        cells[self._sum] += elapsed_ns * times
        cells[self._count] += times


def _read_header(segment: Segment) -> tuple[tuple[str, ...], int]:
    name = segment.name
    if segment.size < _HEADER.size:
        raise SegmentError(f"stats page {name} refused: {segment.size} bytes hold no header")
    word, count, length, offset = _HEADER.unpack_from(segment.buf)
    if word >> 32 != MAGIC:
        raise SegmentError(f"{name} refused: not a stats page (magic {word >> 32:#x}, expected {MAGIC:#x})")
    if word & 0xFFFFFFFF != LAYOUT_VERSION:
        raise SegmentError(
            f"stats page {name} refused: layout version {word & 0xFFFFFFFF}, this program has version {LAYOUT_VERSION}"
        )
    if offset % _ALIGN or _HEADER.size + length > offset or offset + 8 * count != segment.size:
        raise SegmentError(
            f"stats page {name} refused: {count} slots at {offset} after {length} label bytes "
            f"do not make {segment.size} bytes"
        )
    try:
        fields = json.loads(bytes(segment.buf[_HEADER.size : _HEADER.size + length]))
    except ValueError as error:
        raise SegmentError(f"stats page {name} refused: its labels are not JSON: {error}") from error
    if not isinstance(fields, list) or len(fields) != count or not all(isinstance(field, str) for field in fields):
        raise SegmentError(f"stats page {name} refused: its labels are not a list of {count} names")
    return tuple(fields), offset
