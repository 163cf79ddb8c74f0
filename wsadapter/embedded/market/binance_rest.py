"""Binance's REST answers, from the same trades, candles and books as the streams. Sans-I/O.

Shapes, limits, weights and error codes are those of the documentation. History is what the markets keep: 1,500 closed
candles per interval and 20,000 aggregate trades per symbol, of this run. Blank parameters count as missing.
"""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from wsadapter.embedded.market import binance_rest_rows as shapes
from wsadapter.embedded.market.candles import INTERVALS
from wsadapter.embedded.market.instruments import text
from wsadapter.embedded.market.market import FUNDING_MS, MARK_DIGITS, Market
from wsadapter.embedded.market.markets import Markets
from wsadapter.embedded.market.rest import Query, RestReply

T = TypeVar("T")
PREFIX: Final = "/fapi/v1/"
WEIGHT_LIMIT: Final = 2400
"""A minute of market time, for all clients together."""
DEPTH_LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000)
FUNDING_SETTLED: Final = 30
"""How many past funding times there are."""


class _Refused(Exception):
    def __init__(self, code: int, message: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        self.body = msgspec.json.encode({"code": code, "msg": message})
        self.status = status


class Rest:
    """``now_ms``: market time. Counts the weight that was used in the current minute."""

    def __init__(self, floor: Markets, now_ms: Callable[[], int]) -> None:
        self._floor, self._now_ms = floor, now_ms
        self._minute = self._used = 0
        self._answers: Mapping[str, Callable[[Query], Any]] = {
            "time": lambda query: {"serverTime": self._now_ms()},
            "exchangeInfo": lambda query: self._exchange_info(),
            "klines": self._klines,
            "aggTrades": self._agg_trades,
            "depth": self._depth,
            "fundingRate": self._funding_rate,
            "premiumIndex": self._premium_index,
            "openInterest": self._open_interest,
            "ticker/24hr": self._days,
        }

    def answer(self, path: str, query: Query) -> RestReply:
        """Never raises for anything that a client may send."""
        name = path.removeprefix(PREFIX)
        if not path.startswith(PREFIX) or name not in self._answers:
            return RestReply(HTTPStatus.NOT_FOUND, b"<html>404</html>")
        used = self._weigh(_weight(name, query))
        headers: tuple[tuple[str, str], ...] = (("X-MBX-USED-WEIGHT-1M", str(used)),)
        if used > WEIGHT_LIMIT:
            body = msgspec.json.encode(
                {"code": -1003, "msg": f"Too many requests; the limit is {WEIGHT_LIMIT} a minute"}
            )
            left = 60 - self._now_ms() // 1000 % 60
            return RestReply(HTTPStatus.TOO_MANY_REQUESTS, body, (*headers, ("Retry-After", str(left))))
        try:
            return RestReply(HTTPStatus.OK, msgspec.json.encode(self._answers[name](query)), headers)
        except _Refused as refused:
            return RestReply(refused.status, refused.body, headers)

    def _weigh(self, weight: int) -> int:
        minute = self._now_ms() // 60_000
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += weight
        return self._used

    def _market(self, query: Query) -> Market:
        symbol = query.get("symbol")
        if not symbol:
            _refuse(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        market = self._floor.find(symbol)
        return market if market else _refuse(-1121, "Invalid symbol.")

    def _klines(self, query: Query) -> list[list[Any]]:
        market, interval = self._market(query), query.get("interval", "")
        if interval not in INTERVALS:
            _refuse(-1120, "Invalid interval.")
        start, end = _number(query, "startTime"), _number(query, "endTime")
        candles = [*market.candles.closed[interval], market.candles.current(interval)]
        found = [c for c in candles if (start is None or c.open_ms >= start) and (end is None or c.open_ms <= end)]
        limit = _limit(query, 500, 1500)
        return [shapes.row(market.instrument, interval, candle) for candle in _cut(found, limit, start is not None)]

    def _agg_trades(self, query: Query) -> list[dict[str, Any]]:
        market = self._market(query)
        first, start, end = (_number(query, name) for name in ("fromId", "startTime", "endTime"))
        if first is not None and (start is not None or end is not None):
            _refuse(-1128, "Combination of optional parameters invalid.")
        if start is not None and end is not None and end - start >= 3_600_000:
            _refuse(-1127, "More than 1 hours between startTime and endTime.")
        found = [
            deal
            for deal in market.deals
            if (first is None or deal.aggregate_id >= first)
            and (start is None or deal.time_ms >= start)
            and (end is None or deal.time_ms <= end)
        ]
        from_start = first is not None or start is not None
        return [shapes.trade(market.instrument, deal) for deal in _cut(found, _limit(query, 500, 1000), from_start)]

    def _depth(self, query: Query) -> dict[str, Any]:
        market, limit = self._market(query), _number(query, "limit") or 500
        if limit not in DEPTH_LIMITS:
            _refuse(-4021, f"{limit} is not valid depth limit.")
        book, i = market.book, market.instrument
        bids, asks = ([[i.price_text(p), i.quantity_text(q)] for p, q in side] for side in book.levels(limit))
        now_ms = self._now_ms()
        return {"lastUpdateId": book.update_id, "E": now_ms, "T": book.time_ms, "bids": bids, "asks": asks}

    def _funding_rate(self, query: Query) -> list[dict[str, Any]]:
        markets = [self._market(query)] if query.get("symbol") else list(self._floor.markets.values())
        start, end = _number(query, "startTime"), _number(query, "endTime")
        last = self._now_ms() // FUNDING_MS
        settled = [
            shapes.settled(market, number * FUNDING_MS)
            for number in range(last - FUNDING_SETTLED + 1, last + 1)
            for market in markets
            if (start is None or number * FUNDING_MS >= start) and (end is None or number * FUNDING_MS <= end)
        ]
        return list(_cut(settled, _limit(query, 100, 1000), start is not None))

    def _premium_index(self, query: Query) -> Any:
        if query.get("symbol"):
            return self._premium(self._market(query))
        return [self._premium(market) for market in self._floor.markets.values()]

    def _premium(self, market: Market) -> dict[str, Any]:
        now_ms = self._now_ms()
        mark = market.mark(now_ms)
        return {
            "symbol": market.symbol,
            "markPrice": text(mark.price, MARK_DIGITS),
            "indexPrice": text(mark.index, MARK_DIGITS),
            "estimatedSettlePrice": text(mark.settle, MARK_DIGITS),
            "lastFundingRate": mark.rate,
            "interestRate": "0.00010000",
            "nextFundingTime": mark.next_funding_ms,
            "time": now_ms,
        }

    def _open_interest(self, query: Query) -> dict[str, Any]:
        market, now_ms = self._market(query), self._now_ms()
        interest = market.instrument.quantity_text(market.open_interest())
        return {"symbol": market.symbol, "openInterest": interest, "time": now_ms}

    def _days(self, query: Query) -> list[dict[str, Any]]:
        return [shapes.day(market.instrument, market.candles.day()) for market in self._floor.listed()]

    def _exchange_info(self) -> dict[str, Any]:
        return {
            "timezone": "UTC",
            "serverTime": self._now_ms(),
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": WEIGHT_LIMIT,
                }
            ],
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [shapes.symbol_info(market.instrument) for market in self._floor.listed()],
        }


def _weight(name: str, query: Query) -> int:
    limit = int(query["limit"]) if query.get("limit", "").isdecimal() else 500
    if name == "klines":
        return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
    if name == "depth":
        return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20
    if name == "ticker/24hr":
        return 40
    return 20 if name == "aggTrades" else 10 if name == "premiumIndex" and not query.get("symbol") else 1


def _number(query: Query, name: str) -> int | None:
    value = query.get(name, "")
    if not value:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) < 19):
        _refuse(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(value)


def _limit(query: Query, default: int, most: int) -> int:
    limit = _number(query, "limit")
    if limit is None:
        return default
    return limit if 1 <= limit <= most else _refuse(-1130, "Data sent for parameter 'limit' is not valid.")


def _cut(found: list[T], limit: int, from_start: bool) -> Iterable[T]:
    """The first ones when a start was given, else the newest."""
    return islice(found, limit) if from_start else found[-limit:]


def _refuse(code: int, message: str) -> NoReturn:
    raise _Refused(code, message)
