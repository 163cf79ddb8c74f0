"""Finds the dialect of an exchange; only that one is imported."""

from wsadapter.embedded.exchange import STAND_INS, named
from wsadapter.embedded.exchange.dialect import Dialect
from wsadapter.errors import WsadapterError


def dialect(exchange: str) -> Dialect:
    if exchange not in STAND_INS:
        raise WsadapterError(f"no stand-in speaks like {exchange!r}, only: {' '.join(STAND_INS)}")
    path = STAND_INS[exchange].dialect
    found = named(path)
    if not isinstance(found, Dialect):
        raise WsadapterError(f"{path}: the dialect of {exchange!r} must be a Dialect")
    return found
