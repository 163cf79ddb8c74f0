"""Market events out of Kafka for strategies: typed, each once, in order, with every gap in its place.

    from wsadapter.reader import Gap, Reader

    for event in Reader("127.0.0.1:9092", exchange="binance", symbols=["BTCUSDT"], streams=["trade", "book_ticker"]):
        if isinstance(event, Gap):
            ...

`wsadapter.reader.reader` says what is guaranteed, docs/reading-kafka.md how it is used. Public: the names here.
"""

from wsadapter.errors import ConfigError, ServiceUnavailable
from wsadapter.events import Event, Side, Source, UpdateType
from wsadapter.reader.events import (
    BookTicker,
    Coverage,
    Depth,
    FundingRate,
    Gap,
    Kline,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Ticker,
    Trade,
)
from wsadapter.reader.position import Position
from wsadapter.reader.reader import Batch, Reader

__all__ = [
    "Batch",
    "BookTicker",
    "ConfigError",
    "Coverage",
    "Depth",
    "Event",
    "FundingRate",
    "Gap",
    "Kline",
    "Liquidation",
    "MarkPrice",
    "OpenInterest",
    "Position",
    "Reader",
    "ServiceUnavailable",
    "Side",
    "Source",
    "Ticker",
    "Trade",
    "UpdateType",
]
