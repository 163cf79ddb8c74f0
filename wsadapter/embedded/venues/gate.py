"""Gate v4, USDT futures: streams, requests and REST as documented, to a client with the header of decimal sizes.

One request is of one channel, with one answer; one wrong name is an error of the whole request (whether the others are
taken is not documented). Sizes are text with a sign for the side, contracts of 0.01 of the base. Books begin with all
levels and number what they change without holes. A wrong parameter over REST is HTTP 400 with a label.
"""

from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

import msgspec

from wsadapter.embedded.exchange.connection import Manners, VenueLimits
from wsadapter.embedded.exchange.dialect import Dialect, declared
from wsadapter.embedded.exchange.recorded_events import Reading, says
from wsadapter.embedded.exchange.requests import Ask, Requests, Say
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
)
from wsadapter.embedded.market.instruments import MarketInstrument, text
from wsadapter.embedded.market.market import FUNDING_MS, MARK_DIGITS, Market
from wsadapter.embedded.market.rest import RestReply
from wsadapter.embedded.market.rest_tables import Desk, Refused, RestPaths, raw, refuse, reply
from wsadapter.embedded.market.streams import Liquidated

CODES: Final = {code: code for code in ("1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d")}
CANDLES: Final = "futures.candlesticks"
CONNECTION: Final = {"conn_id": "7131b1698f971b30", "trace_id": "10272d21f20811233bcce89196cbfcf2"}
MOST_CANDLES: Final = 2000
Levels = list[tuple[int, int]]


# ---------------------------------------------------------------------------------------------------------- frames


def told(channel: str, now_ms: int, result: Any) -> str:
    document = {"time": now_ms // 1000, "time_ms": now_ms, "channel": channel, "event": "update", "result": result}
    return msgspec.json.encode(document).decode()


def signed(i: MarketInstrument, quantity: int, is_sale: bool) -> str:
    return f"{'-' if is_sale else ''}{i.quantity_text(quantity)}"


def trades(s: DeclaredStream, prints: list[Print], now_ms: int) -> str:
    rows = [
        {"size": signed(s.i, p.quantity, p.seller), "id": p.number, "create_time": p.time_ms // 1000,
         "create_time_ms": p.time_ms, "price": s.i.price_text(p.price), "contract": s.symbol}
        for p in prints
    ]  # fmt: skip
    return told("futures.trades", now_ms, rows)


def levels(i: MarketInstrument, side: Levels) -> list[list[str]]:
    return [[i.price_text(price), i.quantity_text(quantity) if quantity else "0"] for price, quantity in side]


def obu(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    """A side that has not changed is left out."""
    result: dict[str, Any] = {"t": change.time_ms}
    if change.previous_id is None:
        result |= {"full": True, "s": stream_of(s), "u": change.update_id}
    else:
        result |= {"s": stream_of(s), "U": change.previous_id + 1, "u": change.update_id}
    sides = {"b": change.bids, "a": change.asks}
    result |= {name: levels(s.i, side) for name, side in sides.items() if side or change.is_snapshot}
    return told("futures.obu", now_ms, result)


def stream_of(s: DeclaredStream) -> str:
    return s.name.partition(":")[2]


def candle(s: DeclaredStream, c: Candle, is_closed: bool, now_ms: int) -> str:
    row = {"t": c.open_ms // 1000, **prices(s.i, c), "a": s.i.quote_text(c.quote), "n": f"{s.code}_{s.symbol}"}
    return told(CANDLES, now_ms, [row | {"w": is_closed, "v": s.i.quantity_text(c.volume)}])


def prices(i: MarketInstrument, c: Candle) -> dict[str, str]:
    return {"c": i.price_text(c.close), "h": i.price_text(c.high), "l": i.price_text(c.low), "o": i.price_text(c.open)}


def tickers(s: DeclaredStream, now_ms: int) -> str:
    i, day, mark = s.i, s.market.candles.day(), s.market.mark(now_ms)
    change = day.close - day.open
    row = {
        "contract": s.symbol, "last": i.price_text(day.close),
        "change_percentage": text(change * 1_000_000 // day.open, 4), "total_size":
        i.quantity_text(s.market.open_interest()), "volume_24h": i.quantity_text(day.volume),
        "volume_24h_base": text(day.volume, i.quantity_digits + 2), "volume_24h_quote": i.quote_text(day.quote),
        "volume_24h_settle": i.quote_text(day.quote), "mark_price": text(mark.price, MARK_DIGITS),
        "funding_rate": mark.rate, "funding_rate_indicative": mark.rate, "funding_interval": FUNDING_MS // 1000,
        "funding_offset": 0, "funding_next_apply": mark.next_funding_ms // 1000,
        "index_price": text(mark.index, MARK_DIGITS), "quanto_base_rate": "", "low_24h": i.price_text(day.low),
        "high_24h": i.price_text(day.high), "price_type": "last", "change_from": "24h",
        "change_price": i.price_text(change), "t": now_ms,
    }  # fmt: skip
    return told("futures.tickers", now_ms, [row])


def funding_told(market: Market, now_ms: int) -> tuple[str, int]:
    mark = market.mark(now_ms)
    return mark.rate, mark.next_funding_ms


def book_ticker(s: DeclaredStream, best: tuple[int, int, int, int], at_ms: int, now_ms: int) -> str:
    bid, bid_quantity, ask, ask_quantity = best
    result = {
        "t": at_ms, "u": s.market.book.update_id, "s": s.symbol, "b": s.i.price_text(bid),
        "B": s.i.quantity_text(bid_quantity), "a": s.i.price_text(ask), "A": s.i.quantity_text(ask_quantity),
    }  # fmt: skip
    return told("futures.book_ticker", now_ms, result)


def liquidates(s: DeclaredStream, order: Liquidated, now_ms: int) -> str:
    """The size is the order's: a long is closed by a sale."""
    price, size = s.i.price_text(order.price), signed(s.i, order.quantity, order.sell)
    result = {"contract": s.symbol, "price": price, "time": order.time_ms, "size": size}
    return told("futures.public_liquidates", now_ms, result)


CHANNELS: Final = (
    Trades(name="futures.trades:{symbol}", frame=trades),
    Books(name="futures.obu:ob.{symbol}.{levels}", frame=obu, speeds={50: 20, 400: 100}),
    Candles(name=CANDLES + ":{interval}:{symbol}", frame=candle, codes=CODES, every_ms=2000),
    States(name="futures.tickers:{symbol}", frame=tickers, words=("ticker", "mark_price", "open_interest"),
           once={"funding_rate": funding_told}, begins=True),
    BestPrices(name="futures.book_ticker:{symbol}", frame=book_ticker),
    Liquidations(name="futures.public_liquidates:{symbol}", frame=liquidates, every_ms=1000),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- requests


def read(document: Any, connection_id: str) -> Ask | Say:
    channel, event = document["channel"], document.get("event", "")
    at = document["time"] + 0
    if channel == "futures.ping":
        pong = {"time": at, "time_ms": at * 1000, "channel": "futures.pong", "event": "", "result": None}
        return Say([msgspec.json.encode(pong).decode()])
    payload = document["payload"]
    if event not in ("subscribe", "unsubscribe") or not payload:
        return malformed(connection_id)
    about = [":".join(payload)] if channel == CANDLES else payload
    names = tuple(f"{channel}:{each}" for each in about)
    return Ask(names, event == "subscribe", document.get("id"), (document,) * len(names))


def replies(
    ask: Ask, taken: tuple[str, ...], bad: tuple[str, ...], standing: tuple[str, ...], connection_id: str
) -> list[str]:
    (asked, *_), number = ask.arguments, {} if ask.id is None else {"id": ask.id}
    document = {"time": asked["time"], "time_ms": asked["time"] * 1000, **number, **CONNECTION}
    document |= {name: asked[name] for name in ("channel", "event", "payload")}
    if bad:
        message = f"unknown currency pair {bad[0].rpartition(':')[2]}"
        document |= {"error": {"code": 2, "message": message}, "result": {"status": "fail"}}
    else:
        document["result"] = {"status": "success"}
    return [msgspec.json.encode(document).decode()]


def malformed(connection_id: str) -> Say:
    error = {"code": 1, "message": "invalid argument struct"}
    return Say([msgspec.json.encode({"channel": "", "event": "", "error": error, "result": None}).decode()])


REQUESTS: Final = Requests(read=read, replies=replies, malformed=malformed, data_first=True)


def notice(now_ms: int) -> str:
    message = "The connection will soon be closed for a service upgrade. Please reconnect."
    return told("futures.system", now_ms, {"type": "upgrade", "msg": message})


# ---------------------------------------------------------------------------------------------------------- REST


def seconds(ms: int) -> msgspec.Raw:
    return raw(text(ms, 3))


def rest_trades(desk: Desk) -> list[Any]:
    market, inside = desk.market("contract"), desk.inside("from", "to", 1000)
    begin, i = desk.number("offset") or 0, market.instrument
    found = (p for p in desk.prints(market) if inside(p.time_ms - p.time_ms % 1000))
    return [
        {"id": p.number, "create_time": p.time_ms // 1000, "create_time_ms": seconds(p.time_ms),
         "contract": market.symbol, "size": signed(i, p.quantity, p.seller), "price": i.price_text(p.price)}
        for p in islice(found, begin, begin + desk.limit(100, 1000))
    ]  # fmt: skip


def candlesticks(desk: Desk) -> list[Any]:
    """Oldest first; a range and a limit exclude each other."""
    market, interval = desk.market("contract"), desk.interval(CODES)
    if desk.query.get("limit") and (desk.query.get("from") or desk.query.get("to")):
        refuse("parameter", "limit conflicts with from and to")
    inside, i = desk.inside("from", "to", 1000), market.instrument
    rows = [
        {"t": c.open_ms // 1000, "v": i.quantity_text(c.volume), **prices(i, c), "sum": i.quote_text(c.quote)}
        for c in desk.candles(market, interval)
        if inside(c.open_ms)
    ]
    return rows[::-1] if len(rows) <= MOST_CANDLES else refuse("parameter", "too many points")


def funding_rate(desk: Desk) -> list[Any]:
    """A second after the hour."""
    market, inside = desk.market("contract"), desk.inside("from", "to", 1000)
    found = desk.fundings(market, lambda ms: inside(ms + 1000), desk.limit(100, 1000))
    return [{"t": at_ms // 1000 + 1, "r": rate} for at_ms, rate in found]


def order_book(desk: Desk) -> dict[str, Any]:
    market = desk.market("contract")
    if (desk.number("limit") or 0) > 300:
        refuse("big", "limit 300")
    bids, asks = ([{"p": price, "s": size} for price, size in levels(market.instrument, side)]
                  for side in market.book.levels(desk.limit(10, 300)))  # fmt: skip
    number = {"id": market.book.update_id} if desk.query.get("with_id") == "true" else {}
    return {
        **number,
        "current": seconds(desk.now_ms),
        "update": seconds(market.book.time_ms),
        "asks": asks,
        "bids": bids,
    }


def days(desk: Desk) -> list[Any]:
    return [
        {
            "contract": i.symbol, "last": i.price_text(day.close), "volume_24h": i.quantity_text(day.volume),
            "volume_24h_base": text(day.volume, i.quantity_digits + 2), "volume_24h_quote": i.quote_text(day.quote),
        }
        for i, day in desk.days()
    ]  # fmt: skip


def contracts(desk: Desk) -> list[Any]:
    return [contract(market.instrument) for market in desk.markets()]


def contract(i: MarketInstrument) -> dict[str, Any]:
    return {
        "name": i.symbol, "type": "direct", "quanto_multiplier": "0.01", "order_price_round": i.price_text(i.tick),
        "order_size_min": i.quantity_text(1), "order_size_max": "1000000", "enable_decimal": i.quantity_digits > 0,
        "funding_interval": FUNDING_MS // 1000, "in_delisting": False, "status": "trading",
        "launch_time": 1_548_979_200,
    }  # fmt: skip


def error(refused: Refused, now_ms: int) -> RestReply:
    bodies = {
        "symbol": {"label": "CONTRACT_NOT_FOUND"},
        "missing": {"label": "MISSING_REQUIRED_PARAM", "message": f"Missing required parameter: {refused.message}"},
        "big": {"label": "TOO_BIG", "message": refused.message},
    }
    wrong = {"label": "INVALID_PARAM_VALUE", "message": f"invalid {refused.message}"}
    return reply(bodies.get(refused.kind, wrong), HTTPStatus.BAD_REQUEST)


FUTURES: Final = "/api/v4/futures/usdt/"
REST: Final = RestPaths(
    paths={
        "/api/v4/spot/time": lambda desk: {"server_time": desk.now_ms},
        FUTURES + "trades": rest_trades,
        FUTURES + "candlesticks": candlesticks,
        FUTURES + "funding_rate": funding_rate,
        FUTURES + "order_book": order_book,
        FUTURES + "contracts": contracts,
        FUTURES + "tickers": days,
    },
    error=error,
    requests=200,
    window_ms=10_000,
    too_many=reply({"label": "TOO_MANY_REQUESTS", "message": "Request Rate Limit Exceeded"}, 429),
)

# -------------------------------------------------------------------------------------------------- recorded messages


def recorded_stream(message: Any) -> str:
    """Of the first element."""
    if message["event"] not in ("update", "all"):
        return ""
    row = message["result"]
    row = row[0] if isinstance(row, list) else row
    about = row.get("s") or row.get("n", "").replace("_", ":", 1) or row["contract"]
    return f"{message['channel']}:{about}"


def funding_of(row: Any) -> object:
    rate, due = row.get("funding_rate"), row.get("funding_next_apply")
    return (rate, due) if rate and due else None


_reading: Final = partial(Reading, rows="result")
RECORDED: Final = (
    _reading(name="futures.trades:{symbol}", symbol="contract", words=("trade",)),
    _reading(name="futures.obu:ob.{symbol}.{levels}", words=("depth",), begins=lambda message, row: "full" in row),
    _reading(name="futures.order_book_update:{symbol}", words=("depth",)),
    _reading(name=CANDLES + ":{interval}:{symbol}", words=("kline",), codes=CODES, opens="t", closed="w"),
    _reading(name="futures.tickers:{symbol}", symbol="contract", once={"funding_rate": funding_of},
             words={"ticker": says("last"), "mark_price": says("mark_price"), "open_interest": says("total_size")}),
    _reading(name="futures.book_ticker:{symbol}", words=("book_ticker",)),
    _reading(name="futures.public_liquidates:{symbol}", symbol="contract", words=("liquidation",)),
)  # fmt: skip


USDT: Final[Dialect] = declared(
    routes={"/v4/ws/usdt": ""},
    symbol=r"[A-Z0-9]{1,20}_USDT",
    channels=CHANNELS,
    requests=REQUESTS,
    rest=REST,
    limits=VenueLimits(ping_interval=0, silence=30.5, life=0, messages=0),
    manners=Manners(notice=notice),
    stream_of=recorded_stream,
    recorded=RECORDED,
)
