"""Every venue over real sockets: its client and its counterpart on 127.0.0.1."""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop
from conformance.pair import Pair
from conformance.sessions import in_one_session
from conformance.test_conformance import EXCHANGES, essence
from frames_path import frames
from venue_client import settled

from wsadapter.client.client import Client, ConnectionConfig
from wsadapter.embedded.exchange import STAND_INS
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.events import Event, Gap, MarketEvent, StreamType
from wsadapter.exchanges import load
from wsadapter.roles.supervisor.replayed import feeds


@pytest.fixture(params=EXCHANGES)
def exchange(request: pytest.FixtureRequest) -> str:
    word: str = request.param
    return word


class Everything:
    """A handler that keeps all events and errors."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.errors: list[tuple[str, str]] = []
        self.lost: list[str] = []
        for stream in StreamType:
            setattr(self, f"on_{stream.value}", self.events.append)

    def on_error(self, kind: str, detail: str) -> None:
        self.errors.append((kind, detail))

    def on_disconnected(self, reason: str, at_ns: int) -> None:
        self.lost.append(reason)

    @property
    def of_markets(self) -> list[MarketEvent]:
        return [cast(MarketEvent, event) for event in self.events if not isinstance(event, Gap)]

    @property
    def counts(self) -> Counter[str]:
        return Counter(event.stream_type.value for event in self.of_markets)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 120))


def test_refused_cut_and_everything_that_was_sent_is_read_once(exchange: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsadapter.client.connect_limit.MARGIN_SECONDS", 0.0)

    async def scenario() -> None:
        handler = Everything()
        feed = STAND_INS[exchange].feed
        symbols = feed.symbols[:2]
        async with LoopbackVenue(Options(exchange=exchange, symbols=symbols, minute_ends_in=1)) as venue:
            venue.refuse(451)
            venue.refuse(429, {"Retry-After": "0"})
            client = Client(
                ConnectionConfig(
                    symbols, exchange, feed.streams, feed.intervals, ws_url=venue.url, reconnect_backoff=0.01,
                    reconnect_backoff_max=0.02,
                ),
                handler,
            )  # fmt: skip
            await client.connect()
            await settled(lambda: handler.counts["trade"] > 5 and handler.counts["depth"])
            assert set(handler.lost) == {"http_other", "http_429"}
            read = handler.counts
            assert venue.cut("close", code=1001) == len(client.connections)
            await settled(lambda: handler.counts["trade"] > read["trade"] + 5)
            await client.stop()
            assert handler.errors == []
            assert handler.counts == venue.sent
            causes = {gap.cause for gap in handler.events if isinstance(gap, Gap)}
            assert causes <= {"connect", "disconnect", "sequence"}

    run(scenario())


def test_what_the_venue_asks_and_says_costs_no_connection(exchange: str) -> None:
    """Heartbeats of the venue's own, and its greeting again; what answers them waits for no acknowledgement."""

    async def scenario() -> None:
        handler = Everything()
        feed = STAND_INS[exchange].feed
        async with LoopbackVenue(Options(exchange=exchange, symbols=feed.symbols)) as venue:
            manners = venue.dialect.manners
            now_ms = venue.clock.now_ms()
            said = [*manners.hello(now_ms), *([manners.heartbeat(now_ms)] if manners.heartbeat else [])]
            if not said or manners.numbered:
                pytest.skip("it says nothing of its own that could be said again")
            config = ConnectionConfig(
                feed.symbols[:1], exchange, feed.streams, feed.intervals, ws_url=venue.url, ack_timeout=1.0
            )
            client = Client(config, handler)
            await client.connect()
            for text in said:
                venue.say(text)
            until = time.monotonic() + 1.5
            await settled(lambda: handler.lost or time.monotonic() > until)
            assert handler.lost == []
            await client.stop()

    run(scenario())


@pytest.mark.parametrize("status", [403, 418])
def test_a_ban_is_kept_to(exchange: str, status: int) -> None:
    async def scenario() -> None:
        handler = Everything()
        feed = STAND_INS[exchange].feed
        async with LoopbackVenue(Options(exchange=exchange, symbols=feed.symbols)) as venue:
            venue.refuse(status, times=9)
            config = ConnectionConfig(
                feed.symbols[:1], exchange, feed.streams, feed.intervals, ws_url=venue.url, reconnect_backoff=0.01
            )
            client = Client(config, handler)
            running = asyncio.create_task(client.start())
            await settled(lambda: len(handler.lost) == len(client.connections))
            await asyncio.sleep(0.1)
            assert handler.lost == [f"http_{status}"] * len(client.connections), "no second attempt"
            running.cancel()

    run(scenario())


def test_a_recorded_session_is_replayed_whole(exchange: str, tmp_path: Path) -> None:
    pair = Pair(exchange).open().run(3.0)
    # a message does not tell apart connections of one class
    recorded = {line.route: line for line in reversed(pair.lines)}.values()
    path = tmp_path / "session.jsonl"
    path.write_bytes(b"".join(text + b"\n" for line in recorded for text in line.texts))
    made = feeds(exchange, path)
    assert {symbol for feed in made for symbol in feed.symbols} >= {event.symbol for event in pair.events}
    assert {word for feed in made for word in feed.streams} == set(pair.feed.streams)

    async def scenario() -> None:
        handler = await replayed(exchange, path)
        assert as_counts(handler.of_markets) == as_counts([event for line in recorded for event in line.events])

    run(scenario())


@pytest.mark.parametrize(
    ("exchange", "name"),
    [
        ("binance_coinm", "binance_coinm/mixed_cf2021_first.jsonl.gz"),
        ("binance_spot", "binance_spot/mixed_cf2021.jsonl"),
        ("bitget", "bitget/examples_ticker_mark_funding_oi.jsonl"),
        ("bitget", "bitget_v3/examples_trade.jsonl"),
        ("bitget_spot", "bitget_spot/examples_trade.jsonl"),
        ("bitget_spot", "bitget_v3/examples_depth_delta.jsonl"),
        ("bybit", "bybit_linear/examples_depth.jsonl"),
        ("bybit_inverse", "bybit_inverse/examples_ticker_mark_funding_oi.jsonl"),
        ("bybit_spot", "bybit_spot/examples_trade.jsonl"),
        ("coinbase", "coinbase_exchange/mixed_cf2021_first.jsonl.gz"),
        ("deribit", "deribit/mixed_cf2021_first.jsonl"),
        ("gate", "gateio_futures/mixed_cf2023_first.jsonl"),
        ("hyperliquid", "hyperliquid/mixed_btc_20250126_first.jsonl"),
        ("kraken", "kraken/examples_ohlc.jsonl"),
        ("kraken_futures", "kraken_futures/mixed_cf2021_first.jsonl.gz"),
        ("okx", "okx/books_cf2022.jsonl"),
    ],
)
def test_a_recording_of_the_venue_is_replayed_as_one_session_reads_it(exchange: str, name: str) -> None:
    if exchange not in EXCHANGES:
        pytest.skip("it has no counterpart yet")
    path = frames(name)
    read = [item for feed in feeds(exchange, path) for item in in_one_session(feed, path)]
    assert read

    async def scenario() -> None:
        handler = await replayed(exchange, path)
        assert as_counts(handler.of_markets) == as_counts(read)

    run(scenario())


async def replayed(exchange: str, path: Path) -> Everything:
    """What the clients of all feeds make of the file that the counterpart plays to them."""
    handler, made = Everything(), feeds(exchange, path)
    count = sum(len(load(exchange).plan(feed)) for feed in made)
    async with LoopbackVenue(Options(exchange=exchange, replay=str(path), connections=count, quiet=0.2)) as venue:
        clients = [
            Client(ConnectionConfig(feed.symbols, exchange, feed.streams, feed.intervals, ws_url=venue.url), handler)
            for feed in made
        ]
        for client in clients:
            await client.connect()
        assert venue.replay is not None
        await venue.replay.done.wait()
        for client in clients:
            await client.stop()
        assert handler.counts == venue.sent
    return handler


def as_counts(events: list[MarketEvent]) -> Counter[str]:
    """Where the venue says no time, the ordinal follows from ours."""
    told = essence(events)
    for one in told:
        if not one.get("event_time_ns") and not one.get("transaction_time_ns"):
            one.pop("ordinal", None)
    return Counter(str(sorted(one.items())) for one in told)
