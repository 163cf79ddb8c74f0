"""OKX: every recorded and example frame against an independent reading of it; books that name their predecessors;
answers argument by argument; what a symbol has and has not."""

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
from wsadapter.exchanges.okx import CODES, Okx, has_funding, is_contract, kind
from wsadapter.exchanges.venue import Acked, Bad, ClosesSoon, Item, Refused, Reply

WORDS = (
    *("kline", "ticker", "depth", "trade", "raw_trade", "mark_price", "funding_rate"),
    *("open_interest", "book_ticker", "liquidation"),
)
MS = 1_000_000
AT = 1_800_000_000_000_000_000
SWAP, SPOT = "BTC-USDT-SWAP", "BTC-USDT"
WITHOUT = {"mark_price": is_contract, "open_interest": is_contract, "funding_rate": has_funding}


def words_of(symbol: str) -> tuple[str, ...]:
    return tuple(word for word in WORDS if WITHOUT.get(word, lambda _: True)(symbol))


def sessions(*symbols: str, streams: Iterable[str] = (), levels: int = 0) -> dict[str, Okx]:
    """By socket, with nothing unanswered."""
    wanted = tuple(streams) or words_of(symbols[0])
    plans = Okx.plan(Feed("o", "okx", symbols, wanted, intervals=tuple(CODES), depth_levels=levels))
    made = {plan.connection.split("-")[1]: Okx(plan) for plan in plans}
    for each in made.values():
        requests = each.open()
        while requests:
            for argument in json.loads(requests.pop(0))["args"]:
                items = each.receive(json.dumps({"event": "subscribe", "arg": argument, "connId": "c"}).encode(), AT)
                requests += [item.payload for item in items if isinstance(item, Reply)]
    return made


def public(*symbols: str, streams: Iterable[str] = (), levels: int = 0) -> Okx:
    return sessions(*(symbols or (SWAP,)), streams=streams, levels=levels)["public"]


def business(*symbols: str) -> Okx:
    return sessions(*(symbols or (SWAP,)))["business"]


def frame(channel: str, *data: object, symbol: str = SWAP, **envelope: object) -> bytes:
    return json.dumps({"arg": {"channel": channel, "instId": symbol}, **envelope, "data": data}).encode()


def book(seq: int, previous: int, action: str = "update", **changes: object) -> bytes:
    data = {"asks": [["10.5", "3", "0", "1"]], "bids": [["10.4", "0", "0", "0"]], "ts": "1790394877300"} | changes
    return frame("books", data | {"checksum": 0, "seqId": seq, "prevSeqId": previous}, action=action)


def trade(identity: int, many: int = 1, **changes: object) -> dict[str, object]:
    common = {"instId": SWAP, "tradeId": str(identity), "px": "120.60", "sz": "391.07", "side": "sell"}
    return common | {"ts": "1790394876983", "count": str(many), "source": "0", "seqId": 5} | changes


def types(items: Iterable[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


# ------------------------------------------------------------------------------------------------- recorded frames

Row = Any
"""An element of a frame, all numbers as text."""


def columns(row: Row) -> dict[str, list[str]]:
    return {
        f"{side}_{what}": [level[place] for level in row[f"{side}s"]]
        for side in ("bid", "ask")
        for place, what in enumerate(("price", "quantity"))
    }


def ns(text: str | None) -> int | None:
    return int(text) * MS if text else None


def number(text: str | None) -> int | None:
    return int(text) if text is not None else None


def expected_trade(row: Row) -> dict[str, Any]:
    last = int(row["tradeId"])
    return {
        "trade_id": row["tradeId"], "price": row["px"], "quantity": row["sz"], "buyer_is_maker": row["side"] == "sell",
        "transaction_time_ns": ns(row["ts"]), "first_trade_id": last - int(row.get("count", "1")) + 1,
        "last_trade_id": last, "aggregated": True, "trade_number": None,
    }  # fmt: skip


def expected_single(row: Row) -> dict[str, Any]:
    single = {"first_trade_id": None, "last_trade_id": None, "aggregated": False, "trade_number": int(row["tradeId"])}
    return expected_trade(row) | single


def expected_depth(row: Row, action: str | None, limit: int) -> dict[str, Any]:
    is_snapshot = action in (None, "snapshot")
    previous = row.get("prevSeqId", "-1")
    return columns(row) | {
        "event_time_ns": ns(row["ts"]), "last_update_id": number(row.get("seqId")), "first_update_id": None,
        "previous_update_id": None if previous == "-1" else int(previous), "level_limit": limit if is_snapshot else 0,
        "update_type": UpdateType.SNAPSHOT if is_snapshot else UpdateType.DELTA,
    }  # fmt: skip


def expected_quote(row: Row) -> dict[str, Any]:
    best = {name: texts[0] if texts else None for name, texts in columns(row).items()}
    return best | {"update_id": number(row.get("seqId")), "transaction_time_ns": ns(row["ts"])}


def expected_kline(row: Row) -> dict[str, Any]:
    row = [*row, *[None] * (9 - len(row))]
    names = ("open", "high", "low", "close", "volume")
    return dict(zip(names, row[1:6], strict=True)) | {
        "open_time_ns": ns(row[0]), "close_time_ns": int(row[0]) * MS + 60_000 * MS - MS, "quote_volume": row[7],
        "closed": row[8] == "1", "interval": "1m", "trade_count": None,
    }  # fmt: skip


def expected_ticker(row: Row) -> dict[str, Any]:
    return {
        "last_price": row["last"], "last_quantity": row["lastSz"], "open": row["open24h"], "high": row["high24h"],
        "low": row["low24h"], "volume": row["vol24h"], "event_time_ns": ns(row["ts"]), "price_change": None,
        "quote_volume": row["volCcy24h"] if row["instType"] == "SPOT" else None,
    }  # fmt: skip


def expected_mark(row: Row) -> dict[str, Any]:
    return {"mark_price": row["markPx"], "event_time_ns": ns(row["ts"]), "index_price": None, "funding_rate": None}


def expected_funding(row: Row) -> dict[str, Any]:
    return {
        "funding_rate": row["fundingRate"], "next_funding_time_ns": ns(row["fundingTime"]),
        "event_time_ns": ns(row.get("ts")), "mark_price": None,
    }  # fmt: skip


def expected_interest(row: Row) -> dict[str, Any]:
    return {"open_interest": row["oi"], "open_interest_value": row.get("oiUsd"), "event_time_ns": ns(row["ts"])}


def expected_liquidation(row: Row) -> dict[str, Any]:
    return {
        "side": {"buy": Side.BUY, "sell": Side.SELL}[row["side"]], "price": row["bkPx"], "quantity": row["sz"],
        "transaction_time_ns": ns(row["ts"]), "average_price": None,
    }  # fmt: skip


ROWS: dict[str, tuple[type[Event], Callable[[Row], dict[str, Any]]]] = {
    "trades": (Trade, expected_trade), "trades-all": (Trade, expected_single), "bbo-tbt": (BookTicker, expected_quote),
    "candle1m": (Kline, expected_kline), "tickers": (Ticker, expected_ticker), "mark-price": (MarkPrice, expected_mark),
    "funding-rate": (FundingRate, expected_funding), "open-interest": (OpenInterest, expected_interest),
    "liquidation-orders": (Liquidation, expected_liquidation),
}  # fmt: skip
OTHERS = frozenset((
    "adl-warning", "call-auction-details", "economic-calendar", "estimated-price", "event-contract-markets",
    "index-candle1D", "index-candle30m", "index-tickers", "instruments", "mark-price-candle1D", "opt-summary",
    "option-trades", "price-limit", "status",
))  # fmt: skip
"""Channels that are none of ours."""
LOGIN = frozenset(("books-l2-tbt",))
"""Of accounts of a higher tier."""
UNALIGNED = frozenset(("candle1D",))
"""Not ours: those of UTC are `candle1Dutc`."""
NO_FUNDING = "ETH-USDT"
"""A spot symbol in the examples of one client, for every channel."""


def recorded() -> list[Path]:
    return sorted((FRAMES / "okx").glob("*.jsonl")) if FRAMES else []


def read(line: bytes) -> Any:
    return json.loads(line, parse_float=str, parse_int=str)


def expected(document: Any) -> list[tuple[type[Event], dict[str, Any]]] | str:
    """The events of a frame, or why it has none."""
    if not isinstance(document, dict) or ("code" in document and "event" not in document):
        return "type unknown_event"  # an answer over REST, or a list of values
    if "event" in document:
        return ""
    if "data" not in document:
        return "unknown_event"  # a request of ours
    argument, rows = document["arg"], document["data"]
    channel, symbol = argument["channel"], argument.get("instId", "")
    if channel in OTHERS | LOGIN | UNALIGNED or (symbol == NO_FUNDING and channel in WITHOUT_SPOT):
        return "foreign_symbol"
    if channel in ("books", "books5"):
        limit = 400 if channel == "books" else 5
        return [(Depth, expected_depth(row, document.get("action"), limit)) for row in rows]
    if channel == "funding-rate" and "fundingRate" not in rows[0]:
        return ""  # before the first rate of a contract
    event, expect = ROWS[channel]
    if channel == "liquidation-orders":
        rows = [detail for row in rows for detail in row["details"]]
    return [(event, expect(row)) for row in rows]


WITHOUT_SPOT = frozenset(("mark-price", "open-interest", "funding-rate"))


@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)
def test_every_recorded_frame_gives_its_events_with_its_own_numbers(path: Path) -> None:
    """Each socket's session gets what its venue would send it; books go on from frame to frame."""
    made: dict[tuple[str, int], dict[str, Okx]] = {}
    for line in filter(None, path.read_bytes().splitlines()):
        document = read(line)
        argument = document.get("arg", {}) if isinstance(document, dict) else {}
        channel = argument.get("channel", "")
        symbol = argument.get("instId") or (
            document["data"][0]["instId"] if channel == "liquidation-orders" and "data" in document else SWAP
        )
        levels = 5 if channel == "books5" else 0
        by_root = made.setdefault((symbol, levels), sessions(symbol, levels=levels))
        one = by_root["business" if channel.startswith(("candle", "trades-all")) else "public"]
        if isinstance(document, dict) and document.get("action") == "update":
            one.sequences.books[symbol].next = int(document["data"][0].get("prevSeqId", "-1"))  # cut out of its session
        items = one.receive(line, AT)
        wanted = expected(document)
        if isinstance(wanted, str):
            assert not [item for item in items if isinstance(item, Event)], line
            kinds = [item.kind for item in items if isinstance(item, Bad)]
            assert len(kinds) == bool(wanted), line
            assert all(kind in wanted for kind in kinds), line
            continue
        assert types(items) == [event.__name__ for event, _ in wanted], line
        for item, (_, fields) in zip(items, wanted, strict=True):
            found = {name: getattr(item, name) for name in fields}
            assert {name: list(v) if name.startswith(("bid_", "ask_")) and not isinstance(v, str | None) else v
                    for name, v in found.items()} == fields, line  # fmt: skip
            assert isinstance(item, Event)
            assert (item.exchange, item.symbol) == ("okx", symbol)


# ------------------------------------------------------------------------------------------------- the plan


def test_the_plan_has_two_sockets_and_names_every_stream_once() -> None:
    plans = {plan.connection: plan for plan in Okx.plan(Feed("o", "okx", (SWAP, "ETH-USDT-SWAP"), WORDS))}

    assert [plan.url for plan in plans.values()] == [
        "wss://ws.okx.com:8443/ws/v5/public",
        "wss://ws.okx.com:8443/ws/v5/business",
    ]
    assert [each.name for each in plans["o-public-0"].subscriptions] == [
        *(f"{channel}:{symbol}" if channel else "liquidation-orders:SWAP"
          for symbol in (SWAP, "ETH-USDT-SWAP")
          for channel in ("trades", "books", "tickers", "bbo-tbt", "mark-price", "funding-rate", "open-interest",
                          *(("",) if symbol == SWAP else ()))),
    ]  # fmt: skip
    assert [each.name for each in plans["o-business-0"].subscriptions][:2] == [f"trades-all:{SWAP}", f"candle1m:{SWAP}"]


def test_the_demo_has_its_own_host() -> None:
    (plan,) = Okx.plan(Feed("o", "okx", (SPOT,), ("trade",), testnet=True))

    assert plan.url == "wss://wspap.okx.com:8443/ws/v5/public"


@pytest.mark.parametrize(
    ("symbol", "word"),
    [(SPOT, "funding_rate"), (SPOT, "mark_price"), (SPOT, "open_interest"), ("BTC-USD-261225", "funding_rate")],
)
def test_what_a_symbol_has_not_is_refused(symbol: str, word: str) -> None:
    with pytest.raises(ConfigError, match=f"{word} is not offered for {symbol}"):
        Okx.plan(Feed("o", "okx", (SWAP, symbol), ("trade", word)))


def test_intervals_and_levels_that_the_venue_lacks_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown interval '8h'"):
        Okx.plan(Feed("o", "okx", (SWAP,), ("kline",), intervals=("8h",)))
    with pytest.raises(ConfigError, match="400 at most"):
        Okx.plan(Feed("o", "okx", (SWAP,), ("depth",), depth_levels=500))


@pytest.mark.parametrize(("interval", "bar"), [("1m", "1m"), ("4h", "4H"), ("6h", "6Hutc"), ("1w", "1Wutc")])
def test_candles_from_six_hours_on_open_by_utc(interval: str, bar: str) -> None:
    (plan,) = Okx.plan(Feed("o", "okx", (SWAP,), ("kline",), intervals=(interval,)))

    assert [each.name for each in plan.subscriptions] == [f"candle{bar}:{SWAP}"]


@pytest.mark.parametrize(("levels", "channel"), [(0, "books"), (5, "books5"), (1, "books5"), (20, "books")])
def test_few_levels_come_as_snapshots(levels: int, channel: str) -> None:
    (plan,) = Okx.plan(Feed("o", "okx", (SWAP,), ("depth",), depth_levels=levels))

    assert [each.name for each in plan.subscriptions] == [f"{channel}:{SWAP}"]


@pytest.mark.parametrize(
    ("symbol", "what"),
    [(SWAP, "SWAP"), (SPOT, "MARGIN"), ("BTC-USD-261225", "FUTURES"), ("BTC-USD_UM_XPERP-310404", "FUTURES"),
     ("BTC-USD-241217-92000-C", "OPTION")],
)  # fmt: skip
def test_a_symbol_says_what_it_is(symbol: str, what: str) -> None:
    assert kind(symbol) == what


# ------------------------------------------------------------------------------------------------- books


def test_a_book_goes_on_while_each_change_names_the_one_before() -> None:
    made = public()

    assert types(made.receive(book(6, 5), AT)) == ["Bad"], "of a book that nobody has"
    assert types(made.receive(book(10, -1, "snapshot"), AT)) == ["Depth"]
    assert types(made.receive(book(15, 10), AT)) == ["Depth"]


def test_a_book_whose_snapshot_stays_away_is_not_taken_for_one_that_speaks() -> None:
    made, name = public(streams=("depth",)), f"books:{SWAP}"
    for number in range(6, 9):
        assert types(made.receive(book(number, number - 1), AT + number)) == ["Bad"]

    assert made.last_receive_ns[name] == 0
    assert made.cadences[name].reply == 10.0, "so it is stale soon, and asked for anew"


def test_books_and_books5_of_one_symbol_have_numbers_of_their_own() -> None:
    """As in a recording that holds both; their numbers are of one counter, and each stream leaves out others."""
    made = public(SWAP, streams=("depth",), levels=0)
    whole = {"asks": [], "bids": [], "ts": "1790394877300", "checksum": 0, "instId": SWAP}
    items = [*made.receive(book(10, -1, "snapshot"), 1)]
    for previous, number in ((10, 15), (15, 21), (21, 30)):
        items += made.receive(frame("books5", whole | {"seqId": number - 2}), number)
        items += made.receive(book(number, previous), number)
    assert types(items) == ["Depth"] * 7
    assert made.out_of_order["depth"] == 0
    assert "Reply" in types(made.receive(book(50, 40), 50)), "a break of its own is still one"
    made.receive(frame("books5", whole | {"seqId": 19}), 51)
    assert made.out_of_order["depth"] == 1


def test_a_reset_after_maintenance_is_no_gap() -> None:
    made = public()
    made.receive(book(10, -1, "snapshot"), AT)
    made.receive(book(15, 10), AT)

    assert types(made.receive(book(3, 15), AT)) == ["Depth"]
    assert types(made.receive(book(5, 3), AT)) == ["Depth"]
    assert made.out_of_order["depth"] == 0


def test_a_sign_of_life_is_no_event() -> None:
    made = public()
    made.receive(book(10, -1, "snapshot"), AT)

    assert made.receive(book(10, 10, asks=[], bids=[]), AT + 5) == []
    assert made.last_receive_ns[f"books:{SWAP}"] == AT + 5
    assert types(made.receive(book(11, 10), AT)) == ["Depth"]


def test_a_missing_change_asks_for_the_book_anew_once_and_is_one_gap() -> None:
    made = public()
    made.receive(book(10, -1, "snapshot"), AT)
    bad, first = made.receive(book(17, 15), AT + 1)
    (then,) = made.receive(b'{"event":"unsubscribe","arg":{"channel":"books","instId":"%b"}}' % SWAP.encode(), AT + 2)

    assert isinstance(bad, Bad)
    assert isinstance(first, Reply)
    assert isinstance(then, Reply)
    asked = [json.loads(each.payload) for each in (first, then)]
    assert [(each["op"], each["args"]) for each in asked] == [
        (op, [{"channel": "books", "instId": SWAP}]) for op in ("unsubscribe", "subscribe")
    ]
    assert types(made.receive(book(19, 17), AT + 3)) == ["Bad"], "dropped until the snapshot"
    gap, snapshot = made.receive(book(30, -1, "snapshot"), AT + 4)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.symbol, gap.first_missing, gap.last_missing) == ("sequence", SWAP, 11, 29)
    assert isinstance(snapshot, Depth)
    assert snapshot.last_gap_ns == AT + 4
    assert types(made.receive(book(31, 30), AT + 5)) == ["Depth"]


def test_a_break_costs_the_other_symbols_nothing() -> None:
    made = public(SWAP, "ETH-USDT-SWAP")
    other = book(10, -1, "snapshot").replace(SWAP.encode(), b"ETH-USDT-SWAP")
    made.receive(book(10, -1, "snapshot"), AT)
    made.receive(other, AT)
    made.receive(book(17, 15), AT)
    (depth,) = made.receive(other.replace(b"snapshot", b"update").replace(b"-1", b"10").replace(b"10,", b"12,", 1), AT)

    assert isinstance(depth, Depth)
    assert (depth.symbol, depth.last_gap_ns) == ("ETH-USDT-SWAP", None)


def test_a_repeated_change_is_published_and_counted() -> None:
    made = public()
    made.receive(book(10, -1, "snapshot"), AT)
    made.receive(book(15, 10), AT)

    assert types(made.receive(book(15, 10), AT)) == ["Depth"]
    assert made.out_of_order["depth"] == 1
    assert types(made.receive(book(16, 15), AT)) == ["Depth"]


def test_a_chain_that_goes_on_with_lower_numbers_whose_beginning_was_missed_is_a_gap() -> None:
    made = public()
    made.receive(book(100, -1, "snapshot"), AT)
    made.receive(book(105, 100), AT)
    items = [item for seq in (4, 5, 6) for item in made.receive(book(seq, seq - 1), AT)]

    assert types(items) == ["Depth", "Bad", "Reply", "Bad"]
    assert types(made.receive(book(9, -1, "snapshot"), AT + 1)) == ["Gap", "Depth"]


def test_a_snapshot_without_a_predecessor_is_one() -> None:
    line = book(10, -1, "snapshot").replace(b', "prevSeqId": -1', b"")
    (depth,) = public().receive(line, AT)

    assert b"prevSeqId" not in line
    assert isinstance(depth, Depth)
    assert (depth.previous_update_id, depth.last_update_id, depth.level_limit) == (None, 10, 400)


def test_before_the_first_trade_a_ticker_says_nothing_and_is_no_gap() -> None:
    made = public(streams=("ticker",))
    told = {"instType": "SWAP", "lastSz": "0", "vol24h": "0", "volCcy24h": "0", "ts": "1734408027222"}
    for number, last in enumerate(("", "", "25")):
        day = dict.fromkeys(("last", "open24h", "high24h", "low24h"), last)
        items = made.receive(frame("tickers", told | day), AT + number * 1_000_000_000)
        assert types(items) == (["Ticker"] if last else [])


def test_crossed_books_and_more_columns_are_books() -> None:
    made = public()
    data = {"asks": [["9", "1", "0", "1", "7"]], "bids": [["10", "1", "0", "1"]]}

    assert types(made.receive(book(10, -1, "snapshot", **data), AT)) == ["Depth"]


# ------------------------------------------------------------------------------------------------- other streams


def test_a_message_of_trades_stands_for_all_of_a_takers_order() -> None:
    made = public()
    first, second = made.receive(frame("trades", trade(100, 3), trade(101)), AT)

    assert isinstance(first, Trade)
    assert isinstance(second, Trade)
    assert [(each.first_trade_id, each.last_trade_id) for each in (first, second)] == [(98, 100), (101, 101)]
    gap, _ = made.receive(frame("trades", trade(110, 4)), AT)
    assert isinstance(gap, Gap)
    assert (gap.first_missing, gap.last_missing, gap.missing_count) == (102, 106, 5)
    assert types(made.receive(frame("trades", trade(1, 3)), AT)) == ["Bad"]


def test_single_trades_count_by_one() -> None:
    made = business()
    made.receive(frame("trades-all", trade(100)), AT)
    gap, single = made.receive(frame("trades-all", trade(102)), AT)

    assert isinstance(gap, Gap)
    assert (gap.first_missing, gap.last_missing) == (101, 101)
    assert isinstance(single, Trade)
    assert (single.trade_number, single.aggregated) == (102, False)


def test_a_candle_that_is_left_out_is_a_gap() -> None:
    made = business()
    rows = [[str(1_790_409_720_000 + minute * 60_000), *["1"] * 7, "1"] for minute in (0, 1, 3)]
    items = [item for row in rows for item in made.receive(frame("candle1m", row), AT)]

    assert types(items) == ["Kline", "Kline", "Gap", "Kline"]


def test_a_months_candle_ends_with_the_month() -> None:
    (month,) = business().receive(frame("candle1Mutc", ["1706745600000", *["1"] * 7, "0"]), AT)

    assert isinstance(month, Kline)
    assert (month.interval, month.close_time_ns, month.closed) == ("1M", 1_709_251_199_999 * MS, False)


def test_a_rate_comes_once_and_again_when_it_or_its_time_changes() -> None:
    made = public()
    rows = [("0.0001", "1785888000000"), ("0.0001", "1785888000000"), ("-0.0002", "1785888000000"),
            ("-0.0002", "1785916800000")]  # fmt: skip
    found = [
        made.receive(frame("funding-rate", {"fundingRate": rate, "fundingTime": at, "ts": "1785870855692"}), AT)
        for rate, at in rows
    ]

    assert [types(items) for items in found] == [["FundingRate"], [], ["FundingRate"], ["FundingRate"]]


def test_liquidations_of_the_whole_market_are_those_of_the_feed() -> None:
    row = {"bkLoss": "0", "bkPx": "1.5", "ccy": "", "posSide": "long", "side": "sell", "sz": "8.55", "ts": "17"}
    data = [{"instId": symbol, "details": [row, row]} for symbol in (SWAP, "XRP-USDT-SWAP", "BTC-USDT-SWAP-X")]
    line = json.dumps({"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": data}).encode()

    assert [(each.symbol, each.side, each.ordinal) for each in public().receive(line, AT)
            if isinstance(each, Liquidation)] == [(SWAP, Side.SELL, 0), (SWAP, Side.SELL, 1)]  # fmt: skip


def test_two_equal_liquidations_in_one_list_are_two() -> None:
    row = {"bkLoss": "0", "bkPx": "1.5", "ccy": "", "posSide": "long", "side": "sell", "sz": "8.55", "ts": "17"}
    data = [{"instId": SWAP, "details": [row, row | {"sz": "1"}, row]}]
    line = json.dumps({"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": data}).encode()
    found = [each for each in public().receive(line, AT) if isinstance(each, Liquidation)]

    assert [(each.quantity, each.ordinal) for each in found] == [("8.55", 0), ("1", 0), ("8.55", 1)]


def test_liquidations_of_spot_are_those_of_margin() -> None:
    assert "liquidation-orders:MARGIN" in public(SPOT).last_receive_ns


def test_an_empty_side_of_the_best_quotes_is_absent() -> None:
    data = {"asks": [], "bids": [["1.5", "0.10", "0", "1"]], "ts": "17", "seqId": 5}
    (quote,) = public().receive(frame("bbo-tbt", data), AT)

    assert isinstance(quote, BookTicker)
    assert (quote.bid_price, quote.bid_quantity, quote.ask_price, quote.ask_quantity) == ("1.5", "0.10", None, None)


# ------------------------------------------------------------------------------------------------- control


def fresh(*streams: str) -> Okx:
    (plan,) = Okx.plan(Feed("o", "okx", (SWAP,), streams))
    return Okx(plan)


def test_each_argument_is_answered_by_itself_and_data_are_an_answer() -> None:
    made = fresh("trade", "liquidation", "ticker")
    (request,) = made.open()

    assert json.loads(request) == {
        "id": "1", "op": "subscribe",
        "args": [{"channel": "trades", "instId": SWAP}, {"channel": "tickers", "instId": SWAP},
                 {"channel": "liquidation-orders", "instType": "SWAP"}],
    }  # fmt: skip
    data_first = made.receive(frame("trades", trade(5)), AT)
    assert data_first[0] == Acked((f"trades:{SWAP}",))
    assert types(data_first) == ["Acked", "Trade"]
    acks = [made.receive(json.dumps({"id": "1", "event": "subscribe", "arg": each, "connId": "c"}).encode(), AT)
            for each in json.loads(request)["args"]]  # fmt: skip
    assert acks == [[], [Acked((f"tickers:{SWAP}",))], [Acked(("liquidation-orders:SWAP",))]]


@pytest.mark.parametrize("identity", ["1", ""])
def test_one_bad_argument_costs_only_itself(identity: str) -> None:
    """The error says which request it means, or, in some recordings, not even that."""
    made = fresh("trade", "liquidation", "ticker")
    requests, refused = made.open(), []
    acked: set[str] = set()
    while requests:
        request = json.loads(requests.pop(0))
        items: list[Item] = []
        for argument in request["args"]:
            answer = {"event": "subscribe", "arg": argument}
            if argument["channel"] == "tickers":
                answer = {"event": "error", "code": "60018", "msg": "Wrong URL or channel:tickers"}
            answer |= {"id": request["id"]} if identity else {}
            items += made.receive(json.dumps(answer).encode(), AT)
        requests += [item.payload for item in items if isinstance(item, Reply)]
        refused += [item for item in items if isinstance(item, Refused)]
        acked.update(name for item in items if isinstance(item, Acked) for name in item.names)

    assert refused == [Refused((f"tickers:{SWAP}",), "60018", "Wrong URL or channel:tickers")]
    assert acked == {f"trades:{SWAP}", "liquidation-orders:SWAP"}


@pytest.mark.parametrize("code", ["60014", "64007"])
def test_too_many_requests_is_no_refusal_of_the_stream(code: str) -> None:
    """Nor is an error of the venue's own: a book whose chain broke is asked for once more, after a pause."""
    made = public(streams=("depth",))
    made.receive(book(10, -1, "snapshot"), AT)
    _, reply = made.receive(book(30, 20), AT)
    argument = {"channel": "books", "instId": SWAP}
    ended = {"event": "unsubscribe", "arg": argument, "connId": "c"}
    assert isinstance(reply, Reply)
    (subscribe,) = made.receive(json.dumps(ended).encode(), AT)
    assert isinstance(subscribe, Reply)
    error = {"id": json.loads(subscribe.payload)["id"], "event": "error", "code": code, "msg": "m", "connId": "c"}
    (again,) = made.receive(json.dumps(error).encode(), AT)
    assert isinstance(again, Reply)
    assert again.pause > 0
    asked = json.loads(again.payload)
    assert (asked["op"], asked["args"]) == ("subscribe", [argument])
    assert made.receive(json.dumps({"event": "subscribe", "arg": argument}).encode(), AT) == [Acked((f"books:{SWAP}",))]


def test_another_socket_is_asked_for_before_480_requests_are_used_up() -> None:
    made = public(streams=("depth",))
    argument, asked, items = {"channel": "books", "instId": SWAP}, 1, list[Item]()
    while not any(isinstance(item, ClosesSoon) for item in items):
        assert made.resubscribe((f"books:{SWAP}",))
        for event in ("unsubscribe", "subscribe"):
            items += made.receive(json.dumps({"event": event, "arg": argument}).encode(), AT)
        asked += 2
        assert asked < 480
    assert asked >= 360


def test_few_arguments_are_in_a_request() -> None:
    symbols = tuple(f"A{n}-USDT" for n in range(30))
    (plan,) = Okx.plan(Feed("o", "okx", symbols, ("trade", "ticker")))
    (first,) = Okx(plan).open()

    assert len(json.loads(first)["args"]) == 20


def test_the_ping_is_text_and_so_is_its_answer() -> None:
    made = public()

    assert (made.ping(), made.ping_every) == (b"ping", 20.0)
    assert made.receive(b"pong", AT) == []


def test_a_notice_tells_of_the_end() -> None:
    text = "The connection will soon be closed for a service upgrade. Please reconnect."
    for made in sessions(SWAP).values():
        notice = json.dumps({"event": "notice", "code": "64008", "msg": text, "connId": "a4d3ae55"}).encode()

        assert made.receive(notice, AT) == [ClosesSoon(text[:64])]
        assert made.receive(notice.replace(b"64008", b"64999"), AT) == []


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "json"), (b"[]", "type"), (b"{}", "unknown_event"), (b"\xff", "json"), (b"ping", "json"),
        (b"[" * 100_000, "type"), (b'{"arg":5}', "type"), (b'{"event":"subscribe"}', "unknown_event"),
        (b'{"event":5}', "type"), (frame("trades", symbol="OTHER"), "foreign_symbol"),
        (b'{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":5}', "type"),
        (frame("trades", trade(1, px="1e5")), "decimal"), (frame("trades", trade(1, side="none")), "other"),
        (frame("trades", trade(2**63)), "range"), (frame("trades", trade(1, ts="-1")), "range"),
        (frame("tickers", {}), "type"), (frame("bbo-tbt", {"asks": [[]], "bids": [], "ts": "1"}), "other"),
        (frame("mark-price", {"markPx": "-1", "ts": "1"}), "decimal"),
    ],
)  # fmt: skip
def test_hostile_input_raises_nothing(payload: bytes, kind: str) -> None:
    items = public().receive(payload, AT)

    assert [item.kind for item in items if isinstance(item, Bad)] == [kind]


def test_a_bad_element_costs_only_itself_and_shows_as_a_gap() -> None:
    made = public()
    made.receive(frame("mark-price", {"markPx": "1", "ts": "1"}), AT)
    items = made.receive(frame("mark-price", {"markPx": "", "ts": "1"}, {"markPx": "2", "ts": "2"}), AT)

    assert types(items) == ["Bad", "Gap", "MarkPrice"]


def test_damaged_frames_raise_nothing() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice, bad = random.Random(seed), 0
    made = list(sessions(SWAP).values())
    liquidation = {"instId": SWAP, "details": [{"side": "buy", "bkPx": "1", "sz": "2", "ts": "3"}]}
    samples = [
        book(1, -1, "snapshot"), book(2, 1), frame("trades", trade(5, 2), trade(6)),
        frame("bbo-tbt", {"asks": [["1.5", "2", "0", "1"]], "bids": [], "ts": "17", "seqId": 5}),
        frame("candle1m", ["1790409720000", *["1.50"] * 7, "1"]), b'{"event":"notice","code":"64008","msg":"m"}',
        frame("funding-rate", {"fundingRate": "-0.1", "fundingTime": "1785888000000", "ts": "1"}),
        json.dumps({"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": [liquidation]}).encode(),
        b'{"id":"1","event":"error","code":"60012","msg":"Invalid request","connId":"a4d3ae55"}', b"pong",
    ]  # fmt: skip
    for n in range(4000):
        line = dice.randbytes(dice.randrange(100)) if n % 8 == 0 else mutated(dice.choice(samples), dice)
        for each in made:
            items = each.receive(memoryview(line), AT + n)
            check(items, (SWAP,))
            bad += any(isinstance(item, Bad) for item in items)
    assert bad > 2000
