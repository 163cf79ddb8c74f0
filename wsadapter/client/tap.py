"""Takes a copy of every message on its way to the decoder, for whoever keeps raw frames.

A `FrameTap` is asked once a socket for what receives its messages instead of the decoder and passes them on. It keeps
the copies until `take`; whoever takes them says with `release` when their bytes are no longer held. No more than
``max_bytes`` are held at any time: what does not fit is counted in ``dropped`` and is not kept; it is decoded like any
other. Nothing here waits, and nobody pays who has no tap.

Used on the loop only, but for `release`, which one other thread may call.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from wsadapter.exchanges.venue import Item, Receive
from wsadapter.recordings import Kept

Tap = Callable[[Receive], Receive]
"""What receives the messages of a new socket, in the place of what decodes them."""
OVERHEAD: Final = 160
"""Bytes of memory that a kept frame takes beside its payload."""


class FrameTap:
    """``taken`` and ``dropped`` (frames) only grow."""

    def __init__(self, max_bytes: int) -> None:
        self.taken = self.dropped = 0
        self._max_bytes = self._room = self._room_then = max_bytes
        self._frames: list[Kept] = []
        self._sockets: Counter[str] = Counter()
        self._given = self._released = 0
        """Bytes handed out, and those of them that are held no longer."""

    def of(self, connection: str) -> Tap:
        """The tap of one connection: its sockets are numbered."""
        self._sockets[connection] = 0
        place = len(self._sockets)

        def tapped(receive: Receive) -> Receive:
            self._sockets[connection] += 1
            return self._received(receive, f"{place}.{self._sockets[connection]}")

        return tapped

    def _received(self, receive: Receive, socket: str) -> Receive:

        def received(payload: bytes | memoryview, at_ns: int) -> list[Item]:
            self._room -= len(payload) + OVERHEAD
            if self._room < 0:
                self._room += len(payload) + OVERHEAD
                self.dropped += 1
            else:
                self._frames.append((at_ns, socket, bytes(payload)))
            return receive(payload, at_ns)

        return received

    def take(self) -> tuple[list[Kept], int]:
        """What was kept since the last time, and its bytes, to be released."""
        frames, held = self._frames, self._room_then - self._room
        self._frames = []
        self.taken += len(frames)
        self._given += held
        self._room = self._room_then = self._max_bytes - (self._given - self._released)
        return frames, held

    def release(self, size: int) -> None:
        """So many bytes of what was taken are held no longer."""
        self._released += size
