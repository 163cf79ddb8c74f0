"""Bitget, futures and spot: every recorded frame as another reading of the raw JSON has it; requests, answers, books,
candles, damaged frames."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from exchanges.fuzzing import check, mutated
from exchanges.readings import Expected, assert_read, ms, sides, texts
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
from wsadapter.exchanges import load
from wsadapter.exchanges.venue import Acked, Bad, Exchange, Item, Refused, Reply

AT = 1_790_000_000_000_000_000
MS = 1_000_000
SENT = 1_790_000_000_000
SPOT_WORDS = ("trade", "depth", "kline", "ticker", "book_ticker")
WORDS = {
    "bitget": (*SPOT_WORDS, "mark_price", "funding_rate", "open_interest", "liquidation"), "bitget_spot": SPOT_WORDS,
}  # fmt: skip
TYPES = {"bitget": "usdt-futures", "bitget_spot": "spot"}
EXCHANGES = {kind: word for word, kind in TYPES.items()}
V3_CODES = {"1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1H": "1h", "4H": "4h"}
UTC_CODES = {"6Hutc": "6h", "12Hutc": "12h", "1Dutc": "1d", "3Dutc": "3d", "1Wutc": "1w", "1Mutc": "1M"}


def session(
    word: str, *symbols: str, levels: int = 0, interval: str = "1m", streams: Iterable[str] = (), root: int = 0
) -> Exchange:
    wanted = tuple(streams) or WORDS[word]
    venue = load(word)
    made = venue(venue.plan(Feed("g", word, symbols or ("BTCUSDT",), wanted, (interval,), depth_levels=levels))[root])
    requests = made.open()
    for request in requests:
        for arg in json.loads(request)["args"]:
            made.receive(json.dumps({"event": "subscribe", "arg": arg, "connId": "c"}).encode(), AT)
    return made


def frame(topic: str, *rows: object, action: str = "update", word: str = "bitget", **arg: str) -> bytes:
    said = {"instType": TYPES[word], "topic": topic, "symbol": "BTCUSDT", **arg}
    return json.dumps({"action": action, "arg": said, "data": rows, "ts": SENT}).encode()


def types(items: Iterable[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


# ------------------------------------------------------------------------------------------------------ recorded frames


def lines() -> list[tuple[str, bytes]]:
    if FRAMES is None:
        return []
    return [
        (f"{directory}-{path.name}", line)
        for directory in ("bitget_v3", "bitget", "bitget_spot")
        for path in sorted((FRAMES / directory).glob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


LINES = lines()


def reason_for_none(name: str, document: dict[str, Any]) -> str:
    """Why a frame gives no event: it is none of a stream that is asked for."""
    if "rest" in name:
        return "REST"
    if "action" not in document:
        return "answer"
    arg = document["arg"]
    if arg["instType"].lower() not in EXCHANGES:
        return "another market"
    interval = arg.get("interval") or arg.get("channel", "").partition("candle")[2]
    return "a day of UTC+8" if interval and interval not in V3_CODES | UTC_CODES else ""


V3_NAMES = {
    "trade": {"tradeId": "i", "price": "p", "size": "v", "side": "S", "ts": "T"},
    "books": {"asks": "a", "bids": "b"},
    "ticker": {
        "lastPr": "lastPrice", "open24h": "openPrice24h", "high24h": "highPrice24h", "low24h": "lowPrice24h",
        "baseVolume": "volume24h", "quoteVolume": "turnover24h", "holdingAmount": "openInterest",
    },
    "candle": {},
}  # fmt: skip


def in_version_3(document: dict[str, Any]) -> dict[str, Any]:
    """A document of version 2 under the names of version 3."""
    arg = document["arg"]
    if "topic" in arg:
        return document
    channel = arg["channel"]
    kind = next(kind for kind in V3_NAMES if channel.startswith(kind))
    rows = [
        row if isinstance(row, list) else {V3_NAMES[kind].get(name, name): value for name, value in row.items()}
        for row in document["data"]
    ]
    topic = {"trade": "publicTrade", "candle": "kline"}.get(kind, channel)
    named = {"instType": arg["instType"].lower(), "topic": topic, "symbol": arg["instId"], "version": 2}
    return {**document, "arg": named | {"interval": channel.removeprefix("candle")}, "data": rows}


def number(row: dict[str, Any], name: str) -> int | None:
    """Books had none before 2026."""
    return int(row[name]) if name in row else None


def expected(document: dict[str, Any]) -> Iterator[Expected]:
    sent, is_snapshot = ms(document.get("ts")), document["action"] == "snapshot"
    topic, rows = document["arg"]["topic"], document["data"]
    match topic:
        case "publicTrade":
            for row in reversed(rows):
                yield Trade, {
                    "event_time_ns": sent, "transaction_time_ns": ms(row["T"]), "trade_id": row["i"], "price": row["p"],
                    "quantity": row["v"], "buyer_is_maker": row["S"] == "sell", "aggregated": False,
                }  # fmt: skip
        case "kline":
            for before, row in zip([None, *rows], rows, strict=False):
                for values, closed in ((before, True), (row, False)):
                    if values is not None:
                        yield Kline, {
                            "event_time_ns": sent, "interval": (V3_CODES | UTC_CODES)[document["arg"]["interval"]],
                            "open_time_ns": ms(values[0]), "close_time_ns": (int(values[0]) + 59_999) * MS,
                            "closed": closed, "open": values[1], "high": values[2], "low": values[3],
                            "close": values[4], "volume": values[5], "quote_volume": values[6],
                        }  # fmt: skip
        case "books" | "books5" | "books15":
            deepest = 500 if "version" in document["arg"] else 1000
            for row in rows:
                is_whole = is_snapshot or topic != "books"
                yield Depth, {
                    "event_time_ns": sent, "transaction_time_ns": ms(row["ts"]), "last_update_id": number(row, "seq"),
                    "update_type": UpdateType.SNAPSHOT if is_whole else UpdateType.DELTA,
                    "level_limit": int(topic.removeprefix("books") or deepest) if is_whole else 0,
                    "previous_update_id": None if is_whole else number(row, "pseq"), **sides(row["b"], row["a"]),
                }  # fmt: skip
        case "books1":
            for row in rows:
                bid, ask = ((row[side] or [[None, None]])[0] for side in "ba")
                yield BookTicker, {
                    "event_time_ns": sent, "transaction_time_ns": ms(row["ts"]), "update_id": number(row, "seq"),
                    "bid_price": bid[0], "bid_quantity": bid[1], "ask_price": ask[0], "ask_quantity": ask[1],
                }  # fmt: skip
        case "ticker":
            for row in rows:
                yield Ticker, {
                    "event_time_ns": sent, "last_price": row["lastPrice"], "open": row["openPrice24h"],
                    "high": row["highPrice24h"], "low": row["lowPrice24h"], "volume": row["volume24h"],
                    "quote_volume": row["turnover24h"],
                }  # fmt: skip
                if document["arg"]["instType"] == "spot":
                    return
                funding = {"funding_rate": row["fundingRate"], "next_funding_time_ns": ms(row["nextFundingTime"])}
                common = {"event_time_ns": sent, "mark_price": row["markPrice"]}
                yield MarkPrice, {**common, **funding, "index_price": row["indexPrice"]}
                yield FundingRate, common | funding
                yield OpenInterest, {"event_time_ns": sent, "open_interest": row["openInterest"]}
        case "liquidation":
            for row in rows:
                yield Liquidation, {
                    "event_time_ns": sent, "transaction_time_ns": ms(row["ts"]), "price": row["price"],
                    "quantity": row["amount"], "side": {"buy": Side.SELL, "sell": Side.BUY}[row["side"]],
                }  # fmt: skip


@pytest.mark.parametrize("index", range(len(LINES)), ids=lambda i: f"{LINES[i][0]}-{i}")
def test_every_frame(index: int) -> None:
    name, line = LINES[index]
    document = texts(line)
    if reason_for_none(name, document):
        return
    document, arg = in_version_3(document), in_version_3(document)["arg"]
    word, topic, symbol = EXCHANGES[arg["instType"]], arg["topic"], arg.get("symbol", "")
    symbols = (symbol,) if symbol else tuple(row["symbol"] for row in document["data"])
    made = session(word, *symbols, levels=5 if topic == "books5" else 0)
    if topic == "books" and document["action"] == "update":
        begun = json.loads(line)
        begun["action"] = "snapshot"
        if "pseq" in begun["data"][0]:
            begun["data"][0].update(seq=begun["data"][0]["pseq"], pseq=0)
        made.receive(json.dumps(begun).encode(), AT)
    items = made.receive(line, AT + 1)
    found = list(expected(document))

    if symbol:
        assert_read(items, found, word, symbol)
    else:
        assert len(items) == len(symbols) > 1
        for item, one, of in zip(items, found, symbols, strict=True):
            assert_read([item], [one], word, of)


def test_frames_that_are_no_events_are_told_by_their_reasons() -> None:
    if not LINES:
        pytest.skip("the recorded frames (../shared/frames) are not here")
    reasons: Counter[str] = Counter()
    for name, line in LINES:
        document = json.loads(line)
        reason = reason_for_none(name, document)
        reasons[reason] += 1
        if reason in ("another market", "a day of UTC+8"):
            arg = document["arg"]
            made = session(EXCHANGES.get(arg["instType"].lower(), "bitget"))
            assert [item.kind for item in made.receive(line, AT) if isinstance(item, Bad)] in (
                ["foreign_symbol"], ["unknown_event"],
            ), line  # fmt: skip
        elif reason == "answer":
            items = session("bitget").receive(line, AT)
            assert not any(isinstance(item, Bad) for item in items)
            assert any(isinstance(item, Refused) for item in items) == (document["event"] == "error")
    assert reasons[""] >= 40


# ------------------------------------------------------------------------------------------------------------- the plan


def test_long_candles_have_a_connection_of_their_own() -> None:
    feed = Feed("g", "bitget", ("btcusdt",), ("trade", "kline", "liquidation"), ("1m", "1h", "1d"))
    public, utc = load("bitget").plan(feed)

    assert (public.url, utc.url) == ("wss://ws.bitget.com/v3/ws/public", "wss://ws.bitget.com/v2/ws/public")
    assert [each.name for each in public.subscriptions] == [
        "usdt-futures:publicTrade::BTCUSDT", "usdt-futures:kline:1m:BTCUSDT", "usdt-futures:kline:1H:BTCUSDT",
        "usdt-futures:liquidation::",
    ]  # fmt: skip
    assert [(each.name, each.interval) for each in utc.subscriptions] == [("USDT-FUTURES:candle1Dutc::BTCUSDT", "1d")]
    (demo,) = load("bitget_spot").plan(Feed("g", "bitget_spot", ("X",), ("trade",), testnet=True))
    assert demo.url == "wss://wspap.bitget.com/v3/ws/public"


@pytest.mark.parametrize(("levels", "name"), [(0, "books"), (1, "books5"), (5, "books5"), (20, "books")])
def test_few_levels_come_whole_and_many_as_changes(levels: int, name: str) -> None:
    (plan,) = load("bitget").plan(Feed("g", "bitget", ("BTCUSDT",), ("depth",), depth_levels=levels))

    assert [each.name for each in plan.subscriptions] == [f"usdt-futures:{name}::BTCUSDT"]


@pytest.mark.parametrize(
    ("word", "settings", "says"),
    [
        ("bitget", {"streams": ("kline",), "intervals": ("2h",)}, "2h.*1m 3m 5m 15m 30m 1h 4h 6h 12h 1d 3d 1w 1M"),
        ("bitget", {"streams": ("kline",), "intervals": ("8h",)}, "8h"),
        ("bitget", {"streams": ("depth",), "depth_levels": 1001}, "1000"),
        ("bitget", {"streams": ("trade",), "symbols": ("BTCPERP",)}, "BTCPERP"),
        ("bitget", {"streams": ("raw_trade",)}, "raw_trade"), ("bitget_spot", {"streams": ("mark_price",)}, "mark_pri"),
        ("bitget_spot", {"streams": ("liquidation",)}, "liquidation"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused(word: str, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(word).plan(Feed(**{"name": "g", "exchange": word, "symbols": ("BTCUSDT",), **settings}))


def test_requests_have_ten_arguments_at_most() -> None:
    venue = load("bitget")
    symbols = tuple(f"COIN{number}USDT" for number in range(60))
    plans = venue.plan(Feed("g", "bitget", symbols, ("trade", "depth")))
    first = venue(plans[0])

    assert [len(plan.subscriptions) for plan in plans] == [100, 20]
    assert [len(json.loads(request)["args"]) for request in first.open()] == [10] * 10
    assert (first.message_interval, first.max_life, first.ping(), first.ping_every) == (1.0, 86_400.0, b"ping", 20.0)


# -------------------------------------------------------------------------------------------------------------- answers


def unanswered(*streams: str) -> Exchange:
    venue = load("bitget")
    made = venue(venue.plan(Feed("g", "bitget", ("BTCUSDT",), streams, ("1d",)))[0])
    made.open()
    return made


def test_each_argument_is_answered_by_itself() -> None:
    made = unanswered("trade", "depth", "liquidation")
    arg: dict[str, str] = {"instType": "usdt-futures", "topic": "books", "symbol": "BTCUSDT"}
    refusal = {"event": "error", "code": 30001, "msg": json.dumps(arg) + " does not exist", "connId": "c"}

    assert made.receive(json.dumps(refusal).encode(), AT) == [
        Refused(("usdt-futures:books::BTCUSDT",), "30001", json.dumps(arg) + " does not exist")
    ]
    for topic, name in (
        ("publicTrade", "usdt-futures:publicTrade::BTCUSDT"),
        ("liquidation", "usdt-futures:liquidation::"),
    ):
        answer = {"event": "subscribe", "arg": arg | {"topic": topic, "symbol": name.rpartition(":")[2]}}
        assert made.receive(json.dumps(answer).encode(), AT) == [Acked((name,))]
        assert made.receive(json.dumps(answer).encode(), AT) == []


def test_version_2_names_the_culprit_beside_its_text() -> None:
    made = unanswered("kline")
    arg = {"instType": "USDT-FUTURES", "channel": "candle1Dutc", "instId": "BTCUSDT"}
    refusal = {"event": "error", "arg": arg, "code": 30016, "msg": "Param error", "op": "subscribe"}

    assert made.receive(json.dumps(refusal).encode(), AT) == [
        Refused(("USDT-FUTURES:candle1Dutc::BTCUSDT",), "30016", "Param error")
    ]


def test_an_error_that_names_nothing_is_about_the_oldest_request() -> None:
    made = unanswered("trade", "depth")
    reply_a, reply_b = made.receive(b'{"event":"error","code":30016,"msg":"Param error"}', AT)

    assert isinstance(reply_a, Reply)
    assert isinstance(reply_b, Reply)
    assert {json.loads(each.payload)["args"][0]["topic"] for each in (reply_a, reply_b)} == {"publicTrade", "books"}


@pytest.mark.parametrize("code", [30006, "30006"])
def test_too_many_requests_is_no_refusal_of_the_stream(code: object) -> None:
    made = unanswered("trade", "depth")
    (again,) = made.receive(json.dumps({"event": "error", "code": code, "msg": "request too many"}).encode(), AT)

    assert isinstance(again, Reply)
    assert again.pause > 0
    assert [each["topic"] for each in json.loads(again.payload)["args"]] == ["publicTrade", "books"]


def test_data_before_the_answer_is_one() -> None:
    made = unanswered("trade")

    assert types(made.receive(frame("publicTrade", trade()), AT)) == ["Acked", "Trade"]


def test_pings_are_answered_by_no_json() -> None:
    assert session("bitget").receive(b"pong", AT) == []


# -------------------------------------------------------------------------------------------------------------- streams


def trade(**changes: object) -> dict[str, object]:
    return {"i": "14", "p": "80810.60", "v": "0.0246", "S": "sell", "T": str(SENT), "L": "15", "isRPI": "no"} | changes


def book(seq: int, pseq: int, action: str = "update", bids: object = (("1.10", "2"),), word: str = "bitget") -> bytes:
    row = {"a": [], "b": bids, "seq": seq, "pseq": pseq, "ts": str(SENT), "maxdepth": "1000"}
    return frame("books", row, action=action, word=word)


def test_trades_come_oldest_first() -> None:
    items = session("bitget").receive(frame("publicTrade", trade(i="9"), trade(i="8"), action="snapshot"), AT)

    assert [item.trade_id for item in items if isinstance(item, Trade)] == ["8", "9"]


@pytest.mark.parametrize(
    "bad", [trade(p=1), trade(S="none"), trade(p="1e5"), trade(T="soon"), trade(i=""), 7, trade(v="")]
)
def test_a_bad_element_costs_only_itself_and_shows_as_a_gap(bad: object) -> None:
    made = session("bitget")
    made.receive(frame("publicTrade", trade(i="1")), AT)
    items = made.receive(frame("publicTrade", trade(i="4"), bad, trade(i="2")), AT + 1)
    items += made.receive(frame("publicTrade", trade(i="5")), AT + 2)

    assert [item.trade_id for item in items if isinstance(item, Trade)] == ["2", "4", "5"]
    assert types(items).count("Bad") == 1
    (gap,) = [item for item in items if isinstance(item, Gap)]
    assert (gap.cause, gap.stream, gap.symbol) == ("decode", "trade", "BTCUSDT")


@pytest.mark.parametrize("word", ["bitget", "bitget_spot"])
def test_a_book_names_its_predecessor_and_a_break_asks_for_it_alone(word: str) -> None:
    made = session(word, "BTCUSDT", "ETHUSDT")

    assert types(made.receive(book(9, 8, word=word), AT)) == ["Bad"], "nothing before its snapshot"
    found = [made.receive(book(*each, word=word), AT + 1) for each in ((10, 0, "snapshot"), (15, 10), (40, 15))]  # type: ignore[misc]
    assert [types(items) for items in found] == [["Depth"]] * 3
    bad, *replies = made.receive(book(60, 50, word=word), AT + 2)
    assert isinstance(bad, Bad)
    (request, *_) = [json.loads(reply.payload) for reply in replies if isinstance(reply, Reply)]
    assert request == {
        "op": "unsubscribe", "args": [{"instType": TYPES[word], "topic": "books", "symbol": "BTCUSDT"}],
    }  # fmt: skip
    assert types(made.receive(book(70, 60, word=word), AT + 3)) == ["Bad"]
    gap, snapshot = made.receive(book(90, 0, "snapshot", word=word), AT + 4)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.started_ns, gap.ended_ns) == ("sequence", AT + 1, AT + 4)
    assert isinstance(snapshot, Depth)
    assert types(made.receive(book(91, 90, word=word), AT + 5)) == ["Depth"]


@pytest.mark.parametrize("version", [3, 2])
@pytest.mark.parametrize(("pseq", "seq"), [(100, 110), (100, 105), (105, 110)])
def test_the_first_change_may_begin_before_its_snapshot(version: int, pseq: int, seq: int) -> None:
    made = session("bitget")

    assert change(made, version, 105, 0, "snapshot") == ["Depth"]
    assert change(made, version, 90, 80) == ["Depth"], "older: told as it is, and passed over"
    assert change(made, version, seq, pseq) == ["Depth"]
    assert change(made, version, seq + 5, seq) == ["Depth"]
    assert change(made, version, seq + 9, seq + 2)[0] == "Bad", "none but the first one"


@pytest.mark.parametrize(("pseq", "seq"), [(106, 110), (0, 110)])
def test_a_first_change_that_its_snapshot_does_not_reach_is_a_break(pseq: int, seq: int) -> None:
    made = session("bitget")
    made.receive(book(105, 0, "snapshot"), AT)

    assert types(made.receive(book(seq, pseq), AT))[0] == "Bad"


def change(made: Exchange, version: int, seq: int, pseq: int, action: str = "update") -> list[str]:
    if version == 3:
        return types(made.receive(book(seq, pseq, action), AT))
    row = {"asks": [], "bids": [["1", "2"]], "seq": seq, "pseq": pseq, "ts": str(SENT), "checksum": 0}
    arg = {"instType": "USDT-FUTURES", "channel": "books", "instId": "BTCUSDT"}
    return types(made.receive(json.dumps({"action": action, "arg": arg, "data": [row], "ts": SENT}).encode(), AT))


def test_a_restart_that_names_no_predecessor_is_a_break() -> None:
    made = session("bitget")
    made.receive(book(10, 0, "snapshot"), AT)

    assert types(made.receive(book(20, 0), AT))[0] == "Bad"


@pytest.mark.parametrize("version", [3, 2])
def test_a_change_that_names_no_predecessor_is_a_break(version: int) -> None:
    """Its number may be below the last one, as after a restart: it goes on from nothing that is known."""
    made = session("bitget")

    assert change(made, version, 1000, 0, "snapshot") == ["Depth"]
    assert change(made, version, 1010, 1000) == ["Depth"]
    assert change(made, version, 5, 0)[0] == "Bad"
    assert change(made, version, 9, 5) == ["Bad"], "of a book that is asked for anew"
    assert change(made, version, 12, 0, "snapshot") == ["Gap", "Depth"]
    assert change(made, version, 13, 12) == ["Depth"]


def test_whole_books_do_not_move_the_chain() -> None:
    made = session("bitget")
    row = {"a": [], "b": [["1", "2"]], "seq": 12, "pseq": 0, "ts": str(SENT)}
    found = [
        types(made.receive(message, AT))
        for message in (book(10, 0, "snapshot"), frame("books5", row, action="snapshot"), book(11, 10),
                        frame("books50", row, action="snapshot"), book(15, 11))
    ]  # fmt: skip

    assert found == [["Depth"]] * 5


def test_an_empty_change_moves_the_chain() -> None:
    made = session("bitget")
    made.receive(book(10, 0, "snapshot"), AT)

    assert types(made.receive(book(11, 10, bids=[]), AT)) == ["Depth"]
    assert types(made.receive(book(12, 11), AT)) == ["Depth"]
    assert types(made.receive(book(12, 11), AT)) == ["Depth"], "a repeat is published and counted"
    assert made.out_of_order["depth"] == 1


def test_numbers_beyond_doubles() -> None:
    made = session("bitget")
    made.receive(book(1_483_653_649_791_156_272, 0, "snapshot"), AT)
    (change,) = made.receive(book(1_483_653_649_791_156_273, 1_483_653_649_791_156_272), AT)

    assert isinstance(change, Depth)
    assert change.previous_update_id == 1_483_653_649_791_156_272


def test_a_side_may_be_empty() -> None:
    row = {"a": [["1.4138", "4.58"]], "b": [], "seq": 5, "pseq": 0, "ts": str(SENT)}
    (quote,) = session("bitget").receive(frame("books1", row, action="snapshot"), AT)

    assert isinstance(quote, BookTicker)
    assert (quote.bid_price, quote.bid_quantity, quote.ask_price) == (None, None, "1.4138")


CANDLE = {"open": "1", "high": "2", "low": "0.5", "close": "1.50", "volume": "7", "turnover": "9.1"}


def test_the_next_candle_closes_the_one_before() -> None:
    rows = [{"start": str(SENT + minute * 60_000), **CANDLE} for minute in range(3)]
    made = session("bitget")
    first = json.loads(frame("kline", *rows, action="snapshot", interval="1m"))
    del first["ts"]
    candles = [item for item in made.receive(json.dumps(first).encode(), AT) if isinstance(item, Kline)]

    assert [(each.open_time_ns // MS - SENT, each.closed) for each in candles] == [
        (0, False), (0, True), (60_000, False), (60_000, True), (120_000, False),
    ]  # fmt: skip
    assert (candles[0].event_time_ns, candles[0].close_time_ns) == (None, (SENT + 59_999) * MS)
    assert (candles[0].close, candles[0].volume, candles[0].quote_volume) == ("1.50", "7", "9.1")


@pytest.mark.parametrize("said", [{}, {"volume": "", "turnover": ""}])
def test_a_candle_that_says_no_volume_is_refused(said: dict[str, str]) -> None:
    """It is not 0, and a candle without one there is not."""
    row = {"start": str(SENT), "open": "1", "high": "1", "low": "1", "close": "1", **said}
    arg = {"instType": "spot", "topic": "kline", "symbol": "BTCUSDT", "interval": "1m"}
    message = {"action": "update", "arg": arg, "data": [row], "ts": SENT}
    items = session("bitget_spot").receive(json.dumps(message).encode(), AT)

    assert "Bad" in types(items)
    assert "Kline" not in types(items)


def test_long_candles_are_those_of_version_2() -> None:
    made = session("bitget_spot", interval="1d", streams=("kline",), root=0)
    start = 1_790_380_800_000
    row = [str(start), "83765.17", "83765.17", "83738.85", "83738.850", "0.701343", "58742.42150798", "58742.42150798"]
    arg = {"instType": "SPOT", "channel": "candle1Dutc", "instId": "BTCUSDT"}
    message = {"action": "snapshot", "arg": arg, "data": [row], "ts": SENT}
    (candle,) = made.receive(json.dumps(message).encode(), AT)

    assert isinstance(candle, Kline)
    assert (candle.interval, candle.open_time_ns, candle.close_time_ns) == (
        "1d", start * MS, (start + 86_400_000 - 1) * MS,
    )  # fmt: skip
    assert [candle.open, candle.high, candle.low, candle.close, candle.volume, candle.quote_volume] == row[1:7]


STATE = {
    "lastPrice": "80810.6", "markPrice": "80814.7", "indexPrice": "80852.148", "fundingRate": "-0.000051",
    "nextFundingTime": "1789948800000", "openInterest": "32117.3964999999767",
}  # fmt: skip


def test_a_dated_contract_has_no_funding() -> None:
    dated = STATE | {"fundingRate": "0", "nextFundingTime": "0"}
    items = session("bitget").receive(frame("ticker", dated, action="snapshot"), AT)

    assert types(items) == ["Ticker", "MarkPrice", "OpenInterest"]
    (mark,) = [item for item in items if isinstance(item, MarkPrice)]
    assert (mark.funding_rate, mark.next_funding_time_ns) == (None, None)


def test_a_funding_rate_comes_when_it_changes() -> None:
    made = session("bitget")
    frames = [STATE, STATE, STATE | {"fundingRate": "0"}, STATE | {"fundingRate": "0"}]
    rates = [
        item.funding_rate
        for state in frames
        for item in made.receive(frame("ticker", state), AT)
        if isinstance(item, FundingRate)
    ]

    assert rates == ["-0.000051", "0"]


@pytest.mark.parametrize("bad", [{"fundingRate": "nan"}, {"markPrice": "-1"}, {"lastPrice": "1e400"}, {"lastPrice": 5}])
def test_a_bad_state_is_bad_once(bad: dict[str, object]) -> None:
    items = session("bitget").receive(frame("ticker", STATE | bad), AT)

    assert "Bad" in types(items)
    for item in items:
        if isinstance(item, Event):
            check([item], {"BTCUSDT"})


def test_only_liquidations_of_the_feed_are_taken() -> None:
    row = {"side": "sell", "price": "0.500280739469", "amount": "143.330431857868", "ts": str(SENT)}
    message = json.loads(frame("liquidation", row | {"symbol": "IPUSDT"}, row | {"symbol": "APEUSDT"}))
    del message["arg"]["symbol"]
    (order,) = session("bitget", "APEUSDT").receive(json.dumps(message).encode(), AT)

    assert isinstance(order, Liquidation)
    assert (order.symbol, order.side, order.price) == ("APEUSDT", Side.BUY, "0.500280739469")
    assert order.quantity == "143.330431857868", "in USDT, as it came"


# -------------------------------------------------------------------------------------------------------------- hostile


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "json"), (b"[]", "type"), (b"{}", "unknown_event"), (b"\xff", "json"), (b"ping", "json"),
        (b"[" * 100_000, "type"), (b'{"event":"login"}', "unknown_event"), (b'{"action":5}', "type"),
        (b'{"action":"update","arg":{"instType":"spot","topic":"books","symbol":"X"},"data":[]}', "unknown_event"),
        (b'{"action":"update","arg":{"instType":"usdt-futures","topic":"books"},"data":[]}', "foreign_symbol"),
        (b'{"action":"update","arg":{"instType":"usdt-futures","topic":"books","symbol":"BTCUSDT"},"data":5}', "type"),
        (b'{"action":"update","arg":null,"data":[]}', "type"),
    ],
)  # fmt: skip
def test_hostile_input_raises_nothing(payload: bytes, kind: str) -> None:
    items = session("bitget").receive(payload, AT)

    assert [item.kind for item in items if isinstance(item, Bad)] == [kind]


@pytest.mark.parametrize("word", ["bitget", "bitget_spot"])
def test_damaged_frames_raise_nothing_and_give_nothing_false(word: str) -> None:
    samples = [line for _, line in LINES if TYPES[word].encode() in line.lower()]
    samples += [book(10, 0, "snapshot", word=word), book(11, 10, word=word), frame("ticker", STATE, word=word)]
    samples += [frame("kline", {"start": str(SENT), **CANDLE}, interval="1m", word=word)]
    dice, made, bad = random.Random(5), session(word), 0
    for number in range(4000):
        items = made.receive(memoryview(mutated(dice.choice(samples), dice)), AT + number)
        check(items, {"BTCUSDT"})
        bad += any(isinstance(item, Bad) for item in items)
    assert bad > 1000
