"""Bitget, version 2 of its API: the long candles, which open at midnight of UTC only there, and what recordings hold.

    {"action":"update","arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"},"data":[{...}],"ts":1790358780904}

Rows are those of version 3 under other names. Books have had no numbers before 2026: those are not checked. Only the
long candles are asked for; the other streams are read where they come.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct

from wsadapter.exchanges.bitget_wire import (
    changes,
    kline,
    states,
    ticker,
    touch,
    trade,
    whole,
)
from wsadapter.exchanges.mapping import computed
from wsadapter.exchanges.values import Id, Text, Time
from wsadapter.exchanges.venue import Candles, Channel, FeedSettings, Follows, Repeats, Rises

UTC_CODES: Final[Mapping[str, str]] = {
    "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc", "3d": "3Dutc", "1w": "1Wutc", "1M": "1Mutc",
}  # fmt: skip
MOST_LEVELS: Final = 500
SIDES: Final = {"a": "asks", "b": "bids"}


class TradeRow(Struct, rename={"i": "tradeId", "p": "price", "v": "size", "S": "side", "T": "ts"}, gc=False):
    """trade: {"ts":"1790358780904","price":"83715.7","size":"0.000012","side":"buy","tradeId":"1487438024184414208"}"""

    i: Annotated[str, Meta(min_length=1, max_length=64)]
    p: Text
    v: Text
    S: Text
    T: Time


class BookRow(Struct, rename=SIDES, gc=False):
    """books, books5, books15: {"asks":[["83744.78","0"]],"bids":[],"ts":"1790358811400","seq":850169288983,
    "pseq":850169286126}"""

    a: Raw
    b: Raw
    ts: Time
    seq: Id | None = None
    pseq: Id | None = None


class TouchRow(Struct, rename=SIDES):
    """books1: the same of one level at most on either side."""

    a: list[list[Raw]]
    b: list[list[Raw]]
    ts: Time
    seq: Id | None = None


class TickerRow(
    Struct,
    rename={
        "lastPrice": "lastPr", "openPrice24h": "open24h", "highPrice24h": "high24h", "lowPrice24h": "low24h",
        "volume24h": "baseVolume", "turnover24h": "quoteVolume", "openInterest": "holdingAmount",
    },
    gc=False,
):  # fmt: skip
    """ticker: {"lastPr":"83692.3","open24h":"84052.9","high24h":"85220","low24h":"83121.1","change24h":"-0.00429",
    "fundingRate":"0.0001","nextFundingTime":"1790380800000","markPrice":"83692.3","indexPrice":"83720.9225",
    "holdingAmount":"31911.3455999999605","baseVolume":"30736.4509","quoteVolume":"2588367727.81816",...}"""

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


class CandleRow(Struct, array_like=True, gc=False):
    """candle1Dutc: ["1790358660000","83765.17","83765.17","83738.85","83738.85","0.701343","58742.42150798",
    "58742.42150798"]"""

    start: Time
    open: Text
    high: Text
    low: Text
    close: Text
    volume: Text
    turnover: Text


def never(feed: FeedSettings) -> bool:
    """Version 3 has the same."""
    return False


def previous_update(d: BookRow, e: Any) -> int | None:
    return d.pseq


def channels(market: str, codes: Mapping[str, str], is_spot: bool) -> tuple[Channel, ...]:
    """``codes``: of the candles that version 3 has, too."""
    words = ("ticker",) if is_spot else ("ticker", "mark_price", "funding_rate", "open_interest")
    candles = f"{market}:candle{{interval}}::{{symbol}}"
    return (
        Channel(("kline",), candles, CandleRow, (kline(),), Candles(by_successor=True), "utc", many=True, lax=True,
                intervals=UTC_CODES),
        Channel(("kline",), candles, CandleRow, (kline(),), Candles(by_successor=True), "utc", many=True, lax=True,
                intervals=codes, wanted=never),
        Channel(("trade",), f"{market}:trade::{{symbol}}", TradeRow, (trade(),), Repeats("i"), "utc", many=True,
                lax=True, newest_first=True, wanted=never),
        Channel(("depth",), f"{market}:books::{{symbol}}", BookRow,
                (changes(MOST_LEVELS, computed(previous_update)),),
                Follows("seq", "pseq", resubscribe=True, unnamed=0, overlaps=True), "utc", many=True, lax=True,
                wanted=never),
        *(Channel(("depth",), f"{market}:books{levels}::{{symbol}}", BookRow, (whole(levels),), root="utc",
                  many=True, lax=True, wanted=never) for levels in (5, 15)),
        Channel(("book_ticker",), f"{market}:books1::{{symbol}}", TouchRow, (touch(),), Rises("seq"), "utc", many=True,
                lax=True, wanted=never),
        Channel(words, f"{market}:ticker::{{symbol}}", TickerRow, (ticker(),) if is_spot else states(), root="utc",
                many=True, wanted=never),
    )  # fmt: skip
