"""Deribit: every recorded frame gives the events that an independent reading expects, numbers compared as text; broken
books, answers as lists, heartbeats that are asked for."""

import json
import random
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from frames_path import FRAMES
from msgspec import structs

from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import BookTicker, Depth, Event, FundingRate, Gap, Kline, Liquidation, Side, Trade
from wsadapter.events.records import encode
from wsadapter.exchanges.deribit import Deribit
from wsadapter.exchanges.drift import known_of, unknown_fields
from wsadapter.exchanges.venue import Acked, Bad, ClosesSoon, Item, Refused, Reply, Subscription

PERPETUAL = "BTC-PERPETUAL"
WORDS = ("kline", "ticker", "depth", "trade", "mark_price", "funding_rate", "open_interest", "book_ticker",
         "liquidation")  # fmt: skip
MS = 1_000_000
AT = 1_795_000_000_000_000_000
COMMON = ("exchange", "receive_time_ns", "source", "connection", "last_gap_ns", "ordinal", "settled")


def session(*symbols: str, streams: Iterable[str] = WORDS, levels: int = 0, **more: Any) -> Deribit:
    feed = Feed("d", "deribit", symbols or (PERPETUAL,), tuple(streams), depth_levels=levels, **more)
    (plan,) = Deribit.plan(feed)
    return Deribit(plan)


def opened(*symbols: str, streams: Iterable[str] = WORDS, levels: int = 0) -> Deribit:
    """Every channel taken."""
    made = session(*symbols, streams=streams, levels=levels)
    _, *requests, _ = made.open()
    for payload in requests:
        asked = json.loads(payload)
        items = made.receive(answer(asked["id"], sorted(asked["params"]["channels"])), AT)
        assert [type(item) for item in items] == [Acked]
    return made


def answer(identity: object, result: object) -> bytes:
    body = {"jsonrpc": "2.0", "id": identity, "result": result, "usIn": 1, "usOut": 2, "usDiff": 1, "testnet": False}
    return json.dumps(body).encode()


def message(channel: str, data: str) -> bytes:
    """``data`` as the venue writes it."""
    text = f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}'
    return text.encode()


def change(
    number: int, previous: int | None, kind: str = "change", levels: str = '[["change",63350.5,2.2e3]]'
) -> bytes:
    before = "" if previous is None else f',"prev_change_id":{previous}'
    return message(
        f"book.{PERPETUAL}.100ms",
        f'{{"timestamp":1786563085228,"type":"{kind}","change_id":{number},"instrument_name":"{PERPETUAL}",'
        f'"bids":[],"asks":{levels}{before}}}',
    )


def trade(sequence: int, **more: object) -> str:
    fields = {"timestamp": 1765531356452, "price": 92294.5, "amount": 10.0, "direction": "sell", "contracts": 1.0,
              "instrument_name": PERPETUAL, "trade_seq": sequence, "trade_id": f"ETH-{sequence}", **more}  # fmt: skip
    return json.dumps(fields)


def trades(*rows: str) -> bytes:
    return message(f"trades.{PERPETUAL}.100ms", f"[{','.join(rows)}]")


def types(items: Iterable[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


# ------------------------------------------------------------------------------- what each recorded frame must become


def plain(token: str | None) -> str | None:
    """The digits of a JSON number, its exponent carried out."""
    return None if token is None else f"{Decimal(token):f}" if "e" in token.lower() else token


def read(line: bytes) -> Any:
    return json.loads(line, parse_float=str, parse_int=str)


def ns(token: str) -> int:
    return int(token) * MS


def expected(document: Any) -> list[dict[str, Any]]:
    """The events of a message, without what all events have; fields that the venue does not say are left out."""
    channel, data = document["params"]["channel"], document["params"]["data"]
    kind, symbol, *rest = channel.removeprefix("chart.").split(".")
    if kind == "trades" and channel.startswith("chart."):
        minutes = {"1D": 1440}.get(rest[0]) or int(rest[0])
        code = {"1": "1m"}[rest[0]]
        prices = {name: plain(data[name]) for name in ("open", "high", "low", "close", "volume")}
        return [{"symbol": symbol, "interval": code, "open_time_ns": ns(data["tick"]), "closed": False,
                 "close_time_ns": ns(data["tick"]) + minutes * 60_000 * MS - MS, "quote_volume": plain(data["cost"]),
                 **prices}]  # fmt: skip
    if kind == "trades":
        return [event for row in data for event in expected_of_trade(row)]
    time = {"symbol": symbol, "event_time_ns": ns(data["timestamp"])}
    if kind == "quote":
        names = {"bid_price": "best_bid_price", "bid_quantity": "best_bid_amount", "ask_price": "best_ask_price",
                 "ask_quantity": "best_ask_amount"}  # fmt: skip
        return [time | {ours: plain(data[theirs]) for ours, theirs in names.items()}]
    if kind == "ticker":
        return expected_of_ticker(data, time)
    if kind == "book":
        is_top = rest[0] == "none"
        is_snapshot = is_top or data.get("type", "change" if "prev_change_id" in data else "snapshot") == "snapshot"
        before = {} if is_snapshot else {"previous_update_id": int(data["prev_change_id"])}
        columns = {f"{side[:3]}_{name}": [plain(level[at if is_top else at + 1]) for level in data[side]]
                   for side in ("bids", "asks") for at, name in enumerate(("price", "quantity"))}  # fmt: skip
        return [{"symbol": symbol, "transaction_time_ns": ns(data["timestamp"]), "update_type": 1 if is_snapshot else 2,
                 "level_limit": int(rest[1]) if is_top else 0, "last_update_id": int(data["change_id"]),
                 **before, **columns}]  # fmt: skip
    return []


def expected_of_trade(row: Any) -> list[dict[str, Any]]:
    common = {"symbol": row["instrument_name"], "transaction_time_ns": ns(row["timestamp"]),
              "price": plain(row["price"]), "quantity": plain(row["amount"])}  # fmt: skip
    events = [common | {"trade_id": row["trade_id"], "trade_number": int(row["trade_seq"]), "aggregated": False,
                        "buyer_is_maker": row["direction"] == "sell"}]  # fmt: skip
    taker = {"buy": Side.BUY, "sell": Side.SELL}[row["direction"]]
    maker = Side(3 - taker)
    sides = {"": (), "T": (taker,), "M": (maker,), "MT": (taker, maker)}[row.get("liquidation", "")]
    return events + [common | {"side": side} for side in sides]


def expected_of_ticker(data: Any, time: dict[str, Any]) -> list[dict[str, Any]]:
    stats = data.get("stats", {})
    events = []
    if data["last_price"] is not None:
        names = {"high": "high", "low": "low", "price_change_percent": "price_change", "volume": "volume",
                 "quote_volume": "volume_notional"}  # fmt: skip
        events.append(
            time | {"last_price": plain(data["last_price"])} | {k: plain(stats.get(v)) for k, v in names.items()}
        )
    rate = plain(data.get("current_funding"))
    events.append(time | {"mark_price": plain(data["mark_price"]), "index_price": plain(data["index_price"]),
                          "estimated_settle_price": plain(data["estimated_delivery_price"]),
                          "funding_rate": rate})  # fmt: skip
    if rate is not None:
        events.append(time | {"funding_rate": rate, "mark_price": plain(data["mark_price"])})
    return [*events, time | {"open_interest": plain(data["open_interest"])}]


def told(event: Event) -> dict[str, Any]:
    """What an event says, without what all have."""
    fields: dict[str, Any] = {name: value for name, value in structs.asdict(event).items() if name not in COMMON}
    if isinstance(event, Depth):
        fields |= {name: list(fields[name]) for name in ("bid_price", "bid_quantity", "ask_price", "ask_quantity")}
    return said(fields)


def said(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def check_events(items: Iterable[Item], document: Any) -> int:
    """That they are those that the message must give; how many."""
    events = [item for item in items if isinstance(item, Event)]
    for event in events:
        assert event.exchange == "deribit"
        assert encode(event)
    assert [told(event) for event in events] == [said(fields) for fields in expected(document)], document
    assert [item for item in items if isinstance(item, Bad)] == []
    return len(events)


def lines_of(pattern: str) -> list[Any]:
    paths = sorted((FRAMES / "deribit").glob(pattern)) if FRAMES else []
    return [
        pytest.param(line, id=f"{path.stem}-{number}")
        for path in paths
        for number, line in enumerate(path.read_bytes().splitlines())
    ]


def data_of(pattern: str) -> list[Any]:
    return [each for each in lines_of(pattern) if b'"subscription"' in each.values[0]]


@pytest.mark.parametrize("line", data_of("examples_*.jsonl"))
def test_an_example_frame_gives_its_events(line: bytes) -> None:
    document = read(line)
    channel, data = document["params"]["channel"], document["params"]["data"]
    kind, symbol, *rest = channel.removeprefix("chart.").split(".")
    made = opened(symbol, levels=int(rest[1]) if rest[:1] == ["none"] else 0)
    if kind == "perpetual":
        assert types(made.receive(line, AT)) == ["Bad"], "nothing of ours: the ticker says its rate, with less digits"
        return
    if kind == "book" and "prev_change_id" in data and data.get("type", "change") == "change":
        before = '{"timestamp":1,"type":"snapshot","change_id":%s,"instrument_name":"","bids":[],"asks":[]}'
        assert types(made.receive(message(channel, before % data["prev_change_id"]), AT)) == ["Depth"]

    assert check_events(made.receive(line, AT), document) > 0


def recorded() -> list[bytes]:
    return (FRAMES / "deribit/mixed_cf2021_first.jsonl").read_bytes().splitlines() if FRAMES else []


@pytest.mark.skipif(FRAMES is None, reason="the recorded frames (../shared/frames) are not here")
def test_a_recorded_session_gives_its_events_and_no_gap() -> None:
    """Channels of speed raw, read as those that were asked for."""
    symbols = sorted({name.split(".")[1] for name in json.loads(recorded()[0])["result"]})
    made = opened(*symbols)
    counts = {"events": 0, "messages": 0}
    for number, line in enumerate(recorded()):
        document = read(line)
        if document.get("method") == "subscription":
            counts["messages"] += 1
            counts["events"] += check_events(made.receive(line, AT + number), document)

    assert counts["messages"] == sum(b'"subscription"' in line for line in recorded()) > 50
    assert counts["events"] > 100
    assert not made.outages.pending


def test_a_book_that_nobody_asked_for_is_read_all_the_same() -> None:
    """A recording may hold changes where the feed wants snapshots."""
    made = opened(levels=20)
    raw = b"book.%s.raw" % PERPETUAL.encode()
    items = [
        item
        for payload in (change(7, None, "snapshot"), change(8, 7))
        for item in made.receive(payload.replace(f"book.{PERPETUAL}.100ms".encode(), raw), AT)
    ]

    assert types(items) == ["Depth", "Depth"]


def test_the_answers_of_the_examples() -> None:
    lines = [each.values[0] for each in lines_of("examples_acks_errors.jsonl")]
    if not lines:
        pytest.skip("the recorded frames (../shared/frames) are not here")
    found = [types(opened().receive(line, AT)) for line in lines]

    assert found == [
        [], [], ["Refused"], ["Refused"], ["Reply"], [], [], [], *([["Refused"]] * 4), ["Reply"],
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------------------- the plan


def test_the_plan_names_every_stream_once() -> None:
    made = session(PERPETUAL, "MATIC_USDC-9MAR24-1d02-C")

    assert list(made.last_receive_ns)[:5] == [
        "trades.BTC-PERPETUAL.100ms", "book.BTC-PERPETUAL.100ms", "chart.trades.BTC-PERPETUAL.1",
        "ticker.BTC-PERPETUAL.100ms", "quote.BTC-PERPETUAL",
    ]  # fmt: skip
    assert "trades.MATIC_USDC-9MAR24-1d02-C.100ms" in made.last_receive_ns, "the venue's own text"
    assert made.subscriptions["ticker.BTC-PERPETUAL.100ms"].feeds == (
        "ticker", "mark_price", "funding_rate", "open_interest",
    )  # fmt: skip


@pytest.mark.parametrize(("levels", "name"), [(1, "none.1."), (5, "none.10."), (20, "none.20."), (0, "")])
def test_a_book_has_at_least_the_wanted_levels(levels: int, name: str) -> None:
    (plan,) = Deribit.plan(Feed("d", "deribit", (PERPETUAL,), ("depth",), depth_levels=levels, depth_speed="agg2"))

    assert [each.name for each in plan.subscriptions] == [f"book.{PERPETUAL}.{name}agg2"]
    assert plan.url == "wss://www.deribit.com/ws/api/v2"


@pytest.mark.parametrize(
    ("setting", "where"),
    [({"depth_levels": 50}, "depth_levels"), ({"depth_speed": "raw"}, "depth_speed"),
     ({"intervals": ("4h",)}, "intervals"), ({"streams": ("raw_trade",)}, "streams"),
     ({"symbols": ("BTC*",)}, "symbols")],
)  # fmt: skip
def test_what_the_venue_does_not_offer_is_refused(setting: dict[str, Any], where: str) -> None:
    settings: dict[str, Any] = {"symbols": (PERPETUAL,), "streams": ("kline", "depth"), **setting}
    with pytest.raises(ConfigError, match=where):
        Deribit.plan(Feed(name="d", exchange="deribit", **settings))


def test_a_testnet() -> None:
    (plan,) = Deribit.plan(Feed("d", "deribit", (PERPETUAL,), ("trade",), testnet=True))

    assert plan.url == "wss://test.deribit.com/ws/api/v2"
    assert plan.subscriptions == (
        Subscription(f"trades.{PERPETUAL}.100ms", Trade.stream_type, PERPETUAL, "", ("trade",)),
    )


# ----------------------------------------------------------------------------------- answers, refusals, heartbeats


def test_heartbeats_are_asked_for_first_and_what_they_ask_is_answered() -> None:
    made = session()
    first, second, third = made.open()
    assert json.loads(first) == {
        "jsonrpc": "2.0", "id": "heartbeat", "method": "public/set_heartbeat", "params": {"interval": 30},
    }  # fmt: skip
    assert json.loads(second)["method"] == "public/subscribe"
    assert json.loads(third) == {
        "jsonrpc": "2.0", "id": "platform_state", "method": "public/subscribe",
        "params": {"channels": ["platform_state"]},
    }  # fmt: skip
    assert made.aside >= {first, third}
    assert second not in made.aside
    assert made.receive(answer("heartbeat", "ok"), AT) == []
    assert made.receive(b'{"params":{"type":"heartbeat"},"method":"heartbeat","jsonrpc":"2.0"}', AT) == []
    (reply,) = made.receive(b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}', AT)
    assert isinstance(reply, Reply)
    assert json.loads(reply.payload) == {"jsonrpc": "2.0", "id": "test", "method": "public/test", "params": {}}
    assert made.receive(answer("test", {"version": "1.2.26"}), AT) == []
    assert made.ping() == reply.payload


def test_maintenance_is_a_notice_and_locked_indices_are_none() -> None:
    made = opened(streams=("trade",))

    def state(data: str) -> bytes:
        return (
            b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":"platform_state","data":%s}}' % data.encode()
        )

    assert made.receive(answer("platform_state", ["platform_state"]), AT) == []
    assert made.receive(state('{"locked":false,"price_index":"alt_usdc","reasons":[]}'), AT) == []
    assert made.receive(state('{"price_index":"sol_usdc","locked":true}'), AT) == []
    assert made.receive(state('{"maintenance":false}'), AT) == []
    assert made.receive(state('{"maintenance":true}'), AT) == [ClosesSoon("maintenance")]
    for broken in ('{"maintenance":1}', "[]", "null"):
        assert types(made.receive(state(broken), AT)) == ["Bad"]


def test_what_is_not_in_the_list_is_refused() -> None:
    made = session("BTC-PERPETUAL", "NO-SUCH", streams=("trade",))
    made.open()

    assert made.receive(answer(1, ["trades.BTC-PERPETUAL.100ms"]), AT) == [
        Acked(("trades.BTC-PERPETUAL.100ms",)),
        Refused(("trades.NO-SUCH.100ms",), "", "not among what the venue took"),
    ]
    made = session("NO-SUCH", streams=("trade",))
    made.open()
    assert types(made.receive(answer(1, []), AT)) == ["Refused"]


def test_a_request_that_is_refused_whole_is_asked_again_in_halves() -> None:
    made = session("A", "B", streams=("trade",))
    made.open()
    error = {"message": "Invalid params", "data": {"reason": "value must be a list"}, "code": -32602}
    items = made.receive(json.dumps({"jsonrpc": "2.0", "error": error}).encode(), AT)

    assert [json.loads(item.payload)["params"]["channels"] for item in items if isinstance(item, Reply)] == [
        ["trades.A.100ms"], ["trades.B.100ms"],
    ]  # fmt: skip
    (refused,) = made.receive(json.dumps({"jsonrpc": "2.0", "id": 2, "error": error}).encode(), AT)
    assert refused == Refused(("trades.A.100ms",), "-32602", "Invalid params")
    assert types(made.receive(json.dumps({"id": "heartbeat", "error": error}).encode(), AT)) == ["Bad"]


@pytest.mark.parametrize("code", [10028, 10066, 10040, 10041, 10047, 11051, 11094, 13028, 13888])
def test_a_request_that_the_venue_refuses_for_the_moment_is_made_once_more(code: int) -> None:
    made = session("A", "B", streams=("trade",))
    _, first, _ = made.open()
    too_many = b'{"jsonrpc":"2.0","id":%d,"error":{"code":%d,"message":"too_many_requests","data":null}}'
    (again,) = made.receive(too_many % (1, code), AT)
    assert isinstance(again, Reply)
    asked = json.loads(again.payload)
    assert (asked["id"], asked["params"]) == (2, json.loads(first)["params"])
    assert types(made.receive(answer(2, asked["params"]["channels"]), AT)) == ["Acked"]
    unsubscribe, _ = made.resubscribe(("trades.A.100ms",))
    items = made.receive(too_many % (json.loads(unsubscribe)["id"], code), AT)
    assert [json.loads(item.payload)["method"] for item in items if isinstance(item, Reply)] == [
        "public/unsubscribe", "public/subscribe",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------- sequences


def test_whole_books_and_changes_of_one_symbol_have_numbers_of_their_own() -> None:
    made = opened()
    top = f'{{"timestamp":1790133841369,"change_id":12,"instrument_name":"{PERPETUAL}","bids":[],"asks":[]}}'
    items = made.receive(change(7, None, "snapshot", '[["new",63325,7730]]'), AT)
    items += made.receive(message(f"book.{PERPETUAL}.none.10.100ms", top), AT + 1)
    items += made.receive(change(19, 7), AT + 2)
    assert types(items) == ["Depth"] * 3


def test_each_change_names_the_one_before_and_a_broken_book_is_asked_for_anew() -> None:
    made = opened()
    assert types(made.receive(change(5, 4), AT)) == ["Bad"], "a change of a book that nobody has"
    assert types(made.receive(change(7, None, "snapshot", '[["new",63325,7730]]'), AT + 1)) == ["Depth"]
    (event,) = made.receive(change(19, 7), AT + 2)
    assert isinstance(event, Depth)
    assert (list(event.ask_price), list(event.ask_quantity)) == (["63350.5"], ["2200"])
    assert types(made.receive(change(19, 7), AT + 2)) == ["Depth"], "a repeat is published, and counted"
    assert made.out_of_order["depth"] == 1
    _, unsubscribe, subscribe = made.receive(change(40, 30), AT + 3)
    assert isinstance(unsubscribe, Reply)
    assert isinstance(subscribe, Reply)
    assert [json.loads(each.payload)["method"] for each in (unsubscribe, subscribe)] == [
        "public/unsubscribe", "public/subscribe",
    ]  # fmt: skip
    assert types(made.receive(change(41, 40), AT + 4)) == ["Bad"]
    gap, snapshot = made.receive(change(60, 20, "snapshot"), AT + 5)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.first_missing, gap.last_missing) == ("sequence", 20, 59)
    assert (gap.started_ns, gap.ended_ns) == (AT + 2, AT + 5)
    assert isinstance(snapshot, Depth)
    assert (snapshot.previous_update_id, snapshot.last_gap_ns) == (None, AT + 5)
    assert types(made.receive(change(61, 60), AT + 6)) == ["Depth"]


def test_a_block_trade_is_a_trade_of_which_every_field_is_known() -> None:
    row = trade(1, block_trade_id="BLOCK-2034", block_trade_leg_count=2, block_rfq_id=7)
    items = opened(streams=("trade",)).receive(frame := trades(row), AT)

    known = known_of(Deribit)
    assert known is not None
    assert types(items) == ["Trade"]
    assert unknown_fields(frame, items, known) == ("trade", frozenset())


def test_trades_are_numbered_without_holes() -> None:
    made = opened(streams=("trade",))
    items = made.receive(trades(trade(10), trade(11), trade(14)), AT)

    assert types(items) == ["Trade", "Trade", "Gap", "Trade"]
    (gap,) = [item for item in items if isinstance(item, Gap)]
    assert (gap.first_missing, gap.last_missing, gap.missing_count) == (12, 13, 2)
    assert types(made.receive(trades(trade(12)), AT)) == ["Trade"]
    assert made.out_of_order["trade"] == 1


def test_both_sides_of_a_trade_may_have_been_liquidated() -> None:
    items = opened(streams=("liquidation",)).receive(trades(trade(1), trade(2, liquidation="MT")), AT)

    assert [(item.side, item.price) for item in items if isinstance(item, Liquidation)] == [
        (Side.SELL, "92294.5"), (Side.BUY, "92294.5"),
    ]  # fmt: skip
    assert len(items) == 2


def candle(minute: int, close: float = 1.5) -> bytes:
    tick = 1_767_200_040_000 + minute * 60_000
    return message(
        f"chart.trades.{PERPETUAL}.1",
        f'{{"tick":{tick},"open":1.0,"high":2e0,"low":0.5,"close":{close},"volume":9.5e-1,"cost":83970.0}}',
    )


def test_a_candle_is_closed_by_the_next_one() -> None:
    made = opened()
    made.receive(candle(0), AT)
    made.receive(candle(0, 1.75), AT + 1)
    closed, after = made.receive(candle(1), AT + 2)

    assert isinstance(closed, Kline)
    assert isinstance(after, Kline)
    assert (closed.closed, closed.close, closed.high, closed.volume) == (True, "1.75", "2", "0.95")
    assert closed.close_time_ns + MS == after.open_time_ns
    assert types(made.receive(candle(4), AT + 3)) == ["Kline", "Kline"]
    assert types(made.receive(candle(5), AT + 3)) == ["Gap", "Kline", "Kline"]


def quote(bid: str, amount: str) -> bytes:
    return message(
        f"quote.{PERPETUAL}",
        f'{{"timestamp":1,"best_ask_price":92288.5,"best_bid_price":{bid},"best_ask_amount":9.947e4,"best_bid_amount":{amount}}}',
    )


@pytest.mark.parametrize(("bid", "amount"), [("null", "0.0"), ("0.0", "0.0"), ("0.0", "0"), ("null", "null")])
def test_where_nobody_bids_there_is_no_price(bid: str, amount: str) -> None:
    (event,) = opened().receive(quote(bid, amount), AT)

    assert isinstance(event, BookTicker)
    assert (event.bid_price, event.bid_quantity, event.ask_price, event.ask_quantity) == (
        None, None, "92288.5", "99470",
    )  # fmt: skip


def ticker(**fields: object) -> bytes:
    return message(f"ticker.{PERPETUAL}.100ms", json.dumps({"timestamp": 5, "stats": {}, **fields}))


def test_the_funding_rate_comes_when_it_changes() -> None:
    made = opened(streams=("funding_rate",))
    rates = [1.423e-4, 1.423e-4, 0.0, 0.0, -1e-5]
    items = [item for n, rate in enumerate(rates) for item in made.receive(ticker(current_funding=rate), AT + n)]

    assert [item.funding_rate for item in items if isinstance(item, FundingRate)] == ["0.0001423", "0.0", "-0.00001"]
    assert made.last_receive_ns[f"ticker.{PERPETUAL}.100ms"] == AT + 4


def test_what_an_instrument_does_not_have_is_no_event() -> None:
    assert types(opened().receive(ticker(last_price=None, mark_price=1, open_interest=None), AT)) == ["MarkPrice"]
    assert types(opened(streams=("ticker",)).receive(ticker(last_price=2, mark_price=1), AT)) == ["Ticker"]


# --------------------------------------------------------------------------------------------------- hostile frames


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "json"), (b"[]", "type"), (b"{}", "unknown_event"), (b"[" * 100_000, "type"), (b'{"params":5}', "type"),
        (message("trades.OTHER.100ms", "[]"), "foreign_symbol"), (message("trades.BTC-PERPETUAL.100ms", "5"), "type"),
        (message("user.orders.any.any.raw", "[]"), "foreign_symbol"), (message("quote.BTC-PERPETUAL", "{}"), "type"),
        (trades(trade(1, price="nan")), "decimal"), (trades(trade(1, trade_seq=2**63)), "range"),
        (trades(trade(1, direction="up")), "other"), (trades(trade(1, price=-1)), "decimal"),
        (change(1, None, "snapshot", '[["new",1]]'), "type"),
        (change(1, None, "snapshot", '[["new","x",1]]'), "decimal"),
        (candle(0, float("nan")), "json"), (b'{"id":1,"result":5}', "type"), (b'{"id":1,"error":5}', "type"),
    ],
)  # fmt: skip
def test_hostile_input_raises_nothing(payload: bytes, kind: str) -> None:
    items = session().receive(payload, AT)

    assert [item.kind for item in items if isinstance(item, Bad)] == [kind]
    assert not [item for item in items if isinstance(item, Event)]


def test_a_bad_trade_costs_only_itself() -> None:
    made = opened(streams=("trade",))
    items = made.receive(trades(trade(1), trade(2, price="x"), trade(3)), AT)

    assert types(items) == ["Trade", "Bad", "Gap", "Trade"]
    (gap,) = [item for item in items if isinstance(item, Gap)]
    assert (gap.cause, gap.first_missing, gap.missing_count) == ("decode", 2, 1)


SAMPLES = [
    trades(trade(1), trade(2, liquidation="MT")), change(1, None, "snapshot"), change(2, 1), candle(0), candle(1),
    quote("1.5", "2e3"), ticker(last_price=1, mark_price=1e-5, open_interest=5, current_funding=-1e-9), answer(1, []),
    b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":10028,"message":"too_many_requests","data":null}}',
]  # fmt: skip
JUNK = [b"null", b"{}", b"[]", b'""', b"-1", b"1e400", b"1e99", b"\xff", b"9" * 30, b'"\\ud800"', b"[" * 3000, b""]


@pytest.mark.parametrize("seed", range(30))
def test_no_frame_raises_and_every_event_can_be_kept(seed: int) -> None:
    dice, made = random.Random(seed), session()
    made.open()
    for at_ns in range(1, 40):
        payload = dice.choice(SAMPLES)
        for _ in range(dice.choice((0, 1, 1, 2))):
            at = dice.randrange(len(payload) + 1)
            payload = payload[:at] + dice.choice(JUNK) + payload[at + dice.randrange(40) :]
        for item in made.receive(memoryview(payload), at_ns):
            if isinstance(item, Event):
                assert encode(item)
    made.close(99)
