"""Kraken Futures, version 1: feeds, answers and REST as documented. Numbers are JSON numbers, rates have exponents.

Answers come one a product; a refusal names nothing. A book is whole at first, then a message a level, numbered; trades
are numbered, the newest hundred come first. Zero funding is left out of a ticker; no rate here is zero. One trade in
forty is a liquidation.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec

from wsadapter.embedded.exchange.connection import Manners, VenueLimits
from wsadapter.embedded.exchange.dialect import Dialect, declared
from wsadapter.embedded.exchange.recorded_events import Reading, one, says
from wsadapter.embedded.exchange.requests import Ask, Requests, Say, Unknown
from wsadapter.embedded.market.candles import Candle
from wsadapter.embedded.market.channels import BookChange, Books, Candles, DeclaredStream, Print, States, Trades
from wsadapter.embedded.market.instruments import MarketInstrument, text
from wsadapter.embedded.market.market import MARK_DIGITS, Market
from wsadapter.embedded.market.rest import RestReply
from wsadapter.embedded.market.rest_tables import Desk, Refused, RestPaths, raw, reply

CODES: Final = {code: code for code in ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w")}
FEEDS: Final = ("trade", "book", "ticker", *(f"candles_trade_{code}" for code in CODES))
FIRST_TRADES: Final = 100
PAGE: Final = 1000
PAGE_OF_CANDLES: Final = 2000

# ---------------------------------------------------------------------------------------------------------- frames


def is_forced(p: Print) -> int:
    return int(p.number % 40 == 0)


def print_of(i: MarketInstrument, p: Print) -> str:
    return (
        f'{{"feed":"trade","product_id":"{i.symbol}","uid":"{p.uuid(i.symbol)}",'
        f'"side":"{"sell" if p.seller else "buy"}","type":"{"liquidation" if is_forced(p) else "fill"}",'
        f'"seq":{p.number},"time":{p.time_ms},'
        f'"qty":{i.quantity_text(p.quantity)},"price":{i.price_text(p.price)}}}'
    )


def trade(s: DeclaredStream, prints: list[Print], now_ms: int) -> str:
    (p,) = prints
    return print_of(s.i, p)


def newest(s: DeclaredStream, prints: list[Print], now_ms: int) -> str:
    rows = ",".join(print_of(s.i, p) for p in reversed(prints))
    return f'{{"feed":"trade_snapshot","product_id":"{s.symbol}","trades":[{rows}]}}'


def book(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    i, head = s.i, f'"product_id":"{s.symbol}","seq":{change.number},"timestamp":{change.time_ms}'
    if change.is_snapshot:
        bids, asks = (
            ",".join(f'{{"price":{i.price_text(price)},"qty":{i.quantity_text(quantity)}}}' for price, quantity in side)
            for side in (change.bids, change.asks)
        )
        return f'{{"feed":"book_snapshot",{head},"tickSize":null,"bids":[{bids}],"asks":[{asks}]}}'
    side, ((price, quantity),) = ("buy", change.bids) if change.bids else ("sell", change.asks)
    gone = i.quantity_text(quantity) if quantity else "0.0"
    return f'{{"feed":"book",{head},"side":"{side}","price":{i.price_text(price)},"qty":{gone}}}'


def rate(market: Market, now_ms: int) -> str:
    """2.747066666667e-6"""
    return f"{Decimal(market.rate(now_ms)):e}".replace("E", "e")


def funding(market: Market, now_ms: int) -> tuple[str, int]:
    return rate(market, now_ms), market.mark(now_ms).next_funding_ms


def ticker(s: DeclaredStream, now_ms: int) -> str:
    i, mark, day = s.i, s.market.mark(now_ms), s.market.candles.day()
    bid, bid_quantity, ask, ask_quantity = s.market.book.top()
    relative, next_ms = funding(s.market, now_ms)
    fields = {
        "funding_rate": "0.1767923925826881", "relative_funding_rate": relative, "next_funding_rate_time": str(next_ms),
        "premium": "-0.0", "bid": i.price_text(bid), "ask": i.price_text(ask),
        "bid_size": i.quantity_text(bid_quantity), "ask_size": i.quantity_text(ask_quantity),
        "volume": i.quantity_text(day.volume), "dtm": "0",
        "index": text(mark.index, MARK_DIGITS), "last": i.price_text(day.close),
        "change": text((day.close - day.open) * 10_000 // day.open, 2), "markPrice": text(mark.price, MARK_DIGITS),
        "openInterest": i.quantity_text(s.market.open_interest()), "maturityTime": "0",
        "volumeQuote": i.quote_text(day.quote), "open": i.price_text(day.open), "high": i.price_text(day.high),
        "low": i.price_text(day.low),
    }  # fmt: skip
    numbers = ",".join(f'"{name}":{value}' for name, value in fields.items())
    words = '"leverage":"100x","suspended":false,"tag":"perpetual","pair":"XBT:USD","post_only":false,"feed":"ticker"'
    return f'{{"time":{now_ms},"product_id":"{s.symbol}",{words},{numbers}}}'


def bar(i: MarketInstrument, one: Candle) -> dict[str, Any]:
    prices = {"open": one.open, "high": one.high, "low": one.low, "close": one.close}
    return {"time": one.open_ms, **{name: i.price_text(price) for name, price in prices.items()},
            "volume": i.quantity_text(one.volume)}  # fmt: skip


def candle_message(s: DeclaredStream, one: Candle, feed: str) -> str:
    return msgspec.json.encode({"feed": feed, "candle": bar(s.i, one), "product_id": s.symbol}).decode()


def candle(s: DeclaredStream, one: Candle, is_closed: bool, now_ms: int) -> str:
    return candle_message(s, one, f"candles_trade_{s.code}")


def first_candle(s: DeclaredStream, some: Sequence[Candle], now_ms: int) -> str:
    return candle_message(s, some[-1], f"candles_trade_{s.code}_snapshot")


CHANNELS: Final = (
    Trades(name="trade:{symbol}", frame=trade, together=False, first=newest, recent=FIRST_TRADES, once=True,
           words={"liquidation": is_forced}),
    Books(name="book:{symbol}", frame=book, apart=True),
    States(name="ticker:{symbol}", frame=ticker, words=("ticker", "book_ticker", "mark_price", "open_interest"),
           once={"funding_rate": funding}, begins=True),
    Candles(name="candles_trade_{interval}:{symbol}", frame=candle, codes=CODES, says_closed=False, by_successor=True,
            first=first_candle),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- requests


def said(**fields: Any) -> str:
    return msgspec.json.encode(fields).decode()


def read(document: Any, connection_id: str) -> Ask | Say:
    event = document["event"]
    if event == "ping":
        return Say([said(event="pong")])
    if event not in ("subscribe", "unsubscribe"):
        return Say([said(event="alert", message="Bad request")])
    feed = document["feed"]
    if feed not in FEEDS:
        return Say([said(event="alert", message="Couldn't subscribe to invalid feed")])
    return Ask(tuple(f"{feed}:{product}" for product in document["product_ids"]), event == "subscribe", feed)


def replies(
    ask: Ask, taken: tuple[str, ...], bad: tuple[str, ...], standing: tuple[str, ...], connection_id: str
) -> list[str]:
    """One a product; of those that do not exist one for all."""
    event = "subscribed" if ask.begin else "unsubscribed"
    told = [said(event=event, feed=ask.id, product_ids=[name.partition(":")[2]]) for name in taken]
    return [*told, *([said(event="error", message="Invalid product id")] if bad else [])]


REQUESTS: Final = Requests(
    read=read,
    replies=replies,
    malformed=lambda connection_id: Say([said(event="alert", message="Json Parse Error")]),
    unknown=Unknown.ALONE,
)

# ---------------------------------------------------------------------------------------------------------- REST


def when(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def chart(desk: Desk) -> dict[str, Any]:
    market, interval, inside = desk.market(), desk.interval(CODES, "resolution"), desk.inside("from", "to", 1000)
    rows = [one for one in desk.candles(market, interval) if inside(one.open_ms)]
    some = rows[:PAGE_OF_CANDLES][::-1]
    return {"candles": [bar(market.instrument, one) for one in some], "more_candles": len(rows) > len(some)}


def executions(desk: Desk) -> dict[str, Any]:
    """Ascending, or newest first; the token says after which one the page begins."""
    market, inside, token = desk.market(), desk.inside("since", "before"), desk.number("continuation_token")
    rows = [p for p in desk.prints(market) if inside(p.time_ms)]
    if desk.text("sort", "desc") == "asc":
        rows = [p for p in reversed(rows) if token is None or p.number > token]
    else:
        rows = [p for p in rows if token is None or p.number < token]
    some, i = rows[:PAGE], market.instrument
    elements = [
        {"uid": p.uuid(f"event {i.symbol}"), "timestamp": p.time_ms, "event": {"Execution": {"execution": {
            "uid": p.uuid(i.symbol), "timestamp": p.time_ms, "quantity": i.quantity_text(p.quantity),
            "price": i.price_text(p.price), "markPrice": i.price_text(p.price), "limitFilled": True,
            "takerOrder": {"tradeable": i.symbol, "direction": "Sell" if p.seller else "Buy"},
            "makerOrder": {"tradeable": i.symbol, "direction": "Buy" if p.seller else "Sell"},
        }, "takerReducedQuantity": ""}}}
        for p in some
    ]  # fmt: skip
    more = {"continuationToken": str(some[-1].number)} if len(rows) > len(some) else {}
    return {"elements": elements, "len": len(elements), **more}


def rates(desk: Desk) -> dict[str, Any]:
    market = desk.market()
    settled = desk.fundings(market, lambda at_ms: True, PAGE)[::-1]
    rows = [
        {"timestamp": when(at_ms), "fundingRate": 1.5, "relativeFundingRate": raw(f"{Decimal(value):e}")}
        for at_ms, value in settled
    ]
    return {"rates": rows}


def contracts(desk: Desk) -> dict[str, Any]:
    return {"instruments": [contract(market.instrument) for market in desk.markets()]}


def days(desk: Desk) -> dict[str, Any]:
    """All are numbers."""
    rows = [
        {
            "symbol": i.symbol, "last": raw(i.price_text(day.close)), "vol24h": raw(i.quantity_text(day.volume)),
            "volumeQuote": raw(i.quote_text(day.quote)), "suspended": False,
        }
        for i, day in desk.days()
    ]  # fmt: skip
    return {"tickers": rows}


def contract(i: MarketInstrument) -> dict[str, Any]:
    kind, _, pair = i.symbol.partition("_")
    return {
        "symbol": i.symbol, "type": "flexible_futures" if kind[1:] == "F" and kind[0] in "PF" else "futures_inverse",
        "tickSize": raw(i.price_text(i.tick)), "contractSize": 1, "tradeable": True,
        "openingDate": "2022-03-22T13:15:36Z", "contractValueTradePrecision": i.quantity_digits,
        "base": pair[:-3].replace("XBT", "BTC"), "quote": "USD", "tradfi": False, "isExpired": False,
    }  # fmt: skip


def body(result: Any, now_ms: int) -> dict[str, Any]:
    return {"result": "success", "serverTime": when(now_ms), **result}


def failed(status: int, word: str, **fields: Any) -> RestReply:
    return reply({"status": word, "result": "error", **fields}, status)


def error(found: Refused, now_ms: int) -> RestReply:
    if found.kind == "interval":
        return RestReply(HTTPStatus.BAD_REQUEST, b"Invalid resolution")
    errors = [{"code": 11, "message": f"Argument invalid: {found.message}"}]
    return failed(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", errors=errors, serverTime=when(now_ms))


REST: Final = RestPaths(
    paths={
        "/api/charts/v1/trade/{symbol}/{resolution}": chart,
        "/api/history/v3/market/{symbol}/executions": executions,
        "/derivatives/api/v4/historicalfundingrates": rates,
        "/derivatives/api/v3/instruments": contracts,
        "/derivatives/api/v3/tickers": days,
    },
    body=body,
    error=error,
    requests=500,
    window_ms=10_000,
    too_many=reply({"result": "error", "error": "apiLimitExceeded"}),
    nothing=failed(HTTPStatus.NOT_FOUND, "NOT_FOUND", errors=[{"code": 0, "message": "404 NOT_FOUND"}]),
)


def stream_of(document: Any) -> str:
    return f"{document['feed'].removesuffix('_snapshot')}:{document['product_id']}"


# -------------------------------------------------------------------------------------------------- recorded messages


def is_snapshot(message: Any, row: Any = None) -> bool:
    return bool(message["feed"].endswith("_snapshot"))


def is_data(message: Any) -> bool:
    return "event" not in message


def funding_of(row: Any) -> object:
    rate, due = row.get("relative_funding_rate"), row.get("next_funding_rate_time")
    return (rate, due) if rate is not None and due else None


def priced(name: str) -> Callable[[Any], int]:
    """A price of 0 is none."""
    return lambda row: int(bool(row.get(name)))


_trades: Final = partial(
    Reading, name="trade:{symbol}", identity="uid", number="seq", again=is_snapshot,
    words={"trade": one, "liquidation": lambda row: int(row["type"] == "liquidation")},
)  # fmt: skip
_reading: Final = partial(Reading, of=is_data)
RECORDED: Final = (
    _trades(of=lambda message: "trades" in message, rows="trades"),
    _trades(of=is_data),
    _reading(name="book:{symbol}", words=("depth",), begins=is_snapshot),
    _reading(name="ticker:{symbol}", once={"funding_rate": funding_of},
             words={"ticker": priced("last"), "mark_price": priced("markPrice"), "open_interest": says("openInterest"),
                    "book_ticker": lambda row: int(bool(row.get("bid") or row.get("ask")))}),
    _reading(name="candles_trade_{interval}:{symbol}", rows="candle", words=("kline",), codes=CODES, opens="time"),
)  # fmt: skip


FUTURES: Final[Dialect] = declared(
    routes={"/ws/v1": ""},
    symbol=r"[PF][FI]_[A-Z0-9]{6,16}(_\d{6})?",
    channels=CHANNELS,
    requests=REQUESTS,
    rest=REST,
    limits=VenueLimits(ping_interval=0, silence=60.0, life=0, messages=100),
    manners=Manners(hello=lambda now_ms: ['{"event":"info","version":1}']),
    stream_of=stream_of,
    recorded=RECORDED,
)
