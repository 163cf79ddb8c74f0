"""Bybit v5 over REST, of all three markets, as documented.

Errors are HTTP 200 with a ``retCode``, lists are newest first, a missing category means linear.
"""

from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Any, Final
from urllib.parse import quote, unquote

from msgspec import Struct

from wsadapter.embedded.market.channels import BookStream, Print
from wsadapter.embedded.market.instruments import MarketInstrument, text
from wsadapter.embedded.market.market import FUNDING_MS
from wsadapter.embedded.market.rest import RestReply
from wsadapter.embedded.market.rest_tables import Desk, Refused, RestPaths, refuse, reply

CODES: Final = {
    "1": "1m", "3": "3m", "5": "5m", "15": "15m", "30": "30m", "60": "1h", "120": "2h", "240": "4h", "360": "6h",
    "720": "12h", "D": "1d", "W": "1w", "M": "1M",
}  # fmt: skip
DEEPEST: Final = 1000
FUNDING_HOURS: Final = FUNDING_MS // 3_600_000
REQUEST_LIMIT: Final = 600
INTEREST_KEPT_MS: Final = 30 * 86_400_000
MINUTE: Final = 60_000
INTEREST_TIMES: Final = {
    "5min": 5 * MINUTE, "15min": 15 * MINUTE, "30min": 30 * MINUTE, "1h": 60 * MINUTE, "4h": 240 * MINUTE,
    "1d": 1440 * MINUTE,
}  # fmt: skip


class Category(Struct, frozen=True):
    """One of the three markets; ``trades``: default and most rows of recent trades."""

    name: str
    trades: tuple[int, int] = (500, 1000)

    @property
    def is_spot(self) -> bool:
        return self.name == "spot"


LINEAR_CATEGORY: Final = Category("linear")
INVERSE_CATEGORY: Final = Category("inverse")
SPOT_CATEGORY: Final = Category("spot", (60, 60))


def spot_id(p: Print) -> str:
    """A number that rises, not by one."""
    return str(2_240_000_000_000_000_000 + 7 * p.number)


def listed(c: Category, desk: Desk, rows: list[Any], **more: Any) -> dict[str, Any]:
    if desk.query.get("category", "linear") != c.name:
        refuse("category", "Illegal category")
    return {**more, "category": c.name, "list": rows}


def klines(c: Category, desk: Desk) -> dict[str, Any]:
    market, interval = desk.market(), desk.interval(CODES)
    inside, limit, i = desk.inside("start", "end"), desk.limit(200, 1000), market.instrument
    rows = [
        [str(k.open_ms), *map(i.price_text, (k.open, k.high, k.low, k.close)), i.quantity_text(k.volume),
         i.quote_text(k.quote)]
        for k in islice((k for k in desk.candles(market, interval) if inside(k.open_ms)), limit)
    ]  # fmt: skip
    return listed(c, desk, rows, symbol=market.symbol)


def recent_trade(c: Category, desk: Desk) -> dict[str, Any]:
    market, i = desk.market(), desk.market().instrument
    rows = [
        {
            "execId": spot_id(p) if c.is_spot else p.uuid(market.symbol), "symbol": market.symbol,
            "price": i.price_text(p.price), "size": i.quantity_text(p.quantity),
            "side": "Sell" if p.seller else "Buy", "time": str(p.time_ms), "isBlockTrade": False, "isRPITrade": False,
            "seq": str(p.update_id),
        }
        for p in islice(desk.prints(market), desk.limit(*c.trades))
    ]  # fmt: skip
    return listed(c, desk, rows)


def book(c: Category, desk: Desk) -> dict[str, Any]:
    market, i = desk.market(), desk.market().instrument
    sides = market.book.levels(desk.limit(1 if c.is_spot else 25, 1000))
    bids, asks = ([[i.price_text(p), i.quantity_text(q)] for p, q in side] for side in sides)
    deepest = market.streams.get(f"orderbook.{DEEPEST}.{market.symbol}")
    number = deepest.number if isinstance(deepest, BookStream) else desk.now_ms
    times = {"ts": desk.now_ms, "u": number, "seq": market.book.update_id, "cts": market.book.time_ms}
    return {"s": market.symbol, "b": bids, "a": asks, **times}


def funding_history(c: Category, desk: Desk) -> dict[str, Any]:
    market, limit = desk.market(), desk.limit(200, 200)
    if desk.query.get("startTime") and not desk.query.get("endTime"):
        refuse("parameter", "startTime without endTime")
    rows = [
        {"symbol": market.symbol, "fundingRate": rate, "fundingRateTimestamp": str(at_ms)}
        for at_ms, rate in desk.fundings(market, desk.inside("startTime", "endTime"), limit)
    ]
    return listed(c, desk, rows)


def open_interest(c: Category, desk: Desk) -> dict[str, Any]:
    market, limit = desk.market(), desk.limit(50, 200)
    every_ms = INTEREST_TIMES.get(desk.text("intervalTime")) or refuse("parameter", "intervalTime")
    inside, last, i = desk.inside("startTime", "endTime"), desk.now_ms // every_ms, market.instrument
    times = (number * every_ms for number in range(last, last - INTEREST_KEPT_MS // every_ms, -1))
    # a full minute has no trades yet: what the market says of its open interest at any of them
    interest = market.open_interest() - market.candles.minute.volume
    both, one = i.quantity_text(interest), i.quantity_text(interest // 2)
    rows = [
        {"openInterest": both, "singleOpenInterest": one, "timestamp": str(at_ms)} for at_ms in filter(inside, times)
    ]
    return paged(c, desk, rows, limit, symbol=market.symbol)


def instruments_info(c: Category, desk: Desk) -> dict[str, Any]:
    """Spot knows no pages."""
    found = [desk.market()] if desk.query.get("symbol") else desk.markets()
    spelled = pair if c.is_spot else contract
    rows = [spelled(one.instrument) for one in found if desk.text("status", "Trading") == "Trading"]
    return listed(c, desk, rows) if c.is_spot else paged(c, desk, rows, desk.limit(500, 1000))


def tickers(c: Category, desk: Desk) -> dict[str, Any]:
    rows = [
        {
            "symbol": i.symbol, "lastPrice": i.price_text(day.close), "prevPrice24h": i.price_text(day.open),
            "highPrice24h": i.price_text(day.high), "lowPrice24h": i.price_text(day.low),
            "volume24h": i.quantity_text(day.volume), "turnover24h": i.quote_text(day.quote),
        }
        for i, day in desk.days()
    ]  # fmt: skip
    return listed(c, desk, rows)


def paged(c: Category, desk: Desk, rows: list[dict[str, Any]], limit: int, **more: Any) -> dict[str, Any]:
    """With the cursor of the next page, empty after the last one."""
    word, _, begin = unquote(desk.text("cursor", "from=0")).partition("=")
    if word != "from" or not (begin.isascii() and begin.isdecimal() and len(begin) < 10):
        refuse("parameter", "cursor")
    page, following = desk.page(rows, limit, int(begin))
    cursor = "" if following is None else quote(f"from={following}", safe="")
    return listed(c, desk, page, **more) | {"nextPageCursor": cursor}


def coins(i: MarketInstrument) -> tuple[str, str]:
    """Base and quote."""
    quoted = next(coin for coin in ("USDT", "USDC", "USD", i.symbol) if i.symbol.endswith(coin))
    return i.symbol.removesuffix(quoted), quoted


def named(i: MarketInstrument) -> dict[str, Any]:
    base, quoted = coins(i)
    return {"symbol": i.symbol, "status": "Trading", "baseCoin": base, "quoteCoin": quoted}


def contract(i: MarketInstrument) -> dict[str, Any]:
    base, quoted = coins(i)
    step, most = i.quantity_text(1), i.quantity_text(i.lot * 1000)
    return {
        **named(i),
        "contractType": "InversePerpetual" if quoted == "USD" else "LinearPerpetual",
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
        "settleCoin": base if quoted == "USD" else quoted,
    }  # fmt: skip


def pair(i: MarketInstrument) -> dict[str, Any]:
    step = i.quantity_text(1)
    return {
        **named(i),
        "innovation": "0",
        "marginTrading": "utaOnly",
        "lotSizeFilter": {
            "basePrecision": step, "quotePrecision": text(1, i.quote_digits), "minOrderQty": step,
            "maxOrderQty": i.quantity_text(i.lot * 1000), "minOrderAmt": "5", "maxOrderAmt": "1000000",
        },
        "priceFilter": {"tickSize": i.price_text(i.tick)},
    }  # fmt: skip


def body(result: Any, now_ms: int, code: int = 0, message: str = "OK") -> dict[str, Any]:
    return {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now_ms}


def error(refused: Refused, now_ms: int) -> RestReply:
    if refused.kind == "symbol":
        return reply(body({}, now_ms, 10029, "symbol is invalid"))
    message = {"category": "Illegal category", "interval": "Invalid period!"}.get(refused.kind)
    return reply(body({}, now_ms, 10001, message or f"params error: {refused.message}"))


COMMON_PATHS: Final = {
    "kline": klines, "recent-trade": recent_trade, "orderbook": book, "instruments-info": instruments_info,
    "tickers": tickers,
}  # fmt: skip
CONTRACT_PATHS: Final = {"funding/history": funding_history, "open-interest": open_interest}


def clock(desk: Desk) -> dict[str, str]:
    return {"timeSecond": str(desk.now_ms // 1000), "timeNano": str(desk.now_ms * 1_000_000)}


def rest(c: Category) -> RestPaths:
    paths = COMMON_PATHS if c.is_spot else {**COMMON_PATHS, **CONTRACT_PATHS}
    return RestPaths(
        paths={
            "/v5/market/time": clock,
            **{f"/v5/market/{path}": partial(function, c) for path, function in paths.items()},
        },
        body=body,
        error=error,
        requests=REQUEST_LIMIT,
        window_ms=5_000,
        too_many=RestReply(HTTPStatus.FORBIDDEN, b"access too frequent"),
    )
