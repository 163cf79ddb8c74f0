"""A client against a venue that behaves: connections, subscriptions, events, stats, a graceful end."""

import asyncio
import json
import time
from typing import Any

import pytest
import uvloop
from client.loopback_ws import AGG, TEXT, Loopback, Peer, frame, run, trade, until
from client.recording import Recording, config

from wsadapter.client.client import Client, SubscriptionState
from wsadapter.errors import ConfigError
from wsadapter.events import BookTicker, Trade
from wsadapter.exchanges.binance.usdm import BinanceFutures

BOOK = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":1,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4",'
    b'"T":1,"E":1}}'
)
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


@LOOPS
def test_every_class_has_its_connection_and_its_names(loop: Any) -> None:
    async def body() -> None:
        async with Loopback() as venue:
            client = Client(config(venue, streams=["trade", "kline", "depth", "book_ticker"]), Recording())
            await client.connect()

            assert {peer.path: peer.names for peer in venue.peers} == {
                "/public/stream": ["btcusdt@depth20@100ms", "btcusdt@bookTicker"],
                "/market/stream": ["btcusdt@kline_1m", "btcusdt@aggTrade"],
            }
            stats = client.get_stats()
            assert (stats.active_streams, stats.reconnect_count, stats.error_count) == (4, 0, 0)
            assert stats.connected_since is not None
            assert stats.messages_received == 2
            await client.stop()
            assert client.get_stats().connected_since is None
            assert client.get_stats().active_streams == 0

    run(body(), loop)


@LOOPS
def test_events_reach_their_method_in_order(loop: Any) -> None:
    class Both:
        def __init__(self) -> None:
            self.seen: list[object] = []

        def on_trade(self, event: Trade) -> None:
            self.seen.append(event.trade_number)

        def on_book_ticker(self, event: BookTicker) -> None:
            self.seen.append(event.ask_price)

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        peer.send(trade(1), frame(TEXT, BOOK), trade(2))
        await peer.serve()

    async def body() -> None:
        handler = Both()
        async with Loopback(script) as venue:
            client = Client(config(venue), handler)
            await client.connect()
            await client.stop()
        assert handler.seen == [1, "3", 2]

    run(body(), loop)


def test_a_handler_gets_only_what_it_has_a_method_for() -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        peer.send(trade(1), frame(TEXT, BOOK), frame(TEXT, b"{"))
        await peer.serve()

    async def body() -> None:
        async with Loopback(script) as venue:
            client = Client(config(venue), object())
            await client.connect()
            await client.stop()
            assert client.connections[0].decode_errors == {"json": 1}

    run(body())


def test_an_async_method_is_refused_at_once() -> None:
    class Wrong:
        async def on_trade(self, event: Trade) -> None: ...

    async def body() -> None:
        async with Loopback() as venue:
            with pytest.raises(TypeError, match="on_trade is async"):
                Client(config(venue), Wrong())

    run(body())


def test_a_feed_without_websocket_streams_is_a_configuration_error() -> None:
    async def body() -> None:
        async with Loopback() as venue:
            with pytest.raises(ConfigError, match="streams"):
                Client(config(venue, streams=["open_interest"]), Recording())

    run(body())


def test_one_read_has_one_time_and_one_end() -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            peer.ack(request)
            peer.send(*map(trade, range(100)))

        await peer.serve(answer)

    async def body() -> None:
        handler = Recording()
        async with Loopback(script) as venue:
            client = Client(config(venue), handler)
            await client.connect()
            await until(lambda: len(handler.trades) == 100)
            await client.stop()
        times = {event.receive_time_ns for event in handler.trades}
        # the ack, 100 trades in few reads, the answer to our CLOSE
        assert len(times) <= handler.reads <= len(times) + 2
        assert len(times) < 20

    run(body())


def test_a_read_that_ends_in_a_control_frame_has_its_end_too() -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        peer.send(trade(1), frame(9, b"still there?"))
        await peer.serve()

    async def body() -> None:
        handler = Recording()
        async with Loopback(script) as venue:
            client = Client(config(venue), handler)
            task = asyncio.create_task(client.start())
            await until(lambda: handler.trades and handler.reads and venue.peers[0].pongs)
            assert venue.peers[0].pongs == [b"still there?"]
            await client.stop()
            await task

    run(body())


def test_subscriptions_go_from_requested_to_live() -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.upgrade()

        async def later(request: dict[str, Any]) -> None:
            await go.wait()
            peer.ack(request)
            peer.send(trade(1))

        await peer.serve(answer=lambda request: asyncio.ensure_future(later(request)))

    async def body() -> None:
        async with Loopback(script) as venue:
            client = Client(config(venue, streams=["trade", "ticker"]), Recording())
            (connection,) = client.connections
            starting = asyncio.create_task(client.connect())
            await until(lambda: venue.peers and venue.peers[0].requests)
            assert {state for state, _ in connection.subscriptions().values()} == {SubscriptionState.REQUESTED}
            go.set()
            await starting
            await until(lambda: connection.subscriptions()["btcusdt@aggTrade"][1])
            found = connection.subscriptions()
            assert found["btcusdt@aggTrade"][0] is SubscriptionState.LIVE
            assert found["btcusdt@ticker"] == (SubscriptionState.ACKED, 0)
            await client.stop()

    run(body())


def test_requests_are_dated_where_the_venue_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BinanceFutures, "dated", b'"id":1')  # here the request's number is where the time goes

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve(answer=lambda request: peer.ack({**request, "id": 1}))

    async def body() -> None:
        async with Loopback(script) as venue:
            before = int(time.time())
            client = Client(config(venue, streams=["trade"]), Recording())
            await client.connect()
            (request,) = venue.peers[0].requests
            await client.stop()
            assert before <= request["id"] <= time.time()
            assert request["params"] == ["btcusdt@aggTrade"]

    run(body())


def test_a_venue_that_was_asked_too_often_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request is sent meanwhile, and that none is answered ends no socket."""
    monkeypatch.setattr("wsadapter.exchanges.protocol.PAUSE_SECONDS", 0.5)
    at: list[float] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            at.append(time.monotonic())
            answer: dict[str, Any] = {"event": "subscribe", "arg": request["args"][0]}
            if len(at) == 1:
                answer = {"event": "error", "id": request["id"], "code": "60014", "msg": "Requests too frequent."}
            peer.send(frame(TEXT, json.dumps(answer).encode()))

        await peer.serve(answer=answer)

    async def body() -> None:
        async with Loopback(script) as venue:
            handler = Recording()
            settings = config(venue, exchange="okx", symbols=["BTC-USDT"], ack_timeout=0.3)
            client = Client(settings, handler)
            await client.connect()
            await client.stop()
            assert handler.errors == []
            assert handler.connected == 1
            first, second = venue.peers[0].requests
            assert first["args"] == second["args"]
            assert at[1] - at[0] >= 0.5

    run(body())


def test_events_after_a_gap_that_the_handler_noticed_are_marked() -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        peer.send(trade(1))
        await peer.serve()

    async def body() -> None:
        handler = Recording()
        async with Loopback(script) as venue:
            client = Client(config(venue), handler)
            await client.connect()
            client.connections[0].mark("trade", "BTCUSDT", 77)
            venue.peers[0].send(trade(2))
            await until(lambda: len(handler.trades) == 2)
            await client.stop()
        assert [event.last_gap_ns == 77 for event in handler.trades] == [False, True]

    run(body())


def test_what_the_venue_sent_before_its_close_is_delivered() -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        # as if it had been under way when our CLOSE was written
        await peer.serve(on_close=lambda: peer.send(*map(trade, range(5000))))

    async def body() -> None:
        handler = Recording()
        async with Loopback(script) as venue:
            client = Client(config(venue), handler)
            await client.connect()
            await client.stop()
            assert venue.peers[0].close_code == 1000
        assert handler.numbers == list(range(5000))
        assert handler.lost == ["stopped"]
        assert client.get_stats().reconnect_count == 0

    run(body())


def test_a_venue_that_never_answers_our_close_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsadapter.client.session.CLOSE_SECONDS", 0.05)

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        peer.ack({"id": 1})
        await asyncio.sleep(60)

    async def body() -> None:
        async with Loopback(script) as venue:
            client = Client(config(venue), Recording())
            await client.connect()
            await client.stop()

    run(body())


def test_stop_ends_a_start_that_waits_for_the_next_attempt() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.request_head()
        peer.respond("503 Service Unavailable", "Retry-After: 3600", "Content-Length: 0")

    async def body() -> None:
        handler = Recording()
        async with Loopback(refuse) as venue:
            client = Client(config(venue), handler)
            task = asyncio.create_task(client.start())
            await until(lambda: handler.lost)
            await client.stop()
            await task
        assert handler.lost == ["http_5xx"]

    run(body())


def test_a_handler_that_raises_ends_the_client_and_sees_nothing_more() -> None:
    class Fragile(Recording):
        def on_trade(self, event: Trade) -> None:
            super().on_trade(event)
            if event.trade_number == 2:
                raise ZeroDivisionError

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        peer.send(trade(1), trade(2), trade(3), trade(4))
        await peer.serve()

    async def body() -> None:
        handler = Fragile()
        async with Loopback(script) as venue:
            with pytest.raises(ZeroDivisionError):
                await Client(config(venue), handler).start()
        assert handler.numbers == [1, 2]

    run(body())


def test_a_cancelled_start_leaves_no_socket() -> None:
    async def body() -> None:
        async with Loopback() as venue:
            client = Client(config(venue), Recording())
            task = asyncio.create_task(client.start())
            await until(lambda: client.connections[0].subscribed.is_set())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(venue.peers[0].reader.at_eof)

    run(body())


def test_the_sample_of_this_test_is_a_frame() -> None:
    assert (AGG % 5).count('"a":5,') == 1
