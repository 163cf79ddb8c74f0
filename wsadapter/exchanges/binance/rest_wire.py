"""Binance over REST: one Struct per kind of row, its docstring the answer that it was written from.

msgspec checks types, ranges and counts; `wsadapter.exchanges.binance.rest` checks decimals, symbols and order.
"""

from typing import Annotated, Final

from msgspec import Meta, Raw, Struct

from wsadapter.exchanges.binance.wire import Optional
from wsadapter.exchanges.values import Id, IdOrNone, Text, Time

MOST_INSTRUMENTS: Final = 20_000
MOST_WEIGHT: Final = 1_000_000
"""Of a minute; more is no limit that anybody means."""


class CandleRow(Struct, array_like=True, gc=False):
    """[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499644799999,
    "2434.19055334",308,"1756.87402397","28.46694368","17928899.62484339"]"""

    opened: Time
    open: Text
    high: Text
    low: Text
    close: Text
    volume: Text
    closes: Time
    quote_volume: Text
    trades: Id
    taker_volume: Text
    taker_quote_volume: Text


class TradeRow(Struct, gc=False):
    """{"a":26129,"p":"0.01633102","q":"4.70443515","nq":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true}"""

    a: Id
    p: Text
    q: Text
    f: IdOrNone
    l: IdOrNone  # noqa: E741
    T: Time
    m: bool


class FundingRow(Struct, gc=False):
    """{"symbol":"BTCUSDT","fundingRate":"-0.03750000","fundingTime":1570608000000,"markPrice":"34287.54619963",
    "rateType":"Regular"}; old rows have an empty mark price. "Special" is what an equity perpetual pays beside it, for
    a dividend, some milliseconds later."""

    symbol: Text
    fundingRate: Text
    fundingTime: Time
    markPrice: Optional = None
    rateType: Optional = None


class BookAnswer(Struct, gc=False):
    """{"lastUpdateId":1027024,"E":1589436922972,"T":1589436922959,"bids":[["4.00000000","431.00000000"]],
    "asks":[["4.00000200","12.00000000"]]}"""

    lastUpdateId: Id
    E: Time
    T: Time
    bids: Raw
    asks: Raw


class OpenInterestAnswer(Struct, gc=False):
    """{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}"""

    symbol: Text
    openInterest: Text
    time: Time


class FilterRow(Struct, gc=False):
    """{"filterType":"PRICE_FILTER","maxPrice":"300","minPrice":"0.0001","tickSize":"0.0001"}, {"filterType":"LOT_SIZE",
    "maxQty":"10000000","minQty":"1","stepSize":"1"}, {"filterType":"MIN_NOTIONAL","notional":"5.0"}"""

    filterType: Text
    tickSize: Optional = None
    stepSize: Optional = None
    minQty: Optional = None
    maxQty: Optional = None
    notional: Optional = None
    minNotional: Optional = None


class SymbolRow(Struct, gc=False):
    """What all markets say: {"symbol":"BLZUSDT","baseAsset":"BLZ","quoteAsset":"USDT",...,"filters":[...]}; precisions
    say nothing about ticks and are not looked at."""

    symbol: Text
    baseAsset: Text
    quoteAsset: Text
    filters: Annotated[list[FilterRow], Meta(max_length=64)] = []
    contractType: Optional = None
    marginAsset: Optional = None
    onboardDate: Time | None = None
    deliveryDate: Time | None = None


class LinearRow(SymbolRow, kw_only=True, gc=False):
    """{"symbol":"BLZUSDT","pair":"BLZUSDT","contractType":"PERPETUAL","deliveryDate":4133404800000,
    "onboardDate":1598252400000,"status":"TRADING","baseAsset":"BLZ","quoteAsset":"USDT","marginAsset":"USDT",
    "pricePrecision":5,...,"filters":[...]}; also of spot, without what is of contracts."""

    status: Text


class InverseRow(SymbolRow, kw_only=True, gc=False):
    """{"symbol":"BTCUSD_PERP","pair":"BTCUSD","contractType":"PERPETUAL","contractStatus":"TRADING","contractSize":100,
    ...}"""

    contractStatus: Text
    contractSize: Raw


class RateLimitRow(Struct, gc=False):
    """{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":2400}"""

    rateLimitType: Text
    interval: Text
    intervalNum: Id
    limit: Annotated[int, Meta(ge=1, le=MOST_WEIGHT)]


class RateLimits(Struct, gc=False):
    """Of the same answer as `ExchangeInfo`."""

    rateLimits: Annotated[list[Raw], Meta(max_length=64)] = []


class ExchangeInfo(Struct, gc=False):
    """{"serverTime":1565613908500,"rateLimits":[...],"symbols":[...]}"""

    symbols: Annotated[list[Raw], Meta(max_length=MOST_INSTRUMENTS)]


class ErrorAnswer(Struct, gc=False):
    """{"code":-1121,"msg":"Invalid symbol."}"""

    code: Annotated[int, Meta(le=-1)]
    msg: str
