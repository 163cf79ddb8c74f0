"""The loopback venues: for which exchange there is one, and what a demo records where no feed is configured.

A stand-in shares no code with what is tested against it: its frames are written from the venue's documentation.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from wsadapter.config.load import Feed


class StandIn(Struct, frozen=True):
    """``feed``: what a demo records of it. ``dialect``: ``module:NAME`` of its `Dialect`. ``prepared``: it has
    a load feed of prepared frames."""

    feed: Feed
    dialect: str
    prepared: bool = False


_VENUES: Final = "wsadapter.embedded.venues"
_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
_STREAMS: Final = (
    "kline", "ticker", "depth", "trade", "mark_price", "funding_rate", "liquidation", "book_ticker", "open_interest",
)  # fmt: skip
_SPOT_STREAMS: Final = ("kline", "ticker", "depth", "trade", "book_ticker")
STAND_INS: Final[Mapping[str, StandIn]] = {
    "binance": StandIn(
        Feed(name="binance", exchange="binance", symbols=_SYMBOLS, streams=_STREAMS), f"{_VENUES}.binance:USDM", True
    ),
    "binance_spot": StandIn(
        Feed(name="binance_spot", exchange="binance_spot", symbols=_SYMBOLS, streams=_SPOT_STREAMS),
        f"{_VENUES}.binance_spot:SPOT",
    ),
    "binance_coinm": StandIn(
        Feed(name="binance_coinm", exchange="binance_coinm", symbols=("BTCUSD_PERP", "ETHUSD_PERP"), streams=_STREAMS),
        f"{_VENUES}.binance_coinm:COINM",
    ),
    "bybit": StandIn(
        Feed(name="bybit", exchange="bybit", symbols=_SYMBOLS, streams=_STREAMS), f"{_VENUES}.bybit:LINEAR"
    ),
    "bitget": StandIn(
        Feed(name="bitget", exchange="bitget", symbols=_SYMBOLS, streams=_STREAMS, intervals=("1m", "6h")),
        f"{_VENUES}.bitget:FUTURES",
    ),
    "bitget_spot": StandIn(
        Feed(name="bitget_spot", exchange="bitget_spot", symbols=_SYMBOLS, streams=_SPOT_STREAMS),
        f"{_VENUES}.bitget:SPOT",
    ),
    "bybit_inverse": StandIn(
        Feed(name="bybit_inverse", exchange="bybit_inverse", symbols=("BTCUSD", "ETHUSD"), streams=_STREAMS),
        f"{_VENUES}.bybit:INVERSE",
    ),
    "bybit_spot": StandIn(
        Feed(name="bybit_spot", exchange="bybit_spot", symbols=_SYMBOLS, streams=_SPOT_STREAMS),
        f"{_VENUES}.bybit:SPOT",
    ),
    "okx": StandIn(
        Feed(name="okx", exchange="okx", symbols=("BTC-USDT-SWAP", "ETH-USDT-SWAP", "SOL-USDT-SWAP"), streams=_STREAMS),
        f"{_VENUES}.okx:OKX",
    ),
    "kraken": StandIn(
        Feed(
            name="kraken",
            exchange="kraken",
            symbols=("BTC/USD", "ETH/USD", "SOL/USD"),
            streams=("kline", "ticker", "depth", "trade", "book_ticker"),
        ),
        f"{_VENUES}.kraken:SPOT",
    ),
    "deribit": StandIn(
        Feed(
            name="deribit",
            exchange="deribit",
            symbols=("BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL"),
            streams=_STREAMS,
        ),
        f"{_VENUES}.deribit:PUBLIC_DATA",
    ),
    "gate": StandIn(
        Feed(name="gate", exchange="gate", symbols=("BTC_USDT", "ETH_USDT", "SOL_USDT"), streams=_STREAMS),
        f"{_VENUES}.gate:USDT",
    ),
    "hyperliquid": StandIn(
        Feed(
            name="hyperliquid",
            exchange="hyperliquid",
            symbols=("BTC", "ETH", "SOL"),
            streams=("kline", "depth", "trade", "mark_price", "funding_rate", "book_ticker", "open_interest"),
        ),
        f"{_VENUES}.hyperliquid:INFO",
    ),
}
"""Exchange word -> its stand-in, without what it imports. The first one is the default."""
DEFAULT: Final = next(iter(STAND_INS))
DEMO: Final = ("binance", "bybit", "binance_spot", "binance_coinm")
"""Of which of them a demo records by default."""
DEMO_FEED: Final = STAND_INS[DEMO[0]].feed
