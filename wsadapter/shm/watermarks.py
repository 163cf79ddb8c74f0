"""How far each line of redundant connections has been published: a page of shared memory that outlives its writer.

    header   | magic << 32 | version | slots | taken |          then slots of 48 u64 words, from byte 128
    slot     | low words of the state | their high words | length of the key | the line's key as JSON, up to 256 bytes |

The state is `wsadapter.roles.serializer.arbitration.State`, each number in two words: a time with an ordinal is longer
than one. A line gets a free slot when it is first stored; one without a length is free.

Ownership: the supervisor creates and unlinks (`wsadapter.roles.supervisor.rings`), the one serializer that reads the
rings writes. Killed anywhere, a slot holds its old words or its new ones, or a mix: ``high`` goes last, its high word
after its low one, so it never says more than what was stored, and until it has moved the records behind it are still in
their rings and are judged again. A slot counts from the store of its length on, a new one from that of ``taken``, and
until that of a length of 0. Words are stored whole, through an aligned `memoryview.cast` (see `wsadapter.shm.ring`).
"""

import struct
from collections.abc import Set
from typing import Final

import msgspec

from wsadapter import log
from wsadapter.errors import SegmentError
from wsadapter.shm.segment import Segment

LAYOUT_VERSION: Final = 2
MAGIC: Final = 0x5753414D  # "WSAM"
BEGIN: Final = 128
STATE: Final = 7
"""Numbers of a state."""
LENGTH_WORD: Final = 2 * STATE
KEY_WORD: Final = 16
SLOT_WORDS: Final = 48
KEY_BYTES: Final = 256
_WORD: Final = 2**64 - 1
_HEADER: Final = struct.Struct("<QQQ")
_TAKEN: Final = 2

Key = tuple[str | int | bool, ...]


def create(name: str, slots: int) -> None:
    """An empty page for so many lines."""
    header = _HEADER.pack(MAGIC << 32 | LAYOUT_VERSION, slots, 0)
    Segment.create(name, BEGIN + slots * SLOT_WORDS * 8, header).close()


def prepare(name: str, slots: int) -> None:
    """A page for at least so many lines, with what one of this name holds. Nobody may be writing to it."""
    kept: dict[Key, tuple[int, ...]] = {}
    if Segment.exists(name):
        try:
            page = Watermarks(name)
        except SegmentError as error:
            log.get_logger().warning("watermarks replaced, copies may come twice", page=name, reason=str(error))
        else:
            kept, enough = page.kept, page.slots >= slots
            page.release()
            if enough:
                return
        Segment.unlink(name)
    create(name, slots)
    page = Watermarks(name)
    for key, state in kept.items():
        page.store(key, state)
    page.release()


class Watermarks:
    """A page, attached. ``kept``: what was in it then."""

    def __init__(self, name: str) -> None:
        self._segment = Segment.attach(name)
        magic, self.slots, taken = _HEADER.unpack_from(self._segment.buf)
        if magic != MAGIC << 32 | LAYOUT_VERSION or self._segment.size != BEGIN + self.slots * SLOT_WORDS * 8:
            self._segment.close()
            raise SegmentError(f"{name} refused: no page of watermarks of this version ({magic:#x})")
        self._words = self._segment.buf.cast("Q")
        try:
            if taken > self.slots:
                raise ValueError(f"{taken} of {self.slots} slots are taken")
            places = [*map(_place, range(taken))]
            self._free = [at for at in places if not self._words[at + LENGTH_WORD]]
            self._places = {self._key(at): at for at in places if self._words[at + LENGTH_WORD]}
        except (msgspec.MsgspecError, ValueError) as error:
            self.release()
            raise SegmentError(f"{name} refused: damaged ({error})") from error
        self.kept = {key: self._state(at) for key, at in self._places.items()}

    @property
    def lines(self) -> Set[Key]:
        return self._places.keys()

    def store(self, key: Key, state: tuple[int, ...]) -> bool:
        """False: there is no room for its line."""
        at, words = self._places.get(key), self._words
        if at is not None:
            self._put(at, state)
            return True
        taken, octets = words[_TAKEN], msgspec.json.encode(key)
        if not (self._free or taken < self.slots) or len(octets) > KEY_BYTES:
            return False
        is_new = not self._free
        at = self._places[key] = _place(taken) if is_new else self._free.pop()
        begin = 8 * (at + KEY_WORD)
        self._segment.map[begin : begin + len(octets)] = octets
        self._put(at, state)
        words[at + LENGTH_WORD] = len(octets)
        if is_new:
            words[_TAKEN] = taken + 1
        return True

    def forget(self, key: Key) -> None:
        """Its slot is free from now on."""
        at = self._places.pop(key)
        self._words[at + LENGTH_WORD] = 0
        self._free.append(at)

    def release(self) -> None:
        """Unmap. Harmless when repeated."""
        self._words.release()
        self._segment.close()

    def _put(self, at: int, state: tuple[int, ...]) -> None:
        words = self._words
        for offset, number in enumerate(state, at):
            words[offset], words[offset + STATE] = number & _WORD, number >> 64

    def _state(self, at: int) -> tuple[int, ...]:
        low, high = self._words[at : at + STATE], self._words[at + STATE : at + 2 * STATE]
        return tuple(one | more << 64 for one, more in zip(low, high, strict=True))

    def _key(self, at: int) -> Key:
        begin = 8 * (at + KEY_WORD)
        octets = self._segment.map[begin : begin + min(self._words[at + LENGTH_WORD], KEY_BYTES)]
        return tuple(msgspec.json.decode(octets, type=list[str | int | bool]))


def _place(slot: int) -> int:
    return BEGIN // 8 + slot * SLOT_WORDS
