"""OKX v5, swaps, futures and spot: streams, requests and REST as documented.

Each argument is acknowledged by itself, and data may come first; an error names the request and no argument. Texts
``ping`` are answered ``pong``. Liquidations of a kind of instrument are one stream. Quantities of contracts are
contracts of 0.01 of the base currency. (That a bad argument costs none of the others is not documented.)
"""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

import msgspec

from wsadapter.embedded.exchange.connection import Manners, VenueLimits
from wsadapter.embedded.exchange.dialect import Dialect, declared
from wsadapter.embedded.exchange.recorded_events import Reading
from wsadapter.embedded.exchange.requests import Ask, Requests, Say, Unknown
from wsadapter.embedded.market.candles import Candle
from wsadapter.embedded.market.channels import (
    BestPrices,
    BookChange,
    Books,
    Candles,
    DeclaredStream,
    Liquidations,
    Print,
    States,
    Trades,
    order_side,
)
from wsadapter.embedded.market.instruments import MarketInstrument, text
from wsadapter.embedded.market.market import FUNDING_MS, MARK_DIGITS, Market
from wsadapter.embedded.market.rest import RestReply
from wsadapter.embedded.market.rest_tables import Desk, Refused, RestPaths, refuse, reply
from wsadapter.embedded.market.streams import Liquidated

CODES: Final = {
    "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1H": "1h", "2H": "2h", "4H": "4h", "6Hutc": "6h",
    "12Hutc": "12h", "1Dutc": "1d", "3Dutc": "3d", "1Wutc": "1w", "1Mutc": "1M",
}  # fmt: skip
FAMILY: Final = r"[A-Z0-9]{1,12}-(?:USDT|USDC|USD)"
CONTRACT: Final = rf"{FAMILY}-(?:SWAP|\d{{6}})"
SWAP: Final = rf"{FAMILY}-SWAP"
CONNECTION: Final = "a4d3ae55"
Levels = list[tuple[int, int]]


def kind(symbol: str) -> str:
    return "SWAP" if symbol.endswith("-SWAP") else "FUTURES" if symbol.count("-") == 2 else "SPOT"


def family(symbol: str) -> str:
    return "-".join(symbol.split("-")[:2])


# ---------------------------------------------------------------------------------------------------------- frames


def told(s: DeclaredStream, data: Any, action: str = "") -> str:
    channel, _, about = s.name.partition(":")
    argument = {"channel": channel, "instType" if channel == "liquidation-orders" else "instId": about}
    document = {"arg": argument} | ({"action": action} if action else {}) | {"data": [data]}
    return msgspec.json.encode(document).decode()


def trades(s: DeclaredStream, prints: list[Print], now_ms: int) -> str:
    (p,) = prints
    return told(s, trade_row(s.i, p) | {"count": str(p.fills), "source": "0", "seqId": p.update_id})


def trades_all(s: DeclaredStream, prints: list[Print], now_ms: int) -> str:
    (p,) = prints
    return told(s, trade_row(s.i, p) | {"source": "0"})


def trade_row(i: MarketInstrument, p: Print) -> dict[str, Any]:
    return {
        "instId": i.symbol, "tradeId": str(p.number), "px": i.price_text(p.price), "sz": i.quantity_text(p.quantity),
        "side": "sell" if p.seller else "buy", "ts": str(p.time_ms),
    }  # fmt: skip


def levels(i: MarketInstrument, side: Levels) -> list[list[str]]:
    """A level that is gone has the quantity 0, without digits, and no orders."""
    return [[i.price_text(p), i.quantity_text(q) if q else "0", "0", "1" if q else "0"] for p, q in side]


def books(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    data = {
        "asks": levels(s.i, change.asks), "bids": levels(s.i, change.bids), "ts": str(change.time_ms), "checksum": 0,
        "seqId": change.update_id, "prevSeqId": -1 if change.previous_id is None else change.previous_id,
    }  # fmt: skip
    return told(s, data, "snapshot" if change.is_snapshot else "update")


def books5(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    sides = {"asks": levels(s.i, change.asks), "bids": levels(s.i, change.bids), "instId": s.symbol}
    return told(s, sides | {"ts": str(change.time_ms), "seqId": change.update_id})


def bbo(s: DeclaredStream, best: tuple[int, int, int, int], at_ms: int, now_ms: int) -> str:
    bid, bid_quantity, ask, ask_quantity = best
    sides = {"asks": levels(s.i, [(ask, ask_quantity)]), "bids": levels(s.i, [(bid, bid_quantity)])}
    return told(s, sides | {"ts": str(at_ms), "seqId": s.market.book.update_id})


def candle(s: DeclaredStream, c: Candle, is_closed: bool, now_ms: int) -> str:
    return told(s, candle_row(s.i, c, is_closed))


def candle_row(i: MarketInstrument, c: Candle, is_closed: bool) -> list[str]:
    prices = map(i.price_text, (c.open, c.high, c.low, c.close))
    volumes = i.quantity_text(c.volume), base_text(i, c.volume), i.quote_text(c.quote)
    return [str(c.open_ms), *prices, *volumes, "1" if is_closed else "0"]


def base_text(i: MarketInstrument, quantity: int) -> str:
    """In the base currency."""
    return i.quantity_text(quantity) if kind(i.symbol) == "SPOT" else text(quantity, i.quantity_digits + 2)


def tickers(s: DeclaredStream, now_ms: int) -> str:
    i, day, deals = s.i, s.market.candles.day(), s.market.deals
    bid, bid_quantity, ask, ask_quantity = s.market.book.top()
    opened = i.price_text(day.open)
    data = {
        "instType": kind(s.symbol), "instId": s.symbol, "last": i.price_text(day.close),
        "lastSz": i.quantity_text(deals[-1].quantity) if deals else "", "askPx": i.price_text(ask),
        "askSz": i.quantity_text(ask_quantity), "bidPx": i.price_text(bid), "bidSz": i.quantity_text(bid_quantity),
        "open24h": opened, "high24h": i.price_text(day.high), "low24h": i.price_text(day.low), "sodUtc0": opened,
        "sodUtc8": opened,
        "volCcy24h": i.quote_text(day.quote) if kind(s.symbol) == "SPOT" else base_text(i, day.volume),
        "vol24h": i.quantity_text(day.volume), "ts": str(now_ms),
    }  # fmt: skip
    return told(s, data)


def about(s: DeclaredStream) -> dict[str, str]:
    return {"instId": s.symbol, "instType": kind(s.symbol)}


def mark_price(s: DeclaredStream, now_ms: int) -> str:
    return told(s, about(s) | {"markPx": text(s.market.mark(now_ms).price, MARK_DIGITS), "ts": str(now_ms)})


def funding_rate(s: DeclaredStream, now_ms: int) -> str:
    mark = s.market.mark(now_ms)
    data = about(s) | {
        "formulaType": "noRate", "fundingRate": mark.rate, "fundingTime": str(mark.next_funding_ms), "impactValue": "",
        "interestRate": "", "maxFundingRate": "0.00375", "method": "current_period", "minFundingRate": "-0.00375",
        "nextFundingRate": "", "nextFundingTime": str(mark.next_funding_ms + FUNDING_MS),
        "premium": "0.0001233824646391", "settFundingRate": s.market.rate(mark.next_funding_ms - FUNDING_MS - 1),
        "settState": "settled", "ts": str(now_ms),
    }  # fmt: skip
    return told(s, data)


def funding_told(market: Market, now_ms: int) -> tuple[str, int]:
    mark = market.mark(now_ms)
    return mark.rate, mark.next_funding_ms


def open_interest(s: DeclaredStream, now_ms: int) -> str:
    contracts, price = s.market.open_interest(), s.market.book.best_bid
    value = text(contracts * price, s.i.quote_digits + 2)
    interest = {"oi": s.i.quantity_text(contracts), "oiCcy": base_text(s.i, contracts), "oiUsd": value}
    return told(s, about(s) | interest | {"ts": str(now_ms)})


def liquidation(s: DeclaredStream, order: Liquidated, now_ms: int) -> str | None:
    if kind(s.symbol) != s.name.partition(":")[2]:
        return None
    detail = {
        "bkLoss": "0", "bkPx": s.i.price_text(order.price), "ccy": "", "posSide": "long" if order.sell else "short",
        "side": order_side(order), "sz": s.i.quantity_text(order.quantity), "ts": str(order.time_ms),
    }  # fmt: skip
    return told(s, {"details": [detail], "instFamily": family(s.symbol), **about(s), "uly": family(s.symbol)})


CHANNELS: Final = (
    Trades(name="trades:{symbol}", frame=trades, route="public", aggregated=True),
    Trades(name="trades-all:{symbol}", frame=trades_all, route="business", together=False),
    Books(name="books:{symbol}", frame=books, route="public", levels=400),
    Books(name="books5:{symbol}", frame=books5, route="public", levels=5, whole=True),
    BestPrices(name="bbo-tbt:{symbol}", frame=bbo, route="public", begins=True),
    Candles(name="candle{interval}:{symbol}", frame=candle, route="business", codes=CODES),
    States(name="tickers:{symbol}", frame=tickers, route="public", every_ms=100, words=("ticker",), begins=True),
    States(name="mark-price:{symbol}", frame=mark_price, route="public", every_ms=200, words=("mark_price",),
           symbol=CONTRACT, begins=True),
    States(name="funding-rate:{symbol}", frame=funding_rate, route="public", every_ms=30_000, symbol=SWAP, begins=True,
           once={"funding_rate": funding_told}),
    States(name="open-interest:{symbol}", frame=open_interest, route="public", every_ms=3_000, words=("open_interest",),
           symbol=CONTRACT, begins=True),
    *(Liquidations(name=f"liquidation-orders:{each}", frame=liquidation, route="public")
      for each in ("SWAP", "FUTURES")),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- requests


def stream_of(message: Any) -> str:
    argument = message["arg"]
    return f"{argument['channel']}:{argument.get('instId') or argument['instType']}"


def read(document: Any, connection_id: str) -> Ask | Say:
    if document["op"] not in ("subscribe", "unsubscribe"):
        return invalid(connection_id)
    arguments = tuple(document["args"])
    names = tuple(stream_of({"arg": argument}) for argument in arguments)
    return Ask(names, document["op"] == "subscribe", document.get("id"), arguments)


def replies(
    ask: Ask, taken: tuple[str, ...], bad: tuple[str, ...], standing: tuple[str, ...], connection_id: str
) -> list[str]:
    event, same = "subscribe" if ask.begin else "unsubscribe", {} if ask.id is None else {"id": ask.id}
    texts = []
    for name, argument in zip(ask.names, ask.arguments, strict=True):
        if name in bad:
            message = f"Wrong URL or channel:{argument['channel']},instId:{argument.get('instId')} doesn't exist."
            answer = {"event": "error", "code": "60018", "msg": message}
        else:
            answer = {"event": event, "arg": argument}
        texts.append(msgspec.json.encode({**same, **answer, "connId": CONNECTION}).decode())
    return texts


def invalid(connection_id: str) -> Say:
    return Say(['{"event":"error","code":"60012","msg":"Invalid request","connId":"a4d3ae55"}'])


REQUESTS: Final = Requests(
    read=read, replies=replies, malformed=invalid, texts={b"ping": b"pong"}, unknown=Unknown.ALONE, data_first=True
)
NOTICE: Final = (
    '{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please '
    'reconnect.","connId":"a4d3ae55"}'
)

# ---------------------------------------------------------------------------------------------------------- REST


def before(desk: Desk, unit: Callable[[Any], int], rows: Any, limit: int) -> list[Any]:
    """Of rows from the newest on those below ``after`` and above ``before``."""
    after, above = desk.number("after"), desk.number("before")
    some = (one for one in rows if (after is None or unit(one) < after) and (above is None or unit(one) > above))
    return list(islice(some, limit))


def history_candles(desk: Desk) -> list[Any]:
    market, interval = desk.market("instId"), desk.interval(CODES, "bar")
    open_ms = market.candles.current(interval).open_ms
    found = before(desk, lambda c: c.open_ms, desk.candles(market, interval), desk.limit(100, 100))
    return [candle_row(market.instrument, c, c.open_ms != open_ms) for c in found]


def history_trades(desk: Desk) -> list[Any]:
    market = desk.market("instId")
    unit: Callable[[Print], int] = (lambda p: p.time_ms) if desk.text("type", "1") == "2" else (lambda p: p.number)
    return [trade_row(market.instrument, p) for p in before(desk, unit, desk.prints(market), desk.limit(100, 100))]


def rest_book(desk: Desk) -> list[Any]:
    market = desk.market("instId")
    bids, asks = (levels(market.instrument, side) for side in market.book.levels(desk.limit(1, 400, "sz")))
    return [{"asks": asks, "bids": bids, "ts": str(market.book.time_ms), "seqId": market.book.update_id}]


def funding_history(desk: Desk) -> list[Any]:
    market = desk.market("instId")
    found = before(desk, lambda r: r[0], desk.fundings(market, lambda ms: True, 400), desk.limit(400, 400))
    return [
        {"instType": "SWAP", "instId": market.symbol, "fundingRate": rate, "realizedRate": rate, "method":
         "current_period", "formulaType": "noRate", "fundingTime": str(at_ms)}
        for at_ms, rate in found
    ]  # fmt: skip


def instruments(desk: Desk) -> list[Any]:
    wanted = desk.text("instType")
    if wanted not in ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION"):
        refuse("parameter", "instType")
    return [instrument(one.instrument) for one in desk.markets() if kind(one.symbol) == wanted]


def underlyings(desk: Desk) -> list[list[str]]:
    """Of options there are none."""
    wanted = desk.text("instType")
    return [sorted({family(one.symbol) for one in desk.markets() if kind(one.symbol) == wanted})]


def days(desk: Desk) -> list[Any]:
    """Of derivatives the volume counts coins, of spot the quote currency."""
    wanted = desk.text("instType")
    return [
        {
            "instType": wanted, "instId": i.symbol, "last": i.price_text(day.close), "open24h": i.price_text(day.open),
            "volCcy24h": i.quote_text(day.quote) if wanted == "SPOT" else base_text(i, day.volume),
            "vol24h": i.quantity_text(day.volume), "ts": str(desk.now_ms),
        }
        for i, day in desk.days() if kind(i.symbol) == wanted
    ]  # fmt: skip


def instrument(i: MarketInstrument) -> dict[str, Any]:
    base, quote = i.symbol.split("-")[:2]
    is_spot, step = kind(i.symbol) == "SPOT", i.quantity_text(1)
    return {
        "instType": kind(i.symbol), "instId": i.symbol, "instFamily": "" if is_spot else family(i.symbol),
        "uly": "" if is_spot else family(i.symbol), "baseCcy": base if is_spot else "", "quoteCcy": quote if is_spot
        else "", "settleCcy": "" if is_spot else quote, "ctVal": "" if is_spot else "0.01", "ctMult": "" if is_spot
        else "1", "ctValCcy": "" if is_spot else base, "ctType": "" if is_spot else "linear", "tickSz":
        i.price_text(i.tick), "lotSz": step, "minSz": step, "maxLmtSz": "100000000", "listTime": "1611916828000",
        "expTime": "", "state": "live", "ruleType": "normal", "lever": "125",
    }  # fmt: skip


def error(refused: Refused, now_ms: int) -> RestReply:
    if refused.kind == "symbol":
        return failed("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
    if refused.kind == "missing":
        return failed("50014", f"Parameter {refused.message} can not be empty.", HTTPStatus.BAD_REQUEST)
    return failed("51000", f"Parameter {refused.message} error", HTTPStatus.BAD_REQUEST)


def failed(code: str, message: str, status: int = HTTPStatus.OK) -> RestReply:
    return reply({"code": code, "msg": message, "data": []}, status)


REST: Final = RestPaths(
    paths={
        "/api/v5/public/time": lambda desk: [{"ts": str(desk.now_ms)}],
        "/api/v5/market/candles": history_candles,
        "/api/v5/market/history-candles": history_candles,
        "/api/v5/market/history-trades": history_trades,
        "/api/v5/market/books": rest_book,
        "/api/v5/public/funding-rate-history": funding_history,
        "/api/v5/public/instruments": instruments,
        "/api/v5/public/underlying": underlyings,
        "/api/v5/market/tickers": days,
    },
    body=lambda result, now_ms: {"code": "0", "msg": "", "data": result},
    error=error,
    requests=110,
    window_ms=2_000,
    too_many=failed("50011", "Too Many Requests", HTTPStatus.TOO_MANY_REQUESTS),
)

# -------------------------------------------------------------------------------------------------- recorded messages


def is_snapshot(message: Any, row: Any) -> bool:
    """Before there were numbers nothing tells whether a change is missing."""
    return message["action"] == "snapshot" or "seqId" not in row


def funding_of(row: Any) -> object:
    return (row["fundingRate"], row["fundingTime"]) if row.get("fundingRate") and row.get("fundingTime") else None


_reading: Final = partial(Reading, rows="data")
RECORDED: Final = (
    _reading(name="trades:{symbol}", words=("trade",)),
    _reading(name="trades-all:{symbol}", words=("trade",)),
    _reading(name="books:{symbol}", words=("depth",), begins=is_snapshot, alive=("seqId", "prevSeqId")),
    _reading(name="books5:{symbol}", words=("depth",)),
    _reading(name="candle{interval}:{symbol}", words=("kline",), codes=CODES),
    _reading(name="tickers:{symbol}", words=("ticker",)),
    _reading(name="bbo-tbt:{symbol}", words=("book_ticker",)),
    _reading(name="mark-price:{symbol}", words=("mark_price",)),
    _reading(name="funding-rate:{symbol}", once={"funding_rate": funding_of}),
    _reading(name="open-interest:{symbol}", words=("open_interest",)),
    _reading(name="liquidation-orders:{kind}", inside="details", symbol="instId", words=("liquidation",)),
)


OKX: Final[Dialect] = declared(
    routes={"/ws/v5/public": "public", "/ws/v5/business": "business"},
    symbol=rf"{FAMILY}(?:-SWAP|-\d{{6}})?",
    channels=CHANNELS,
    requests=REQUESTS,
    rest=REST,
    limits=VenueLimits(ping_interval=0, silence=30.0, life=0, messages=0),
    manners=Manners(notice=lambda now_ms: NOTICE),
    stream_of=stream_of,
    recorded=RECORDED,
)
