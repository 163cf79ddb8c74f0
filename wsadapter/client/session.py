"""One WebSocket session: from the upgrade to the end of its socket.

Sits between picows and an exchange module. Guarantees what picows leaves to its user: fragments are joined under one
size cap, reserved bits and stray continuations end the session (1002), pings get their payload back, CLOSE is answered,
silence is noticed, requests are paced, writing is bounded, and nothing is delivered behind the end. Messages are dated
once per socket read, and the end of each read is announced: `wsadapter.client.reader` has the usual frame's way.

Owned by `wsadapter.client.connection`, which decides what happens afterwards; all timers run on the loop's monotonic
clock.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from wsadapter.client.config import ConnectionConfig
from wsadapter.client.connect_limit import ConnectLimiter
from wsadapter.client.protocol import Action, Fragments, Keepalive, Violation
from wsadapter.client.reader import TEXT, Handlers, ReceiveCount, frame_reader
from wsadapter.client.tap import Tap
from wsadapter.exchanges.scanner import give_records
from wsadapter.exchanges.venue import Bad, Exchange, Item, Reply
from wsadapter.text import printable

CLOSE_SECONDS: Final = 2.0
"""How long the server has to answer our CLOSE; what it sent before is delivered meanwhile."""
LINGER_SECONDS: Final = 0.05
"""Between our last CLOSE and the end of a broken session's socket."""
BANNED_SECONDS: Final = 120.0
"""Pause after 403 and 418 that do not say how long: the venue's shortest ban."""
CLOSE_CODES: Final = {"protocol": WSCloseCode.PROTOCOL_ERROR, "oversize": WSCloseCode.MESSAGE_TOO_BIG}

Inspect = Callable[[bytes, Sequence[Item]], object]
"""(message, what it gave)."""

_monotonic = time.monotonic


class Timers:
    """Named one-shot timers of the running event loop: setting a name again moves its timer."""

    def __init__(self) -> None:
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._handles

    def set(self, name: str, delay: float, action: Callable[[], object]) -> None:
        self.clear(name)
        loop = asyncio.get_running_loop()
        self._handles[name] = loop.call_later(max(delay, 0.0), self._fire, name, action)

    def clear(self, name: str) -> None:
        if (handle := self._handles.pop(name, None)) is not None:
            handle.cancel()

    def clear_all(self) -> None:
        for name in tuple(self._handles):
            self.clear(name)

    def _fire(self, name: str, action: Callable[[], object]) -> None:
        del self._handles[name]
        action()


class Lost(Struct, frozen=True):
    """Why a session ended: closed reset idle protocol ack oversize stopped (or a reason of `DialFailed`), rotation or
    stale where another one was ready."""

    reason: str
    detail: str = ""
    retry_after: float | None = None

    @property
    def asked_to_wait(self) -> float:
        """Seconds that the venue wants us to stay away."""
        if self.retry_after is not None:
            return self.retry_after
        return BANNED_SECONDS if self.reason in ("http_403", "http_418") else 0.0


class Session(WSListener):
    """``on_open`` is called when frames can flow, ``on_read_end`` after the last frame of each socket read. Items go to
    whom `redirect` names, until then nowhere."""

    def __init__(
        self,
        exchange: Exchange,
        config: ConnectionConfig,
        tally: ReceiveCount,
        on_open: Callable[[], object],
        on_read_end: Callable[[], object],
        tap: Tap | None = None,
    ) -> None:
        super().__init__()
        self.lost: Lost | None = None
        """Set by whatever ends the session first; None while it lives or when TCP just ended."""
        self.granted: ConnectLimiter | None = None
        """Who grants requests, beside the pace of this socket."""
        self._exchange, self._config, self._tally = exchange, config, tally
        self._receive = exchange.receive if tap is None else tap(exchange.receive)
        self._dispatch: Handlers = {}
        self._reader = frame_reader(self._receive, self._on_unusual, on_read_end, tally)
        self.on_ws_frame = self._reader  # type: ignore[method-assign]  # called by picows for every frame
        self._on_open = on_open
        self._transport: WSTransport | None = None
        self._fragments = Fragments(config.max_message_size)
        self._inspected = 0
        """Messages that are still to be shown to ``_look``; meanwhile each goes the way of unusual ones."""
        self._look: Inspect = lambda message, items: None
        self._keepalive = Keepalive(config.ping_interval, config.pong_timeout)
        self._requests: deque[Reply] = deque()
        self._last_sent = float("-inf")
        self._silent_until = float("-inf")
        """The venue was asked too much."""
        self._paused = False
        self._timers = Timers()
        self.redirect({})

    def inspect(self, messages: int, look: Inspect) -> None:
        """Show the next so many messages, with what became of them, to ``look``."""
        self._inspected, self._look = messages, look
        self._reader.fragmented = self._fragments.unfinished or messages > 0
        self._record()

    # Called by picows.

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=self._config.write_buffer_size)
        self._reader.last_read = _monotonic()
        self._check_keepalive()
        if self._exchange.ping_every:
            self._timers.set("heartbeat", self._exchange.ping_every, self._send_heartbeat)
        self._on_open()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._reader.finish()
        self._reader.closed = True
        self._timers.clear_all()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    # Called by the connection.

    @property
    def last_read(self) -> float:
        """Monotonic time of the last frame of any kind."""
        return float(self._reader.last_read)

    def redirect(self, dispatch: Handlers) -> None:
        """Item type -> who handles it, from now on; types without an entry are dropped."""
        self._dispatch = dispatch
        self._reader.dispatch = {**dispatch, Reply: self._reply}
        self._record()

    def _record(self) -> None:
        """Events need not be made for who takes their records, while nobody looks at them."""
        give_records(self._exchange.receive, {} if self._inspected > 0 else self._dispatch)

    def request(self, payload: bytes, is_answered: bool = True) -> None:
        """Send a request, paced; after one that ``is_answered``, `all_answered` must follow within the ack timeout."""
        self._reply(Reply(payload, is_answered))

    def _reply(self, item: Reply) -> None:
        self._requests.append(item)
        now = _monotonic()
        if item.pause:
            self._silent_until = max(self._silent_until, now + item.pause)
            self._wait_for_answers(item.pause)
        if item.pause or "pace" not in self._timers:
            due = max(self._last_sent + self._exchange.message_interval, self._silent_until)
            self._timers.set("pace", due - now, self._send_next)

    def _wait_for_answers(self, longer: float) -> None:
        """If any is waited for: nothing is sent for so many seconds."""
        if "ack" in self._timers:
            self._timers.set("ack", longer + self._ack_timeout, self._ack_timed_out)

    @property
    def _ack_timeout(self) -> float:
        return self._config.ack_timeout or self._exchange.ack_timeout

    def all_answered(self) -> None:
        """Every request has its answer."""
        self._timers.clear("ack")

    def close(self, reason: str = "stopped") -> None:
        """Say CLOSE and keep delivering until the server's own, for `CLOSE_SECONDS` at most."""
        if self.lost is None and self._transport is not None:
            self.lost = Lost(reason)
            self._timers.clear_all()
            self._transport.send_close(WSCloseCode.OK)
            self._timers.set("end", CLOSE_SECONDS, self.abort)

    def abort(self) -> None:
        """Drop the socket now."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    # Frames.

    def _on_unusual(self, transport: WSTransport, frame: WSFrame) -> None:
        """Everything but a whole text message."""
        try:
            self._unusual(transport, frame)
        except Violation as error:
            self._end(error.reason, error.detail, CLOSE_CODES[error.reason])
        self._reader.fragmented = self._fragments.unfinished or self._inspected > 0

    def _unusual(self, transport: WSTransport, frame: WSFrame) -> None:
        kind, whole = frame.msg_type, None
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise Violation("protocol", "reserved bits are set")
        if kind is WSMsgType.PING:
            if not self._paused:  # a server that pings and does not read must not fill our memory
                transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            self._server_closed(transport, frame)
        elif kind is WSMsgType.CONTINUATION:
            whole = self._fragments.next(bool(frame.fin), frame.payload_size, frame.get_payload_as_bytes)
        elif kind is TEXT or kind is WSMsgType.BINARY:
            whole = self._fragments.first(kind is TEXT, bool(frame.fin), frame.get_payload_as_bytes)
        if whole is not None:
            self._deliver(*whole)

    def _deliver(self, message: bytes, is_text: bool) -> None:
        self._tally.count(len(message))
        bad: list[Item] = [Bad("binary", f"{len(message)} bytes")]
        items = self._receive(message, self._reader.received_ns) if is_text else bad
        if self._inspected > 0:
            self._inspected -= 1
            self._look(message, items)
            if not self._inspected:
                self._record()
        self._reader.deliver(items)

    def _server_closed(self, transport: WSTransport, frame: WSFrame) -> None:
        self._reader.closed = True
        if self.lost is None:
            reason = (frame.get_close_message() or b"").decode("utf-8", "replace")
            self.lost = Lost("closed", f"{frame.get_close_code().value} {printable(reason)}".rstrip())
            transport.send_close(WSCloseCode.OK)
        self._reader.finish()
        transport.disconnect()
        self._timers.set("end", 1.0, self.abort)

    # Timers.

    def _end(self, reason: str, detail: str, code: WSCloseCode) -> None:
        """Give the session up: nothing of it can be trusted, or nothing comes."""
        self.lost = self.lost or Lost(reason, detail)
        if self._transport is not None and not self._reader.closed:
            self._reader.closed = True
            self._reader.finish()
            self._transport.send_close(code)
            self._timers.set("end", LINGER_SECONDS, self.abort)

    def _check_keepalive(self) -> None:
        action, again = self._keepalive.check(_monotonic(), self.last_read)
        if action is Action.DEAD:
            self._end("idle", "no frame and no pong", WSCloseCode.GOING_AWAY)
            return
        if action is Action.PING:
            self._ping()
        self._timers.set("idle", again, self._check_keepalive)

    def _send_heartbeat(self) -> None:
        """The venue wants its ping whatever else is sent."""
        self._ping()
        self._timers.set("heartbeat", self._exchange.ping_every, self._send_heartbeat)

    def _ping(self) -> None:
        if self._transport is None or self._paused:
            return
        if (payload := self._exchange.ping()) is None:
            self._transport.send_ping()
        else:
            self._transport.send(TEXT, self._dated(payload))

    def _dated(self, payload: bytes) -> bytes:
        """With the time, where the venue wants one."""
        mark = self._exchange.dated
        return payload.replace(mark, b"%b%d" % (mark[:-1], time.time()), 1) if mark else payload

    def _send_next(self) -> None:
        if self._transport is None or self.lost is not None:
            return
        if self.granted is not None and (wait := self.granted.acquire()):
            self._timers.set("pace", wait, self._send_next)
            self._wait_for_answers(wait)
            return
        self._last_sent = _monotonic()
        item = self._requests.popleft()
        self._transport.send(TEXT, self._dated(item.payload))
        if self._requests:
            self._timers.set("pace", self._exchange.message_interval, self._send_next)
        if item.is_request:
            self._timers.set("ack", self._ack_timeout, self._ack_timed_out)

    def _ack_timed_out(self) -> None:
        self._end("ack", "a subscription got no answer", WSCloseCode.OK)
