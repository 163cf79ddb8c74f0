"""What the offset commit of one partition says beside the offset: watermarks, intent, and which topic it is of. Pure.

Another tool's text (a reset by hand) says nothing of it: then rows may come twice, which FINAL hides, and none is lost.
What an earlier version wrote is read, and what a later one adds is written only where it says something.
"""

import struct
from base64 import b64decode, b85decode, b85encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from wsadapter.kafka.messages import length_at, varint

METADATA_LIMIT: Final = 4096
"""Bytes that a broker takes as the metadata of one offset."""
MARKS_BYTES: Final = 3_100
"""Of them for watermarks, before base85. Of more epochs than fit those are remembered that moved last: usually some
340, whose epochs are near each other. A forgotten one costs a possible duplicate row that FINAL hides, never a loss."""
WATERMARKS: Final = 150
"""So many fit whatever they are."""

_MARK = struct.Struct("<QQ")
_U64: Final = 2**64 - 1
_VERSION: Final = "w2"
_EARLIER: Final = "w1"
"""Without the last two fields."""
_LATER: Final = "w3"
"""With two more, where they say something: whoever goes back to the version before then has all that it knows."""


class CommitMetadata(Struct, frozen=True):
    """Metadata of an offset commit. ``intent``: last offset of the range whose insert comes next, if any.
    ``partitions``: how many the topic had (0: not known); when that changes keys move, and the watermarks say nothing
    any more. ``topic_id``: of the topic that the offset is one of; empty: not known. ``at_ms``: Kafka's time of the
    last message below the offset (ms since the epoch; 0: not known). ``most_rows``: that the server took at once after
    it had refused more (0: it has refused none). ``untouched``: nothing of the intended range is in."""

    partitions: int = 0
    intent: int | None = None
    watermarks: Mapping[int, int] = {}
    topic_id: str = ""
    at_ms: int = 0
    most_rows: int = 0
    untouched: bool = False

    def encode(self) -> str:
        marks = b85encode(_packed(self.watermarks.items())).decode()
        intent = "" if self.intent is None else str(self.intent)
        text = f"{self.partitions}:{intent}:{marks}:{self.topic_id}:{self.at_ms}"
        if not (self.most_rows or self.untouched):
            return f"{_VERSION}:{text}"
        return f"{_LATER}:{text}:{self.most_rows}:{int(self.untouched)}"

    @classmethod
    def decode(cls, text: str | None) -> "CommitMetadata":
        """What another tool wrote (a reset by hand leaves it empty) says nothing: no intent, no watermarks."""
        parts = (text or "").split(":")
        try:
            if len(parts) == 4 and parts[0] == _EARLIER:
                marks = dict(_MARK.iter_unpack(b64decode(parts[3], validate=True)))
                parts += ["", "0"]
            elif (len(parts), parts[0]) in ((6, _VERSION), (8, _LATER)):
                marks = _unpacked(b85decode(parts[3]))
            else:
                return cls()
            most_rows, untouched = parts[6:] or ("0", "0")
            intent = int(parts[2]) if parts[2] else None
            return cls(int(parts[1]), intent, marks, parts[4], int(parts[5]), max(0, int(most_rows)), untouched == "1")
        except (ValueError, Base64Error, struct.error):
            return cls()

    def of_topic(self, partitions: int, topic_id: str) -> "CommitMetadata":
        """The same for the topic as it is now. What the broker does not say (0, empty) changes nothing."""
        moved = self.partitions and partitions and partitions != self.partitions
        return replace(
            self,
            partitions=partitions or self.partitions,
            watermarks={} if moved else self.watermarks,
            topic_id=topic_id or self.topic_id,
        )

    def is_other_topic(self, topic_id: str) -> bool:
        """The offset is one of a topic that was deleted: in the one that exists now it is there by chance."""
        return bool(self.topic_id and topic_id and self.topic_id != topic_id)


def newest(before: Mapping[int, int], after: Mapping[int, int]) -> dict[int, int]:
    """``after``, bounded: epochs that moved go to the end, the longest unmoved ones are forgotten."""
    still = {epoch: position for epoch, position in after.items() if before.get(epoch) == position}
    moved = {epoch: position for epoch, position in after.items() if before.get(epoch) != position}
    kept = [*still.items(), *moved.items()]
    while len(kept) > WATERMARKS and len(_packed(kept)) > MARKS_BYTES:
        kept = kept[1 + (len(kept) - WATERMARKS) // 16 :]
    return dict(kept)


def _packed(marks: Iterable[tuple[int, int]]) -> bytes:
    """Epochs (each as its distance from the one before) and positions, as varints: epochs of one start are near each
    other."""
    octets, before = bytearray(), 0
    for epoch, position in marks:
        distance = epoch - before
        octets += varint(-2 * distance - 1 if distance < 0 else 2 * distance) + varint(position)
        before = epoch
    return bytes(octets)


def _unpacked(octets: bytes) -> dict[int, int]:
    """`ValueError` where this is no result of `_packed`."""
    marks, at, epoch = {}, 0, 0
    try:
        while at < len(octets):
            distance, at = length_at(octets, at)
            position, at = length_at(octets, at)
            epoch += -(distance + 1 >> 1) if distance & 1 else distance >> 1
            if not 0 <= epoch <= _U64 >= position:
                raise ValueError("no watermark")
            marks[epoch] = position
    except IndexError:
        raise ValueError("watermarks are cut off") from None
    return marks
