"""What a commit says of a partition beside the offset: watermarks as of that offset, and the range that comes next.

The text is the metadata of an offset commit. A stranger's text (another tool, a reset by hand) says nothing: no intent,
no watermarks; then rows may come twice, which FINAL hides, and none is lost.
"""

import struct
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

WATERMARKS: Final = 128
"""Epochs remembered per partition, those that moved last. A commit's metadata holds 4096 bytes at most; this is 2.8 kB.
A forgotten epoch costs a possible duplicate row that FINAL hides, never a loss."""
METADATA_LIMIT: Final = 4096

_MARK = struct.Struct("<QQ")
_VERSION: Final = "w1"


class CommitMetadata(Struct, frozen=True):
    """Metadata of an offset commit. ``intent``: last offset of the range whose insert comes next, if any.
    ``partitions``: how many the topic had; when that changes keys move, and the watermarks say nothing any more."""

    partitions: int = 0
    intent: int | None = None
    watermarks: Mapping[int, int] = {}

    def encode(self) -> str:
        marks = b"".join(_MARK.pack(epoch, position) for epoch, position in self.watermarks.items())
        intent = "" if self.intent is None else str(self.intent)
        return f"{_VERSION}:{self.partitions}:{intent}:{b64encode(marks).decode()}"

    @classmethod
    def decode(cls, text: str | None) -> "CommitMetadata":
        """What another tool wrote (a reset by hand leaves it empty) says nothing: no intent, no watermarks."""
        parts = (text or "").split(":")
        if len(parts) != 4 or parts[0] != _VERSION:
            return cls()
        try:
            marks = b64decode(parts[3], validate=True)
            intent = int(parts[2]) if parts[2] else None
            return cls(int(parts[1]), intent, dict(_MARK.iter_unpack(marks)))
        except (ValueError, Base64Error, struct.error):
            return cls()


def newest(before: Mapping[int, int], after: Mapping[int, int]) -> dict[int, int]:
    """``after``, bounded: epochs that moved go to the end, the longest unmoved ones are forgotten."""
    still = {epoch: position for epoch, position in after.items() if before.get(epoch) == position}
    moved = {epoch: position for epoch, position in after.items() if before.get(epoch) != position}
    kept = [*still.items(), *moved.items()][-WATERMARKS:]
    return dict(kept)
