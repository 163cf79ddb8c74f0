"""The venue on the wire: classes, acks, pings, limits, closing. Every test has its own venue on free ports."""

import asyncio
import contextlib
import re
import socket
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop
from picows import WSCloseCode, WSInvalidStatusError, WSMsgType
from venue_client import VenueClient, settled

from wsadapter.embedded.exchange.connection import VenueLimits
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.servers import VenueThread

WORDS = {
    "kline": "kline",
    "24hrTicker": "ticker",
    "depthUpdate": "depth",
    "aggTrade": "trade",
    "trade": "trade",
    "markPriceUpdate": "mark_price",
    "forceOrder": "liquidation",
    "bookTicker": "book_ticker",
}
EVERYTHING = {
    "market": ["aggTrade", "kline_1m", "kline_5m", "markPrice@1s", "ticker", "forceOrder"],
    "public": ["depth20@100ms", "depth@100ms", "bookTicker", "trade"],
}


def run(scenario: Coroutine[Any, Any, None], loop: str = "uvloop") -> None:
    (uvloop if loop == "uvloop" else asyncio).run(asyncio.wait_for(scenario, 120))


def read_by(clients: list[VenueClient]) -> Counter[str]:
    """What the product would make of what these clients have read."""
    seen: Counter[str] = Counter()
    for client in clients:
        funding: dict[str, tuple[str, int]] = {}
        for data in client.data():
            for event in data if isinstance(data, list) else [data]:
                if event.get("st", 1) != 1 or event["e"] not in WORDS:
                    continue
                seen[WORDS[event["e"]]] += 1
                if event["e"] == "markPriceUpdate" and funding.get(event["s"]) != (event["r"], event["T"]):
                    funding[event["s"]] = event["r"], event["T"]
                    seen["funding_rate"] += 1
    return seen


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_counters_are_what_a_client_reads_until_close(loop: str) -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(rate=3000, minute_ends_in=1)) as venue:
            clients = []
            for route, channels in EVERYTHING.items():
                names = [f"{symbol}@{channel}" for symbol in ("btcusdt", "dogeusdt") for channel in channels]
                names += ["!markPrice@arr@1s", "!ticker@arr", "!forceOrder@arr"] if route == "market" else []
                client = await VenueClient.connect(f"{venue.url}/{route}/stream")
                client.ask("SUBSCRIBE", names)
                clients.append(client)
            await clients[0].until(lambda: any(data["k"]["x"] for data in clients[0].data("btcusdt@kline_1m")))
            await clients[0].until(lambda: venue.sent["liquidation"] and venue.sent["ticker"])
            for client in clients:
                await client.goodbye()
            assert read_by(clients) == venue.sent
            assert set(venue.sent) == {*WORDS.values(), "funding_rate"}
            assert venue.counts.frames_sent == sum(len(client.data()) for client in clients)
            await settled(lambda: not venue.connections)

    run(scenario(), loop)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_client_that_was_far_behind_still_gets_all_before_close(loop: str) -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(mode="blast", rate=0)) as venue:
            client = await VenueClient.connect(f"{venue.url}/public/ws/btcusdt@depth20@100ms")
            client.transport.underlying_transport.pause_reading()
            await settled(lambda: venue.connections and not venue.connections[0].writable.is_set())
            client.transport.send_close(WSCloseCode.OK)
            await settled(lambda: not venue.connections[0].open)
            client.transport.underlying_transport.resume_reading()
            await client.until(lambda: client.close_code is not None)
            assert len(client.texts) == venue.sent["depth"] > 100

    run(scenario(), loop)


def test_wrong_class_and_unknown_names_are_acked_and_silent() -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            market = await VenueClient.connect(f"{venue.url}/market/stream")
            market.ask(
                "SUBSCRIBE", ["btcusdt@depth20@100ms", "btcusdt@bookTicker", "btcusdt@nonsense", "btcusdt@aggTrade"]
            )
            plain = await VenueClient.connect(f"{venue.url}/stream?streams=btcusdt@aggTrade/btcusdt@bookTicker")
            private = await VenueClient.connect(
                f"{venue.url}/private/stream?streams=btcusdt@aggTrade/btcusdt@bookTicker"
            )
            await market.until(lambda: len(market.data("btcusdt@aggTrade")) > 50)
            await plain.until(lambda: len(plain.data("btcusdt@bookTicker")) > 50)
            market.ask("LIST_SUBSCRIPTIONS", number=2)
            await market.until(lambda: len(market.replies) == 2)
            assert market.replies[0] == {"result": None, "id": 1}
            assert len(market.replies[1]["result"]) == 4
            assert {one["stream"] for one in market.parsed if "stream" in one} == {"btcusdt@aggTrade"}
            assert {one["stream"] for one in plain.parsed} == {"btcusdt@bookTicker"}
            assert private.parsed == []

    run(scenario())


def test_streams_by_url_and_request_raw_and_combined() -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            client = await VenueClient.connect(f"{venue.url}/market/ws/ethusdt@aggTrade")
            await client.until(lambda: client.parsed)
            assert client.parsed[0]["e"] == "aggTrade"
            client.ask("GET_PROPERTY", ["combined"], 1)
            client.ask("SET_PROPERTY", ["combined", True], 2)
            client.ask("SUBSCRIBE", ["btcusdt@aggTrade"], 3)
            client.ask("UNSUBSCRIBE", ["ethusdt@aggTrade"], 4)
            await client.until(lambda: len(client.replies) == 4)
            assert client.replies == [
                {"result": False, "id": 1},
                {"result": None, "id": 2},
                {"result": None, "id": 3},
                {"result": None, "id": 4},
            ]
            gone = next(number for number, one in enumerate(client.parsed) if one.get("id") == 4)
            await client.until(lambda: len(client.parsed) > gone + 20)
            assert {one.get("stream") for one in client.parsed[gone + 1 :]} == {"btcusdt@aggTrade"}

    run(scenario())


def test_non_ascii_symbols_in_the_url() -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            client = await VenueClient.connect(f"{venue.url}/market/stream?streams=%E5%B8%81%E5%AE%89usdt@aggTrade")
            await client.until(client.data)
            assert client.data()[0]["s"] == "币安USDT"

    run(scenario())


def test_pings_and_a_client_that_does_not_answer() -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(limits=VenueLimits(ping_interval=0.1, pong_timeout=3.0))) as venue:
            url = f"{venue.url}/market/stream?streams=btcusdt@markPrice@1s"
            good, mute = await VenueClient.connect(url), await VenueClient.connect(url, pong=False)
            await mute.until(lambda: mute.gone)
            await good.until(lambda: good.pings >= 3)
            assert not good.gone
            assert mute.pings == 1

    run(scenario())


def test_unasked_pongs_and_client_pings_are_fine() -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            client = await VenueClient.connect(f"{venue.url}/market/ws")
            client.transport.send_pong(b"x")
            client.transport.send_ping(b"hello")
            client.ask("LIST_SUBSCRIPTIONS")
            await client.until(lambda: client.replies)
            assert client.close_code is None

    run(scenario())


def test_the_eleventh_message_in_a_second_ends_the_connection() -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            client = await VenueClient.connect(f"{venue.url}/market/ws")
            for number in range(10):
                client.ask("LIST_SUBSCRIPTIONS", number=number)
            await client.until(lambda: len(client.replies) == 10)
            assert client.close_code is None
            for number in range(11):
                client.ask("LIST_SUBSCRIPTIONS", number=number)
            await client.until(lambda: client.gone)
            assert client.close_code == 1008

    run(scenario())


def test_stream_limit_by_request_and_by_url() -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(limits=VenueLimits(streams=3))) as venue:
            client = await VenueClient.connect(f"{venue.url}/market/ws/a@trade/b@trade")
            client.ask("SUBSCRIBE", ["c@trade", "d@trade"])
            await client.until(lambda: client.replies)
            assert client.replies[0]["error"]["code"] == 4
            with pytest.raises(WSInvalidStatusError):
                await VenueClient.connect(f"{venue.url}/market/ws/a/b/c/d")

    run(scenario())


def test_day_long_life_is_market_time() -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            client = await VenueClient.connect(f"{venue.url}/public/stream?streams=btcusdt@bookTicker")
            await client.until(client.data)
            venue.clock.jump(86_400_000)
            await client.until(lambda: client.gone)
            assert client.close_code == 1001

    run(scenario())


@pytest.mark.parametrize("how", ["close", "abort", "reset"])
def test_cut_and_come_back(how: Any) -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            url = f"{venue.url}/market/stream?streams=btcusdt@aggTrade"
            client = await VenueClient.connect(url)
            await client.until(client.data)
            assert venue.cut(how, code=1012) == 1
            await client.until(lambda: client.gone)
            assert client.close_code == (1012 if how == "close" else None)
            await client.until(lambda: not venue.connections or client.gone)
            again = await VenueClient.connect(url)
            await again.until(again.data)
            assert again.data()[0]["a"] > client.data()[-1]["a"]

    run(scenario())


def test_a_stall_is_silent_and_counts_nothing() -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            url = f"{venue.url}/market/stream?streams=btcusdt@aggTrade"
            stalled = await VenueClient.connect(url)
            await stalled.until(stalled.data)
            venue.cut("stall")
            before = venue.sent["trade"]
            other = await VenueClient.connect(url)
            await other.until(lambda: len(other.data()) > 100)
            await other.goodbye()
            assert venue.sent["trade"] - before == len(other.data())
            assert not stalled.gone

    run(scenario())


def test_refused_upgrades() -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            url = f"{venue.url}/market/ws"
            venue.refuse(429, {"Retry-After": "7"})
            venue.refuse(418, times=2)
            statuses = []
            for _ in range(3):
                with pytest.raises(WSInvalidStatusError) as refused:
                    await VenueClient.connect(url)
                assert refused.value.response
                statuses.append(refused.value.response.status)
            assert statuses == [429, 418, 418]
            await (await VenueClient.connect(url)).goodbye()
            with pytest.raises(WSInvalidStatusError):
                await VenueClient.connect(f"{venue.url}/nowhere")

    run(scenario())


def test_lost_frames_are_a_hole_and_not_counted() -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            client = await VenueClient.connect(f"{venue.url}/market/stream?streams=btcusdt@aggTrade")
            await client.until(client.data)
            venue.lose("btcusdt@aggTrade", 5)
            before = len(client.data())
            await client.until(lambda: len(client.data()) > before + 50)
            await client.goodbye()
            ids = [trade["a"] for trade in client.data()]
            assert ids[-1] - ids[0] + 1 == len(ids) + 5
            assert venue.sent["trade"] == len(ids)

    run(scenario())


def test_a_pause_stops_the_markets() -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            client = await VenueClient.connect(f"{venue.url}/market/stream?streams=btcusdt@aggTrade")
            await client.until(client.data)
            venue.paused = True
            client.ask("LIST_SUBSCRIPTIONS")
            await client.until(lambda: client.replies)
            sent = venue.sent["trade"]
            client.ask("LIST_SUBSCRIPTIONS", number=2)
            await client.until(lambda: len(client.replies) == 2)
            assert venue.sent["trade"] == sent
            venue.paused = False
            await client.until(lambda: len(client.data()) > sent)

    run(scenario())


def test_a_reader_that_stops_reading_is_cut_at_the_backlog_limit() -> None:
    async def scenario() -> None:
        limits = VenueLimits(backlog_bytes=1 << 20)
        async with LoopbackVenue(Options(mode="blast", rate=50_000, limits=limits)) as venue:
            client = await VenueClient.connect(f"{venue.url}/public/stream?streams=btcusdt@depth20@100ms")
            client.transport.underlying_transport.pause_reading()
            await settled(lambda: venue.counts.frames_sent and not venue.connections)

    run(scenario())


def test_large_frames_of_one_turn_stay_whole() -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(rate=20)) as venue:
            names = "/".join(f"coin{number}usdt@depth" for number in range(30))
            client = await VenueClient.connect(f"{venue.url}/public/stream?streams={names}/!markPrice@arr@1s")
            market = await VenueClient.connect(f"{venue.url}/market/stream?streams=!ticker@arr/!markPrice@arr@1s")
            await market.until(lambda: market.data("!ticker@arr") and market.data("!markPrice@arr@1s"))
            assert max(map(len, market.texts)) > 8192
            await market.goodbye()
            await client.goodbye()
            assert len(client.parsed) + len(market.parsed) == venue.counts.frames_sent

    run(scenario())


def test_stop_says_goodbye() -> None:
    async def scenario() -> None:
        venue = LoopbackVenue()
        await venue.start()
        client = await VenueClient.connect(f"{venue.url}/market/stream?streams=btcusdt@aggTrade")
        await client.until(client.data)
        await venue.stop()
        await client.until(lambda: client.gone)
        assert client.close_code == 1001
        assert len(client.data()) == venue.sent["trade"]

    run(scenario())


def test_garbage_on_the_socket_hurts_nobody_else() -> None:
    async def scenario() -> None:
        async with LoopbackVenue() as venue:
            client = await VenueClient.connect(f"{venue.url}/market/stream?streams=btcusdt@aggTrade")
            for garbage in (b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" * 9, b"A" * 40_000):
                reader, writer = await asyncio.open_connection("127.0.0.1", venue.port)
                writer.write(garbage)
                writer.write_eof()
                with contextlib.suppress(ConnectionResetError):
                    await reader.read()
                writer.close()
            binary = await VenueClient.connect(f"{venue.url}/market/ws")
            binary.transport.send(WSMsgType.BINARY, b"\x00\x01")
            await binary.until(lambda: binary.gone)
            assert binary.close_code == 1003
            before = len(client.data())
            await client.until(lambda: len(client.data()) > before + 10)

    run(scenario())


def test_a_venue_in_a_thread() -> None:
    with VenueThread(lambda: LoopbackVenue(Options(rate=500))) as thread:
        venue = thread.venue
        with socket.create_connection(("127.0.0.1", venue.port), 10) as raw:
            raw.sendall(
                b"GET /market/ws/btcusdt@aggTrade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            received = b""
            while not re.search(rb'"e":"aggTrade".*"m":(true|false)', received):
                received += raw.recv(4096)
            assert b"101 Switching Protocols" in received
            assert thread.call(lambda venue: venue.cut("abort")) == 1
            while raw.recv(4096):
                pass
        assert venue.sent["trade"] >= 1
