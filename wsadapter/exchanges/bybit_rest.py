"""Bybit v5 over REST, linear, as tables: what was, what is traded, open interest.

Errors are HTTP 200 with a ``retCode``. Lists are newest first; where more rows lie in the range than a page holds, the
oldest are the ones left out, so a range is never longer than a page. Trades have no history but the newest page.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import Depth, FundingRate, Kline, OpenInterest, Trade, UpdateType
from wsadapter.exchanges.bybit import CODES, SIDES
from wsadapter.exchanges.history import book, candles, fundings, newest_trades
from wsadapter.exchanges.listing import Listing, instrument
from wsadapter.exchanges.mapping import (
    Id,
    Text,
    Time,
    closes,
    constant,
    decimal,
    mapped,
    ms,
    ms_text,
    or_none,
    signed_or_none,
    subscribed,
)
from wsadapter.exchanges.mapping import book as columns
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import BadAnswer, Errors, Frontage, Limit, Request
from wsadapter.text import printable

EXCHANGE: Final = "bybit"
PATH: Final = "/v5/market/"
CATEGORY: Final = {"category": "linear"}
SYMBOL: Final = CATEGORY | {"symbol": "{symbol}"}
MAX_ROWS: Final = 20_000


class AnswerBody(Struct, gc=False):
    """{"retCode":0,"retMsg":"OK","result":{...},"retExtInfo":{},"time":1672025956592}"""

    retCode: int
    retMsg: str = ""
    result: Raw = Raw()
    time: Time = 0


class CandleRow(Struct, array_like=True, gc=False):
    """["1670608800000","17071","17073","17027","17055.5","268611","15.74462667"]; nothing says whether it is closed."""

    opened: Time
    open: Text
    high: Text
    low: Text
    close: Text
    volume: Text
    turnover: Text


class TradeRow(Struct, gc=False):
    """{"execId":"a905d5c3-...","symbol":"BTCUSDT","price":"27450.50","size":"0.005","side":"Buy","time":"1709891679000",
    "isBlockTrade":false}; ``execId`` is ``i`` of the stream."""

    execId: Annotated[str, Meta(min_length=1, max_length=64)]
    symbol: Text
    price: Text
    size: Text
    side: Text
    time: Time


class FundingRow(Struct, gc=False):
    """{"symbol":"BTCUSDT","fundingRate":"0.0001","fundingRateTimestamp":"1709884800000"}"""

    symbol: Text
    fundingRate: Text
    fundingRateTimestamp: Time


class InterestRow(Struct, gc=False):
    """{"openInterest":"461134384.00000000","timestamp":"1669571400000"}"""

    openInterest: Text
    timestamp: Time


class BookResult(Struct, gc=False):
    """{"s":"BTCUSDT","a":[["65557.7","16.606"]],"b":[["65485.47","47.08"]],"ts":1716863719031,"u":230704,"seq":1432604333,
    "cts":1716863718905}; ``u`` is that of the stream of 1000 levels."""

    s: Text
    b: Raw
    a: Raw
    ts: Time
    u: Id
    cts: Time | None = None


class PriceFilter(Struct, gc=False):
    tickSize: Text = ""


class LotFilter(Struct, gc=False):
    qtyStep: Text = ""
    minOrderQty: Text = ""
    maxOrderQty: Text = ""
    minNotionalValue: Text = ""


class InstrumentRow(Struct, gc=False):
    """{"symbol":"BTCUSDT","contractType":"LinearPerpetual","status":"Trading","baseCoin":"BTC","quoteCoin":"USDT",
    "launchTime":"1585526400000","deliveryTime":"0","priceFilter":{"tickSize":"0.10"},"lotSizeFilter":{"qtyStep":"0.001",
    "minOrderQty":"0.001","maxOrderQty":"1190.000","minNotionalValue":"5"},"settleCoin":"USDT"}; times "0" are none."""

    symbol: Text
    status: Text
    baseCoin: Text
    quoteCoin: Text
    priceFilter: PriceFilter
    lotSizeFilter: LotFilter
    contractType: Text = ""
    settleCoin: Text = ""
    launchTime: Text | None = None
    deliveryTime: Text | None = None


class RowList(Struct, gc=False):
    """The ``list`` of a result."""

    list: Annotated[list[Raw], Meta(max_length=MAX_ROWS)]
    nextPageCursor: Annotated[str, Meta(max_length=512)] = ""


_body: Final = Decoder(AnswerBody).decode
_rows: Final = Decoder(RowList).decode


def result_of(body: bytes) -> AnswerBody:
    answer = _body(body)
    if answer.retCode:
        raise BadAnswer(f"{answer.retCode} {printable(answer.retMsg)}")
    return answer


def error(status: int, body: bytes) -> tuple[int, str] | None:
    answer = _body(body)
    return (answer.retCode, answer.retMsg) if answer.retCode else None


def next_page(body: bytes) -> str:
    return _rows(result_of(body).result).nextPageCursor


def rows_of(body: bytes) -> tuple[list[Raw], int]:
    answer = result_of(body)
    return _rows(answer.result).list, answer.time


def whole(body: bytes) -> tuple[list[Raw], int]:
    """A result that is one row."""
    answer = result_of(body)
    return [answer.result], answer.time


CANDLE: Final = row(
    Kline, interval=subscribed("interval"), open_time_ns=ms("opened"), close_time_ns=closes("opened"),
    open=decimal("open"), high=decimal("high"), low=decimal("low"), close=decimal("close"), volume=decimal("volume"),
    quote_volume=decimal("turnover"), closed=constant(True),
    absent=("event_time_ns", "transaction_time_ns", "trade_count", "taker_buy_volume", "taker_buy_quote_volume",
            "first_trade_id", "last_trade_id"),
)  # fmt: skip
TRADE: Final = row(
    Trade, transaction_time_ns=ms("time"), trade_id="execId", price=decimal("price"), quantity=decimal("size"),
    buyer_is_maker=mapped("side", SIDES), aggregated=constant(False),
    absent=("event_time_ns", "trade_number", "first_trade_id", "last_trade_id"),
)  # fmt: skip
FUNDING: Final = row(
    FundingRate, transaction_time_ns=ms("fundingRateTimestamp"), funding_rate=signed_or_none("fundingRate"),
    absent=("event_time_ns", "next_funding_time_ns", "mark_price"),
    refuse=lambda d: "" if d.fundingRate else "no rate", settled=constant(True),
)  # fmt: skip
BOOK: Final = row(
    Depth, event_time_ns=ms("ts"), transaction_time_ns=ms("cts"), update_type=constant(UpdateType.SNAPSHOT),
    level_limit=subscribed("limit"), last_update_id="u", columns=columns("b", "a"),
    absent=("first_update_id", "previous_update_id"),
)  # fmt: skip
INTEREST: Final = row(
    OpenInterest, event_time_ns=ms("timestamp"), open_interest=decimal("openInterest"),
    absent=("transaction_time_ns", "open_interest_value"),
)  # fmt: skip

KLINES: Final = Page(
    EXCHANGE, PATH + "kline",
    SYMBOL | {"interval": "{code}", "start": "{first_ms}", "end": "{last_ms}", "limit": "{limit}"}, CandleRow, CANDLE,
    rows_of, key="open_time_ns", wire_key="opened", end_key="close_time_ns", most=1000, codes=CODES,
    newest_first=True, lax=True,
)  # fmt: skip
NEWEST_TRADES: Final = Page(
    EXCHANGE, PATH + "recent-trade", SYMBOL | {"limit": "{limit}"}, TradeRow, TRADE, rows_of,
    key="transaction_time_ns", wire_key="time", strict=False, symbol="symbol", most=1000, newest_first=True, lax=True,
)  # fmt: skip
FUNDINGS: Final = Page(  # rates are settled once an hour at most
    EXCHANGE, PATH + "funding/history",
    SYMBOL | {"startTime": "{first_ms}", "endTime": "{last_ms}", "limit": "{limit}"}, FundingRow, FUNDING, rows_of,
    key="transaction_time_ns", wire_key="fundingRateTimestamp", symbol="symbol", most=200, window_ms=199 * 3_600_000,
    newest_first=True, lax=True,
)  # fmt: skip
ORDERBOOK: Final = Page(
    EXCHANGE, PATH + "orderbook", SYMBOL | {"limit": "{limit}"}, BookResult, BOOK, whole, key="last_update_id",
    wire_key="u", unit=1, symbol="s", most=1000,
)  # fmt: skip
OPEN_INTEREST: Final = Page(
    EXCHANGE, PATH + "open-interest", SYMBOL | {"intervalTime": "5min", "limit": "{limit}"}, InterestRow, INTEREST,
    rows_of, key="event_time_ns", wire_key="timestamp", most=1, lax=True,
)  # fmt: skip


CONTRACTS: Final = Listing(
    EXCHANGE, Request(PATH + "instruments-info", (*CATEGORY.items(), ("limit", "1000"))), InstrumentRow,
    lambda body: rows_of(body)[0],
    instrument(
        symbol="symbol", status="status", contract_type=or_none("contractType"), base_asset="baseCoin",
        quote_asset="quoteCoin", margin_asset=or_none("settleCoin"), contract_size=constant("1"),
        contract_currency="baseCoin", tick_size=or_none("priceFilter.tickSize"),
        step_size=or_none("lotSizeFilter.qtyStep"), min_quantity=or_none("lotSizeFilter.minOrderQty"),
        max_quantity=or_none("lotSizeFilter.maxOrderQty"), min_notional=or_none("lotSizeFilter.minNotionalValue"),
        onboard_time_ns=ms_text("launchTime"), delivery_time_ns=ms_text("deliveryTime"),
    ),
    cursor=next_page,
)  # fmt: skip


class BybitLinearRest(RestTables):
    """Bybit linear contracts."""

    live = "https://api.bybit.com"
    testnet = "https://api-testnet.bybit.com"
    weights = Limit(600, 5.0)
    reset_header = "x-bapi-limit-reset-timestamp"
    banned = frozenset((403,))
    """Too many requests from this address: ten minutes apart help. Some clouds are refused altogether."""
    variants: Mapping[str, Any] = {"aggregated": False}
    errors = Errors(
        error,
        limited=frozenset((429, 10006, 10018)),
        again=frozenset((10000, 10016)),  # timeout, internal error
        frontages=(Frontage(403, b"access too frequent", 600.0),),
    )
    repairs = {
        "trade": partial(newest_trades, NEWEST_TRADES),
        "kline": partial(candles, KLINES),
        "funding_rate": partial(fundings, FUNDINGS),
        "depth": partial(book, ORDERBOOK),
    }
    intervals = frozenset(CODES)
    interest = OPEN_INTEREST
    listings = (CONTRACTS,)
