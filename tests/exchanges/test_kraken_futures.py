"""Kraken Futures: recorded frames by text, a recorded session whole, numbers with exponents, answers one a product."""

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from exchanges.fuzzing import check, mutated
from frames_path import frames

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
)
from wsadapter.exchanges import load
from wsadapter.exchanges.kraken_futures import KrakenFutures
from wsadapter.exchanges.venue import Acked, Bad, Item, Refused, Reply

WORDS = (
    *("trade", "liquidation", "depth", "ticker", "book_ticker", "mark_price", "funding_rate", "open_interest"),
    "kline",
)
XBT = "PF_XBTUSD"
AT = 1_790_000_000_000_000_000
MS = 1_000_000


def opened(*symbols: str, **settings: Any) -> KrakenFutures:
    given = {"streams": WORDS, "intervals": ("1m",), **settings}
    (plan,) = KrakenFutures.plan(Feed(name="k", exchange="kraken_futures", symbols=symbols or (XBT,), **given))
    made = KrakenFutures(plan)
    made.open()
    return made


def types(items: Iterable[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


def lines(name: str) -> list[bytes]:
    return frames(f"kraken_futures/{name}.jsonl").read_bytes().splitlines()


def texts(line: bytes) -> Any:
    """The document with the text of each number in its place."""
    return json.loads(line, parse_float=str, parse_int=str)


def plain(text: str) -> str:
    """Another reading of a number: zeros that were written stay, exponents go, zero has no sign."""
    return f"{Decimal(text):f}".removeprefix("-" if Decimal(text) == 0 else " ")


# ------------------------------------------------------------------------------------------------------------- the plan


def test_the_plan_names_every_stream_once() -> None:
    made = opened("PF_XBTUSD", "PI_XBTUSD", intervals=("1m", "12h"))

    assert list(made.last_receive_ns)[:5] == [
        "trade:PF_XBTUSD", "book:PF_XBTUSD", "ticker:PF_XBTUSD", "candles_trade_1m:PF_XBTUSD",
        "candles_trade_12h:PF_XBTUSD",
    ]  # fmt: skip
    assert len(made.last_receive_ns) == 10
    (live,), (test,) = (
        KrakenFutures.plan(Feed("k", "kraken_futures", (XBT,), ("trade",), testnet=testnet))
        for testnet in (False, True)
    )
    assert (live.url, test.url) == ("wss://futures.kraken.com/ws/v1", "wss://demo-futures.kraken.com/ws/v1")
    assert load("kraken_futures").__name__ == "KrakenFutures"


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"intervals": ("1m", "3m", "1M")}, "1M"), ({"streams": ("raw_trade",)}, "raw_trade"), ({"symbols": ()}, "symb")],
)
def test_what_the_venue_does_not_have_is_refused(settings: dict[str, Any], says: str) -> None:
    given = {"symbols": (XBT,), "streams": WORDS, "intervals": ("1m",), **settings}
    with pytest.raises(ConfigError, match=says):
        KrakenFutures.plan(Feed(name="k", exchange="kraken_futures", **given))


# -------------------------------------------------------------------------------------------------------- what is asked


def ack(request: dict[str, Any], product: str) -> bytes:
    return json.dumps({"event": f"{request['event']}d", "feed": request["feed"], "product_ids": [product]}).encode()


def test_one_request_at_a_time_and_an_answer_a_product() -> None:
    (plan,) = KrakenFutures.plan(Feed("k", "kraken_futures", (XBT, "PI_ETHUSD"), ("trade", "depth")))
    made = KrakenFutures(plan)
    (payload,) = made.open()
    first = json.loads(payload)
    assert first == {"event": "subscribe", "feed": "trade", "product_ids": [XBT, "PI_ETHUSD"]}
    assert made.receive(ack(first, "PI_ETHUSD"), AT) == [Acked(("trade:PI_ETHUSD",))]
    acked, reply = made.receive(ack(first, XBT), AT)

    assert acked == Acked((f"trade:{XBT}",))
    assert isinstance(reply, Reply)
    assert json.loads(reply.payload) == {"event": "subscribe", "feed": "book", "product_ids": [XBT, "PI_ETHUSD"]}


@pytest.mark.parametrize("event", ["alert", "error"])
def test_a_refusal_that_names_nothing_is_found_by_halves(event: str) -> None:
    """The venue takes the others of a request that names a product it does not know; or it takes none."""
    for takes_others in (True, False):
        made = opened(XBT, "NOSUCH", "PI_ETHUSD", streams=("trade",))
        asked = [{"event": "subscribe", "feed": "trade", "product_ids": [XBT, "NOSUCH", "PI_ETHUSD"]}]
        acked, refused = set[str](), list[Refused]()
        while asked:
            request, answers = asked.pop(0), list[bytes]()
            is_bad = "NOSUCH" in request["product_ids"]
            if is_bad:
                answers.append(json.dumps({"event": event, "message": "Invalid product id"}).encode())
            if takes_others or not is_bad:
                answers += [ack(request, product) for product in request["product_ids"] if product != "NOSUCH"]
            for item in (item for answer in answers for item in made.receive(answer, AT)):
                if isinstance(item, Reply):
                    asked.append(json.loads(item.payload))
                elif isinstance(item, Refused):
                    refused.append(item)
                elif isinstance(item, Acked):
                    acked.update(item.names)
        assert refused == [Refused(("trade:NOSUCH",), "", "Invalid product id")]
        assert acked == {f"trade:{XBT}", "trade:PI_ETHUSD"}


def failed(verb: str, feed: str, *products: str) -> bytes:
    return json.dumps({"event": f"{verb}_failed", "feed": feed, "product_ids": products}).encode()


def test_a_refusal_that_names_its_product_costs_that_one_and_more_is_asked_for() -> None:
    made = opened(XBT, "NOSUCH", streams=("trade", "depth"))
    trades = {"event": "subscribe", "feed": "trade", "product_ids": [XBT, "NOSUCH"]}
    assert made.receive(failed("subscribed", "trade", "NOSUCH"), AT) == [
        Refused(("trade:NOSUCH",), "", "subscribed_failed")
    ]
    acked, reply = made.receive(ack(trades, XBT), AT)
    assert acked == Acked((f"trade:{XBT}",))
    assert isinstance(reply, Reply)
    assert json.loads(reply.payload) == {**trades, "feed": "book"}
    (half,) = made.receive(failed("subscribed", "book", XBT, "NOSUCH"), AT)
    assert isinstance(half, Reply)
    assert json.loads(half.payload)["product_ids"] == [XBT], "of a list that is named whole it may be one"


def test_a_stream_whose_end_failed_is_asked_for_all_the_same() -> None:
    made = opened(streams=("depth",))
    made.receive(ack({"event": "subscribe", "feed": "book"}, XBT), AT)
    (end,) = made.resubscribe((f"book:{XBT}",))
    assert json.loads(end)["event"] == "unsubscribe"
    refused, reply = made.receive(failed("unsubscribed", "book", XBT), AT)
    assert refused == Refused((), "", "unsubscribed_failed")
    assert isinstance(reply, Reply)
    assert json.loads(reply.payload) == {"event": "subscribe", "feed": "book", "product_ids": [XBT]}


def test_recorded_answers() -> None:
    info, subscribed, invalid, private = lines("examples_control")
    made = opened(streams=("ticker",))

    assert made.receive(info, AT) == []
    assert made.receive(subscribed, AT) == [Acked((f"ticker:{XBT}",))]
    for line, message in ((invalid, "Couldn't subscribe to invalid feed"),
                          (private, "Failed to subscribe to authenticated feed")):  # fmt: skip
        assert opened(streams=("ticker",)).receive(line, AT) == [Refused((f"ticker:{XBT}",), "", message)]
    assert made.receive(b'{"event":"alert","message":"Already subscribed to feed, re-requesting"}', AT) == []


def test_the_ping_and_what_is_none_of_ours() -> None:
    made = opened()
    (lite,) = lines("examples_ticker_lite")

    assert (made.ping(), made.ping_every) == (b'{"event":"ping"}', 30.0)
    for nothing in (
        b'{"event":"pong"}',
        b'{"feed":"heartbeat","time":1}',
        lite,
        b'{"event":"subscribed","feed":"book"}',
    ):
        assert made.receive(nothing, AT) == []


# --------------------------------------------------------------------------------------------- recorded frames, by text


def expected(said: dict[str, Any], fields: dict[str, str]) -> dict[str, str | None]:
    return {ours: plain(said[theirs]) if theirs in said else None for ours, theirs in fields.items()}


def found(event: Any, fields: dict[str, str]) -> dict[str, str | None]:
    return {name: getattr(event, name) for name in fields}


TICKER = {"last_price": "last", "price_change_percent": "change", "open": "open", "high": "high", "low": "low",
          "volume": "volume", "quote_volume": "volumeQuote"}  # fmt: skip
TOUCH = {"bid_price": "bid", "bid_quantity": "bid_size", "ask_price": "ask", "ask_quantity": "ask_size"}
MARK = {"mark_price": "markPrice", "index_price": "index", "funding_rate": "relative_funding_rate"}
FUNDING = {"funding_rate": "relative_funding_rate", "mark_price": "markPrice"}
KINDS: list[tuple[type[Event], dict[str, str]]] = [
    (Ticker, TICKER), (BookTicker, TOUCH), (MarkPrice, MARK), (FundingRate, FUNDING),
    (OpenInterest, {"open_interest": "openInterest"}),
]  # fmt: skip


@pytest.mark.parametrize("index", range(6))
def test_recorded_tickers(index: int) -> None:
    line = lines("examples_ticker")[index]
    said = texts(line)
    items = opened(said["product_id"]).receive(line, AT)
    by_type: dict[type, Item] = {type(item): item for item in items}
    has_funding = said.get("next_funding_rate_time", "0") != "0"
    is_there = {Ticker: said["last"] != "0.0", BookTicker: said["bid"] != "0.0", FundingRate: has_funding}

    assert len(items) == 2 + sum(is_there.values())
    for kind, fields in KINDS:
        if not is_there.get(kind, True):
            assert kind not in by_type
            continue
        event: Any = by_type[kind]
        assert found(event, fields) == expected(said, fields)
        assert (event.event_time_ns, event.symbol) == (int(said["time"]) * MS, said["product_id"])
        if kind in (FundingRate, MarkPrice):
            assert event.next_funding_time_ns == (int(said["next_funding_rate_time"]) * MS if has_funding else None)
    assert len(lines("examples_ticker")) == 6


def test_exponents_and_signs_of_the_ticker() -> None:
    rates = [next((i.funding_rate for i in opened(texts(line)["product_id"]).receive(line, AT)
                   if isinstance(i, FundingRate)), None) for line in lines("examples_ticker")]  # fmt: skip

    assert rates[0] == "0.000002747066666667"
    assert rates[4] == "-0.000015670191666667"
    assert rates[5] is None


def test_recorded_books() -> None:
    snapshot, *deltas = lines("examples_book")
    for line in deltas:
        said = texts(line)
        before = snapshot.replace(b"115335794", str(int(said["seq"]) - 1).encode())
        made = opened()
        (book,) = made.receive(before, AT)
        (change,) = made.receive(line, AT)
        assert isinstance(book, Depth)
        assert isinstance(change, Depth)
        whole = texts(before)
        assert (book.update_type.name, book.last_update_id, book.previous_update_id) == (
            "SNAPSHOT", int(whole["seq"]), None,
        )  # fmt: skip
        for side in ("bid", "ask"):
            assert list(getattr(book, f"{side}_price")) == [level["price"] for level in whole[f"{side}s"]]
            assert list(getattr(book, f"{side}_quantity")) == [level["qty"] for level in whole[f"{side}s"]]
        assert (list(change.bid_price), list(change.ask_price)) == ([], [said["price"]])
        assert list(change.ask_quantity) == [said["qty"]]
        assert (change.update_type.name, change.level_limit) == ("DELTA", 0)
        assert (change.last_update_id, change.previous_update_id) == (int(said["seq"]), int(said["seq"]) - 1)
        assert change.event_time_ns == int(said["timestamp"]) * MS


def same_trade(trade: Trade, said: dict[str, Any]) -> None:
    assert (trade.trade_id, str(trade.trade_number), trade.price, trade.quantity, trade.symbol) == (
        said["uid"], said["seq"], said["price"], said["qty"], said["product_id"],
    )  # fmt: skip
    assert trade.buyer_is_maker is (said["side"] == "sell")
    assert (trade.transaction_time_ns, trade.event_time_ns) == (int(said["time"]) * MS, None)


def test_recorded_trades() -> None:
    snapshot, *live = lines("examples_trade")
    newest = opened().receive(snapshot, AT)

    assert len(newest) == 3
    for trade, said in zip(newest, reversed(texts(snapshot)["trades"]), strict=True):
        assert isinstance(trade, Trade)
        same_trade(trade, said)
    for line in live:
        (trade,) = opened().receive(line, AT)
        assert isinstance(trade, Trade)
        same_trade(trade, texts(line))


def test_recorded_liquidations_are_trades_as_well_and_have_the_side_of_the_order() -> None:
    for line, side in zip(lines("examples_liquidation"), (Side.SELL, Side.BUY), strict=True):
        said = texts(line)
        trade, liquidation = opened(said["product_id"]).receive(line, AT)
        assert isinstance(trade, Trade)
        same_trade(trade, said)
        assert isinstance(liquidation, Liquidation)
        assert (liquidation.side, liquidation.price, liquidation.quantity) == (side, said["price"], said["qty"])
        assert liquidation.transaction_time_ns == int(said["time"]) * MS
        assert types(opened(said["product_id"], streams=("liquidation",)).receive(line, AT)) == ["Liquidation"]
        assert types(opened(said["product_id"], streams=("trade",)).receive(line, AT)) == ["Trade"]


def test_recorded_candles() -> None:
    (line,) = lines("examples_candles")
    (candle,) = opened().receive(line, AT)
    said = texts(line)["candle"]

    assert isinstance(candle, Kline)
    assert (candle.open, candle.high, candle.low, candle.close, candle.volume) == tuple(
        said[name] for name in ("open", "high", "low", "close", "volume")
    )
    assert (candle.open_time_ns, candle.interval, candle.closed) == (int(said["time"]) * MS, "1m", False)
    assert candle.close_time_ns - candle.open_time_ns == 59_999 * MS
    later = line.replace(b"_snapshot", b"").replace(said["time"].encode(), str(int(said["time"]) + 180_000).encode())
    made = opened()
    made.receive(line, AT)
    closed, opening = made.receive(later, AT + 1)
    assert isinstance(closed, Kline)
    assert isinstance(opening, Kline)
    assert (closed.open_time_ns, closed.closed, opening.closed) == (candle.open_time_ns, True, False)


def test_a_recorded_session_has_every_message_and_no_hole() -> None:
    """Ten products in 2021: each message gives what another reading of it says, and nothing is missing between."""
    session = gzip.decompress(frames("kraken_futures/mixed_cf2021_first.jsonl.gz").read_bytes()).splitlines()
    products = sorted({said["product_id"] for line in session if "product_id" in (said := json.loads(line))})
    made, counts = opened(*products), Counter[str]()
    for number, line in enumerate(session):
        said, items = texts(line), made.receive(line, AT + number)
        events = [item for item in items if isinstance(item, Event)]
        counts.update(type(event).__name__ for event in events)
        assert not any(isinstance(item, Bad | Refused) for item in items)
        match said.get("feed") if "event" not in said else None:
            case "book":
                (book,) = events
                assert isinstance(book, Depth)
                ours, theirs = ("ask", "bid") if said["side"] == "sell" else ("bid", "ask")
                assert (list(getattr(book, f"{ours}_price")), list(getattr(book, f"{ours}_quantity"))) == (
                    [said["price"]], [said["qty"]],
                )  # fmt: skip
                assert not getattr(book, f"{theirs}_price")
                assert (book.symbol, str(book.last_update_id)) == (said["product_id"], said["seq"])
            case "book_snapshot":
                (book,) = events
                assert isinstance(book, Depth)
                assert list(book.bid_price) == [level["price"] for level in said["bids"]]
                assert list(book.ask_quantity) == [level["qty"] for level in said["asks"]]
            case "trade" | "trade_snapshot" as feed:
                trades = reversed(said["trades"]) if feed == "trade_snapshot" else (said,)
                for event, each in zip(events, trades, strict=True):
                    assert isinstance(event, Trade)
                    same_trade(event, each)
            case _:
                assert events == []
    assert counts == {"Depth": 3471, "Trade": 1003}
    assert made.out_of_order == Counter()


# ------------------------------------------------------------------------------------------------------- numbers, holes


def trade(seq: int, **changes: Any) -> dict[str, Any]:
    return {"feed": "trade", "product_id": XBT, "uid": f"u{seq}", "side": "buy", "type": "fill", "seq": seq,
            "time": 1_790_000_000_000, "qty": 0.5, "price": 83994.0, **changes}  # fmt: skip


def newest(*seqs: int) -> bytes:
    return json.dumps({"feed": "trade_snapshot", "product_id": XBT, "trades": [trade(seq) for seq in seqs]}).encode()


def numbers(items: list[Item]) -> list[int | None]:
    return [item.trade_number for item in items if isinstance(item, Trade)]


def test_trades_have_no_holes_and_those_that_are_told_again_are_passed_over() -> None:
    made = opened()
    made.receive(newest(*range(120, 20, -1)), AT)
    items = made.receive(json.dumps(trade(123)).encode(), AT + 1)

    assert types(items) == ["Gap", "Trade"]
    assert [(gap.first_missing, gap.last_missing) for gap in items if isinstance(gap, Gap)] == [(121, 122)]
    assert numbers(made.receive(newest(*range(125, 25, -1)), AT + 2)) == [124, 125]
    assert made.out_of_order["trade"] == 0
    assert numbers(made.receive(json.dumps(trade(125)).encode(), AT + 3)) == [125]
    assert made.out_of_order["trade"] == 1
    made.open()
    told = numbers(made.receive(newest(*range(127, 27, -1)), AT + 4))
    assert told == [121, 122, 126, 127], "another socket tells them, too, and those that were missing"
    assert types(made.receive(json.dumps(trade(129)).encode(), AT + 5)) == ["Gap", "Trade"], "and goes on from there"
    made.open()
    assert types(made.receive(newest(3, 2, 1), AT + 6)) == ["Trade"] * 3, "the engine began anew"


def change(seq: int, **changes: Any) -> bytes:
    said = {"feed": "book", "product_id": XBT, "side": "buy", "seq": seq, "price": 83999.0, "qty": 0.0,
            "timestamp": 1_790_000_000_000, **changes}  # fmt: skip
    return json.dumps(said).encode()


def whole(seq: int) -> bytes:
    return change(seq, feed="book_snapshot", side="", bids=[{"price": 1.5, "qty": 2.0}], asks=[])


def test_a_broken_book_is_asked_for_anew() -> None:
    made = opened(streams=("depth",))
    made.receive(b'{"event":"subscribed","feed":"book","product_ids":["PF_XBTUSD"]}', AT)
    assert types(made.receive(change(8), AT)) == ["Bad"], "a change of a book that nobody has"
    assert types(made.receive(whole(8), AT)) == ["Depth"]
    assert types(made.receive(change(9), AT + 1)) == ["Depth"]
    assert types(made.receive(change(9), AT + 2)) == ["Depth"], "a repeat is published and counted"
    bad, reply = made.receive(change(12), AT + 3)
    assert isinstance(bad, Bad)
    assert isinstance(reply, Reply)
    assert json.loads(reply.payload) == {"event": "unsubscribe", "feed": "book", "product_ids": [XBT]}
    assert types(made.receive(change(13), AT + 4)) == ["Bad"]
    (begin,) = made.receive(b'{"event":"unsubscribed","feed":"book","product_ids":["PF_XBTUSD"]}', AT + 5)
    assert isinstance(begin, Reply)
    assert json.loads(begin.payload)["event"] == "subscribe"
    gap, book = made.receive(whole(20), AT + 6)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.first_missing, gap.last_missing, gap.symbol) == ("sequence", 10, 19, XBT)
    assert isinstance(book, Depth)
    assert types(made.receive(change(21), AT + 7)) == ["Depth"]


def test_a_level_with_a_negative_quantity_is_not_there() -> None:
    made = opened(streams=("depth",))
    levels = [{"price": 3.0, "qty": -2.0}, {"price": 2.0, "qty": 1.0}]
    (book,) = made.receive(change(8, feed="book_snapshot", side="", bids=levels, asks=[]), AT)
    assert isinstance(book, Depth)
    assert (list(book.bid_price), list(book.bid_quantity)) == (["3.0", "2.0"], ["0", "1.0"])
    for seq, quantity, is_told in ((9, -0.0, "0.0"), (10, -0.5, "0"), (11, 0.5, "0.5")):
        (book,) = made.receive(change(seq, qty=quantity), AT)
        assert isinstance(book, Depth)
        assert (list(book.bid_quantity), book.last_update_id) == ([is_told], seq)
    assert types(made.receive(change(12, price=-1.0), AT)) == ["Bad"]


def ticker(**changes: Any) -> bytes:
    said = {"feed": "ticker", "product_id": XBT, "time": 5, "last": 2.0, "relative_funding_rate": 1e-06,
            "next_funding_rate_time": 7, **changes}  # fmt: skip
    return json.dumps(said).encode()


def test_a_funding_rate_comes_when_it_changes() -> None:
    made = opened()

    def rates(line: bytes) -> list[tuple[str, int | None]]:
        return [(i.funding_rate, i.next_funding_time_ns) for i in made.receive(line, AT) if isinstance(i, FundingRate)]

    assert rates(ticker()) == [("0.000001", 7 * MS)]
    assert rates(ticker(last=3.0)) == []
    assert rates(ticker(next_funding_rate_time=9)) == [("0.000001", 9 * MS)]
    assert rates(b'{"feed":"ticker","product_id":"PF_XBTUSD","time":5}') == [], "left out is neither zero nor unchanged"
    assert rates(ticker(relative_funding_rate=-1.5e-07, next_funding_rate_time=9)) == [("-0.00000015", 9 * MS)]
    made.open()
    assert len(rates(ticker(relative_funding_rate=-1.5e-07, next_funding_rate_time=9))) == 1


@pytest.mark.parametrize("zero", ["0.0", "0", "0.00"])
def test_a_price_of_zero_is_none(zero: str) -> None:
    """Of a contract that never traded, as the venue shows it."""
    made = opened(XBT)
    line = (b'{"time":5,"product_id":"PF_XBTUSD","relative_funding_rate":1e-06,"next_funding_rate_time":7,'
            b'"feed":"ticker","bid":ZERO,"ask":1.4,"bid_size":ZERO,"ask_size":2.0,"volume":ZERO,"index":ZERO,'
            b'"last":ZERO,"change":0.0,"openInterest":0.0,"markPrice":ZERO,'
            b'"open":ZERO,"high":ZERO,"low":ZERO}')  # fmt: skip
    said = line.replace(b"ZERO", zero.encode())
    touch, rate, interest = (i for i in made.receive(said, AT) if not isinstance(i, Acked))

    assert isinstance(touch, BookTicker)
    assert (touch.bid_price, touch.bid_quantity, touch.ask_price, touch.ask_quantity) == (None, None, "1.4", "2.0")
    assert isinstance(rate, FundingRate)
    assert rate.mark_price is None
    assert isinstance(interest, OpenInterest)
    assert interest.open_interest == "0.0"
    marked = made.receive(said.replace(b'"markPrice":' + zero.encode(), b'"markPrice":1.35'), AT)
    (mark,) = (item for item in marked if isinstance(item, MarkPrice))
    assert (mark.mark_price, mark.index_price) == ("1.35", None)
    traded = made.receive(said.replace(b'"last":' + zero.encode(), b'"last":5.0'), AT)
    (day,) = (item for item in traded if isinstance(item, Ticker))
    assert (day.last_price, day.open, day.high, day.low) == ("5.0", None, None, None)


# ----------------------------------------------------------------------------------------------------- hostile messages


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "json"), (b"[]", "type"), (b"{}", "unknown_event"), (b"\xff", "json"), (b"[" * 100_000, "type"),
        (b'{"feed":"trade","product_id":"PF_XBTUSD"}', "type"), (b'{"feed":"trade_snapshot"}', "foreign_symbol"),
        (b'{"feed":"trade_snapshot","product_id":"PF_XBTUSD"}', "json"), (b'{"feed":"fills"}', "unknown_event"),
        (b'{"feed":"trade_snapshot","product_id":"PF_XBTUSD","trades":5}', "type"), (b'{"event":5}', "type"),
        (b'{"event":"other"}', "unknown_event"), (change(5, side="both"), "other"), (change(2**63), "range"),
        (json.dumps(trade(5, product_id="PF_ETHUSD")).encode(), "foreign_symbol"),
        (json.dumps(trade(5, side="both")).encode(), "other"), (ticker(last="nan"), "decimal"),
        (json.dumps(trade(5, price=-1)).encode(), "decimal"), (json.dumps(trade(5, uid="")).encode(), "range"),
    ],
)  # fmt: skip
def test_hostile_input_raises_nothing(payload: bytes, kind: str) -> None:
    assert [item.kind for item in opened().receive(payload, AT) if isinstance(item, Bad)] == [kind]


SAMPLES = ("book", "candles", "control", "liquidation", "ticker", "ticker_lite", "trade")


def test_whatever_comes_nothing_is_raised_and_every_event_can_be_kept() -> None:
    dice, samples = random.Random(7), [line for name in SAMPLES for line in lines(f"examples_{name}")]
    symbols = sorted({said["product_id"] for line in samples if "product_id" in (said := json.loads(line))})
    for _ in range(20):
        made = opened(*symbols)
        for at_ns in range(1, 150):
            sample = dice.choice(samples)
            check(made.receive(memoryview(mutated(sample, dice) if at_ns % 3 else sample), at_ns), symbols)
        check([*made.close(999)], symbols)
