"""The view ``ohlcv(exchange, symbol, interval_seconds, from, to)``: bars of any length from table ``trade``.

Trades are in the order of (time, number): of several trades within one millisecond the venue's number says which came
first, and where it gives none, the order in which they were received. Sums are exact and as wide as they can get. A bar
counts aggregated trades, or single ones where it has no aggregated: never both. Bars begin at multiples of their length
since 1970 and are those whose trades lie in [from, to); a bar without trades is none. Each trade counts once (FINAL).

``notional`` is what was paid in the quote currency, by table ``instrument``: of linear and of inverse contracts, and
NULL where the table does not say what a quantity counts. Text only.
"""

from typing import Final

from wsadapter.clickhouse.conversion import quoted
from wsadapter.clickhouse.query_view import QueryView, ViewColumn, selected
from wsadapter.clickhouse.units import TIME, instruments, notional

OHLCV: Final = "ohlcv"
PARAMETERS: Final = (
    "exchange='binance', symbol='BTCUSDT', interval_seconds=60, from='2026-01-01 00:00:00', to='2026-01-02 00:00:00'"
)
_NAME: Final = "LowCardinality(String)"
_PRICE: Final = "Decimal(38, 12)"
_VOLUME: Final = "Decimal(76, 12)"
_NOTIONAL: Final = "Nullable(Decimal(76, 48))"
_ORDER: Final = "(t.time, coalesce(t.trade_number, t.last_trade_id, 0), ifNull(t.epoch, 0), ifNull(t.position, 0))"
_QUANTITY: Final = "toDecimal256(t.quantity, 12)"
_PAID: Final = f"toDecimal256(t.price, 12) * {_QUANTITY}"
_BOUGHT: Final = "NOT t.buyer_is_maker"
_BEGIN: Final = "toStartOfInterval(t.time, toIntervalSecond({interval_seconds:UInt32}), 'UTC')"
_SUMS: Final = {
    "exchange": "t.exchange",
    "symbol": "t.symbol",
    "open_time": f"toDateTime64({_BEGIN}, 9, 'UTC')",
    "open": f"argMin(t.price, {_ORDER})",
    "high": "max(t.price)",
    "low": "min(t.price)",
    "close": f"argMax(t.price, {_ORDER})",
    "volume": f"sum({_QUANTITY})",
    "paid": f"sum({_PAID})",
    "taker_buy_volume": f"sumIf({_QUANTITY}, {_BOUGHT})",
    "taker_buy_paid": f"sumIf({_PAID}, {_BOUGHT})",
    "trade_count": "sum(toInt64(ifNull(t.last_trade_id - t.first_trade_id + 1, 1)))",
    "row_count": "count()",
    "aggregated": "t.aggregated",
}
"""Of one bar, in what the venue counts in."""


def _column(name: str, kind: str, about: str, value: str = "") -> ViewColumn:
    return ViewColumn(name, value or f"b.{name}", kind, about)


COLUMNS: Final = (
    _column("exchange", _NAME, "the venue"),
    _column("symbol", _NAME, "in the venue's own text"),
    _column("open_time", TIME, "first moment of the bar"),
    _column("open", _PRICE, "price of the first trade"),
    _column("high", _PRICE, "highest price"),
    _column("low", _PRICE, "lowest price"),
    _column("close", _PRICE, "price of the last trade"),
    _column("volume", _VOLUME, "in what the venue counts in"),
    _column(
        "notional", _NOTIONAL, "what was paid, in the quote currency; NULL: not known", notional("b.paid", "b.volume")
    ),
    _column("taker_buy_volume", _VOLUME, "of the volume what takers bought"),
    _column(
        "taker_buy_notional", _NOTIONAL, "of the notional what takers bought",
        notional("b.taker_buy_paid", "b.taker_buy_volume"),
    ),
    _column("trade_count", "Int64", "single trades, by the ids of aggregated ones"),
    _column("row_count", "UInt64", "rows of table trade"),
    _column("aggregated", "Bool", "true: of aggregated trades"),
)  # fmt: skip


def ohlcv_view(database: str) -> QueryView:
    sums = ", ".join(f"{value} AS {quoted(name)}" for name, value in _SUMS.items())
    select = (
        f"{selected(COLUMNS)}\nFROM (\n    SELECT {sums}\n    FROM {quoted(database)}.`trade` AS t FINAL\n"
        "    WHERE t.exchange = {exchange:String} AND t.symbol = {symbol:String}\n"
        "        AND t.time >= {from:DateTime64(9, 'UTC')} AND t.time < {to:DateTime64(9, 'UTC')}\n"
        "    GROUP BY exchange, symbol, open_time, aggregated\n"
        # of one bar the aggregated trades, where it has them
        "    ORDER BY open_time, aggregated DESC\n    LIMIT 1 BY open_time\n) AS b\n"
        f"LEFT JOIN ({instruments(database)}) AS i ON b.exchange = i.exchange AND b.symbol = i.symbol\n"
        "ORDER BY open_time"
    )
    about = "bars of any length from table trade, exact; trades in the order of (time, number)"
    return QueryView(OHLCV, select, about, COLUMNS, PARAMETERS)
