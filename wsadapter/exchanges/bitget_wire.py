"""Bitget: what its messages hold, and what becomes of it; common to both versions of its API.

Each event is a function here: every wire Struct needs one of its own.
"""

from typing import Annotated

from msgspec import Meta, Raw, Struct

from wsadapter.events import (
    BookTicker,
    Depth,
    FundingRate,
    Kline,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Side,
    Ticker,
    Trade,
    UpdateType,
)
from wsadapter.exchanges.mapping import (
    Emit,
    Step,
    Word,
    closes,
    constant,
    decimal,
    decimal_or_none,
    either,
    emit,
    envelope_ms,
    mapped,
    ms,
    ms_text,
    number_of,
    subscribed,
)
from wsadapter.exchanges.sides import book, top
from wsadapter.exchanges.values import Id, Text, Time


class TradeWire(Struct, gc=False):
    """publicTrade: {"i":"1485683898127761410","p":"80810.6","v":"0.0246","S":"sell","T":"1789940564662",
    "L":"1485683898127761411","isRPI":"no"}; ``S`` is the taker's side."""

    i: Annotated[str, Meta(min_length=1, max_length=64)]
    p: Text
    v: Text
    S: Text
    T: Time


class BookWire(Struct, gc=False):
    """books, books5: {"a":[["0.0104","0"]],"b":[],"seq":427583480559,"pseq":427583461144,"ts":"1789456512452",
    "maxdepth":"1000"}; quantity "0" deletes a level. A field ``checksum`` is gone since the spring of 2026."""

    a: Raw
    b: Raw
    seq: Id
    pseq: Id
    ts: Time


class TouchWire(Struct):
    """books1: the same of one level at most on either side."""

    a: list[list[Raw]]
    b: list[list[Raw]]
    seq: Id
    ts: Time


class TickerWire(Struct, gc=False):
    """ticker: {"lastPrice":"80810.6","highPrice24h":"81470","lowPrice24h":"80092.4","openPrice24h":"81003.7",
    "turnover24h":"1682569476.10781","volume24h":"20843.3982","price24hPcnt":"-0.00238",...}; the last is a ratio."""

    lastPrice: Text
    openPrice24h: Text = ""
    highPrice24h: Text = ""
    lowPrice24h: Text = ""
    volume24h: Text = ""
    turnover24h: Text = ""
    markPrice: Text = ""
    indexPrice: Text = ""
    fundingRate: Text = ""
    nextFundingTime: Text = ""
    openInterest: Text = ""


class CandleWire(Struct, gc=False):
    """kline: {"start":"1710518400000","open":"276670","high":"400005","low":"276670","close":"400005","volume":"0.423",
    "turnover":"148190.38375"}"""

    start: Time
    open: Text
    high: Text
    low: Text
    close: Text
    volume: Text
    turnover: Text


class LiquidationWire(Struct, gc=False):
    """liquidation, of the whole market: {"symbol":"APEUSDT","side":"buy","price":"0.1649","amount":"13.70319",
    "ts":"1777358886549"}; ``side`` is that of the position, buy is a long, which was closed by a sale. ``amount`` is in
    the quote coin, as no other quantity is: these are 83.1 APE."""

    symbol: Text
    side: Text
    price: Text
    amount: Text
    ts: Time


def of_snapshot(then: object, otherwise: object) -> Step:
    return either("@action", "snapshot", then, otherwise)


def of_funded(step: Step) -> Step:
    """Dated contracts say "0" of both."""
    of_rate = either("fundingRate", "", None, step)
    return either("nextFundingTime", "", None, either("nextFundingTime", "0", None, of_rate))


def trade() -> Emit:
    return emit(
        Trade, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("T"), trade_id="i", price=decimal("p"),
        quantity=decimal("v"), buyer_is_maker=mapped("S", {"buy": False, "sell": True}), aggregated=constant(False),
        absent=("trade_number", "first_trade_id", "last_trade_id"),
    )  # fmt: skip


def changes(most: int, previous: object) -> Emit:
    """``most``: levels of a snapshot; ``previous``: the step of a change's predecessor."""
    return emit(
        Depth, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("ts"),
        update_type=of_snapshot(UpdateType.SNAPSHOT, UpdateType.DELTA), level_limit=of_snapshot(most, 0),
        last_update_id="seq", previous_update_id=of_snapshot(None, previous), columns=book("b", "a"),
        absent=("first_update_id",),
    )  # fmt: skip


def whole(levels: int) -> Emit:
    return emit(
        Depth, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("ts"), update_type=constant(UpdateType.SNAPSHOT),
        level_limit=constant(levels), last_update_id="seq", columns=book("b", "a"),
        absent=("first_update_id", "previous_update_id"),
    )  # fmt: skip


def touch() -> Emit:
    return emit(
        BookTicker, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("ts"), update_id="seq",
        columns=top("b", "a", 0, 1),
    )  # fmt: skip


def ticker() -> Emit:
    return emit(
        Ticker, event_time_ns=envelope_ms("ts"), last_price=decimal("lastPrice"), open=decimal_or_none("openPrice24h"),
        high=decimal_or_none("highPrice24h"), low=decimal_or_none("lowPrice24h"), volume=decimal_or_none("volume24h"),
        quote_volume=decimal_or_none("turnover24h"),
        absent=("transaction_time_ns", "price_change", "price_change_percent", "weighted_average_price",
                "last_quantity", "open_time_ns", "close_time_ns", "first_trade_id", "last_trade_id", "trade_count"),
    )  # fmt: skip


def mark_price() -> Emit:
    return emit(
        MarkPrice, event_time_ns=envelope_ms("ts"), mark_price=decimal("markPrice"),
        index_price=decimal_or_none("indexPrice"), funding_rate=of_funded(number_of("fundingRate", signed=True)),
        next_funding_time_ns=ms_text("nextFundingTime"), needs=("markPrice",),
        absent=("transaction_time_ns", "estimated_settle_price"),
    )  # fmt: skip


def funding_rate() -> Emit:
    return emit(
        FundingRate, event_time_ns=envelope_ms("ts"), funding_rate=of_funded(number_of("fundingRate", signed=True)),
        next_funding_time_ns=ms_text("nextFundingTime"), mark_price=decimal_or_none("markPrice"),
        when=Word("nextFundingTime", "0", unless=True),
        once=("fundingRate", "nextFundingTime"), absent=("transaction_time_ns",),
    )  # fmt: skip


def open_interest() -> Emit:
    return emit(
        OpenInterest, event_time_ns=envelope_ms("ts"), open_interest=decimal("openInterest"), needs=("openInterest",),
        absent=("transaction_time_ns", "open_interest_value"),
    )  # fmt: skip


def liquidation() -> Emit:
    return emit(
        Liquidation, event_time_ns=envelope_ms("ts"), transaction_time_ns=ms("ts"),
        side=mapped("side", {"buy": Side.SELL, "sell": Side.BUY}), price=decimal("price"), quantity=decimal("amount"),
        ordinal=constant(0), absent=("order_type", "average_price", "filled_quantity", "status"),
    )  # fmt: skip


def kline() -> Emit:
    return emit(
        Kline, event_time_ns=envelope_ms("ts"), interval=subscribed("interval"), open_time_ns=ms("start"),
        close_time_ns=closes("start"), open=decimal("open"), high=decimal("high"), low=decimal("low"),
        close=decimal("close"), volume=decimal("volume"), quote_volume=decimal("turnover"), closed=constant(False),
        absent=("transaction_time_ns", "trade_count", "taker_buy_volume", "taker_buy_quote_volume", "first_trade_id",
                "last_trade_id"),
    )  # fmt: skip


def states() -> tuple[Emit, ...]:
    """What a contract's ticker says."""
    return ticker(), mark_price(), funding_rate(), open_interest()
