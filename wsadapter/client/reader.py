"""What comes with one socket read: dated once, counted, its items handled, its end announced.

A reader is called with each of picows' frames. The usual one, a whole text message, goes all its way here: payload
-> `Exchange.receive` -> item by item to its handler in ``dispatch`` -> ``read_end`` behind the last frame of the read.
Every other frame, and all of them while ``fragmented`` is set, goes to ``otherwise(transport, frame)`` in its place.
Nothing is delivered any more once ``closed`` is set; a handler that raises sets it.

In C where it is built. Owned by a `wsadapter.client.session.Session`, which knows what the other frames mean.
"""

import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from picows import WSFrame, WSMsgType, WSTransport

from wsadapter import native
from wsadapter.client.clock import ReceiveClock, clock
from wsadapter.exchanges.venue import Item, Receive

TEXT: Final = WSMsgType.TEXT
Handlers = Mapping[type, Callable[[Any], object]]
"""Item type -> who handles it; types without an entry are dropped."""
Otherwise = Callable[[WSTransport, WSFrame], None]


class ReceiveCount:
    """What came in over all sessions of a connection. ``messages``: a cell of 8 bytes elsewhere to count them in."""

    __slots__ = ("cells",)

    def __init__(self, messages: memoryview | None = None) -> None:
        own = memoryview(array("q", (0, 0)))
        self.cells = (own[:1] if messages is None else messages), own[1:]
        """Messages, and their bytes."""

    @property
    def messages(self) -> int:
        return int(self.cells[0][0])

    @property
    def bytes(self) -> int:
        return int(self.cells[1][0])

    def count(self, size: int) -> None:
        messages, octets = self.cells
        messages[0] += 1
        octets[0] += size


class PythonReader:
    """The twin of the reader in C. ``received_ns``: time of the read that is being delivered, 0 between reads;
    ``last_read``: monotonic time of the last frame of any kind."""

    __slots__ = (
        "_clock", "_otherwise", "_read_end", "_receive", "_tally", "closed", "dispatch", "fragmented", "last_read",
        "received_ns",
    )  # fmt: skip

    def __init__(
        self,
        receive: Receive,
        otherwise: Otherwise,
        read_end: Callable[[], object],
        tally: ReceiveCount,
        clock: ReceiveClock = clock,
    ) -> None:
        self._clock = clock
        self._receive, self._otherwise, self._read_end, self._tally = receive, otherwise, read_end, tally
        self.dispatch: Handlers = {}
        self.received_ns = 0
        self.last_read = time.monotonic()
        self.closed = self.fragmented = False

    def __call__(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.closed:
            return
        received_ns = self.date()
        try:
            if self.fragmented or frame.msg_type is not TEXT or not frame.fin or frame.rsv1 or frame.rsv2 or frame.rsv3:
                self._otherwise(transport, frame)
            else:
                self._tally.count(frame.payload_size)
                self.deliver(self._receive(frame.get_payload_as_memoryview(), received_ns))
        except BaseException:  # of a handler: nothing comes behind the failure
            self.closed = True
            raise
        if frame.last_in_buffer:
            self.finish()

    def date(self) -> int:
        """The time of this read (`wsadapter.client.clock`); taken by its first frame."""
        if not self.received_ns:
            self.received_ns = self._clock.now_ns()
            self.last_read = time.monotonic()
        return self.received_ns

    def deliver(self, items: Iterable[Item]) -> None:
        for item in items:
            if (handle := self.dispatch.get(type(item))) is not None:
                handle(item)

    def finish(self) -> None:
        """The read ends here, if one was begun."""
        if self.received_ns:
            self.received_ns = 0
            self._read_end()


def frame_reader(
    receive: Receive,
    otherwise: Otherwise,
    read_end: Callable[[], object],
    tally: ReceiveCount,
    clock: ReceiveClock = clock,
) -> Any:
    """A `PythonReader`, or its twin in C."""
    if _native is None:
        return PythonReader(receive, otherwise, read_end, tally, clock)
    return _native.FrameReader(receive, otherwise, read_end, *tally.cells, clock.cells, WSFrame, TEXT)


_native: Final = native.extension
