"""One client of the venue: what it may send, how it is pinged, cut and closed, and how much may wait for it.

The CLOSE handshake is the venue's promise to its tests: everything counted as sent before the client's CLOSE is on the
wire before the venue's answer to it, and the socket stays open until the client has closed its side. A client that
reads on until CLOSE has all of it. Frames are framed here, once for all who get them, and written as one piece.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from wsadapter.embedded.exchange.counts import VenueCounts
from wsadapter.embedded.exchange.requests import Subscriptions
from wsadapter.embedded.market.streams import Push

NUMBER: Final = "\0"
"""Stands in a text for the message's number on its connection."""
LINGER: Final = 5.0
"""Seconds a client has to answer our CLOSE, or to close its side after we answered."""
HIGH_WATER: Final = 256 * 1024
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class VenueLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """The venue's rules; seconds, of real time except ``life`` (market time); 0: no such rule."""

    ping_interval: float = 180.0
    """Between the venue's pings."""
    pong_timeout: float = 600.0
    silence: float = 0.0
    """How long a client may send nothing."""
    life: float = 86_400.0
    messages: int = 10
    """Incoming messages a second."""
    streams: int = 1024
    backlog_bytes: int = 32 * 1024 * 1024
    """What may wait for a client that does not read, before it is cut."""


class Manners(Struct, frozen=True, kw_only=True):
    """What the venue says on a connection beside data and answers. ``hello``: first of all, by market time.
    ``heartbeat``: every ``heartbeat_every`` seconds (0: to those that ask for it); who sends nothing within
    ``answered_within`` seconds is closed (0: it wants no answer). ``notice``: that it will close the connection.
    ``numbered``: every message has its number on the connection, from 0, where its text has `NUMBER`."""

    hello: Callable[[int], Sequence[str]] = lambda now_ms: ()
    heartbeat: Callable[[int], str] | None = None
    heartbeat_every: float = 0.0
    answered_within: float = 0.0
    notice: Callable[[int], str] | None = None
    numbered: bool = False


class Host(Protocol):
    """Who wants to know what becomes of a connection."""

    def joined(self, connection: "VenueConnection") -> None: ...
    def changed(self, connection: "VenueConnection", added: tuple[str, ...], removed: tuple[str, ...]) -> None: ...
    def disconnected(self, connection: "VenueConnection") -> None: ...


class VenueConnection(WSListener):
    """Created at the upgrade request, one socket long."""

    def __init__(
        self,
        host: Host,
        route: str,
        subscriptions: Subscriptions,
        limits: VenueLimits,
        counts: VenueCounts,
        market_ms: int,
        manners: "Manners | None" = None,
    ) -> None:
        super().__init__()
        self.route, self.subscriptions = route, subscriptions
        self.open = False
        """Data may be handed to it."""
        self.stalled = False
        self.writable = asyncio.Event()
        self._host, self._limits, self._counts = host, limits, counts
        self._since_ms = market_ms
        self._arrivals: deque[float] = deque(maxlen=max(limits.messages, 1))
        self._heard = time.monotonic()
        self._pinged = time.monotonic()
        self._awaiting_pong = False
        self.told: dict[Any, Any] = {}
        """What it was told last, of what counts only when it is new."""
        self._manners = manners or Manners()
        self._beat_every = self._manners.heartbeat_every
        self._beaten = time.monotonic()
        self._awaiting_answer = False
        self._number = 0

    @property
    def takes(self) -> bool:
        """Data arrives: it is `open`, and its client has not hung up in this turn of the loop."""
        return self.open and not self._transport.is_closing()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport.underlying_transport
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self.writable.set()
        self.open = True
        for text in self._manners.hello(self._since_ms):
            self.say(text)
        self._host.joined(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.open = False
        self.writable.set()
        self._host.disconnected(self)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.stalled:
            return
        payload = frame.get_payload_as_bytes()
        self._heard = time.monotonic()
        if frame.msg_type == WSMsgType.CLOSE:
            self._finish(payload)
        elif not self.open:
            return
        elif frame.msg_type == WSMsgType.PONG:
            self._awaiting_pong = False
        elif not self._allowed():
            self.close(1008, "Too many requests")
        elif frame.msg_type == WSMsgType.PING:
            self._write(framed(payload, _PONG))
        elif frame.msg_type == WSMsgType.TEXT and frame.fin:
            self._request(payload)
        else:
            self.close(1003, "one text frame a request")

    def say(self, text: str) -> None:
        """What is no data: a greeting, a heartbeat, a notice."""
        if self.open and not self.stalled:
            self._write(self._text(text.encode()))

    def deliver(self, frame: bytes, push: Push) -> None:
        """Count and send; nothing of both when the client is closing, gone or made to stall."""
        if self.stalled or not self.takes:
            return
        self._counts.frame()
        for word, count in push.events:
            self._counts.events(word, count)
        if push.numbers:
            self._counts.trades(push.stream, push.numbers, push.also)
        for word, key, value, at_first in push.on_change:
            before = self.told.get((word, key))
            if before != value:
                self.told[word, key] = value
                self._counts.events(word, int(at_first or before is not None))
        self._write(self._text(push.data.encode()) if self._manners.numbered else frame)
        if not self.writable.is_set() and self._transport.get_write_buffer_size() > self._limits.backlog_bytes:
            self.abort()

    def check(self, now: float, market_ms: int) -> None:
        """The rules of time: once a second or so."""
        if not self.open or self.stalled:
            return
        limits = self._limits
        if limits.life and market_ms - self._since_ms >= limits.life * 1000:
            self.close(1001, f"{limits.life / 3600:g} hours")
        elif limits.silence and now - self._heard >= limits.silence:
            self.close(1000, "no ping")
        elif self._awaiting_pong:
            if now - self._pinged >= limits.pong_timeout:
                self.abort()
        elif limits.ping_interval and now - self._pinged >= limits.ping_interval:
            self._pinged, self._awaiting_pong = now, True
            self._write(framed(b"%d" % market_ms, _PING))
        if self._awaiting_answer and now - self._beaten >= self._manners.answered_within:
            self.close(4000, "heartbeat close")
        elif self._beat_every and self._manners.heartbeat and now - self._beaten >= self._beat_every:
            self._beaten, self._awaiting_answer = now, bool(self._manners.answered_within)
            self.say(self._manners.heartbeat(market_ms))

    async def flushed(self) -> None:
        """Until nothing waits in this process; also when the connection is lost meanwhile."""
        if self.open:
            self._transport.set_write_buffer_limits(high=0)
            await self.writable.wait()
        if self.open:
            self._transport.set_write_buffer_limits(high=HIGH_WATER)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Our CLOSE after all that was sent; then the client has `LINGER` seconds to answer."""
        if self.open:
            self._write(framed(struct.pack(">H", code) + reason.encode(), _CLOSE))
            self._closing()

    def abort(self, reset: bool = False) -> None:
        """Gone without a word; ``reset``: with a RST."""
        self.open = False
        self.writable.set()
        if reset:
            linger_zero = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        self._transport.abort()

    def stall(self) -> None:
        """The socket stays and nothing moves on it any more."""
        self.stalled = True
        self._transport.pause_reading()

    def _request(self, payload: bytes) -> None:
        self._awaiting_answer = False
        self._counts.add("requests_total")
        answer = self.subscriptions.answer(payload)
        changed = bool(answer.added or answer.removed)
        if changed and answer.data_first:
            self._host.changed(self, answer.added, answer.removed)
        for reply in answer.replies:
            self._write(self._text(reply))
        self._counts.add("acks_total", int(answer.acked))
        if changed and not answer.data_first:
            self._host.changed(self, answer.added, answer.removed)
        if answer.beat_every is not None:
            self._beat_every = answer.beat_every
        if answer.close:
            self.close(answer.close)

    def _allowed(self) -> bool:
        if not self._limits.messages:
            return True
        now, full = time.monotonic(), len(self._arrivals) == self._limits.messages
        breach = full and now - self._arrivals[0] < 1.0
        self._arrivals.append(now)
        return not breach

    def _finish(self, payload: bytes) -> None:
        """The client's CLOSE: answer it, or accept it as the answer to ours; then it closes first or the time is up."""
        if self.open:
            self._write(framed(payload[:2], _CLOSE))
            self._closing()
        # only our half: a socket closed with unread input would answer with RST and take sent data with it
        with contextlib.suppress(OSError, RuntimeError):
            self._transport.write_eof()

    def _closing(self) -> None:
        self.open = False
        self.writable.set()
        asyncio.get_running_loop().call_later(LINGER, self._transport.abort)

    def _text(self, text: bytes) -> bytes:
        """A frame, with the connection's number where the venue counts its messages; none beside recorded ones."""
        text = text.replace(NUMBER.encode(), b"%d" % self._number if self._manners.numbered else b"null")
        self._number += 1
        return framed(text, _TEXT)

    def _write(self, frame: bytes) -> None:
        if not self._transport.is_closing():  # else asyncio warns of each frame until it says that the client is gone
            self._transport.write(frame)


def framed(payload: bytes, opcode: int = _TEXT) -> bytes:
    """A whole server frame."""
    size, first = len(payload), 0x80 | opcode
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def enveloped(push: Push) -> bytes:
    return framed(f'{{"stream":"{push.stream}","data":{push.data}}}'.encode())


def raw(push: Push) -> bytes:
    return framed(push.data.encode())
