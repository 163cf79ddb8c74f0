"""A connection is told other subscriptions and settings while it runs: what stays has no hole and comes once."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from client.loopback_ws import TEXT, Loopback, Peer, behave, frame, run, trade, until
from client.recording import Recording, config
from client.test_rotation import ALL, Everything, assert_once_and_whole, quick
from msgspec import structs
from pushed import Pushed, watch

from wsadapter.backoff import Backoff
from wsadapter.client.client import Client, ConnectionConfig
from wsadapter.client.terms import added
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.events import Depth, Event, Gap, StreamType
from wsadapter.events.gaps import GapCause
from wsadapter.exchanges import load


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> Pushed:
    return watch(monkeypatch)


def told(client: Client, settings: ConnectionConfig) -> None:
    """Every connection of it that there is now."""
    plans = {plan.connection: plan for plan in load(settings.exchange).plan(settings.feed())}
    for connection in client.connections:
        connection.change(plans[connection.plan.connection], settings)


def taken_over(client: Client, symbols: tuple[str, ...]) -> bool:
    return {connection.plan.symbols for connection in client.connections} == {symbols}


def more(events: Sequence[Event], count: int) -> bool:
    return len(events) > count


class WithGaps(Everything):
    def __init__(self) -> None:
        super().__init__()
        self.gaps: list[Gap] = []

    def on_gap(self, event: Gap) -> None:
        self.gaps.append(event)


@pytest.mark.parametrize("depth_levels", [0, 20])
def test_what_stays_has_no_hole_when_symbols_come_and_go(
    depth_levels: int, pushed: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)

    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=600)) as venue:

            def settings(*of: str, **changes: Any) -> ConnectionConfig:
                common = {"streams": ALL, "ws_url": venue.url, "depth_levels": depth_levels}
                return ConnectionConfig(list(of), **{**common, **changes})

            client = Client(settings("BTCUSDT", "ETHUSDT"), handler)
            await client.connect()
            for of in (("BTCUSDT", "ETHUSDT", "SOLUSDT"), ("BTCUSDT", "SOLUSDT")):
                told(client, settings(*of))
                await until(partial(taken_over, client, of))
                taken = len(handler.seen)
                await until(partial(more, handler.seen, taken + 200))
            told(client, settings(*of))  # nothing new
            told(client, settings(*of, ping_interval=1.0))
            await until(lambda: all(c.dialer.config.ping_interval == 1.0 for c in client.connections))
            venue.paused = True  # what is pushed while the client says goodbye reaches nobody
            await until(lambda: _counted(handler, "BTCUSDT") == pushed.of("BTCUSDT"))
            await client.stop()
        assert all(c.reconnects == {"rotation": 3} for c in client.connections)
        assert handler.lost == ["stopped", "stopped"]
        assert not [event for event in handler.seen if isinstance(event, Gap)]
        assert_once_and_whole(handler.seen)
        last = {event.symbol: index for index, event in enumerate(handler.seen)}
        assert last.keys() == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}
        assert last["ETHUSDT"] < taken
        assert {name.partition("@")[0] for c in client.connections for name in c.subscriptions()} == {
            "btcusdt",
            "solusdt",
        }

    run(body())


def _counted(handler: Everything, symbol: str) -> Counter[str]:
    got = Counter(event.stream_type.value for event in handler.seen if event.symbol == symbol)
    del got["funding_rate"]  # once after each connect
    return got


def test_whatever_comes_of_a_new_symbol_is_of_the_next_socket_alone() -> None:
    """Mark prices bring funding rates along, asked for or not."""
    few = ConnectionConfig(["BTCUSDT"], streams=["mark_price", "kline"])
    (before,), (after,) = (
        load("binance").plan(each.feed()) for each in (few, structs.replace(few, symbols=["BTCUSDT", "ETHUSDT"]))
    )
    found = added(before, after)
    assert {(StreamType.FUNDING_RATE, "ETHUSDT", ""), (StreamType.KLINE, "ETHUSDT", "1m")} <= set(found)
    assert {symbol for _, symbol, _ in found} == {"ETHUSDT"}
    assert not added(after, before)


def test_another_series_of_the_same_stream_and_symbol_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes of the book in place of its top levels: the old socket never brings one."""
    quick(monkeypatch)

    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=400)) as venue:
            top = ConnectionConfig(["BTCUSDT"], streams=["depth", "book_ticker"], depth_levels=20, ws_url=venue.url)
            client = Client(top, handler)
            await client.connect()
            told(client, structs.replace(top, depth_levels=0))
            (connection,) = client.connections
            await until(lambda: "btcusdt@depth@100ms" in connection.subscriptions())
            await until(lambda: len([e for e in handler.seen if isinstance(e, Depth) and not e.level_limit]) > 5)
            await client.stop()
        assert_once_and_whole(handler.seen)
        assert not [event for event in handler.seen if isinstance(event, Gap)]

    run(body())


def test_a_connection_that_is_down_comes_back_with_what_is_wanted_now() -> None:
    refused = asyncio.Event()

    async def refusing(peer: Peer) -> None:
        refused.set()

    async def speaking(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve()

    async def body() -> None:
        handler = Recording()
        async with Loopback(refusing, speaking) as venue:
            client = Client(config(venue, reconnect_backoff=0.5, reconnect_backoff_max=0.5), handler)
            running = asyncio.ensure_future(client.start())
            await refused.wait()
            told(client, config(venue, symbols=["ETHUSDT"]))
            await until(lambda: handler.subscribed)
            await client.stop()
            await running
        assert venue.peers[-1].names == ["ethusdt@aggTrade"]
        assert handler.subscribed == 1

    run(body())


def test_a_gap_of_a_stream_that_goes_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch, SETTLE_SECONDS=0.1)

    async def body() -> None:
        handler = WithGaps()
        gaps = handler.gaps
        async with LoopbackVenue(Options(rate=200)) as venue:
            client = Client(ConnectionConfig(["BTCUSDT", "ETHUSDT"], streams=["trade"], ws_url=venue.url), handler)
            await client.connect()
            (connection,) = client.connections
            await until(lambda: all(connection.exchange.last_receive_ns.values()))
            for stream in ("BTCUSDT", "ETHUSDT"):  # as the watch does
                begun = connection.exchange.silent(f"{stream.lower()}@aggTrade", 1, 2_000_000_000 * 10**9)
                assert begun is not None
            told(client, ConnectionConfig(["BTCUSDT"], streams=["trade"], ws_url=venue.url))
            await until(partial(taken_over, client, ("BTCUSDT",)))
            await until(lambda: len([gap for gap in gaps if gap.cause == GapCause.STALE]) == 2)
            await client.stop()
        ended = {gap.symbol: gap for gap in gaps if gap.cause == GapCause.STALE}
        assert ended.keys() == {"BTCUSDT", "ETHUSDT"}
        assert all(gap.ended_ns and gap.version == 2 for gap in ended.values())

    run(body())


def test_a_stream_that_comes_back_has_a_gap_from_its_last_event_on(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch, SETTLE_SECONDS=0.1)

    async def body() -> None:
        handler = WithGaps()
        async with LoopbackVenue(Options(rate=200)) as venue:
            both = ConnectionConfig(["BTCUSDT", "ETHUSDT"], streams=["trade"], ws_url=venue.url)
            client = Client(both, handler)
            await client.connect()
            await until(lambda: all(client.connections[0].exchange.last_receive_ns.values()))
            for symbols in (("BTCUSDT",), ("BTCUSDT", "ETHUSDT")):
                told(client, structs.replace(both, symbols=list(symbols)))
                await until(partial(taken_over, client, symbols))
            count = len(handler.seen)
            await until(partial(more, handler.seen, count + 50))
            await client.stop()
        (gap,) = (one for one in handler.gaps if one.cause != GapCause.CONNECT)
        assert (gap.stream, gap.symbol, gap.version) == ("trade", "ETHUSDT", 1)
        assert gap.ended_ns is not None
        times = [event.receive_time_ns for event in handler.seen if event.symbol == "ETHUSDT"]
        before = [at for at in times if at <= gap.started_ns]
        assert before[-1] == gap.started_ns
        assert len(before) < len(times)
        assert any(at >= gap.ended_ns for at in times)

    run(body())


def test_a_socket_that_lags_when_it_is_to_be_exchanged_again_doubles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reloads in a row: what the second socket still has to tell of the time of the first is known."""
    quick(monkeypatch, SETTLE_SECONDS=0.1)
    behind, at_once = asyncio.Event(), asyncio.Event()
    at_once.set()

    def telling(first: range, later: asyncio.Event, rest: range) -> Callable[[Peer], Awaitable[None]]:
        async def script(peer: Peer) -> None:
            await peer.upgrade()
            serving = asyncio.ensure_future(peer.serve())
            await until(lambda: peer.requests)
            peer.send(*map(trade, first))
            await later.wait()
            peer.send(*map(trade, rest))
            await serving

        return script

    async def body() -> None:
        handler = Recording()
        scripts = (
            telling(range(1, 11), at_once, range(0)),
            telling(range(1, 9), behind, range(9, 13)),
            telling(range(9, 14), at_once, range(0)),
        )
        async with Loopback(*scripts) as venue:
            client = Client(config(venue), handler)
            await client.connect()
            (connection,) = client.connections
            await until(lambda: handler.numbers[-1:] == [10])
            told(client, config(venue, symbols=["BTCUSDT", "ETHUSDT"]))
            await until(lambda: connection.reconnects["rotation"] == 1)
            told(client, config(venue, symbols=["BTCUSDT", "SOLUSDT"]))
            await until(lambda: connection.next is not None and any(connection.next.exchange.last_receive_ns.values()))
            behind.set()
            await until(lambda: connection.reconnects["rotation"] == 2)
            await until(lambda: len(handler.numbers) >= 13)
            await client.stop()
        assert handler.numbers == list(range(1, 14))

    run(body())


@pytest.mark.parametrize("order", ["change", "renew"])
def test_an_order_while_the_old_socket_says_goodbye_costs_nothing(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one takes over, and another one follows."""
    quick(monkeypatch, SETTLE_SECONDS=0.1)
    clients: list[Client] = []

    async def body() -> None:
        handler, gaps = Recording(), list[Gap]()
        setattr(handler, "on_gap", gaps.append)  # noqa: B010
        wanted = {word: ["BTCUSDT", f"{word}USDT"] for word in ("ETH", "SOL")}

        def interrupt() -> None:
            if order == "change":
                told(clients[0], config(venue, symbols=wanted["SOL"]))
            else:
                clients[0].connections[0].renew("frames are to be recorded in another way")

        async def leaving(peer: Peer) -> None:
            await peer.upgrade()
            serving = asyncio.ensure_future(peer.serve(on_close=interrupt))
            await until(lambda: peer.requests)
            peer.send(trade(1), trade(2))
            await serving

        async def staying(peer: Peer) -> None:
            await peer.upgrade()
            serving = asyncio.ensure_future(peer.serve())
            await until(lambda: peer.requests)
            peer.send(trade(2), trade(3))
            await serving

        async with Loopback(leaving, staying, staying) as venue:
            clients.append(Client(config(venue), handler))
            await clients[0].connect()
            (connection,) = clients[0].connections
            await until(lambda: handler.numbers == [1, 2])
            told(clients[0], config(venue, symbols=wanted["ETH"]))
            await until(lambda: connection.reconnects["rotation"] == 2)
            assert connection.plan.symbols == tuple(wanted["SOL" if order == "change" else "ETH"])
            await clients[0].stop()
        assert handler.numbers == [1, 2, 3]
        assert connection.reconnects.total() == 2
        assert {gap.cause for gap in gaps} == {GapCause.CONNECT}

    run(body())


def test_what_cannot_be_subscribed_leaves_the_old_socket_alone_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick(monkeypatch)
    monkeypatch.setattr("wsadapter.client.connection.CHANGE_BACKOFF", Backoff(0.05, 300.0))

    async def counting(peer: Peer) -> None:
        await peer.upgrade()
        serving = asyncio.ensure_future(peer.serve())
        number = 0
        while not peer.closed.is_set():
            number += 1
            peer.send(trade(number))
            await asyncio.sleep(0.02)
        await serving

    async def dying(peer: Peer) -> None:
        await peer.upgrade()
        peer.send(frame(TEXT, b"{"))

    async def body() -> None:
        handler = Recording()
        async with Loopback(counting, dying, dying, counting) as venue:
            client = Client(config(venue), handler)
            (connection,) = client.connections
            connection._dice = lambda: 0.0
            await client.connect()
            timers = connection.current.timers
            due = timers._handles["rotate"].when()
            await until(lambda: len(handler.trades) > 20)  # it is 0.4 s old then
            told(client, config(venue, symbols=["BTCUSDT", "ETHUSDT"]))
            await until(lambda: len(venue.peers) == 4)
            assert connection.plan.symbols == ("BTCUSDT",)
            told(client, config(venue))  # taken back: the next socket goes, nothing is exchanged
            assert connection.next is None
            assert timers._handles["rotate"].when() == pytest.approx(due, abs=0.1), "the venue counts from its begin"
            count = len(handler.trades)
            await until(lambda: len(handler.trades) > count + 5)
            await client.stop()
        assert connection.plan.symbols == ("BTCUSDT",)
        assert handler.numbers == list(range(1, len(handler.numbers) + 1))
        assert handler.lost == ["stopped"]
        assert connection.reconnects.total() == 0

    run(body())


@pytest.mark.parametrize("what", ["the other socket dies", "another reload"])
def test_what_the_venue_asks_of_the_next_socket_is_obeyed_by_every_dial(what: str) -> None:
    asked: list[float] = []

    async def banned(peer: Peer) -> None:
        await peer.request_head()
        peer.respond("418 I'm a teapot", "Retry-After: 2", "Content-Length: 0")
        asked.append(time.monotonic())

    async def again(peer: Peer) -> None:
        asked.append(time.monotonic())
        await peer.upgrade()
        await peer.serve()

    async def body() -> None:
        async with Loopback(behave, banned, again) as venue:
            client = Client(config(venue), Recording())
            await client.connect()
            (connection,) = client.connections
            told(client, config(venue, symbols=["BTCUSDT", "ETHUSDT"]))
            await until(lambda: asked and connection.next is None)
            if what == "another reload":
                told(client, config(venue, symbols=["BTCUSDT", "SOLUSDT"]))
            else:
                venue.peers[0].reset()
            await until(lambda: len(asked) == 2)
            await client.stop()
        assert asked[1] - asked[0] >= 1.9

    run(body())
