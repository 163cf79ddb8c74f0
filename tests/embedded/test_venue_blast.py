"""The load feed: numbered without a hole, at the rate that was asked for, beside the ordinary streams."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import msgspec
import uvloop
from venue_client import VenueClient

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.market.binance_load_feed import LoadFeed
from wsadapter.embedded.market.binance_streams import offered
from wsadapter.embedded.market.clock import MarketState
from wsadapter.embedded.market.markets import Markets

STREAMS = ("btcusdt@aggTrade", "ethusdt@aggTrade", "btcusdt@bookTicker", "btcusdt@depth20@100ms", "ethusdt@depth")


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 120))


def test_numbers_and_rate_in_market_time() -> None:
    now_ms, ledger = 1_790_771_371_000, MarketState()
    floor = Markets((), 10, 1, ledger, lambda: now_ms)
    blast = LoadFeed(floor, 5000, 1, ledger, lambda: now_ms)
    for name in (*STREAMS, "btcusdt@kline_1m"):
        stream = offered(name)
        assert stream
        blast.subscribe(stream)
    pushes = []
    for _ in range(200):
        now_ms += 10
        pushes += blast.advance(now_ms)
    by_stream: dict[str, list[Any]] = {name: [] for name in (*STREAMS, "btcusdt@kline_1m")}
    for push in pushes:
        by_stream[push.stream].append(msgspec.json.decode(push.data))
    assert len(pushes) - len(by_stream["btcusdt@kline_1m"]) == 10_000
    assert by_stream["btcusdt@kline_1m"]
    for name in STREAMS[:2]:
        first = by_stream[name][0]["a"]
        assert [event["a"] for event in by_stream[name]] == list(range(first, first + len(by_stream[name])))
        assert all(after["f"] == before["l"] + 1 for before, after in pairwise(by_stream[name]))
    for name in STREAMS[2:]:
        assert all(after["u"] > before["u"] for before, after in pairwise(by_stream[name]))
    for name in STREAMS[3:]:
        assert all(after["pu"] == before["u"] for before, after in pairwise(by_stream[name]))
    assert len(by_stream["btcusdt@depth20@100ms"][0]["b"]) == 20


def test_unlimited_goes_as_fast_as_it_is_read() -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(mode="blast", rate=0)) as venue:
            client = await VenueClient.connect(f"{venue.url}/public/stream?streams=btcusdt@bookTicker")
            await client.until(lambda: len(client.texts) > 20_000)
            await client.goodbye()
            assert len(client.texts) == venue.sent["book_ticker"]
            ids = [event["u"] for event in client.data()]
            assert all(after - before == 3 for before, after in pairwise(ids))

    run(scenario())


def test_two_classes_share_the_rate() -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(mode="blast", rate=20_000)) as venue:
            market = await VenueClient.connect(f"{venue.url}/market/stream?streams=btcusdt@aggTrade")
            public = await VenueClient.connect(f"{venue.url}/public/stream?streams=btcusdt@bookTicker")
            await market.until(lambda: len(market.texts) > 5_000)
            await public.until(lambda: len(public.texts) > 2_000)
            await market.goodbye()
            await public.goodbye()
            assert Counter(venue.sent) == {"trade": len(market.texts), "book_ticker": len(public.texts)}

    run(scenario())
