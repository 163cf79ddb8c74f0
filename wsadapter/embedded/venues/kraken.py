"""Kraken spot, version 2: channels, frames, answers and REST as documented. Numbers are JSON numbers with all digits.

Answers come one a pair. A book is told by changes whose checksum covers the ten best levels of either side; a level
that drops out of the depth is never deleted. Candles come with trades and never say that they are closed. The venue
speaks once a second whatever the markets do.
"""

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec

from wsadapter.embedded.exchange.connection import Manners, VenueLimits
from wsadapter.embedded.exchange.dialect import Dialect, declared
from wsadapter.embedded.exchange.recorded_events import Reading
from wsadapter.embedded.exchange.requests import Ask, Requests, Say, Unknown
from wsadapter.embedded.market.candles import Candle
from wsadapter.embedded.market.channels import (
    BookChange,
    Books,
    Candles,
    DeclaredStream,
    Levels,
    Print,
    States,
    Trades,
)
from wsadapter.embedded.market.instruments import MarketInstrument, text
from wsadapter.embedded.market.rest import RestReply
from wsadapter.embedded.market.rest_tables import Desk, Refused, RestPaths, raw, reply

CODES: Final = {
    "1": "1m", "5": "5m", "15": "15m", "30": "30m", "60": "1h", "240": "4h", "1440": "1d", "10080": "1w",
}  # fmt: skip
DEPTHS: Final = (10, 25, 100, 500, 1000)
CHECKED: Final = 10
NEWEST: Final = 720
NANOSECONDS: Final = 1_000_000
IDS: Final = 1000
"""Trades of one millisecond are that many nanoseconds apart at most."""

# ---------------------------------------------------------------------------------------------------------- frames


def when(at_ms: int, digits: int = 6) -> str:
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03}{'0' * (digits - 3)}Z"


def message(channel: str, kind: str, *elements: str, timestamp: str = "") -> str:
    sent = f'"timestamp":"{timestamp}",' if timestamp else ""
    return f'{{"channel":"{channel}","type":"{kind}",{sent}"data":[{",".join(elements)}]}}'


def trades(s: DeclaredStream, prints: list[Print], now_ms: int) -> str:
    rows = (
        f'{{"symbol":"{s.symbol}","side":"{"sell" if p.seller else "buy"}","price":{s.i.price_text(p.price)},'
        f'"qty":{s.i.quantity_text(p.quantity)},"ord_type":"limit","trade_id":{p.number},'
        f'"timestamp":"{when(p.time_ms)}"}}'
        for p in prints
    )
    return message("trade", "update", *rows)


def checksum(s: Any) -> int:
    """Digits alone, without zeros before them; asks first."""
    best = *sorted(s.asks.items())[:CHECKED], *sorted(s.bids.items(), reverse=True)[:CHECKED]
    digits = (f"{price}{quantity}" for price, quantity in best)
    return zlib.crc32("".join(digits).encode())


def told(change: Levels, left: dict[int, int], depth: int, sign: int) -> Levels:
    """Without the levels that are gone because they are beyond the depth now."""
    if len(left) < depth:
        return change
    last = max(left, key=lambda price: sign * price)
    return [(price, quantity) for price, quantity in change if quantity or sign * price < sign * last]


def book(s: Any, change: BookChange, now_ms: int) -> str | None:
    bids, asks = told(change.bids, s.bids, s.levels, -1), told(change.asks, s.asks, s.levels, 1)
    kind = "snapshot" if change.is_snapshot else "update"
    sides = (
        ",".join(f'{{"price":{s.i.price_text(price)},"qty":{s.i.quantity_text(quantity)}}}' for price, quantity in side)
        for side in (bids, asks)
    )
    return message(
        "book",
        kind,
        '{{"symbol":"{}","bids":[{}],"asks":[{}],"checksum":{},"timestamp":"{}"}}'.format(
            s.symbol, *sides, checksum(s), when(change.time_ms)
        ),
    )


def ticker(s: DeclaredStream, now_ms: int) -> str:
    i, day, (bid, bid_quantity, ask, ask_quantity) = s.i, s.market.candles.day(), s.market.book.top()
    average, change = day.quote // day.volume if day.volume else day.close, day.close - day.open
    fields = {
        "bid": i.price_text(bid), "bid_qty": i.quantity_text(bid_quantity), "ask": i.price_text(ask),
        "ask_qty": i.quantity_text(ask_quantity), "last": i.price_text(day.close),
        "volume": i.quantity_text(day.volume), "vwap": i.price_text(average), "low": i.price_text(day.low),
        "high": i.price_text(day.high), "change": i.price_text(change),
        "change_pct": text(change * 10_000 // day.open, 2), "trades": str(day.trades),
    }  # fmt: skip
    numbers = ",".join(f'"{name}":{value}' for name, value in fields.items())
    return message("ticker", "update", f'{{"symbol":"{s.symbol}",{numbers},"timestamp":"{when(now_ms)}"}}')


def bar(s: DeclaredStream, one: Candle) -> str:
    prices = {"open": one.open, "high": one.high, "low": one.low, "close": one.close}
    numbers = ",".join(f'"{name}":{s.i.price_text(price)}' for name, price in prices.items())
    average = s.i.price_text(one.quote // one.volume if one.volume else one.close)
    end_ms = one.open_ms + int(s.code) * 60_000
    return (
        f'{{"symbol":"{s.symbol}",{numbers},"trades":{one.trades},"volume":{s.i.quantity_text(one.volume)},'
        f'"vwap":{average},"interval_begin":"{when(one.open_ms, 9)}","interval":{s.code},"timestamp":"{when(end_ms)}"}}'
    )


def candle(s: DeclaredStream, one: Candle, is_closed: bool, now_ms: int) -> str:
    return message("ohlc", "update", bar(s, one), timestamp=when(now_ms, 9))


def candles(s: DeclaredStream, some: Sequence[Candle], now_ms: int) -> str:
    return message("ohlc", "snapshot", *(bar(s, one) for one in some), timestamp=when(now_ms, 9))


CHANNELS: Final = (
    Trades(name="trade:{symbol}", frame=trades),
    Books(name="book:{symbol}:{levels}", frame=book, speeds=dict.fromkeys(DEPTHS, 100)),
    States(name="ticker:{symbol}:trades", frame=ticker, words=("ticker",), begins=True),
    States(name="ticker:{symbol}:bbo", frame=ticker, words=("ticker", "book_ticker"), every_ms=100, begins=True),
    Candles(name="ohlc:{symbol}:{interval}", frame=candle, codes=CODES, says_closed=False, by_successor=True,
            first=candles, recent=10),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- requests

PARAMETERS: Final = {"trade": None, "book": "depth", "ticker": "event_trigger", "ohlc": "interval"}
DEFAULTS: Final = {"depth": 10, "event_trigger": "trades", "interval": 1}
TIMES: Final = {"time_in": "2026-09-25T17:48:24.745996Z", "time_out": "2026-09-25T17:48:24.746032Z"}


def answered(**fields: Any) -> str:
    return msgspec.json.encode(fields | TIMES).decode()


def read(document: Any, connection_id: str) -> Ask | Say:
    method, identity = document["method"], {"req_id": document["req_id"]} if "req_id" in document else {}
    if method == "ping":
        return Say([answered(method="pong", **identity)])
    params = document["params"]
    channel = params["channel"]
    if method not in ("subscribe", "unsubscribe") or channel not in PARAMETERS:
        error = "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"
        return Say([answered(error=error, method=str(method), success=False, **identity)])
    parameter = PARAMETERS[channel]
    value = params.get(parameter, DEFAULTS[parameter]) if parameter else None
    names = tuple(f"{channel}:{symbol}" + ("" if parameter is None else f":{value}") for symbol in params["symbol"])
    result = {"channel": channel} | ({} if parameter is None else {parameter: value})
    return Ask(names, method == "subscribe", identity, (result | {"snapshot": channel != "trade"},))


def replies(
    ask: Ask, taken: tuple[str, ...], bad: tuple[str, ...], standing: tuple[str, ...], connection_id: str
) -> list[str]:
    """One a pair, whatever the request was."""
    method = "subscribe" if ask.begin else "unsubscribe"
    result = ask.arguments[0]
    symbols = [(name.split(":")[1], name in taken) for name in ask.names]
    return [
        answered(method=method, result=result | {"symbol": symbol}, success=True, **ask.id)
        if is_taken
        else answered(
            error=f"Currency pair not supported {symbol}", method=method, success=False, symbol=symbol, **ask.id
        )
        for symbol, is_taken in symbols
    ]


REQUESTS: Final = Requests(
    read=read,
    replies=replies,
    malformed=lambda connection_id: Say(['{"error":"Malformed request","method":"","success":false}']),
    unknown=Unknown.ALONE,
)


def status(**more: Any) -> str:
    data = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": 12072546403441331453, **more}
    return message("status", "update", msgspec.json.encode(data).decode())


def notice(now_ms: int) -> str:
    begins_ms = now_ms + 300_000
    planned = {
        "affected_services": ["spot_trading", "spot_ws"], "expected_start_utc": when(begins_ms), "phase": "announced",
        "expected_end_utc": when(begins_ms + 3_600_000), "time_to_start_s": 300, "title": "Gateway Maintenance",
    }  # fmt: skip
    return status(upcoming_maintenance=[planned], emergency=[])


# ---------------------------------------------------------------------------------------------------------- REST


def ohlc(desk: Desk) -> dict[str, Any]:
    """The newest 720, whatever is asked for."""
    market, interval = desk.market("pair"), desk.interval(CODES)
    i, since = market.instrument, desk.number("since") or 0
    newest = [c for c in desk.candles(market, interval)[:NEWEST] if c.open_ms // 1000 > since][::-1]
    rows = [
        [c.open_ms // 1000, *map(i.price_text, (c.open, c.high, c.low, c.close)),
         i.price_text(c.quote // c.volume if c.volume else c.close), i.quantity_text(c.volume), c.trades]
        for c in newest
    ]  # fmt: skip
    return {market.symbol: rows, "last": newest[-2].open_ms // 1000 if len(newest) > 1 else since}


def time_ns(p: Print) -> int:
    return p.time_ms * NANOSECONDS + p.number % IDS


def trade_row(i: MarketInstrument, p: Print) -> list[Any]:
    """The time has seven digits."""
    second, fraction = divmod(time_ns(p), 1000 * NANOSECONDS)
    at = raw(f"{second}.{fraction:09}"[:-2])
    return [i.price_text(p.price), i.quantity_text(p.quantity), at, "s" if p.seller else "b", "l", "", p.number]


def trades_since(desk: Desk) -> dict[str, Any]:
    market, since, limit = desk.market("pair"), desk.number("since"), desk.limit(1000, 1000, "count")
    found = [p for p in desk.prints(market) if since is None or time_ns(p) > since]
    rows = found[:limit][::-1] if since is None else found[::-1][:limit]
    last = time_ns(rows[-1]) if rows else since or 0
    return {market.symbol: [trade_row(market.instrument, p) for p in rows], "last": str(last)}


def pairs(desk: Desk) -> dict[str, Any]:
    """By names of an older time, which the socket refuses."""
    found = {}
    for market in desk.markets():
        i = market.instrument
        old = i.symbol.replace("BTC", "XBT").replace("DOGE", "XDG")
        base, _, quote = old.partition("/")
        found[old.replace("/", "")] = {
            "altname": old.replace("/", ""), "wsname": old, "aclass_base": "currency", "base": f"X{base}",
            "aclass_quote": "currency", "quote": f"Z{quote}", "lot": "unit", "cost_decimals": 5,
            "pair_decimals": i.price_digits, "lot_decimals": i.quantity_digits, "lot_multiplier": 1, "fees": [],
            "fees_maker": [], "ordermin": i.quantity_text(1), "costmin": "0.5", "tick_size": i.price_text(i.tick),
            "status": "online", "execution_venue": "international",
        }  # fmt: skip
    return found


def failed(text: str) -> RestReply:
    return reply({"error": [text], "result": None}, HTTPStatus.OK)


def error(found: Refused, now_ms: int) -> RestReply:
    return failed("EQuery:Unknown asset pair" if found.kind == "symbol" else "EGeneral:Invalid arguments")


REST: Final = RestPaths(
    paths={
        "/0/public/OHLC": ohlc,
        "/0/public/Trades": trades_since,
        "/0/public/AssetPairs": pairs,
        "/0/public/Time": lambda desk: {"unixtime": desk.now_ms // 1000},
    },
    body=lambda result, now_ms: {"error": [], "result": result},
    error=error,
    requests=15,
    window_ms=1_000,
    too_many=failed("EAPI:Rate limit exceeded"),
    nothing=failed("EGeneral:Unknown method"),
)


def stream_of(document: Any) -> str:
    """Of the first element; a depth of ten is the venue's own choice; a ticker has all that either trigger tells."""
    channel, element = document["channel"], document["data"][0]
    tail = {"book": ":10", "ticker": ":bbo", "ohlc": f":{element.get('interval')}"}.get(channel, "")
    return f"{channel}:{element['symbol']}{tail}"


# -------------------------------------------------------------------------------------------------- recorded messages


def is_snapshot(message: Any, row: Any) -> bool:
    return bool(message["type"] == "snapshot")


_reading: Final = partial(Reading, rows="data", symbol="symbol")
RECORDED: Final = (
    _reading(name="trade:{symbol}", words=("trade",)),
    _reading(
        name="book:{symbol}:{levels}", words=("depth",), begins=lambda message, row: message["type"] == "snapshot"
    ),
    _reading(name="ticker:{symbol}:{trigger}", words=("ticker", "book_ticker")),
    _reading(name="ohlc:{symbol}:{interval}", words=("kline",), codes=CODES, opens="interval_begin"),
)


SPOT: Final[Dialect] = declared(
    routes={"/v2": ""},
    symbol=r"[A-Z0-9]{2,12}/[A-Z0-9]{2,8}",
    channels=CHANNELS,
    requests=REQUESTS,
    rest=REST,
    limits=VenueLimits(ping_interval=0, silence=0, life=0, messages=0),
    manners=Manners(
        hello=lambda now_ms: [status()],
        heartbeat=lambda now_ms: '{"channel":"heartbeat"}',
        heartbeat_every=1.0,
        notice=notice,
    ),
    stream_of=stream_of,
    recorded=RECORDED,
)
