"""Bitget, version 3, USDT futures and spot: topics, frames and requests as documented; of version 2 the long candles.

Trades begin with the newest ones, newest first as always; books begin with a snapshot and name their predecessors. Of
candles the first frame has past ones and no time, and nothing says that one is closed. Each argument is answered by
itself; an error of version 3 has the argument in its text. The side of a liquidation is the position's. Twenty-five
arguments in a request close the connection, and so does a client that does not ping.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from wsadapter.embedded.exchange.connection import VenueLimits
from wsadapter.embedded.exchange.dialect import Dialect, declared
from wsadapter.embedded.exchange.recorded_events import Reading, one, says
from wsadapter.embedded.exchange.requests import Ask, Requests, Say, Unknown
from wsadapter.embedded.market.candles import Candle
from wsadapter.embedded.market.channels import (
    BookChange,
    Books,
    Candles,
    Channel,
    DeclaredStream,
    Liquidations,
    Print,
    States,
    Trades,
    level_texts,
)
from wsadapter.embedded.market.instruments import text
from wsadapter.embedded.market.market import MARK_DIGITS, Market
from wsadapter.embedded.market.rest_tables import RestPaths
from wsadapter.embedded.market.streams import Liquidated
from wsadapter.embedded.venues.bitget_rest import CODES, MIX, UTC_CODES, trade_id
from wsadapter.embedded.venues.bitget_rest import SPOT as SPOT_REST

DEEPEST: Final = 1000
CLOSING_ARGS: Final = 25
PATHS: Final = {"/v3/ws/public": "public", "/v2/ws/public": "utc"}

# ---------------------------------------------------------------------------------------------------------- frames


def enveloped(arg: str, rows: Iterable[str], action: str, now_ms: int | None) -> str:
    sent = "" if now_ms is None else f',"ts":{now_ms}'
    return f'{{"action":"{action}","arg":{{{arg}}},"data":[{",".join(rows)}]{sent}}}'


def topic(kind: str, name: str, s: DeclaredStream) -> str:
    return f'"instType":"{kind}","topic":"{name}","symbol":"{s.symbol}"'


def action(is_snapshot: bool) -> str:
    return "snapshot" if is_snapshot else "update"


def public_trade(kind: str, s: DeclaredStream, prints: list[Print], now_ms: int, is_first: bool = False) -> str:
    rows = [
        f'{{"i":"{trade_id(p)}","p":"{s.i.price_text(p.price)}","v":"{s.i.quantity_text(p.quantity)}",'
        f'"S":"{"sell" if p.seller else "buy"}","T":"{p.time_ms}","L":"{trade_id(p, 1)}","isRPI":"no"}}'
        for p in reversed(prints)
    ]
    return enveloped(topic(kind, "publicTrade", s), rows, action(is_first), now_ms)


def books(kind: str, name: str, s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    """A level that is gone has the quantity 0, without digits; a snapshot names no predecessor."""
    bids, asks = (level_texts(s, side, gone="0") for side in (change.bids, change.asks))
    deepest = f',"maxdepth":"{DEEPEST}"' if name == "books" else ""
    row = (
        f'{{"a":[{asks}],"b":[{bids}],"seq":{change.update_id},"pseq":{change.previous_id or 0},'
        f'"ts":"{change.time_ms}"{deepest}}}'
    )
    return enveloped(topic(kind, name, s), [row], action(change.is_snapshot), now_ms)


def candle_fields(s: DeclaredStream, candle: Candle) -> list[str]:
    prices = map(s.i.price_text, (candle.open, candle.high, candle.low, candle.close))
    return [str(candle.open_ms), *prices, s.i.quantity_text(candle.volume), s.i.quote_text(candle.quote)]


def klines(kind: str, s: DeclaredStream, candles: Sequence[Candle], now_ms: int | None) -> str:
    names = "start", "open", "high", "low", "close", "volume", "turnover"
    rows = [
        "{" + ",".join(f'"{n}":"{t}"' for n, t in zip(names, candle_fields(s, candle), strict=True)) + "}"
        for candle in candles
    ]
    return enveloped(f'{topic(kind, "kline", s)},"interval":"{s.code}"', rows, action(now_ms is None), now_ms)


def utc_candles(kind: str, s: DeclaredStream, candles: Sequence[Candle], now_ms: int | None) -> str:
    """Of version 2: the last column is in USDT, like the one before."""
    rows = []
    for candle in candles:
        fields = candle_fields(s, candle)
        rows.append("[" + ",".join(f'"{field}"' for field in (*fields, fields[-1])) + "]")
    arg = f'"instType":"{kind.upper()}","channel":"candle{s.code}","instId":"{s.symbol}"'
    return enveloped(arg, rows, action(now_ms is None), now_ms)


def candles_of(name: str, spelled: Any, codes: dict[str, str], route: str) -> Candles:
    return Candles(
        name=name,
        route=route,
        codes=codes,
        frame=lambda s, candle, is_closed, now_ms: spelled(s, [candle], now_ms),
        first=lambda s, candles, now_ms: spelled(s, candles, None),
        says_closed=False,
        by_successor=True,
        recent=200,
    )


def ticker(kind: str, s: DeclaredStream, now_ms: int) -> str:
    i, market = s.i, s.market
    day, (bid, bid_quantity, ask, ask_quantity) = market.candles.day(), market.book.top()
    fields = {
        "highPrice24h": i.price_text(day.high), "lowPrice24h": i.price_text(day.low),
        "openPrice24h": i.price_text(day.open), "lastPrice": i.price_text(day.close),
        "turnover24h": i.quote_text(day.quote), "volume24h": i.quantity_text(day.volume),
        "bid1Price": i.price_text(bid), "ask1Price": i.price_text(ask), "bid1Size": i.quantity_text(bid_quantity),
        "ask1Size": i.quantity_text(ask_quantity),
        "price24hPcnt": text((day.close - day.open) * 100_000 // day.open, 5),
    }  # fmt: skip
    if kind != "spot":
        mark, scale = market.mark(now_ms), 10 ** (MARK_DIGITS - i.price_digits)
        fields |= {
            "indexPrice": text(mark.index, MARK_DIGITS), "markPrice": i.price_text(mark.price // scale),
            "fundingRate": mark.rate, "openInterest": i.quantity_text(market.open_interest()), "deliveryTime": "",
            "deliveryStartTime": "", "deliveryStatus": "", "nextFundingTime": str(mark.next_funding_ms),
        }  # fmt: skip
    row = "{" + ",".join(f'"{name}":"{value}"' for name, value in fields.items()) + "}"
    return enveloped(topic(kind, "ticker", s), [row], "snapshot", now_ms)


def funding(market: Market, now_ms: int) -> object:
    mark = market.mark(now_ms)
    return mark.rate, mark.next_funding_ms


def liquidation(kind: str, s: DeclaredStream, order: Liquidated, now_ms: int) -> str:
    row = (
        f'{{"symbol":"{s.symbol}","side":"{"buy" if order.sell else "sell"}","price":"{s.i.price_text(order.price)}",'
        f'"amount":"{s.i.quantity_text(order.quantity)}","ts":"{order.time_ms}"}}'
    )
    return enveloped(f'"instType":"{kind}","topic":"liquidation"', [row], "update", now_ms)


def channels(kind: str) -> tuple[Channel, ...]:
    def top(name: str, levels: int, every_ms: int, word: str) -> Books:
        frame = partial(books, kind, name)
        return Books(
            name=f"{kind}:{name}::{{symbol}}", route="public", frame=frame, levels=levels, every_ms=every_ms,
            whole=True, word=word,
        )  # fmt: skip

    both: tuple[Channel, ...] = (
        Trades(
            name=f"{kind}:publicTrade::{{symbol}}", route="public", frame=partial(public_trade, kind),
            first=partial(public_trade, kind, is_first=True), once=True,
        ),
        Books(
            name=f"{kind}:books::{{symbol}}", route="public", frame=partial(books, kind, "books"), levels=DEEPEST,
            every_ms=60,
        ),
        top("books5", 5, 10, "depth"),
        top("books1", 1, 10, "book_ticker"),
        candles_of(f"{kind}:kline:{{interval}}:{{symbol}}", partial(klines, kind), CODES, "public"),
        candles_of(f"{kind.upper()}:candle{{interval}}::{{symbol}}", partial(utc_candles, kind), UTC_CODES, "utc"),
    )  # fmt: skip
    state = partial(ticker, kind)
    if kind == "spot":
        told = States(
            name=f"{kind}:ticker::{{symbol}}", route="public", frame=state, words=("ticker",), every_ms=300, begins=True
        )
        return (*both, told)
    return (
        *both,
        States(
            name=f"{kind}:ticker::{{symbol}}", route="public", frame=state,
            words=("ticker", "mark_price", "open_interest"), once={"funding_rate": funding}, every_ms=300, begins=True,
        ),
        Liquidations(name=f"{kind}:liquidation::", route="public", frame=partial(liquidation, kind)),
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- requests


def read(document: Any, connection_id: str) -> Ask | Say:
    args, begin = document["args"], {"subscribe": True, "unsubscribe": False}[document["op"]]
    if len(args) >= CLOSING_ARGS:
        return Say(close=1008)
    return Ask(tuple(map(name_of, args)), begin, arguments=tuple(args))


def name_of(arg: dict[str, str]) -> str:
    """As in the channels."""
    if "channel" in arg:
        return f"{arg['instType']}:{arg['channel']}::{arg['instId']}"
    return f"{arg['instType']}:{arg['topic']}:{arg.get('interval', '')}:{arg.get('symbol', '')}"


def stream_of(message: Any) -> str:
    return name_of(message["arg"]) if "action" in message else ""


def replies(
    ask: Ask, taken: tuple[str, ...], bad: tuple[str, ...], standing: tuple[str, ...], connection_id: str
) -> Iterable[str]:
    event = "subscribe" if ask.begin else "unsubscribe"
    for name, arg in zip(ask.names, ask.arguments, strict=True):
        if name not in bad:
            yield said({"event": event, "arg": arg, "connId": connection_id})
        elif "channel" in arg:
            told = ",".join(f"{field}:{value}" for field, value in arg.items())
            yield said({"event": "error", "arg": arg, "code": 30001, "msg": f"{told} doesn't exist", "op": event})
        else:
            told = said({field: arg[field] for field in sorted(arg)})
            yield said({"event": "error", "code": 30001, "msg": f"{told} doesn't exist", "connId": connection_id})


def malformed(connection_id: str) -> Say:
    return Say([said({"event": "error", "code": 30002, "msg": "Unrecognized request", "connId": connection_id})])


def said(document: object) -> str:
    return msgspec.json.encode(document).decode()


# -------------------------------------------------------------------------------------------------- recorded messages


def is_snapshot(message: Any, row: Any) -> bool:
    """Before there were numbers nothing tells whether a change is missing."""
    return message["action"] == "snapshot" or "seq" not in row


def funding_of(row: Any) -> object:
    due = row.get("nextFundingTime")
    return (row["fundingRate"], due) if row.get("fundingRate") and due and due != "0" else None


_reading: Final = partial(Reading, rows="data")


def recorded(kind: str) -> tuple[Reading, ...]:
    """Of both versions of the protocol."""
    books = {f"{kind}:books": (5, 50), f"{kind.upper()}:books": (5, 15)}
    return (
        _reading(name=f"{kind}:publicTrade::{{symbol}}", words=("trade",), identity="i"),
        _reading(name=f"{kind.upper()}:trade::{{symbol}}", words=("trade",), identity="tradeId"),
        _reading(name=f"{kind}:kline:{{interval}}:{{symbol}}", words=("kline",), codes=CODES, opens="start"),
        _reading(name=f"{kind.upper()}:candle{{interval}}::{{symbol}}", words=("kline",), codes=CODES | UTC_CODES,
                 opens="0"),
        *(_reading(name=f"{books}::{{symbol}}", words=("depth",), begins=is_snapshot, alive=("seq", "pseq"))
          for books in books),
        *(_reading(name=f"{books}1::{{symbol}}", words=("book_ticker",)) for books in books),
        *(_reading(name=f"{books}{few}::{{symbol}}", words=("depth",)) for books, levels in books.items()
          for few in levels),
        *(_reading(name=f"{each}:ticker::{{symbol}}", words=states(kind),
                   once={} if kind == "spot" else {"funding_rate": funding_of}) for each in (kind, kind.upper())),
        _reading(name=f"{kind}:liquidation::", symbol="symbol", words=("liquidation",)),
    )  # fmt: skip


def states(kind: str) -> Mapping[str, Callable[[Any], int]]:
    futures = {
        "mark_price": says("markPrice"),
        "open_interest": lambda row: int(bool(row.get("openInterest") or row.get("holdingAmount"))),
    }
    return {"ticker": one, **({} if kind == "spot" else futures)}


def market(kind: str, rest: RestPaths) -> Dialect:
    return declared(
        routes=PATHS,
        symbol=r"[A-Z0-9]{2,24}",
        channels=channels(kind),
        requests=Requests(
            read=read,
            replies=replies,
            malformed=malformed,
            texts={b"ping": b"pong"},
            unknown=Unknown.ALONE,
        ),
        rest=rest,
        limits=VenueLimits(ping_interval=0, silence=130.0, life=86_400.0, messages=10),
        stream_of=stream_of,
        recorded=recorded(kind),
    )


FUTURES: Final = market("usdt-futures", MIX)
SPOT: Final = market("spot", SPOT_REST)
