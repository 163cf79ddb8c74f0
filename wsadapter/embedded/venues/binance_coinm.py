"""Binance COIN-M futures: streams, requests and REST as documented. Quantities are contracts; what the other markets
call quote volume is an amount of the coin. Of a range of candles that is longer than a page the newest come."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from msgspec import structs

from wsadapter.embedded.exchange import binance_recording, binance_requests
from wsadapter.embedded.exchange.dialect import Dialect
from wsadapter.embedded.exchange.requests import Target
from wsadapter.embedded.market import binance_frames as frames
from wsadapter.embedded.market.candles import Candle, close_ms
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
    level_texts,
    offering,
)
from wsadapter.embedded.market.instruments import COIN_MARGINED, MarketInstrument, text
from wsadapter.embedded.market.market import MARK_DIGITS, Market
from wsadapter.embedded.market.rest_tables import DeclaredRest, Desk, RestPaths, raw
from wsadapter.embedded.market.streams import Liquidated
from wsadapter.embedded.venues.binance_rest import (
    CODES,
    agg_trades,
    candle_row,
    candles,
    error,
    filters,
    levels,
    too_many,
    traded,
)

WEIGHTS: Final = 2400
COIN_DIGITS: Final = 8


@lru_cache
def contract(i: MarketInstrument) -> MarketInstrument:
    """Of this family, whatever is made up of its name."""
    return structs.replace(i, margin=COIN_MARGINED)


def dollars(i: MarketInstrument) -> int:
    """In one contract."""
    return 100 if i.symbol.startswith("BTC") else 10


def coins(i: MarketInstrument, volume: int, price: int) -> str:
    """So many contracts in the coin."""
    amount = volume * dollars(i) * 10 ** (COIN_DIGITS + i.price_digits - i.quantity_digits) // price
    return text(amount, COIN_DIGITS)


def agg_trade(s: DeclaredStream, prints: Iterable[Print], now_ms: int) -> str:
    (p,) = prints
    return (
        f'{{"e":"aggTrade","E":{now_ms},"a":{p.aggregate_id},"s":"{s.symbol}","p":"{s.i.price_text(p.price)}",'
        f'"q":"{s.i.quantity_text(p.quantity)}","f":{p.number - p.fills + 1},"l":{p.number},"T":{p.time_ms},'
        f'"m":{"true" if p.seller else "false"},"st":2}}'
    )


def raw_trade(s: DeclaredStream, prints: Iterable[Print], now_ms: int) -> str:
    (p,) = prints
    return (
        f'{{"e":"trade","E":{now_ms},"T":{p.time_ms},"s":"{s.symbol}","t":{p.number},"p":"{s.i.price_text(p.price)}",'
        f'"q":"{s.i.quantity_text(p.quantity)}","X":"MARKET","m":{"true" if p.seller else "false"}}}'
    )


def best(s: DeclaredStream, top: tuple[int, int, int, int], at_ms: int, now_ms: int) -> str:
    return frames.book_ticker(contract(s.i), top, s.market.book.update_id, at_ms, now_ms)


def depth(s: DeclaredStream, change: BookChange, now_ms: int) -> str:
    """Of changes and of the top levels."""
    previous = change.previous_id or change.update_id
    ids = (previous if change.is_snapshot else previous + 1), change.update_id, previous
    sides = level_texts(s, change.bids), level_texts(s, change.asks)
    return frames.depth_update(contract(s.i), ids, sides, change.time_ms, now_ms)


def kline(s: DeclaredStream, c: Candle, is_closed: bool, now_ms: int) -> str:
    i = s.i
    return (
        f'{{"e":"kline","E":{now_ms},"s":"{s.symbol}","k":{{"t":{c.open_ms},"T":{close_ms(s.interval, c.open_ms)},'
        f'"s":"{s.symbol}","i":"{s.code}","f":{c.first_id},"L":{c.last_id},"o":"{i.price_text(c.open)}",'
        f'"c":"{i.price_text(c.close)}","h":"{i.price_text(c.high)}","l":"{i.price_text(c.low)}",'
        f'"v":"{i.quantity_text(c.volume)}","n":{c.trades},"x":{"true" if is_closed else "false"},'
        f'"q":"{coins(i, c.volume, c.close)}","V":"{i.quantity_text(c.buy_volume)}",'
        f'"Q":"{coins(i, c.buy_volume, c.close)}","B":"0"}}}}'
    )


def ticker(s: DeclaredStream, now_ms: int) -> str:
    deals = s.market.deals
    return frames.ticker(contract(s.i), s.market.candles.day(), deals[-1].fills[-1] if deals else 0, now_ms)


def mark_price(s: DeclaredStream, now_ms: int) -> str:
    return frames.mark_price(contract(s.i), s.market.mark(now_ms), now_ms)


def force_order(s: DeclaredStream, order: Liquidated, now_ms: int) -> str:
    return frames.force_order(contract(s.i), order, now_ms)


def funding(market: Market, now_ms: int) -> object:
    mark = market.mark(now_ms)
    return mark.rate, mark.next_funding_ms


FUNDED: Final = {"funding_rate": funding}
SPEEDS: Final = {"": 250, "@100ms": 100, "@500ms": 500}
CHANNELS: Final = (
    Trades(name="{symbol}@aggTrade", frame=agg_trade, aggregated=True),
    Trades(name="{symbol}@trade", frame=raw_trade, together=False),
    *(
        Books(name=f"{{symbol}}@depth{{levels}}{suffix}", frame=depth, speeds=dict.fromkeys((5, 10, 20), every_ms),
              whole=True)
        for suffix, every_ms in SPEEDS.items()
    ),
    *(
        Books(name=f"{{symbol}}@depth{suffix}", frame=depth, every_ms=every_ms, begins=False)
        for suffix, every_ms in SPEEDS.items()
    ),
    BestPrices(name="{symbol}@bookTicker", frame=best),
    Candles(name="{symbol}@kline_{interval}", frame=kline, codes=CODES, every_ms=250),
    States(name="{symbol}@ticker", frame=ticker, words=("ticker",), every_ms=500),
    States(name="{symbol}@markPrice@1s", frame=mark_price, words=("mark_price",), once=FUNDED),
    States(name="{symbol}@markPrice", frame=mark_price, words=("mark_price",), once=FUNDED, every_ms=3000),
    Liquidations(name="{symbol}@forceOrder", frame=force_order),
)  # fmt: skip


def target(path: str) -> Target | None:
    """All classes on one path."""
    found = binance_requests.target(path)
    return structs.replace(found, route="") if found else None


# ---------------------------------------------------------------------------------------------------------- REST


def klines(desk: Desk) -> list[list[Any]]:
    interval, found = candles(desk, 1500, keeps_newest=True)
    i = desk.market().instrument
    return [
        candle_row(i, interval, c, 1, (coins(i, c.volume, c.close), coins(i, c.buy_volume, c.close))) for c in found
    ]


def book(desk: Desk) -> dict[str, Any]:
    market = desk.market()
    names = {"symbol": market.symbol, "pair": market.instrument.pair}
    return {**names, **levels(desk, 500, 1000), "E": desk.now_ms, "T": market.book.time_ms}


def funding_rate(desk: Desk) -> list[dict[str, Any]]:
    market = desk.market()
    mark = text(market.instrument.price * 10 ** (MARK_DIGITS - market.instrument.price_digits), MARK_DIGITS)
    settled = desk.fundings(market, desk.inside("startTime", "endTime"), desk.limit(500, 1000))
    return [
        {"symbol": market.symbol, "fundingTime": at_ms, "fundingRate": rate, "markPrice": mark, "rateType": "Regular"}
        for at_ms, rate in reversed(settled)
    ]


def open_interest(desk: Desk) -> dict[str, Any]:
    market = desk.market()
    interest = market.instrument.quantity_text(market.open_interest())
    return {"symbol": market.symbol, "pair": market.instrument.pair, "openInterest": interest,
            "contractType": "PERPETUAL", "time": desk.now_ms}  # fmt: skip


def exchange_info(desk: Desk) -> dict[str, Any]:
    """``contractStatus``, where other markets say ``status``; the size is a number."""
    symbols = []
    for i in (market.instrument for market in desk.markets()):
        coin = i.pair.removesuffix("USD")
        symbols.append({
            "symbol": i.symbol, "pair": i.pair, "contractType": "PERPETUAL", "deliveryDate": 4_133_404_800_000,
            "onboardDate": 1_597_042_800_000, "contractStatus": "TRADING", "contractSize": raw(str(dollars(i))),
            "baseAsset": coin, "quoteAsset": "USD", "marginAsset": coin, "pricePrecision": i.price_digits,
            "quantityPrecision": 0, "filters": filters(i),
        })  # fmt: skip
    return traded(desk, symbols, WEIGHTS)


def days(desk: Desk) -> list[dict[str, Any]]:
    """``volume`` counts contracts, ``baseVolume`` coins; there is no other."""
    return [
        {
            "symbol": i.symbol, "pair": i.pair, "lastPrice": i.price_text(day.close), "volume":
            i.quantity_text(day.volume), "baseVolume": coins(i, day.volume, day.close), "count": day.trades,
        }
        for i, day in desk.days()
    ]  # fmt: skip


REST: Final = RestPaths(
    paths={
        "/dapi/v1/time": lambda desk: {"serverTime": desk.now_ms},
        "/dapi/v1/klines": klines,
        "/dapi/v1/aggTrades": lambda desk: agg_trades(desk, hours=1),
        "/dapi/v1/depth": book,
        "/dapi/v1/fundingRate": funding_rate,
        "/dapi/v1/openInterest": open_interest,
        "/dapi/v1/exchangeInfo": exchange_info,
        "/dapi/v1/ticker/24hr": days,
    },
    error=error,
    requests=1000,
    window_ms=10_000,
    too_many=too_many(WEIGHTS),
)

COINM: Final = Dialect(
    target=target,
    subscriptions=lambda goal, most: binance_requests.SocketSubscriptions(goal.names, goal.combined, most),
    offered=offering(CHANNELS, r"[a-z0-9]{2,20}usd_(?:perp|[0-9]{6})", str.upper),
    rest=lambda floor, now_ms: DeclaredRest(REST, floor, now_ms),
    recognised=binance_recording.recogniser(other=binance_recording.USD_M, routed=False),
    spelled=str.upper,
)
