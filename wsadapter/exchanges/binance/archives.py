"""Binance's public files (data.binance.vision): candles, aggregated and raw trades, best prices of futures.

    BTCUSDT-1m-2026-10.zip  BTCUSDT-aggTrades-2026-11-26.zip  BTCUSD_PERP-bookTicker-2026-11-26.zip

A file of a day or of a month is a zip of one CSV, with a ``.CHECKSUM`` (SHA-256) beside it. Those of futures begin with
a header, those of spot do not; older ones of futures have none either. Times are milliseconds, those of spot from 2025
on microseconds: a file of futures is not taken for one of spot, but for one without a header of before 2025. Spot
writes True, futures true. A candle of a month is ``1mo``. Of best prices there are files of futures only. Aggregated
trades that the venue has annulled (spot, 2017) have price and quantity 0, and no single trades: -1. Not verified: that
the header of COIN-M candles has the names of USD-M's.
"""

from typing import Final

from wsadapter.exchanges.archives import Archive, ArchiveColumn, ArchiveFormat, Kind
from wsadapter.exchanges.binance.tables import CODES

NAMES: Final = r"(?P<symbol>[^-/]+)-(?P<word>[A-Za-z0-9]+)-(?P<date>\d{4}-\d\d(?:-\d\d)?)\.(?:zip|csv|csv\.gz)"
INTERVALS: Final = {**CODES, "1mo": "1M", "1s": "1s"}
MICRO_FROM_NS: Final = 1_735_689_600 * 10**9
"""2025-01-01, of spot."""
AGGREGATED: Final = {"aggregated": True}
RAW: Final = {"aggregated": False}


def _c(names: str, kind: Kind, *fields: str) -> ArchiveColumn:
    return ArchiveColumn(tuple(names.split()), kind, fields)


def klines(quoted: bool = True, spot: bool = False) -> ArchiveFormat:
    """``quoted``: turnovers are of the quote asset."""
    quote = ("quote_volume", "taker_buy_quote_volume") if quoted else ()
    return ArchiveFormat(
        "", "kline",
        (
            _c("open_time", Kind.TIME, "open_time_ns"),
            *(_c(name, Kind.DECIMAL, name) for name in ("open", "high", "low", "close", "volume")),
            _c("close_time", Kind.CLOSE, "close_time_ns"),
            _c("quote_volume base_volume", Kind.DECIMAL, *quote[:1]),
            _c("count", Kind.ID, "trade_count"),
            _c("taker_buy_volume", Kind.DECIMAL, "taker_buy_volume"),
            _c("taker_buy_quote_volume taker_buy_base_volume", Kind.DECIMAL, *quote[1:]),
            _c("ignore", Kind.IGNORED),
        ),
        {"closed": True}, number=0, headed=not spot, micro_from_ns=MICRO_FROM_NS if spot else None,
    )  # fmt: skip


def agg_trades(spot: bool = False) -> ArchiveFormat:
    match = (_c("is_best_match", Kind.FLAG),) if spot else ()
    return ArchiveFormat(
        "aggTrades", "trade",
        (
            _c("agg_trade_id", Kind.ID, "trade_id", "trade_number"),
            _c("price", Kind.DECIMAL, "price"),
            _c("quantity", Kind.DECIMAL, "quantity"),
            _c("first_trade_id", Kind.ID_OR_NONE, "first_trade_id"),
            _c("last_trade_id", Kind.ID_OR_NONE, "last_trade_id"),
            _c("transact_time", Kind.TIME, "transaction_time_ns"),
            _c("is_buyer_maker", Kind.FLAG, "buyer_is_maker"),
            *match,
        ),
        AGGREGATED, number=0, time=5, headed=not spot, micro_from_ns=MICRO_FROM_NS if spot else None, annulled=(3, 4),
    )  # fmt: skip


def raw_trades(spot: bool = False) -> ArchiveFormat:
    """What a feed records as ``trade`` are the aggregated ones, so these do not make a day of it complete. Futures
    give numbers to no trade, some 20,000 of a day of BTCUSDT (self-trade prevention): those that a file skips are no
    holes."""
    match = (_c("is_best_match", Kind.FLAG),) if spot else ()
    return ArchiveFormat(
        "trades", "raw_trade",
        (
            _c("id", Kind.ID, "trade_id", "trade_number"),
            _c("price", Kind.DECIMAL, "price"),
            _c("qty", Kind.DECIMAL, "quantity"),
            _c("quote_qty base_qty", Kind.IGNORED),
            _c("time", Kind.TIME, "transaction_time_ns"),
            _c("is_buyer_maker", Kind.FLAG, "buyer_is_maker"),
            *match,
        ),
        RAW, number=0 if spot else None, time=4, covers=False, headed=not spot,
        micro_from_ns=MICRO_FROM_NS if spot else None,
    )  # fmt: skip


BOOK_TICKER: Final = ArchiveFormat(
    "bookTicker", "book_ticker",
    (
        _c("update_id", Kind.ID, "update_id"),
        _c("best_bid_price", Kind.DECIMAL, "bid_price"),
        _c("best_bid_qty", Kind.DECIMAL, "bid_quantity"),
        _c("best_ask_price", Kind.DECIMAL, "ask_price"),
        _c("best_ask_qty", Kind.DECIMAL, "ask_quantity"),
        _c("transaction_time", Kind.TIME, "transaction_time_ns"),
        _c("event_time", Kind.TIME, "event_time_ns"),
    ),
    time=5,
)  # fmt: skip

SPOT: Final = Archive((klines(spot=True), agg_trades(spot=True), raw_trades(spot=True)), NAMES, INTERVALS)
USD_M: Final = Archive((klines(), agg_trades(), raw_trades(), BOOK_TICKER), NAMES, INTERVALS)
COIN_M: Final = Archive((klines(quoted=False), agg_trades(), raw_trades(), BOOK_TICKER), NAMES, INTERVALS)
