"""Streams that die silently on a live connection: the loopback venue, and cadences of a fraction of a second."""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from client.loopback_ws import TEXT, Loopback, Peer, behave, frame, run, trade, until
from client.recording import Recording, config
from client.test_rotation import assert_once_and_whole
from msgspec import structs

from wsadapter.client.client import Client, ConnectionConfig, SubscriptionState
from wsadapter.client.clock import clock
from wsadapter.client.connection import Connection
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.market.streams import Push
from wsadapter.events import BookTicker, Event, Gap, MarkPrice, StreamType, Trade
from wsadapter.events.gaps import GapCause
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.venue import Cadence, ConnectionPlan, Refused, Subscription

TRADES = "btcusdt@aggTrade"
PATIENT = 2.0
"""Seconds, where other streams go on: a machine that is busy lets the loop of both stand still for some time."""


@pytest.fixture(autouse=True)
def cadences(monkeypatch: pytest.MonkeyPatch) -> dict[StreamType, Cadence]:
    """Looked at often, exchanged quickly; a test says what it expects of which stream."""
    monkeypatch.setattr("wsadapter.client.connection.CHECK_SECONDS", 0.05)
    monkeypatch.setattr("wsadapter.client.connection.NEXT_CHECK_SECONDS", 0.05)
    monkeypatch.setattr("wsadapter.client.rotation.SETTLE_SECONDS", 0.5)
    monkeypatch.setattr("wsadapter.client.rotation.PATIENCE_SECONDS", 2.0)
    monkeypatch.setattr("wsadapter.client.stream_watch.CHECK_SECONDS", 0.05)
    made: dict[StreamType, Cadence] = {}
    monkeypatch.setattr(BinanceFutures, "venue", structs.replace(BinanceFutures.venue, cadences=made))
    return made


class Everything(Recording):
    """Events and gaps, but for the one of the start, in one list, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Event] = []

    def on_gap(self, event: Gap) -> None:
        if event.cause != GapCause.CONNECT:
            self.seen.append(event)
        else:
            self.start = event

    def on_trade(self, event: Trade) -> None:
        super().on_trade(event)
        self.seen.append(event)

    def on_book_ticker(self, event: BookTicker | MarkPrice) -> None:
        self.seen.append(event)

    on_mark_price = on_book_ticker

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.seen if isinstance(event, Gap)]


def state(connection: Connection, name: str = TRADES) -> SubscriptionState:
    return connection.subscriptions()[name][0]


def requests(peer: Peer) -> list[tuple[str, list[str]]]:
    return [(request["method"], request["params"]) for request in peer.requests]


def test_a_stream_on_the_wrong_route_is_acknowledged_silent_and_found_out(
    cadences: dict[StreamType, Cadence], caplog: pytest.LogCaptureFixture
) -> None:
    """The venue's trap: the ack comes, frames never do. Asked again, connected again, then it is an alarm."""
    cadences.update({StreamType.TRADE: Cadence(0.3, 0.3), StreamType.BOOK_TICKER: Cadence(5.0, 5.0)})

    wrong = Subscription(TRADES, StreamType.TRADE, "BTCUSDT")
    right = Subscription("btcusdt@bookTicker", StreamType.BOOK_TICKER, "BTCUSDT")

    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=100)) as venue:
            plan = ConnectionPlan("t-public-0", "binance", f"{venue.url}/public/stream", (right, wrong), ("BTCUSDT",))
            client = Client(ConnectionConfig(["BTCUSDT"], reconnect_backoff=0.01), handler, plan)
            (connection,) = client.connections
            await client.connect()
            await until(lambda: state(connection) is SubscriptionState.STALE)
            assert client.get_stats().active_streams == 1
            assert f"were acknowledged and have never sent anything, subscribing anew: {TRADES}" in caplog.text
            await until(lambda: connection.reconnects["stale"] and state(connection) is SubscriptionState.STALE)
            await asyncio.sleep(1.0)  # long enough for a storm
            await client.stop()
        assert connection.reconnects == {"stale": 1}
        begun, *_, ended = handler.gaps
        assert (begun.cause, begun.stream, begun.symbol, begun.ended_ns) == ("stale", "trade", "BTCUSDT", None)
        assert (ended.cause, ended.started_ns, ended.version) == ("stale", begun.started_ns, 2)
        assert len(handler.gaps) == 2, "one stale stream is one gap, whatever is tried"

    run(body())


def mute(venue: LoopbackVenue, stream: str) -> None:
    """The sockets that are open now bring this stream no more, whatever they ask for."""

    def muted(deliver: Callable[[bytes, Push], None]) -> Callable[[bytes, Push], None]:
        return lambda octets, push: None if push.stream == stream else deliver(octets, push)

    for connection in venue.connections:
        connection.deliver = muted(connection.deliver)  # type: ignore[assignment, method-assign]


def everything_but_gaps(handler: Everything) -> Counter[str]:
    return Counter(e.stream_type.value for e in handler.seen if not isinstance(e, Gap))


def public(venue: LoopbackVenue, handler: Everything, **more: Any) -> Client:
    """One connection with trades and books of two symbols."""
    names = ConnectionConfig(["BTCUSDT", "ETHUSDT"], streams=["raw_trade", "book_ticker"], ws_url=venue.url, **more)
    return Client(names, handler)


def test_a_stream_that_died_on_its_socket_is_found_on_the_next_one_and_the_others_miss_nothing(
    cadences: dict[StreamType, Cadence],
) -> None:
    cadences.update({StreamType.TRADE: Cadence(PATIENT, 5.0), StreamType.BOOK_TICKER: Cadence(30.0, 30.0)})

    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=600)) as venue:
            client = public(venue, handler)
            (connection,) = client.connections
            await client.connect()
            await until(lambda: all(at for _, at in connection.subscriptions().values()))
            mute(venue, "btcusdt@trade")
            await until(lambda: len(handler.gaps) == 2, "its gap is over")
            count = len(handler.seen)
            await until(lambda: len(handler.seen) > count + 100)
            assert {one for one, _ in connection.subscriptions().values()} == {SubscriptionState.LIVE}
            await client.stop()
        assert connection.reconnects == {"stale": 1}
        assert (handler.lost, handler.connected, handler.subscribed) == (["stopped"], 1, 1)

        begun, ended = handler.gaps
        assert begun.cause == ended.cause == "stale"
        assert begun.started_ns == ended.started_ns
        at = handler.seen.index(ended)
        after = handler.seen[at + 1]
        before = [e for e in handler.seen[:at] if isinstance(e, Trade) and e.symbol == "BTCUSDT"][-1]
        assert isinstance(after, Trade)
        assert (before.trade_number or 0) + 1 == ended.first_missing
        assert (after.trade_number or 0) - 1 == ended.last_missing
        assert (ended.symbol, ended.missing_count) == (
            "BTCUSDT",
            (ended.last_missing or 0) - (ended.first_missing or 0) + 1,
        )
        assert ended.ended_ns == after.receive_time_ns == after.last_gap_ns
        later = [e for e in handler.seen[at:] if isinstance(e, Trade) and e.symbol == "BTCUSDT"]
        assert {e.last_gap_ns for e in later} == {after.last_gap_ns}, "also those that the old socket let wait"
        assert_once_and_whole(list(later))
        others = [
            e for e in handler.seen if isinstance(e, BookTicker) or (isinstance(e, Trade) and e.symbol == "ETHUSDT")
        ]
        assert {e.last_gap_ns for e in others} <= {None, handler.start.ended_ns}, "no gap but that of the start"
        assert_once_and_whole(others)

    run(body())


def test_more_than_can_be_held_of_what_died_is_no_reason_to_keep_its_socket(
    cadences: dict[StreamType, Cadence], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsadapter.client.handover.MOST_HELD", 20)
    monkeypatch.setattr("wsadapter.client.rotation.SETTLE_SECONDS", 60.0)
    monkeypatch.setattr("wsadapter.client.rotation.PATIENCE_SECONDS", 60.0)
    cadences.update({StreamType.TRADE: Cadence(PATIENT, 5.0), StreamType.BOOK_TICKER: Cadence(60.0, 60.0)})

    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=600)) as venue:
            client = public(venue, handler)
            (connection,) = client.connections
            await client.connect()
            await until(lambda: all(at for _, at in connection.subscriptions().values()))
            venue.lose("ethusdt@bookTicker", 1_000_000)  # the next socket never hears of it
            mute(venue, "btcusdt@trade")
            await until(lambda: len(handler.gaps) == 2)
            await client.stop()
        assert connection.reconnects == {"stale": 1}
        assert handler.lost == ["stopped"]
        assert_once_and_whole([e for e in handler.seen if isinstance(e, BookTicker)])

    run(body())


def test_a_next_socket_that_cannot_be_made_leaves_the_old_one_and_the_stream_stale(
    cadences: dict[StreamType, Cadence], caplog: pytest.LogCaptureFixture
) -> None:
    cadences.update({StreamType.TRADE: Cadence(PATIENT, PATIENT), StreamType.BOOK_TICKER: Cadence(30.0, 30.0)})

    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=600)) as venue:
            client = public(venue, handler)
            (connection,) = client.connections
            await client.connect()
            await until(lambda: all(at for _, at in connection.subscriptions().values()))
            mute(venue, "btcusdt@trade")
            venue.refuse(503)
            await until(lambda: "still silent" in caplog.text)
            assert "rotation put off (it ended: http_5xx)" in caplog.text
            assert connection.next is None
            assert state(connection, "btcusdt@trade") is SubscriptionState.STALE
            count = everything_but_gaps(handler)["book_ticker"]
            await until(lambda: everything_but_gaps(handler)["book_ticker"] > count + 50)
            await client.stop()
        assert connection.reconnects.total() == 0
        assert handler.lost == ["stopped"]
        assert [gap.cause for gap in handler.gaps] == ["stale", "stale"], "begun, and ended with the connection"
        assert_once_and_whole([e for e in handler.seen if isinstance(e, BookTicker)])

    run(body())


def test_streams_that_speak_again_meanwhile_keep_their_socket(
    cadences: dict[StreamType, Cadence], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsadapter.client.rotation.SETTLE_SECONDS", 60.0)
    cadences.update({StreamType.TRADE: Cadence(PATIENT, PATIENT), StreamType.BOOK_TICKER: Cadence(30.0, 30.0)})

    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=600)) as venue:
            client = public(venue, handler)
            (connection,) = client.connections
            await client.connect()
            await until(lambda: all(at for _, at in connection.subscriptions().values()))
            venue.lose("btcusdt@trade", 1_000_000)
            await until(lambda: connection.next is not None and connection.next.subscribed)
            venue.lose("btcusdt@trade", -venue._audience._losing["btcusdt@trade"])
            await until(lambda: connection.next is None)
            assert state(connection, "btcusdt@trade") is SubscriptionState.LIVE
            await until(lambda: len(venue.connections) == 1)
            await client.stop()
        assert connection.reconnects.total() == 0
        assert [gap.cause for gap in handler.gaps] == ["stale", "stale"]
        assert handler.lost == ["stopped"]

    run(body())


@pytest.mark.parametrize("dead", [False, True])
def test_of_a_stream_that_hardly_spoke_only_the_next_socket_can_tell(
    dead: bool, cadences: dict[StreamType, Cadence], caplog: pytest.LogCaptureFixture
) -> None:
    """``dead``: on its socket only. Otherwise its market is quiet, and the socket stays."""
    cadences[StreamType.TRADE] = Cadence(0.3, 0.3, 20.0)

    async def first(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve()

    async def second(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            peer.ack(request)
            if dead:
                peer.send(trade(7))

        await peer.serve(answer=answer)

    async def body() -> None:
        handler = Everything()
        async with Loopback(first, second) as venue:
            client = Client(config(venue, ping_interval=0.1), handler)
            (connection,) = client.connections
            await client.connect()
            await until(lambda: handler.trades or "rotation put off" in caplog.text)
            assert connection.reconnects == ({"stale": 1} if dead else {})
            assert state(connection) is (SubscriptionState.LIVE if dead else SubscriptionState.STALE)
            assert [peer.close_code for peer in venue.peers] == ([1000, 0] if dead else [0, 0])
            await client.stop()
        assert [type(event) for event in handler.seen] == ([Gap, Gap, Trade] if dead else [Gap, Gap])
        assert handler.lost == ["stopped"]

    run(body())


def test_a_paused_venue_is_asked_again_and_the_gap_ends_with_the_first_event(
    cadences: dict[StreamType, Cadence],
) -> None:
    cadences[StreamType.TRADE] = Cadence(1.0, 1.0)

    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=100)) as venue:
            client = Client(
                ConnectionConfig(["BTCUSDT"], streams=["trade"], ws_url=venue.url, ping_interval=0.3), handler
            )
            (connection,) = client.connections
            await client.connect()
            await until(lambda: handler.trades)
            venue.paused = True
            await until(lambda: handler.gaps)
            assert state(connection) is SubscriptionState.STALE
            await until(lambda: not connection.current.subscriptions.unanswered, "asked for anew")
            venue.paused = False
            await until(lambda: len(handler.gaps) == 2)
            await until(lambda: state(connection) is SubscriptionState.LIVE)
            await client.stop()
            sent = venue.sent["trade"]
        begun, ended = handler.gaps
        before = [event for event in handler.seen if isinstance(event, Trade)]
        position = handler.seen.index(ended)
        last, first = handler.seen[handler.seen.index(begun) - 1], handler.seen[position + 1]
        assert begun.started_ns == ended.started_ns == last.receive_time_ns
        assert ended.ended_ns == first.receive_time_ns == first.last_gap_ns
        assert (ended.missing_count, ended.repair_state) == (0, "repaired"), "the ids are contiguous"
        assert len(before) == sent
        assert connection.reconnects.total() == 0

    run(body())


def test_a_stream_is_ended_and_asked_for_anew_on_the_same_socket(cadences: dict[StreamType, Cadence]) -> None:
    cadences[StreamType.TRADE] = Cadence(2.0, 0.3)

    async def script(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            peer.ack(request)
            if len(peer.requests) == 3:  # SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE: this time it works
                peer.send(trade(1))

        await peer.serve(answer=answer)

    async def body() -> None:
        handler = Everything()
        async with Loopback(script) as venue:
            client = Client(config(venue, ack_timeout=1.5, ping_interval=0.1), handler)
            (connection,) = client.connections
            await client.connect()
            await until(lambda: handler.trades)
            await asyncio.sleep(1.8)  # the ack timeout of the new request passes
            assert requests(venue.peers[0]) == [
                ("SUBSCRIBE", [TRADES]), ("UNSUBSCRIBE", [TRADES]), ("SUBSCRIBE", [TRADES]),
            ]  # fmt: skip
            assert state(connection) is SubscriptionState.LIVE
            await client.stop()
        assert [type(event) for event in handler.seen] == [Gap, Gap, Trade]
        assert handler.lost == ["stopped"]
        assert handler.subscribed == 1

    run(body())


def refusing(peer: Peer, times: int, *then: bytes) -> Callable[[dict[str, Any]], None]:
    """Answers to requests: trades of BTCUSDT are refused so often, all else is taken; ``then``: sent after that."""
    refused = [0]

    def answer(request: dict[str, Any]) -> None:
        is_meant = request["method"] == "SUBSCRIBE" and TRADES in request["params"]
        if is_meant and (len(request["params"]) > 1 or refused[0] < times):
            refused[0] += len(request["params"]) == 1
            peer.send(frame(TEXT, b'{"error":{"code":2,"msg":"suspended"},"id":%d}' % request["id"]))
        else:
            peer.ack(request)
            peer.send(*then * is_meant)

    return answer


def test_a_stream_that_was_accepted_and_is_refused_later_is_asked_for_again(
    cadences: dict[StreamType, Cadence],
) -> None:
    cadences[StreamType.TRADE] = Cadence(0.5, 0.3)

    async def script(peer: Peer) -> None:
        await peer.upgrade()

        def answer(request: dict[str, Any]) -> None:
            if len(peer.requests) == 3:  # SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE: the venue is not in the mood
                peer.send(frame(TEXT, b'{"error":{"code":2,"msg":"later"},"id":%d}' % request["id"]))
            else:
                peer.ack(request)

        await peer.serve(answer=answer)

    async def recovered(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve(answer=refusing(peer, 0, trade(1)))

    async def body() -> None:
        handler = Everything()
        async with Loopback(script, recovered) as venue:
            client = Client(config(venue, ping_interval=0.1), handler)
            (connection,) = client.connections
            await client.connect()
            await until(lambda: handler.errors)
            assert state(connection) is SubscriptionState.REFUSED
            await until(lambda: state(connection) is SubscriptionState.LIVE)
            await client.stop()
        assert handler.errors == [("refused", f"{TRADES} 2 later")]
        assert [type(event) for event in handler.seen] == [Gap, Gap, Trade]

    run(body())


async def dies_with_a_trade(peer: Peer) -> None:
    await peer.upgrade()
    serving = asyncio.ensure_future(peer.serve())
    await until(lambda: peer.requests)
    peer.send(trade(1))
    await peer.writer.drain()
    peer.reset()
    await serving


@pytest.mark.parametrize("cadence", [Cadence(60.0, 600.0, 20.0), None], ids=["trades", "as liquidations"])
def test_a_stream_that_ran_and_is_refused_by_the_next_socket_has_a_gap_and_is_asked_for_again(
    cadence: Cadence | None, cadences: dict[StreamType, Cadence], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsadapter.client.staleness.RETRY_SECONDS", 0.1)
    if cadence is not None:
        cadences[StreamType.TRADE] = cadence

    async def choosy(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve(answer=refusing(peer, 3, trade(2)))

    async def body() -> None:
        handler = Everything()
        async with Loopback(dies_with_a_trade, choosy) as venue:
            client = Client(config(venue, symbols=["BTCUSDT", "ETHUSDT"]), handler)
            client.connections[0].exchange.message_interval = 0.01
            running = asyncio.ensure_future(client.start())
            await until(lambda: len(handler.trades) == 2)
            assert state(client.connections[0]) is SubscriptionState.LIVE
            await client.stop()
            await running
        assert handler.errors == [("refused", f"{TRADES} 2 suspended")] * 3
        first, lost, begun, over, ended, second = handler.seen
        assert isinstance(lost, Gap)
        assert isinstance(begun, Gap)
        assert isinstance(over, Gap)
        assert isinstance(ended, Gap)
        assert (lost.cause, over.cause, over.stream) == ("disconnect", "disconnect", "")
        assert (begun.cause, begun.stream, begun.symbol, begun.ended_ns) == ("stale", "trade", "BTCUSDT", None)
        assert begun.started_ns == ended.started_ns == first.receive_time_ns
        assert ended.ended_ns == second.last_gap_ns
        assert (ended.ended_ns == second.receive_time_ns) is (cadence is not None), (
            "its acknowledgement is the end, else"
        )
        assert handler.lost == ["reset", "stopped"]

    run(body())


@pytest.mark.parametrize("taken", ["asked anew", "after a reconnect", "after a rotation"])
def test_one_that_may_be_silent_for_ever_is_well_when_it_is_taken_again(
    taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if taken == "asked anew":
        monkeypatch.setattr("wsadapter.client.staleness.RETRY_SECONDS", 0.1)

    async def choosy(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve(answer=refusing(peer, 1 if taken == "asked anew" else 9))

    async def body() -> None:
        handler = Everything()
        async with Loopback(dies_with_a_trade, choosy, behave) as venue:
            client = Client(config(venue), handler)
            (connection,) = client.connections
            running = asyncio.ensure_future(client.start())
            await until(lambda: len(handler.gaps) >= 3)
            if taken == "after a reconnect":
                venue.peers[1].reset()
            elif taken == "after a rotation":
                assert state(connection) is SubscriptionState.REFUSED
                connection.renew("a test")
            await until(lambda: state(connection) in (SubscriptionState.ACKED, SubscriptionState.LIVE))
            at_ns = clock.now_ns()
            await client.stop()
            await running
        (first,) = handler.trades
        begun, ended = (gap for gap in handler.gaps if gap.cause == "stale")
        assert begun.started_ns == ended.started_ns == first.receive_time_ns
        assert (begun.ended_ns, begun.version, ended.version) == (None, 1, 2)
        assert ended.ended_ns is not None
        assert ended.ended_ns <= at_ns, "not at the stop"

    run(body())


def test_a_stream_that_the_next_socket_of_a_rotation_refuses_has_a_gap_until_the_stop() -> None:
    async def speaking(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve(answer=refusing(peer, 0, trade(1)))

    async def choosy(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve(answer=refusing(peer, 9))

    async def body() -> None:
        handler = Everything()
        async with Loopback(speaking, choosy) as venue:
            client = Client(config(venue), handler)
            (connection,) = client.connections
            await client.connect()
            await until(lambda: handler.trades)
            connection.renew("a test")
            await until(lambda: connection.reconnects["rotation"])
            assert [gap.ended_ns for gap in handler.gaps] == [None]
            await client.stop()
        assert [(gap.cause, gap.symbol, gap.version) for gap in handler.gaps] == [
            ("stale", "BTCUSDT", 1), ("stale", "BTCUSDT", 2),
        ]  # fmt: skip
        assert handler.lost == ["stopped"]

    run(body())


def test_a_stream_that_would_cost_the_connection_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsadapter.client.staleness.RETRY_SECONDS", 0.1)
    monkeypatch.setattr("wsadapter.exchanges.protocol.Refused", partial(Refused, again=False))

    async def choosy(peer: Peer) -> None:
        await peer.upgrade()
        await peer.serve(answer=refusing(peer, 9))

    async def body() -> None:
        handler = Everything()
        async with Loopback(dies_with_a_trade, choosy) as venue:
            client = Client(config(venue, ping_interval=0.05), handler)
            running = asyncio.ensure_future(client.start())
            await until(lambda: len(venue.peers) == 2 and len(venue.peers[1].pings) > 20)
            assert len(venue.peers[1].requests) == 1
            await client.stop()
            await running
        assert [gap.cause for gap in handler.gaps] == ["disconnect", "stale", "disconnect", "stale"]

    run(body())


def test_a_lost_frame_is_a_gap_with_its_id() -> None:
    async def body() -> None:
        handler = Everything()
        async with LoopbackVenue(Options(rate=200)) as venue:
            client = Client(ConnectionConfig(["BTCUSDT"], streams=["trade"], ws_url=venue.url), handler)
            await client.connect()
            await until(lambda: len(handler.trades) > 5)
            venue.lose(TRADES, 3)
            await until(lambda: handler.gaps)
            await client.stop()
        (gap,) = handler.gaps
        at = handler.seen.index(gap)
        before, after = handler.seen[at - 1], handler.seen[at + 1]
        assert isinstance(before, Trade)
        assert isinstance(after, Trade)
        assert (gap.cause, gap.missing_count) == ("sequence", 3)
        assert (gap.first_missing, gap.last_missing) == (int(before.trade_id) + 1, int(after.trade_id) - 1)
        assert (gap.started_ns, gap.ended_ns) == (before.receive_time_ns, after.receive_time_ns)
        assert after.last_gap_ns == gap.receive_time_ns

    run(body())


def test_a_handler_that_raises_for_a_stale_stream_ends_the_client(cadences: dict[StreamType, Cadence]) -> None:
    cadences[StreamType.TRADE] = Cadence(0.2, 0.2)

    class Fragile(Recording):
        def on_gap(self, event: Gap) -> None:
            if event.cause == GapCause.STALE:
                raise ZeroDivisionError

    async def body() -> None:
        async with Loopback() as venue:
            client = Client(config(venue, ping_interval=0.1), Fragile())
            with pytest.raises(ZeroDivisionError):
                await client.start()

    run(body())
