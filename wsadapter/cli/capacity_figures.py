"""What the capacity model rests on: measured costs and measured or published rates, each with its source and date.

docs/capacity.md explains them. No code: to use figures of your own machine (`python -m bench`), change them here.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class Sizes(Struct, frozen=True):
    """Bytes of one event: the venue's ``frame``; the ``record`` of ring, spool and Kafka; in Kafka under lz4 ``alone``
    in its batch and ``packed`` among many; a ``row`` in ClickHouse."""

    frame: int
    record: int
    alone: int
    packed: int
    row: int


SIZES: Final[Mapping[str, Sizes]] = {
    "trade": Sizes(161, 118, 131, 21, 18),
    "book_ticker": Sizes(179, 125, 134, 22, 18),
    "depth": Sizes(1431, 1249, 748, 513, 135),
    "kline": Sizes(350, 197, 200, 60, 60),
    "ticker": Sizes(400, 255, 255, 80, 30),
    "mark_price": Sizes(200, 172, 175, 50, 27),
    "funding_rate": Sizes(0, 146, 150, 45, 28),
    "liquidation": Sizes(250, 156, 160, 60, 35),
    "open_interest": Sizes(0, 141, 145, 45, 30),
}
"""trade, book_ticker and depth: frame, record and lz4 are of 20,000 recorded frames of BTCUSDT (USD-M, 2024-08-08,
books of 68 levels), as the decoder and the lz4 package make them, 2026-11-27. Others: one event with every field. Rows:
"On disk" of docs/performance.md (2026-11-24), depth of whole books from a soak (2026-11-27)."""

KAFKA_BATCH: Final = 80
"""Bytes of a batch beside its records: 61 of its header, the rest of the first record's own."""
KAFKA_RECORD: Final = 20
"""Epoch, position, length and offset of each record, which do not compress."""
LINGER_SECONDS: Final = 0.005

BUSIEST: Final[Mapping[str, float]] = {"trade": 36.1, "book_ticker": 183.7, "depth": 19.1}
"""Events a second of the busiest symbol of a venue that says nothing of it (`Venue.busiest`): BTCUSDT, USD-M, as
recorded on 2024-08-08."""
BOOKS_A_SECOND: Final = 10.0
"""Of one symbol at most, where the venue does not say (`Venue.books_a_second`)."""
FALL: Final = 0.54
"""The n-th symbol has the busiest one's rate by n ** -FALL. From Kraken, the one public pair: 3 books are 215
messages/s, 188 are 2,188 (2026-09-08)."""
BURST: Final = 9.1
"""The busiest second : the mean. BTCUSDT, USD-M, 2024-08-08: 2,466 frames in one second, 272 on average."""

PACE: Final[Mapping[str, float]] = {
    "kline": 4.0, "ticker": 2.0, "mark_price": 1.0, "funding_rate": 1.0, "liquidation": 0.01, "open_interest": 0.1,
}  # fmt: skip
"""Events a second and symbol that come at a pace of their own, at most (the venues' documentation): candles each
250 ms, tickers each 500 ms, mark prices each second. A candle comes no oftener than trades do."""

INGEST_US: Final = ((250, 64.6), (500, 54.8), (1000, 45.7), (2000, 40.9), (4000, 34.0), (5000, 30.8), (420_000, 2.3))
"""CPU us an event of one connection's process by its events/s: "connections" and "ingest" of docs/performance.md,
2026-11-28, commit b08556c, AMD EPYC, 2 cores, load 1."""
SERIALIZER_US: Final = ((645, 152.0), (2000, 79.4), (4000, 48.3), (5000, 40.1), (230_000, 1.5))
"""The same of a serializer, supervisor and monitor with it: the whole road less its ingests, linger 5 ms; at 645/s in
the demo (docs/capacity.md)."""
CONSUMER_US: Final = ((500, 40.0), (2000, 18.0), (125_000, 1.6))
"""Of a consumer a row: full topics on 2026-11-28; at live rates the soak (2026-11-27)."""
IDLE_CORES: Final = 0.014
"""All processes, connected, nothing comes (2026-11-28)."""
MEMORY_MB: Final[Mapping[str, int]] = {
    "ingest": 25, "serializer": 40, "consumer": 75, "supervisor": 30, "monitor": 25, "repairer": 30,
}  # fmt: skip
"""Private memory: `RssAnon` of docs/performance.md, 2026-11-24."""
