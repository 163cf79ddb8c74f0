"""A venue of ours and its counterpart, face to face in one process: no socket, and time that a test moves.

A `Line` is one connection: the product's session on one end, the stand-in's connection on the other. What the stand-in
writes is read back frame by frame, through `Line.changed`, where a test loses, doubles or spoils it.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from wsadapter.config.model import Feed
from wsadapter.embedded.exchange import STAND_INS
from wsadapter.embedded.exchange.connection import VenueConnection, VenueLimits
from wsadapter.embedded.exchange.counts import VenueCounts
from wsadapter.embedded.exchange.dialects import dialect
from wsadapter.embedded.exchange.listeners import Listeners
from wsadapter.embedded.exchange.requests import Target
from wsadapter.embedded.market.clock import MarketState
from wsadapter.embedded.market.markets import Markets
from wsadapter.embedded.market.streams import Push
from wsadapter.errors import ConfigError
from wsadapter.events import Gap, MarketEvent
from wsadapter.exchanges import load, load_rest
from wsadapter.exchanges.venue import Acked, Bad, ClosesSoon, ConnectionPlan, Exchange, Item, Refused, Reply

MS = 1_000_000
START_MS = 1_790_771_371_000 // 60_000 * 60_000 + 54_000
"""Six seconds before a minute ends."""
STEP_MS = 20
RATE = 300.0
NO_SUCH = "NO~SUCH"
TEXT, CLOSE = 1, 8


class _Frame(Struct):
    """Of a client, as picows hands it over."""

    payload: bytes
    msg_type: int = TEXT
    fin: bool = True

    def get_payload_as_bytes(self) -> bytes:
        return self.payload


class Told(NamedTuple):
    """A message of the stand-in; ``stream`` is empty for what is no data."""

    text: bytes
    stream: str = ""


class _Transport:
    """Keeps what a connection writes. ``stream``: whose data it is."""

    def __init__(self) -> None:
        self.written: list[tuple[int, Told]] = []
        self.stream = ""
        self.closing = False
        """The client is gone, and the connection was not told yet."""
        self.underlying_transport = self

    def write(self, octets: bytes) -> None:
        while octets:
            size, head = octets[1], 2
            if size == 126:
                size, head = int.from_bytes(octets[2:4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(octets[2:10], "big"), 10
            self.written.append((octets[0] & 15, Told(octets[head : head + size], self.stream)))
            octets = octets[head + size :]

    def set_write_buffer_limits(self, high: int) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closing

    def write_eof(self) -> None: ...
    def abort(self) -> None: ...


class Line:
    """``seen``: all items, in order; ``texts``: what the product has read."""

    def __init__(self, pair: "Pair", plan: ConnectionPlan) -> None:
        self.pair, self.plan = pair, plan
        self.session: Exchange = load(pair.exchange)(plan)
        self.seen: list[Item] = []
        self.texts: list[bytes] = []
        self.sent: list[bytes] = []
        self.closed: int | None = None
        self.changed: Callable[[list[Told]], Iterable[Told]] = lambda told: told
        """Messages that were written together -> those that arrive."""

    def open(self) -> None:
        """A new socket."""
        self.closed = None
        goal = self._goal()
        limits = self.pair.dialect.limits
        subscriptions = self.pair.dialect.subscriptions(goal, limits.streams)
        self.transport = _Transport()
        self.connection = VenueConnection(
            self.pair, goal.route, subscriptions, VenueLimits(messages=0, streams=limits.streams),
            self.pair.counts, self.pair.now_ms, self.pair.dialect.manners,
        )  # fmt: skip
        self.connection.deliver = self._deliver(self.connection.deliver)  # type: ignore[assignment, method-assign]
        self.connection.on_ws_connected(self.transport)  # type: ignore[arg-type]
        for request in self.session.open():
            self.send(request)
        self.read()

    @property
    def route(self) -> str:
        """Its class, as the counterpart sees it."""
        return self._goal().route

    def _goal(self) -> Target:
        path = urlsplit(self.plan.url)
        goal = self.pair.dialect.target(path.path + (f"?{path.query}" if path.query else ""))
        assert goal is not None, f"the counterpart does not serve {self.plan.url}"
        return goal

    def _deliver(self, deliver: Callable[[bytes, Push], None]) -> Callable[[bytes, Push], None]:
        def labelled(frame: bytes, push: Push) -> None:
            self.transport.stream = push.stream
            deliver(frame, push)
            self.transport.stream = ""

        return labelled

    def send(self, request: bytes) -> None:
        self.sent.append(request)
        self.connection.on_ws_frame(self.transport, _Frame(request))  # type: ignore[arg-type]

    def read(self) -> None:
        """Everything that was written, and what that leads to."""
        while self.transport.written:
            written, self.transport.written = self.transport.written, []
            for code, told in written:
                if code == CLOSE:
                    self.closed = int.from_bytes(told.text[:2], "big")
            for told in self.changed([told for code, told in written if code == TEXT]):
                self.receive(told.text)

    def receive(self, text: bytes) -> list[Item]:
        """As if the venue had sent it."""
        self.texts.append(text)
        items = self.session.receive(text, self.pair.now_ms * MS)
        self.seen += items
        for item in items:
            if isinstance(item, Reply):
                self.send(item.payload)
        return items

    def of(self, *kinds: type) -> list[Any]:
        return [item for item in self.seen if isinstance(item, kinds)]

    @property
    def acked(self) -> list[str]:
        return [name for item in self.of(Acked) for name in item.names]

    @property
    def refused(self) -> list[str]:
        return [name for item in self.of(Refused) for name in item.names]

    @property
    def events(self) -> list[MarketEvent]:
        return [item for item in self.seen if not isinstance(item, (Acked, Refused, Bad, ClosesSoon, Reply, Gap))]


class Pair:
    """``symbols``, ``streams``: other ones than the demo has. ``changes``: books as changes, where there are such."""

    def __init__(
        self, exchange: str, symbols: tuple[str, ...] = (), streams: tuple[str, ...] = (), changes: bool = False,
        rate: float = RATE, intervals: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.exchange, self.now_ms = exchange, START_MS
        self.dialect, self.rest = dialect(exchange), load_rest(exchange)
        feed = STAND_INS[exchange].feed
        self.feed: Feed = msgspec.structs.replace(
            feed,
            ws_url="ws://venue",
            symbols=symbols or feed.symbols[:2],
            streams=streams or feed.streams,
            intervals=intervals or feed.intervals,
        )
        self.floor = Markets(self.feed.symbols, rate, 7, MarketState(), lambda: self.now_ms)
        self.counts = VenueCounts()
        self.listeners = Listeners(self.floor, self.dialect.offered, lambda: None)
        self.answers = self.dialect.rest(self.floor, lambda: self.now_ms)
        self.lines = [Line(self, plan) for plan in self._plans(changes)]

    def _plans(self, changes: bool) -> list[ConnectionPlan]:
        if changes:
            with contextlib.suppress(ConfigError):
                return load(self.exchange).plan(msgspec.structs.replace(self.feed, depth_levels=0))
        return load(self.exchange).plan(self.feed)

    # What a connection of the stand-in tells its host.

    def joined(self, connection: VenueConnection) -> None:
        self.changed(connection, tuple(connection.subscriptions.names), ())

    def changed(self, connection: VenueConnection, added: tuple[str, ...], removed: tuple[str, ...]) -> None:
        self.listeners.add(connection, added)
        self.listeners.remove(connection, removed)

    def disconnected(self, connection: VenueConnection) -> None:
        self.changed(connection, (), tuple(connection.subscriptions.names))

    def open(self) -> "Pair":
        for line in self.lines:
            line.open()
        return self

    def run(self, seconds: float, step_ms: int = STEP_MS) -> "Pair":
        """So long in market time; connections that the venue has closed are opened again."""
        end_ms = self.now_ms + round(seconds * 1000)
        while self.now_ms < end_ms:
            self.now_ms += step_ms
            for push in self.floor.advance(self.now_ms):
                self.listeners.dispatch(push)
            for line in self.lines:
                line.read()
                if line.closed is not None:
                    self.disconnected(line.connection)
                    line.open()
        return self

    def of(self, *kinds: type) -> list[Any]:
        return [item for line in self.lines for item in line.of(*kinds)]

    @property
    def events(self) -> list[MarketEvent]:
        return [event for line in self.lines for event in line.events]

    @property
    def made(self) -> Counter[str]:
        """Events by stream word, as the stand-in counts them."""
        return Counter(event.stream_type.value for event in self.events)

    @property
    def gaps(self) -> list[Gap]:
        return self.of(Gap)
