"""What each field means, in a line: the comments of tables and columns say it. The one source of these texts.

A field is called by its name in the tables (times without ``_ns``); one that means something else in one stream has a
text of its own there.
"""

from collections.abc import Mapping
from typing import Final

from wsadapter.events.streams import StreamSpec

FIELDS: Final[Mapping[str, str]] = {
    "epoch": "ring of the record that this was; with position its identity",
    "position": "place of that record in its ring",
    "exchange": "the venue",
    "symbol": "in the venue's own text",
    "event_time": "when the venue sent it, by the venue's clock",
    "transaction_time": "when it happened, by the venue's clock",
    "receive_time": "when it was read from the socket, by our clock",
    "source": "WEBSOCKET, REST (fetched or polled) or ARCHIVE",
    "connection": "which of our connections received it",
    "last_gap": "receive time of the last gap of this stream and symbol: a change says that one lies before",
    "time": "the best known: transaction, else event, else receive time",
    "version": "of rows with one key the highest wins (FINAL)",
    "interval": "of the candle: 1m, 1h, 1d ...",
    "open_time": "first moment",
    "close_time": "last moment",
    "open": "first price",
    "high": "highest price",
    "low": "lowest price",
    "close": "last price",
    "volume": "in what the venue counts in, see table instrument",
    "quote_volume": "in the quote asset",
    "trade_count": "single trades, as the venue counts them",
    "taker_buy_volume": "of the volume what takers bought",
    "taker_buy_quote_volume": "of the quote volume what takers bought",
    "closed": "false: the candle may still change",
    "first_trade_id": "first single trade in it",
    "last_trade_id": "last single trade in it",
    "price_change": "since 24 hours before",
    "price_change_percent": "since 24 hours before",
    "weighted_average_price": "by volume",
    "last_price": "of the last trade",
    "last_quantity": "of the last trade",
    "ordinal": "index among events of the same stream, symbol and time, where the venue gives no id",
    "update_type": "SNAPSHOT replaces a book, DELTA changes the levels that it names",
    "level_limit": "levels of a snapshot, 0 = a diff",
    "first_update_id": "first update in it",
    "last_update_id": "last update in it",
    "previous_update_id": "last update of the message before",
    "bid_price": "best first",
    "bid_quantity": "0 in a DELTA: the level is gone",
    "ask_price": "best first",
    "ask_quantity": "0 in a DELTA: the level is gone",
    "trade_id": "the venue's id",
    "trade_number": "the same where it is a number; without a break where nothing is missing",
    "price": "as the venue wrote it, exact",
    "quantity": "in what the venue counts in, see table instrument",
    "buyer_is_maker": "true: a seller took",
    "aggregated": "the single trades of one order at one price; false: a single trade",
    "funding_rate": "for one funding interval",
    "next_funding_time": "when it is paid",
    "mark_price": "what positions are valued at",
    "settled": "true: it was paid at its time; false: what the venue expects for the next one",
    "index_price": "of the underlying",
    "estimated_settle_price": "what a delivery would settle at",
    "side": "of the liquidation order: SELL = a long was closed",
    "order_type": "of the liquidation order",
    "average_price": "at which it was filled",
    "filled_quantity": "of it so far",
    "status": "of the order",
    "update_id": "of the book",
    "open_interest": "open contracts, as the venue counts them",
    "open_interest_value": "the same in the quote asset",
    "gap_id": "epoch:position of its first record; rows of one gap_id are one hole",
    "stream": "stream word; empty: all of the connection",
    "cause": "connect disconnect sequence ring_full decode stale restart kafka_retention filler checksum ...",
    "started": "nothing since then, by our clock",
    "ended": "until then; NULL: it lasts",
    "first_missing": "first missing number",
    "last_missing": "last missing number",
    "missing_count": "how many are missing",
    "repair_state": "open repaired partial unrepairable",
    "from": "recorded from then on, by our clock",
    "to": "until then at least; grows while it lives",
}
STREAMS: Final[Mapping[str, str]] = {
    "kline": "candles; closed ones only unless clickhouse.open_candles",
    "ticker": "rolling statistics of 24 hours",
    "depth": "order books: snapshots of the top levels, or diffs",
    "trade": "trades, aggregated ones and, where configured, single ones",
    "funding_rate": "funding rates, expected and settled ones",
    "mark_price": "mark and index prices",
    "liquidation": "liquidation orders",
    "book_ticker": "best bid and ask",
    "open_interest": "open interest of a symbol",
    "gap": "holes in the recording, with what became of them",
    "coverage": "which connection recorded which series from when to when; newest row with FINAL",
}
OTHERWISE: Final[Mapping[tuple[str, str], str]] = {
    ("ticker", "open"): "price 24 hours before",
    ("gap", "interval"): "of candles; empty: all",
    ("gap", "symbol"): "in the venue's own text; empty: every symbol of the connection",
    ("gap", "version"): "of rows with one key the highest wins (FINAL): the newest state",
    ("coverage", "stream"): "stream word",
    ("coverage", "interval"): "of candles",
    ("funding_rate", "ordinal"): "of a settled one: 0 the interval's rate, 1 paid beside it (dividends); else an index",
    ("book_ticker", "bid_quantity"): "of the best bid",
    ("book_ticker", "ask_quantity"): "of the best ask",
    ("book_ticker", "bid_price"): "NULL: nobody bids",
    ("book_ticker", "ask_price"): "NULL: nobody asks",
}


def of_field(stream: str, name: str) -> str:
    return OTHERWISE.get((stream, name)) or FIELDS[name]


def of_stream(spec: StreamSpec) -> str:
    return STREAMS[spec.name]
