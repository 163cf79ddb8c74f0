"""Deribit: channels, frames, JSON-RPC and REST as documented. Numbers are JSON numbers, amounts of whole hundreds have
an exponent as on the wire.

A subscription is answered with the list of what was taken, in another order; a channel that does not exist is left out.
A request with a ``raw`` channel is refused whole. Heartbeats come to those that ask for them, as test requests, and
who does not answer one is closed. One trade in forty is a liquidation, of the taker, the maker, or both.
"""

from decimal import Decimal
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

import msgspec

from wsadapter.embedded.exchange.connection import Manners, VenueLimits
from wsadapter.embedded.exchange.dialect import Dialect, declared
from wsadapter.embedded.exchange.recorded_events import Reading, one, says
from wsadapter.embedded.exchange.requests import Ask, Requests, Say, Unknown
from wsadapter.embedded.market.candles import Candle
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
from wsadapter.embedded.market.instruments import MarketInstrument, text
from wsadapter.embedded.market.market import MARK_DIGITS, Market
from wsadapter.embedded.market.rest import RestReply
from wsadapter.embedded.market.rest_tables import Desk, Refused, RestPaths, raw, refuse, reply

CODES: Final = {
    "1": "1m", "3": "3m", "5": "5m", "15": "15m", "30": "30m", "60": "1h", "120": "2h", "180": "3h", "360": "6h",
    "720": "12h", "1D": "1d",
}  # fmt: skip
DEPTHS: Final = (1, 5, 10, 20, 50, 100, 1000, 10_000)
LIQUIDATED: Final = ("", "T", "M", "MT")
MOST_CANDLES: Final = 5000
MOST_HOURS: Final = 744

# ---------------------------------------------------------------------------------------------------------- frames


def message(channel: str, data: str) -> str:
    return f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}'


def amount(i: MarketInstrument, quantity: int) -> str:
    """2.2e3 beside 1054.0"""
    value = Decimal(i.quantity_text(quantity))
    return f"{value:e}".replace("e+", "e") if value and value % 100 == 0 else str(value)


def liquidated(p: Print) -> str:
    return LIQUIDATED[p.number // 40 % 3 + 1] if p.number % 40 == 0 else ""


def trade(i: MarketInstrument, p: Print) -> str:
    forced = f'"liquidation":"{liquidated(p)}",' if liquidated(p) else ""
    coin = "" if i.symbol.startswith("BTC-") else i.symbol.partition("-")[0] + "-"
    return (
        f'{{"timestamp":{p.time_ms},"price":{i.price_text(p.price)},"amount":{amount(i, p.quantity)},'
        f'"direction":"{"sell" if p.seller else "buy"}","index_price":{i.price_text(p.price)},{forced}'
        f'"instrument_name":"{i.symbol}","trade_seq":{p.number},"mark_price":{i.price_text(p.price)},'
        f'"tick_direction":{p.number % 4},"trade_id":"{coin}{p.number}"}}'
    )


def trades(s: DeclaredStream, prints: list[Print], now_ms: int) -> str:
    return message(s.name, f"[{','.join(trade(s.i, p) for p in prints)}]")


def changes(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    """``new`` in a snapshot; here a level that is new later is called ``change``."""
    word = "new" if change.is_snapshot else "change"
    bids, asks = (
        ",".join(f'["{word if q else "delete"}",{s.i.price_text(p)},{amount(s.i, q)}]' for p, q in side)
        for side in (change.bids, change.asks)
    )
    before = "" if change.previous_id is None else f',"prev_change_id":{change.previous_id}'
    return message(
        s.name,
        f'{{"timestamp":{change.time_ms},"type":"{"snapshot" if change.is_snapshot else "change"}",'
        f'"change_id":{change.update_id},"instrument_name":"{s.symbol}","bids":[{bids}],"asks":[{asks}]{before}}}',
    )


def top(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    bids, asks = pairs(s.i, change.bids), pairs(s.i, change.asks)
    return message(
        s.name,
        f'{{"timestamp":{change.time_ms},"change_id":{change.update_id},"instrument_name":"{s.symbol}",'
        f'"bids":{bids},"asks":{asks}}}',
    )


def pairs(i: MarketInstrument, side: Any) -> str:
    return f"[{','.join(f'[{i.price_text(p)},{amount(i, q)}]' for p, q in side)}]"


def candle(s: DeclaredStream, one: Candle, is_closed: bool, now_ms: int) -> str:
    prices = {"open": one.open, "high": one.high, "low": one.low, "close": one.close}
    told = ",".join(f'"{name}":{s.i.price_text(price)}' for name, price in prices.items())
    data = f'"volume":{s.i.quantity_text(one.volume)},"cost":{s.i.quote_text(one.quote)}'
    return message(s.name, f'{{"tick":{one.open_ms},{told},{data}}}')


def rate(market: Market, now_ms: int) -> str:
    """1.423e-4"""
    value = f"{Decimal(market.mark(now_ms).rate):e}"
    return value if value[0] != "0" else "0.0"


def state(market: Market, now_ms: int) -> str:
    """As a ticker says it, on the channel and over REST."""
    i, mark, day = market.instrument, market.mark(now_ms), market.candles.day()
    scale = 10 ** (MARK_DIGITS - i.price_digits)
    bid, bid_quantity, ask, ask_quantity = market.book.top()
    percent = text((day.close - day.open) * 1_000_000 // day.open, 4)
    index = i.price_text(mark.index // scale)
    return (
        f'{{"timestamp":{now_ms},"state":"open","stats":{{"high":{i.price_text(day.high)},"low":{i.price_text(day.low)},'
        f'"price_change":{percent},"volume":{i.quantity_text(day.volume)},"volume_usd":{i.quote_text(day.quote)},'
        f'"volume_notional":{i.quote_text(day.quote)}}},"index_price":{index},"instrument_name":"{market.symbol}",'
        f'"last_price":{i.price_text(day.close)},"settlement_price":{i.price_text(day.open)},'
        f'"open_interest":{i.quantity_text(market.open_interest())},"mark_price":{i.price_text(mark.price // scale)},'
        f'"current_funding":{rate(market, now_ms)},"funding_8h":{rate(market, now_ms)},'
        f'"estimated_delivery_price":{index},"best_bid_price":{i.price_text(bid)},'
        f'"best_bid_amount":{amount(i, bid_quantity)},"best_ask_price":{i.price_text(ask)},'
        f'"best_ask_amount":{amount(i, ask_quantity)}}}'
    )


def ticker(s: DeclaredStream, now_ms: int) -> str:
    return message(s.name, state(s.market, now_ms))


def quote(s: DeclaredStream, best: tuple[int, int, int, int], at_ms: int, now_ms: int) -> str:
    bid, bid_quantity, ask, ask_quantity = best
    return message(
        s.name,
        f'{{"timestamp":{at_ms},"instrument_name":"{s.symbol}","best_ask_price":{s.i.price_text(ask)},'
        f'"best_bid_price":{s.i.price_text(bid)},"best_ask_amount":{amount(s.i, ask_quantity)},'
        f'"best_bid_amount":{amount(s.i, bid_quantity)}}}',
    )


CHANNELS: Final = (
    Trades(name="trades.{symbol}.100ms", frame=trades, words={"liquidation": lambda p: len(liquidated(p))}),
    Books(name="book.{symbol}.none.{levels}.100ms", frame=top, speeds=dict.fromkeys((1, 10, 20), 100), whole=True),
    Books(name="book.{symbol}.100ms", frame=changes),
    Candles(name="chart.trades.{symbol}.{interval}", frame=candle, codes=CODES, by_successor=True),
    States(name="ticker.{symbol}.100ms", frame=ticker, every_ms=100, words=("ticker", "mark_price", "open_interest"),
           once={"funding_rate": rate}, begins=True),
    BestPrices(name="quote.{symbol}", frame=quote, begins=True),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- requests


def told(identity: Any, **fields: Any) -> str:
    """A response; without an id where the request had none."""
    head = {"jsonrpc": "2.0"} | ({} if identity is None else {"id": identity})
    times = {"usIn": 1_790_133_840_888_348, "usOut": 1_790_133_840_889_867, "usDiff": 1519, "testnet": False}
    return msgspec.json.encode(head | fields | times).decode()


def refused(identity: Any, code: int, message: str, **data: str) -> Say:
    return Say([told(identity, error={"code": code, "message": message} | ({"data": data} if data else {}))])


def read(document: Any, connection_id: str) -> Ask | Say:
    identity, method, params = document.get("id"), document["method"], document.get("params") or {}
    if method == "public/test":
        return Say([told(identity, result={"version": "1.2.26"})])
    if method == "public/set_heartbeat":
        every = params.get("interval")
        if not isinstance(every, int) or every < 10:
            return refused(identity, -32602, "Invalid params", reason="must be 10 at least", param="interval")
        return Say([told(identity, result="ok")], beat_every=float(every))
    if method not in ("public/subscribe", "public/unsubscribe"):
        return refused(identity, -32601, "Method not found")
    channels = params.get("channels")
    if channels == ["platform_state"]:
        return Say([told(identity, result=channels)])
    if not isinstance(channels, list) or not all(isinstance(channel, str) for channel in channels):
        return refused(identity, -32602, "Invalid params", reason="value must be a list", param="channels")
    if any(channel.endswith(".raw") for channel in channels):
        return refused(identity, 13778, "raw_subscriptions_not_available_for_unauthorized")
    return Ask(tuple(channels), method == "public/subscribe", identity)


def replies(
    ask: Ask, taken: tuple[str, ...], bad: tuple[str, ...], standing: tuple[str, ...], connection_id: str
) -> list[str]:
    return [told(ask.id, result=sorted(taken, reverse=True))]


REQUESTS: Final = Requests(
    read=read,
    replies=replies,
    malformed=lambda connection_id: refused(None, 11050, "bad_request", reason="invalid json"),
    unknown=Unknown.ALONE,
    most=500,
)
MAINTENANCE: Final = (
    '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"platform_state","data":{"maintenance":true}}}'
)
TEST_REQUEST: Final = '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'

# ---------------------------------------------------------------------------------------------------------- REST


def last_trades(desk: Desk) -> dict[str, Any]:
    """Newest first unless ``sorting`` is asc; then a range begins with its oldest."""
    market, limit = desk.market("instrument_name"), desk.limit(10, 1000, "count")
    first, last = desk.number("start_seq"), desk.number("end_seq")
    inside = desk.inside("start_timestamp", "end_timestamp")
    found = [
        p for p in desk.prints(market)
        if inside(p.time_ms) and (first is None or p.number >= first) and (last is None or p.number <= last)
    ]  # fmt: skip
    rows = found[::-1] if desk.text("sorting", "default") == "asc" else found
    return {"trades": [raw(trade(market.instrument, p)) for p in rows[:limit]], "has_more": len(rows) > limit}


def chart(desk: Desk) -> dict[str, Any]:
    market, interval = desk.market("instrument_name"), desk.interval(CODES, "resolution")
    i, inside = market.instrument, desk.inside("start_timestamp", "end_timestamp")
    desk.text("start_timestamp"), desk.text("end_timestamp")
    rows = list(islice((c for c in desk.candles(market, interval) if inside(c.open_ms)), MOST_CANDLES))[::-1]
    columns = {name: [raw(i.price_text(getattr(c, name))) for c in rows] for name in ("open", "high", "low", "close")}
    return {
        "status": "ok" if rows else "no_data", "ticks": [c.open_ms for c in rows], **columns,
        "volume": [raw(i.quantity_text(c.volume)) for c in rows], "cost": [raw(i.quote_text(c.quote)) for c in rows],
    }  # fmt: skip


def funding_history(desk: Desk) -> list[dict[str, Any]]:
    """Of each hour what was paid in it, oldest first, a float with all its digits."""
    market = desk.market("instrument_name")
    desk.text("start_timestamp"), desk.text("end_timestamp")
    hours = desk.fundings(market, desk.inside("start_timestamp", "end_timestamp"), MOST_HOURS)[::-1]
    index = raw(market.instrument.price_text(market.instrument.tick * 1000))
    return [
        {"timestamp": at_ms, "index_price": index, "prev_index_price": index, "interest_8h": raw(rate),
         "interest_1h": raw(f"{Decimal(rate) / 7:.16e}")}
        for at_ms, rate in hours
    ]  # fmt: skip


def order_book(desk: Desk) -> dict[str, Any]:
    market, depth = desk.market("instrument_name"), desk.limit(5, DEPTHS[-1], "depth")
    if depth not in DEPTHS:
        refuse("parameter", "depth")
    bids, asks = (raw(pairs(market.instrument, side)) for side in market.book.levels(depth))
    return {"timestamp": market.book.time_ms, "state": "open", "change_id": market.book.update_id,
            "instrument_name": market.symbol, "bids": bids, "asks": asks}  # fmt: skip


def instruments(desk: Desk) -> list[dict[str, Any]]:
    desk.text("currency")
    return [instrument(market.instrument) for market in desk.markets()]


def instrument(i: MarketInstrument) -> dict[str, Any]:
    """A perpetual: linear where its name has a quote."""
    base, _, quoted = i.symbol.partition("-")[0].partition("_")
    return {
        "kind": "future", "instrument_name": i.symbol, "base_currency": base, "quote_currency": quoted or "USD",
        "counter_currency": quoted or "USD", "settlement_currency": quoted or base, "settlement_period": "perpetual",
        "instrument_type": "linear" if quoted else "reversed", "is_active": True, "state": "open",
        "tick_size": raw(i.price_text(i.tick)), "tick_size_steps": [], "contract_size": raw(i.quantity_text(1)),
        "min_trade_amount": raw(i.quantity_text(1)), "creation_timestamp": 1_534_167_754_000,
        "expiration_timestamp": 32_503_708_800_000,
    }  # fmt: skip


def body(result: Any, now_ms: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "result": result, "usIn": now_ms * 1000, "usOut": now_ms * 1000, "usDiff": 0,
            "testnet": False}  # fmt: skip


def error(found: Refused, now_ms: int) -> RestReply:
    data = {
        "symbol": {"reason": "instrument not found", "param": "instrument_name"},
        "missing": {"reason": "value is required", "param": found.message},
        "interval": {"reason": "invalid resolution", "param": "resolution"},
    }.get(found.kind, {"reason": "wrong value", "param": found.message})
    return failed(-32602, "Invalid params", HTTPStatus.BAD_REQUEST, data)


def failed(code: int, message: str, status: int, data: Any = None) -> RestReply:
    return reply(
        {"jsonrpc": "2.0", "error": {"code": code, "message": message, "data": data}, "testnet": False}, status
    )


PUBLIC: Final = "/api/v2/public/"
REST: Final = RestPaths(
    paths={
        PUBLIC + "get_last_trades_by_instrument": last_trades,
        PUBLIC + "get_last_trades_by_instrument_and_time": last_trades,
        PUBLIC + "get_tradingview_chart_data": chart,
        PUBLIC + "get_funding_rate_history": funding_history,
        PUBLIC + "get_order_book": order_book,
        PUBLIC + "ticker": lambda desk: raw(state(desk.market("instrument_name"), desk.now_ms)),
        PUBLIC + "get_instruments": instruments,
        PUBLIC + "get_time": lambda desk: desk.now_ms,
    },
    body=body,
    error=error,
    requests=100,
    window_ms=1_000,
    too_many=failed(10028, "too_many_requests", HTTPStatus.TOO_MANY_REQUESTS),
    nothing=failed(-32601, "Method not found", HTTPStatus.BAD_REQUEST),
)


def stream_of(document: Any) -> str:
    """Recorded channels of other speeds are those of ours."""
    channel, _, speed = document["params"]["channel"].rpartition(".")
    return f"{channel}.{'100ms' if speed in ('raw', 'agg2') else speed}"


# -------------------------------------------------------------------------------------------------- recorded messages


def is_snapshot(message: Any, row: Any) -> bool:
    """Before 2020 there was no type."""
    return bool(row.get("type") == "snapshot" if "type" in row else "prev_change_id" not in row)


def forced(row: Any) -> int:
    """``MT``: both sides were."""
    return sum(letter in row.get("liquidation", "") for letter in "MT")


_reading: Final = partial(Reading, rows="params.data")
RECORDED: Final = (
    _reading(name="trades.{symbol}.100ms", words={"trade": one, "liquidation": forced}),
    _reading(name="book.{symbol}.none.{levels}.{speed}", words=("depth",)),
    _reading(name="book.{symbol}.{speed}", words=("depth",), begins=is_snapshot),
    _reading(name="chart.trades.{symbol}.{interval}", words=("kline",), codes=CODES, opens="tick"),
    _reading(name="ticker.{symbol}.100ms", once={"funding_rate": lambda row: row.get("current_funding")},
             words={"ticker": says("last_price"), "mark_price": says("mark_price"),
                    "open_interest": says("open_interest")}),
    _reading(name="quote.{symbol}", words=("book_ticker",)),
)  # fmt: skip


PUBLIC_DATA: Final[Dialect] = declared(
    routes={"/ws/api/v2": ""},
    symbol=r"[A-Z0-9_]{2,24}(-[A-Za-z0-9_]{1,24}){0,4}",
    channels=CHANNELS,
    requests=REQUESTS,
    rest=REST,
    limits=VenueLimits(ping_interval=0, silence=0, life=0, messages=0),
    manners=Manners(heartbeat=lambda now_ms: TEST_REQUEST, answered_within=10.0, notice=lambda now_ms: MAINTENANCE),
    stream_of=stream_of,
    recorded=RECORDED,
)
