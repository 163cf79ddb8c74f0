"""What venues declare beside a stream a symbol: streams of the whole market, streams that only some symbols have, texts
that are no JSON, notices."""

import pytest
from exchanges.stub_venues import LIMITS, SIDES, chained_request
from msgspec import Raw, Struct, structs
from msgspec.json import decode, encode

from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import Gap, Liquidation, Side, StreamType, Trade
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.intervals import close_time_ns
from wsadapter.exchanges.mapping import as_text, closes, constant, decimal, emit, mapped, ms, seconds
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.values import Id, Time
from wsadapter.exchanges.venue import (
    Answer,
    Bad,
    Channel,
    ClosesSoon,
    ConnectionPlan,
    Heartbeat,
    Hosts,
    Item,
    Requests,
    Subscription,
    Venue,
    Within,
)

MS = 1_000_000


class Envelope(Struct):
    name: str = ""
    data: Raw = Raw()


class OrderWire(Struct):
    side: str
    px: str
    sz: str
    ts: Time


class OrdersWire(Struct):
    inst: str
    details: list[OrderWire]


class TradeWire(Struct):
    id: Id
    side: str
    px: str
    sz: str
    at: Id


ORDER = emit(
    Liquidation, transaction_time_ns=ms("ts"), side=mapped("side", {"buy": Side.BUY, "sell": Side.SELL}),
    price=decimal("px"), quantity=decimal("sz"), ordinal=constant(0),
    absent=("event_time_ns", "order_type", "average_price", "filled_quantity", "status"),
)  # fmt: skip
TRADE = emit(
    Trade, transaction_time_ns=seconds("at"), trade_id=as_text("id"), trade_number="id", price=decimal("px"),
    quantity=decimal("sz"), buyer_is_maker=mapped("side", SIDES), aggregated=constant(False),
    absent=("event_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip


def is_swap(symbol: str) -> bool:
    return symbol.endswith("-SWAP")


def control(payload: bytes) -> list[Answer | ClosesSoon] | None:
    event = decode(payload).get("event")
    return [ClosesSoon("upgrade")] if event == "notice" else None


class MarketWide(VenueSession):
    venue = Venue(
        word="stub",
        hosts=Hosts("wss://stub.invalid", "wss://stub.invalid", {"": "/"}),
        limits=LIMITS,
        requests=Requests(chained_request, most=10, octets=1000, data_acks=True),
        framing=ByKey(Envelope, lambda e: e.name),
        channels=(
            Channel(("liquidation",), "orders:SWAP", OrderWire, (ORDER,), many=True, offered=is_swap, symbol="inst",
                    within=Within(OrdersWire, "details")),
            Channel(("trade",), "trades:{symbol}", TradeWire, (TRADE,), many=True),
        ),
        control=control,
        cadences={},
        heartbeat=Heartbeat(b"ping", every=20.0, pong=b"pong"),
    )  # fmt: skip


def feed(*symbols: str, streams: tuple[str, ...] = ("liquidation", "trade")) -> Feed:
    return Feed("stub", "okx", symbols, streams, intervals=())


def session(*symbols: str) -> MarketWide:
    (plan,) = MarketWide.plan(feed(*symbols))
    made = MarketWide(plan)
    made.open()
    for name in made.last_receive_ns:
        made.requests.unheard.discard(name)
    return made


def orders(*rows: tuple[str, tuple[dict[str, object], ...]]) -> bytes:
    return encode({"name": "orders:SWAP", "data": [{"inst": inst, "details": details} for inst, details in rows]})


def order(**changes: object) -> dict[str, object]:
    return {"side": "sell", "px": "2.5", "sz": "10", "ts": 7} | changes


def types(items: list[Item]) -> list[str]:
    return [type(item).__name__ for item in items]


def test_a_stream_of_the_whole_market_is_asked_for_once() -> None:
    (plan,) = MarketWide.plan(feed("A-SWAP", "B-SWAP"))

    assert plan.subscriptions == (
        Subscription("orders:SWAP", StreamType.LIQUIDATION, ""),
        Subscription("trades:A-SWAP", StreamType.TRADE, "A-SWAP"),
        Subscription("trades:B-SWAP", StreamType.TRADE, "B-SWAP"),
    )


def test_what_a_symbol_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="liquidation is not offered for B-SPOT") as refused:
        MarketWide.plan(feed("A-SWAP", "B-SPOT"))
    assert "A-SWAP" not in str(refused.value)
    assert [each.name for each in MarketWide.plan(feed("B-SPOT", streams=("trade",)))[0].subscriptions] == [
        "trades:B-SPOT"
    ]


def test_a_connection_asks_for_no_more_names_than_their_length_allows() -> None:
    class Short(MarketWide):
        venue = structs.replace(MarketWide.venue, limits=structs.replace(LIMITS, octets=2 * len('"trades:A-SWAP",')))

    plans = Short.plan(feed("A-SWAP", "B-SWAP", "C-SWAP", streams=("trade",)))

    assert [[each.symbol for each in plan.subscriptions] for plan in plans] == [["A-SWAP", "B-SWAP"], ["C-SWAP"]]


def test_elements_name_their_symbols_and_those_of_others_are_passed_over() -> None:
    made = session("A-SWAP", "B-SWAP")
    items = made.receive(
        orders(("B-SWAP", (order(), order(), order(px="3"))), ("C-SWAP", (order(),)), ("A-SWAP", (order(side="buy"),))),
        5,
    )

    assert [(i.symbol, i.side, i.price, i.ordinal) for i in items if isinstance(i, Liquidation)] == [
        ("B-SWAP", Side.SELL, "2.5", 0), ("B-SWAP", Side.SELL, "2.5", 1), ("B-SWAP", Side.SELL, "3", 0),
        ("A-SWAP", Side.BUY, "2.5", 0),
    ]  # fmt: skip
    assert made.receive(orders(("C-SWAP", (order(),))), 6) == []
    assert made.last_receive_ns["orders:SWAP"] == 6, "that it speaks is what counts"


def test_a_bad_order_costs_only_itself_and_shows_in_its_symbol() -> None:
    made = session("A-SWAP", "B-SWAP")
    items = made.receive(orders(("A-SWAP", (order(px="-1"), order())), ("B-SWAP", (order(),))), 5)

    assert types(items) == ["Bad", "Gap", "Liquidation", "Liquidation"]
    (gap,) = [item for item in items if isinstance(item, Gap)]
    assert (gap.symbol, gap.cause, gap.missing_count) == ("A-SWAP", "decode", 1)


def test_what_is_lost_of_nobody_knows_which_symbol_is_a_gap_of_all() -> None:
    made = session("A-SWAP")
    bad = made.receive(b'{"name":"orders:SWAP","data":[{"inst":5}]}', 5)
    items = made.receive(orders(("A-SWAP", (order(),))), 6)

    assert types(bad) == ["Bad"]
    assert types(items) == ["Gap", "Liquidation"]
    assert [(g.stream, g.symbol, g.missing_count) for g in items if isinstance(g, Gap)] == [("liquidation", "", 1)]
    assert types(made.receive(orders(("A-SWAP", (order(),))), 7)) == ["Liquidation"]


def test_the_answer_to_a_ping_may_be_no_json() -> None:
    made = session("A-SWAP")

    assert made.receive(b"pong", 5) == []
    assert made.receive(memoryview(b"pong"), 5) == []
    assert made.receive(b"pongo", 5) == [Bad("json", "JSON is malformed: invalid character (byte 0)")]


def test_a_notice_comes_out() -> None:
    assert session("A-SWAP").receive(b'{"event":"notice"}', 5) == [ClosesSoon("upgrade")]
    assert types(session("A-SWAP").receive(b'{"event":"other"}', 5)) == ["Bad"]


def test_data_of_a_stream_that_nobody_asked_for_are_events_of_the_feeds_symbols() -> None:
    (plan,) = MarketWide.plan(feed("A-SWAP", streams=("liquidation",)))
    made = MarketWide(plan)
    trade = b'{"name":"trades:A-SWAP","data":[{"id":1,"side":"buy","px":"1","sz":"1","at":5}]}'

    assert types(made.receive(trade, 5)) == ["Trade"]
    assert types(made.receive(trade.replace(b'"px":"1"', b'"px":1'), 6)) == ["Bad"]
    assert types(made.receive(trade.replace(b"A-SWAP", b"B-SWAP"), 7)) == ["Bad"]
    assert set(made.last_receive_ns) == {"orders:SWAP"}, "its keys are what was asked for"
    assert [json_args(payload) for payload in made.open()] == [["orders"]]


def json_args(payload: bytes) -> list[str]:
    return [each["channel"] for each in decode(payload)["args"]]


def test_an_element_may_be_alone_where_lists_are_usual() -> None:
    made = session("A-SWAP")
    alone = b'{"name":"trades:A-SWAP","data":{"id":1,"side":"buy","px":"1","sz":"1","at":5}}'

    assert types(made.receive(alone, 5)) == ["Trade"]
    assert types(made.receive(alone.replace(b'"px":"1"', b'"px":1'), 5)) == ["Bad"]


def test_times_in_seconds() -> None:
    (trade,) = session("A-SWAP").receive(
        b'{"name":"trades:A-SWAP","data":[{"id":1,"side":"buy","px":"1","sz":"1","at":1786540578}]}', 5
    )

    assert isinstance(trade, Trade)
    assert trade.transaction_time_ns == 1_786_540_578_000 * MS


@pytest.mark.parametrize(
    ("interval", "opened", "closed"),
    [("1m", 0, 59_999), ("1w", 0, 604_799_999), ("1M", 1_706_745_600_000, 1_709_251_199_999)],
)
def test_the_end_of_a_candle(interval: str, opened: int, closed: int) -> None:
    assert close_time_ns(opened, interval) == closed * MS


def test_the_end_of_a_candle_follows_from_its_opening_in_whatever_unit() -> None:
    step = closes("t", unit_ms=1000)
    plan = ConnectionPlan("s", "stub", "", (Subscription("c", StreamType.KLINE, "A", "5m"),), ("A",))
    value = eval(
        step.expression.format(value="value"), {"value": step.value, "d": Second(60), "sub": plan.subscriptions[0]}
    )

    assert value == 359_999 * MS


class Second(Struct):
    t: int
