"""Binance COIN-M futures over REST. Aggregated trades are kept for 24 hours, open interest is polled, in contracts.

Of a range with more candles than a page holds the newest come, and no range is longer than 200 days. The weights are of
one pool with USD-M, 2400 a minute in all for an address; the header counts what both have used. Dated contracts have an
empty list of funding rates.
"""

from functools import partial
from typing import Final

from wsadapter.exchanges.binance import rest_wire as wire
from wsadapter.exchanges.binance.rest import (
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
from wsadapter.exchanges.mapping import constant, ms, number
from wsadapter.exchanges.pages import Page
from wsadapter.exchanges.rest_api import ServerTime
from wsadapter.exchanges.values import DAY_MS

EXCHANGE: Final = "binance_coinm"

KLINES: Final = Page(
    EXCHANGE, "/dapi/v1/klines", SYMBOL | {"interval": "{interval}"} | RANGE, wire.CandleRow,
    candle(ms, ms("closes"), quoted=False), rows_of, key="open_time_ns", wire_key="opened", end_key="close_time_ns",
    most=499, window_ms=200 * DAY_MS, keeps_newest=True, weight=lambda limit: 1 + (limit >= 100),
)  # fmt: skip
TRADES_FROM, TRADES_BETWEEN = trade_pages(EXCHANGE, "/dapi/v1/aggTrades", weight=20, kept_ms=DAY_MS)
FUNDINGS: Final = funding_page(EXCHANGE, "/dapi/v1/fundingRate", weight=1)
DEPTH: Final = book_page(EXCHANGE, "/dapi/v1/depth")
OPEN_INTEREST: Final = interest_page(EXCHANGE, "/dapi/v1/openInterest")
SYMBOLS: Final = listing(
    EXCHANGE, "/dapi/v1/exchangeInfo", wire.InverseRow, status="contractStatus", contract_size=number("contractSize"),
    contract_currency="quoteAsset", min_notional=constant(None),
)  # fmt: skip
TICKERS: Final = tickers("/dapi/v1/ticker/24hr", 40, volume="baseVolume", in_base=True)


class BinanceCoinMRest(BinanceRest):
    """Binance COIN-M futures."""

    live, testnet = "https://dapi.binance.com", "https://testnet.binancefuture.com"
    server_time: ServerTime | None = ServerTime("/dapi/v1/time", "serverTime")
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
