"""Spot: every recorded frame as an independent reading has it, by its stream's name; numbers, notices and damage."""

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from exchanges.binance_oracle import MS, RECEIVED, Expected, Oracle, shown
from exchanges.fuzzing import mutated
from exchanges.test_binance_golden import lines
from frames_path import FRAMES, frames
from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import Depth, Event, Gap, StreamType, Ticker
from wsadapter.events.records import encode
from wsadapter.exchanges import load
from wsadapter.exchanges.binance.spot import BinanceSpot
from wsadapter.exchanges.venue import Acked, Bad, ClosesSoon, ConnectionPlan, Item, Refused, Reply, Subscription

WORD = "binance_spot"
RECORDED = FRAMES / WORD if FRAMES else None
FILES = sorted(RECORDED.glob("*.jsonl*")) if RECORDED else []
TYPES = {
    "aggTrade": StreamType.TRADE, "trade": StreamType.TRADE, "kline": StreamType.KLINE, "ticker": StreamType.TICKER,
    "bookTicker": StreamType.BOOK_TICKER, "depth": StreamType.DEPTH,
}  # fmt: skip
BARE = {"aggTrade": "aggTrade", "trade": "trade", "24hrTicker": "ticker", "kline": "kline_1m"}


def wrapped(frame: bytes) -> bytes:
    """A bare frame as the combined socket sends it, byte for byte inside; others as they are."""
    document = json.loads(frame)
    kind = "bookTicker" if document.keys() == {"u", "s", "b", "B", "a", "A"} else BARE.get(document.get("e", ""))
    if kind is None:
        return frame
    return b'{"stream":"%s@%s","data":%s}' % (document["s"].lower().encode(), kind.encode(), frame)


def subscription(name: str) -> Subscription:
    symbol, _, channel = name.partition("@")
    kind = re.match("[a-zA-Z]+", channel)
    assert kind is not None
    return Subscription(name, TYPES[kind[0]], symbol.upper(), channel.partition("_")[2])


def spot(*names: str) -> BinanceSpot:
    subscriptions = tuple(map(subscription, names))
    symbols = tuple(dict.fromkeys(each.symbol for each in subscriptions))
    return BinanceSpot(ConnectionPlan("unit-market-0", WORD, "", subscriptions, symbols))


def names_in(recorded: list[bytes]) -> list[str]:
    names = dict.fromkeys(json.loads(frame).get("stream", "") for frame in recorded)
    return [name for name in names if name.partition("@")[2].split("@")[0].rstrip("0123456789").split("_")[0] in TYPES]


class SpotOracle(Oracle):
    """What differs from futures: books and best prices have no type, and no time."""

    def _one(self, d: dict[str, Any], stream: str) -> list[Expected]:
        if "@depth" in stream or "@bookTicker" in stream:
            return self._untold(d, stream)
        return super()._one(d, stream)

    def _untold(self, d: dict[str, Any], stream: str) -> list[Expected]:
        common: Expected = {"symbol": stream.partition("@")[0].upper(), "transaction_time_ns": None}
        if "@bookTicker" in stream:
            best = {"bid_price": d["b"], "bid_quantity": d["B"], "ask_price": d["a"], "ask_quantity": d["A"]}
            return [{"type": "BookTicker", **common, "event_time_ns": None, "update_id": d["u"], **best}]
        limit = re.search(r"@depth(\d+)", stream)
        bids, asks = (d["bids"], d["asks"]) if limit else (d["b"], d["a"])
        return [
            {
                "type": "Depth",
                **common,
                "event_time_ns": None if limit else d["E"] * MS,
                "update_type": "SNAPSHOT" if limit else "DELTA",
                "level_limit": int(limit[1]) if limit else 0,
                "first_update_id": None if limit else d["U"],
                "last_update_id": d["lastUpdateId"] if limit else d["u"],
                "previous_update_id": None if limit else d["U"] - 1,
                "bid_price": [price for price, _ in bids],
                "bid_quantity": [quantity for _, quantity in bids],
                "ask_price": [price for price, _ in asks],
                "ask_quantity": [quantity for _, quantity in asks],
            }
        ]


def reason_of(frame: bytes) -> str:
    """Why a recorded line is no event of ours; empty for one that is."""
    document = json.loads(frame)
    if "path" in document or "lastUpdateId" in document:
        return "a page of REST"
    if "serverShutdown" in json.dumps(document):
        return "notice"
    if {"result", "code"} & document.keys():
        return "answer"
    kinds = {"24hrMiniTicker": "not ours", "blockTrade": "not ours: ids of their own"}
    if document.get("stream", "").startswith("!"):
        return "a stream of all markets, which has ended"
    return kinds.get(document.get("e", ""), "")


@pytest.mark.parametrize("path", [path for path in FILES if "rest" not in path.name], ids=lambda path: path.name)
def test_events_are_those_of_an_independent_reading(path: Path) -> None:
    recorded = [wrapped(frame) for frame in lines(path)]
    venue, oracle = spot(*names_in(recorded)), SpotOracle()
    for frame in recorded:
        items = [item for item in venue.receive(memoryview(frame), RECEIVED) if not isinstance(item, Gap)]
        if reason := reason_of(frame):
            check_no_event(reason, items)
        else:
            assert [shown(item, WORD) for item in items if not isinstance(item, Bad)] == oracle.events(frame), frame
            assert len(items) == len(oracle.events(frame)) == 1


def test_bare_frames_of_a_recording_are_the_same() -> None:
    """Only those that say what they are: books of the top levels do not."""
    bare = [frame for path in FILES if "mixed" not in path.name and "rest" not in path.name for frame in lines(path)
            if wrapped(frame) != frame]  # fmt: skip
    if not bare:
        pytest.skip("the recorded frames (../shared/frames) are not here")
    first, second = (spot(*names_in([wrapped(frame) for frame in bare])) for _ in range(2))
    for frame in bare:
        assert second.receive(frame, RECEIVED) == first.receive(wrapped(frame), RECEIVED) != []
    assert len(bare) >= 5
    change = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": 5, "u": 6, "b": [], "a": []}
    (event,) = second.receive(json.dumps(change).encode(), 1)
    assert isinstance(event, Depth)
    assert (event.symbol, event.last_update_id) == ("BTCUSDT", 6), "though nobody asked for it"
    assert second.receive(json.dumps({**change, "s": "X"}).encode(), 1) == [Bad("foreign_symbol", "x@depth")]


def check_no_event(reason: str, items: Sequence[Item]) -> None:
    kinds = [type(item) for item in items]
    if reason == "notice":
        assert items == [ClosesSoon("serverShutdown")]
    elif reason == "answer":
        assert kinds in ([], [Refused])
    else:
        assert kinds == [Bad]
        assert isinstance(items[0], Bad)
        assert items[0].kind in ("unknown_event", "foreign_symbol")


def test_recorded_sessions_have_no_hole() -> None:
    for name in ("mixed_cf2021.jsonl", "mixed_btcusdt_20240808_first.jsonl.gz"):
        recorded = lines(frames(f"{WORD}/{name}"))
        venue = spot(*names_in(recorded))
        assert [item for frame in recorded for item in venue.receive(frame, 1) if isinstance(item, Gap)] == []
        assert not venue.out_of_order


def test_the_documented_join_follows_by_first_and_last_number() -> None:
    recorded = lines(frames(f"{WORD}/examples_depth_join.jsonl"))
    venue = spot(*names_in(recorded))
    books = [item for frame in recorded for item in venue.receive(frame, 1)]
    # the last one begins again at the number that the snapshot had reached
    assert [(type(item).__name__, getattr(item, "last_update_id", None)) for item in books] == [
        ("Depth", 41603413), ("Depth", 41603418), ("Bad", None), ("Gap", None), ("Depth", 41603419),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- times


def in_microseconds(frame: bytes) -> bytes:
    """The same frame as asked for with ``timeUnit``, each time with 456 more."""
    return re.sub(rb'"([ETOCt])":(\d{13})\b(?=[,}])', rb'"\1":\g<2>456', frame)


def test_microseconds_are_told_by_their_size() -> None:
    """Of candles the close is that of the millisecond, as over REST."""
    recorded = [frame for path in FILES if "cf2021" not in path.name and "rest" not in path.name
                for frame in map(wrapped, lines(path)) if not reason_of(frame)]  # fmt: skip
    if not recorded:
        pytest.skip("the recorded frames (../shared/frames) are not here")
    milli, micro = spot(*names_in(recorded)), spot(*names_in(recorded))
    for frame in recorded:
        (*_, first), (*_, second) = milli.receive(frame, RECEIVED), micro.receive(in_microseconds(frame), RECEIVED)
        assert isinstance(first, Event)
        assert isinstance(second, Event)
        for field in first.__struct_fields__:
            was, found = getattr(first, field), getattr(second, field)
            if field in ("event_time_ns", "transaction_time_ns", "open_time_ns") and was is not None:
                assert found == was + 456_000, field
            elif field == "close_time_ns":
                assert found // MS == was // MS
                assert type(first).__name__ != "Kline" or found == was
            else:
                assert found == was, field


def test_a_ticker_that_leaves_out_what_it_may() -> None:
    (event,) = spot("btcusdt@ticker").receive(push("btcusdt@ticker", e="24hrTicker", E=5, s="BTCUSDT", c="1.5"), 1)

    assert isinstance(event, Ticker)
    assert (event.last_price, event.open_time_ns, event.trade_count) == ("1.5", None, None)


# ------------------------------------------------------------------------------------------- numbers, answers, damage


def push(stream: str, **data: Any) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()


def change(first: int, last: int, symbol: str = "BTCUSDT") -> bytes:
    return push(f"{symbol.lower()}@depth@100ms", e="depthUpdate", E=1, s=symbol, U=first, u=last, b=[], a=[["1", "2"]])


def trade(number: int) -> bytes:
    return push("btcusdt@aggTrade", e="aggTrade", E=1, s="BTCUSDT", a=number, p="1", q="2", f=1, l=2, T=1, m=True)


def test_a_hole_costs_its_own_symbol_and_a_repeat_costs_nothing() -> None:
    venue = spot("btcusdt@depth@100ms", "ethusdt@depth@100ms", "btcusdt@aggTrade")
    for frame in (change(5, 7), change(1, 1, "ETHUSDT"), change(8, 9), trade(5), trade(6)):
        assert len(venue.receive(frame, 1)) == 1
    gap, book = venue.receive(change(12, 13), 2)
    assert isinstance(gap, Gap)
    assert (gap.stream, gap.symbol, gap.first_missing, gap.last_missing) == ("depth", "BTCUSDT", 10, 11)
    assert isinstance(book, Depth)
    assert book.last_gap_ns == 2
    assert [len(venue.receive(frame, 3)) for frame in (change(12, 13), change(2, 2, "ETHUSDT"), trade(7))] == [1, 1, 1]
    gap, _ = venue.receive(trade(10), 4)
    assert isinstance(gap, Gap)
    assert (gap.stream, gap.first_missing, gap.last_missing, gap.missing_count) == ("trade", 8, 9, 2)
    assert venue.out_of_order == {"depth": 1}


def test_answers() -> None:
    venue = spot("btcusdt@trade", "ethusdt@trade")
    (request,) = venue.open()
    document = json.loads(request)
    assert document == {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "ethusdt@trade"], "id": document["id"]}
    assert venue.receive(b'{"result":null,"id":%d}' % document["id"], 1) == [Acked(("btcusdt@trade", "ethusdt@trade"))]

    (request,) = venue.open()
    halves = [json.loads(each.payload) for each in venue.receive(refusal(request), 1) if isinstance(each, Reply)]
    assert [half["params"] for half in halves] == [["btcusdt@trade"], ["ethusdt@trade"]]
    assert venue.receive(refusal(json.dumps(halves[0])), 1) == [
        Refused(("btcusdt@trade",), "2", "Invalid request: invalid stream")
    ]
    assert venue.receive(b'{"result":null,"id":%d}' % halves[1]["id"], 1) == [Acked(("ethusdt@trade",))]


def refusal(request: bytes | str) -> bytes:
    """As on the wire; the documentation shows code and text without ``error`` around them."""
    return b'{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":%d}' % json.loads(request)["id"]


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"{", "json"), (b"[]", "type"), (b'{"stream":5,"data":{}}', "type"), (b'{"stream":"btcusdt@trade"}', "json"),
        (push("ethusdt@trade", p="1"), "foreign_symbol"), (b'{"e":"serverShutdow"}', "unknown_event"),
        (push("btcusdt@trade", E=1, s="BTCUSDT", t=1, p="1e5", q="1", T=1, m=True), "decimal"),
        (push("btcusdt@trade", E=1, s="BTCUSDT", t=-5, p="1", q="1", T=1, m=True), "range"),
        (push("btcusdt@trade", E=2**62, s="BTCUSDT", t=1, p="1", q="1", T=1, m=True), "range"),
        (b'{"stream":"btcusdt@trade","data":{"E":1,"t":1,"p":"\xff"}}', "utf8"), (b"[" * 5000, "type"),
    ],
)  # fmt: skip
def test_a_malformed_frame_costs_itself(payload: bytes, kind: str) -> None:
    venue = spot("btcusdt@trade")
    good = push("btcusdt@trade", E=1, s="BTCUSDT", t=1, p="1", q="1", T=1, m=True)
    assert len(venue.receive(good, 1)) == 1
    (bad,) = venue.receive(payload, 2)
    assert isinstance(bad, Bad)
    assert bad.kind == kind
    *_, event = venue.receive(good.replace(b'"t": 1', b'"t": 2'), 3)
    assert isinstance(event, Event)


@given(st.integers(0, 2**32))
@settings(max_examples=50)
def test_damaged_frames_never_raise(seed: int) -> None:
    samples = [wrapped(line) for path in FILES if "mixed" not in path.name for line in lines(path)]
    if not samples:
        pytest.skip("the recorded frames (../shared/frames) are not here")
    dice, venue = random.Random(seed), spot(*names_in(samples))
    venue.open()
    for _ in range(20):
        for item in venue.receive(memoryview(mutated(dice.choice(samples), dice)), RECEIVED):
            assert isinstance(item, Event | Bad | Acked | Refused | ClosesSoon | Reply)
            if isinstance(item, Event):
                assert item.symbol in venue.symbols
                encode(item)


# ------------------------------------------------------------------------------------------------------------- plans


def feed(**changes: Any) -> Feed:
    return Feed(**{"name": "s", "exchange": WORD, "symbols": ("BTCUSDT",), "streams": ("depth",), **changes})


def plan(**changes: Any) -> ConnectionPlan:
    (one,) = load(WORD).plan(feed(**changes))
    return one


def test_one_socket_carries_all() -> None:
    streams = ("kline", "ticker", "depth", "trade", "raw_trade", "book_ticker")
    one = plan(streams=streams, depth_levels=20, depth_speed="100ms", symbols=("btcusdt", "币安人生USDT"))

    assert (one.connection, one.url) == ("s-all-0", "wss://stream.binance.com:9443/stream?timeUnit=MICROSECOND")
    channels = ("depth20@100ms", "bookTicker", "trade", "aggTrade", "kline_1m", "ticker")
    assert [each.name for each in one.subscriptions] == [
        f"{symbol}@{channel}" for symbol in ("btcusdt", "币安人生usdt") for channel in channels
    ]
    assert one.symbols == ("BTCUSDT", "币安人生USDT")
    assert plan(testnet=True).url == "wss://stream.testnet.binance.vision/stream?timeUnit=MICROSECOND"


@pytest.mark.parametrize(
    ("levels", "speed", "name"),
    [(0, "", "@depth"), (0, "1000ms", "@depth"), (0, "100ms", "@depth@100ms"), (5, "1000ms", "@depth5")],
)
def test_depth_names(levels: int, speed: str, name: str) -> None:
    assert [each.name for each in plan(depth_levels=levels, depth_speed=speed).subscriptions] == [f"btcusdt{name}"]


def test_candles_of_a_second_are_of_spot_alone() -> None:
    assert [each.name for each in plan(streams=("kline",), intervals=("1s", "1M")).subscriptions] == [
        "btcusdt@kline_1s", "btcusdt@kline_1M",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="unknown interval '1s', only: 1m 3m"):
        load("binance").plan(Feed("u", "binance", ("BTCUSDT",), ("kline",), ("1s",)))


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"depth_levels": 50}, "depth_levels"), ({"depth_speed": "250ms"}, "depth_speed"),
        ({"streams": ("mark_price",)}, "streams"), ({"streams": ("open_interest",)}, "streams"),
        ({"streams": ("kline",), "intervals": ("7m",)}, "intervals"),
    ],
)  # fmt: skip
def test_what_spot_does_not_offer(changes: dict[str, Any], about: str) -> None:
    with pytest.raises(ConfigError, match=about):
        plan(**changes)


def test_a_symbol_that_is_not_ascii_is_one_like_any_other() -> None:
    symbol = "币安人生USDT"
    one = plan(symbols=(symbol,), streams=("book_ticker", "depth"), depth_levels=5, depth_speed="")
    venue = BinanceSpot(one)
    (request,) = venue.open()
    assert symbol.lower().encode() in request, "as UTF-8, which is what counts against the venue's limit"
    best = {"u": 1, "s": symbol, "b": "0.1", "B": "2", "a": "0.2", "A": "3"}
    for escaped in (True, False):
        payload = json.dumps({"stream": f"{symbol.lower()}@bookTicker", "data": best}, ensure_ascii=escaped)
        (event,) = venue.receive(payload.encode(), 1)
        assert isinstance(event, Event)
        assert event.symbol == symbol
        encode(event)


def test_requests_stay_below_the_venues_length() -> None:
    """4096 octets of text at most, whatever the alphabet."""
    one = plan(symbols=tuple(f"币安人生{n}USDT" for n in range(500)), streams=("book_ticker",))
    requests = BinanceSpot(one).open()
    assert sum(len(json.loads(request)["params"]) for request in requests) == 500
    assert max(map(len, requests)) <= 4088
