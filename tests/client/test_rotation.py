"""A socket is exchanged for the next one before the venue cuts it: nothing is missed, nothing comes twice."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from client.loopback_ws import TEXT, Loopback, Peer, frame, run, trade, until
from client.recording import Recording, config

from wsadapter.client.client import Client, ConnectionConfig
from wsadapter.client.handover import Handover
from wsadapter.client.live_socket import NextSocket
from wsadapter.client.rotation import PATIENCE_SECONDS, SETTLE_SECONDS, Rotation, due_in
from wsadapter.embedded.exchange.connection import VenueLimits
from wsadapter.embedded.exchange.listeners import Listeners
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.market.streams import Push
from wsadapter.events import Event, Gap, StreamType, Trade
from wsadapter.events.gaps import GapCause
from wsadapter.events.sequence import place
from wsadapter.exchanges import load
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.venue import Cadence

ALL = ("kline", "ticker", "depth", "trade", "raw_trade", "mark_price", "funding_rate", "liquidation", "book_ticker")


class Everything(Recording):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Event] = []

    def take(self, event: Event) -> None:
        self.seen.append(event)

    def on_gap(self, event: Gap) -> None:
        if event.cause != GapCause.CONNECT:
            self.seen.append(event)

    on_kline = on_ticker = on_depth = on_trade = on_funding_rate = on_mark_price = take
    on_liquidation = on_book_ticker = take


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What the venue handed to at least one socket, once for however many it was."""
    found: Counter[str] = Counter()
    dispatch = Listeners.dispatch

    def counting(self: Listeners, push: Push) -> None:
        if any(one.open and not one.stalled for one in self._listeners.get(push.stream, ())):
            found.update(dict(push.events))
        dispatch(self, push)

    monkeypatch.setattr(Listeners, "dispatch", counting)
    return found


def received(handler: Everything) -> Counter[str]:
    """Without funding rates, which come once after each connect."""
    got = Counter(event.stream_type.value for event in handler.seen)
    del got["funding_rate"]
    return got


def quick(monkeypatch: pytest.MonkeyPatch, **values: float) -> None:
    for name, value in {"SETTLE_SECONDS": 0.5, **values}.items():
        monkeypatch.setattr(f"wsadapter.client.rotation.{name}", value)
    monkeypatch.setattr("wsadapter.client.connection.NEXT_CHECK_SECONDS", 0.05)


def assert_once_and_whole(seen: Sequence[Event]) -> None:
    """By the venue's own numbers, or what tells the events apart: each is there once, in order, without a hole."""
    lines: dict[Any, list[Any]] = {}
    for event in seen:
        if (found := place(event)) is not None:
            lines.setdefault(found.key, []).append(found)
    for key, places in lines.items():
        if places[0].identity is not None:
            assert len({found.identity for found in places}) == len(places), key
            continue
        for before, after in pairwise(places):
            assert after.number > before.number, key
            assert after.previous in (None, before.number), key


@pytest.mark.parametrize("depth_levels", [0, 20])
def test_rotations_beside_the_venues_cut_lose_nothing_and_double_nothing(
    depth_levels: int, pushed: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day of the venue takes half a minute; the client rotates in good time, several times."""
    quick(monkeypatch)

    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=600, limits=VenueLimits(life=30.0), minute_ends_in=0)) as venue:
            venue.clock.end_minute_in(4)  # a candle closes on the way
            client = Client(
                ConnectionConfig(
                    ["BTCUSDT", "ETHUSDT"],
                    streams=ALL,
                    ws_url=venue.url,
                    depth_levels=depth_levels,
                    rotate_after=1.5,
                ),
                handler,
            )
            await client.connect()
            await until(lambda: all(c.reconnects["rotation"] >= 4 for c in client.connections))
            venue.paused = True  # what is pushed while the client says goodbye reaches nobody
            await until(lambda: all(n == pushed[word] for word, n in received(handler).items()))
            await client.stop()
            sent, copies = +venue.sent, sum((c.copies for c in client.connections), Counter())
        assert all(set(c.reconnects) == {"rotation"} for c in client.connections)
        assert handler.lost == ["stopped", "stopped"]
        assert client.get_stats().reconnect_count == client.get_stats().error_count == 0
        got = Counter(event.stream_type.value for event in handler.seen)
        assert not got["gap"]
        assert_once_and_whole(handler.seen)
        del (
            sent["funding_rate"],
            got["funding_rate"],
            copies["funding_rate"],
        )  # once after each connect: the venue counts them per socket
        assert got == {word: count for word, count in pushed.items() if word in got}
        assert got + copies == sent
        assert copies["trade"] > 0

    run(body())


def test_a_venue_that_announces_its_cut_is_left_before(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch, SETTLE_SECONDS=0.1)

    async def announcing(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            peer.ack(request)
            peer.send(trade(1), frame(TEXT, b'{"e":"serverShutdown","E":1770123456789}'))

        await peer.serve(answer=answer, on_close=lambda: peer.send(trade(2)))

    async def next_one(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            peer.ack(request)
            peer.send(trade(1), trade(2), trade(3))

        await peer.serve(answer=answer)

    async def body() -> None:
        handler = Recording()
        async with Loopback(announcing, next_one) as venue:
            client = Client(config(venue), handler)
            await client.connect()
            await until(lambda: len(handler.trades) == 3)
            await client.stop()
            assert [peer.close_code for peer in venue.peers] == [1000, 1000]
        assert handler.numbers == [1, 2, 3]
        assert handler.lost == ["stopped"]
        assert client.connections[0].reconnects == {"rotation": 1}

    run(body())


@pytest.mark.parametrize("each", [False, True])
def test_a_next_socket_that_is_told_of_its_cut_is_left_as_soon_as_it_has_taken_over(
    each: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A venue that shuts down tells both sockets of a rotation. ``each``: it tells every new one, which ends there."""
    quick(monkeypatch, SETTLE_SECONDS=0.1)
    announced = frame(TEXT, b'{"e":"serverShutdown","E":1770123456789}')
    sent = {1: [trade(1), announced], 2: [trade(1), announced, trade(2)], 3: [trade(2), *[announced] * each, trade(3)]}

    async def script(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            peer.ack(request)
            peer.send(*sent[len(peers)])

        peers.append(peer)
        await peer.serve(answer=answer)

    peers: list[Peer] = []

    async def body() -> None:
        handler = Recording()
        async with Loopback(script) as venue:
            client = Client(config(venue), handler)
            await client.connect()
            await until(lambda: len(handler.trades) == 3)
            assert client.connections[0].next is None
            await client.stop()
            assert [peer.close_code for peer in venue.peers] == [1000, 1000, 1000]
        assert handler.numbers == [1, 2, 3]
        assert handler.lost == ["stopped"]
        assert client.connections[0].reconnects == {"rotation": 2}

    run(body())


def test_a_cut_that_was_announced_is_a_gap_of_that_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue is gone before another connection stands; the cut after it was not announced."""
    quick(monkeypatch, SETTLE_SECONDS=0.1)

    def cut(*said: bytes) -> Any:
        async def script(peer: Peer) -> None:
            await peer.upgrade()
            ends = asyncio.Event()

            def answer(request: dict[str, Any]) -> None:
                peer.ack(request)
                peer.send(trade(1), *said)
                ends.set()

            serving = asyncio.create_task(peer.serve(answer=answer))
            await ends.wait()
            await asyncio.sleep(0.05)
            serving.cancel()

        return script

    async def away(peer: Peer) -> None:
        await peer.request_head()
        peer.respond("503 Service Unavailable")

    class WithGaps(Recording):
        def __init__(self) -> None:
            super().__init__()
            self.causes: list[str] = []

        def on_gap(self, event: Gap) -> None:
            if event.ended_ns is None:
                self.causes.append(event.cause)

    async def body() -> None:
        handler = WithGaps()
        announced = frame(TEXT, b'{"e":"serverShutdown","E":1770123456789}')
        async with Loopback(cut(announced), away, cut(), cut()) as venue:
            client = Client(config(venue), handler)
            task = asyncio.create_task(client.start())
            await until(lambda: len(handler.causes) >= 3)
            await client.stop()
            await task
        assert handler.causes[:3] == ["connect", "notice", "disconnect"]

    run(body())


def test_a_handler_that_raises_in_a_read_of_the_next_socket_ends_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)

    async def announcing(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            peer.ack(request)
            peer.send(frame(TEXT, b'{"e":"serverShutdown","E":1770123456789}'))

        await peer.serve(answer=answer)

    class Fragile(Recording):
        def on_read_end(self) -> None:
            if clients[0].connections[0].next is not None and handler.subscribed and next_one.is_set():
                raise ZeroDivisionError

    async def speaking(peer: Peer) -> None:
        await peer.upgrade()
        next_one.set()
        peer.send(trade(1))
        await peer.serve()

    async def body() -> None:
        async with Loopback(announcing, speaking) as venue:
            clients.append(Client(config(venue, ping_interval=3600.0), handler))  # the current one reads nothing more
            with pytest.raises(ZeroDivisionError):
                await clients[0].start()

    handler, next_one = Fragile(), asyncio.Event()
    clients: list[Client] = []
    run(body())


def test_a_next_socket_that_stays_silent_is_given_up_and_the_old_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch, PATIENCE_SECONDS=0.3)

    async def speaking(peer: Peer) -> None:
        await peer.upgrade()
        serving = asyncio.ensure_future(peer.serve())
        number = 0
        while not peer.closed.is_set():
            number += 1
            peer.send(trade(number))
            await asyncio.sleep(0.02)
        await serving

    async def acknowledging(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve()

    async def body() -> None:
        handler = Recording()
        async with Loopback(speaking, acknowledging, speaking) as venue:
            client = Client(config(venue, rotate_after=0.3), handler)
            await client.connect()
            await until(lambda: len(venue.peers) >= 3, "another attempt")
            assert client.connections[0].reconnects.total() == 0
            await client.stop()
        assert handler.numbers == list(range(1, len(handler.numbers) + 1))
        assert handler.lost == ["stopped"]

    run(body())


def test_a_next_socket_that_does_not_greet_a_quiet_stream_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has acknowledged and forgotten it, which nothing else tells: the old one stays until another greets both."""
    quick(monkeypatch, SETTLE_SECONDS=0.1, PATIENCE_SECONDS=0.5)
    monkeypatch.setitem(BinanceFutures.venue.cadences, StreamType.TRADE, Cadence(reply=60.0))
    ethereum = trade(1).replace(b"btcusdt", b"ethusdt").replace(b"BTCUSDT", b"ETHUSDT")

    def greets(*greetings: bytes) -> Any:
        async def script(peer: Peer) -> None:
            await peer.upgrade()

            def answer(request: dict[str, Any]) -> None:
                peer.ack(request)
                peer.send(*greetings)

            await peer.serve(answer=answer)

        return script

    async def body() -> None:
        handler = Recording()
        both = greets(trade(1), ethereum)
        async with Loopback(both, greets(trade(1)), both, both) as venue:
            client = Client(config(venue, symbols=["BTCUSDT", "ETHUSDT"], rotate_after=0.3), handler)
            await client.connect()
            (connection,) = client.connections
            await until(lambda: connection.reconnects["rotation"])
            assert len(venue.peers) >= 3
            assert [bool(peer.close_code) for peer in venue.peers[:2]] == [True, False], "the second was dropped"
            await client.stop()
        assert [event.symbol for event in handler.trades] == ["BTCUSDT", "ETHUSDT"]
        assert handler.lost == ["stopped"]

    run(body())


def test_a_stream_that_is_refused_or_dead_is_awaited_on_no_socket() -> None:
    """As the connection says: only what goes well on the current one and is acknowledged on the next."""
    made = load("binance")
    plan = made.plan(ConnectionConfig(["BTCUSDT", "ETHUSDT"], streams=["trade"]).feed())[0]
    current, successor = made(plan), made(plan)
    busy, quiet = current.last_receive_ns
    current.cadences = successor.cadences = {busy: Cadence(reply=5.0), quiet: Cadence(reply=5.0)}
    expected = {busy, quiet}
    handover = Handover({}, current.reached, successor, Counter())
    rotation = Rotation(current, successor, handover, lambda: expected)
    current.last_receive_ns |= {busy: 1, quiet: 1}
    rotation.answered(100.0, 2)
    successor.last_receive_ns[busy] = 3
    assert not rotation.ready(100.0 + PATIENCE_SECONDS - 1)
    assert rotation.useless(100.0 + PATIENCE_SECONDS) == f"silent on it: {quiet}"
    assert rotation.overlaps(100.0 + PATIENCE_SECONDS), "where the current one is cut the others miss nothing"
    expected.remove(quiet)
    assert rotation.ready(100.0 + SETTLE_SECONDS)
    assert rotation.useless(100.0 + PATIENCE_SECONDS) == ""


def test_where_the_sockets_do_not_overlap_the_hole_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old socket lags: the new one begins with 5, and the old one never comes to 4."""
    quick(monkeypatch, SETTLE_SECONDS=0.1, PATIENCE_SECONDS=0.3)

    def begins_with(*numbers: int) -> Any:
        async def script(peer: Peer) -> None:
            await peer.upgrade()

            def answer(request: dict[str, Any]) -> None:
                peer.ack(request)
                peer.send(*(trade(number) for number in numbers))

            await peer.serve(answer=answer)

        return script

    async def body() -> None:
        handler = Everything()
        async with Loopback(begins_with(1, 2, 3), begins_with(5, 6)) as venue:
            client = Client(config(venue, rotate_after=0.3), handler)
            await client.connect()
            await until(lambda: len(handler.seen) == 6)
            await client.stop()
        gap = handler.seen[3]
        assert isinstance(gap, Gap)
        assert (gap.cause, gap.stream, gap.symbol) == ("sequence", "trade", "BTCUSDT")
        assert (gap.first_missing, gap.last_missing, gap.missing_count) == (4, 4, 1)
        after = handler.seen[4]
        assert isinstance(after, Trade)
        assert (after.trade_number, after.last_gap_ns) == (5, gap.receive_time_ns)

    run(body())


@pytest.mark.parametrize("how", ["reset", "abort", "close"])
def test_an_old_socket_that_dies_beside_its_successor_leaves_no_hole(how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr("wsadapter.client.connection.NEXT_CHECK_SECONDS", 3600.0)  # never handed over by plan

    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=400)) as venue:
            client = Client(
                ConnectionConfig(
                    ["BTCUSDT"], streams=["trade", "book_ticker", "depth"], ws_url=venue.url, rotate_after=1.0
                ),
                handler,
            )
            await client.connect()
            await until(lambda: all(c.next and c.next.rotation.overlaps(time.monotonic()) for c in client.connections))
            for old in venue.connections[:2]:
                old.abort() if how == "abort" else old.abort(reset=True) if how == "reset" else old.close(1012)
            await until(lambda: all(c.reconnects.total() for c in client.connections))
            count = len(handler.seen)
            await until(lambda: len(handler.seen) > count + 50)
            await client.stop()
        assert handler.lost == ["stopped", "stopped"]
        assert not [event for event in handler.seen if isinstance(event, Gap)]
        assert_once_and_whole(handler.seen)

    run(body())


def test_a_stop_in_the_middle_of_a_rotation_ends_both_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch, SETTLE_SECONDS=60.0)

    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=100)) as venue:
            client = Client(
                ConnectionConfig(["BTCUSDT"], streams=["trade", "kline"], ws_url=venue.url, rotate_after=0.3), handler
            )
            await client.connect()
            await until(lambda: len(venue.connections) == 2)
            await client.stop()
            await until(lambda: not venue.connections)
        assert handler.lost == ["stopped"]
        assert_once_and_whole(handler.seen)

    run(body())


def test_a_next_socket_that_is_given_up_while_its_answer_is_on_the_way_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does it live on beside the others, nor is what it is told an answer for the connection."""
    quick(monkeypatch)
    end = NextSocket.end
    asked: list[tuple[Peer, str]] = []
    over, go = asyncio.Event(), asyncio.Event()

    def ending(self: NextSocket) -> None:
        """The answer leaves the venue just before."""
        peer, head = asked[0]
        peer.accept(head)
        end(self)

    monkeypatch.setattr(NextSocket, "end", ending)

    async def dying(peer: Peer) -> None:
        await peer.upgrade()
        serving = asyncio.ensure_future(peer.serve())
        await until(lambda: asked)
        peer.reset()
        await serving

    async def late(peer: Peer) -> None:
        asked.append((peer, await peer.request_head()))
        await peer.serve()
        over.set()

    async def slow(peer: Peer) -> None:
        await go.wait()
        await peer.upgrade()
        await peer.serve()

    async def body() -> None:
        handler = Recording()
        gaps: list[Gap] = []
        setattr(handler, "on_gap", gaps.append)  # noqa: B010
        async with Loopback(dying, late, slow) as venue:
            client = Client(config(venue, rotate_after=0.2), handler)
            await client.connect()
            (connection,) = client.connections
            await until(lambda: len(venue.peers) >= 3 and over.is_set())
            assert not connection.subscribed.is_set()
            assert [(gap.cause, gap.ended_ns is None) for gap in gaps[2:]] == [("disconnect", True)]
            go.set()
            await until(lambda: handler.subscribed == 2)
            await client.stop()

    run(body())


def test_sockets_made_together_do_not_rotate_together() -> None:
    assert due_in(0.0, 86_400.0, lambda: 0.0) == 23 * 3600
    assert due_in(0.0, 86_400.0, lambda: 0.999) == pytest.approx(20.7 * 3600, rel=0.001)
    assert due_in(600.0, 86_400.0, lambda: 0.5) == 570.0
    assert due_in(0.0, 0.0, lambda: 0.5) is None
