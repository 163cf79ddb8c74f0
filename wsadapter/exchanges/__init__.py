"""The venues: one module each, found by name. A process imports only the venue it talks to.

A venue of somebody else's package is found by its entry point: group `wsadapter.exchanges`, the exchange word =
``module:Class``. A word of ours cannot be taken.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from wsadapter.errors import ConfigError
from wsadapter.exchanges.archives import Archive
from wsadapter.exchanges.rest_api import RestExchange
from wsadapter.exchanges.venue import Exchange

GROUP: Final = "wsadapter.exchanges"
OURS: Final[Mapping[str, str]] = {
    "binance": "wsadapter.exchanges.binance.usdm:BinanceFutures",
    "binance_spot": "wsadapter.exchanges.binance.spot:BinanceSpot",
    "binance_coinm": "wsadapter.exchanges.binance.coinm:BinanceCoinM",
    "bybit": "wsadapter.exchanges.bybit:BybitLinear",
    "bybit_spot": "wsadapter.exchanges.bybit:BybitSpot",
    "bybit_inverse": "wsadapter.exchanges.bybit:BybitInverse",
    "okx": "wsadapter.exchanges.okx:Okx",
    "kraken": "wsadapter.exchanges.kraken:Kraken",
    "kraken_futures": "wsadapter.exchanges.kraken_futures:KrakenFutures",
    "coinbase": "wsadapter.exchanges.coinbase:Coinbase",
    "deribit": "wsadapter.exchanges.deribit:Deribit",
    "gate": "wsadapter.exchanges.gate:Gate",
    "bitget": "wsadapter.exchanges.bitget:Bitget",
    "bitget_spot": "wsadapter.exchanges.bitget:BitgetSpot",
    "hyperliquid": "wsadapter.exchanges.hyperliquid:Hyperliquid",
}
OTHERS: Final[Mapping[str, EntryPoint]] = {each.name: each for each in entry_points(group=GROUP)}
REGISTRY: Final[Mapping[str, str]] = {**{word: each.value for word, each in OTHERS.items()}, **OURS}
"""Exchange word -> ``module:Class``; the class says where its REST side is."""


def load(exchange: str) -> type[Exchange]:
    """The class of a venue, imported now and not before; `ConfigError` where there is none, or another package's cannot
    be made."""
    if exchange not in REGISTRY:
        raise ConfigError([("exchange", f"{exchange!r} is not implemented, only: {' '.join(sorted(REGISTRY))}")])
    return cast(type[Exchange], _named(exchange, REGISTRY[exchange]))


def spelled(exchange: str, symbol: str) -> str:
    """A symbol, or a rule over symbols, as the venue writes it: `Venue.spell`."""
    spell: Callable[[str], str] = getattr(getattr(load(exchange), "venue", None), "spell", str)
    return spell(symbol)


def load_rest(exchange: str) -> RestExchange | None:
    """The REST side of a venue; None where there is none."""
    rest = load(exchange).rest if exchange in REGISTRY else ""
    return cast(type[RestExchange], _named(exchange, rest))() if rest else None


def load_archive(exchange: str) -> Archive | None:
    """The files that a venue publishes of past days; None where none are known."""
    archives = getattr(load(exchange), "archives", "")
    return cast(Archive, _named(exchange, archives)) if archives else None


def _named(exchange: str, path: str) -> object:
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except Exception as error:  # a module of somebody else's may raise anything
        if exchange in OURS:
            raise
        other = OTHERS[exchange].dist
        why = f"venue {exchange!r} of {other.name if other else path}: {type(error).__name__}: {error}"
        raise ConfigError([("exchange", why)]) from error
