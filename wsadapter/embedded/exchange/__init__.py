"""The loopback venue: which venues it stands in for, and what a demo records of it where no feed is configured."""

from typing import Final

from wsadapter.config.load import Feed

STANDS_IN_FOR: Final = frozenset({"binance"})
DEMO_FEED: Final = Feed(
    name="binance",
    exchange="binance",
    symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"),
    streams=(
        "kline", "ticker", "depth", "trade", "mark_price", "funding_rate", "liquidation", "book_ticker",
        "open_interest",
    ),
)  # fmt: skip
