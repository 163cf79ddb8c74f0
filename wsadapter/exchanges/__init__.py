"""The venues: one module each, found by name. A process imports only the venue it talks to."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast

from wsadapter.errors import ConfigError
from wsadapter.exchanges.rest_api import RestExchange
from wsadapter.exchanges.venue import Exchange

REGISTRY: Final[Mapping[str, str]] = {
    "binance": "wsadapter.exchanges.binance.usdm:BinanceFutures",
    "bybit": "wsadapter.exchanges.bybit:BybitLinear",
}
"""Exchange word -> ``module:Class``."""
RESTS: Final[Mapping[str, str]] = {
    "binance": "wsadapter.exchanges.binance.rest:BinanceFuturesRest",
    "bybit": "wsadapter.exchanges.bybit_rest:BybitLinearRest",
}
"""The REST sides of those that have one."""


def load(exchange: str) -> type[Exchange]:
    """The class of a venue, imported now and not before."""
    if exchange not in REGISTRY:
        raise ConfigError([("exchange", f"{exchange!r} is not implemented, only: {' '.join(sorted(REGISTRY))}")])
    return cast(type[Exchange], _named(REGISTRY[exchange]))


def load_rest(exchange: str) -> RestExchange | None:
    """The REST side of a venue; None where there is none."""
    if exchange not in RESTS:
        return None
    return cast(type[RestExchange], _named(RESTS[exchange]))()


def _named(path: str) -> object:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
