"""Coinbase: the Exchange feed (trades, tickers) and the Advanced Trade feed (books, candles), frames and REST as
documented.

Each answer lists what the connection has by then. Exchange takes a request whole or not at all, Advanced leaves out
what it does not know. Advanced numbers all messages of a connection and sends heartbeats to those that ask for them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

import msgspec

from wsadapter.embedded.exchange.connection import NUMBER, Manners, VenueLimits
from wsadapter.embedded.exchange.dialect import Dialect, declared
from wsadapter.embedded.exchange.recorded_events import Reading
from wsadapter.embedded.exchange.requests import Ask, Requests, Say, Unknown
from wsadapter.embedded.market.candles import Candle
from wsadapter.embedded.market.channels import BookChange, Books, Candles, DeclaredStream, Print, States, Trades
from wsadapter.embedded.market.instruments import MarketInstrument
from wsadapter.embedded.market.rest import RestReply
from wsadapter.embedded.market.rest_tables import Desk, Refused, RestPaths, raw, reply

EXCHANGE: Final = "exchange"
ADVANCED: Final = "advanced"
MOST_BOOKS: Final = 30
FIVE_MINUTES: Final = "5m"
MOST_ROWS: Final = 300
GRANULARITIES: Final = {"60": "1m", "300": FIVE_MINUTES, "900": "15m", "3600": "1h", "21600": "6h", "86400": "1d"}

# ---------------------------------------------------------------------------------------------------------- frames


def when(at_ms: int, digits: int = 6) -> str:
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03}{'0' * (digits - 3)}Z"


def encoded(fields: Any) -> str:
    return msgspec.json.encode(fields).decode()


def maker(p: Print) -> str:
    return "buy" if p.seller else "sell"


def match(s: DeclaredStream, prints: list[Print], now_ms: int, kind: str = "match") -> str | None:
    if not prints:
        return None
    (p,) = prints
    return encoded({
        "type": kind, "trade_id": p.number, "maker_order_id": p.uuid("maker"), "taker_order_id": p.uuid("taker"),
        "side": maker(p), "size": s.i.quantity_text(p.quantity), "price": s.i.price_text(p.price),
        "product_id": s.symbol, "sequence": p.update_id, "time": when(p.time_ms),
    })  # fmt: skip


def last_match(s: DeclaredStream, prints: list[Print], now_ms: int) -> str | None:
    return match(s, prints, now_ms, "last_match")


def ticker(s: DeclaredStream, now_ms: int) -> str:
    i, day = s.i, s.market.candles.day()
    bid, bid_quantity, ask, ask_quantity = s.market.book.top()
    return encoded({
        "type": "ticker", "sequence": s.market.book.update_id, "product_id": s.symbol, "price": i.price_text(day.close),
        "open_24h": i.price_text(day.open), "volume_24h": i.quantity_text(day.volume), "low_24h": i.price_text(day.low),
        "high_24h": i.price_text(day.high), "volume_30d": i.quantity_text(day.volume), "best_bid": i.price_text(bid),
        "best_bid_size": i.quantity_text(bid_quantity), "best_ask": i.price_text(ask),
        "best_ask_size": i.quantity_text(ask_quantity), "side": "buy", "time": when(now_ms),
        "trade_id": s.market.next_trade_id - 1, "last_size": i.quantity_text(1),
    })  # fmt: skip


def numbered(channel: str, at_ms: int, *events: Any) -> str:
    """A message of Advanced."""
    head = f'"channel":"{channel}","timestamp":"{when(at_ms, 9)}","sequence_num":{NUMBER}'
    return f'{{{head},"events":[{",".join(map(encoded, events))}]}}'


def levels(i: MarketInstrument, side: str, some: Iterable[tuple[int, int]], at_ms: int) -> list[dict[str, str]]:
    """Quantity "0" for a level that is gone."""
    return [
        {"side": side, "event_time": when(at_ms), "price_level": i.price_text(price),
         "new_quantity": i.quantity_text(quantity) if quantity else "0"}
        for price, quantity in some
    ]  # fmt: skip


def book(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    updates = [
        *levels(s.i, "bid", change.bids, change.time_ms), *levels(s.i, "offer", change.asks, change.time_ms)
    ]  # fmt: skip
    kind = "snapshot" if change.is_snapshot else "update"
    return numbered("l2_data", now_ms, {"type": kind, "product_id": s.symbol, "updates": updates})


def bar(s: DeclaredStream, one: Candle) -> dict[str, str]:
    prices = {"high": one.high, "low": one.low, "open": one.open, "close": one.close}
    return {
        "start": str(one.open_ms // 1000), **{name: s.i.price_text(price) for name, price in prices.items()},
        "volume": s.i.quantity_text(one.volume), "product_id": s.symbol,
    }  # fmt: skip


def candle(s: DeclaredStream, one: Candle, is_closed: bool, now_ms: int) -> str:
    return numbered("candles", now_ms, {"type": "update", "candles": [bar(s, one)]})


def candles(s: DeclaredStream, some: Sequence[Candle], now_ms: int) -> str:
    """Newest first."""
    return numbered("candles", now_ms, {"type": "snapshot", "candles": [bar(s, one) for one in some[::-1]]})


CHANNELS: Final = (
    Trades(name="matches:{symbol}", route=EXCHANGE, frame=match, together=False, first=last_match, recent=1, once=True),
    States(name="ticker:{symbol}", route=EXCHANGE, frame=ticker, words=("ticker", "book_ticker"), every_ms=250,
           begins=True),
    Books(name="level2:{symbol}", route=ADVANCED, frame=book),
    Candles(name="candles:{symbol}", route=ADVANCED, frame=candle, codes={"": FIVE_MINUTES}, says_closed=False,
            by_successor=True, first=candles, recent=10),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- requests


def refused(message: str, **more: str) -> str:
    return encoded({"type": "error", "message": message} | more)


def read(document: Any, connection_id: str) -> Ask | Say:
    kind, channels, products = document["type"], document["channels"], document["product_ids"]
    if kind not in ("subscribe", "unsubscribe") or not all(each in ("matches", "ticker") for each in channels):
        return Say([refused("Failed to subscribe", reason=f"{channels} is not a valid channel")])
    return Ask(tuple(f"{channel}:{product}" for channel in channels for product in products), kind == "subscribe")


def standing_by_channel(standing: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in standing:
        channel, _, product = name.partition(":")
        found.setdefault(channel, []).append(product)
    return found


def replies(
    ask: Ask, taken: tuple[str, ...], bad: tuple[str, ...], standing: tuple[str, ...], connection_id: str
) -> list[str]:
    if bad:
        return [refused("Failed to subscribe", reason=f"{bad[0].partition(':')[2]} is not a valid product")]
    channels = [{"name": name, "product_ids": products, "account_ids": None}
                for name, products in standing_by_channel(standing).items()]  # fmt: skip
    return [encoded({"type": "subscriptions", "channels": channels})]


def advanced_read(document: Any, connection_id: str) -> Ask | Say:
    kind, channel = document["type"], document["channel"]
    if channel == "heartbeats":
        return Say([numbered("subscriptions", 0, {"subscriptions": {"heartbeats": ["heartbeats"]}})], beat_every=1.0)
    if kind not in ("subscribe", "unsubscribe") or channel not in ("level2", "candles"):
        return Say([refused("authentication failure")])
    return Ask(tuple(f"{channel}:{product}" for product in document["product_ids"]), kind == "subscribe")


def advanced_replies(
    ask: Ask, taken: tuple[str, ...], bad: tuple[str, ...], standing: tuple[str, ...], connection_id: str
) -> list[str]:
    """None to the end of a stream."""
    if not ask.begin:
        return []
    if len(standing) == MOST_BOOKS and bad:
        return [refused("too many L2 streams requested in a single session")]
    return [numbered("subscriptions", 0, {"subscriptions": standing_by_channel(standing)})]


REQUESTS: Final = {
    EXCHANGE: Requests(
        read=read,
        replies=replies,
        malformed=lambda connection_id: Say([refused("Malformed JSON")]),
        unknown=Unknown.VOIDS,
    ),
    ADVANCED: Requests(
        read=advanced_read,
        replies=advanced_replies,
        malformed=lambda connection_id: Say([refused("Malformed JSON")]),
        unknown=Unknown.ALONE,
        data_first=True,
    ),
}


def heartbeat(now_ms: int) -> str:
    beat = {"current_time": f"{when(now_ms)} +0000 UTC m=+139651.272674714", "heartbeat_counter": now_ms // 1000}
    return numbered("heartbeats", now_ms, beat)


# ---------------------------------------------------------------------------------------------------------- REST


def trades(desk: Desk) -> list[dict[str, Any]]:
    """Newest first, those before an id."""
    market, limit, after = desk.market(), desk.limit(100, 1000, clamp=True), desk.number("after")
    i = market.instrument
    found = (p for p in desk.prints(market) if after is None or p.number < after)
    return [
        {"time": when(p.time_ms), "trade_id": p.number, "price": i.price_text(p.price),
         "size": i.quantity_text(p.quantity), "side": maker(p)}
        for p in islice(found, limit)
    ]  # fmt: skip


def history(desk: Desk) -> list[list[Any]]:
    """Newest first, and only where somebody traded; a range of more than 300 is refused."""
    market, interval = desk.market(), desk.interval(GRANULARITIES, "granularity")
    seconds, start, end = int(desk.text("granularity")), desk.number("start"), desk.number("end")
    if start is not None and end is not None and (end - start) // seconds >= MOST_ROWS:
        raise Refused("parameter", "range: more than 300 candles")
    i, inside = market.instrument, desk.inside("start", "end", 1000)
    some = [c for c in desk.candles(market, interval) if c.trades and inside(c.open_ms)]
    return [
        [c.open_ms // 1000, *(raw(i.price_text(price)) for price in (c.low, c.high, c.open, c.close)),
         raw(i.quantity_text(c.volume))]
        for c in some[:MOST_ROWS]
    ]  # fmt: skip


def products(desk: Desk) -> list[dict[str, Any]]:
    return [product(market.instrument) for market in desk.markets()]


def product(i: MarketInstrument) -> dict[str, Any]:
    base, _, quote = i.symbol.partition("-")
    return {
        "id": i.symbol, "base_currency": base, "quote_currency": quote, "base_increment": i.quantity_text(1),
        "quote_increment": i.price_text(i.tick), "display_name": f"{base}/{quote}", "min_market_funds": "1",
        "status": "online", "status_message": "", "trading_disabled": False, "post_only": False,
    }  # fmt: skip


def error(found: Refused, now_ms: int) -> RestReply:
    if found.kind == "symbol":
        return reply({"message": "NotFound"}, HTTPStatus.NOT_FOUND)
    return reply({"message": f"Invalid {found.message}"}, HTTPStatus.BAD_REQUEST)


REST: Final = RestPaths(
    paths={
        "/time": lambda desk: {"iso": when(desk.now_ms, 3), "epoch": desk.now_ms / 1000},
        "/products/{symbol}/trades": trades,
        "/products/{symbol}/candles": history,
        "/products": products,
    },
    error=error,
    requests=15,
    window_ms=1_000,
    too_many=reply({"message": "Public rate limit exceeded"}, HTTPStatus.TOO_MANY_REQUESTS),
    nothing=reply({"message": "NotFound"}, HTTPStatus.NOT_FOUND),
)


def stream_of(document: Any) -> str:
    """All that Advanced says goes to one of its connections: it is numbered. What stands of a subscription goes to one
    of Exchange, whose words those are."""
    if document.get("channel") == "candles":
        return f"candles:{document['events'][0]['candles'][0]['product_id']}"
    if "channel" in document:
        return f"level2:{document['events'][0].get('product_id', 'BTC-USD')}"
    if document["type"] == "subscriptions":
        return f"matches:{document['channels'][0]['product_ids'][0]}"
    return f"{'ticker' if document['type'] == 'ticker' else 'matches'}:{document['product_id']}"


# -------------------------------------------------------------------------------------------------- recorded messages

MOST_LEVELS: Final = 5_000
"""Of either side of a book that is recorded as one event."""


def is_of(*kinds: str) -> Callable[[Any], bool]:
    return lambda message: message.get("type") in kinds


def parts(row: Any) -> int:
    """A book of very many levels is several events, each of which a broker takes."""
    if "updates" in row:
        sides = list(Counter(update["side"] for update in row["updates"]).values())
    else:
        sides = [len(row.get(side, ())) for side in ("bids", "asks")]
    return -(-max(*sides, 1) // MOST_LEVELS)


RECORDED: Final = (
    Reading(name="matches:{symbol}", of=is_of("match", "last_match"), words=("trade",), identity="trade_id",
            again=is_of("last_match"), number="trade_id"),
    Reading(name="matches:{symbol}", of=is_of("snapshot", "l2update"), words={"depth": parts},
            begins=lambda message, row: message["type"] == "snapshot"),
    Reading(name="ticker:{symbol}", words=("ticker", "book_ticker")),
    Reading(name="level2:{symbol}", of=lambda message: message["channel"] == "l2_data", rows="events",
            symbol="product_id", words={"depth": parts}, begins=lambda message, row: row["type"] == "snapshot"),
    Reading(name="candles:{symbol}", rows="events", inside="candles", words=("kline",), opens="start"),
)  # fmt: skip


FEEDS: Final[Dialect] = declared(
    routes={"/": EXCHANGE, "/advanced": ADVANCED},
    symbol=r"[A-Z0-9]{2,12}-[A-Z]{3,5}",
    channels=CHANNELS,
    requests=REQUESTS,
    rest=REST,
    limits=VenueLimits(ping_interval=0, silence=0, life=0, messages=8),
    manners=Manners(heartbeat=heartbeat, numbered=True),
    stream_of=stream_of,
    recorded=RECORDED,
)
