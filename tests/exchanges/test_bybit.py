"""Bybit linear: every stream from frame to event, sparse tickers, broken books, answers in order."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from frames_path import FRAMES

from wsadapter.config.model import Feed
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
from wsadapter.exchanges.bybit import BybitLinear
from wsadapter.exchanges.venue import Acked, Bad, Item, Refused, Reply

WORDS = (
    *("kline", "ticker", "depth", "trade", "mark_price", "funding_rate"),
    *("open_interest", "book_ticker", "liquidation"),
)
MS = 1_000_000
AT = 1_790_000_000_000_000_000


def session(*symbols: str, streams: Iterable[str] = WORDS, intervals: tuple[str, ...] = ("1m", "5m")) -> BybitLinear:
    wanted = tuple(streams)
    feed = Feed(name="b", exchange="bybit", symbols=symbols or ("BTCUSDT",), streams=wanted, intervals=intervals)
    (plan,) = BybitLinear.plan(feed)
    return BybitLinear(plan)


def opened(*symbols: str, streams: Iterable[str] = WORDS) -> BybitLinear:
    """Every request answered."""
    made = session(*symbols, streams=streams)
    requests = made.open()
    while requests:
        identity = json.loads(requests.pop(0))["req_id"]
        requests += [item.payload for item in made.receive(ack(identity), AT) if isinstance(item, Reply)]
    return made


def ack(identity: str, error: str = "") -> bytes:
    answer = {"success": not error, "ret_msg": error, "conn_id": "c", "req_id": identity, "op": "subscribe"}
    return json.dumps(answer).encode()


def frame(topic: str, data: object, kind: str = "snapshot", **envelope: object) -> bytes:
    return json.dumps({"topic": topic, "type": kind, "ts": 1_790_000_000_000, "data": data, **envelope}).encode()


def book(u: int, kind: str = "delta", levels: int = 50) -> bytes:
    data = {"s": "BTCUSDT", "b": [["28552.00", "0"]], "a": [["28552.10", "25.433"], ["28553", "1"]], "u": u, "seq": 5}
    return frame(f"orderbook.{levels}.BTCUSDT", data, kind, cts=1_789_999_999_999)


def trade(identity: str = "2a74ac78-691c", price: str = "109378.90", **changes: object) -> dict[str, object]:
    common = {"T": 1_758_841_135_823, "s": "BTCUSDT", "S": "Buy", "v": "0.020", "p": price, "i": identity, "BT": False}
    return common | changes


def types(items: Iterable[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


def test_the_plan_names_every_stream_once() -> None:
    made = session("BTCUSDT", "ethusdt")
    (plan,) = BybitLinear.plan(Feed("b", "bybit", ("BTCUSDT",), ("trade",)))

    assert list(made.last_receive_ns)[:6] == [
        "publicTrade.BTCUSDT", "orderbook.50.BTCUSDT", "kline.1.BTCUSDT", "kline.5.BTCUSDT", "tickers.BTCUSDT",
        "allLiquidation.BTCUSDT",
    ]  # fmt: skip
    assert "publicTrade.ETHUSDT" in made.last_receive_ns
    assert (plan.connection, plan.url) == ("b-linear-0", "wss://stream.bybit.com/v5/public/linear")


@pytest.mark.parametrize(("levels", "topic"), [(5, 50), (20, 50), (0, 1000)])
def test_a_book_has_at_least_the_wanted_levels(levels: int, topic: int) -> None:
    (plan,) = BybitLinear.plan(Feed("b", "bybit", ("BTCUSDT",), ("depth",), depth_levels=levels))

    assert [each.name for each in plan.subscriptions] == [f"orderbook.{topic}.BTCUSDT"]


def test_a_trade() -> None:
    items = opened().receive(frame("publicTrade.BTCUSDT", [trade(), trade("b", S="Sell")]), AT)

    assert items == [
        Trade(
            exchange="bybit", symbol="BTCUSDT", event_time_ns=1_790_000_000_000 * MS,
            transaction_time_ns=1_758_841_135_823 * MS, receive_time_ns=AT, source=1,  # type: ignore[arg-type]
            connection="b-linear-0", last_gap_ns=None, trade_id=identity, trade_number=None, price="109378.90",
            quantity="0.020", buyer_is_maker=is_maker, first_trade_id=None, last_trade_id=None, aggregated=False,
        )
        for identity, is_maker in (("2a74ac78-691c", False), ("b", True))
    ]  # fmt: skip


def test_a_bad_element_costs_only_itself_and_shows_as_a_gap() -> None:
    for bad in (trade(p=1), trade(S="Nobody"), trade(p="1e5"), trade(T=2**63), trade(i=""), "text"):
        made = opened()
        made.receive(frame("publicTrade.BTCUSDT", [trade()]), AT)
        items = made.receive(frame("publicTrade.BTCUSDT", [trade("a"), bad, trade("c")]), AT + 1)
        items += made.receive(frame("publicTrade.BTCUSDT", [trade("d")]), AT + 2)

        assert [item.trade_id for item in items if isinstance(item, Trade)] == ["a", "c", "d"], bad
        assert types(items).count("Bad") == 1
        (gap,) = [item for item in items if isinstance(item, Gap)]
        assert (gap.cause, gap.missing_count, gap.stream) == ("decode", 1, "trade")


def test_a_candle() -> None:
    row = {
        "start": 1_790_409_720_000, "end": 1_790_409_779_999, "interval": "1", "open": "84045", "close": "84017.8",
        "high": "84046", "low": "84017.7", "volume": "7.316", "turnover": "614833.7084", "confirm": False,
        "timestamp": 1,
    }  # fmt: skip
    made = opened()
    (candle,) = made.receive(frame("kline.1.BTCUSDT", [row]), AT)
    closed = row | {"confirm": True}
    later = {"start": 1_790_409_900_000, "end": 1_790_409_959_999}

    assert isinstance(candle, Kline)
    assert (candle.interval, candle.open_time_ns, candle.close_time_ns) == (
        "1m",
        1_790_409_720_000 * MS,
        1_790_409_779_999 * MS,
    )
    assert (candle.open, candle.high, candle.low, candle.close) == ("84045", "84046", "84017.7", "84017.8")
    assert (candle.volume, candle.quote_volume, candle.closed, candle.trade_count) == (
        "7.316",
        "614833.7084",
        False,
        None,
    )
    assert types(made.receive(frame("kline.1.BTCUSDT", [closed]), AT + 1)) == ["Kline"]
    gap, _ = made.receive(frame("kline.1.BTCUSDT", [closed | later]), AT + 2)
    assert isinstance(gap, Gap)
    assert (gap.interval, gap.missing_count, gap.first_missing) == ("1m", 2, 1_790_409_780_000 * MS)


def test_a_book_begins_with_its_snapshot_and_counts_by_one() -> None:
    made = opened()

    assert types(made.receive(book(6), AT)) == ["Bad"]  # a change of a book that nobody has
    (snapshot,) = made.receive(book(7, "snapshot"), AT + 1)
    (delta,) = made.receive(book(8), AT + 2)
    assert isinstance(snapshot, Depth)
    assert isinstance(delta, Depth)
    assert (snapshot.update_type, snapshot.level_limit, snapshot.last_update_id) == (UpdateType.SNAPSHOT, 50, 7)
    assert snapshot.previous_update_id is None
    assert (delta.update_type, delta.level_limit) == (UpdateType.DELTA, 0)
    assert (delta.first_update_id, delta.last_update_id, delta.previous_update_id) == (8, 8, 7)
    assert delta.transaction_time_ns == 1_789_999_999_999 * MS
    assert list(delta.ask_price) == ["28552.10", "28553"]
    assert list(delta.ask_quantity) == ["25.433", "1"]


def test_a_broken_book_is_asked_for_anew_once_and_its_hole_is_one_gap() -> None:
    made = opened()
    made.receive(book(7, "snapshot"), AT)
    bad, *replies = made.receive(book(10), AT + 1)
    first = json.loads(replies[0].payload)  # type: ignore[union-attr]
    (then,) = made.receive(ack(first["req_id"]).replace(b'"subscribe"', b'"unsubscribe"'), AT + 2)

    assert isinstance(bad, Bad)
    assert (first["op"], first["args"]) == ("unsubscribe", ["orderbook.50.BTCUSDT"])
    assert isinstance(then, Reply)
    assert json.loads(then.payload)["op"] == "subscribe"
    assert types(made.receive(book(11), AT + 3)) == ["Bad"]
    assert made.last_receive_ns["orderbook.50.BTCUSDT"] == AT
    gap, snapshot = made.receive(book(20, "snapshot"), AT + 4)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.first_missing, gap.last_missing) == ("sequence", 8, 19)
    assert (gap.started_ns, gap.ended_ns) == (AT, AT + 4)
    assert isinstance(snapshot, Depth)
    assert snapshot.last_gap_ns == AT + 4
    assert types(made.receive(book(21), AT + 5)) == ["Depth"]
    assert made.receive(ack(json.loads(then.payload)["req_id"]), AT + 6) == [Acked(("orderbook.50.BTCUSDT",))]


def test_a_hole_outlasts_its_socket() -> None:
    made = opened()
    made.receive(book(7, "snapshot"), AT)
    made.receive(book(10), AT + 1)
    made.open()
    items = made.receive(book(30, "snapshot"), AT + 9)

    (gap,) = [item for item in items if isinstance(item, Gap)]
    assert (gap.cause, gap.started_ns, gap.ended_ns, gap.missing_count) == ("sequence", AT, AT + 9, None)


def test_a_snapshot_that_repeats_or_continues_is_no_gap_and_one_that_leaps_is() -> None:
    made = opened()
    found = [types(made.receive(book(u, "snapshot"), AT + u)) for u in (7, 7, 8, 12, 1)]

    assert found == [["Depth"], ["Depth"], ["Depth"], ["Gap", "Depth"], ["Gap", "Depth"]]


def test_an_old_change_is_published_and_counted() -> None:
    made = opened()
    made.receive(book(7, "snapshot"), AT)

    assert types(made.receive(book(7), AT)) == ["Depth"]
    assert made.out_of_order["depth"] == 1


def test_the_largest_number_is_a_number() -> None:
    made = opened()

    assert types(made.receive(book(2**62, "snapshot"), AT)) == ["Depth"]
    assert types(made.receive(book(2**62 + 1), AT)) == ["Bad"]


FULL: dict[str, Any] = {
    "symbol": "BTCUSDT", "lastPrice": "63958.60", "prevPrice24h": "64283.90", "highPrice24h": "64477.00",
    "lowPrice24h": "63183.10", "markPrice": "63958.60", "indexPrice": "63986.67", "openInterest": "57798.137",
    "openInterestValue": "3696687925.13", "turnover24h": "3947254153.7179", "volume24h": "61874.6390",
    "nextFundingTime": "1786550400000", "fundingRate": "-0.0000544", "bid1Price": "63958.60", "bid1Size": "6.907",
    "ask1Price": "63958.70", "ask1Size": "2.750",
}  # fmt: skip


def tickers(data: dict[str, Any], kind: str = "delta") -> bytes:
    return frame("tickers.BTCUSDT", {"symbol": "BTCUSDT", **data}, kind)


def test_a_snapshot_of_the_ticker_feeds_five_streams() -> None:
    ticker, mark, funding, interest, quote = opened().receive(tickers(FULL, "snapshot"), AT)

    assert isinstance(ticker, Ticker)
    assert (ticker.last_price, ticker.open, ticker.quote_volume) == ("63958.60", "64283.90", "3947254153.7179")
    assert isinstance(mark, MarkPrice)
    assert (mark.mark_price, mark.index_price, mark.funding_rate) == ("63958.60", "63986.67", "-0.0000544")
    assert mark.next_funding_time_ns == 1_786_550_400_000 * MS
    assert isinstance(funding, FundingRate)
    assert (funding.funding_rate, funding.mark_price) == ("-0.0000544", "63958.60")
    assert isinstance(interest, OpenInterest)
    assert (interest.open_interest, interest.open_interest_value) == ("57798.137", "3696687925.13")
    assert isinstance(quote, BookTicker)
    assert (quote.bid_price, quote.ask_quantity, quote.update_id) == ("63958.60", "2.750", None)


def test_a_change_gives_the_events_whose_fields_it_holds() -> None:
    made = opened()

    assert types(made.receive(tickers({"markPrice": "1"}), AT)) == ["Bad"]  # nothing before the snapshot
    made.receive(tickers(FULL, "snapshot"), AT)
    (mark,) = made.receive(tickers({"indexPrice": "63986.66"}), AT)
    assert isinstance(mark, MarkPrice)
    assert (mark.mark_price, mark.index_price) == ("63958.60", "63986.66")
    assert types(made.receive(tickers({"openInterest": "1", "ask1Size": "3"}), AT)) == ["OpenInterest", "BookTicker"]
    assert made.receive(tickers({}), AT + 5) == []
    assert made.last_receive_ns["tickers.BTCUSDT"] == AT + 5
    made.open()
    assert "Ticker" not in types(made.receive(tickers({"lastPrice": "1"}), AT))  # another socket knows nothing


def test_contracts_without_funding_say_so_with_empty_text() -> None:
    items = opened().receive(tickers(FULL | {"fundingRate": "", "nextFundingTime": ""}, "snapshot"), AT)

    (mark,) = [item for item in items if isinstance(item, MarkPrice)]
    assert (mark.funding_rate, mark.next_funding_time_ns) == (None, None)
    assert "FundingRate" not in types(items)


def test_a_bad_value_changes_nothing_and_costs_only_itself() -> None:
    made = opened()
    made.receive(tickers(FULL, "snapshot"), AT)
    items = made.receive(tickers({"markPrice": "nan", "ask1Size": "3", "nextFundingTime": "soon"}), AT)

    assert types(items).count("Bad") == 2
    assert "BookTicker" in types(items)
    (mark,) = [each for each in made.receive(tickers({"indexPrice": "2"}), AT) if isinstance(each, MarkPrice)]
    assert (mark.mark_price, mark.next_funding_time_ns) == ("63958.60", 1_786_550_400_000 * MS)


def test_only_what_was_asked_for_is_given() -> None:
    made = opened(streams=("mark_price", "book_ticker"))

    assert types(made.receive(tickers(FULL, "snapshot"), AT)) == ["MarkPrice", "BookTicker"]


def test_a_liquidated_position_was_closed_by_the_opposite_order() -> None:
    rows = [
        {"T": 1_791_565_600_992, "s": "BTCUSDT", "S": side, "v": "0.006", "p": "82396.90"}
        for side in ("Buy", "Buy", "Sell")
    ]
    items = opened().receive(frame("allLiquidation.BTCUSDT", rows), AT)

    assert [(each.side, each.ordinal) for each in items if isinstance(each, Liquidation)] == [
        (Side.SELL, 0), (Side.SELL, 1), (Side.BUY, 0),
    ]  # fmt: skip


def test_one_request_at_a_time_and_answers_without_an_id_in_order() -> None:
    made = session("BTCUSDT", "ETHUSDT", "SOLUSDT")
    (first,) = made.open()
    acked, reply = made.receive(ack(""), AT)

    assert len(json.loads(first)["args"]) == 10
    assert acked == Acked(tuple(json.loads(first)["args"]))
    assert isinstance(reply, Reply)
    assert made.receive(ack("2"), AT) == [Acked(tuple(json.loads(reply.payload)["args"]))]
    assert made.receive(ack("77"), AT) == []


def test_a_bad_topic_in_a_list_costs_only_itself() -> None:
    made = session(streams=("trade", "liquidation", "ticker"))
    requests, refused = made.open(), []
    acked: set[str] = set()
    while requests:
        wanted = json.loads(requests.pop(0))
        is_bad = "tickers.BTCUSDT" in wanted["args"]
        for item in made.receive(ack("", "error:handler not found" if is_bad else ""), AT):
            if isinstance(item, Reply):
                requests.append(item.payload)
            elif isinstance(item, Refused):
                refused.append(item)
            elif isinstance(item, Acked):
                acked.update(item.names)

    assert refused == [Refused(("tickers.BTCUSDT",), "", "error:handler not found")]
    assert acked == {"publicTrade.BTCUSDT", "allLiquidation.BTCUSDT"}


def test_data_before_the_answer_is_one() -> None:
    made = session(streams=("trade", "liquidation"))
    made.open()
    items = made.receive(frame("publicTrade.BTCUSDT", [trade()]), AT)

    assert items[0] == Acked(("publicTrade.BTCUSDT",))
    assert types(items) == ["Acked", "Trade"]
    assert made.receive(ack("1"), AT) == [Acked(("allLiquidation.BTCUSDT",))]


def test_the_ping_is_its_own_and_its_answer_nothing() -> None:
    made = opened()

    assert (made.ping(), made.ping_every) == (b'{"op":"ping"}', 20.0)
    assert made.receive(b'{"success":true,"ret_msg":"pong","conn_id":"c","op":"ping"}', AT) == []
    assert made.receive(b'{"req_id":"","op":"pong","args":["1675418560633"],"conn_id":"c"}', AT) == []


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "json"), (b"[]", "type"), (b"{}", "unknown_event"), (b"\xff", "json"), (b"pong", "json"),
        (b"[" * 100_000, "type"), (b'{"topic":"publicTrade.OTHER","data":[]}', "foreign_symbol"),
        (b'{"topic":"publicTrade.BTCUSDT","data":5}', "type"), (b'{"topic":"publicTrade.BTCUSDT"}', "json"),
        (b'{"topic":5}', "type"), (b'{"op":"subscribe"}', "unknown_event"), (b'{"op":5}', "type"),
    ],
)  # fmt: skip
def test_hostile_input_raises_nothing(payload: bytes, kind: str) -> None:
    items = opened().receive(payload, AT)

    assert [item.kind for item in items if isinstance(item, Bad)] == [kind]


def numbers_in(value: object) -> set[str]:
    """Every text that is a number, at any depth."""
    if isinstance(value, dict):
        return set().union(*map(numbers_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(numbers_in, value))
    return {value} if isinstance(value, str) and value.replace(".", "").replace("-", "").isdigit() else set()


def examples() -> list[Path]:
    return sorted((FRAMES / "bybit_linear").glob("examples_*.jsonl")) if FRAMES else []


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.name)
def test_recorded_frames_keep_their_numbers_as_text(path: Path) -> None:
    for line in path.read_bytes().splitlines():
        document = json.loads(line)
        topic = document["topic"]
        made = opened(topic.rpartition(".")[2])
        if topic.startswith("orderbook.1.") or document["type"] == "delta":
            continue
        events = [item for item in made.receive(line, AT) if isinstance(item, Event)]
        texts: set[str] = set()
        for event in events:
            for name in event.__struct_fields__:
                value = getattr(event, name)
                texts |= (
                    {value}
                    if isinstance(value, str)
                    else set(value)
                    if isinstance(event, Depth) and name[:3] in ("bid", "ask")
                    else set()
                )
        data = document["data"]
        price = data[0] if isinstance(data, list) else data
        expected = {
            price[key]
            for key in ("p", "v", "open", "close", "high", "low", "turnover", "lastPrice", "fundingRate", "bid1Size")
            if key in price
        }

        assert events
        assert expected <= texts
        assert {text for text in texts if text.replace(".", "").replace("-", "").isdigit()} <= numbers_in(document)
