"""How connections end, and what happens then."""

import asyncio
import json
import time
from typing import Any

import pytest
from client.loopback_ws import CLOSE, TEXT, Loopback, Peer, behave, frame, run, trade, until
from client.recording import Recording, config

from wsadapter.backoff import STABLE_SECONDS, Backoff, Retries
from wsadapter.client.client import Client, ConnectionConfig, GivenUp, SubscriptionState
from wsadapter.client.connect_limit import LocalLimiter
from wsadapter.client.session import BANNED_SECONDS, Lost
from wsadapter.events import Gap, Trade
from wsadapter.events.gaps import GapCause
from wsadapter.exchanges.venue import AttemptLimit


async def ends(peer: Peer, how: Any) -> None:
    await peer.upgrade()
    serving = asyncio.ensure_future(peer.serve())
    await until(lambda: peer.requests)
    peer.send(trade(1))
    await peer.writer.drain()
    await how(peer)
    await serving


async def by_close(peer: Peer) -> None:
    peer.send_close(1012, "service restart")


async def by_reset(peer: Peer) -> None:
    peer.reset()


async def by_fin(peer: Peer) -> None:
    peer.writer.close()


async def by_nonsense_close(peer: Peer) -> None:
    peer.send(frame(CLOSE, b"\x03\xe8\xff\xfe"))


@pytest.mark.parametrize(
    ("how", "reason"),
    [(by_close, "closed"), (by_reset, "reset"), (by_fin, "reset"), (by_nonsense_close, "protocol")],
)
def test_a_lost_connection_is_made_again_with_all_its_subscriptions(how: Any, reason: str) -> None:
    async def body() -> None:
        handler = Recording()
        async with Loopback(lambda peer: ends(peer, how), behave) as venue:
            client = Client(config(venue, streams=["trade", "kline"], intervals=["1m", "1h"]), handler)
            task = asyncio.create_task(client.start())
            await until(lambda: handler.subscribed == 2)
            first, second = venue.peers
            assert first.names == second.names == ["btcusdt@kline_1m", "btcusdt@kline_1h", "btcusdt@aggTrade"]
            assert second.requests[0]["id"] > first.requests[0]["id"]
            assert client.connections[0].reconnects == {reason: 1}
            await client.stop()
            await task
        assert handler.lost == [reason, "stopped"]
        assert handler.connected == 2

    run(body())


class InOrder(Recording):
    def __init__(self) -> None:
        super().__init__()
        self.gaps: list[Gap] = []
        self.order: list[str] = []

    def on_trade(self, event: Trade) -> None:
        super().on_trade(event)
        self.order.append("trade")

    def on_gap(self, event: Gap) -> None:
        self.gaps.append(event)
        self.order.append(f"{event.cause} {'begins' if event.ended_ns is None else 'ends'}")


def test_a_handler_is_told_of_every_time_without_a_connection_in_its_place() -> None:
    async def body() -> None:
        handler = InOrder()
        async with Loopback(lambda peer: ends(peer, by_reset), behave) as venue:
            client = Client(config(venue), handler)
            task = asyncio.create_task(client.start())
            await until(lambda: handler.subscribed == 2 and handler.trades)
            venue.peers[1].send(trade(2))
            await until(lambda: len(handler.trades) == 2)
            await client.stop()
            await task
        assert handler.order == [
            "connect begins", "connect ends", "trade", "disconnect begins", "disconnect ends", "trade",
        ]  # fmt: skip
        connected, over, lost, again = handler.gaps
        first, second = handler.trades
        assert (connected.started_ns, connected.ended_ns) == (over.started_ns, None)
        assert lost.started_ns == again.started_ns == first.receive_time_ns, "nothing came since the last event"
        assert lost.ended_ns is None
        assert again.ended_ns == again.receive_time_ns == second.last_gap_ns, "and the next one says so"
        assert [(gap.version, gap.stream, gap.symbol, gap.connection) for gap in (lost, again)] == [
            (1, "", "", "binance-market-0"), (2, "", "", "binance-market-0"),
        ]  # fmt: skip

    run(body())


@pytest.mark.parametrize("cause", [GapCause.RESTART, GapCause.RELOAD])
def test_the_time_since_an_earlier_process_is_a_gap_too(cause: GapCause) -> None:
    async def body() -> None:
        handler = InOrder()
        async with Loopback() as venue:
            client = Client(config(venue), handler, last_event_ns=77, missed_by=cause)
            await client.connect()
            await client.stop()
        begun, over = handler.gaps
        assert (begun.cause, begun.started_ns, begun.ended_ns) == (cause, 77, None)
        assert (over.started_ns, over.ended_ns) == (77, over.receive_time_ns)

    run(body())


def test_an_earlier_process_whose_clock_was_ahead_leaves_no_gap_that_ends_before_it_begins() -> None:
    ahead_ns = time.time_ns() + 3_600_000_000_000

    async def body() -> None:
        handler = InOrder()
        async with Loopback() as venue:
            client = Client(config(venue), handler, last_event_ns=ahead_ns)
            await client.connect()
            await client.stop()
        begun, over = handler.gaps
        assert begun.cause == "restart"
        assert begun.started_ns == begun.receive_time_ns < ahead_ns, "nothing is known of the time before"
        assert over.started_ns == begun.started_ns <= (over.ended_ns or 0) < ahead_ns

    run(body())


def test_a_close_is_answered() -> None:
    async def body() -> None:
        async with Loopback(lambda peer: ends(peer, by_close), behave) as venue:
            client = Client(config(venue), Recording())
            task = asyncio.create_task(client.start())
            await until(lambda: venue.peers and venue.peers[0].close_code)
            assert venue.peers[0].close_code == 1000
            await client.stop()
            await task

    run(body())


def test_a_subscription_without_an_answer_ends_the_session() -> None:
    async def mute(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve(answer=lambda request: None)

    async def body() -> None:
        handler = Recording()
        async with Loopback(mute, behave) as venue:
            client = Client(config(venue, ack_timeout=0.05), handler)
            await client.connect()
            await client.stop()
        # on a loaded machine the timeout may pass once more
        assert (set(handler.lost[:-1]), handler.lost[-1]) == ({"ack"}, "stopped")

    run(body())


def test_every_answer_is_awaited_after_a_reconnect_too() -> None:
    async def forgetful(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve(answer=lambda request: peer.ack(request) if len(peer.requests) == 1 else None)

    async def body() -> None:
        handler = Recording()
        async with Loopback(lambda peer: ends(peer, by_close), forgetful, behave) as venue:
            client = Client(config(venue, symbols=[f"S{n:05}USDT" for n in range(300)], ack_timeout=0.2), handler)
            client.connections[0].exchange.message_interval = 0.01
            task = asyncio.create_task(client.start())
            await until(lambda: len(handler.lost) >= 2 and handler.subscribed)
            await client.stop()
            await task
        first, *between, last = handler.lost
        assert (first, set(between), last) == ("closed", {"ack"}, "stopped")

    run(body())


def test_a_refused_subscription_does_not() -> None:
    async def choosy(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            if "btcusdt@kline_1h" in request["params"]:
                error = b'{"error":{"code":2,"msg":"Invalid request"},"id":%d}' % request["id"]
                peer.send(frame(TEXT, error))
            else:
                peer.ack(request)

        await peer.serve(answer)

    async def body() -> None:
        handler = Recording()
        async with Loopback(choosy) as venue:
            client = Client(config(venue, streams=["trade", "kline"], intervals=["1m", "1h"]), handler)
            client.connections[0].exchange.message_interval = 0.01
            await client.connect()
            states = {name: state for name, (state, _) in client.connections[0].subscriptions().items()}
            stats = client.get_stats()
            await client.stop()
        assert states == {
            "btcusdt@kline_1m": SubscriptionState.ACKED,
            "btcusdt@kline_1h": SubscriptionState.REFUSED,
            "btcusdt@aggTrade": SubscriptionState.ACKED,
        }
        assert handler.errors == [("refused", "btcusdt@kline_1h 2 Invalid request")]
        assert (stats.active_streams, stats.reconnect_count, stats.error_count) == (2, 0, 1)

    run(body())


def test_silence_is_noticed() -> None:
    async def deaf(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve(pong=False)

    async def body() -> None:
        handler = Recording()
        async with Loopback(deaf, behave) as venue:
            client = Client(config(venue, ping_interval=0.05, pong_timeout=0.05), handler)
            task = asyncio.create_task(client.start())
            await until(lambda: handler.subscribed == 2)
            assert set(venue.peers[0].pings) == {b""}
            await client.stop()
            await task
        assert (set(handler.lost[:-1]), handler.lost[-1]) == ({"idle"}, "stopped")

    run(body())


def test_a_pong_is_a_sign_of_life() -> None:
    async def body() -> None:
        handler = Recording()
        async with Loopback() as venue:
            client = Client(config(venue, ping_interval=0.02, pong_timeout=5), handler)
            task = asyncio.create_task(client.start())
            await until(lambda: venue.peers and len(venue.peers[0].pings) > 5)
            await client.stop()
            await task
        assert handler.lost == ["stopped"]

    run(body())


def test_a_ping_of_the_venue_goes_out_whatever_else_is_sent() -> None:
    async def bybit(peer: Peer) -> None:
        def answer(request: dict[str, Any]) -> None:
            success = {"success": True, "ret_msg": "pong", "op": request["op"], "req_id": request.get("req_id", "")}
            peer.send(frame(TEXT, json.dumps(success).encode()))

        await peer.upgrade()
        await peer.serve(answer)

    async def body() -> None:
        handler = Recording()
        async with Loopback(bybit) as venue:
            client = Client(config(venue, exchange="bybit", streams=["trade"]), handler)
            client.connections[0].exchange.ping_every = 0.02
            task = asyncio.create_task(client.start())
            await until(lambda: venue.peers and len(venue.peers[0].requests) > 5)
            await client.stop()
            await task
        assert venue.peers[0].requests[:2] == [
            {"req_id": "1", "op": "subscribe", "args": ["publicTrade.BTCUSDT"]},
            {"op": "ping"},
        ]
        assert handler.lost == ["stopped"]
        assert handler.subscribed == 1

    run(body())


def test_requests_are_paced() -> None:
    async def body() -> None:
        async with Loopback() as venue:
            symbols = [f"S{number:05}USDT" for number in range(500)]
            client = Client(config(venue, symbols=symbols, ping_interval=0.02), Recording())
            client.connections[0].exchange.message_interval = 3600.0
            task = asyncio.create_task(client.start())
            await until(lambda: venue.peers and len(venue.peers[0].pings) > 2)
            # three are needed, and the second is not due
            assert len(venue.peers[0].requests) == 1
            await client.stop()
            await task

    run(body())


def test_a_client_gives_up_when_told_to() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.request_head()
        peer.respond("503 Service Unavailable", "Content-Length: 0")

    async def body() -> None:
        async with Loopback(refuse) as venue:
            client = Client(config(venue, max_reconnects=3), Recording())
            with pytest.raises(GivenUp, match=r"binance-market-0: 3 failures in a row, last http_5xx"):
                await client.connect()
            assert len(venue.peers) == 3

    run(body())


def test_a_connection_that_delivers_is_no_failure() -> None:
    async def body() -> None:
        handler = Recording()
        async with Loopback(lambda peer: ends(peer, by_close)) as venue:
            client = Client(config(venue, max_reconnects=2), handler)
            task = asyncio.create_task(client.start())
            await until(lambda: len(handler.lost) >= 5)
            await client.stop()
            await task

    run(body())


def test_a_request_that_nothing_answers_for_is_not_waited_for() -> None:
    """Heartbeats are asked for last, when all streams have their answers already."""
    beats = [0]

    async def scripted(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            if request["channel"] == "heartbeats":
                beats[0] += 1
                return
            standing = {"channel": "subscriptions", "timestamp": "", "sequence_num": 0,
                        "events": [{"subscriptions": {"level2": request["product_ids"]}}]}  # fmt: skip
            peer.send(frame(TEXT, json.dumps(standing).encode()))

        await peer.serve(answer)

    async def body() -> None:
        handler = Recording()
        async with Loopback(scripted, scripted) as venue:
            settings = ConnectionConfig(["BTC-USD"], "coinbase", ["depth"], ws_url=venue.url, ack_timeout=1.0)
            client = Client(settings, handler)
            await client.connect()
            await until(lambda: beats[0])
            await asyncio.sleep(1.5)
            await client.stop()
        assert handler.lost == ["stopped"]

    run(body())


def test_attempts_wait_for_the_venues_limit() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.request_head()
        peer.respond("503 Service Unavailable")

    async def body() -> None:
        async with Loopback(refuse) as venue:
            client = Client(config(venue), Recording(), attempts=LocalLimiter(AttemptLimit(3, 60.0)))
            (connection,) = client.connections
            task = asyncio.create_task(client.start())
            await until(lambda: connection.dialer.delayed)
            await asyncio.sleep(0.2)
            assert (len(venue.peers), connection.dialer.dials, connection.dialer.delayed) == (3, 3, 1)
            await client.stop()
            await task

    run(body())


def retries() -> Retries:
    return Retries(Backoff(1.0, 30.0), lambda: 0.5)


def test_waits_grow_with_jitter_up_to_the_cap() -> None:
    waits = [one.next_wait() for one in [retries()] for _ in range(8)]

    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]


@pytest.mark.parametrize(
    ("lost", "wait"),
    [
        (Lost("http_429", "", 7.0), 7.0),
        (Lost("http_5xx", "", 0.0), 0.5),
        (Lost("http_429"), 0.5),
        (Lost("http_418", "", 300.0), 300.0),
        (Lost("http_418"), BANNED_SECONDS),
        (Lost("http_403"), BANNED_SECONDS),
    ],
)
def test_what_the_venue_asks_is_obeyed(lost: Lost, wait: float) -> None:
    assert retries().next_wait(lost.asked_to_wait) == wait


def test_only_a_connection_that_stood_and_delivered_makes_the_waits_short_again() -> None:
    one = retries()

    def wait_after_one_that(delivered: bool, seconds: float) -> float:
        one.judge(delivered, seconds)
        return one.next_wait()

    assert [wait_after_one_that(False, 0.1) for _ in range(3)] == [0.5, 1, 2]
    assert wait_after_one_that(True, STABLE_SECONDS - 1) == 4
    assert wait_after_one_that(False, 10 * STABLE_SECONDS) == 8
    assert wait_after_one_that(True, STABLE_SECONDS) == 0.5
