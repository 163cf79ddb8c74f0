"""The loopback venue: an exchange on 127.0.0.1 that speaks one dialect, for the demo, the tests and the benchmarks.

WebSocket on one port, REST on another. What it plays: the markets (``mode="market"``), a numbered load feed
(``"blast"``), or a recorded file (``replay``). Market time and ids never run backwards, over restarts and kills
(`market.clock`). Which venue it speaks like is a row of `dialects`.

One loop, one thread: connections, markets and counters are touched by it alone.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, Self

from msgspec import Struct, structs
from picows import (
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from wsadapter import log
from wsadapter.embedded.exchange import DEFAULT, STAND_INS
from wsadapter.embedded.exchange.connection import VenueConnection, VenueLimits
from wsadapter.embedded.exchange.counts import VenueCounts
from wsadapter.embedded.exchange.dialect import Dialect
from wsadapter.embedded.exchange.dialects import dialect
from wsadapter.embedded.exchange.listeners import Listeners, PushSource
from wsadapter.embedded.exchange.replay import FrameFile, Replay, ReplayClients
from wsadapter.embedded.exchange.rest_server import RestServer
from wsadapter.embedded.market.clock import MarketClock, MarketState
from wsadapter.embedded.market.markets import Markets
from wsadapter.embedded.market.rest import RestReply
from wsadapter.errors import WsadapterError
from wsadapter.shm.stats_page import StatsPage

HOST: Final = "127.0.0.1"
TICK: Final = 0.01
"""Seconds between two moves of the markets."""
CHECK: Final = 0.25
"""Seconds between two looks at the rules of time."""
GOODBYE: Final = 2.0
"""Seconds that clients have to answer the CLOSE of a venue that stops."""


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Ports 0 = any free one. ``rate``: frames a second over all symbols; in a blast 0 = as many as are read.
    ``symbols``: those that exist before anybody asks; none: the dialect's.
    ``minute_ends_in``: seconds from the first subscription to the end of a minute of market time (0: as it comes).
    ``remembers``: there was a minute before the first one, whose candles come with their first subscription.
    ``connections``: how many a replay waits for, ``quiet``: and for how many seconds nothing may change then.
    ``asked``: symbol -> the words that are recorded of it; what else a replay sends is not counted. Empty: all is.
    ``limits``: other rules than the dialect's own."""

    exchange: str = DEFAULT
    ws_port: int = 0
    rest_port: int = 0
    mode: Literal["market", "blast"] = "market"
    rate: float = 400.0
    seed: int = 0
    symbols: tuple[str, ...] = ()
    minute_ends_in: float = 8.0
    remembers: bool = False
    replay: str = ""
    speed: str = "max"
    repeat: int = 1
    connections: int = 1
    quiet: float = 0.5
    asked: Mapping[str, tuple[str, ...]] = {}
    limits: VenueLimits | None = None


class UpgradeRefusal(Struct, frozen=True):
    """An answer to an upgrade (or REST) request in place of the real one."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class LoopbackVenue:
    """``page``: the child's stats page, if there is one. ``ledger``: file that keeps market time and ids. ``spoken``:
    the dialect, where it is not that of the options' exchange."""

    def __init__(
        self,
        options: Options | None = None,
        *,
        page: StatsPage | None = None,
        ledger: Path | None = None,
        spoken: Dialect | None = None,
    ) -> None:
        self.options = options = options or Options()
        self.dialect = spoken or dialect(options.exchange)
        self.limits = options.limits or self.dialect.limits
        self.counts = VenueCounts(page)
        self.clients = ReplayClients(options.quiet)
        self.port = self.rest_port = 0
        self.paused = False
        self.beat: Callable[[], None] = lambda: None
        self._ledger = MarketState(ledger)
        self.clock = MarketClock(self._ledger.market_ms)
        symbols = options.symbols or self.dialect.symbols or STAND_INS[options.exchange].feed.symbols
        self.floor = Markets(symbols, options.rate, options.seed, self._ledger, self.clock.now_ms)
        # a venue that goes on has said what it knew
        self.floor.remembers = options.remembers and not self._ledger.market_ms
        self._source: PushSource = self.floor
        if options.mode == "blast":
            if self.dialect.load_feed is None:
                raise WsadapterError(f"the stand-in of {options.exchange} has no load feed")
            self._source = self.dialect.load_feed(
                self.floor, options.rate, options.seed, self._ledger, self.clock.now_ms
            )
        self.replay: Replay | None = None
        # recorded messages have numbers of their own
        self._manners = structs.replace(
            self.dialect.manners, numbered=self.dialect.manners.numbered and not options.replay
        )
        if options.replay:
            file = FrameFile(Path(options.replay), self.dialect.recogniser)
            asked = {self.dialect.spelled(symbol): frozenset(words) for symbol, words in options.asked.items()}
            self.replay = Replay(file, self.clients, options.speed, options.connections, options.repeat, asked)
        self._audience = Listeners(self._source, self.dialect.offered, self._end_minute)
        self._refusals: dict[str, list[UpgradeRefusal]] = {"ws": [], "rest": []}
        self._rest = self.dialect.rest(self.floor, self.clock.now_ms)
        self._rest_server = RestServer(self._answer)
        self.failed: BaseException | None = None
        """What ended the venue's own work, if anything did; then `on_failure` is called."""
        self.on_failure: Callable[[], None] = lambda: None

    @property
    def sent(self) -> Counter[str]:
        """Events handed to open sockets, by stream word, since this venue started."""
        return self.counts.sent

    @property
    def url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    @property
    def rest_url(self) -> str:
        return f"http://{HOST}:{self.rest_port}"

    @property
    def connections(self) -> list[VenueConnection]:
        return self.clients.connections

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self.counts.set("clients", 0)
        self.counts.set("replay_done", 0)
        self._server = await ws_create_server(
            self._upgrade, HOST, self.options.ws_port, enable_auto_pong=False, logger_name="venue"
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.rest_port = await self._rest_server.start(HOST, self.options.rest_port)
        jobs = [self._keep_time(), self._play() if self.replay else self._trade()]
        self._tasks = [asyncio.create_task(job) for job in jobs]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Say goodbye to every client, wait a little for their answers, and keep the time and the ids."""
        for task in self._tasks:
            task.cancel()
        self._server.close()
        self._rest_server.stop()
        for connection in [one for one in self.clients.connections if one.stalled]:
            connection.abort()
        self.cut("close", code=1001)
        deadline = time.monotonic() + GOODBYE
        while self.clients.connections and time.monotonic() < deadline:
            await asyncio.sleep(TICK)
        self.cut("abort")
        self._ledger.settle(self.clock.now_ms(), self._source.numbered)

    def refuse(
        self, status: int, headers: Mapping[str, str] | None = None, times: int = 1, on: Literal["ws", "rest"] = "ws"
    ) -> None:
        """Answer the next ``times`` upgrade (or REST) requests with ``status`` instead, or until `accept`."""
        self._refusals[on] += [UpgradeRefusal(status, headers or {}, b"refused")] * times

    def delay(self, seconds: float) -> None:
        """Every REST answer takes so long from now on."""
        self._rest_server.delay = seconds

    def accept(self) -> None:
        for refusals in self._refusals.values():
            refusals.clear()

    def cut(
        self, how: Literal["close", "abort", "reset", "stall"], code: int = 1000, route: str = "", reason: str = ""
    ) -> int:
        """End every connection of a class (of all): with a CLOSE, a FIN, a RST, or by silence. How many there were."""
        chosen = [connection for connection in self.clients.connections if route in ("", connection.route)]
        for connection in chosen:
            if how == "close":
                connection.close(code, reason)
            elif how == "stall":
                connection.stall()
            else:
                connection.abort(reset=how == "reset")
        return len(chosen)

    def lose(self, stream: str, count: int = 1) -> None:
        """The next ``count`` frames of a stream vanish before they are counted or sent: a hole in its sequence."""
        self._audience.lose(stream, count)

    def mute(self, stream: str) -> None:
        """The next subscription of a stream is acknowledged, and nothing comes."""
        self._audience.mute(stream)

    def list_symbol(self, symbol: str) -> None:
        """The venue trades it from now on."""
        self.floor.list_symbol(symbol)

    def delist_symbol(self, symbol: str) -> None:
        """The venue trades it no more."""
        self.floor.delist_symbol(symbol)

    def notify(self) -> int:
        """Tell every connection that it will be closed, as the venue does. How many there were."""
        if (notice := self.dialect.manners.notice) is None:
            raise WsadapterError(f"{self.options.exchange} gives no notice")
        connections = self.clients.connections
        for connection in connections:
            connection.say(notice(self.clock.now_ms()))
        return len(connections)

    def say(self, text: str) -> None:
        """The same text to every connection, whatever it is: unknown, broken."""
        for connection in self.clients.connections:
            connection.say(text)

    def joined(self, connection: VenueConnection) -> None:
        self.clients.connections.append(connection)
        self.counts.set("clients", len(self.clients.connections))
        self.changed(connection, tuple(connection.subscriptions.names), ())
        self.clients.changed()

    def changed(self, connection: VenueConnection, added: tuple[str, ...], removed: tuple[str, ...]) -> None:
        if self.replay is None:
            self._audience.add(connection, added)
            self._audience.remove(connection, removed)
        self.clients.changed()

    def disconnected(self, connection: VenueConnection) -> None:
        self.changed(connection, (), tuple(connection.subscriptions.names))
        self.clients.connections.remove(connection)
        self.counts.set("clients", len(self.clients.connections))

    async def _trade(self) -> None:
        """Market time moves, the source pushes. In an unlimited blast the slowest reader sets the pace."""
        unlimited = self.options.mode == "blast" and not self.options.rate
        while True:
            await asyncio.sleep(0 if unlimited and self._source.blasting and not self.paused else TICK)
            if self.paused:
                continue
            now_ms = self.clock.now_ms()
            pushes = self._source.advance(now_ms)
            self._ledger.cover(now_ms, self._source.numbered)
            for push in pushes:
                self._audience.dispatch(push)
            if unlimited:
                for connection in [one for one in self.clients.connections if not one.stalled]:
                    await connection.writable.wait()

    async def _play(self) -> None:
        assert self.replay is not None
        await self.replay.run()
        if damage := self.replay.damage:
            log.get_logger().warning("the recording was played as far as it can be read", reason=damage)
        self.counts.set("replay_done", 1)

    async def _keep_time(self) -> None:
        while True:
            now, market_ms = time.monotonic(), self.clock.now_ms()
            self.beat()
            for connection in tuple(self.clients.connections):
                connection.check(now, market_ms)
            await asyncio.sleep(CHECK)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception():
            self.failed = task.exception()
            self.on_failure()

    def _end_minute(self) -> None:
        if self.options.minute_ends_in > 0:
            self.clock.end_minute_in(self.options.minute_ends_in)

    def _upgrade(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        if self._refusals["ws"]:
            refusal = self._refusals["ws"].pop(0)
            if refusal.status < 400:
                location = refusal.headers.get("Location", "/")
                answer = WSUpgradeResponse.create_redirect_response(refusal.status, location)
            else:
                answer = WSUpgradeResponse.create_error_response(refusal.status, refusal.body, refusal.headers)
            return WSUpgradeResponseWithListener(answer, None)
        goal = self.dialect.target(request.path.decode("latin-1"))
        if goal is None or len(goal.names) > self.limits.streams:
            return None
        subscriptions = self.dialect.subscriptions(goal, self.limits.streams)
        return VenueConnection(
            self, goal.route, subscriptions, self.limits, self.counts, self.clock.now_ms(), self._manners
        )

    def _answer(self, path: str, query: Mapping[str, str]) -> RestReply:
        self.counts.add("requests_total")
        if self._refusals["rest"]:
            refusal = self._refusals["rest"].pop(0)
            return RestReply(refusal.status, refusal.body, tuple(refusal.headers.items()))
        reply = self._rest.answer(path, query)
        # a market may have opened: its ids are covered like any other's before they are seen
        self._ledger.cover(self.clock.now_ms(), self._source.numbered)
        return reply
