"""Messages of one partition to rows of an insert's body, many at a time, without those that were delivered before.

`Frame` takes messages in the order of their offsets and stops in front of the first one that wants a decision of its
caller: one that does not begin with its ring identity (`wsadapter.kafka.messages`), or that stands at the offset where
the caller wants to look. What was delivered before (its position is not above that of its epoch's last one) is counted
and becomes no row.

In C where the extension is built, of messages that librdkafka has as of those in a list; the twin in Python takes the
latter. Owns nothing.
"""

import struct
from array import array
from collections.abc import Sequence
from operator import lt
from typing import Any, Final, Protocol

from wsadapter import native
from wsadapter.kafka.messages import PREFIXES, varint

NO_STOP: Final = 2**63 - 1
FEW: Final = 16
"""So few messages are taken one by one: to look at them together first costs more."""

_unpack = struct.Struct("<BQBQ").unpack_from  # fixed64 epoch = 1, fixed64 position = 2: tag byte and value, twice
_unpack_head = struct.Struct("<10sQ").unpack_from  # the same: tag, epoch and tag as they stand, position
_HEAD: Final = 18
_EPOCH_TAG: Final = 0x09
_POSITION_TAG: Final = 0x11

Values = Sequence[bytes | None]
Framed = tuple[int, int, int, bytes]


class Frame(Protocol):
    def __call__(
        self, values: Any, offsets: Any, first: int, next_offset: int, stop: int, marks: dict[int, int],
        body: bytearray, /,
    ) -> Framed:  # fmt: skip
        """Append the rows of ``values[first:]`` to ``body`` and move ``marks`` (epoch -> position of its last record).
        Messages below ``next_offset`` are passed over, ``stop`` is the first offset that is not taken. ``values`` and
        ``offsets``: lists, or what `wsadapter.kafka.runs.Messages` has of them. The index of the message that it
        stopped at, or how many there are; the offset behind what it took; how many were delivered before; the offset
        of each row, as 64-bit integers."""


def frame_in_python(
    values: Values, offsets: Sequence[int], first: int, next_offset: int, stop: int, marks: dict[int, int],
    body: bytearray,
) -> Framed:  # fmt: skip
    """The twin of `frame_rows` in C."""
    if len(values) - first >= FEW:
        together = _together(values[first:], offsets[first:], next_offset, stop, marks, body)
        if together is not None:
            return len(values), offsets[-1] + 1, 0, together
    redelivered, taken, index = 0, array("q"), first
    while index < len(values):
        offset, value = offsets[index], values[index]
        if offset >= next_offset:
            if offset >= stop or value is None or len(value) < _HEAD:
                break
            tag, epoch, second, position = _unpack(value)
            if tag != _EPOCH_TAG or second != _POSITION_TAG:
                break
            next_offset = offset + 1
            if position > marks.get(epoch, -1):
                marks[epoch] = position
                body += PREFIXES[len(value)] if len(value) < len(PREFIXES) else varint(len(value))
                body += value
                taken.append(offset)
            else:
                redelivered += 1
        index += 1
    return index, next_offset, redelivered, taken.tobytes()


def _together(
    values: Values, offsets: Sequence[int], next_offset: int, stop: int, seen: dict[int, int], body: bytearray
) -> bytes | None:
    """Take all of them, if each is new, in order, and a row that begins with its ring identity; else none."""
    if offsets[0] < next_offset or offsets[-1] >= stop or not all(map(lt, offsets, offsets[1:])):
        return None
    # watermarks by the ten bytes around an epoch: hardly ever another one than in the message before
    marks: dict[bytes, int] = {}
    current, mark = b"", -1
    try:
        for head, position in map(_unpack_head, values):  # type: ignore[arg-type]  # None: TypeError
            if head != current:
                marks[current] = mark
                current = head
                mark = marks[head] if head in marks else _mark(head, seen)
            if position <= mark:
                return None
            mark = position
        framed: list[bytes] = [b""] * (2 * len(values))
        framed[::2] = [PREFIXES[len(value)] for value in values]  # type: ignore[arg-type]
    except (TypeError, ValueError, struct.error, IndexError):  # no value, not ours, too short, too long
        return None
    framed[1::2] = values  # type: ignore[assignment]
    marks[current] = mark
    del marks[b""]
    seen |= {int.from_bytes(head[1:9], "little"): mark for head, mark in marks.items()}
    body += b"".join(framed)
    return array("q", offsets).tobytes()


def _mark(head: bytes, seen: dict[int, int]) -> int:
    """The watermark of the epoch in the first ten bytes of a message; `ValueError` when they are something else."""
    if head[0] != _EPOCH_TAG or head[9] != _POSITION_TAG:
        raise ValueError("no ring identity")
    return seen.get(int.from_bytes(head[1:9], "little"), -1)


frame: Final[Frame] = frame_in_python if native.extension is None else native.extension.frame_rows
