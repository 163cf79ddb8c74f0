"""Bybit's public files of derivatives (public.bybit.com/trading): trades, a gzip of one CSV a day.

    BTCUSDT2026-08-22.csv.gz    BTCUSDH242024-03-01.csv.gz    BTC-14MAR252025-03-13.csv.gz

They have a header; newer ones a column RPI at the end. Times are seconds with four decimals; a trade's id is the one
that the stream says. Older files begin with the newest trade. Files of spot number their lines instead of saying the
trades' ids, so that their rows would stand beside those that were recorded live: they are not taken. Not verified: that
the stream's milliseconds are these times cut off, not rounded.
"""

from typing import Final

from wsadapter.exchanges.archives import Archive, ArchiveColumn, ArchiveFormat, Kind

NAMES: Final = r"(?P<symbol>[0-9A-Z-]+?)(?P<word>)(?P<date>\d{4}-\d\d-\d\d)\.csv(?:\.gz)?"
TRADES: Final = ArchiveFormat(
    "", "trade",
    (
        ArchiveColumn(("timestamp",), Kind.SECONDS, ("transaction_time_ns",)),
        ArchiveColumn(("symbol",), Kind.TEXT),
        ArchiveColumn(("side",), Kind.SIDE, ("buyer_is_maker",)),
        ArchiveColumn(("size",), Kind.DECIMAL, ("quantity",)),
        ArchiveColumn(("price",), Kind.DECIMAL, ("price",)),
        ArchiveColumn(("tickdirection",), Kind.IGNORED),
        ArchiveColumn(("trdmatchid",), Kind.TEXT, ("trade_id",)),
        ArchiveColumn(("grossvalue",), Kind.IGNORED),
        ArchiveColumn(("homenotional",), Kind.IGNORED),
        ArchiveColumn(("foreignnotional", "foreignnotional,rpi"), Kind.REST),
    ),
    {"aggregated": False}, time=0, symbol=1,
)  # fmt: skip
DERIVATIVES: Final = Archive((TRADES,), NAMES, {})
