"""Frames that nobody should send: each costs itself, is counted by kind, and nothing escapes."""

import json
from typing import Any

import pytest
from exchanges.binance_oracle import RECEIVED, exchange

from wsadapter.events import (
    BookTicker,
    Depth,
    FundingRate,
    Gap,
    Kline,
    Liquidation,
    MarkPrice,
    Ticker,
    Trade,
    UpdateType,
)
from wsadapter.exchanges.venue import Bad, Item
from wsadapter.text import MAX_SAMPLE

AGG: dict[str, Any] = {
    "e": "aggTrade", "E": 1, "s": "BTCUSDT", "a": 1, "p": "0.1", "q": "1", "f": 1, "l": 2, "T": 1, "m": True,
}  # fmt: skip
BOOK: dict[str, Any] = {
    "e": "bookTicker", "u": 1, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1", "T": 1, "E": 1,
}  # fmt: skip
DEPTH: dict[str, Any] = {
    "e": "depthUpdate", "E": 1, "T": 1, "s": "BTCUSDT", "U": 1, "u": 2, "pu": 0, "b": [["1", "2"]], "a": [],
}  # fmt: skip
CANDLE: dict[str, Any] = {
    "t": 1, "T": 2, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 2, "o": "1", "c": "1", "h": "1", "l": "1", "v": "1", "n": 1,
    "x": False, "q": "1", "V": "1", "Q": "1", "B": "0",
}  # fmt: skip
MARK: dict[str, Any] = {
    "e": "markPriceUpdate", "E": 1, "s": "BTCUSDT", "p": "1", "i": "1", "P": "1", "r": "0.1", "T": 9,
}  # fmt: skip
TICKER: dict[str, Any] = {
    "e": "24hrTicker", "E": 1, "s": "BTCUSDT", "p": "-1", "P": "-1", "w": "1", "c": "1", "Q": "1", "o": "1", "h": "1",
    "l": "1", "v": "1", "q": "1", "O": 0, "C": 1, "F": 0, "L": 1, "n": 1,
}  # fmt: skip
ORDER: dict[str, Any] = {
    "s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "1", "p": "9910", "ap": "9910", "X": "FILLED", "l": "1",
    "z": "1", "T": 1,
}  # fmt: skip


def kline(**changes: Any) -> dict[str, Any]:
    return {"e": "kline", "E": 1, "s": "BTCUSDT", "k": {**CANDLE, **changes}}


def force(**changes: Any) -> dict[str, Any]:
    return {"e": "forceOrder", "E": 1, "o": {**ORDER, **changes}}


def without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


def receive(payload: bytes | dict[str, Any] | list[Any], stream: str = "btcusdt@x") -> list[Item]:
    venue = exchange("BTCUSDT", "ETHUSDT")
    if isinstance(payload, bytes):
        return venue.receive(memoryview(payload), RECEIVED)
    combined = venue.receive(json.dumps({"stream": stream, "data": payload}).encode(), RECEIVED)
    if stream == "btcusdt@x":
        bare = exchange("BTCUSDT", "ETHUSDT").receive(json.dumps(payload).encode(), RECEIVED)
        assert bare == combined
    return combined


def kind(items: list[Item]) -> str:
    (item,) = items
    assert isinstance(item, Bad), item
    assert item.detail.isprintable()
    assert item.detail.isascii()
    assert len(item.detail) <= MAX_SAMPLE
    return item.kind


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-1", "+1", "1e5", "1e400", "", ".5", "5.", "1.2.3", " 1", "\u0661", "1_0"]
)
@pytest.mark.parametrize(
    "frame",
    [
        *(lambda t: {**AGG, "p": t}, lambda t: {**AGG, "q": t}, lambda t: {**AGG, "e": "trade", "t": 1, "p": t}),
        *(lambda t: {**DEPTH, "b": [["1", t]]}, lambda t: {**DEPTH, "a": [["1", "1"], [t, "2"]]}),
        *(lambda t: kline(o=t), lambda t: kline(v=t), lambda t: force(p=t), lambda t: force(q=t)),
        *(lambda t: {**MARK, "p": t}, lambda t: {**TICKER, "c": t}),
    ],
)
def test_a_number_that_is_none_is_a_bad_decimal(text: str, frame: Any) -> None:
    assert kind(receive(frame(text))) == "decimal"


@pytest.mark.parametrize("text", ["nan", "1e5", "+1", ".5", "--1", "-", "- 1", "-nan"])
@pytest.mark.parametrize(
    "frame", [lambda t: {**MARK, "r": t}, lambda t: {**TICKER, "p": t}, lambda t: {**TICKER, "P": t}]
)
def test_signs_are_the_only_liberty(text: str, frame: Any) -> None:
    assert kind(receive(frame(text))) == "decimal"


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (without(AGG, "a"), "type"),
        ({**AGG, "a": "1"}, "type"),
        ({**AGG, "a": None}, "type"),
        ({**AGG, "a": 1.5}, "type"),
        ({**AGG, "a": -1}, "range"),
        ({**AGG, "a": 2**63}, "range"),
        ({**AGG, "a": 2**62 + 1}, "range"),
        ({**AGG, "T": 2**63}, "range"),
        ({**AGG, "T": 2**62 // 10**6 + 1}, "range"),
        ({**AGG, "E": -1}, "range"),
        ({**AGG, "f": -2}, "range"),
        ({**AGG, "p": 0.1}, "type"),
        ({**AGG, "p": "1" * 65}, "range"),
        ({**AGG, "m": "true"}, "type"),
        ({**AGG, "s": 5}, "type"),
        (without(AGG, "s"), "type"),
        ({**AGG, "s": "XRPUSDT"}, "foreign_symbol"),
        ({**without(AGG, "a"), "s": "XRPUSDT"}, "foreign_symbol"),
        ({**AGG, "s": "BTCUSDT\u0000"}, "foreign_symbol"),
        ({**AGG, "s": "X\n\x1b[31m" * 20}, "foreign_symbol"),
        ({**AGG, "st": 2}, "foreign_symbol"),
        ({**AGG, "e": "aggtrade"}, "unknown_event"),
        ({**AGG, "e": "\x00" * 500}, "unknown_event"),
        ({**AGG, "e": 5}, "unknown_event"),
        ({"hello": "world"}, "unknown_event"),
        ({}, "unknown_event"),
        (kline(i="7m"), "type"),
        (kline(x=1), "type"),
        ({**kline(), "k": []}, "type"),
        (without(kline(), "k"), "type"),
        (force(S="LONG"), "type"),
        (force(s="XRPUSDT"), "foreign_symbol"),
        (force(s="XRPUSDT", p=5), "foreign_symbol"),
        ({**DEPTH, "b": [["1"]]}, "type"),
        ({**DEPTH, "b": [["1", "2", "3"]]}, "type"),
        ({**DEPTH, "b": [[1, 2]]}, "type"),
        ({**DEPTH, "b": {}}, "type"),
        (without(DEPTH, "u"), "type"),
        ({**MARK, "T": -1}, "range"),
    ],
    ids=ascii,
)
def test_kinds(frame: dict[str, Any], expected: str) -> None:
    assert kind(receive(frame)) == expected


def test_of_an_unknown_type_a_sample_is_kept() -> None:
    frame = {**AGG, "e": "newThing", "note": "\x1b[31m\n" + "x" * 1000}
    (item,) = receive(frame)
    assert isinstance(item, Bad)
    assert item.kind == "unknown_event"
    assert '"e": "newThing"' in item.detail
    assert len(item.detail) <= MAX_SAMPLE
    assert item.detail.isprintable()


DEEP = 100_000


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "json"),
        (b"{", "json"),
        (b"hello", "json"),
        (b"\xef\xbb\xbf" + json.dumps(AGG).encode(), "json"),
        (json.dumps(AGG).encode() + b"x", "json"),
        (json.dumps(AGG).encode().replace(b"BTC", b"\xff\xfe"), "utf8"),
        (json.dumps(AGG).encode().replace(b"0.1", b"\xc3\x28"), "utf8"),
        (b'{"data":' + b"[" * DEEP + b"]" * DEEP + b"}", "depth"),
        (b"[" * DEEP, "depth"),
        (b'{"a":' * DEEP, "depth"),
        (json.dumps(AGG).encode()[:-1] + b',"z":' + b"[" * DEEP + b"]" * DEEP + b"}", "depth"),
        (json.dumps(AGG).encode().replace(b'"a": 1', b'"a": ' + b"9" * 5000), "range"),
        (json.dumps(AGG).encode().replace(b'"a": 1', b'"a": ' + b"9" * 400), "range"),
        (json.dumps(AGG).encode().replace(b'"a": 1', b'"a": 1e400'), "range"),
        (b"5", "type"),
        (b'"text"', "type"),
        (b"null", "type"),
        (b"[5]", "type"),
        (b"[null]", "type"),
        (b"[[]]", "type"),
        (b'{"data":5}', "type"),
        (b'{"data":"x","stream":5}', "type"),
        (b"[" + b"1," * 300_000 + b"1]", "range"),
        (b'{"data":[' + b"{}," * 300_000 + b"{}]}", "range"),
    ],
    ids=lambda value: ascii(value[:20]) if isinstance(value, bytes) else value,
)
def test_bytes_that_are_no_frame(payload: bytes, expected: str) -> None:
    assert kind(receive(payload)) == expected


def test_duplicate_keys_the_last_one_wins() -> None:
    (trade,) = receive(json.dumps(AGG).encode()[:-1] + b', "p": "0.2"}')

    assert isinstance(trade, Trade)
    assert trade.price == "0.2"


def test_minus_one_is_no_trade_id() -> None:
    (trade,) = receive({**AGG, "f": -1, "l": -1})

    assert isinstance(trade, Trade)
    assert (trade.first_trade_id, trade.last_trade_id) == (None, None)


def test_unknown_fields_are_not_looked_at() -> None:
    (trade,) = receive({**AGG, "nq": "nan", "new": {"p": [1, 2]}, "st": 1})

    assert isinstance(trade, Trade)


def test_a_bad_element_costs_only_itself() -> None:
    items = receive([TICKER, {**TICKER, "c": "nan"}, {**TICKER, "E": "x"}, 5, {**TICKER, "s": "ETHUSDT"}])

    assert [
        item.kind if isinstance(item, Bad) else item.symbol for item in items if isinstance(item, Bad | Ticker)
    ] == [
        *("BTCUSDT", "decimal", "type", "type", "ETHUSDT"),
    ]


def test_coin_margined_contracts_are_dropped_and_counted() -> None:
    coin = {**without(MARK, "r", "T", "i"), "s": "BTCUSD_PERP", "st": 2}
    items = receive([{**MARK, "st": 1}, coin, {**MARK, "s": "XRPUSDT"}, {**MARK, "s": "ETHUSDT"}])

    assert [type(item).__name__ for item in items] == [
        "MarkPrice",
        "FundingRate",
        "Bad",
        "Bad",
        "MarkPrice",
        "FundingRate",
    ]
    assert [item.detail for item in items if isinstance(item, Bad)] == ["BTCUSD_PERP", "XRPUSDT"]


@pytest.mark.parametrize(
    "name", ["24hrMiniTicker", "contractInfo", "assetIndexUpdate", "compositeIndex", "continuous_kline", "EquityUpdate"]
)
def test_known_types_that_we_do_not_want_are_no_errors(name: str) -> None:
    assert receive({"e": name, "E": 1, "s": "BTCUSDT", "k": 5}) == []
    assert receive([{"e": name, "E": 1, "s": "XRPUSDT"}, {"e": name}]) == []


def test_a_type_that_was_not_asked_for_is_published() -> None:
    (ticker,) = receive(BOOK, "ethusdt@somethingElse")

    assert isinstance(ticker, BookTicker)


@pytest.mark.parametrize(
    ("stream", "update_type", "limit"),
    [
        *(("btcusdt@depth20@100ms", UpdateType.SNAPSHOT, 20), ("btcusdt@depth5", UpdateType.SNAPSHOT, 5)),
        *(("btcusdt@depth@100ms", UpdateType.DELTA, 0), ("btcusdt@depth@0ms", UpdateType.DELTA, 0)),
        *(("btcusdt@depth", UpdateType.DELTA, 0), ("", UpdateType.DELTA, 0), ("btcusdt@x", UpdateType.DELTA, 0)),
    ],
)
def test_the_stream_name_tells_books_from_diffs(stream: str, update_type: UpdateType, limit: int) -> None:
    (depth,) = receive(DEPTH, stream)

    assert isinstance(depth, Depth)
    assert (depth.update_type, depth.level_limit) == (update_type, limit)


def test_the_retail_book_is_not_the_book() -> None:
    assert receive(DEPTH, "btcusdt@rpiDepth@500ms") == []


def test_many_stream_names_do_not_grow_a_table() -> None:
    venue = exchange("BTCUSDT")
    for number in range(10_000):
        venue.receive(json.dumps({"stream": f"{number}@depth5", "data": DEPTH}).encode(), RECEIVED)

    assert len(venue.kinds) <= 4096
    assert venue.last_receive_ns == {}


@pytest.mark.parametrize("changes", [{"T": 0}, {"r": ""}, {"r": "", "T": 0}, {"r": None}])
def test_contracts_without_funding(changes: dict[str, Any]) -> None:
    (mark,) = receive({**MARK, **changes})

    assert isinstance(mark, MarkPrice)
    assert (mark.funding_rate, mark.next_funding_time_ns) == (None, None)


def test_funding_is_published_when_it_changes_and_after_each_connect() -> None:
    venue = exchange("BTCUSDT", "ETHUSDT")

    def rates(**changes: Any) -> list[str]:
        items = venue.receive(json.dumps({**MARK, **changes}).encode(), RECEIVED)
        return [item.funding_rate for item in items if isinstance(item, FundingRate)]

    assert rates() == ["0.1"]
    assert rates(p="2") == []
    assert rates(s="ETHUSDT") == ["0.1"]
    assert rates(r="-0.2") == ["-0.2"]
    assert rates(r="-0.2", T=10) == ["-0.2"]
    assert rates(r="-0.2", T=10) == []
    venue.open()
    assert rates(r="-0.2", T=10) == ["-0.2"]


@pytest.mark.parametrize("absent", ["", None])
def test_empty_texts_are_absent(absent: str | None) -> None:
    (candle,) = receive(kline(q=absent, V=absent, Q=absent))
    (mark,) = [item for item in receive({**MARK, "i": absent, "P": absent}) if isinstance(item, MarkPrice)]
    (ticker,) = receive({**TICKER, "p": absent, "P": absent, "w": absent, "Q": absent, "v": absent})
    (order,) = receive(force(ap=absent, z=absent, X=absent, o=absent))

    assert isinstance(candle, Kline)
    assert (candle.quote_volume, candle.taker_buy_volume, candle.taker_buy_quote_volume) == (None, None, None)
    assert (mark.index_price, mark.estimated_settle_price) == (None, None)
    assert isinstance(ticker, Ticker)
    assert (ticker.price_change, ticker.price_change_percent, ticker.volume) == (None, None, None)
    assert isinstance(order, Liquidation)
    assert (order.average_price, order.filled_quantity, order.status, order.order_type) == (None, None, None, None)


def test_an_empty_side_of_the_book_is_absent() -> None:
    (ticker,) = receive({**BOOK, "b": "", "B": ""})

    assert isinstance(ticker, BookTicker)
    assert (ticker.bid_price, ticker.bid_quantity, ticker.ask_price, ticker.ask_quantity) == (None, None, "2", "1")


def test_equal_liquidations_of_one_frame_are_numbered() -> None:
    items = receive([force(), force(p="9911"), force(), force(s="ETHUSDT"), force(p=5), force()])

    assert [item.ordinal for item in items if isinstance(item, Liquidation)] == [0, 0, 1, 0, 2]


def test_fillers_of_trade_ids_are_no_trades() -> None:
    raw = {**without(AGG, "a", "f", "l"), "e": "trade", "t": 7}

    gap, bad = receive({**raw, "p": "0", "q": "0", "X": "NA"})
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.first_missing, gap.last_missing, gap.missing_count) == ("filler", 7, 7, 0)
    assert bad == Bad("other", "trade NA")
    for fund in ("MARKET", "INSURANCE_FUND", "ADL"):
        (trade,) = receive({**raw, "X": fund})
        assert isinstance(trade, Trade)
        assert (trade.aggregated, trade.trade_id, trade.first_trade_id) == (False, "7", None)


def test_events_carry_the_last_gap_and_streams_their_last_receive_time() -> None:
    venue = exchange("BTCUSDT", names=("btcusdt@aggTrade", "btcusdt@ticker"))
    venue.last_gap_ns = 77
    (trade,) = venue.receive(json.dumps({"stream": "btcusdt@aggTrade", "data": AGG}).encode(), 5)

    assert isinstance(trade, Trade)
    assert trade.last_gap_ns == 77
    assert venue.last_receive_ns == {"btcusdt@aggTrade": 5, "btcusdt@ticker": 0}
