"""REST says what the streams said: shapes, limits, weights, errors, over real HTTP where that matters."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import urllib3
import uvloop
from venue_client import VenueClient

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.market.binance_rest import WEIGHT_LIMIT, Rest
from wsadapter.embedded.market.binance_streams import offered
from wsadapter.embedded.market.clock import MarketState
from wsadapter.embedded.market.markets import Markets

START_MS = 1_790_771_371_000


class LoopbackRest:
    """A floor with one subscriber, moved by hand, and its REST."""

    def __init__(self, *streams: str) -> None:
        self.now_ms = START_MS
        self.floor = Markets(("BTCUSDT", "ETHUSDT"), 100, 1, MarketState(), lambda: self.now_ms)
        self.rest = Rest(self.floor, lambda: self.now_ms)
        self.pushed: list[Any] = []
        for name in streams:
            stream = offered(name)
            assert stream
            self.floor.subscribe(stream)

    def run(self, seconds: int) -> "LoopbackRest":
        for _ in range(seconds * 20):
            self.now_ms += 50
            self.pushed += [msgspec.json.decode(push.data) for push in self.floor.advance(self.now_ms)]
        return self

    def get(self, name: str, **query: object) -> Any:
        reply = self.rest.answer(f"/fapi/v1/{name}", {key: str(value) for key, value in query.items()})
        return msgspec.json.decode(reply.body)


def test_klines_are_the_streamed_candles() -> None:
    venue = LoopbackRest("btcusdt@kline_1m").run(200)
    rows = venue.get("klines", symbol="BTCUSDT", interval="1m")
    closed = [event["k"] for event in venue.pushed if event["k"]["x"]]
    assert len(rows) == len(closed) + 1
    for row, k in zip(rows, closed, strict=False):
        assert row == [k[x] for x in "tohlcvTqnVQ"] + ["0"]
    assert rows[-1][6] > venue.now_ms
    assert venue.get("klines", symbol="BTCUSDT", interval="1m", startTime=rows[1][0], limit=1) == [rows[1]]
    assert venue.get("klines", symbol="BTCUSDT", interval="1m", endTime=rows[1][0]) == rows[:2]
    assert venue.get("klines", symbol="BTCUSDT", interval="1m", limit=2) == rows[-2:]
    assert [type(cell).__name__ for cell in rows[0]] == ["int", *["str"] * 5, "int", "str", "int", *["str"] * 3]


def test_agg_trades_are_the_streamed_ones() -> None:
    venue = LoopbackRest("btcusdt@aggTrade").run(30)
    streamed = {event["a"]: event for event in venue.pushed}
    ids = sorted(streamed)
    page = venue.get("aggTrades", symbol="BTCUSDT", fromId=ids[10], limit=100)
    assert [row["a"] for row in page] == ids[10:110]
    for row in page:
        assert row == {key: streamed[row["a"]][key] for key in ("a", "p", "q", "nq", "f", "l", "T", "m")}
    assert [row["a"] for row in venue.get("aggTrades", symbol="BTCUSDT", limit=5)] == ids[-5:]
    start = streamed[ids[20]]["T"]
    assert venue.get("aggTrades", symbol="BTCUSDT", startTime=start, endTime=start + 1000)[0]["T"] >= start


def test_depth_is_the_book_of_the_diffs() -> None:
    venue = LoopbackRest("btcusdt@depth@100ms").run(5)
    book = venue.get("depth", symbol="BTCUSDT", limit=1000)
    before = [event for event in venue.pushed if event["u"] <= book["lastUpdateId"]][-1]
    after = len(venue.pushed)
    venue.run(1)
    first = venue.pushed[after]
    assert first["pu"] == before["u"]
    assert first["U"] <= book["lastUpdateId"] <= first["u"] or first["pu"] == book["lastUpdateId"]
    assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
    assert len(venue.get("depth", symbol="BTCUSDT", limit=5)["bids"]) == 5


def test_funding_mark_price_and_open_interest() -> None:
    venue = LoopbackRest("btcusdt@markPrice@1s").run(3)
    streamed = venue.pushed[-1]
    venue.now_ms = streamed["E"]
    index = venue.get("premiumIndex", symbol="BTCUSDT")
    assert (index["markPrice"], index["indexPrice"]) == (streamed["p"], streamed["i"])
    assert (index["lastFundingRate"], index["nextFundingTime"]) == (streamed["r"], streamed["T"])
    history = venue.get("fundingRate", symbol="BTCUSDT", limit=3)
    assert [row["fundingTime"] for row in history] == [streamed["T"] - n * 8 * 3_600_000 for n in (3, 2, 1)]
    assert history == venue.get("fundingRate", symbol="BTCUSDT", limit=3)
    assert set(venue.get("openInterest", symbol="BTCUSDT")) == {"symbol", "openInterest", "time"}


def test_exchange_info_names_the_demo_symbols_and_their_ticks() -> None:
    info = LoopbackRest().get("exchangeInfo")
    symbols = {one["symbol"]: one for one in info["symbols"]}
    assert set(symbols) == {"BTCUSDT", "ETHUSDT"}
    assert symbols["BTCUSDT"]["filters"][0]["tickSize"] == "0.10"
    assert symbols["BTCUSDT"]["filters"][1]["stepSize"] == "0.001"
    assert info["rateLimits"][0]["limit"] == WEIGHT_LIMIT


def test_errors_have_the_venues_codes() -> None:
    venue = LoopbackRest()
    cases: list[tuple[int, str, dict[str, object]]] = [
        (-1102, "klines", {"interval": "1m"}),
        (-1121, "klines", {"symbol": "NOSUCH", "interval": "1m"}),
        (-1120, "klines", {"symbol": "BTCUSDT", "interval": "1s"}),
        (-1130, "klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1501}),
        (-1130, "aggTrades", {"symbol": "BTCUSDT", "limit": 0}),
        (-1100, "aggTrades", {"symbol": "BTCUSDT", "fromId": "x"}),
        (-1100, "aggTrades", {"symbol": "BTCUSDT", "fromId": "9" * 5000}),
        (-1128, "aggTrades", {"symbol": "BTCUSDT", "fromId": 1, "startTime": 1}),
        (-4021, "depth", {"symbol": "BTCUSDT", "limit": 7}),
    ]
    assert [venue.get(name, **query)["code"] for _, name, query in cases] == [code for code, _, _ in cases]
    assert venue.rest.answer("/fapi/v1/nothing", {}).status == 404
    assert venue.rest.answer("/", {}).status == 404


def test_weight_is_counted_and_limited_by_the_minute() -> None:
    venue = LoopbackRest()
    replies = [venue.rest.answer("/fapi/v1/aggTrades", {"symbol": "BTCUSDT"}) for _ in range(WEIGHT_LIMIT // 20 + 1)]
    assert [dict(reply.headers)["X-MBX-USED-WEIGHT-1M"] for reply in replies[:2]] == ["20", "40"]
    assert [reply.status for reply in replies[-2:]] == [200, 429]
    assert 1 <= int(dict(replies[-1].headers)["Retry-After"]) <= 60
    venue.now_ms += 60_000
    assert venue.rest.answer("/fapi/v1/time", {}).status == 200


def test_over_http() -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(rate=200)) as venue:
            client = await VenueClient.connect(f"{venue.url}/market/stream?streams=btcusdt@aggTrade")
            await client.until(lambda: len(client.data()) > 20)

            def ask() -> list[tuple[int, Any, str | None]]:
                with urllib3.PoolManager() as pool:
                    paths = ("time", "aggTrades?symbol=BTCUSDT&limit=1000", "depth?symbol=BTCUSDT", "klines?symbol=X")
                    replies = [pool.request("GET", f"{venue.rest_url}/fapi/v1/{path}", timeout=60) for path in paths]
                    kept = pool.connection_from_url(venue.rest_url)
                    assert (kept.num_connections, kept.num_requests) == (1, 4)
                    return [(r.status, r.json(), r.headers.get("x-mbx-used-weight-1m")) for r in replies]

            now, trades, depth, wrong = await asyncio.to_thread(ask)
            assert abs(now[1]["serverTime"] - venue.clock.now_ms()) < 60_000
            assert trades[2] is not None
            assert client.data()[5]["a"] in [row["a"] for row in trades[1]]
            assert depth[1]["bids"]
            assert (wrong[0], wrong[1]["code"]) == (400, -1121)
            venue.refuse(418, {"Retry-After": "3"}, on="rest")
            refused = await asyncio.to_thread(
                lambda: urllib3.request("GET", f"{venue.rest_url}/fapi/v1/time", retries=False)
            )
            assert (refused.status, refused.headers["Retry-After"]) == (418, "3")

    uvloop.run(asyncio.wait_for(scenario(), 120))
