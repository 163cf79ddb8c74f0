"""Binance's URLs, what a client may ask on its WebSocket, and the answers: one connection's subscriptions, sans-I/O.

Names are kept as sent. Whether a name exists, and on this class of connection, decides nothing here: the venue says yes
to any name and stays silent on those that it does not push.
"""

from collections.abc import Iterable
from typing import Any, Final, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from wsadapter.embedded.exchange.requests import SubscriptionReply, Target
from wsadapter.embedded.market.binance_streams import PUBLIC, ROUTES

LONGEST: Final = 4096
"""Octets of a request."""
METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_EXPECTED: Final = ", ".join(f"`{method}`" for method in METHODS)


def target(path: str) -> Target | None:
    """``/public/stream?streams=a/b``, ``/market/ws/a/b``, ``/ws``, ...; without a class, only the public one pushes."""
    url = urlsplit(path)
    steps = [unquote(step) for step in url.path.split("/") if step]
    route = steps.pop(0) if steps and steps[0] in ROUTES else PUBLIC
    if steps == ["stream"]:
        names = parse_qs(url.query).get("streams", [""])[0].split("/")
        return Target(route, True, tuple(filter(None, names)))
    return Target(route, False, tuple(steps[1:])) if steps[:1] == ["ws"] else None


class _RequestRefused(Exception):
    def __init__(self, code: int, message: str) -> None:
        self.error = {"code": code, "msg": message}


class SocketSubscriptions:
    """``combined``: whether frames come in the envelope; a client may change it."""

    def __init__(self, names: Iterable[str], combined: bool, limit: int) -> None:
        self.names = dict.fromkeys(names)
        self.combined = combined
        self._limit = limit

    def answer(self, request: bytes) -> SubscriptionReply:
        """Never raises, whatever the client sent. What is longer than `LONGEST` is never answered."""
        if len(request) > LONGEST:
            return SubscriptionReply()
        number: Any = None
        try:
            fields = _decode(request)
            number = fields.get("id")
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                number = None
                _refuse(2, "Invalid request: request ID must be an unsigned integer")
            before = set(self.names)
            result = self._perform(fields)
        except _RequestRefused as refused:
            told = {"error": refused.error} | ({} if number is None else {"id": number})
            return SubscriptionReply((msgspec.json.encode(told),))
        added = tuple(name for name in self.names if name not in before)
        removed = tuple(before.difference(self.names))
        return SubscriptionReply((msgspec.json.encode({"result": result, "id": number}),), True, added, removed)

    def _perform(self, fields: dict[str, Any]) -> list[str] | bool | None:
        if "method" not in fields:
            _refuse(2, "Invalid request: missing field `method` at line 1 column 1")
        method, params = fields["method"], fields.get("params", [])
        if method not in METHODS:
            _refuse(2, f"Invalid request: unknown variant `{method}`, expected one of {_EXPECTED} at line 1 column 28")
        if not isinstance(params, list):
            _refuse(2, "Invalid request: invalid type, expected a sequence")
        if method == "LIST_SUBSCRIPTIONS":
            return list(self.names)
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(params, 2 if method == "SET_PROPERTY" else 1)
        if not all(isinstance(name, str) for name in params):
            _refuse(2, "Invalid request: invalid type, expected a string")
        if method == "UNSUBSCRIBE":
            for name in params:
                self.names.pop(name, None)
            return None
        if len(self.names | dict.fromkeys(params)) > self._limit:
            _refuse(4, "Too many subscriptions")
        self.names |= dict.fromkeys(params)
        return None

    def _property(self, params: list[Any], count: int) -> bool | None:
        if len(params) > count:
            _refuse(2, "Invalid request: too many parameters")
        if not params or not isinstance(params[0], str):
            _refuse(2, "Invalid request: property name must be a string")
        if params[0] != "combined":
            _refuse(0, "Unknown property")
        if count == 1:
            return self.combined
        if len(params) < count or not isinstance(params[1], bool):
            _refuse(1, "Invalid value type: expected Boolean")
        self.combined = params[1]
        return None


def _decode(request: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(request)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        _refuse(3, "Invalid JSON: expected value at line 1 column 1")
    if not isinstance(fields, dict):
        _refuse(2, "Invalid request: invalid type, expected a map")
    return fields


def _refuse(code: int, message: str) -> NoReturn:
    raise _RequestRefused(code, message)
