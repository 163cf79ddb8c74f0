"""Finds the dialect of an exchange; only that one is imported."""

from importlib import import_module

from wsadapter.embedded.exchange import STAND_INS
from wsadapter.embedded.exchange.dialect import Dialect
from wsadapter.errors import WsadapterError


def dialect(exchange: str) -> Dialect:
    if exchange not in STAND_INS:
        raise WsadapterError(f"no stand-in speaks like {exchange!r}, only: {' '.join(STAND_INS)}")
    module, _, name = STAND_INS[exchange].dialect.partition(":")
    found = getattr(import_module(module), name)
    assert isinstance(found, Dialect)
    return found
