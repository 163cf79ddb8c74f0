"""Bybit's REST answers (linear perpetuals), from the same trades, candles and books as the streams. Sans-I/O.

Shapes, limits and codes are those of the documentation: errors are HTTP 200 with a ``retCode``, lists are newest first,
and a missing category means linear. History is what the markets keep; blank parameters count as missing.
"""

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, Final, NoReturn
from urllib.parse import quote, unquote

import msgspec

from wsadapter.embedded.market.bybit_frames import FUNDING_HOURS, trade_id
from wsadapter.embedded.market.bybit_streams import DEEPEST, INTERVALS, BookStream
from wsadapter.embedded.market.instruments import MarketInstrument
from wsadapter.embedded.market.market import FUNDING_MS, Market
from wsadapter.embedded.market.markets import Markets
from wsadapter.embedded.market.rest import Query, RestReply

PREFIX: Final = "/v5/market/"
REQUEST_LIMIT: Final = 600
"""Requests in `WINDOW_MS` of market time, for all clients together."""
WINDOW_MS: Final = 5_000
FUNDING_SETTLED: Final = 30
"""How many past funding times there are."""
INTEREST_KEPT_MS: Final = 30 * 86_400_000
_MINUTE: Final = 60_000
INTEREST_TIMES: Final = {
    "5min": 5 * _MINUTE, "15min": 15 * _MINUTE, "30min": 30 * _MINUTE, "1h": 60 * _MINUTE, "4h": 240 * _MINUTE,
    "1d": 1440 * _MINUTE,
}  # fmt: skip
PARAMETER: Final = 10001
UNKNOWN_SYMBOL: Final = 10029


class _Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        self.code, self.message = code, message


class Rest:
    """``now_ms``: market time. Counts the requests of the current window."""

    def __init__(self, floor: Markets, now_ms: Callable[[], int]) -> None:
        self._floor, self._now_ms = floor, now_ms
        self._window = self._used = 0
        self._answers: Mapping[str, Callable[[Query], dict[str, Any]]] = {
            "time": lambda query: self._time(),
            "kline": self._kline,
            "recent-trade": self._recent_trade,
            "orderbook": self._orderbook,
            "funding/history": self._funding_history,
            "open-interest": self._open_interest,
            "instruments-info": self._instruments_info,
        }

    def answer(self, path: str, query: Query) -> RestReply:
        """Never raises for anything that a client may send."""
        name = path.removeprefix(PREFIX)
        if not path.startswith(PREFIX) or name not in self._answers:
            return RestReply(HTTPStatus.NOT_FOUND, b"")
        if self._too_many():
            return RestReply(HTTPStatus.FORBIDDEN, b"access too frequent")
        code, message, result = 0, "OK", {}
        try:
            if name != "time" and (query.get("category") or "linear") != "linear":
                _refuse(PARAMETER, "Illegal category")
            result = self._answers[name](query)
        except _Refused as refused:
            code, message = refused.code, refused.message
        body = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": self._now_ms()}
        return RestReply(HTTPStatus.OK, msgspec.json.encode(body))

    def _too_many(self) -> bool:
        window = self._now_ms() // WINDOW_MS
        if window != self._window:
            self._window, self._used = window, 0
        self._used += 1
        return self._used > REQUEST_LIMIT

    def _market(self, query: Query) -> Market:
        symbol = query.get("symbol")
        if not symbol:
            _refuse(PARAMETER, "params error: symbol is required")
        return self._floor.find(symbol) or _refuse(UNKNOWN_SYMBOL, "symbol is invalid")

    def _time(self) -> dict[str, Any]:
        now_ms = self._now_ms()
        return {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}

    def _kline(self, query: Query) -> dict[str, Any]:
        market, code = self._market(query), query.get("interval", "")
        if code not in INTERVALS:
            _refuse(PARAMETER, "Invalid period!")
        inside, limit, i = _range(query, "start", "end"), _limit(query, 200, 1000), market.instrument
        candles = [*market.candles.closed[INTERVALS[code]], market.candles.current(INTERVALS[code])]
        rows = [
            [
                str(c.open_ms), *(i.price_text(price) for price in (c.open, c.high, c.low, c.close)),
                i.quantity_text(c.volume), i.quote_text(c.quote),
            ]
            for c in islice((c for c in reversed(candles) if inside(c.open_ms)), limit)
        ]  # fmt: skip
        return {"symbol": market.symbol, "category": "linear", "list": rows}

    def _recent_trade(self, query: Query) -> dict[str, Any]:
        market, limit = self._market(query), _limit(query, 500, 1000)
        return {"category": "linear", "list": list(islice(_trades(market), limit))}

    def _orderbook(self, query: Query) -> dict[str, Any]:
        market, limit, i = self._market(query), _limit(query, 25, 1000), self._market(query).instrument
        bids, asks = ([[i.price_text(p), i.quantity_text(q)] for p, q in side] for side in market.book.levels(limit))
        deepest = market.streams.get(f"orderbook.{DEEPEST}.{market.symbol}")
        return {
            "s": market.symbol,
            "b": bids,
            "a": asks,
            "ts": self._now_ms(),
            "u": deepest.update_id if isinstance(deepest, BookStream) else self._now_ms(),
            "seq": market.book.update_id,
            "cts": market.book.time_ms,
        }

    def _funding_history(self, query: Query) -> dict[str, Any]:
        market, limit = self._market(query), _limit(query, 200, 200)
        if query.get("startTime") and not query.get("endTime"):
            _refuse(PARAMETER, "params error: startTime without endTime")
        inside, last = _range(query, "startTime", "endTime"), self._now_ms() // FUNDING_MS
        times = (number * FUNDING_MS for number in range(last, last - FUNDING_SETTLED, -1))
        rows = [
            {
                "symbol": market.symbol,
                "fundingRate": market.rate(settled_ms - 1),
                "fundingRateTimestamp": str(settled_ms),
            }
            for settled_ms in islice(filter(inside, times), limit)
        ]
        return {"category": "linear", "list": rows}

    def _open_interest(self, query: Query) -> dict[str, Any]:
        market, limit = self._market(query), _limit(query, 50, 200)
        every_ms = INTEREST_TIMES.get(query.get("intervalTime", "")) or _refuse(PARAMETER, "Invalid intervalTime")
        inside, last = _range(query, "startTime", "endTime"), self._now_ms() // every_ms
        times = (number * every_ms for number in range(last, last - INTEREST_KEPT_MS // every_ms, -1))
        # a full minute has no trades yet: what the market says of its open interest at any of them
        interest = market.open_interest() - market.candles.minute.volume
        rows = [
            {
                "openInterest": market.instrument.quantity_text(interest),
                "singleOpenInterest": market.instrument.quantity_text(interest // 2),
                "timestamp": str(at_ms),
            }
            for at_ms in filter(inside, times)
        ]
        page, cursor = _page(rows, query, limit)
        return {"symbol": market.symbol, "category": "linear", "list": page, "nextPageCursor": cursor}

    def _instruments_info(self, query: Query) -> dict[str, Any]:
        if query.get("symbol"):
            found = [self._market(query)]
        else:
            found = [self._floor.open(symbol) for symbol in sorted({*self._floor.symbols, *self._floor.markets})]
        rows = [_instrument(market.instrument) for market in found if query.get("status", "Trading") == "Trading"]
        page, cursor = _page(rows, query, _limit(query, 500, 1000))
        return {"category": "linear", "list": page, "nextPageCursor": cursor}


def _trades(market: Market) -> Iterator[dict[str, Any]]:
    """The raw trades, newest first."""
    i = market.instrument
    for deal in reversed(market.deals):
        for number in range(deal.last_id, deal.first_id - 1, -1):
            yield {
                "execId": trade_id(i.symbol, number),
                "symbol": i.symbol,
                "price": i.price_text(deal.price),
                "size": i.quantity_text(deal.fills[number - deal.first_id]),
                "side": "Sell" if deal.seller else "Buy",
                "time": str(deal.time_ms),
                "isBlockTrade": False,
                "isRPITrade": False,
                "seq": str(deal.update_id),
            }


def _instrument(i: MarketInstrument) -> dict[str, Any]:
    coin = "USDT" if i.symbol.endswith("USDT") else "USDC"
    step, most = i.quantity_text(1), i.quantity_text(i.lot * 1000)
    return {
        "symbol": i.symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": i.symbol.removesuffix(coin),
        "quoteCoin": coin,
        "launchTime": "1584230400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(i.price_digits),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": i.price_text(i.tick), "maxPrice": i.price_text(i.price * 50), "tickSize": i.price_text(i.tick),
        },
        "lotSizeFilter": {
            "maxOrderQty": most, "minOrderQty": step, "qtyStep": step, "postOnlyMaxOrderQty": most,
            "maxMktOrderQty": most, "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": FUNDING_HOURS * 60,
        "settleCoin": coin,
    }  # fmt: skip


def _page(rows: list[dict[str, Any]], query: Query, limit: int) -> tuple[list[dict[str, Any]], str]:
    """The rows from the cursor on and the cursor of the next page, empty after the last one."""
    word, _, begin = unquote(query.get("cursor", "") or "from=0").partition("=")
    if word != "from" or not (begin.isascii() and begin.isdecimal() and len(begin) < 10):
        _refuse(PARAMETER, "params error: cursor")
    end = int(begin) + limit
    return rows[int(begin) : end], quote(f"from={end}", safe="") if end < len(rows) else ""


def _range(query: Query, start: str, end: str) -> Callable[[int], bool]:
    first, last = _number(query, start), _number(query, end)
    return lambda ms: (first is None or ms >= first) and (last is None or ms <= last)


def _number(query: Query, name: str) -> int | None:
    value = query.get(name, "")
    if not value:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) < 19):
        _refuse(PARAMETER, f"params error: {name}")
    return int(value)


def _limit(query: Query, default: int, most: int) -> int:
    limit = _number(query, "limit")
    if limit is None:
        return default
    return limit if 1 <= limit <= most else _refuse(PARAMETER, "params error: limit")


def _refuse(code: int, message: str) -> NoReturn:
    raise _Refused(code, message)
