"""The loopback venues: for which exchange there is one, and what a demo records where no feed is configured."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from wsadapter.config.load import Feed


class StandIn(Struct, frozen=True):
    """``feed``: what a demo records of it. ``prepared``: it also sends prepared frames (load feed, replay)."""

    feed: Feed
    prepared: bool = False


_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
_STREAMS: Final = (
    "kline", "ticker", "depth", "trade", "mark_price", "funding_rate", "liquidation", "book_ticker", "open_interest",
)  # fmt: skip
STAND_INS: Final[Mapping[str, StandIn]] = {
    "binance": StandIn(Feed(name="binance", exchange="binance", symbols=_SYMBOLS, streams=_STREAMS), prepared=True),
    "bybit": StandIn(Feed(name="bybit", exchange="bybit", symbols=_SYMBOLS, streams=_STREAMS)),
}
"""The dialects of `wsadapter.embedded.exchange.dialects`, without what they import. The first one is the default."""
DEMO: Final = ("binance", "bybit")
"""Of which of them a demo records by default."""
DEMO_FEED: Final = STAND_INS[DEMO[0]].feed
