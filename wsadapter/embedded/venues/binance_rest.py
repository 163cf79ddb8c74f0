"""What the REST sides of Binance's markets have in common, as documented. Lists are oldest first.

``unit``: of the times in answers, in parts of a millisecond (1000 where microseconds are asked for).
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, TypeVar

from wsadapter.embedded.market.candles import INTERVALS, Candle, close_ms
from wsadapter.embedded.market.channels import Print
from wsadapter.embedded.market.instruments import MarketInstrument
from wsadapter.embedded.market.rest import RestReply
from wsadapter.embedded.market.rest_tables import Desk, Refused, reply

T = TypeVar("T")
CODES: Final = {code: code for code in INTERVALS}
ERRORS: Final = {
    "symbol": (-1121, "Invalid symbol."),
    "missing": (-1102, "Mandatory parameter '{}' was not sent, was empty/null, or malformed."),
    "interval": (-1120, "Invalid interval."),
    "parameter": (-1130, "Data sent for parameter '{}' is not valid."),
    "hours": (-1127, "More than 1 hours between startTime and endTime."),
}


def error(refused: Refused, now_ms: int) -> RestReply:
    code, message = ERRORS[refused.kind]
    return reply({"code": code, "msg": message.format(refused.message)}, HTTPStatus.BAD_REQUEST)


def too_many(limit: int) -> RestReply:
    text = f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE."
    return RestReply(
        HTTPStatus.TOO_MANY_REQUESTS, reply({"code": -1003, "msg": text}).body, (("Retry-After", "1"),)
    )  # fmt: skip


def cut(found: Sequence[T], limit: int, from_start: bool) -> Sequence[T]:
    """The first ones, or the newest."""
    return found[:limit] if from_start else found[-limit:]


def candle_row(i: MarketInstrument, interval: str, c: Candle, unit: int, quotes: tuple[str, str]) -> list[Any]:
    """``quotes``: turnover, and that of the takers who bought."""
    closes = (close_ms(interval, c.open_ms) + 1) * unit - 1
    prices = map(i.price_text, (c.open, c.high, c.low, c.close))
    volume, bought = i.quantity_text(c.volume), i.quantity_text(c.buy_volume)
    return [c.open_ms * unit, *prices, volume, closes, quotes[0], c.trades, bought, quotes[1], "0"]


def candles(desk: Desk, most: int, keeps_newest: bool) -> tuple[str, Sequence[Candle]]:
    """Interval, and what was asked for; ``keeps_newest``: of a range that holds more, those before its end."""
    market, interval = desk.market(), desk.interval(CODES)
    inside, limit = desk.inside("startTime", "endTime"), desk.limit(500, most)
    found = [c for c in reversed(desk.candles(market, interval)) if inside(c.open_ms)]
    from_start = bool(desk.query.get("startTime")) and not (keeps_newest and desk.query.get("endTime"))
    return interval, cut(found, limit, from_start)


def agg_trades(desk: Desk, unit: int = 1, hours: int = 0, **more: Any) -> list[dict[str, Any]]:
    """``hours``: how long a range of times may be."""
    market, first = desk.market(), desk.number("fromId")
    start, end = desk.number("startTime"), desk.number("endTime")
    if hours and start is not None and end is not None and end - start >= hours * 3_600_000:
        raise Refused("hours")
    inside, i = desk.inside("startTime", "endTime"), market.instrument
    found = [
        p for p in desk.prints(market, True) if inside(p.time_ms) and (first is None or p.aggregate_id >= first)
    ][::-1]  # fmt: skip
    prints: Sequence[Print] = cut(found, desk.limit(500, 1000), first is not None or start is not None)
    return [
        {
            "a": p.aggregate_id, "p": i.price_text(p.price), "q": i.quantity_text(p.quantity),
            "f": p.number - p.fills + 1, "l": p.number, "T": p.time_ms * unit, "m": p.seller, **more,
        }
        for p in prints
    ]  # fmt: skip


def levels(desk: Desk, default: int, most: int) -> dict[str, Any]:
    market = desk.market()
    i, book = market.instrument, market.book
    bids, asks = ([[i.price_text(p), i.quantity_text(q)] for p, q in side] for side in book.levels(
        desk.limit(default, most)
    ))  # fmt: skip
    return {"lastUpdateId": book.update_id, "bids": bids, "asks": asks}


def traded(desk: Desk, symbols: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    weights = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": limit}
    return {"timezone": "UTC", "serverTime": desk.now_ms, "rateLimits": [weights], "exchangeFilters": [],
            "symbols": symbols}  # fmt: skip


def filters(i: MarketInstrument) -> list[dict[str, Any]]:
    tick, step = i.price_text(i.tick), i.quantity_text(1)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": i.price_text(i.price * 50), "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": i.quantity_text(i.lot * 1000), "stepSize": step},
    ]
