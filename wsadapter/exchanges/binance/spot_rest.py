"""Binance spot over REST: candles, trades of both kinds and the present book, times in microseconds.

Raw trades can be asked for by number only: where a hole of theirs begins tell the aggregated ones of its time, and time
bounds it, by our clock. They cost six times as much. The book is that of 1000 levels: 5000 would cost 250 of the 6000
that a minute has.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from msgspec import Raw, Struct, structs

from wsadapter.events import Depth, Trade, UpdateType
from wsadapter.exchanges.binance import rest_wire as wire
from wsadapter.exchanges.binance.rest import (
    LINEAR,
    RANGE,
    SYMBOL,
    BinanceRest,
    annulled,
    bound,
    candle,
    listing,
    rows_of,
    tickers,
    trade_pages,
    whole,
)
from wsadapter.exchanges.binance.spot import closes
from wsadapter.exchanges.history import book, candles, trades
from wsadapter.exchanges.mapping import as_text, constant, decimal, ms_or_us, subscribed
from wsadapter.exchanges.pages import Page, row
from wsadapter.exchanges.rest_api import Filling, Hole, Limit, ServerTime
from wsadapter.exchanges.sides import book as columns
from wsadapter.exchanges.values import Id, Text, TimeOrMicros

EXCHANGE: Final = "binance_spot"
US: Final = 1_000
ALWAYS_MS: Final = 1 << 62
"""All trades are there."""
SKEW_NS: Final = 1_000_000_000
"""By so much our clock may differ from the venue's."""


class CandleRow(wire.CandleRow, gc=False):
    """[1791142140000,"85466.00000000","85466.01000000","85462.49000000","85462.50000000","0.81900000",1791142199999,
    "69996.12071080",236,"0.23085000","19729.73114640","0"]"""

    opened: TimeOrMicros
    closes: TimeOrMicros


class TradeRow(wire.TradeRow, gc=False):
    """{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true}"""

    T: TimeOrMicros


class RawTradeRow(Struct, gc=False):
    """{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,
    "isBuyerMaker":true,"isBestMatch":true}"""

    id: Id
    price: Text
    qty: Text
    time: TimeOrMicros
    isBuyerMaker: bool


class BookAnswer(Struct, gc=False):
    """{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[["4.00000200","12.00000000"]]}; no time"""

    lastUpdateId: Id
    bids: Raw
    asks: Raw


BOOK: Final = row(
    Depth, update_type=constant(UpdateType.SNAPSHOT), level_limit=subscribed("limit"), last_update_id="lastUpdateId",
    columns=columns("bids", "asks"),
    absent=("event_time_ns", "transaction_time_ns", "first_update_id", "previous_update_id"),
)  # fmt: skip
RAW_TRADE: Final = row(
    Trade, transaction_time_ns=ms_or_us("time"), trade_id=as_text("id"), trade_number="id", price=decimal("price"),
    quantity=decimal("qty"), buyer_is_maker="isBuyerMaker", aggregated=constant(False),
    absent=("event_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip
FIRST_RAW_TRADE: Final = row(
    Trade, transaction_time_ns=ms_or_us("T"), trade_id=as_text("f"), trade_number="f", price=decimal("p"),
    quantity=decimal("q"), buyer_is_maker="m", aggregated=constant(False), refuse=annulled,
    absent=("event_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip


def raw_trades(hole: Hole) -> Filling:
    """What was received in the hole was traded before."""
    return trades(RAW_FROM, RAW_FIND, structs.replace(hole, started_ns=max(0, hole.started_ns - SKEW_NS)))


def book_weight(limit: int) -> int:
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


KLINES: Final = Page(
    EXCHANGE, "/api/v3/klines", SYMBOL | {"interval": "{interval}"} | RANGE, CandleRow,
    candle(ms_or_us, closes("closes")), rows_of, key="open_time_ns", wire_key="opened", unit=US,
    end_key="close_time_ns", most=1000, weight=lambda _: 2,
)  # fmt: skip
TRADES_FROM, TRADES_BETWEEN = trade_pages(EXCHANGE, "/api/v3/aggTrades", 4, ms_or_us, TradeRow, kept_ms=ALWAYS_MS)
RAW_FROM: Final = Page(
    EXCHANGE, "/api/v3/historicalTrades", SYMBOL | {"fromId": "{first}", "limit": "{limit}"}, RawTradeRow, RAW_TRADE,
    rows_of, key="trade_number", wire_key="id", unit=1, most=1000, weight=lambda _: 25,
)  # fmt: skip
RAW_FIND: Final = Page(
    EXCHANGE, "/api/v3/aggTrades", SYMBOL | RANGE, TradeRow, FIRST_RAW_TRADE, rows_of, key="trade_number",
    wire_key="f", unit=1, most=1000, weight=lambda _: 4, finds=True, kept_ms=ALWAYS_MS,
)  # fmt: skip
DEPTH: Final = Page(
    EXCHANGE, "/api/v3/depth", SYMBOL | {"limit": "{limit}"}, BookAnswer, BOOK, whole, key="last_update_id",
    wire_key="lastUpdateId", unit=1, most=1000, weight=book_weight,
)  # fmt: skip
SYMBOLS: Final = listing(
    EXCHANGE,
    "/api/v3/exchangeInfo",
    wire.LinearRow,
    weight=20,
    **{**LINEAR, "min_notional": bound("NOTIONAL", "minNotional")},
)
TICKERS: Final = tickers("/api/v3/ticker/24hr", 80, volume="quoteVolume")


class BinanceSpotRest(BinanceRest):
    """Binance spot."""

    live, testnet = "https://api.binance.com", "https://testnet.binance.vision"
    headers: Mapping[str, str] = {"X-MBX-TIME-UNIT": "MICROSECOND"}
    server_time: ServerTime | None = ServerTime("/api/v3/time", "serverTime")
    weights = Limit(6000, 60.0)
    intervals = frozenset(("1s", *BinanceRest.intervals))
    repairs = {
        "trade": partial(trades, TRADES_FROM, TRADES_BETWEEN),
        "raw_trade": raw_trades,
        "kline": partial(candles, KLINES),
        "depth": partial(book, DEPTH),
    }
    listings = (SYMBOLS,)
    tickers = (TICKERS,)
