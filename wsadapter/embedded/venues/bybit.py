"""Bybit v5, linear perpetuals: topics, frames, requests and REST as documented.

Trades have UUIDs; books and tickers begin with a snapshot for each new subscriber and go on with what has changed,
level 1 of the book is always a snapshot. (The re-push of an unchanged level 1 after three seconds is left out: here the
best prices never rest so long.) One topic that nobody handles voids its whole request, ``req_id`` comes back as text,
and the first data of new topics goes out before the ack, as the venue often does. REST errors are HTTP 200 with a
``retCode``, lists are newest first, a missing category means linear.
"""

from http import HTTPStatus
from itertools import islice
from operator import itemgetter
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from wsadapter.embedded.exchange.connection import VenueLimits
from wsadapter.embedded.exchange.dialect import Dialect, declared
from wsadapter.embedded.exchange.requests import Ask, Requests, Say
from wsadapter.embedded.market.candles import Candle, close_ms
from wsadapter.embedded.market.channels import (
    BookChange,
    Books,
    BookStream,
    Candles,
    Changing,
    DeclaredStream,
    Liquidations,
    Print,
    Trades,
    level_texts,
)
from wsadapter.embedded.market.instruments import MarketInstrument, text
from wsadapter.embedded.market.market import FUNDING_MS, MARK_DIGITS
from wsadapter.embedded.market.rest import RestReply
from wsadapter.embedded.market.rest_tables import Desk, Refused, RestPaths, refuse, reply
from wsadapter.embedded.market.streams import Liquidated

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

# ---------------------------------------------------------------------------------------------------------- frames


def enveloped(topic: str, kind: str, now_ms: int, data: str) -> str:
    return f'{{"topic":"{topic}","type":"{kind}","ts":{now_ms},"data":{data}'


def tick_direction(s: DeclaredStream) -> str:
    tick = s.market.tick
    return f"{'Zero' if tick.same else ''}{'Plus' if tick.up else 'Minus'}Tick"


def public_trade(s: DeclaredStream, prints: list[Print], now_ms: int) -> str:
    direction = tick_direction(s)
    trades = ",".join(
        f'{{"T":{p.time_ms},"s":"{s.symbol}","S":"{"Sell" if p.seller else "Buy"}",'
        f'"v":"{s.i.quantity_text(p.quantity)}","p":"{s.i.price_text(p.price)}","L":"{direction}","i":"{p.uuid(s.symbol)}","BT":false,"RPI":false,'
        f'"seq":{p.update_id}}}'
        for p in prints
    )
    return enveloped(s.name, "snapshot", now_ms, f"[{trades}]}}")


def orderbook(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    """A level that is gone has the quantity 0, without digits."""
    bids, asks = (level_texts(s, side, gone="0") for side in (change.bids, change.asks))
    data = f'{{"s":"{s.symbol}","b":[{bids}],"a":[{asks}],"u":{change.number},"seq":{change.update_id}}}'
    return enveloped(s.name, kind(change.is_snapshot), now_ms, f'{data},"cts":{change.time_ms}}}')


def kind(is_snapshot: bool) -> str:
    return "snapshot" if is_snapshot else "delta"


def kline(s: DeclaredStream, candle: Candle, is_closed: bool, now_ms: int) -> str:
    deals = s.market.deals
    traded_ms = deals[-1].time_ms if deals else candle.open_ms
    prices = {"open": candle.open, "close": candle.close, "high": candle.high, "low": candle.low}
    told = ",".join(f'"{name}":"{s.i.price_text(price)}"' for name, price in prices.items())
    data = (
        f'[{{"start":{candle.open_ms},"end":{close_ms(s.interval, candle.open_ms)},"interval":"{s.code}",{told},'
        f'"volume":"{s.i.quantity_text(candle.volume)}","turnover":"{s.i.quote_text(candle.quote)}",'
        f'"confirm":{"true" if is_closed else "false"},"timestamp":{traded_ms}}}]}}'
    )
    return enveloped(s.name, "snapshot", now_ms, data)


def ticker_fields(s: DeclaredStream, now_ms: int) -> dict[str, str]:
    """All but the symbol."""
    i, market = s.i, s.market
    mark, day = market.mark(now_ms), market.candles.day()
    scale = 10 ** (MARK_DIGITS - i.price_digits)
    hour = market.candles.closed["1m"]
    bid, bid_quantity, ask, ask_quantity = market.book.top()
    interest, mark_price = market.open_interest(), mark.price // scale
    return {
        "tickDirection": tick_direction(s),
        "price24hPcnt": text((day.close - day.open) * 1_000_000 // day.open, 6),
        "lastPrice": i.price_text(day.close),
        "prevPrice24h": i.price_text(day.open),
        "highPrice24h": i.price_text(day.high),
        "lowPrice24h": i.price_text(day.low),
        "prevPrice1h": i.price_text(hour[-60].open if len(hour) >= 60 else day.open),
        "markPrice": i.price_text(mark_price),
        "indexPrice": i.price_text(mark.index // scale),
        "openInterest": i.quantity_text(interest),
        "openInterestValue": i.quote_text(interest * mark_price),
        "turnover24h": i.quote_text(day.quote),
        "volume24h": i.quantity_text(day.volume),
        "fundingIntervalHour": str(FUNDING_HOURS),
        "fundingCap": "0.005",
        "singleOpenInterest": i.quantity_text(interest // 2),
        "singleOpenInterestValue": i.quote_text(interest // 2 * mark_price),
        "nextFundingTime": str(mark.next_funding_ms),
        "fundingRate": mark.rate,
        "bid1Price": i.price_text(bid),
        "bid1Size": i.quantity_text(bid_quantity),
        "ask1Price": i.price_text(ask),
        "ask1Size": i.quantity_text(ask_quantity),
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


def tickers(s: Any, is_snapshot: bool, fields: dict[str, str], now_ms: int) -> str:
    told = "".join(f',"{key}":"{value}"' for key, value in fields.items())
    return (
        f'{{"topic":"{s.name}","type":"{kind(is_snapshot)}","data":{{"symbol":"{s.symbol}"{told}}},"cs":{s.update_id},'
        f'"ts":{now_ms}}}'
    )


def all_liquidation(s: DeclaredStream, order: Liquidated, now_ms: int) -> str:
    """``S`` is the side of the position: Buy when a long was closed; ``p`` the bankruptcy price."""
    data = (
        f'[{{"T":{order.time_ms},"s":"{s.symbol}","S":"{"Buy" if order.sell else "Sell"}",'
        f'"v":"{s.i.quantity_text(order.quantity)}","p":"{s.i.price_text(order.price)}"}}]}}'
    )
    return enveloped(s.name, "snapshot", now_ms, data)


TOLD: Final = {
    "ticker": frozenset(
        ("lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h", "volume24h", "turnover24h"),
    ),
    "mark_price": frozenset(("markPrice", "indexPrice")),
    "funding_rate": frozenset(("fundingRate", "nextFundingTime")),
    "open_interest": frozenset(("openInterest",)),
    "book_ticker": frozenset(("bid1Price", "bid1Size", "ask1Price", "ask1Size")),
}
CHANNELS: Final = (
    Trades(name="publicTrade.{symbol}", frame=public_trade),
    Books(name="orderbook.{levels}.{symbol}", frame=orderbook, speeds={1: 10, 50: 20, 200: 100, DEEPEST: 200}),
    Candles(name="kline.{interval}.{symbol}", frame=kline, codes=CODES),
    Changing(name="tickers.{symbol}", frame=tickers, fields=ticker_fields, told=TOLD),
    Liquidations(name="allLiquidation.{symbol}", frame=all_liquidation),
)

# ---------------------------------------------------------------------------------------------------------- requests


def read(document: Any, connection_id: str) -> Ask | Say:
    op, number = document.get("op"), document.get("req_id", "")
    number = str(number) if isinstance(number, str | int) else ""
    if op == "ping":
        return Say([answer(True, "pong", number, op, connection_id)])
    if op not in ("subscribe", "unsubscribe"):
        return refusal(op if isinstance(op, str) else "", number, "error:unknown op", connection_id)
    topics = document.get("args")
    if not isinstance(topics, list) or not topics or not all(isinstance(topic, str) for topic in topics):
        return refusal(op, number, "error:args must be a list of topics", connection_id)
    return Ask(tuple(topics), op == "subscribe", number)


def replies(
    ask: Ask, taken: tuple[str, ...], bad: tuple[str, ...], standing: tuple[str, ...], connection_id: str
) -> list[str]:
    message = f"error:handler not found,topic:{bad[0]}" if bad else ""
    return [answer(not bad, message, ask.id, "subscribe" if ask.begin else "unsubscribe", connection_id)]


def refusal(op: str, number: str, message: str, connection_id: str) -> Say:
    return Say([answer(False, message, number, op, connection_id)])


def answer(success: bool, message: str, number: str, op: str, connection_id: str) -> str:
    fields = {"success": success, "ret_msg": message, "conn_id": connection_id, "req_id": number, "op": op}
    return msgspec.json.encode(fields).decode()


REQUESTS: Final = Requests(
    read=read,
    replies=replies,
    malformed=lambda connection_id: refusal("", "", "error:request is not a JSON object", connection_id),
    data_first=True,
    characters=21_000,
)

# ---------------------------------------------------------------------------------------------------------- REST


def listed(desk: Desk, rows: list[Any], **more: Any) -> dict[str, Any]:
    if desk.query.get("category", "linear") != "linear":
        refuse("category", "Illegal category")
    return {**more, "category": "linear", "list": rows}


def klines(desk: Desk) -> dict[str, Any]:
    market, interval = desk.market(), desk.interval(CODES)
    inside, limit, i = desk.inside("start", "end"), desk.limit(200, 1000), market.instrument
    rows = [
        [str(c.open_ms), *map(i.price_text, (c.open, c.high, c.low, c.close)), i.quantity_text(c.volume),
         i.quote_text(c.quote)]
        for c in islice((c for c in desk.candles(market, interval) if inside(c.open_ms)), limit)
    ]  # fmt: skip
    return listed(desk, rows, symbol=market.symbol)


def recent_trade(desk: Desk) -> dict[str, Any]:
    market, i = desk.market(), desk.market().instrument
    rows = [
        {
            "execId": p.uuid(market.symbol), "symbol": market.symbol, "price": i.price_text(p.price),
            "size": i.quantity_text(p.quantity), "side": "Sell" if p.seller else "Buy", "time": str(p.time_ms),
            "isBlockTrade": False, "isRPITrade": False, "seq": str(p.update_id),
        }
        for p in islice(desk.prints(market), desk.limit(500, 1000))
    ]  # fmt: skip
    return listed(desk, rows)


def book(desk: Desk) -> dict[str, Any]:
    market, i = desk.market(), desk.market().instrument
    sides = market.book.levels(desk.limit(25, 1000))
    bids, asks = ([[i.price_text(p), i.quantity_text(q)] for p, q in side] for side in sides)
    deepest = market.streams.get(f"orderbook.{DEEPEST}.{market.symbol}")
    number = deepest.number if isinstance(deepest, BookStream) else desk.now_ms
    times = {"ts": desk.now_ms, "u": number, "seq": market.book.update_id, "cts": market.book.time_ms}
    return {"s": market.symbol, "b": bids, "a": asks, **times}


def funding_history(desk: Desk) -> dict[str, Any]:
    market, limit = desk.market(), desk.limit(200, 200)
    if desk.query.get("startTime") and not desk.query.get("endTime"):
        refuse("parameter", "startTime without endTime")
    rows = [
        {"symbol": market.symbol, "fundingRate": rate, "fundingRateTimestamp": str(at_ms)}
        for at_ms, rate in desk.fundings(market, desk.inside("startTime", "endTime"), limit)
    ]
    return listed(desk, rows)


def open_interest(desk: Desk) -> dict[str, Any]:
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
    return paged(desk, rows, limit, symbol=market.symbol)


def instruments_info(desk: Desk) -> dict[str, Any]:
    found = [desk.market()] if desk.query.get("symbol") else desk.markets()
    rows = [instrument(one.instrument) for one in found if desk.text("status", "Trading") == "Trading"]
    return paged(desk, rows, desk.limit(500, 1000))


def paged(desk: Desk, rows: list[dict[str, Any]], limit: int, **more: Any) -> dict[str, Any]:
    """With the cursor of the next page, empty after the last one."""
    word, _, begin = unquote(desk.text("cursor", "from=0")).partition("=")
    if word != "from" or not (begin.isascii() and begin.isdecimal() and len(begin) < 10):
        refuse("parameter", "cursor")
    page, following = desk.page(rows, limit, int(begin))
    cursor = "" if following is None else quote(f"from={following}", safe="")
    return listed(desk, page, **more) | {"nextPageCursor": cursor}


def instrument(i: MarketInstrument) -> dict[str, Any]:
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


def body(result: Any, now_ms: int, code: int = 0, message: str = "OK") -> dict[str, Any]:
    return {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now_ms}


def error(refused: Refused, now_ms: int) -> RestReply:
    if refused.kind == "symbol":
        return reply(body({}, now_ms, 10029, "symbol is invalid"))
    message = {"category": "Illegal category", "interval": "Invalid period!"}.get(refused.kind)
    return reply(body({}, now_ms, 10001, message or f"params error: {refused.message}"))


REST: Final = RestPaths(
    paths={
        "/v5/market/time": lambda d: {"timeSecond": str(d.now_ms // 1000), "timeNano": str(d.now_ms * 1_000_000)},
        "/v5/market/kline": klines,
        "/v5/market/recent-trade": recent_trade,
        "/v5/market/orderbook": book,
        "/v5/market/funding/history": funding_history,
        "/v5/market/open-interest": open_interest,
        "/v5/market/instruments-info": instruments_info,
    },
    body=body,
    error=error,
    requests=REQUEST_LIMIT,
    window_ms=5_000,
    too_many=RestReply(HTTPStatus.FORBIDDEN, b"access too frequent"),
)

LINEAR: Final[Dialect] = declared(
    routes={"/v5/public/linear": ""},
    symbol=r"[A-Z0-9]{2,24}(-[A-Z0-9]{1,12})?",
    channels=CHANNELS,
    requests=REQUESTS,
    stream_of=itemgetter("topic"),
    rest=REST,
    limits=VenueLimits(ping_interval=0, silence=600.0, life=0, messages=0),
)
