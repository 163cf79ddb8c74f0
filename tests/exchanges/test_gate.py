"""Gate USDT futures: every recorded and example frame against an independent reading of it; books of first and last
numbers, sizes with signs, answers that tell little."""

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from exchanges.fuzzing import check, mutated
from frames_path import FRAMES

from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import (
    BookTicker,
    Depth,
    Event,
    FundingRate,
    Gap,
    Kline,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Side,
    Ticker,
    Trade,
    UpdateType,
)
from wsadapter.exchanges.gate import CODES, Gate
from wsadapter.exchanges.venue import Acked, Bad, ClosesSoon, Item, Refused, Reply

WORDS = (
    *("kline", "ticker", "depth", "trade", "mark_price", "funding_rate"),
    *("open_interest", "book_ticker", "liquidation"),
)
MS = 1_000_000
AT = 1_800_000_000_000_000_000
BTC = "BTC_USDT"


def fresh(*symbols: str, streams: Iterable[str] = WORDS, levels: int = 50) -> Gate:
    feed = Feed("g", "gate", symbols or (BTC,), tuple(streams), intervals=tuple(CODES), depth_levels=levels)
    (plan,) = Gate.plan(feed)
    return Gate(plan)


def ack(request: bytes, error: tuple[int, str] | None = None) -> bytes:
    asked = json.loads(request)
    told = {key: asked[key] for key in ("time", "id", "channel", "event", "payload")}
    if error:
        told |= {"error": {"code": error[0], "message": error[1]}, "result": {"status": "fail"}}
    else:
        told["result"] = {"status": "success"}
    return json.dumps(told).encode()


def opened(*symbols: str, streams: Iterable[str] = WORDS, levels: int = 50) -> Gate:
    """Every request answered."""
    made = fresh(*symbols, streams=streams, levels=levels)
    requests = made.open()
    while requests:
        requests += [item.payload for item in made.receive(ack(requests.pop(0)), AT) if isinstance(item, Reply)]
    return made


def frame(channel: str, result: object, event: str = "update") -> bytes:
    document = {"time": 1_786_540_580, "time_ms": 1_786_540_580_715, "channel": f"futures.{channel}", "event": event}
    return json.dumps(document | {"result": result}).encode()


def book(first: int, last: int, full: bool = False, **changes: object) -> bytes:
    data = {"t": 1_789_455_580_280, "s": "ob.BTC_USDT.50", "u": last}
    data |= {"full": True, "b": [["77222.9", "648"]], "a": [["77235", "50"]]} if full else {"U": first}
    return frame("obu", data | changes)


def trade(identity: int, size: object = "-0.25", **changes: object) -> dict[str, object]:
    common = {"id": identity, "size": size, "price": "2171.44", "contract": BTC, "create_time": 1_774_443_183}
    return common | {"create_time_ms": 1_774_443_183_399} | changes


def types(items: Iterable[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


# ------------------------------------------------------------------------------------------------- recorded frames

Row = Any
"""An element of a frame, all numbers as text."""


def ms(text: str | None) -> int | None:
    return int(text) * MS if text and text != "0" else None


def size(text: str) -> str:
    return text.removeprefix("-")


def expected_trade(row: Row) -> dict[str, Any]:
    return {
        "trade_id": row["id"], "trade_number": int(row["id"]), "price": row["price"], "quantity": size(row["size"]),
        "buyer_is_maker": row["size"][0] == "-", "aggregated": False,
        "transaction_time_ns": ms(row.get("create_time_ms")),
    }  # fmt: skip


def sides(row: Row, price: Any, quantity: Any) -> dict[str, list[str]]:
    return {
        f"{name}_{what}": [level[place] for level in row.get(name[0], [])]
        for name in ("bid", "ask")
        for what, place in (("price", price), ("quantity", quantity))
    }


def expected_obu(row: Row) -> dict[str, Any]:
    is_full = row.get("full", False)
    return sides(row, 0, 1) | {
        "update_type": UpdateType.SNAPSHOT if is_full else UpdateType.DELTA, "last_update_id": int(row["u"]),
        "first_update_id": None if is_full else int(row["U"]), "transaction_time_ns": ms(row["t"]),
        "level_limit": int(row["s"].split(".")[2]) if is_full else 0,
    }  # fmt: skip


def expected_update(row: Row) -> dict[str, Any]:
    return sides(row, "p", "s") | {
        "update_type": UpdateType.DELTA, "last_update_id": int(row["u"]), "first_update_id": int(row["U"]),
        "transaction_time_ns": ms(row["t"]), "level_limit": 0,
    }  # fmt: skip


def expected_kline(row: Row) -> dict[str, Any]:
    opened_ns = int(row["t"]) * 10**9
    return {
        "open": row["o"], "high": row["h"], "low": row["l"], "close": row["c"], "volume": row["v"],
        "quote_volume": row.get("a"), "closed": row.get("w", False), "open_time_ns": opened_ns,
        "close_time_ns": opened_ns + 60_000 * MS - MS, "interval": "1m",
    }  # fmt: skip


def expected_quote(row: Row) -> dict[str, Any]:
    return {
        "bid_price": row["b"] or None, "bid_quantity": row["B"] if row["b"] else None, "ask_price": row["a"] or None,
        "ask_quantity": row["A"] if row["a"] else None, "update_id": int(row["u"]), "transaction_time_ns": ms(row["t"]),
    }  # fmt: skip


def expected_liquidation(row: Row) -> dict[str, Any]:
    return {
        "side": Side.SELL if row["size"][0] == "-" else Side.BUY, "quantity": size(row["size"]), "price": row["price"],
        "transaction_time_ns": ms(row.get("time") or row["time_ms"]),
    }  # fmt: skip


def expected_of_ticker(row: Row) -> list[tuple[type[Event], dict[str, Any]]]:
    following = int(row.get("funding_next_apply", "0")) * 10**9 or None
    told: list[tuple[type[Event], dict[str, Any]]] = [
        (Ticker, {
            "last_price": row["last"], "price_change": row.get("change_price"), "high": row.get("high_24h"),
            "price_change_percent": row.get("change_percentage"), "low": row.get("low_24h"), "open": None,
            "volume": row.get("volume_24h"), "quote_volume": row.get("volume_24h_quote"),
            "transaction_time_ns": ms(row.get("t")),
        }),
        (MarkPrice, {
            "mark_price": row["mark_price"], "index_price": row["index_price"], "funding_rate": row["funding_rate"],
            "next_funding_time_ns": following,
        }),
    ]  # fmt: skip
    if following:
        told.append((FundingRate, {"funding_rate": row["funding_rate"], "next_funding_time_ns": following}))
    if "total_size" in row:
        told.append((OpenInterest, {"open_interest": row["total_size"], "open_interest_value": None}))
    return told


ROWS: dict[str, tuple[type[Event], Callable[[Row], dict[str, Any]]]] = {
    "futures.trades": (Trade, expected_trade), "futures.obu": (Depth, expected_obu),
    "futures.order_book_update": (Depth, expected_update), "futures.candlesticks": (Kline, expected_kline),
    "futures.book_ticker": (BookTicker, expected_quote),
    "futures.public_liquidates": (Liquidation, expected_liquidation),
}  # fmt: skip
OTHERS = frozenset(("futures.order_book", "futures.contract_stats"))
"""Snapshots of the kind that obu replaced; statistics with floats."""


def recorded() -> list[Path]:
    return sorted((FRAMES / "gateio_futures").glob("*.jsonl")) if FRAMES else []


def elements(document: Any) -> list[Row]:
    result = document["result"]
    return result if isinstance(result, list) else [result]


def symbol_of(row: Row) -> str:
    if "n" in row:
        return str(row["n"].split("_", 1)[1])
    named = str(row.get("contract") or row["s"])
    return named.split(".")[1] if named.startswith("ob.") else named


def expected(document: Any) -> list[tuple[type[Event], dict[str, Any]]] | str:
    """The events of a frame, or why it has none."""
    if "channel" not in document or document["channel"] in ("futures.pong", "futures.system"):
        return "unknown_event" if "label" in document else ""
    if document.get("event") == "subscribe":
        return ""
    rows = elements(document)
    if document["channel"] in OTHERS:
        return "unknown_event"
    if isinstance(rows[0], list):
        return "type"  # once, in 2021
    if document["channel"] == "futures.tickers":
        return [event for row in rows for event in expected_of_ticker(row)]
    event, expect = ROWS[document["channel"]]
    return [(event, expect(row)) for row in rows]


@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)
def test_every_recorded_frame_gives_its_events_with_its_own_numbers(path: Path) -> None:
    made: dict[tuple[str, int], Gate] = {}
    for line in path.read_bytes().splitlines():
        document = json.loads(line, parse_float=str, parse_int=str)
        wanted = expected(document)
        row = elements(document)[0] if isinstance(wanted, list) else {}
        symbol = symbol_of(row) if row else BTC
        levels = int(row["s"].split(".")[2]) if document.get("channel") == "futures.obu" and row else 50
        one = made.setdefault((symbol, levels), opened(symbol, levels=levels))
        if "U" in row and document["channel"] == "futures.obu":
            one.sequences.books[symbol].next = int(row["U"]) - 1  # cut out of its session
        for published in one.published.values():
            published.clear()  # a rate that was told already
        items = [item for item in one.receive(line, AT) if not isinstance(item, Gap)]
        if isinstance(wanted, str):
            assert not [item for item in items if isinstance(item, Event)], line
            assert [item.kind for item in items if isinstance(item, Bad)] == ([wanted] if wanted else []), line
            continue
        assert types(items) == [event.__name__ for event, _ in wanted], line
        for item, (_, fields) in zip(items, wanted, strict=True):
            found = {name: getattr(item, name) for name in fields}
            assert {name: list(v) if isinstance(fields[name], list) else v for name, v in found.items()} == fields, line
            assert isinstance(item, Event)
            assert (item.exchange, item.symbol, item.event_time_ns) == ("gate", symbol, ms(document.get("time_ms")))


def test_a_recorded_session_has_no_gap_in_its_books() -> None:
    if FRAMES is None:
        pytest.skip("the recorded frames (../shared/frames) are not here")
    lines = (FRAMES / "gateio_futures" / "mixed_cf2023_first.jsonl").read_bytes().splitlines()
    symbols = {symbol_of(elements(d)[0]) for d in map(json.loads, lines) if d["event"] == "update"}
    made = opened(*symbols)
    items = [item for line in lines for item in made.receive(line, AT)]

    assert len(items) == sum(b'"update"' in line for line in lines) == 203
    assert set(types(items)) == {"Depth", "BookTicker", "Kline"}
    assert sum(made.out_of_order.values()) == 0


# ------------------------------------------------------------------------------------------------- plan and requests


def test_the_plan_has_the_header_of_decimal_sizes() -> None:
    (plan,) = Gate.plan(Feed("g", "gate", (BTC,), WORDS, depth_levels=0))

    assert (plan.url, plan.headers) == ("wss://fx-ws.gateio.ws/v4/ws/usdt", (("X-Gate-Size-Decimal", "1"),))
    assert [each.name for each in plan.subscriptions] == [
        "futures.trades:BTC_USDT", "futures.obu:ob.BTC_USDT.400", "futures.candlesticks:1m:BTC_USDT",
        "futures.tickers:BTC_USDT", "futures.book_ticker:BTC_USDT", "futures.public_liquidates:BTC_USDT",
    ]  # fmt: skip
    assert Gate.plan(Feed("g", "gate", (BTC,), ("trade",), testnet=True))[0].url == (
        "wss://ws-testnet.gate.com/v4/ws/futures/usdt"
    )


@pytest.mark.parametrize(("levels", "deep"), [(0, 400), (20, 50), (50, 50), (51, 400), (400, 400)])
def test_a_book_has_at_least_the_wanted_levels(levels: int, deep: int) -> None:
    assert f"futures.obu:ob.BTC_USDT.{deep}" in fresh(levels=levels).last_receive_ns


@pytest.mark.parametrize("interval", ["3m", "2h", "6h", "12h", "3d", "1w", "1M"])
def test_intervals_that_the_venue_lacks_or_that_begin_elsewhere_are_refused(interval: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown interval '{interval}'"):
        Gate.plan(Feed("g", "gate", (BTC,), ("kline",), intervals=(interval,)))


def test_more_levels_than_there_are_are_refused() -> None:
    with pytest.raises(ConfigError, match="400 at most"):
        fresh(levels=401)


def test_each_channel_is_asked_for_by_itself_and_candles_one_by_one() -> None:
    made = fresh(BTC, "ETH_USDT", streams=("trade", "kline", "depth"))
    requests, asked = made.open(), []
    while requests:
        request = requests.pop(0)
        asked.append(json.loads(request))
        requests += [item.payload for item in made.receive(ack(request), AT) if isinstance(item, Reply)]

    payloads = {
        each["channel"]: [one["payload"] for one in asked if one["channel"] == each["channel"]] for each in asked
    }
    assert payloads["futures.trades"] == [[BTC, "ETH_USDT"]]
    assert payloads["futures.obu"] == [["ob.BTC_USDT.50", "ob.ETH_USDT.50"]]
    assert payloads["futures.candlesticks"] == [[code, symbol] for symbol in (BTC, "ETH_USDT") for code in CODES]
    assert all(each["time"] == 0 and each["event"] == "subscribe" for each in asked), "its sender writes the time"
    assert made.dated in request
    assert [each["id"] for each in asked] == sorted({each["id"] for each in asked})


def test_one_bad_contract_in_a_list_costs_only_itself() -> None:
    made = fresh(BTC, "NOPE_USDT", "ETH_USDT", streams=("trade",))
    requests, refused = made.open(), []
    acked: set[str] = set()
    while requests:
        request = requests.pop(0)
        is_bad = "NOPE_USDT" in json.loads(request)["payload"]
        items = made.receive(ack(request, (2, "unknown currency pair NOPE_USDT") if is_bad else None), AT)
        requests += [item.payload for item in items if isinstance(item, Reply)]
        refused += [item for item in items if isinstance(item, Refused)]
        acked.update(name for item in items if isinstance(item, Acked) for name in item.names)

    assert refused == [Refused(("futures.trades:NOPE_USDT",), "2", "unknown currency pair NOPE_USDT")]
    assert acked == {"futures.trades:BTC_USDT", "futures.trades:ETH_USDT"}


def test_an_error_of_the_service_is_no_refusal_of_the_stream() -> None:
    made = fresh(BTC, "ETH_USDT", streams=("trade",))
    (request,) = made.open()
    (again,) = made.receive(ack(request, (3, "service error")), AT)

    assert isinstance(again, Reply)
    assert again.pause > 0
    assert json.loads(again.payload)["payload"] == [BTC, "ETH_USDT"]
    assert made.receive(ack(again.payload), AT) == [Acked(("futures.trades:BTC_USDT", "futures.trades:ETH_USDT"))]


def test_answers_of_earlier_years_have_no_id_and_a_null_error() -> None:
    made = fresh(streams=("trade",))
    made.open()
    old = (
        b'{"time":1593561600,"channel":"futures.trades","event":"subscribe","error":null,"result":{"status":"success"}}'
    )

    assert made.receive(old, AT) == [Acked(("futures.trades:BTC_USDT",))]


def test_the_snapshot_may_come_before_the_answer() -> None:
    made = fresh(streams=("depth",))
    (request,) = made.open()

    assert types(made.receive(book(0, 9, full=True), AT)) == ["Acked", "Depth"]
    assert made.receive(ack(request), AT) == []


def test_the_ping_and_the_notice_in_both_forms() -> None:
    made = opened()
    text = "The connection will soon be closed for a service upgrade. Please reconnect."

    assert json.loads(made.ping() or b"")["channel"] == "futures.ping"
    assert 0 < made.ping_every < 30
    assert made.receive(b'{"time":1,"time_ms":1,"channel":"futures.pong","event":"","result":null}', AT) == []
    for notice in (
        {"type": "upgrade", "msg": text},
        {"time": 1, "channel": "futures.system", "event": "update", "result": {"type": "upgrade", "msg": text}},
    ):
        assert made.receive(json.dumps(notice).encode(), AT) == [ClosesSoon(text[:64])]
    other = {"channel": "futures.system", "event": "update", "result": {"type": "invalid_sbe_schema_id", "msg": "x"}}
    assert made.receive(json.dumps(other).encode(), AT) == []


# ------------------------------------------------------------------------------------------------- books


def test_a_book_goes_on_where_the_first_number_follows_the_last() -> None:
    made = opened()

    assert types(made.receive(book(5, 7), AT)) == ["Bad"], "of a book that nobody has"
    (snapshot,) = made.receive(book(0, 9, full=True), AT)
    (delta,) = made.receive(book(10, 14, b=[["77222.9", "0"]]), AT)
    (empty,) = made.receive(book(15, 15), AT)
    assert isinstance(snapshot, Depth)
    assert isinstance(delta, Depth)
    assert isinstance(empty, Depth)
    assert (snapshot.level_limit, snapshot.first_update_id, snapshot.last_update_id) == (50, None, 9)
    assert (delta.first_update_id, delta.last_update_id, list(delta.bid_quantity)) == (10, 14, ["0"])
    assert (list(empty.bid_price), list(empty.ask_price)) == ([], [])


def test_a_missing_change_asks_for_the_book_anew() -> None:
    made = opened()
    made.receive(book(0, 9, full=True), AT)
    bad, first = made.receive(book(12, 14), AT + 1)
    assert isinstance(bad, Bad)
    assert isinstance(first, Reply)
    (then,) = made.receive(ack(first.payload), AT + 2)
    assert isinstance(then, Reply)
    asked = [json.loads(each.payload) for each in (first, then)]

    assert [(each["event"], each["payload"]) for each in asked] == [
        ("unsubscribe", ["ob.BTC_USDT.50"]), ("subscribe", ["ob.BTC_USDT.50"]),
    ]  # fmt: skip
    assert types(made.receive(book(15, 16), AT + 3)) == ["Bad"]
    gap, snapshot = made.receive(book(0, 30, full=True), AT + 4)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.first_missing, gap.last_missing) == ("sequence", 10, 29)
    assert isinstance(snapshot, Depth)
    assert snapshot.last_gap_ns == AT + 4


def test_a_repeated_change_is_published_and_counted() -> None:
    made = opened()
    made.receive(book(0, 9, full=True), AT)
    made.receive(book(10, 11), AT)

    assert types(made.receive(book(10, 11), AT)) == ["Depth"]
    assert made.out_of_order["depth"] == 1


# ------------------------------------------------------------------------------------------------- other streams


@pytest.mark.parametrize(
    ("told", "quantity", "is_sale"),
    [("-0.25", "0.25", True), ("0.40", "0.40", False), (4681, "4681", False), (-22, "22", True)],
)
def test_the_sign_of_a_size_is_the_side(told: object, quantity: str, is_sale: bool) -> None:
    (sale,) = opened().receive(frame("trades", [trade(5, told)]), AT)

    assert isinstance(sale, Trade)
    assert (sale.quantity, sale.buyer_is_maker) == (quantity, is_sale)


def test_trades_count_by_one() -> None:
    made = opened()
    items = made.receive(frame("trades", [trade(5), trade(6), trade(9)]), AT)

    assert types(items) == ["Trade", "Trade", "Gap", "Trade"]
    assert [(gap.first_missing, gap.last_missing) for gap in items if isinstance(gap, Gap)] == [(7, 8)]


def test_a_forced_sale_closed_a_long() -> None:
    row = {"contract": BTC, "price": "0.13827", "time": 1_786_327_033_531, "size": -23}
    for told, side in ((-23, Side.SELL), ("23", Side.BUY)):
        (order,) = opened().receive(frame("public_liquidates", row | {"size": told}), AT)

        assert isinstance(order, Liquidation)
        assert (order.side, order.quantity, order.price) == (side, "23", "0.13827")


def test_liquidations_of_a_second_come_in_one_list_and_equal_ones_are_told_apart() -> None:
    row = {"contract": BTC, "price": "0.13827", "time": 1_786_327_033_531, "size": -23}
    items = opened().receive(frame("public_liquidates", [row, row | {"size": -5}, row]), AT)

    assert types(items) == ["Liquidation"] * 3
    assert [(one.quantity, one.ordinal) for one in items if isinstance(one, Liquidation)] == [
        ("23", 0), ("5", 0), ("23", 1),
    ]  # fmt: skip


def candle(opened_s: int, **changes: object) -> bytes:
    row = {"t": opened_s, "o": "1", "h": "2", "l": "0.5", "c": "1.50", "n": "1m_BTC_USDT", "v": "7", "a": "10.5"}
    return frame("candlesticks", [row | changes])


def test_the_next_candle_closes_one_that_was_not_said_to_be() -> None:
    made = opened()
    told = [
        [(each.open_time_ns // 10**9, each.closed) for each in made.receive(line, AT) if isinstance(each, Kline)]
        for line in (candle(60), candle(60, w=True), candle(120), candle(180), candle(180, w=True), candle(240))
    ]

    assert told == [
        [(60, False)], [(60, True)], [(120, False)], [(120, True), (180, False)], [(180, True)], [(240, False)],
    ]  # fmt: skip


def test_a_candle_that_is_told_after_the_next_one_is_as_closed_as_the_venue_says() -> None:
    made = opened()
    told = [
        [(item.open_time_ns // 10**9, item.closed) for item in made.receive(line, AT) if isinstance(item, Kline)]
        for line in (candle(60), candle(120), candle(60), candle(60, w=True))
    ]
    assert told == [[(60, False)], [(60, True), (120, False)], [(60, False)], [(60, True)]]


def test_candles_of_marks_are_not_ours() -> None:
    assert types(opened().receive(candle(60, n="1m_mark_BTC_USDT"), AT)) == ["Bad"]


TICKER = {
    "contract": BTC, "last": "63964.7", "total_size": "658216984.5", "volume_24h": "393690687.5",
    "mark_price": "63964.8", "index_price": "63989.2", "funding_rate": "-0.000052", "funding_next_apply": 1_786_550_400,
    "change_price": "-331.2",
}  # fmt: skip


def test_a_ticker_feeds_four_streams_and_a_rate_comes_once() -> None:
    made = opened()

    assert types(made.receive(frame("tickers", [TICKER]), AT)) == ["Ticker", "MarkPrice", "FundingRate", "OpenInterest"]
    assert "FundingRate" not in types(made.receive(frame("tickers", [TICKER]), AT))
    assert types(opened(streams=("mark_price",)).receive(frame("tickers", [TICKER]), AT)) == ["MarkPrice"]


def test_an_empty_quote_is_none() -> None:
    row = {"t": 0, "u": 0, "s": BTC, "b": "", "B": 0, "a": "", "A": 0}
    (quote,) = opened().receive(frame("book_ticker", row), AT)

    assert isinstance(quote, BookTicker)
    assert (quote.bid_price, quote.bid_quantity, quote.ask_quantity, quote.transaction_time_ns) == (None,) * 4


# ------------------------------------------------------------------------------------------------- hostile input


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "json"), (b"[]", "type"), (b"{}", "unknown_event"), (b"\xff", "json"), (b"[" * 100_000, "type"),
        (b'{"channel":5}', "type"), (frame("trades", [trade(1, contract="OTHER_USDT")]), "foreign_symbol"),
        (frame("trades", [trade(1, size="x")]), "decimal"), (frame("trades", [trade(1, price="1e5")]), "decimal"),
        (frame("trades", [trade(2**63)]), "range"), (frame("trades", 5), "type"), (frame("trades", [5]), "type"),
        (frame("tickers", [TICKER | {"mark_price": "-1"}]), "decimal"), (frame("nothing", []), "unknown_event"),
        (frame("public_liquidates", {"contract": BTC, "price": "1", "size": 1}), "other"),
        (b'{"event":"subscribe","error":5}', "type"), (candle(2**60), "range"),
    ],
)  # fmt: skip
def test_hostile_input_raises_nothing(payload: bytes, kind: str) -> None:
    items = opened().receive(payload, AT)

    assert [item.kind for item in items if isinstance(item, Bad)] == [kind]


def test_a_bad_element_costs_only_itself_and_shows_as_a_gap() -> None:
    items = opened().receive(frame("trades", [trade(1), trade(2, price=5), trade(3)]), AT)

    assert types(items) == ["Bad", "Trade", "Gap", "Trade"]
    assert [(g.cause, g.first_missing) for g in items if isinstance(g, Gap)] == [("sequence", 2)]


def test_damaged_frames_raise_nothing() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice, made, bad = random.Random(seed), opened(), 0
    samples = [
        book(0, 9, full=True), book(10, 14, b=[["77222.9", "0"]]), frame("trades", [trade(5), trade(6, 7)]),
        candle(60, w=True), frame("tickers", [TICKER]), ack(fresh().open()[0]), ack(fresh().open()[0], (2, "no")),
        frame("book_ticker", {"t": 5, "u": 6, "s": BTC, "b": "1.5", "B": "2", "a": "", "A": 0}),
        frame("public_liquidates", {"contract": BTC, "price": "0.5", "time": 1_786_327_033_531, "size": -23}),
        frame("order_book_update", {"t": 5, "s": BTC, "U": 6, "u": 7, "b": [{"p": "1", "s": 2}], "a": [], "l": "20"}),
        b'{"type":"upgrade","msg":"soon"}',
    ]  # fmt: skip
    for n in range(4000):
        line = dice.randbytes(dice.randrange(100)) if n % 8 == 0 else mutated(dice.choice(samples), dice)
        items = made.receive(memoryview(line), AT + n)
        check(items, (BTC,))
        bad += any(isinstance(item, Bad) for item in items)
    assert bad > 1000
