"""Where a reader stands: what is given is before it, the rest is behind it.

A `Position` is immutable and is kept as text: ``str(position)``, and `Position.parse` of that. It holds, for each
partition, the offset that comes next and the watermarks below which records were given already, so that a reader that
resumes drops what a serializer sends again in the meantime. Topics are named by their ids, too: offsets of a topic that
was deleted mean nothing in one of the same name.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Final
from zlib import compress, decompress
from zlib import error as ZlibError

from msgspec import DecodeError, Struct, json

MARKS: Final = 64
"""So many epochs of a partition are remembered, those that moved last. Of an older one nothing is sent again."""
_VERSION: Final = "r1."


class PartitionPosition(Struct, frozen=True, array_like=True):
    """``offset`` comes next. ``marks``: epoch -> position of its last record."""

    offset: int
    marks: tuple[tuple[int, int], ...] = ()


class TopicPosition(Struct, frozen=True, array_like=True):
    """``topic_id`` is empty where the broker gives none."""

    topic_id: str
    partitions: Mapping[int, PartitionPosition]


class Position(Struct, frozen=True, array_like=True):
    """``topics``: stream -> where. ``given``: partition and offset of gaps that are not before the next one of their
    partition and were given all the same. ``at_ms``: Kafka's time of the newest message (ms since the epoch)."""

    at_ms: int
    topics: Mapping[str, TopicPosition]
    given: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        return _VERSION + urlsafe_b64encode(compress(json.encode(self), 1)).decode()

    @classmethod
    def parse(cls, text: str) -> "Position":
        """`ValueError` where this is the text of none."""
        try:
            if not text.startswith(_VERSION):
                raise ValueError("it does not begin as one does")
            return json.decode(decompress(urlsafe_b64decode(text[len(_VERSION) :].encode())), type=cls)
        except (ValueError, ZlibError, DecodeError) as error:
            raise ValueError(f"no position of a reader: {error}") from None
