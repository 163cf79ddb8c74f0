"""The loopback venues: for which exchange there is one, and what a demo records where no feed is configured.

A stand-in shares no code with what is tested against it: its frames are written from the venue's documentation. One of
somebody else's package is found by its entry point: group `wsadapter.stand_ins`, the exchange word = ``module:NAME`` of
its `StandIn`. A word of ours cannot be taken.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

from msgspec import Struct

from wsadapter.config.model import Feed
from wsadapter.errors import WsadapterError

GROUP: Final = "wsadapter.stand_ins"


class StandIn(Struct, frozen=True):
    """``feed``: what a demo records of it. ``dialect``: ``module:NAME`` of its `Dialect`. ``prepared``: it has
    a load feed of prepared frames."""

    feed: Feed
    dialect: str
    prepared: bool = False


class _StandIns(Mapping[str, StandIn]):
    """Ours, and those of other packages, of which each is imported when it is asked for."""

    def __init__(self, ours: Mapping[str, StandIn]) -> None:
        self._ours = ours
        self._others = {each.name: each.value for each in entry_points(group=GROUP) if each.name not in ours}

    def __getitem__(self, exchange: str) -> StandIn:
        if exchange in self._ours:
            return self._ours[exchange]
        found = named(self._others[exchange])
        if not isinstance(found, StandIn):
            raise WsadapterError(f"{self._others[exchange]}: the stand-in of {exchange!r} must be a StandIn")
        return found

    def __iter__(self) -> Iterator[str]:
        yield from self._ours
        yield from self._others

    def __len__(self) -> int:
        return len(self._ours) + len(self._others)


def named(path: str) -> object:
    """What ``module:NAME`` is, imported now."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
_STREAMS: Final = (
    "kline", "ticker", "depth", "trade", "mark_price", "funding_rate", "liquidation", "book_ticker", "open_interest",
)  # fmt: skip
_SPOT_STREAMS: Final = ("kline", "ticker", "depth", "trade", "book_ticker")
_PERPETUAL_STREAMS: Final = (
    "kline", "depth", "trade", "mark_price", "funding_rate", "book_ticker", "open_interest",
)  # fmt: skip


def _row(
    exchange: str, dialect: str, symbols: tuple[str, ...], streams: tuple[str, ...] = _STREAMS,
    intervals: tuple[str, ...] = ("1m",), prepared: bool = False,
) -> StandIn:  # fmt: skip
    feed = Feed(name=exchange, exchange=exchange, symbols=symbols, streams=streams, intervals=intervals)
    return StandIn(feed, f"wsadapter.embedded.venues.{dialect}", prepared)


_ROWS: Final = (
    _row("binance", "binance:USDM", _SYMBOLS, prepared=True),
    _row("binance_spot", "binance_spot:SPOT", _SYMBOLS, _SPOT_STREAMS),
    _row("binance_coinm", "binance_coinm:COINM", ("BTCUSD_PERP", "ETHUSD_PERP")),
    _row("bybit", "bybit:LINEAR", _SYMBOLS),
    _row("bitget", "bitget:FUTURES", _SYMBOLS, intervals=("1m", "6h")),
    _row("bitget_spot", "bitget:SPOT", _SYMBOLS, _SPOT_STREAMS),
    _row("bybit_inverse", "bybit:INVERSE", ("BTCUSD", "ETHUSD")),
    _row("bybit_spot", "bybit:SPOT", _SYMBOLS, _SPOT_STREAMS),
    _row("okx", "okx:OKX", ("BTC-USDT-SWAP", "ETH-USDT-SWAP", "SOL-USDT-SWAP")),
    _row("deribit", "deribit:PUBLIC_DATA", ("BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL")),
    _row("gate", "gate:USDT", ("BTC_USDT", "ETH_USDT", "SOL_USDT")),
    _row("hyperliquid", "hyperliquid:INFO", ("BTC", "ETH", "SOL"), _PERPETUAL_STREAMS),
    _row("kraken", "kraken:SPOT", ("BTC/USD", "ETH/USD", "SOL/USD"), _SPOT_STREAMS),
    _row("coinbase", "coinbase:FEEDS", ("BTC-USD", "ETH-USD", "SOL-USD"), _SPOT_STREAMS, intervals=("5m",)),
    _row("kraken_futures", "kraken_futures:FUTURES", ("PF_XBTUSD", "PF_ETHUSD", "PI_XBTUSD")),
)
STAND_INS: Final[Mapping[str, StandIn]] = _StandIns({row.feed.exchange: row for row in _ROWS})
"""Exchange word -> its stand-in, without what it imports. The first one is the default."""
DEFAULT: Final = next(iter(STAND_INS))
DEMO: Final = ("binance", "bybit", "binance_spot", "okx", "kraken")
"""Of which of them a demo records by default."""
DEMO_FEED: Final = STAND_INS[DEMO[0]].feed
