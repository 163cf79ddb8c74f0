"""The venues: one module each, found by name. A process imports only the venue it talks to."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast

from wsadapter.errors import ConfigError
from wsadapter.exchanges.base import Exchange

REGISTRY: Final[Mapping[str, str]] = {
    "binance": "wsadapter.exchanges.binance:BinanceFutures",
}
"""Exchange word -> ``module:Class``."""


def load(exchange: str) -> type[Exchange]:
    """The class of a venue, imported now and not before."""
    if exchange not in REGISTRY:
        raise ConfigError([("exchange", f"{exchange!r} is not implemented, only: {' '.join(sorted(REGISTRY))}")])
    module, _, name = REGISTRY[exchange].partition(":")
    return cast(type[Exchange], getattr(import_module(module), name))
