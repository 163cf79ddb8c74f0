"""Binance spot: streams, requests and REST as documented, for a client that asks for microseconds.

Any name is acknowledged, and one that nobody pushes stays silent. Best prices and the top levels of books have no type
and no time. (The venue pads all prices to eight decimals; here they have those of the instrument.)
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import structs

from wsadapter.embedded.exchange import binance_requests
from wsadapter.embedded.exchange.connection import Manners, VenueLimits
from wsadapter.embedded.exchange.dialect import Dialect
from wsadapter.embedded.exchange.recorded_events import Reading, Readings
from wsadapter.embedded.exchange.recording import recogniser
from wsadapter.embedded.exchange.replay import Recorded
from wsadapter.embedded.exchange.requests import Target
from wsadapter.embedded.market.binance_rest_rows import day
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
    level_texts,
    offering,
)
from wsadapter.embedded.market.instruments import text
from wsadapter.embedded.market.rest_tables import DeclaredRest, Desk, RestPaths
from wsadapter.embedded.venues.binance_rest import (
    CODES,
    agg_trades,
    candle_row,
    candles,
    cut,
    error,
    filters,
    levels,
    too_many,
    traded,
)

US: Final = 1000
WEIGHTS: Final = 6000


def maker(p: Print) -> str:
    return "true" if p.seller else "false"


def agg_trade(s: DeclaredStream, prints: Iterable[Print], now_ms: int) -> str:
    (p,) = prints
    return (
        f'{{"e":"aggTrade","E":{now_ms * US},"s":"{s.symbol}","a":{p.aggregate_id},"p":"{s.i.price_text(p.price)}",'
        f'"q":"{s.i.quantity_text(p.quantity)}","f":{p.number - p.fills + 1},"l":{p.number},"T":{p.time_ms * US},'
        f'"m":{maker(p)},"M":true}}'
    )


def raw_trade(s: DeclaredStream, prints: Iterable[Print], now_ms: int) -> str:
    (p,) = prints
    return (
        f'{{"e":"trade","E":{now_ms * US},"s":"{s.symbol}","t":{p.number},"p":"{s.i.price_text(p.price)}",'
        f'"q":"{s.i.quantity_text(p.quantity)}","T":{p.time_ms * US},"m":{maker(p)},"M":true}}'
    )


def best(s: DeclaredStream, top: tuple[int, int, int, int], at_ms: int, now_ms: int) -> str:
    i, (bid, bid_quantity, ask, ask_quantity) = s.i, top
    return (
        f'{{"u":{s.market.book.update_id},"s":"{s.symbol}","b":"{i.price_text(bid)}","B":"{i.quantity_text(bid_quantity)}",'
        f'"a":"{i.price_text(ask)}","A":"{i.quantity_text(ask_quantity)}"}}'
    )


def top_levels(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    bids, asks = level_texts(s, change.bids), level_texts(s, change.asks)
    return f'{{"lastUpdateId":{change.update_id},"bids":[{bids}],"asks":[{asks}]}}'


def depth_update(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    first = (change.previous_id or 0) + 1
    return (
        f'{{"e":"depthUpdate","E":{now_ms * US},"s":"{s.symbol}","U":{first},"u":{change.update_id},'
        f'"b":[{level_texts(s, change.bids)}],"a":[{level_texts(s, change.asks)}]}}'
    )


def kline(s: DeclaredStream, c: Candle, is_closed: bool, now_ms: int) -> str:
    i, closes = s.i, (close_ms(s.interval, c.open_ms) + 1) * US - 1
    return (
        f'{{"e":"kline","E":{now_ms * US},"s":"{s.symbol}","k":{{"t":{c.open_ms * US},"T":{closes},"s":"{s.symbol}",'
        f'"i":"{s.code}","f":{c.first_id},"L":{c.last_id},"o":"{i.price_text(c.open)}","c":"{i.price_text(c.close)}",'
        f'"h":"{i.price_text(c.high)}","l":"{i.price_text(c.low)}","v":"{i.quantity_text(c.volume)}","n":{c.trades},'
        f'"x":{"true" if is_closed else "false"},"q":"{i.quote_text(c.quote)}","V":"{i.quantity_text(c.buy_volume)}",'
        f'"Q":"{i.quote_text(c.buy_quote)}","B":"0"}}}}'
    )


def ticker(s: DeclaredStream, now_ms: int) -> str:
    i, day, now = s.i, s.market.candles.day(), now_ms * US
    bid, bid_quantity, ask, ask_quantity = s.market.book.top()
    change, average = day.close - day.open, day.quote // day.volume if day.volume else day.close
    deals = s.market.deals
    last = deals[-1].fills[-1] if deals else 0
    return (
        f'{{"e":"24hrTicker","E":{now},"s":"{s.symbol}","p":"{i.price_text(change)}",'
        f'"P":"{text(change * 100_000 // day.open, 3)}","w":"{i.price_text(average)}","x":"{i.price_text(day.open)}",'
        f'"c":"{i.price_text(day.close)}","Q":"{i.quantity_text(last)}","b":"{i.price_text(bid)}",'
        f'"B":"{i.quantity_text(bid_quantity)}","a":"{i.price_text(ask)}","A":"{i.quantity_text(ask_quantity)}",'
        f'"o":"{i.price_text(day.open)}","h":"{i.price_text(day.high)}","l":"{i.price_text(day.low)}",'
        f'"v":"{i.quantity_text(day.volume)}","q":"{i.quote_text(day.quote)}","O":{now - 86_400_000 * US},"C":{now},'
        f'"F":{day.first_id},"L":{day.last_id},"n":{day.trades}}}'
    )


CHANNELS: Final = (
    Trades(name="{symbol}@aggTrade", frame=agg_trade, aggregated=True),
    Trades(name="{symbol}@trade", frame=raw_trade, together=False),
    Books(name="{symbol}@depth{levels}", frame=top_levels, speeds=dict.fromkeys((5, 10, 20), 1000), whole=True),
    Books(name="{symbol}@depth{levels}@100ms", frame=top_levels, speeds=dict.fromkeys((5, 10, 20), 100), whole=True),
    Books(name="{symbol}@depth", frame=depth_update, every_ms=1000, begins=False),
    Books(name="{symbol}@depth@100ms", frame=depth_update, every_ms=100, begins=False),
    BestPrices(name="{symbol}@bookTicker", frame=best),
    Candles(name="{symbol}@kline_{interval}", frame=kline, codes=CODES, every_ms=2000),
    States(name="{symbol}@ticker", frame=ticker, words=("ticker",)),
)


def target(path: str) -> Target | None:
    """Only those that ask for microseconds are served."""
    found = binance_requests.target(path)
    return structs.replace(found, route="") if found and "timeUnit=MICROSECOND" in urlsplit(path).query else None


def notice(now_ms: int) -> str:
    return f'{{"stream":"!serverShutdown","data":{{"e":"serverShutdown","E":{now_ms * US}}}}}'


# ---------------------------------------------------------------------------------------------------------- REST


def klines(desk: Desk) -> list[list[Any]]:
    interval, found = candles(desk, 1000, keeps_newest=False)
    i = desk.market().instrument
    return [candle_row(i, interval, c, US, (i.quote_text(c.quote), i.quote_text(c.buy_quote))) for c in found]


def historical_trades(desk: Desk) -> list[dict[str, Any]]:
    """By number only; without one the newest."""
    market, first, limit = desk.market(), desk.number("fromId"), desk.limit(500, 1000)
    i, found = market.instrument, [p for p in desk.prints(market) if first is None or p.number >= first][::-1]
    return [
        {
            "id": p.number, "price": i.price_text(p.price), "qty": i.quantity_text(p.quantity),
            "quoteQty": i.quote_text(p.price * p.quantity), "time": p.time_ms * US, "isBuyerMaker": p.seller,
            "isBestMatch": True,
        }
        for p in cut(found, limit, first is not None)
    ]  # fmt: skip


def exchange_info(desk: Desk) -> dict[str, Any]:
    symbols = []
    for i in (market.instrument for market in desk.markets()):
        quote = next((coin for coin in ("USDT", "USDC", "BTC") if i.symbol.endswith(coin)), "USDT")
        symbols.append({
            "symbol": i.symbol, "status": "TRADING", "baseAsset": i.symbol.removesuffix(quote), "quoteAsset": quote,
            "baseAssetPrecision": 8, "quotePrecision": 8, "orderTypes": ["LIMIT", "MARKET"],
            "permissionSets": [["SPOT"]],
            "filters": [*filters(i), {"filterType": "NOTIONAL", "minNotional": "5.00000000"}],
        })  # fmt: skip
    return traded(desk, symbols, WEIGHTS)


REST: Final = RestPaths(
    paths={
        "/api/v3/time": lambda desk: {"serverTime": desk.now_ms * US},
        "/api/v3/klines": klines,
        "/api/v3/aggTrades": lambda desk: agg_trades(desk, US, M=True),
        "/api/v3/historicalTrades": historical_trades,
        "/api/v3/depth": lambda desk: levels(desk, 100, 5000),
        "/api/v3/exchangeInfo": exchange_info,
        "/api/v3/ticker/24hr": lambda desk: [day(*each) for each in desk.days()],
    },
    error=error,
    requests=1000,
    window_ms=10_000,
    too_many=too_many(WEIGHTS),
)

# -------------------------------------------------------------------------------------------------- recorded messages


def recorded_stream(message: Any) -> str:
    """Of sockets of one stream there is no envelope."""
    if "stream" in message:
        return str(message["stream"])
    kind = message.get("e", "bookTicker")
    tail = {"kline": f"kline_{message['k']['i']}" if "k" in message else "", "depthUpdate": "depth"}
    tail |= {"24hrTicker": "ticker"}
    return f"{message['s'].lower()}@{tail.get(kind, kind)}"


def is_enveloped(message: Any) -> bool:
    return "stream" in message


WORDS: Final = {
    "{symbol}@aggTrade": "trade", "{symbol}@trade": "trade", "{symbol}@depth{levels}": "depth",
    "{symbol}@bookTicker": "book_ticker", "{symbol}@kline_{interval}": "kline", "{symbol}@ticker": "ticker",
}  # fmt: skip
RECORDED: Final = (
    *(Reading(name=name, words=(word,), codes=CODES, of=is_enveloped, rows="data") for name, word in WORDS.items()),
    *(Reading(name=name, words=(word,), codes=CODES) for name, word in WORDS.items()),
)


OFFERED: Final = offering(CHANNELS, r"\w{2,24}", str.upper)
_frame: Final = recogniser(recorded_stream, OFFERED, Readings(RECORDED, str.upper))


def recognised(payload: bytes, at_ns: int) -> Recorded | None:
    """Recordings hold the book of REST where it was received: that was no frame."""
    is_frame = b'"lastUpdateId"' not in payload or b'"stream"' in payload
    return _frame(payload, at_ns) if is_frame else None


SPOT: Final = Dialect(
    target=target,
    subscriptions=lambda goal, most: binance_requests.SocketSubscriptions(goal.names, goal.combined, most),
    offered=OFFERED,
    recognised=recognised,
    spelled=str.upper,
    rest=lambda floor, now_ms: DeclaredRest(REST, floor, now_ms),
    limits=VenueLimits(ping_interval=20.0, pong_timeout=60.0, messages=5),
    manners=Manners(notice=notice),
)
