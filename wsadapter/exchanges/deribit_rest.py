"""Deribit over REST as tables: trades, candles, settled funding, books, what is traded. The methods are those of the
socket, by GET.

Trades are asked for by their sequence, so that a hole is filled exactly. Candles come as columns, both ends of a range
among them. Errors are HTTP 400 with a JSON-RPC error. Funding of a perpetual is paid all the time; what was paid in
each hour its history says, at the hour's end: that is what is settled here. It is a binary float in the venue's own
text, of 20 and more decimals; a rate has 18, and is rounded to them.

Not verified: how far back this host keeps public trades (others fetch old ones from history.deribit.com, which is not
asked here); how many candles one answer holds at most (1000 are asked for), and that candles without trades are there;
the order of the hours (they are put in order here), how many an answer holds (744; 28 days are asked for).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import Depth, FundingRate, Kline, OpenInterest, Trade, UpdateType
from wsadapter.events.decimals import plain_number, rounded_number
from wsadapter.exchanges.deribit import (
    CANDLE_FIELDS,
    CODES,
    PASSING,
    TOO_MANY,
    TRADE_FIELDS,
    CandleWire,
    ErrorWire,
    TopWire,
    TradeWire,
    top_levels,
)
from wsadapter.exchanges.history import book, candles, fundings, trades
from wsadapter.exchanges.listing import Listing, instrument
from wsadapter.exchanges.mapping import computed, constant, ms, number, number_or_none, or_none, subscribed
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import BadAnswer, BookRule, Errors, Filling, Hole, Limit, Request, ServerTime
from wsadapter.exchanges.second_look import present
from wsadapter.exchanges.sides import levels
from wsadapter.exchanges.values import MOST, MS, Text, Time
from wsadapter.text import printable

EXCHANGE: Final = "deribit"
PATH: Final = "/api/v2/public/"
PERPETUAL: Final = "-PERPETUAL"
MAX_ROWS: Final = 100_000
RATE_DECIMALS: Final = 18
"""Of a funding rate, in the table."""
Column = Annotated[list[Raw], Meta(max_length=MAX_ROWS)]


class Body(Struct, gc=False):
    """{"jsonrpc":"2.0","result":{...},"usIn":1766487086141005,"usOut":1766487086146245,"usDiff":5240,"testnet":false},
    {"error":{"code":-32602,"data":{"reason":"instrument not found","param":"instrument_name"},"message":"Invalid
    params"},...}"""

    result: Raw = Raw()
    error: ErrorWire | None = None
    usOut: Annotated[int, Meta(ge=0, le=MOST)] | None = None


class TradesResult(Struct, gc=False):
    """{"trades":[{...}],"has_more":true}"""

    trades: Column


class ChartResult(Struct, gc=False):
    """{"status":"ok","ticks":[1766483460000],"open":[87451.0],"high":[87456.5],"low":[87451.0],"close":[87456.5],
    "volume":[2.94375216],"cost":[257490.0]}; without candles the status is ``no_data``."""

    ticks: Column
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column
    cost: Column


class StateRow(Struct, gc=False):
    """As much of a ticker as is read over REST."""

    timestamp: Time
    open_interest: Raw


class FundingRow(Struct, gc=False):
    """{"timestamp":1569891600000,"index_price":8222.87,"prev_index_price":8305.72,
    "interest_8h":-0.00009234260068476106,"interest_1h":-4.739622041017375e-7}: the hour that ends then."""

    timestamp: Time
    interest_1h: Raw


class InstrumentRow(Struct, gc=False):
    """{"kind":"future","instrument_name":"BTC-PERPETUAL","instrument_type":"reversed","settlement_period":"perpetual",
    "expiration_timestamp":32503708800000,"creation_timestamp":1534167754000,"is_active":true,"tick_size":0.5,
    "contract_size":10.0,"min_trade_amount":10.0,"settlement_currency":"BTC","base_currency":"BTC",
    "counter_currency":"USD","quote_currency":"USD",...}; an option has ``strike`` and ``option_type``."""

    instrument_name: Text
    kind: Text
    base_currency: Text
    quote_currency: Text
    state: Text = ""
    is_active: bool = True
    instrument_type: Text = ""
    settlement_period: Text = ""
    settlement_currency: Text = ""
    counter_currency: Text = ""
    option_type: Text = ""
    strike: Raw = Raw()
    tick_size: Raw = Raw()
    contract_size: Raw = Raw()
    min_trade_amount: Raw = Raw()
    creation_timestamp: Time | None = None
    expiration_timestamp: int | None = None


_body: Final = Decoder(Body).decode
_trades: Final = Decoder(TradesResult).decode
_chart: Final = Decoder(ChartResult).decode
_list: Final = Decoder(Column).decode


def error(status: int, body: bytes) -> tuple[int, str] | None:
    found = _body(body).error
    return None if found is None else (found.code, f"{found.message} {bytes(found.data).decode()}".strip())


def step_of(one: InstrumentRow) -> str | None:
    """Amounts are in steps of a contract; that of an option is one coin, and it is traded in parts."""
    step = one.min_trade_amount if one.kind.startswith("option") else one.contract_size
    return plain_number(step) if present(step) else None


def result_of(body: bytes) -> tuple[Raw, int | None]:
    """And the venue's time."""
    answer = _body(body)
    if answer.error is not None or not present(answer.result):
        raise BadAnswer(printable(answer.error.message) if answer.error else "no result")
    return answer.result, None if answer.usOut is None else answer.usOut // 1000


def trade_rows(body: bytes) -> tuple[list[Raw], int | None]:
    result, time = result_of(body)
    return _trades(result).trades, time


def candle_rows(body: bytes) -> tuple[list[Raw], int | None]:
    """Columns of one length become rows as the stream has them."""
    result, time = result_of(body)
    c = _chart(result)
    columns = zip(c.ticks, c.open, c.high, c.low, c.close, c.volume, c.cost, strict=True)
    form = b'{"tick":%b,"open":%b,"high":%b,"low":%b,"close":%b,"volume":%b,"cost":%b}'
    return [Raw(form % tuple(map(bytes, one))) for one in columns], time


def funding_rows(body: bytes) -> tuple[list[Raw], int | None]:
    result, time = result_of(body)
    return _list(result), time


def whole(body: bytes) -> tuple[list[Raw], int | None]:
    """A result that is one row."""
    result, time = result_of(body)
    return [result], time


def kind(d: InstrumentRow) -> str:
    """Combos have none of ours."""
    if d.kind == "future" and d.settlement_period == "perpetual":
        return "perpetual"
    return d.kind if d.kind in ("future", "option", "spot") else ""


def expires(d: InstrumentRow) -> int | None:
    """A perpetual names the year 3000, which is beyond our times."""
    time = d.expiration_timestamp
    return None if time is None or not 0 < time <= MOST // MS else time * MS


def option_name(d: InstrumentRow) -> str:
    """``BTC/USD:BTC-261225-100000-C``"""
    at_ns = expires(d)
    if d.kind != "option" or at_ns is None:
        return ""
    day = datetime.fromtimestamp(at_ns // 10**9, UTC)
    strike = plain_number(d.strike).removesuffix(".0")
    side = d.option_type[:1].upper()
    return f"{d.base_currency}/{d.counter_currency}:{d.settlement_currency}-{day:%y%m%d}-{strike}-{side}"


BOOK: Final = row(
    Depth, transaction_time_ns=ms("timestamp"), update_type=constant(UpdateType.SNAPSHOT),
    level_limit=subscribed("limit"), last_update_id="change_id", columns=levels("bids", "asks", 0, 1),
    absent=("event_time_ns", "first_update_id", "previous_update_id"),
)  # fmt: skip
INTEREST: Final = row(
    OpenInterest, event_time_ns=ms("timestamp"), open_interest=number("open_interest"),
    absent=("transaction_time_ns", "open_interest_value"),
)  # fmt: skip

FUNDING: Final = row(
    FundingRate, transaction_time_ns=ms("timestamp"), settled=constant(True),
    funding_rate=computed(lambda d, e: rounded_number(d.interest_1h, RATE_DECIMALS)),
    absent=("event_time_ns", "next_funding_time_ns", "mark_price"),
)  # fmt: skip

ONE: Final = {"instrument_name": "{symbol}"}
OLDEST_FIRST: Final = {"count": "{limit}", "sorting": "asc"}
BY_SEQUENCE: Final = Page(
    EXCHANGE, PATH + "get_last_trades_by_instrument", ONE | {"start_seq": "{first}"} | OLDEST_FIRST, TradeWire,
    row(Trade, **TRADE_FIELDS), trade_rows, key="trade_number", wire_key="trade_seq", unit=1, symbol="instrument_name",
    most=1000,
)  # fmt: skip
BY_TIME: Final = Page(
    EXCHANGE, PATH + "get_last_trades_by_instrument_and_time",
    ONE | {"start_timestamp": "{first_ms}", "end_timestamp": "{last_ms}"} | OLDEST_FIRST, TradeWire,
    row(Trade, **TRADE_FIELDS), trade_rows, key="trade_number", wire_key="trade_seq", unit=1, symbol="instrument_name",
    most=1000,
)  # fmt: skip
KLINES: Final = Page(
    EXCHANGE, PATH + "get_tradingview_chart_data",
    ONE | {"start_timestamp": "{first_ms}", "end_timestamp": "{last_ms}", "resolution": "{code}"}, CandleWire,
    row(Kline, closed=constant(True), **CANDLE_FIELDS), candle_rows, key="open_time_ns", wire_key="tick",
    end_key="close_time_ns", most=1000, codes=CODES, keeps_newest=True,
)  # fmt: skip
FUNDINGS: Final = Page(
    EXCHANGE, PATH + "get_funding_rate_history",
    ONE | {"start_timestamp": "{first_ms}", "end_timestamp": "{last_ms}"}, FundingRow, FUNDING, funding_rows,
    key="transaction_time_ns", wire_key="timestamp", most=744, window_ms=28 * 86_400_000, sorts=True, whole=True,
)  # fmt: skip
ORDER_BOOK: Final = Page(
    EXCHANGE, PATH + "get_order_book", ONE | {"depth": "{limit}"}, TopWire, BOOK, whole, key="last_update_id",
    wire_key="change_id", unit=1, most=10_000,
)  # fmt: skip
TICKER: Final = Page(
    EXCHANGE, PATH + "ticker", ONE, StateRow, INTEREST, whole, key="event_time_ns", wire_key="timestamp", most=1,
)  # fmt: skip
INSTRUMENTS: Final = Listing(
    EXCHANGE, Request(PATH + "get_instruments", (("currency", "any"), ("expired", "false")), pool="instruments"),
    InstrumentRow, lambda body: _list(result_of(body)[0]),
    instrument(
        symbol="instrument_name", status=computed(lambda d, e: d.state or ("open" if d.is_active else "inactive")),
        contract_type=or_none("instrument_type"), kind=computed(lambda d, e: kind(d)), base_asset="base_currency",
        quote_asset="quote_currency", margin_asset=or_none("settlement_currency"),
        # amounts count coins (or dollars)
        contract_size=constant("1"), step_size=computed(lambda d, e: step_of(d)),
        contract_currency=computed(
            lambda d, e: d.quote_currency if d.instrument_type == "reversed" else d.base_currency
        ),
        tick_size=number_or_none("tick_size"), min_quantity=number_or_none("min_trade_amount"),
        onboard_time_ns=ms("creation_timestamp"), delivery_time_ns=computed(lambda d, e: expires(d)),
        canonical=computed(lambda d, e: option_name(d)), absent=("max_quantity", "min_notional"),
    ),
)  # fmt: skip


class DeribitRest(RestTables):
    """Deribit."""

    live = "https://www.deribit.com"
    testnet = "https://test.deribit.com"
    server_time: ServerTime | None = ServerTime("/api/v2/public/get_time", "result")
    weights = Limit(100, 10.0)
    """500 of 50,000 credits a request, of which 10,000 come back each second: half of it. Connections of HTTP count
    among the 32 of an address."""
    pools: Mapping[str, Limit] = {"instruments": Limit(1, 2.0)}
    variants = {"aggregated": False}
    book_rule = BookRule(whole=frozenset((1, 10, 20)), joins=True)
    errors = Errors(error, limited=TOO_MANY, again=PASSING)
    repairs = {
        "trade": partial(trades, BY_SEQUENCE, BY_TIME),
        "kline": partial(candles, KLINES),
        "funding_rate": partial(fundings, FUNDINGS),
        "depth": partial(book, ORDER_BOOK),
    }
    intervals = frozenset(CODES)
    interest = TICKER
    listings = (INSTRUMENTS,)
    trading = frozenset(("open",))
    halted = frozenset(("inactive", "locked", "halted", "settlement"))

    def repair(self, hole: Hole) -> Filling | None:
        """Nobody pays funding for anything but perpetuals."""
        if hole.stream == "funding_rate" and not hole.symbol.endswith(PERPETUAL):
            return None
        return super().repair(hole)

    def levels(self, name: str) -> int:
        found = top_levels(name)
        return found[0] if found else 0
