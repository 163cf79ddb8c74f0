"""The Bybit dialect: frames as documented, books and tickers that add up, requests, REST, and counts on the wire."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import uvloop
from frames_path import frames
from hypothesis import given, settings
from hypothesis import strategies as st
from picows import WSMsgType
from venue_client import VenueClient, settled

from wsadapter.embedded.exchange.connection import VenueLimits
from wsadapter.embedded.exchange.requests import Subscriptions, Target
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.market.clock import MarketState
from wsadapter.embedded.market.markets import Markets
from wsadapter.embedded.venues.bybit import LINEAR
from wsadapter.embedded.venues.bybit_rest import CODES, REQUEST_LIMIT


def subscriptions() -> Subscriptions:
    return LINEAR.subscriptions(Target(""), 1024)


START_MS = 1_790_771_371_000
TOPICS = [
    f"{head}.BTCUSDT"
    for head in (
        "publicTrade", "orderbook.1", "orderbook.50", "orderbook.200", "orderbook.1000", "kline.1", "kline.M",
        "tickers", "allLiquidation",
    )
]  # fmt: skip
EVENTS = {
    "ticker": {"lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h", "volume24h", "turnover24h"},
    "mark_price": {"markPrice", "indexPrice"},
    "funding_rate": {"fundingRate", "nextFundingTime"},
    "open_interest": {"openInterest"},
    "book_ticker": {"bid1Price", "bid1Size", "ask1Price", "ask1Size"},
}
WORDS = {"publicTrade": "trade", "orderbook": "depth", "kline": "kline", "allLiquidation": "liquidation"}


class Desk:
    """Markets moved by hand, their subscribers' first snapshots and pushes, and their REST."""

    def __init__(self, *topics: str) -> None:
        self.now_ms = START_MS
        self.floor = Markets(("BTCUSDT", "ETHUSDT", "SOLUSDT"), 400, 3, MarketState(), lambda: self.now_ms)
        self.rest = LINEAR.rest(self.floor, lambda: self.now_ms)
        self.pushed: dict[str, list[Any]] = defaultdict(list)
        for topic in topics:
            self.floor.subscribe(self.offered(topic))
            self.join(topic)

    @staticmethod
    def offered(topic: str) -> Any:
        stream = LINEAR.offered(topic)
        assert stream, topic
        return stream

    def join(self, topic: str) -> Any:
        """What somebody who subscribes now gets first."""
        snapshot = self.floor.snapshot(self.offered(topic))
        if snapshot:
            self.pushed[topic].append(msgspec.json.decode(snapshot.data))
        return self.pushed[topic][-1] if snapshot else None

    def run(self, seconds: float) -> "Desk":
        for _ in range(round(seconds * 50)):
            self.now_ms += 20
            for push in self.floor.advance(self.now_ms):
                self.pushed[push.stream].append(msgspec.json.decode(push.data))
        return self

    def get(self, name: str, **query: object) -> Any:
        reply = self.rest.answer(f"/v5/market/{name}", {key: str(value) for key, value in query.items()})
        assert reply.status == 200
        return msgspec.json.decode(reply.body)

    def rows(self, name: str, **query: object) -> Any:
        body = self.get(name, **query)
        assert (body["retCode"], body["retMsg"], body["time"]) == (0, "OK", self.now_ms)
        return body["result"]["list"]


def shape(value: Any, path: str = "") -> dict[str, str]:
    """Key path -> JSON type; the elements of a list are one."""
    if isinstance(value, dict):
        return {k: t for key, inner in value.items() for k, t in shape(inner, f"{path}.{key}").items()}
    if isinstance(value, list):
        return {k: t for inner in value for k, t in shape(inner, f"{path}[]").items()} or {f"{path}[]": ""}
    return {path: type(value).__name__}


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk(*TOPICS).run(75)


def documented(name: str) -> list[Any]:
    return [msgspec.json.decode(line) for line in frames(f"bybit_linear/{name}").read_bytes().split(b"\n") if line]


@pytest.mark.parametrize(
    ("file", "topics"),
    [
        ("examples_trade.jsonl", ["publicTrade.BTCUSDT"]),
        ("examples_depth.jsonl", ["orderbook.50.BTCUSDT", "orderbook.200.BTCUSDT", "orderbook.1000.BTCUSDT"]),
        ("examples_book_ticker.jsonl", ["orderbook.1.BTCUSDT"]),
        ("examples_kline.jsonl", ["kline.1.BTCUSDT", "kline.M.BTCUSDT"]),
        ("examples_liquidation.jsonl", ["allLiquidation.BTCUSDT"]),
        ("examples_ticker_mark_funding_oi.jsonl", ["tickers.BTCUSDT"]),
    ],
)
def test_keys_and_types_are_the_documented_ones(file: str, topics: list[str], desk: Desk) -> None:
    examples = [shape(one) for one in documented(file)]
    whole = [shape(one) for one in documented(file) if one["type"] == "snapshot"]
    ever = {key: of for example in examples for key, of in example.items() if of}
    always = set.intersection(*(set(one) for one in whole))
    if file == "examples_depth.jsonl":
        ever[".cts"] = "int"  # these are of 2023, and it came later
    for topic in topics:
        assert desk.pushed[topic], topic
        for frame in desk.pushed[topic]:
            ours = {key: of for key, of in shape(frame).items() if of}
            assert {key: ever.get(key) for key in ours} == ours, topic
            if frame["type"] == "snapshot":
                assert always <= set(ours), topic


def test_rest_rows_look_like_the_documented_ones(desk: Desk) -> None:
    bodies = [one for one in documented("nautilus_rest_fixtures.jsonl") if "retCode" in one]
    funding, symbols = (
        next(one["result"]["list"][0] for one in bodies if key in one["result"]["list"][0])
        for key in ("fundingRateTimestamp", "lotSizeFilter")
    )
    trade = next(
        one["result"]["list"][0]
        for one in documented("docs_examples.jsonl")
        if "retCode" in one and "execId" in next(iter(one["result"].get("list", [])), ())
    )
    assert shape(desk.rows("funding/history", symbol="BTCUSDT")[0]) == shape(funding)
    assert shape(desk.rows("recent-trade", symbol="BTCUSDT", limit=1)[0]) == shape(trade)
    ours = shape(desk.rows("instruments-info")[0])
    shared = shape(symbols).keys() & ours.keys()
    assert {key: ours[key] for key in shared} == {key: shape(symbols)[key] for key in shared}
    assert len(shared) > 15


@pytest.mark.parametrize("levels", [50, 200, 1000])
def test_changes_on_a_snapshot_give_the_book(levels: int) -> None:
    topic = f"orderbook.{levels}.BTCUSDT"
    desk = Desk(topic, "publicTrade.BTCUSDT").run(10)
    desk.pushed[topic].clear()
    later = desk.join(topic)
    desk.run(20)
    assert [one["type"] for one in desk.pushed[topic]] == ["snapshot", *["delta"] * (len(desk.pushed[topic]) - 1)]
    assert len(desk.pushed[topic]) > 50
    assert all(b["data"]["u"] == a["data"]["u"] + 1 for a, b in pairwise(desk.pushed[topic]))
    assert all(b["data"]["seq"] > a["data"]["seq"] for a, b in pairwise(desk.pushed[topic]))
    sides = {side: dict(map(tuple, later["data"][side])) for side in "ba"}
    for delta in desk.pushed[topic][1:]:
        for side in "ba":
            for price, quantity in delta["data"][side]:
                if quantity == "0":
                    del sides[side][price]
                else:
                    sides[side][price] = quantity
    snapshot = desk.join(topic)["data"]
    assert snapshot["u"] == desk.pushed[topic][-2]["data"]["u"]
    for side, reverse in (("b", True), ("a", False)):
        ordered = sorted(sides[side].items(), key=lambda level: float(level[0]), reverse=reverse)
        assert [list(level) for level in ordered] == snapshot[side]
        assert len(ordered) == min(levels, 100)


def test_level_one_is_always_a_snapshot(desk: Desk) -> None:
    pushed = desk.pushed["orderbook.1.BTCUSDT"]
    assert {one["type"] for one in pushed} == {"snapshot"}
    assert {(len(one["data"]["b"]), len(one["data"]["a"])) for one in pushed} == {(1, 1)}


def test_ticker_changes_add_up_to_what_a_new_subscriber_gets(desk: Desk) -> None:
    state: dict[str, str] = {}
    first, *rest = desk.pushed["tickers.BTCUSDT"]
    assert first["type"] == "snapshot"
    assert len(rest) > 300
    state |= first["data"]
    for delta in rest:
        assert delta["type"] == "delta"
        fields = {key: value for key, value in delta["data"].items() if key != "symbol"}
        assert fields
        assert all(state[key] != value for key, value in fields.items())
        state |= fields
    assert desk.floor.snapshot(Desk.offered("tickers.BTCUSDT")) is not None
    assert desk.join("tickers.BTCUSDT")["data"] == state
    desk.pushed["tickers.BTCUSDT"].pop()


def test_trades_have_their_own_ids_and_candles_are_the_trades(desk: Desk) -> None:
    trades = [trade for frame in desk.pushed["publicTrade.BTCUSDT"] for trade in frame["data"]]
    assert len({trade["i"] for trade in trades}) == len(trades) > 200
    assert {trade["S"] for trade in trades} == {"Buy", "Sell"}
    closed = [k for frame in desk.pushed["kline.1.BTCUSDT"] for k in frame["data"] if k["confirm"]]
    assert closed
    for k in closed:
        prices = [trade["p"] for trade in trades if k["start"] <= trade["T"] <= k["end"]]
        assert (k["open"], k["close"]) == (prices[0], prices[-1])
        assert (float(k["high"]), float(k["low"])) == (max(map(float, prices)), min(map(float, prices)))


def test_a_bad_topic_voids_its_whole_request() -> None:
    connection = subscriptions()
    answer = connection.answer(
        b'{"req_id":7,"op":"subscribe","args":["publicTrade.BTCUSDT","orderbook.500.BTCUSDT","tickers.BTCUSDT"]}'
    )
    reply = msgspec.json.decode(answer.replies[0])
    connection_id = reply.pop("conn_id")
    message = "error:handler not found,topic:orderbook.500.BTCUSDT"
    assert reply == {"success": False, "ret_msg": message, "req_id": "7", "op": "subscribe"}
    assert (connection.names, answer.added, answer.acked) == ({}, (), False)
    answer = connection.answer(b'{"req_id":"8","op":"subscribe","args":["publicTrade.BTCUSDT","tickers.BTCUSDT"]}')
    assert msgspec.json.decode(answer.replies[0]) == {
        "success": True, "ret_msg": "", "conn_id": connection_id, "req_id": "8", "op": "subscribe",
    }  # fmt: skip
    assert (answer.added, answer.acked) == (("publicTrade.BTCUSDT", "tickers.BTCUSDT"), True)
    answer = connection.answer(b'{"op":"unsubscribe","args":["tickers.BTCUSDT","tickers.ETHUSDT"]}')
    assert (answer.removed, list(connection.names)) == (("tickers.BTCUSDT",), ["publicTrade.BTCUSDT"])
    assert msgspec.json.decode(answer.replies[0])["req_id"] == ""
    answer = connection.answer(b'{"req_id":"p","op":"ping"}')
    assert msgspec.json.decode(answer.replies[0]) == {
        "success": True, "ret_msg": "pong", "conn_id": connection_id, "req_id": "p", "op": "ping",
    }  # fmt: skip
    assert not answer.acked


def test_at_most_21000_characters_of_topics() -> None:
    connection = subscriptions()
    topics = [f"publicTrade.COIN{number:04}USDT" for number in range(1200)]
    for begin in range(0, 800, 100):
        request = {"op": "subscribe", "args": topics[begin : begin + 100], "req_id": "1"}
        assert connection.answer(msgspec.json.encode(request)).acked
    assert sum(map(len, connection.names)) == 800 * 24
    answer = connection.answer(msgspec.json.encode({"op": "subscribe", "args": topics[800:1200], "req_id": "2"}))
    assert msgspec.json.decode(answer.replies[0])["success"] is False
    assert len(connection.names) == 800


@settings(max_examples=50)
@given(
    st.binary() | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(msgspec.json.encode)
)
def test_any_bytes_get_an_answer(request_bytes: bytes) -> None:
    reply = msgspec.json.decode(subscriptions().answer(request_bytes).replies[0])
    assert set(reply) == {"success", "ret_msg", "conn_id", "req_id", "op"}


def test_names_that_exist_and_names_that_do_not() -> None:
    assert all(LINEAR.offered(f"kline.{code}.BTCUSDT") for code in CODES)
    for name in (
        "kline.480.BTCUSDT", "kline.BTCUSDT", "orderbook.500.BTCUSDT", "orderbook.BTCUSDT", "tickers.btcusdt",
        "tickers", "publicTrade", "", ".", "orderbook.50.50.BTCUSDT", "liquidation.BTCUSDT", "orderbook.\u0661.BTCUSDT",
    ):  # fmt: skip
        assert LINEAR.offered(name) is None, name
    assert LINEAR.target("/v5/public/linear") is not None
    assert LINEAR.target("/v5/public/spot") is None
    assert LINEAR.target("/ws") is None


def test_klines_are_paged_from_the_newest(desk: Desk) -> None:
    rows = desk.rows("kline", category="linear", symbol="BTCUSDT", interval="1")
    starts = [int(row[0]) for row in rows]
    assert starts == sorted(starts, reverse=True)
    assert starts[0] + 60_000 > desk.now_ms
    closed = [k for frame in desk.pushed["kline.1.BTCUSDT"] for k in frame["data"] if k["confirm"]]
    keys = ("start", "open", "high", "low", "close", "volume", "turnover")
    assert rows[1:] == [[str(k[key]) for key in keys] for k in reversed(closed)]
    assert desk.rows("kline", symbol="BTCUSDT", interval="1", limit=1) == rows[:1]
    assert desk.rows("kline", symbol="BTCUSDT", interval="1", end=starts[0] - 1) == rows[1:]
    assert desk.rows("kline", symbol="BTCUSDT", interval="1", start=starts[0]) == rows[:1]


def test_recent_trades_are_the_streamed_ones_newest_first(desk: Desk) -> None:
    streamed = [trade for frame in desk.pushed["publicTrade.BTCUSDT"] for trade in frame["data"]]
    rows = desk.rows("recent-trade", symbol="BTCUSDT", limit=100)
    keys = (("execId", "i"), ("price", "p"), ("size", "v"), ("side", "S"), ("symbol", "s"))
    assert [[row[ours] for ours, _ in keys] for row in rows] == [
        [trade[theirs] for _, theirs in keys] for trade in reversed(streamed[-100:])
    ]
    assert [(row["time"], row["seq"]) for row in rows] == [(str(t["T"]), str(t["seq"])) for t in streamed[:-101:-1]]


def test_the_book_of_rest_is_the_deepest_stream(desk: Desk) -> None:
    book = desk.get("orderbook", symbol="BTCUSDT", limit=50)["result"]
    assert book["u"] == desk.pushed["orderbook.1000.BTCUSDT"][-1]["data"]["u"]
    assert (len(book["b"]), len(book["a"])) == (50, 50)
    assert shape(book) == shape({**desk.pushed["orderbook.50.BTCUSDT"][0]["data"], "ts": 1, "cts": 1})


def test_cursors_lead_through_all_pages() -> None:
    desk, seen, cursor = Desk(), list[str](), ""
    for _ in range(3):
        result = desk.get("instruments-info", category="linear", limit=1, cursor=cursor)["result"]
        seen += [row["symbol"] for row in result["list"]]
        cursor = result["nextPageCursor"]
    assert (seen, cursor) == (["BTCUSDT", "ETHUSDT", "SOLUSDT"], "")
    first = desk.get("open-interest", symbol="BTCUSDT", intervalTime="5min", limit=2)["result"]
    second = desk.get("open-interest", symbol="BTCUSDT", intervalTime="5min", limit=2, cursor=first["nextPageCursor"])[
        "result"
    ]
    times = [int(row["timestamp"]) for row in (*first["list"], *second["list"])]
    assert [before - after for before, after in pairwise(times)] == [300_000] * 3


def test_funding_history_wants_an_end() -> None:
    desk = Desk()
    rows = desk.rows("funding/history", symbol="BTCUSDT", limit=3)
    times = [int(row["fundingRateTimestamp"]) for row in rows]
    assert times == sorted(times, reverse=True)
    assert desk.get("funding/history", symbol="BTCUSDT", startTime=times[-1])["retCode"] == 10001
    assert desk.rows("funding/history", symbol="BTCUSDT", startTime=times[-1], endTime=times[0]) == rows
    assert desk.rows("funding/history", symbol="BTCUSDT", endTime=times[0] - 1)[0] == rows[1]


@pytest.mark.parametrize(
    ("name", "query", "code"),
    [
        ("kline", {"interval": "1"}, 10001),
        ("kline", {"symbol": "NOSUCH", "interval": "1"}, 10029),
        ("kline", {"symbol": "BTCUSDT", "interval": "480"}, 10001),
        ("kline", {"symbol": "BTCUSDT", "interval": "1", "limit": "1001"}, 10001),
        ("kline", {"symbol": "BTCUSDT", "interval": "1", "start": "x"}, 10001),
        ("kline", {"symbol": "BTCUSDT", "interval": "1", "category": "spot"}, 10001),
        ("open-interest", {"symbol": "BTCUSDT", "intervalTime": "2h"}, 10001),
        ("instruments-info", {"cursor": "nonsense"}, 10001),
    ],
)
def test_errors_are_codes_in_the_body(name: str, query: dict[str, str], code: int) -> None:
    body = Desk().get(name, **query)
    assert (body["retCode"], body["result"], set(body)) == (
        code, {}, {"retCode", "retMsg", "result", "retExtInfo", "time"},
    )  # fmt: skip


def test_too_many_requests_are_forbidden_until_the_window_ends() -> None:
    desk = Desk()
    statuses = [desk.rest.answer("/v5/market/time", {}).status for _ in range(REQUEST_LIMIT + 1)]
    assert statuses == [200] * REQUEST_LIMIT + [403]
    desk.now_ms += 5_000
    assert desk.get("time")["result"] == {
        "timeSecond": str(desk.now_ms // 1000), "timeNano": str(desk.now_ms * 1_000_000),
    }  # fmt: skip
    assert desk.rest.answer("/v5/market/nothing", {}).status == 404


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 120))


def ask(client: VenueClient, op: str, topics: list[str] | None = None, number: str = "1") -> None:
    request = {"op": op, "req_id": number} | ({} if topics is None else {"args": topics})
    client.transport.send(WSMsgType.TEXT, msgspec.json.encode(request))


def topics_of(client: VenueClient, topic: str) -> list[Any]:
    return [one for one in client.parsed if one.get("topic") == topic]


def read_by(client: VenueClient) -> Counter[str]:
    """What the product would make of what this client has read."""
    seen: Counter[str] = Counter()
    for frame in client.parsed:
        head = frame.get("topic", "").partition(".")[0]
        if head == "tickers":
            seen.update(word for word, of in EVENTS.items() if of & frame["data"].keys())
        elif head:
            seen[WORDS[head]] += len(frame["data"]) if isinstance(frame["data"], list) else 1
    return seen


def test_counters_are_what_clients_read_until_close() -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(exchange="bybit", minute_ends_in=1)) as venue:
            first = await VenueClient.connect(f"{venue.url}/v5/public/linear")
            ask(first, "subscribe", TOPICS)
            await first.until(lambda: venue.sent["liquidation"] and venue.sent["open_interest"] > 1)
            second = await VenueClient.connect(f"{venue.url}/v5/public/linear")
            ask(second, "subscribe", ["orderbook.50.BTCUSDT", "tickers.BTCUSDT"])
            await second.until(lambda: len(topics_of(second, "tickers.BTCUSDT")) > 3)
            await first.until(lambda: any(k["data"][0]["confirm"] for k in topics_of(first, "kline.1.BTCUSDT")))
            for client in (first, second):
                await client.goodbye()
            assert read_by(first) + read_by(second) == venue.sent
            assert set(venue.sent) == {*WORDS.values(), *EVENTS}
            # the snapshots came before the ack
            assert [one.get("type", one.get("op")) for one in second.parsed[:3]] == [
                "snapshot",
                "snapshot",
                "subscribe",
            ]
            for topic in ("orderbook.50.BTCUSDT", "tickers.BTCUSDT"):
                assert [one["type"] for one in topics_of(second, topic)[:2]] == ["snapshot", "delta"]

    run(scenario())


def test_a_ping_is_answered_and_silence_is_closed() -> None:
    async def scenario() -> None:
        limits = VenueLimits(ping_interval=0, silence=3.0, life=0, messages=0)
        async with LoopbackVenue(Options(exchange="bybit", limits=limits)) as venue:
            quiet = await VenueClient.connect(f"{venue.url}/v5/public/linear")
            ask(quiet, "subscribe", ["publicTrade.BTCUSDT"])
            lively = await VenueClient.connect(f"{venue.url}/v5/public/linear")
            while not quiet.gone:
                ask(lively, "ping", number="p")
                await asyncio.sleep(0.1)
            assert quiet.close_code == 1000
            assert not lively.gone
            assert lively.parsed[0]["ret_msg"] == "pong"
            assert lively.pings == 0

    run(scenario())


def test_a_lost_frame_is_a_hole_and_a_new_subscription_mends_it() -> None:
    async def scenario() -> None:
        topic = "orderbook.50.BTCUSDT"
        async with LoopbackVenue(Options(exchange="bybit")) as venue:
            client = await VenueClient.connect(f"{venue.url}/v5/public/linear")
            ask(client, "subscribe", [topic])
            await client.until(lambda: len(topics_of(client, topic)) > 5)
            venue.lose(topic, 2)

            def steps() -> list[int]:
                return [b["data"]["u"] - a["data"]["u"] for a, b in pairwise(topics_of(client, topic))]

            await client.until(lambda: 3 in steps())
            ask(client, "unsubscribe", [topic], "2")
            ask(client, "subscribe", [topic], "3")
            await client.until(lambda: [one["type"] for one in topics_of(client, topic)].count("snapshot") == 2)
            numbers = [one["data"]["u"] for one in topics_of(client, topic)]
            assert numbers == sorted(set(numbers))
            assert venue.cut("reset") == 1
            await settled(lambda: client.gone)

    run(scenario())


def test_other_paths_are_not_served() -> None:
    async def scenario() -> None:
        async with LoopbackVenue(Options(exchange="bybit")) as venue:
            with pytest.raises(Exception, match=r"404|400|upgrade|Upgrade|handshake"):
                await VenueClient.connect(f"{venue.url}/market/stream")

    run(scenario())
