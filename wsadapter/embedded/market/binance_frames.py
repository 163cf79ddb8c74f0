"""Binance's payloads as text: keys, key order, JSON types and the fields of 2026 as recorded or documented.

Pure functions from integers to JSON; the envelope is put around them by the connection.
"""

from collections.abc import Iterable

from wsadapter.embedded.market.candles import Candle, close_ms
from wsadapter.embedded.market.instruments import MarketInstrument, text
from wsadapter.embedded.market.market import MARK_DIGITS
from wsadapter.embedded.market.streams import AggregateTrade, Liquidated, Mark


def agg_trade(i: MarketInstrument, deal: AggregateTrade, event_ms: int) -> str:
    quantity = i.quantity_text(deal.quantity)
    return (
        f'{{"e":"aggTrade","E":{event_ms},"a":{deal.aggregate_id},"s":"{i.symbol}","p":"{i.price_text(deal.price)}",'
        f'"q":"{quantity}","nq":"{quantity}","f":{deal.first_id},"l":{deal.last_id},"T":{deal.time_ms},'
        f'"m":{"true" if deal.seller else "false"},"st":{i.margin}}}'
    )


def trades(i: MarketInstrument, deal: AggregateTrade, event_ms: int) -> Iterable[str]:
    price, maker = i.price_text(deal.price), "true" if deal.seller else "false"
    for number, quantity in enumerate(deal.fills, deal.first_id):
        yield (
            f'{{"e":"trade","E":{event_ms},"T":{deal.time_ms},"s":"{i.symbol}","t":{number},"p":"{price}",'
            f'"q":"{i.quantity_text(quantity)}","X":"MARKET","m":{maker}}}'
        )


def book_ticker(
    i: MarketInstrument, top: tuple[int, int, int, int], update_id: int, time_ms: int, event_ms: int
) -> str:
    bid, bid_quantity, ask, ask_quantity = top
    return (
        f'{{"e":"bookTicker","u":{update_id},"s":"{i.symbol}","b":"{i.price_text(bid)}",'
        f'"B":"{i.quantity_text(bid_quantity)}","a":"{i.price_text(ask)}","A":"{i.quantity_text(ask_quantity)}",'
        f'"T":{time_ms},"E":{event_ms},"ps":"{i.pair}","st":{i.margin}}}'
    )


def levels(i: MarketInstrument, side: Iterable[tuple[int, int]]) -> str:
    return ",".join(f'["{i.price_text(price)}","{i.quantity_text(quantity)}"]' for price, quantity in side)


def depth_update(
    i: MarketInstrument, ids: tuple[int, int, int], sides: tuple[str, str], time_ms: int, event_ms: int
) -> str:
    """``ids``: first, last, previous; ``sides``: bids and asks from `levels`."""
    first, last, previous = ids
    return (
        f'{{"e":"depthUpdate","E":{event_ms},"T":{time_ms},"s":"{i.symbol}","ps":"{i.pair}","st":{i.margin},'
        f'"U":{first},"u":{last},"pu":{previous},"b":[{sides[0]}],"a":[{sides[1]}]}}'
    )


def kline(i: MarketInstrument, interval: str, candle: Candle, closed: bool, event_ms: int) -> str:
    return (
        f'{{"e":"kline","E":{event_ms},"s":"{i.symbol}","k":{{"t":{candle.open_ms},'
        f'"T":{close_ms(interval, candle.open_ms)},"s":"{i.symbol}","i":"{interval}","f":{candle.first_id},'
        f'"L":{candle.last_id},"o":"{i.price_text(candle.open)}","c":"{i.price_text(candle.close)}",'
        f'"h":"{i.price_text(candle.high)}","l":"{i.price_text(candle.low)}","v":"{i.quantity_text(candle.volume)}",'
        f'"n":{candle.trades},"x":{"true" if closed else "false"},"q":"{i.quote_text(candle.quote)}",'
        f'"V":"{i.quantity_text(candle.buy_volume)}","Q":"{i.quote_text(candle.buy_quote)}","B":"0"}}}}'
    )


def ticker(i: MarketInstrument, day: Candle, last_quantity: int, event_ms: int) -> str:
    change = day.close - day.open
    percent = (abs(change) * 200_000 + day.open) // (2 * day.open)
    average = (2 * day.quote + day.volume) // (2 * day.volume) if day.volume else day.close
    return (
        f'{{"e":"24hrTicker","E":{event_ms},"s":"{i.symbol}","ps":"{i.pair}","p":"{i.price_text(change)}",'
        f'"P":"{text(percent if change >= 0 else -percent, 3)}","w":"{i.price_text(average)}",'
        f'"c":"{i.price_text(day.close)}","Q":"{i.quantity_text(last_quantity)}","o":"{i.price_text(day.open)}",'
        f'"h":"{i.price_text(day.high)}","l":"{i.price_text(day.low)}","v":"{i.quantity_text(day.volume)}",'
        f'"q":"{i.quote_text(day.quote)}","O":{(event_ms - 86_400_000) // 60_000 * 60_000},"C":{event_ms},'
        f'"F":{day.first_id},"L":{day.last_id},"n":{day.trades},"st":{i.margin}}}'
    )


def mini_ticker(i: MarketInstrument, day: Candle, event_ms: int) -> str:
    return (
        f'{{"e":"24hrMiniTicker","E":{event_ms},"s":"{i.symbol}","ps":"{i.pair}","c":"{i.price_text(day.close)}",'
        f'"o":"{i.price_text(day.open)}","h":"{i.price_text(day.high)}","l":"{i.price_text(day.low)}",'
        f'"v":"{i.quantity_text(day.volume)}","q":"{i.quote_text(day.quote)}","st":{i.margin}}}'
    )


def mark_price(i: MarketInstrument, mark: Mark, event_ms: int) -> str:
    return (
        f'{{"e":"markPriceUpdate","E":{event_ms},"s":"{i.symbol}","p":"{text(mark.price, MARK_DIGITS)}",'
        f'"ap":"{text(mark.average, MARK_DIGITS)}","P":"{text(mark.settle, MARK_DIGITS)}",'
        f'"i":"{text(mark.index, MARK_DIGITS)}","r":"{mark.rate}","T":{mark.next_funding_ms},"st":{i.margin}}}'
    )


def force_order(i: MarketInstrument, order: Liquidated, event_ms: int) -> str:
    quantity = i.quantity_text(order.quantity)
    return (
        f'{{"e":"forceOrder","E":{event_ms},"ps":"{i.pair}","st":{i.margin},"o":{{"s":"{i.symbol}",'
        f'"S":"{"SELL" if order.sell else "BUY"}","o":"LIMIT","f":"IOC","q":"{quantity}",'
        f'"p":"{i.price_text(order.price)}","ap":"{i.price_text(order.average)}","X":"FILLED","l":"{quantity}",'
        f'"z":"{quantity}","T":{order.time_ms}}}}}'
    )
