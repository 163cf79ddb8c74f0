"""Binance USD-M futures over REST: where it lives, what its pages weigh. Aggregated trades are kept for 48 hours."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from wsadapter.exchanges.binance import rest_wire as wire
from wsadapter.exchanges.binance.rest import (
    LINEAR,
    RANGE,
    SYMBOL,
    BinanceRest,
    book_page,
    candle,
    funding_page,
    interest_page,
    listing,
    rows_of,
    tickers,
    trade_pages,
)
from wsadapter.exchanges.history import book, candles, fundings, trades
from wsadapter.exchanges.mapping import ms
from wsadapter.exchanges.pages import Page
from wsadapter.exchanges.rest_api import Limit, ServerTime
from wsadapter.exchanges.values import DAY_MS

EXCHANGE: Final = "binance"
FUNDING_POOL: Final = "funding"

KLINES: Final = Page(  # 499: most rows for their weight
    EXCHANGE, "/fapi/v1/klines", SYMBOL | {"interval": "{interval}"} | RANGE, wire.CandleRow, candle(ms, ms("closes")),
    rows_of, key="open_time_ns", wire_key="opened", end_key="close_time_ns", most=499,
    weight=lambda limit: 1 + (limit >= 100),
)  # fmt: skip
TRADES_FROM, TRADES_BETWEEN = trade_pages(EXCHANGE, "/fapi/v1/aggTrades", weight=20, kept_ms=2 * DAY_MS)
FUNDINGS: Final = funding_page(EXCHANGE, "/fapi/v1/fundingRate", weight=0, pool=FUNDING_POOL)
DEPTH: Final = book_page(EXCHANGE, "/fapi/v1/depth")
OPEN_INTEREST: Final = interest_page(EXCHANGE, "/fapi/v1/openInterest")
SYMBOLS: Final = listing(EXCHANGE, "/fapi/v1/exchangeInfo", wire.LinearRow, **LINEAR)
TICKERS: Final = tickers("/fapi/v1/ticker/24hr", 40, volume="quoteVolume")


class BinanceFuturesRest(BinanceRest):
    """Binance USD-M futures."""

    live, testnet = "https://fapi.binance.com", "https://demo-fapi.binance.com"
    server_time: ServerTime | None = ServerTime("/fapi/v1/time", "serverTime")
    pools: Mapping[str, Limit] = {FUNDING_POOL: Limit(500, 300.0)}
    repairs = {
        "trade": partial(trades, TRADES_FROM, TRADES_BETWEEN),
        "kline": partial(candles, KLINES),
        "funding_rate": partial(fundings, FUNDINGS),
        "depth": partial(book, DEPTH),
    }
    polled = frozenset(("open_interest",))
    interest = OPEN_INTEREST
    listings = (SYMBOLS,)
    tickers = (TICKERS,)
