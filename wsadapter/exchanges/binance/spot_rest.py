"""Binance spot over REST: candles, aggregated trades and the present book, times in microseconds.

Holes of raw trades are not filled: aggregated ones tell the same for a sixth of the weight. The book is that of 1000
levels: 5000 would cost 250 of the 6000 that a minute has.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from msgspec import Raw, Struct

from wsadapter.events import Depth, UpdateType
from wsadapter.exchanges.binance import rest_wire as wire
from wsadapter.exchanges.binance.rest import (
    LINEAR,
    RANGE,
    SYMBOL,
    BinanceRest,
    bound,
    candle,
    listing,
    rows_of,
    trade_pages,
    whole,
)
from wsadapter.exchanges.binance.spot import closes
from wsadapter.exchanges.history import book, candles, trades
from wsadapter.exchanges.mapping import Id, TimeOrMicros, constant, ms_or_us, subscribed
from wsadapter.exchanges.mapping import book as columns
from wsadapter.exchanges.pages import Page, row
from wsadapter.exchanges.rest_api import Limit

EXCHANGE: Final = "binance_spot"
US: Final = 1_000


class CandleRow(wire.CandleRow, gc=False):
    """[1791142140000,"85466.00000000","85466.01000000","85462.49000000","85462.50000000","0.81900000",1791142199999,
    "69996.12071080",236,"0.23085000","19729.73114640","0"]"""

    opened: TimeOrMicros
    closes: TimeOrMicros


class TradeRow(wire.TradeRow, gc=False):
    """{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true}"""

    T: TimeOrMicros


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


def book_weight(limit: int) -> int:
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


KLINES: Final = Page(
    EXCHANGE, "/api/v3/klines", SYMBOL | {"interval": "{interval}"} | RANGE, CandleRow,
    candle(ms_or_us, closes("closes")), rows_of, key="open_time_ns", wire_key="opened", unit=US,
    end_key="close_time_ns", most=1000, weight=lambda _: 2,
)  # fmt: skip
TRADES_FROM, TRADES_BETWEEN = trade_pages(EXCHANGE, "/api/v3/aggTrades", 4, ms_or_us, TradeRow)
DEPTH: Final = Page(
    EXCHANGE, "/api/v3/depth", SYMBOL | {"limit": "{limit}"}, BookAnswer, BOOK, whole, key="last_update_id",
    wire_key="lastUpdateId", unit=1, most=1000, weight=book_weight,
)  # fmt: skip
SYMBOLS: Final = listing(
    EXCHANGE, "/api/v3/exchangeInfo", wire.LinearRow, **{**LINEAR, "min_notional": bound("NOTIONAL", "minNotional")}
)


class BinanceSpotRest(BinanceRest):
    """Binance spot."""

    live, testnet = "https://api.binance.com", "https://testnet.binance.vision"
    headers: Mapping[str, str] = {"X-MBX-TIME-UNIT": "MICROSECOND"}
    weights = Limit(6000, 60.0)
    repairs = {
        "trade": partial(trades, TRADES_FROM, TRADES_BETWEEN),
        "kline": partial(candles, KLINES),
        "depth": partial(book, DEPTH),
    }
    listings = (SYMBOLS,)
