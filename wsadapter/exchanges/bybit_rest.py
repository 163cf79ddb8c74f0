"""Bybit v5 over REST, contracts and spot, as tables: what was, what is traded, open interest.

Errors are HTTP 200 with a ``retCode``. Lists are newest first; where more rows lie in the range than a page holds, the
oldest are the ones left out, so a range is never longer than a page. Trades have no history but the newest page.
Not verified: that public answers have the header of an exceeded limit's end.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import unquote

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import Depth, FundingRate, Kline, OpenInterest, Trade, UpdateType
from wsadapter.exchanges.bybit import CODES, SIDES
from wsadapter.exchanges.history import book, candles, fundings, newest_trades
from wsadapter.exchanges.listing import Listing, instrument
from wsadapter.exchanges.mapping import (
    NONE,
    Emit,
    Step,
    closes,
    computed,
    constant,
    decimal,
    mapped,
    ms,
    ms_text,
    or_none,
    signed_or_none,
    subscribed,
)
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import BadAnswer, Errors, Filling, Frontage, Hole, Limit, Request, ServerTime
from wsadapter.exchanges.sides import book as columns
from wsadapter.exchanges.turnover import Tickers
from wsadapter.exchanges.values import Id, Text, Time
from wsadapter.text import printable

PATH: Final = "/v5/market/"
MAX_ROWS: Final = 20_000


class Market(Struct, frozen=True):
    """One category. ``turnover``: whether it is in the quote asset; ``trades``: most rows of the newest page."""

    word: str
    category: str
    turnover: bool = True
    trades: int = 1000

    @property
    def all(self) -> dict[str, str]:
        return {"category": self.category}

    @property
    def one(self) -> dict[str, str]:
        return {"category": self.category, "symbol": "{symbol}"}


LINEAR: Final = Market("bybit", "linear")
INVERSE: Final = Market("bybit_inverse", "inverse", turnover=False)
SPOT: Final = Market("bybit_spot", "spot", trades=60)


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
    """Of contracts, and ``basePrecision``, ``minOrderAmt`` and ``maxLimitOrderQty`` of spot, where ``minOrderQty`` is
    told and no longer checked and ``maxOrderQty`` is the older word."""

    qtyStep: Text = ""
    minOrderQty: Text = ""
    maxOrderQty: Text = ""
    maxLimitOrderQty: Text = ""
    minNotionalValue: Text = ""
    basePrecision: Text = ""
    minOrderAmt: Text = ""


class InstrumentRow(Struct, gc=False):
    """{"symbol":"BTCUSDT","contractType":"LinearPerpetual","status":"Trading","baseCoin":"BTC","quoteCoin":"USDT",
    "launchTime":"1585526400000","deliveryTime":"0","priceFilter":{"tickSize":"0.10"},"lotSizeFilter":{"qtyStep":"0.001",
    "minOrderQty":"0.001","maxOrderQty":"1190.000","minNotionalValue":"5"},"settleCoin":"USDT",
    "fundingInterval":480}; times "0" are none, the interval is in minutes."""

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
    fundingInterval: Annotated[int, Meta(ge=0, le=1 << 20)] = 0


class RowList(Struct, gc=False):
    """The ``list`` of a result. The cursor is encoded as in an address."""

    list: Annotated[list[Raw], Meta(max_length=MAX_ROWS)]
    nextPageCursor: Annotated[str, Meta(max_length=512)] | None = None


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
    return unquote(_rows(result_of(body).result).nextPageCursor or "")


def rows_of(body: bytes) -> tuple[list[Raw], int]:
    answer = result_of(body)
    return _rows(answer.result).list, answer.time


def whole(body: bytes) -> tuple[list[Raw], int]:
    """A result that is one row."""
    answer = result_of(body)
    return [answer.result], answer.time


def candle(quote_volume: Step) -> Emit:
    return row(
        Kline, interval=subscribed("interval"), open_time_ns=ms("opened"), close_time_ns=closes("opened"),
        open=decimal("open"), high=decimal("high"), low=decimal("low"), close=decimal("close"),
        volume=decimal("volume"), quote_volume=quote_volume, closed=constant(True),
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


def klines(market: Market) -> Page:
    return Page(
        market.word, PATH + "kline",
        market.one | {"interval": "{code}", "start": "{first_ms}", "end": "{last_ms}", "limit": "{limit}"}, CandleRow,
        candle(decimal("turnover") if market.turnover else NONE), rows_of, key="open_time_ns", wire_key="opened",
        end_key="close_time_ns", most=1000, codes=CODES, newest_first=True, lax=True,
    )  # fmt: skip


def last_trades(market: Market) -> Page:
    return Page(
        market.word, PATH + "recent-trade", market.one | {"limit": "{limit}"}, TradeRow, TRADE, rows_of,
        key="transaction_time_ns", wire_key="time", strict=False, symbol="symbol", most=market.trades,
        newest_first=True, lax=True,
    )  # fmt: skip


def orderbook(market: Market) -> Page:
    return Page(
        market.word, PATH + "orderbook", market.one | {"limit": "{limit}"}, BookResult, BOOK, whole,
        key="last_update_id", wire_key="u", unit=1, symbol="s", most=1000,
    )  # fmt: skip


def settled_rates(market: Market) -> Page:
    """Rates are settled once an hour at most."""
    return Page(
        market.word, PATH + "funding/history",
        market.one | {"startTime": "{first_ms}", "endTime": "{last_ms}", "limit": "{limit}"}, FundingRow, FUNDING,
        rows_of, key="transaction_time_ns", wire_key="fundingRateTimestamp", symbol="symbol", most=200,
        window_ms=199 * 3_600_000, newest_first=True, lax=True,
    )  # fmt: skip


def open_interest(market: Market) -> Page:
    return Page(
        market.word, PATH + "open-interest", market.one | {"intervalTime": "5min", "limit": "{limit}"}, InterestRow,
        INTEREST, rows_of, key="event_time_ns", wire_key="timestamp", most=1, lax=True,
    )  # fmt: skip


def contracts(market: Market, counted_in: str) -> Listing:
    """``counted_in``: the asset of quantities."""
    return Listing(
        market.word, Request(PATH + "instruments-info", (*market.all.items(), ("limit", "1000"))), InstrumentRow,
        rows_of,
        instrument(
            symbol="symbol", status="status", contract_type=or_none("contractType"), base_asset="baseCoin",
            quote_asset="quoteCoin", margin_asset=or_none("settleCoin"), contract_size=constant("1"),
            contract_currency=counted_in, tick_size=or_none("priceFilter.tickSize"),
            step_size=or_none("lotSizeFilter.qtyStep"), min_quantity=or_none("lotSizeFilter.minOrderQty"),
            max_quantity=or_none("lotSizeFilter.maxOrderQty"), min_notional=or_none("lotSizeFilter.minNotionalValue"),
            onboard_time_ns=ms_text("launchTime"), delivery_time_ns=ms_text("deliveryTime"),
            kind=computed(lambda d, e: "perpetual" if "Perpetual" in d.contractType else "future"),
            funding_interval=computed(lambda d, e: d.fundingInterval * 60 or None), open_interest_sides=constant(2),
        ),
        cursor=next_page,
    )  # fmt: skip


def most_in_an_order(d: InstrumentRow, e: object) -> str | None:
    """Of one with a limit; market orders have a bound of their own."""
    return d.lotSizeFilter.maxLimitOrderQty or d.lotSizeFilter.maxOrderQty or None


PAIRS: Final = Listing(
    SPOT.word, Request(PATH + "instruments-info", tuple(SPOT.all.items())), InstrumentRow,
    rows_of,
    instrument(
        symbol="symbol", status="status", base_asset="baseCoin", quote_asset="quoteCoin", contract_size=constant("1"),
        contract_currency="baseCoin", tick_size=or_none("priceFilter.tickSize"),
        step_size=or_none("lotSizeFilter.basePrecision"), max_quantity=computed(most_in_an_order),
        min_notional=or_none("lotSizeFilter.minOrderAmt"), kind=constant("spot"),
        absent=("contract_type", "margin_asset", "min_quantity", "onboard_time_ns", "delivery_time_ns"),
    ),
)  # fmt: skip


def tickers(market: Market) -> Tickers:
    """{"symbol":"BTCUSDT","lastPrice":"84017.50","turnover24h":"6132487264.7212","volume24h":"72811.2290",...}"""
    return Tickers(
        Request(PATH + "tickers", tuple(market.all.items())), rows_of, symbol="symbol",
        price="lastPrice", volume="turnover24h", in_base=not market.turnover,
    )  # fmt: skip


def repairs_of(market: Market) -> dict[str, Callable[[Hole], Filling]]:
    """What all markets keep."""
    return {
        "trade": partial(newest_trades, last_trades(market)),
        "kline": partial(candles, klines(market)),
        "depth": partial(book, orderbook(market)),
    }


class BybitRest(RestTables):
    """What is the same for all markets."""

    live = "https://api.bybit.com"
    testnet = "https://api-testnet.bybit.com"
    server_time: ServerTime | None = ServerTime(PATH + "time", "timeNano")
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
    intervals = frozenset(CODES)
    trading = frozenset(("Trading",))


class BybitLinearRest(BybitRest):
    """Contracts in USDT and USDC."""

    repairs = repairs_of(LINEAR) | {"funding_rate": partial(fundings, settled_rates(LINEAR))}
    interest = open_interest(LINEAR)
    listings = (contracts(LINEAR, "baseCoin"),)
    tickers = (tickers(LINEAR),)


class BybitInverseRest(BybitRest):
    """Contracts of one dollar, settled in the base coin."""

    repairs = repairs_of(INVERSE) | {"funding_rate": partial(fundings, settled_rates(INVERSE))}
    interest = open_interest(INVERSE)
    listings = (contracts(INVERSE, "quoteCoin"),)
    tickers = (tickers(INVERSE),)


class BybitSpotRest(BybitRest):
    """Pairs; trades reach back sixty."""

    repairs = repairs_of(SPOT)
    listings = (PAIRS,)
    tickers = (tickers(SPOT),)
