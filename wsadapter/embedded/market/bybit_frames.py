"""Bybit's payloads as text: keys, key order and JSON types of v5, linear perpetuals, as documented.

Pure functions from integers to JSON, the envelope included.
"""

from collections.abc import Iterable
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from wsadapter.embedded.market.candles import Candle, close_ms
from wsadapter.embedded.market.instruments import MarketInstrument, text
from wsadapter.embedded.market.market import MARK_DIGITS, Market
from wsadapter.embedded.market.streams import AggregateTrade, Liquidated

FUNDING_HOURS: Final = 8
Levels = list[tuple[int, int]]


class Tick:
    """The direction of each price against the one before."""

    def __init__(self, price: int) -> None:
        self._price, self._up, self.direction = price, True, "ZeroPlusTick"

    def next(self, price: int) -> str:
        same = price == self._price
        self._up = self._up if same else price > self._price
        self._price = price
        self.direction = f"{'Zero' if same else ''}{'Plus' if self._up else 'Minus'}Tick"
        return self.direction


def trade_id(symbol: str, number: int) -> str:
    """The UUID of a raw trade, the same on the stream and over REST."""
    return str(uuid5(NAMESPACE_OID, f"{symbol}:{number}"))


def public_trade(topic: str, i: MarketInstrument, deal: AggregateTrade, direction: str, now_ms: int) -> str:
    side, price = "Sell" if deal.seller else "Buy", i.price_text(deal.price)
    trades = ",".join(
        f'{{"T":{deal.time_ms},"s":"{i.symbol}","S":"{side}","v":"{i.quantity_text(quantity)}","p":"{price}",'
        f'"L":"{direction}","i":"{trade_id(i.symbol, number)}","BT":false,"RPI":false,"seq":{deal.update_id}}}'
        for number, quantity in enumerate(deal.fills, deal.first_id)
    )
    return f'{{"topic":"{topic}","type":"snapshot","ts":{now_ms},"data":[{trades}]}}'


def orderbook(
    topic: str, i: MarketInstrument, kind: str, sides: tuple[Levels, Levels], numbers: tuple[int, int, int], now_ms: int
) -> str:
    """``sides``: bids and asks; ``numbers``: update id, cross sequence, time of the last change."""
    update_id, seq, time_ms = numbers
    bids, asks = (levels(i, side) for side in sides)
    return (
        f'{{"topic":"{topic}","type":"{kind}","ts":{now_ms},"data":{{"s":"{i.symbol}","b":[{bids}],"a":[{asks}],'
        f'"u":{update_id},"seq":{seq}}},"cts":{time_ms}}}'
    )


def levels(i: MarketInstrument, side: Iterable[tuple[int, int]]) -> str:
    """A level that is gone has the quantity 0, without digits."""
    return ",".join(
        f'["{i.price_text(price)}","{i.quantity_text(quantity) if quantity else "0"}"]' for price, quantity in side
    )


def kline(
    topic: str,
    i: MarketInstrument,
    interval: tuple[str, str],
    candle: Candle,
    closed: bool,
    traded_ms: int,
    now_ms: int,
) -> str:
    """``interval``: the venue's code and ours; ``traded_ms``: when the last trade was."""
    code, ours = interval
    return (
        f'{{"topic":"{topic}","type":"snapshot","ts":{now_ms},"data":[{{"start":{candle.open_ms},'
        f'"end":{close_ms(ours, candle.open_ms)},"interval":"{code}","open":"{i.price_text(candle.open)}",'
        f'"close":"{i.price_text(candle.close)}","high":"{i.price_text(candle.high)}",'
        f'"low":"{i.price_text(candle.low)}","volume":"{i.quantity_text(candle.volume)}",'
        f'"turnover":"{i.quote_text(candle.quote)}","confirm":{"true" if closed else "false"},'
        f'"timestamp":{traded_ms}}}]}}'
    )


def ticker(market: Market, tick: Tick, now_ms: int) -> dict[str, str]:
    """All fields of a ticker but the symbol."""
    i, mark, day = market.instrument, market.mark(now_ms), market.candles.day()
    scale = 10 ** (MARK_DIGITS - i.price_digits)
    hour = market.candles.closed["1m"]
    price_hour_ago = hour[-60].open if len(hour) >= 60 else day.open
    bid, bid_quantity, ask, ask_quantity = market.book.top()
    interest, mark_price = market.open_interest(), mark.price // scale
    change = (day.close - day.open) * 1_000_000 // day.open
    return {
        "tickDirection": tick.next(day.close),
        "price24hPcnt": text(change, 6),
        "lastPrice": i.price_text(day.close),
        "prevPrice24h": i.price_text(day.open),
        "highPrice24h": i.price_text(day.high),
        "lowPrice24h": i.price_text(day.low),
        "prevPrice1h": i.price_text(price_hour_ago),
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


def tickers(topic: str, symbol: str, kind: str, fields: dict[str, str], seq: int, now_ms: int) -> str:
    told = "".join(f',"{key}":"{value}"' for key, value in fields.items())
    return f'{{"topic":"{topic}","type":"{kind}","data":{{"symbol":"{symbol}"{told}}},"cs":{seq},"ts":{now_ms}}}'


def all_liquidation(topic: str, i: MarketInstrument, orders: Iterable[Liquidated], now_ms: int) -> str:
    """``S`` is the side of the position: Buy when a long was closed; ``p`` the bankruptcy price."""
    data = ",".join(
        f'{{"T":{order.time_ms},"s":"{i.symbol}","S":"{"Buy" if order.sell else "Sell"}",'
        f'"v":"{i.quantity_text(order.quantity)}","p":"{i.price_text(order.price)}"}}'
        for order in orders
    )
    return f'{{"topic":"{topic}","type":"snapshot","ts":{now_ms},"data":[{data}]}}'
