"""Hyperliquid: channels, frames, requests and POST /info as documented.

A request is about one stream and its answer repeats it, with what was left out filled in; an unknown coin ends the
connection without a word. Trades begin with the newest thirty, books are whole each time, every 5 s or (``fast``) every
0.5 s, contexts have no time. Over REST an unknown coin is ``null``, a wrong request is text.
"""

from http import HTTPStatus
from itertools import islice
from typing import Any, Final

import msgspec

from wsadapter.embedded.exchange.connection import Manners, VenueLimits
from wsadapter.embedded.exchange.dialect import Dialect, declared
from wsadapter.embedded.exchange.recorded_events import Reading, at, one, says
from wsadapter.embedded.exchange.requests import Ask, Requests, Say, Unknown
from wsadapter.embedded.market.candles import Candle, close_ms
from wsadapter.embedded.market.channels import (
    BestPrices,
    BookChange,
    Books,
    Candles,
    DeclaredStream,
    Print,
    States,
    Trades,
)
from wsadapter.embedded.market.instruments import MarketInstrument
from wsadapter.embedded.market.market import MARK_DIGITS, Market
from wsadapter.embedded.market.rest import RestReply
from wsadapter.embedded.market.rest_tables import Desk, Refused, RestPaths, raw, refuse

CODES: Final = {
    code: code for code in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d", "3d", "1w", "1M")
}
RECENT, RECENT_OVER_REST = 30, 10
LEVELS, FAST_LEVELS = 20, 5
MOST_CANDLES: Final = 5000
NOBODY: Final = "0x1111111111111111111111111111111111111111"

# ---------------------------------------------------------------------------------------------------------- frames


def message(channel: str, data: str) -> str:
    return f'{{"channel":"{channel}","data":{data}}}'


def tid(p: Print) -> int:
    """A hash: in no order."""
    return p.number * 0x9E3779B97F4A7 % 2**50


def trade(i: MarketInstrument, p: Print) -> str:
    return (
        f'{{"coin":"{i.symbol}","side":"{"A" if p.seller else "B"}","px":"{i.price_text(p.price)}",'
        f'"sz":"{i.quantity_text(p.quantity)}","time":{p.time_ms},"hash":"0x{p.number:064x}","tid":{tid(p)},'
        f'"users":["{NOBODY}","{NOBODY}"]}}'
    )


def trades(s: DeclaredStream, prints: list[Print], now_ms: int) -> str:
    return message("trades", f"[{','.join(trade(s.i, p) for p in prints)}]")


def level(i: MarketInstrument, price: int, quantity: int) -> str:
    return f'{{"px":"{i.price_text(price)}","sz":"{i.quantity_text(quantity)}","n":{quantity % 7 + 1}}}'


def sides(i: MarketInstrument, *levels: Any) -> str:
    return f"[{','.join('[' + ','.join(level(i, p, q) for p, q in side) + ']' for side in levels)}]"


def book(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    fast = ',"fast":true' if s.name.startswith("l2BookFast") else ""
    levels = sides(s.i, change.bids, change.asks)
    return message("l2Book", f'{{"coin":"{s.symbol}","time":{change.time_ms},"levels":{levels}{fast}}}')


def best(s: DeclaredStream, touch: tuple[int, int, int, int], at_ms: int, now_ms: int) -> str:
    bid, bid_quantity, ask, ask_quantity = touch
    bbo = f"[{level(s.i, bid, bid_quantity)},{level(s.i, ask, ask_quantity)}]"
    return message("bbo", f'{{"coin":"{s.symbol}","time":{at_ms},"bbo":{bbo}}}')


def candle(i: MarketInstrument, one: Candle, interval: str) -> str:
    prices = {"o": one.open, "c": one.close, "h": one.high, "l": one.low}
    told = ",".join(f'"{name}":"{i.price_text(price)}"' for name, price in prices.items())
    return (
        f'{{"t":{one.open_ms},"T":{close_ms(interval, one.open_ms)},"s":"{i.symbol}","i":"{interval}",{told},'
        f'"v":"{i.quantity_text(one.volume)}","n":{one.trades}}}'
    )


def candles(s: DeclaredStream, one: Candle, is_closed: bool, now_ms: int) -> str:
    return message("candle", candle(s.i, one, s.interval))


def rate(market: Market, now_ms: int) -> str:
    return market.mark(now_ms).rate


def context(s: DeclaredStream, now_ms: int) -> str:
    i, mark, day = s.i, s.market.mark(now_ms), s.market.candles.day()
    scale = 10 ** (MARK_DIGITS - i.price_digits)
    bid, _, ask, _ = s.market.book.top()
    middle = i.price_text((bid + ask) // 2)
    ctx = (
        f'{{"funding":"{mark.rate}","openInterest":"{i.quantity_text(s.market.open_interest())}",'
        f'"prevDayPx":"{i.price_text(day.open)}","dayNtlVlm":"{i.quote_text(day.quote)}","premium":"-0.0006413454",'
        f'"oraclePx":"{i.price_text(mark.index // scale)}","markPx":"{i.price_text(mark.price // scale)}",'
        f'"midPx":"{middle}","impactPxs":["{i.price_text(bid)}","{i.price_text(ask)}"],'
        f'"dayBaseVlm":"{i.quantity_text(day.volume)}"}}'
    )
    return message("activeAssetCtx", f'{{"coin":"{s.symbol}","ctx":{ctx}}}')


CHANNELS: Final = (
    Trades(name="trades:{symbol}", frame=trades, first=trades, recent=RECENT, once=True),
    Books(name="l2Book:{symbol}", frame=book, levels=LEVELS, every_ms=5000, whole=True),
    Books(name="l2BookFast:{symbol}", frame=book, levels=FAST_LEVELS, every_ms=500, whole=True),
    Candles(name="candle:{interval}:{symbol}", frame=candles, codes=CODES, by_successor=True),
    States(name="activeAssetCtx:{symbol}", frame=context, words=("mark_price", "open_interest"),
           once={"funding_rate": rate}, begins=True),
    BestPrices(name="bbo:{symbol}", frame=best, begins=True),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- requests


def read(document: Any, connection_id: str) -> Ask | Say:
    method = document["method"]
    if method == "ping":
        return Say(['{"channel":"pong"}'])
    if method not in ("subscribe", "unsubscribe"):
        return refused(document)
    asked = document["subscription"]
    kind, coin = asked["type"], asked["coin"]
    if kind not in ("trades", "l2Book", "bbo", "candle", "activeAssetCtx") or not isinstance(coin, str):
        return refused(document)
    name = f"{'l2BookFast' if kind == 'l2Book' and asked.get('fast') else kind}:{coin}"
    if kind == "candle":
        name = f"candle:{asked['interval']}:{coin}"
    filled = {"nSigFigs": None, "mantissa": None, "fast": bool(asked.get("fast"))} if kind == "l2Book" else {}
    return Ask((name,), method == "subscribe", arguments=({**asked, **filled},))


def refused(document: Any) -> Say:
    request = msgspec.json.encode(document).decode()
    return Say([problem(f"Error parsing JSON into valid websocket request: {request}")])


def problem(text: str) -> str:
    return message("error", msgspec.json.encode(text).decode())


def replies(
    ask: Ask, taken: tuple[str, ...], bad: tuple[str, ...], standing: tuple[str, ...], connection_id: str
) -> list[str]:
    if bad:
        return []
    said = {"method": "subscribe" if ask.begin else "unsubscribe", "subscription": ask.arguments[0]}
    return [message("subscriptionResponse", msgspec.json.encode(said).decode())]


REQUESTS: Final = Requests(
    read=read,
    replies=replies,
    malformed=lambda connection_id: Say([problem("Error parsing JSON into valid websocket request")]),
    unknown=Unknown.CLOSES,
    close_code=1000,
    most=1,
)

# ---------------------------------------------------------------------------------------------------------- REST


def candle_snapshot(desk: Desk) -> list[Any]:
    market, interval, inside = desk.market("coin"), desk.interval(CODES), desk.inside("startTime", "endTime")
    desk.text("startTime")
    rows = islice((c for c in desk.candles(market, interval) if inside(c.open_ms) and c.trades), MOST_CANDLES)
    return [raw(candle(market.instrument, c, interval)) for c in rows][::-1]


def recent_trades(desk: Desk) -> list[Any]:
    market = desk.market("coin")
    return [raw(trade(market.instrument, p)) for p in islice(desk.prints(market), RECENT_OVER_REST)]


def funding_history(desk: Desk) -> list[Any]:
    market = desk.market("coin")
    desk.text("startTime")
    rows = desk.fundings(market, desk.inside("startTime", "endTime"), 500)[::-1]
    return [
        {"coin": market.symbol, "fundingRate": rate, "premium": "0.00031774", "time": at_ms} for at_ms, rate in rows
    ]


def l2_book(desk: Desk) -> Any:
    market = desk.market("coin")
    levels = sides(market.instrument, *market.book.levels(LEVELS))
    return raw(f'{{"coin":"{market.symbol}","time":{market.book.time_ms},"levels":{levels}}}')


def meta(desk: Desk) -> dict[str, Any]:
    universe = [
        {"szDecimals": m.instrument.quantity_digits, "name": m.symbol, "maxLeverage": 40, "marginTableId": 54}
        for m in desk.markets()
    ]
    return {"universe": universe, "collateralToken": 0}


def spot_meta(desk: Desk) -> dict[str, Any]:
    usdc = {"name": "USDC", "szDecimals": 8, "weiDecimals": 8, "index": 0, "tokenId": "0x6d1e", "isCanonical": True}
    return {"tokens": [usdc], "universe": []}


def meta_and_contexts(desk: Desk) -> list[Any]:
    """The contexts are in the order of the universe."""
    contexts = [
        {"dayNtlVlm": i.quote_text(day.quote), "dayBaseVlm": i.quantity_text(day.volume), "markPx":
         i.price_text(day.close), "prevDayPx": i.price_text(day.open)}
        for i, day in desk.days()
    ]  # fmt: skip
    return [meta(desk), contexts]


def spot_meta_and_contexts(desk: Desk) -> list[Any]:
    return [spot_meta(desk), []]


ASKED: Final = {
    "candleSnapshot": candle_snapshot, "recentTrades": recent_trades, "fundingHistory": funding_history,
    "l2Book": l2_book, "meta": meta, "spotMeta": spot_meta,
    "metaAndAssetCtxs": meta_and_contexts, "spotMetaAndAssetCtxs": spot_meta_and_contexts,
}  # fmt: skip


def info(desk: Desk) -> Any:
    asked = ASKED.get(desk.text("type")) or refuse("parameter", "type")
    return asked(desk)


def error(found: Refused, now_ms: int) -> RestReply:
    if found.kind == "symbol":
        return RestReply(HTTPStatus.INTERNAL_SERVER_ERROR, b"null")
    return RestReply(HTTPStatus.UNPROCESSABLE_ENTITY, b"Failed to deserialize the JSON body into the target type")


REST: Final = RestPaths(paths={"/info": info}, error=error, requests=60, window_ms=60_000)

# -------------------------------------------------------------------------------------------------- recorded messages


def recorded_stream(message: Any) -> str:
    """Of the first element; books of both speeds come on one channel."""
    channel, row = message["channel"], message["data"]
    row = row[0] if isinstance(row, list) else row
    if channel == "candle":
        return f"candle:{row['i']}:{row['s']}"
    return f"{'l2BookFast' if row.get('fast') else channel}:{row['coin']}"


RECORDED: Final = (
    Reading(name="trades:{symbol}", rows="data", symbol="coin", words=("trade",), identity="tid"),
    *(Reading(name=f"{name}:{{symbol}}", rows="data", words=("depth",)) for name in ("l2Book", "l2BookFast")),
    Reading(name="candle:{interval}:{symbol}", rows="data", words=("kline",), codes=CODES, opens="t"),
    Reading(name="activeAssetCtx:{symbol}", rows="data",
            words={"mark_price": one, "open_interest": says("ctx.openInterest")},
            once={"funding_rate": lambda row: at(row, "ctx.funding")}),
    Reading(name="bbo:{symbol}", rows="data", words=("book_ticker",)),
)  # fmt: skip


INFO: Final[Dialect] = declared(
    routes={"/ws": ""},
    symbol=r"[A-Za-z0-9]{1,12}(:[A-Za-z0-9]{1,12})?|@[0-9]{1,4}|[A-Z0-9]{1,12}/[A-Z0-9]{1,8}",
    channels=CHANNELS,
    requests=REQUESTS,
    rest=REST,
    limits=VenueLimits(ping_interval=0, silence=60.0, life=0, messages=0, streams=1000),
    manners=Manners(hello=lambda now_ms: ["Websocket connection established."]),
    stream_of=recorded_stream,
    recorded=RECORDED,
)
