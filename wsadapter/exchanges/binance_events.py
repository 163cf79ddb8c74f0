"""Binance USD-M futures: wire Structs to events.

One decoder per type. It gets a Struct whose types and ranges are checked and whose symbol is of the feed, checks the
decimals (raises `NotPlain`) and builds the event. Guarantee: texts and numbers are the venue's own; milliseconds become
nanoseconds; what the venue leaves out or empty is None. Everything here is hot: constructors are positional, and
bench/bench_decode.py shows what a line costs.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from wsadapter.events import (
    BookTicker,
    Depth,
    FundingRate,
    Kline,
    Liquidation,
    MarkPrice,
    Side,
    Source,
    Ticker,
    Trade,
    UpdateType,
)
from wsadapter.exchanges.base import Bad, Item
from wsadapter.exchanges.binance_wire import (
    MS,
    AggTradeWire,
    BookTickerWire,
    DepthWire,
    ForceOrderWire,
    KlineWire,
    MarkPriceWire,
    TickerWire,
    TradeWire,
)
from wsadapter.exchanges.decimals import NotPlain, are_plain, split_book
from wsadapter.exchanges.sequences import Sequences

EXCHANGE: Final = "binance"
WEBSOCKET: Final = Source.WEBSOCKET
SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}


class Context(Protocol):
    """What a decoder needs of its connection."""

    connection: str
    funding: dict[str, tuple[str, int | None]]
    """Symbol -> last published (rate, next time); empty after each connect."""
    sequences: Sequences

    def depth_of(self, stream: str) -> tuple[UpdateType, int] | None:
        """Update type and level limit by the stream's name; None for a book that we do not publish."""


def agg_trade(d: AggTradeWire, x: Context, stream: str, received: int) -> list[Item]:
    if not are_plain(d.p, d.q):
        raise NotPlain("aggTrade")
    symbol, number, first, last = d.s, d.a, d.f, d.l
    line, gap = x.sequences.agg_trades[symbol], None
    if number == line.next:
        line.next, line.at_ns = number + 1, received
    else:
        gap = x.sequences.jumped(line, number, received)
    trade = Trade(
        EXCHANGE, symbol, d.E * MS, d.T * MS, received, WEBSOCKET, x.connection, line.gap_ns,
        str(number), number, d.p, d.q, d.m, first if first >= 0 else None, last if last >= 0 else None, True,
    )  # fmt: skip
    return [trade] if gap is None else [gap, trade]


def raw_trade(d: TradeWire, x: Context, stream: str, received: int) -> list[Item]:
    """Insurance fund and ADL trades are trades. ``X`` "NA" is none: the venue fills holes in its ids with price and
    quantity "0", which must not become somebody's lowest price. It is dropped and counted, and its id is not missing.
    """
    is_none = d.X == "NA"
    if not is_none and not are_plain(d.p, d.q):
        raise NotPlain("trade")
    symbol, number = d.s, d.t
    line, gap = x.sequences.raw_trades[symbol], None
    if number == line.next:
        line.next, line.at_ns = number + 1, received
    else:
        gap = x.sequences.jumped(line, number, received)
    if is_none:
        return [Bad("other", "trade NA")] if gap is None else [gap, Bad("other", "trade NA")]
    trade = Trade(
        EXCHANGE, symbol, d.E * MS, d.T * MS, received, WEBSOCKET, x.connection, line.gap_ns,
        str(number), number, d.p, d.q, d.m, None, None, False,
    )  # fmt: skip
    return [trade] if gap is None else [gap, trade]


def book_ticker(d: BookTickerWire, x: Context, stream: str, received: int) -> list[Item]:
    bid: str | None
    bids: str | None
    ask: str | None
    asks: str | None
    bid, bids, ask, asks = d.b, d.B, d.a, d.A
    if not are_plain(bid, bids, ask, asks):
        # an empty side is rare: only then look closer
        if not are_plain(bid or "0", bids or "0", ask or "0", asks or "0"):
            raise NotPlain("bookTicker")
        bid, bids, ask, asks = bid or None, bids or None, ask or None, asks or None
    symbol, number = d.s, d.u
    line = x.sequences.book_tickers[symbol]
    if number > line.next:
        line.next = number
    else:
        x.sequences.not_newer(line, number)
    return [
        BookTicker(
            EXCHANGE, symbol, d.E * MS, d.T * MS, received, WEBSOCKET, x.connection, line.gap_ns,
            number, bid, bids, ask, asks,
        )
    ]  # fmt: skip


def depth(d: DepthWire, x: Context, stream: str, received: int) -> list[Item]:
    kind = x.depth_of(stream)
    if kind is None:
        return []
    update_type, level_limit = kind
    bid_price, bid_quantity, ask_price, ask_quantity = split_book(d.b, d.a)
    symbol, last, previous = d.s, d.u, d.pu
    line, gap = x.sequences.books[symbol], None
    if not level_limit:
        if previous == line.next:
            line.next, line.at_ns = last, received
        else:
            gap = x.sequences.unchained(line, d.U, last, previous, received)
    book = Depth(
        EXCHANGE, symbol, d.E * MS, d.T * MS, received, WEBSOCKET, x.connection, line.gap_ns,
        update_type, level_limit, d.U, last, previous if previous >= 0 else None,
        bid_price, bid_quantity, ask_price, ask_quantity,
    )  # fmt: skip
    return [book] if gap is None else [gap, book]


def kline(d: KlineWire, x: Context, stream: str, received: int) -> list[Item]:
    k = d.k
    quote, taker, taker_quote = k.q, k.V, k.Q
    if not are_plain(k.o, k.h, k.l, k.c, k.v, quote or "0", taker or "0", taker_quote or "0"):
        raise NotPlain("kline")
    symbol, interval, first, last = d.s, k.i, k.f, k.L
    line, gap = x.sequences.klines[symbol], None
    if k.x or interval not in line.grid:
        gap = x.sequences.candle(line, interval, k.t, k.T, k.x, received)
    candle = Kline(
        EXCHANGE, symbol, d.E * MS, None, received, WEBSOCKET, x.connection, line.gap_ns,
        interval, k.t * MS, k.T * MS, k.o, k.h, k.l, k.c, k.v, quote or None, k.n, taker or None, taker_quote or None,
        k.x, first if first >= 0 else None, last if last >= 0 else None,
    )  # fmt: skip
    return [candle] if gap is None else [gap, candle]


def ticker(d: TickerWire, x: Context, stream: str, received: int) -> list[Item]:
    """``C`` is where the 24 hours end, not when the engine did something: there is no transaction time."""
    change, percent = d.p or None, d.P or None
    if not are_plain(
        (change or "0").removeprefix("-"), (percent or "0").removeprefix("-"), d.w or "0", d.c, d.Q or "0",
        d.o or "0", d.h or "0", d.l or "0", d.v or "0", d.q or "0",
    ):  # fmt: skip
        raise NotPlain("24hrTicker")
    opened, closed, first, last = d.O, d.C, d.F, d.L
    return [
        Ticker(
            EXCHANGE, d.s, d.E * MS, None, received, WEBSOCKET, x.connection, x.sequences.tickers[d.s].gap_ns,
            change, percent, d.w or None, d.c, d.Q or None, d.o or None, d.h or None, d.l or None, d.v or None,
            d.q or None, None if opened is None else opened * MS, None if closed is None else closed * MS,
            first if first >= 0 else None, last if last >= 0 else None, d.n,
        )
    ]  # fmt: skip


def mark_price(d: MarkPriceWire, x: Context, stream: str, received: int) -> list[Item]:
    """Perpetuals carry their funding: rate and next time go along, and as a `FundingRate` when they change. Contracts
    without funding send ``T`` 0 or ``r`` ""."""
    rate, due = d.r or None, d.T
    if not are_plain(d.p, d.i or "0", d.P or "0", (rate or "0").removeprefix("-")):
        raise NotPlain("markPriceUpdate")
    if not due or rate is None:
        rate = due_ns = None
    else:
        due_ns = due * MS
    symbol, event_time = d.s, d.E * MS
    price = MarkPrice(
        EXCHANGE, symbol, event_time, None, received, WEBSOCKET, x.connection, x.sequences.mark_prices[symbol].gap_ns,
        d.p, d.i or None, d.P or None, rate, due_ns,
    )  # fmt: skip
    if rate is None or x.funding.get(symbol) == (rate, due_ns):
        return [price]
    x.funding[symbol] = (rate, due_ns)
    gap_ns = x.sequences.funding_rates[symbol].gap_ns
    funding = FundingRate(
        EXCHANGE, symbol, event_time, None, received, WEBSOCKET, x.connection, gap_ns, rate, due_ns, d.p
    )
    return [price, funding]


def force_order(d: ForceOrderWire, x: Context, stream: str, received: int) -> list[Item]:
    o = d.o
    if not are_plain(o.p, o.q, o.ap or "0", o.z or "0"):
        raise NotPlain("forceOrder")
    return [
        Liquidation(
            EXCHANGE, o.s, d.E * MS, o.T * MS, received, WEBSOCKET, x.connection, x.sequences.liquidations[o.s].gap_ns,
            SIDES[o.S], o.o or None, o.p, o.ap or None, o.q, o.z or None, o.X or None, 0,
        )
    ]  # fmt: skip


WORDS: Final[Mapping[str, str]] = {
    "aggTrade": "trade",
    "trade": "trade",
    "bookTicker": "book_ticker",
    "depthUpdate": "depth",
    "kline": "kline",
    "24hrTicker": "ticker",
    "markPriceUpdate": "mark_price",
    "forceOrder": "liquidation",
}
"""Event type -> stream word."""

DECODERS: Final[Mapping[type, Callable[[Any, Context, str, int], list[Item]]]] = {
    AggTradeWire: agg_trade,
    TradeWire: raw_trade,
    BookTickerWire: book_ticker,
    DepthWire: depth,
    KlineWire: kline,
    TickerWire: ticker,
    MarkPriceWire: mark_price,
    ForceOrderWire: force_order,
}
