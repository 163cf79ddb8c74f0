"""Bitget over REST, version 2, as documented: candles oldest first, trades and rates newest first.

A range of candles leaves out the one that opens when it begins. Errors are HTTP 400 with a code of digits.
"""

from http import HTTPStatus
from itertools import islice
from typing import Any, Final

from wsadapter.embedded.market.channels import Print
from wsadapter.embedded.market.instruments import MarketInstrument
from wsadapter.embedded.market.rest import RestReply
from wsadapter.embedded.market.rest_tables import Desk, Refused, RestPaths, refuse, reply

CODES: Final = {"1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1H": "1h", "4H": "4h"}
UTC_CODES: Final = {"6Hutc": "6h", "12Hutc": "12h", "1Dutc": "1d", "3Dutc": "3d", "1Wutc": "1w", "1Mutc": "1M"}
SPOT_CODES: Final = {
    "1min": "1m", "3min": "3m", "5min": "5m", "15min": "15m", "30min": "30m", "1h": "1h", "4h": "4h", **UTC_CODES,
}  # fmt: skip
REQUESTS_A_SECOND: Final = 20
LONGEST_MS: Final = 7 * 86_400_000


def trade_id(p: Print, more: int = 0) -> str:
    """Nineteen digits that rise with holes."""
    return str(1_485_000_000_000_000_000 + 4 * p.number + more)


def product(desk: Desk) -> None:
    if desk.text("productType") != "USDT-FUTURES":
        refuse("missing", desk.query["productType"])


def candles(desk: Desk, codes: dict[str, str], columns: int) -> list[list[str]]:
    market, interval = desk.market(), desk.interval(codes, "granularity")
    begin, inside, i = desk.number("startTime"), desk.inside("startTime", "endTime"), market.instrument
    found = (c for c in desk.candles(market, interval) if inside(c.open_ms) and c.open_ms != begin)
    rows = [
        [str(c.open_ms), *map(i.price_text, (c.open, c.high, c.low, c.close)), i.quantity_text(c.volume),
         *[i.quote_text(c.quote)] * (columns - 6)]
        for c in islice(found, desk.limit(100, 1000))
    ]  # fmt: skip
    return rows[::-1]


def mix_candles(desk: Desk) -> list[list[str]]:
    product(desk)
    return candles(desk, CODES | UTC_CODES, 7)


def spot_candles(desk: Desk) -> list[list[str]]:
    return candles(desk, SPOT_CODES, 8)


def fills(desk: Desk, sides: tuple[str, str]) -> list[dict[str, str]]:
    market, i = desk.market(), desk.market().instrument
    begin, end = desk.number("startTime"), desk.number("endTime")
    if begin is not None and end is not None and end - begin > LONGEST_MS:
        refuse("parameter", "startTime")
    inside = desk.inside("startTime", "endTime")
    return [
        {
            "tradeId": trade_id(p), "symbol": market.symbol, "price": i.price_text(p.price),
            "size": i.quantity_text(p.quantity), "side": sides[p.seller], "ts": str(p.time_ms),
        }
        for p in islice((p for p in desk.prints(market) if inside(p.time_ms)), desk.limit(500, 1000))
    ]  # fmt: skip


def mix_fills(desk: Desk) -> list[dict[str, str]]:
    product(desk)
    return fills(desk, ("Buy", "Sell"))


def spot_fills(desk: Desk) -> list[dict[str, str]]:
    return fills(desk, ("buy", "sell"))


def settled_rates(desk: Desk) -> list[dict[str, str]]:
    product(desk)
    market, size, number = desk.market(), desk.limit(20, 100, "pageSize"), desk.number("pageNo") or 1
    found = desk.fundings(market, lambda at_ms: True, size * number)[size * (number - 1) :]
    return [{"symbol": market.symbol, "fundingRate": rate, "fundingTime": str(at_ms)} for at_ms, rate in found]


def contracts(desk: Desk) -> list[dict[str, Any]]:
    product(desk)
    return [contract(market.instrument) for market in desk.markets()]


def contract(i: MarketInstrument) -> dict[str, Any]:
    step = i.quantity_text(1)
    return {
        "symbol": i.symbol, "baseCoin": i.symbol.removesuffix("USDT"), "quoteCoin": "USDT",
        "supportMarginCoins": ["USDT"], "minTradeNum": step, "priceEndStep": str(i.tick), "volumePlace":
        str(i.quantity_digits), "pricePlace": str(i.price_digits), "sizeMultiplier": step, "symbolType": "perpetual",
        "minTradeUSDT": "5", "symbolStatus": "normal", "offTime": "-1", "limitOpenTime": "-1", "deliveryTime": "",
        "deliveryStartTime": "", "deliveryPeriod": "", "launchTime": "", "fundInterval": "8", "minLever": "1",
        "maxLever": "150", "maintainTime": "", "openTime": "", "maxOrderQty": i.quantity_text(i.lot * 1000),
    }  # fmt: skip


def days(desk: Desk) -> list[dict[str, Any]]:
    return [
        {
            "symbol": i.symbol, "lastPr": i.price_text(day.close), "open": i.price_text(day.open), "baseVolume":
            i.quantity_text(day.volume), "quoteVolume": i.quote_text(day.quote), "ts": str(desk.now_ms),
        }
        for i, day in desk.days()
    ]  # fmt: skip


def mix_days(desk: Desk) -> list[dict[str, Any]]:
    product(desk)
    return days(desk)


def pairs(desk: Desk) -> list[dict[str, Any]]:
    return [pair(market.instrument) for market in desk.markets()]


def pair(i: MarketInstrument) -> dict[str, Any]:
    return {
        "symbol": i.symbol, "baseCoin": i.symbol.removesuffix("USDT"), "quoteCoin": "USDT", "minTradeAmount": "0",
        "maxTradeAmount": i.quantity_text(i.lot * 1000), "takerFeeRate": "0.002", "makerFeeRate": "0.002",
        "pricePrecision": str(i.price_digits), "quantityPrecision": str(i.quantity_digits),
        "quotePrecision": str(i.quote_digits), "status": "online", "minTradeUSDT": "1",
    }  # fmt: skip


def body(result: Any, now_ms: int, code: str = "00000", message: str = "success") -> dict[str, Any]:
    return {"code": code, "msg": message, "requestTime": now_ms, "data": result}


def error(refused: Refused, now_ms: int) -> RestReply:
    code, message = "40034", f"Parameter {refused.message} does not exist"
    if refused.kind == "missing":
        code, message = "40019", f"Parameter {refused.message} cannot be empty"
    return reply(body(None, now_ms, code, message), HTTPStatus.BAD_REQUEST)


def answers(paths: dict[str, Any]) -> RestPaths:
    return RestPaths(
        paths={"/api/v2/public/time": lambda desk: {"serverTime": str(desk.now_ms)}, **paths},
        body=body,
        error=error,
        requests=REQUESTS_A_SECOND,
        window_ms=1000,
        too_many=reply(body(None, 0, "429", "Too Many Requests"), HTTPStatus.TOO_MANY_REQUESTS),
    )


MIX: Final = answers(
    {
        "/api/v2/mix/market/candles": mix_candles,
        "/api/v2/mix/market/fills-history": mix_fills,
        "/api/v2/mix/market/history-fund-rate": settled_rates,
        "/api/v2/mix/market/contracts": contracts,
        "/api/v2/mix/market/tickers": mix_days,
    }
)
SPOT: Final = answers(
    {
        "/api/v2/spot/market/candles": spot_candles,
        "/api/v2/spot/market/fills-history": spot_fills,
        "/api/v2/spot/public/symbols": pairs,
        "/api/v2/spot/market/tickers": days,
    }
)
