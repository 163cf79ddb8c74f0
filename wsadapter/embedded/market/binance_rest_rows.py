"""One row or object of each of Binance's REST answers, with the documented keys and types."""

from typing import Any

from wsadapter.embedded.market.candles import Candle, close_ms
from wsadapter.embedded.market.instruments import MarketInstrument, text
from wsadapter.embedded.market.market import MARK_DIGITS, Market
from wsadapter.embedded.market.streams import AggregateTrade


def row(i: MarketInstrument, interval: str, candle: Candle) -> list[Any]:
    return [
        candle.open_ms,
        i.price_text(candle.open),
        i.price_text(candle.high),
        i.price_text(candle.low),
        i.price_text(candle.close),
        i.quantity_text(candle.volume),
        close_ms(interval, candle.open_ms),
        i.quote_text(candle.quote),
        candle.trades,
        i.quantity_text(candle.buy_volume),
        i.quote_text(candle.buy_quote),
        "0",
    ]


def trade(i: MarketInstrument, deal: AggregateTrade) -> dict[str, Any]:
    quantity = i.quantity_text(deal.quantity)
    return {
        "a": deal.aggregate_id,
        "p": i.price_text(deal.price),
        "q": quantity,
        "nq": quantity,
        "f": deal.first_id,
        "l": deal.last_id,
        "T": deal.time_ms,
        "m": deal.seller,
    }


def settled(market: Market, funding_ms: int) -> dict[str, Any]:
    """What was predicted last before the funding time."""
    mark = market.instrument.price * 10 ** (MARK_DIGITS - market.instrument.price_digits)
    return {
        "symbol": market.symbol,
        "fundingRate": market.rate(funding_ms - 1),
        "fundingTime": funding_ms,
        "markPrice": text(mark, MARK_DIGITS),
        "rateType": "Regular",
    }


def symbol_info(i: MarketInstrument) -> dict[str, Any]:
    tick, step = i.price_text(i.tick), i.quantity_text(1)
    return {
        "symbol": i.symbol,
        "pair": i.pair,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": 1_569_398_400_000,
        "status": "TRADING",
        "baseAsset": i.pair.removesuffix("USDT").removesuffix("USD"),
        "quoteAsset": "USDT" if i.pair.endswith("USDT") else "USD",
        "marginAsset": "USDT",
        "pricePrecision": i.price_digits,
        "quantityPrecision": i.quantity_digits,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": i.price_text(i.price * 50), "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": i.quantity_text(i.lot * 1000), "stepSize": step},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK"],
    }


def day(i: MarketInstrument, day: Candle) -> dict[str, Any]:
    """An element of the statistics of 24 hours."""
    return {
        "symbol": i.symbol, "lastPrice": i.price_text(day.close), "openPrice": i.price_text(day.open),
        "highPrice": i.price_text(day.high), "lowPrice": i.price_text(day.low),
        "volume": i.quantity_text(day.volume), "quoteVolume": i.quote_text(day.quote), "count": day.trades,
    }  # fmt: skip
