"""Streams that die silently on a live connection: the loopback venue, and cadences of a fraction of a second."""

import asyncio
from typing import Any

import pytest
from client.loopback_ws import Loopback, Peer, run, trade, until
from client.recording import Recording, config

from wsadapter.client import Client, ConnectionConfig, SubscriptionState
from wsadapter.connection import Connection
from wsadapter.embedded.venue import Options, Venue
from wsadapter.events import BookTicker, Event, Gap, StreamType, Trade
from wsadapter.exchanges.base import Cadence, ConnectionPlan, Subscription

TRADES = "btcusdt@aggTrade"


@pytest.fixture(autouse=True)
def cadences(monkeypatch: pytest.MonkeyPatch) -> dict[StreamType, Cadence]:
    """Looked at often; a test says what it expects of which stream."""
    monkeypatch.setattr("wsadapter.connection.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("wsadapter.stale_watch.LOOK_SECONDS", 0.05)
    made: dict[StreamType, Cadence] = {}
    monkeypatch.setattr("wsadapter.exchanges.binance_streams.CADENCES", made)
    return made


class Everything(Recording):
    """Gaps and events in one list, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Event] = []

    def on_gap(self, event: Gap) -> None:
        self.seen.append(event)

    def on_trade(self, event: Trade) -> None:
        super().on_trade(event)
        self.seen.append(event)

    def on_book_ticker(self, event: BookTicker) -> None:
        self.seen.append(event)

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.seen if isinstance(event, Gap)]


def state(connection: Connection, name: str = TRADES) -> SubscriptionState:
    return connection.subscriptions()[name][0]


def requests(peer: Peer) -> list[tuple[str, list[str]]]:
    return [(request["method"], request["params"]) for request in peer.requests]


def test_a_stream_on_the_wrong_route_is_acknowledged_silent_and_found_out(cadences: dict[StreamType, Cadence]) -> None:
    """The venue's trap: the ack comes, frames never do. Asked again, connected again, then it is an alarm."""
    cadences.update({StreamType.TRADE: Cadence(0.3, 0.3), StreamType.BOOK_TICKER: Cadence(5.0, 5.0)})

    wrong = Subscription(TRADES, StreamType.TRADE, "BTCUSDT")
    right = Subscription("btcusdt@bookTicker", StreamType.BOOK_TICKER, "BTCUSDT")

    async def body() -> None:
        handler = Everything()
        async with Venue(Options(rate=100)) as venue:
            plan = ConnectionPlan("t-public-0", "binance", f"{venue.url}/public/stream", (right, wrong), ("BTCUSDT",))
            client = Client(ConnectionConfig(["BTCUSDT"], reconnect_backoff=0.01), handler, plan)
            (connection,) = client.connections
            await client.connect()
            await until(lambda: state(connection) is SubscriptionState.STALE)
            assert client.get_stats().active_streams == 1
            await until(lambda: connection.reconnects["stale"] and state(connection) is SubscriptionState.STALE)
            await asyncio.sleep(1.0)  # long enough for a storm
            await client.stop()
        assert connection.reconnects == {"stale": 1}
        begun, *_, ended = handler.gaps
        assert (begun.cause, begun.stream, begun.symbol, begun.ended_ns) == ("stale", "trade", "BTCUSDT", None)
        assert (ended.cause, ended.started_ns, ended.version) == ("stale", begun.started_ns, 2)
        assert len(handler.gaps) == 2, "one stale stream is one gap, whatever is tried"

    run(body())


def test_a_paused_venue_is_asked_again_and_the_gap_ends_with_the_first_event(
    cadences: dict[StreamType, Cadence],
) -> None:
    cadences[StreamType.TRADE] = Cadence(1.0, 1.0)

    async def body() -> None:
        handler = Everything()
        async with Venue(Options(rate=100)) as venue:
            client = Client(
                ConnectionConfig(["BTCUSDT"], streams=["trade"], ws_url=venue.url, ping_interval=0.3), handler
            )
            (connection,) = client.connections
            await client.connect()
            await until(lambda: handler.trades)
            venue.paused = True
            await until(lambda: handler.gaps)
            assert state(connection) is SubscriptionState.STALE
            await until(lambda: not connection._asked.unanswered, "asked for anew")
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
            client = Client(config(venue, ack_timeout=0.5, ping_interval=0.1), handler)
            (connection,) = client.connections
            await client.connect()
            await until(lambda: handler.trades)
            await asyncio.sleep(0.6)  # the ack timeout of the new request passes
            assert requests(venue.peers[0]) == [
                ("SUBSCRIBE", [TRADES]), ("UNSUBSCRIBE", [TRADES]), ("SUBSCRIBE", [TRADES]),
            ]  # fmt: skip
            assert state(connection) is SubscriptionState.LIVE
            await client.stop()
        assert [type(event) for event in handler.seen] == [Gap, Gap, Trade]
        assert handler.lost == ["stopped"]
        assert handler.subscribed == 1

    run(body())


def test_a_lost_frame_is_a_gap_with_its_id() -> None:
    async def body() -> None:
        handler = Everything()
        async with Venue(Options(rate=200)) as venue:
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
            raise ZeroDivisionError

    async def body() -> None:
        async with Loopback() as venue:
            client = Client(config(venue, ping_interval=0.1), Fragile())
            with pytest.raises(ZeroDivisionError):
                await client.start()

    run(body())
