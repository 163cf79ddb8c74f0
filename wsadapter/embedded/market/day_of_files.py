"""A day of the loopback venue's market, for whoever writes it as a venue's files: the same day is the same files."""

from datetime import UTC, datetime
from typing import Final

from wsadapter.embedded.market.instruments import instrument
from wsadapter.embedded.market.market import Market
from wsadapter.embedded.market.streams import MarketStream

DAY_MS: Final = 86_400_000
STEP_MS: Final = 30_000


def market_at(symbol: str, date: str, seed: int, steps: float) -> Market:
    """At the begin of a day (2026-11-26). ``steps``: changes of its book every half minute."""
    begin_ms = int(datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1000
    # numbers go on from day to day, as those of a venue do
    day = begin_ms // DAY_MS
    market = Market(instrument(symbol), seed, begin_ms, (day * 10_000_000, day * 30_000_000))
    market.steps_per_second = steps
    return market


def play(market: Market, files: MarketStream) -> int:
    """The whole day; returns when it ends (ms)."""
    begin_ms = market.now_ms
    market.streams[files.offered.name] = files
    for at in range(begin_ms + STEP_MS, begin_ms + DAY_MS, STEP_MS):
        market.advance(at)
    return begin_ms + DAY_MS
