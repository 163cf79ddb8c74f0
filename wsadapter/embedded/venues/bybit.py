"""Bybit v5, linear and inverse perpetuals and spot: topics, frames and requests as documented.

Trades have UUIDs, those of spot numbers with holes; books and tickers begin with a snapshot for each new subscriber and
go on with what has changed, level 1 of the book is always a snapshot. Tickers of spot are whole and have no quotes.
(The re-push of an unchanged level 1 after three seconds is left out: here the best prices never rest so long.) One
topic that nobody handles voids its whole request, ``req_id`` comes back as text, and the first data of new topics goes
out before the ack, as the venue often does.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import structs

from wsadapter.embedded.exchange.connection import VenueLimits
from wsadapter.embedded.exchange.dialect import Dialect, declared
from wsadapter.embedded.exchange.recorded_events import Reading
from wsadapter.embedded.exchange.requests import Ask, Requests, Say
from wsadapter.embedded.market.candles import Candle, close_ms
from wsadapter.embedded.market.channels import (
    BookChange,
    Books,
    Candles,
    Changing,
    Channel,
    DeclaredStream,
    Liquidations,
    Print,
    States,
    Trades,
    level_texts,
)
from wsadapter.embedded.market.instruments import text
from wsadapter.embedded.market.market import MARK_DIGITS
from wsadapter.embedded.market.streams import Liquidated
from wsadapter.embedded.venues.bybit_rest import (
    CODES,
    DEEPEST,
    FUNDING_HOURS,
    INVERSE_CATEGORY,
    LINEAR_CATEGORY,
    SPOT_CATEGORY,
    Category,
    rest,
    spot_id,
)

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


def spot_trade(s: DeclaredStream, prints: list[Print], now_ms: int) -> str:
    trades = ",".join(
        f'{{"i":"{spot_id(p)}","T":{p.time_ms},"p":"{s.i.price_text(p.price)}","v":"{s.i.quantity_text(p.quantity)}",'
        f'"S":"{"Sell" if p.seller else "Buy"}","seq":{p.update_id},"s":"{s.symbol}","BT":false,"RPI":false}}'
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


def spot_ticker(s: DeclaredStream, now_ms: int) -> str:
    i, day = s.i, s.market.candles.day()
    prices = {"lastPrice": day.close, "highPrice24h": day.high, "lowPrice24h": day.low, "prevPrice24h": day.open}
    told = ",".join(f'"{name}":"{i.price_text(price)}"' for name, price in prices.items())
    return enveloped(
        s.name, "snapshot", now_ms,
        f'{{"symbol":"{s.symbol}",{told},"volume24h":"{i.quantity_text(day.volume)}",'
        f'"turnover24h":"{i.quote_text(day.quote)}",'
        f'"price24hPcnt":"{text((day.close - day.open) * 10_000 // day.open, 4)}",'
        f'"usdIndexPrice":"{text(s.market.mark(now_ms).index, MARK_DIGITS)}"}},"cs":{s.market.book.update_id}}}',
    )  # fmt: skip


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
SPEEDS: Final = {50: 20, 200: 100, DEEPEST: 200}
CHANNELS: Final = (
    Trades(name="publicTrade.{symbol}", frame=public_trade),
    Books(name="orderbook.{levels}.{symbol}", frame=orderbook, speeds={1: 10, **SPEEDS}),
    Candles(name="kline.{interval}.{symbol}", frame=kline, codes=CODES),
    Changing(name="tickers.{symbol}", frame=tickers, fields=ticker_fields, told=TOLD),
    Liquidations(name="allLiquidation.{symbol}", frame=all_liquidation),
)

SPOT_CHANNELS: Final = (
    Trades(name="publicTrade.{symbol}", frame=spot_trade),
    Books(name="orderbook.1.{symbol}", frame=orderbook, levels=1, every_ms=10, word="book_ticker"),
    Books(name="orderbook.{levels}.{symbol}", frame=orderbook, speeds=SPEEDS),
    Candles(name="kline.{interval}.{symbol}", frame=kline, codes=CODES),
    States(name="tickers.{symbol}", frame=spot_ticker, words=("ticker",), every_ms=50, begins=True),
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
    ask: Ask,
    taken: tuple[str, ...],
    bad: tuple[str, ...],
    standing: tuple[str, ...],
    connection_id: str,
    taken_says: str = "",
) -> list[str]:
    message = f"error:handler not found,topic:{bad[0]}" if bad else taken_says
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
SPOT_REQUESTS: Final = structs.replace(REQUESTS, replies=partial(replies, taken_says="subscribe"), most=10)


# -------------------------------------------------------------------------------------------------- recorded messages

NEEDS: Final = {
    "ticker": "lastPrice", "mark_price": "markPrice", "funding_rate": "fundingRate", "open_interest": "openInterest",
}  # fmt: skip


def is_snapshot(message: Any, row: Any) -> bool:
    return bool(message["type"] == "snapshot")


RECORDED: Final = (
    Reading(name="publicTrade.{symbol}", rows="data", words=("trade",)),
    Reading(name="orderbook.{levels}.{symbol}", rows="data", words=("depth",), begins=is_snapshot),
    Reading(name="kline.{interval}.{symbol}", rows="data", words=("kline",), codes=CODES),
    Reading(name="tickers.{symbol}", rows="data", changes=TOLD, needs=NEEDS, begins=is_snapshot),
    Reading(name="allLiquidation.{symbol}", rows="data", words=("liquidation",)),
)
SPOT_RECORDED: Final = (
    Reading(name="orderbook.1.{symbol}", rows="data", words=("book_ticker",)),
    Reading(name="tickers.{symbol}", rows="data", words=("ticker",)),
    *RECORDED,
)


def market(
    c: Category, symbol: str, channels: Sequence[Channel], requests: Requests, recorded: tuple[Reading, ...] = RECORDED
) -> Dialect:
    return declared(
        routes={f"/v5/public/{c.name}": ""},
        symbol=symbol,
        channels=channels,
        requests=requests,
        rest=rest(c),
        limits=VenueLimits(ping_interval=0, silence=600.0, life=0, messages=0),
        stream_of=lambda message: str(message.get("topic", "")),
        recorded=recorded,
    )


LINEAR: Final = market(LINEAR_CATEGORY, r"[A-Z0-9]{2,24}(-[A-Z0-9]{1,12})?", CHANNELS, REQUESTS)
INVERSE: Final = market(INVERSE_CATEGORY, r"[A-Z0-9]{2,20}USD([A-Z][0-9]{2})?", CHANNELS, REQUESTS)
SPOT: Final = market(SPOT_CATEGORY, r"[A-Z0-9]{2,24}", SPOT_CHANNELS, SPOT_REQUESTS, SPOT_RECORDED)
