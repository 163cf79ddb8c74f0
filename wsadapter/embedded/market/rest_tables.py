"""A venue's REST side as a table of paths, over the same trades, candles and books as its streams. Sans-I/O.

`RestPaths` says what is answered where, how a result is wrapped and how an error looks. A path's function is given the
`Desk`: the query, the markets, and what all venues' functions need of both. Blank parameters count as missing.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any, Final, NoReturn, TypeVar

import msgspec
from msgspec import Struct

from wsadapter.embedded.market.candles import Candle
from wsadapter.embedded.market.channels import Print, recent_prints
from wsadapter.embedded.market.instruments import MarketInstrument
from wsadapter.embedded.market.market import FUNDING_MS, Market
from wsadapter.embedded.market.markets import Markets
from wsadapter.embedded.market.rest import Query, RestReply

T = TypeVar("T")
FUNDING_SETTLED: Final = 30
"""How many past funding times there are."""


class Refused(Exception):
    """The request is answered with an error. ``kind``: ``symbol`` (unknown), ``missing`` (a parameter), ``parameter``
    (a wrong value), ``interval``, or what else the dialect tells apart."""

    def __init__(self, kind: str, message: str = "") -> None:
        self.kind, self.message = kind, message


class RestPaths(Struct, frozen=True, kw_only=True):
    """``paths``: path (may hold ``{name}``, a parameter then) -> the function of its result. ``body``: the result as it
    is sent, by market time; ``error``: the answer to a refused request. ``requests`` in ``window_ms`` of market time
    for all clients together, then ``too_many``."""

    paths: Mapping[str, Callable[["Desk"], Any]]
    error: Callable[[Refused, int], RestReply]
    body: Callable[[Any, int], Any] = lambda result, now_ms: result
    requests: int = 600
    window_ms: int = 5_000
    too_many: RestReply = RestReply(HTTPStatus.TOO_MANY_REQUESTS, b"")
    nothing: RestReply = RestReply(HTTPStatus.NOT_FOUND, b"")


class DeclaredRest:
    """``now_ms``: market time. Counts the requests of the current window."""

    def __init__(self, table: RestPaths, floor: Markets, now_ms: Callable[[], int]) -> None:
        self.table, self._floor, self._now_ms = table, floor, now_ms
        self._window = self._used = 0
        self._paths = [(_pattern(path), answer) for path, answer in table.paths.items()]

    def answer(self, path: str, query: Query) -> RestReply:
        """Never raises for anything that a client may send."""
        for pattern, result_of in self._paths:
            if found := pattern.fullmatch(path):
                return self._result(result_of, {**query, **found.groupdict()})
        return self.table.nothing

    def _result(self, result_of: Callable[["Desk"], Any], query: Query) -> RestReply:
        now_ms = self._now_ms()
        if self._too_many(now_ms):
            return self.table.too_many
        try:
            result = result_of(Desk(self._floor, now_ms, query))
        except Refused as refused:
            return self.table.error(refused, now_ms)
        return RestReply(HTTPStatus.OK, msgspec.json.encode(self.table.body(result, now_ms)))

    def _too_many(self, now_ms: int) -> bool:
        window = now_ms // self.table.window_ms
        if window != self._window:
            self._window, self._used = window, 0
        self._used += 1
        return self._used > self.table.requests


class Desk:
    """One request over the markets: ``query`` and what it names."""

    def __init__(self, floor: Markets, now_ms: int, query: Query) -> None:
        self.floor, self.now_ms, self.query = floor, now_ms, query

    def text(self, name: str, default: str | None = None) -> str:
        value = self.query.get(name) or default
        return refuse("missing", name) if value is None else value

    def market(self, name: str = "symbol") -> Market:
        symbol = self.text(name)
        return self.floor.find(symbol) or refuse("symbol", symbol)

    def markets(self) -> list[Market]:
        """All that there are."""
        return [*self.floor.listed()]

    def days(self) -> Iterator[tuple[MarketInstrument, Candle]]:
        """The last 24 hours of each."""
        return ((market.instrument, market.candles.day()) for market in self.markets())

    def number(self, name: str) -> int | None:
        value = self.query.get(name, "")
        if not value:
            return None
        if not (value.isascii() and value.isdecimal() and len(value) < 20):
            refuse("parameter", name)
        return int(value)

    def limit(self, default: int, most: int, name: str = "limit", clamp: bool = False) -> int:
        """``clamp``: too large a one is not refused."""
        limit = self.number(name)
        if limit is None:
            return default
        if clamp:
            limit = min(limit, most)
        return limit if 1 <= limit <= most else refuse("parameter", name)

    def inside(self, first: str, last: str, unit_ms: int = 1) -> Callable[[int], bool]:
        """Whether a time (ms) lies between two parameters, both included, in units of so many ms."""
        low, high = self.number(first), self.number(last)
        return lambda ms: (low is None or ms >= low * unit_ms) and (high is None or ms <= high * unit_ms)

    def interval(self, codes: Mapping[str, str], name: str = "interval") -> str:
        """Ours, of the venue's code."""
        return codes.get(self.text(name)) or refuse("interval", self.query[name])

    def candles(self, market: Market, interval: str) -> list[Candle]:
        """Newest first, with the open one; none for a time without trades is made up."""
        return [*market.candles.closed[interval], market.candles.current(interval)][::-1]

    def prints(self, market: Market, aggregated: bool = False) -> Iterator[Print]:
        """Newest first."""
        return recent_prints(market, aggregated)

    def fundings(self, market: Market, inside: Callable[[int], bool], limit: int) -> list[tuple[int, str]]:
        """(time, rate that was settled then), newest first."""
        last = self.now_ms // FUNDING_MS
        times = (number * FUNDING_MS for number in range(last, last - FUNDING_SETTLED, -1))
        return [(at_ms, market.rate(at_ms - 1)) for at_ms in islice(filter(inside, times), limit)]

    def page(self, rows: Sequence[T], limit: int, begin: int) -> tuple[list[T], int | None]:
        """The rows from ``begin`` on, and where the next page begins, None after the last one."""
        end = begin + limit
        return list(rows[begin:end]), end if end < len(rows) else None


def refuse(kind: str, message: str = "") -> NoReturn:
    raise Refused(kind, message)


def raw(text: str) -> msgspec.Raw:
    """A JSON number with exactly these digits."""
    return msgspec.Raw(text.encode())


def reply(body: object, status: int = HTTPStatus.OK) -> RestReply:
    return RestReply(status, msgspec.json.encode(body))


def _pattern(path: str) -> "re.Pattern[str]":
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))
