"""Binance USD-M futures: wire Structs to events.

One decoder per type. It gets a Struct whose types and ranges are checked and whose symbol is of the feed, and asks the
type's shape for the event, which checks the decimals (raises `NotPlain`). Guarantee: texts and numbers are the venue's
own; milliseconds become nanoseconds; what the venue leaves out or empty is None. Everything here is hot:
bench/bench_decode.py shows what a line costs.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from msgspec import Struct

from wsadapter.events import (
    BookTicker,
    Depth,
    FundingRate,
    Gap,
    Kline,
    Liquidation,
    MarkPrice,
    Side,
    Source,
    Ticker,
    Trade,
    UpdateType,
)
from wsadapter.events.decimals import split_book
from wsadapter.exchanges.binance.wire import (
    AggTradeWire,
    BookTickerWire,
    DepthWire,
    ForceOrderWire,
    KlineWire,
    MarkPriceWire,
    TickerWire,
    TradeWire,
)
from wsadapter.exchanges.continuity import Line, Sequences
from wsadapter.exchanges.mapping import (
    NONE,
    Books,
    Route,
    Rule,
    as_text,
    constant,
    count,
    decimal,
    decimal_or_none,
    given,
    ms,
    or_none,
    shape,
    signed_or_none,
)
from wsadapter.exchanges.venue import Bad, Item

EXCHANGE: Final = "binance"
WEBSOCKET: Final = Source.WEBSOCKET
SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}

_agg_trade: Final = shape(
    EXCHANGE, AggTradeWire, Trade, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("T"),
    trade_id=as_text("a"), trade_number="a", price=decimal("p"), quantity=decimal("q"), buyer_is_maker="m",
    first_trade_id=count("f"), last_trade_id=count("l"), aggregated=constant(True),
)  # fmt: skip
_raw_trade: Final = shape(
    EXCHANGE, TradeWire, Trade, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("T"),
    trade_id=as_text("t"), trade_number="t", price=decimal("p"), quantity=decimal("q"), buyer_is_maker="m",
    first_trade_id=NONE, last_trade_id=NONE, aggregated=constant(False),
)  # fmt: skip
_book_ticker: Final = shape(
    EXCHANGE, BookTickerWire, BookTicker, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("T"),
    update_id="u", bid_price=decimal_or_none("b"), bid_quantity=decimal_or_none("B"),
    ask_price=decimal_or_none("a"), ask_quantity=decimal_or_none("A"),
)  # fmt: skip
_depth: Final = shape(
    EXCHANGE, DepthWire, Depth, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("T"),
    update_type=given("update_type"), level_limit=given("level_limit"), first_update_id="U", last_update_id="u",
    previous_update_id=count("pu"), bid_price=given("bid_price"), bid_quantity=given("bid_quantity"),
    ask_price=given("ask_price"), ask_quantity=given("ask_quantity"),
)  # fmt: skip
_kline: Final = shape(
    EXCHANGE, KlineWire, Kline, symbol="s", event_time_ns=ms("E"), transaction_time_ns=NONE,
    interval="k.i", open_time_ns=ms("k.t"), close_time_ns=ms("k.T"), open=decimal("k.o"), high=decimal("k.h"),
    low=decimal("k.l"), close=decimal("k.c"), volume=decimal("k.v"), quote_volume=decimal_or_none("k.q"),
    trade_count="k.n", taker_buy_volume=decimal_or_none("k.V"), taker_buy_quote_volume=decimal_or_none("k.Q"),
    closed="k.x", first_trade_id=count("k.f"), last_trade_id=count("k.L"),
)  # fmt: skip
# ``C`` is where the 24 hours end, not when the engine did something: there is no transaction time
_ticker: Final = shape(
    EXCHANGE, TickerWire, Ticker, symbol="s", event_time_ns=ms("E"), transaction_time_ns=NONE,
    price_change=signed_or_none("p"), price_change_percent=signed_or_none("P"),
    weighted_average_price=decimal_or_none("w"), last_price=decimal("c"), last_quantity=decimal_or_none("Q"),
    open=decimal_or_none("o"), high=decimal_or_none("h"), low=decimal_or_none("l"), volume=decimal_or_none("v"),
    quote_volume=decimal_or_none("q"), open_time_ns=ms("O"), close_time_ns=ms("C"), first_trade_id=count("F"),
    last_trade_id=count("L"), trade_count="n",
)  # fmt: skip
_mark_price: Final = shape(
    EXCHANGE, MarkPriceWire, MarkPrice, symbol="s", event_time_ns=ms("E"), transaction_time_ns=NONE,
    mark_price=decimal("p"), index_price=decimal_or_none("i"), estimated_settle_price=decimal_or_none("P"),
    funding_rate=signed_or_none("r"), next_funding_time_ns=ms("T"),
)  # fmt: skip
_liquidation: Final = shape(
    EXCHANGE, ForceOrderWire, Liquidation, symbol="o.s", event_time_ns=ms("E"), transaction_time_ns=ms("o.T"),
    side="o.S", order_type=or_none("o.o"), price=decimal("o.p"), average_price=decimal_or_none("o.ap"),
    quantity=decimal("o.q"), filled_quantity=decimal_or_none("o.z"), status=or_none("o.X"), ordinal=constant(0),
)  # fmt: skip


class Context(Protocol):
    """What a decoder needs of its connection."""

    connection: str
    funding: dict[str, tuple[str, int | None]]
    """Symbol -> last published (rate, next time); empty after each connect."""
    sequences: Sequences

    def depth_of(self, stream: str) -> tuple[UpdateType, int] | None:
        """Update type and level limit by the stream's name; None for a book that we do not publish."""


def agg_trade(d: AggTradeWire, x: Context, stream: str, received: int) -> list[Item]:
    line = x.sequences.agg_trades[d.s]
    trade = _agg_trade(d, received, x.connection, line.gap_ns)
    number = d.a
    if number == line.next:
        line.next, line.at_ns = number + 1, received
        return [trade]
    return _behind(x.sequences.jumped(line, number, received), trade, line)


def raw_trade(d: TradeWire, x: Context, stream: str, received: int) -> list[Item]:
    """Insurance fund and ADL trades are trades. ``X`` "NA" is none: the venue fills holes in its ids with price and
    quantity "0", which must not become somebody's lowest price. It is dropped and counted, and its id is not missing.
    """
    line = x.sequences.raw_trades[d.s]
    item = Bad("other", "trade NA") if d.X == "NA" else _raw_trade(d, received, x.connection, line.gap_ns)
    number = d.t
    if number == line.next:
        line.next, line.at_ns = number + 1, received
        return [item]
    return _behind(x.sequences.jumped(line, number, received), item, line)


def book_ticker(d: BookTickerWire, x: Context, stream: str, received: int) -> list[Item]:
    line = x.sequences.book_tickers[d.s]
    quote = _book_ticker(d, received, x.connection, line.gap_ns)
    number = d.u
    if number > line.next:
        line.next = number
    else:
        x.sequences.not_newer(line, number)
    return [quote]


def depth(d: DepthWire, x: Context, stream: str, received: int) -> list[Item]:
    kind = x.depth_of(stream)
    if kind is None:
        return []
    update_type, level_limit = kind
    columns = split_book(d.b, d.a)
    symbol, last, previous = d.s, d.u, d.pu
    line, gap = x.sequences.books[symbol], None
    if not level_limit:
        if previous == line.next:
            line.next, line.at_ns = last, received
        else:
            gap = x.sequences.unchained(line, d.U, last, previous, received)
    book = _depth(d, received, x.connection, line.gap_ns, update_type, level_limit, *columns)
    return [book] if gap is None else [gap, book]


def kline(d: KlineWire, x: Context, stream: str, received: int) -> list[Item]:
    line, k = x.sequences.klines[d.s], d.k
    candle = _kline(d, received, x.connection, line.gap_ns)
    if k.x or k.i not in line.grid:
        return _behind(x.sequences.candle(line, k.i, k.t, k.T, k.x, received), candle, line)
    return [candle]


def ticker(d: TickerWire, x: Context, stream: str, received: int) -> list[Item]:
    return [_ticker(d, received, x.connection, x.sequences.tickers[d.s].gap_ns)]


def mark_price(d: MarkPriceWire, x: Context, stream: str, received: int) -> list[Item]:
    """Perpetuals carry their funding: rate and next time go along, and as a `FundingRate` when they change. Contracts
    without funding send ``T`` 0 or ``r`` ""."""
    symbol = d.s
    price = _mark_price(d, received, x.connection, x.sequences.mark_prices[symbol].gap_ns)
    rate, due_ns = price.funding_rate, price.next_funding_time_ns
    if rate is None or not due_ns:
        price.funding_rate = price.next_funding_time_ns = None
        return [price]
    if x.funding.get(symbol) == (rate, due_ns):
        return [price]
    x.funding[symbol] = (rate, due_ns)
    gap_ns = x.sequences.funding_rates[symbol].gap_ns
    funding = FundingRate(
        EXCHANGE, symbol, price.event_time_ns, None, received, WEBSOCKET, x.connection, gap_ns,
        rate, due_ns, price.mark_price,
    )  # fmt: skip
    return [price, funding]


def force_order(d: ForceOrderWire, x: Context, stream: str, received: int) -> list[Item]:
    order = _liquidation(d, received, x.connection, x.sequences.liquidations[d.o.s].gap_ns)
    order.side = SIDES[order.side]
    return [order]


def _behind(gap: Gap | None, item: Kline | Trade | Bad, line: Line) -> list[Item]:
    """The event, behind the gap that it showed."""
    if gap is None:
        return [item]
    if not isinstance(item, Bad):
        item.last_gap_ns = line.gap_ns
    return [gap, item]


def routes(sequences: Sequences) -> dict[type[Struct], Route]:
    """The usual cases, for `wsadapter.exchanges.mapping.straight`; the decoders above do the same and all else."""
    return {
        AggTradeWire: Route(_agg_trade, sequences.agg_trades, Rule.NEXT, "a"),
        BookTickerWire: Route(_book_ticker, sequences.book_tickers, Rule.RISING, "u"),
        TickerWire: Route(_ticker, sequences.tickers, Rule.ANY, "E"),
    }


def books(sequences: Sequences, kinds: Mapping[str, tuple[UpdateType, int] | None]) -> Books:
    """The same of `depth`."""
    return Books(DepthWire, _depth, sequences.books, kinds)


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
