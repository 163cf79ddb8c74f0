"""Bitget over REST, as tables: what was, what is traded. Version 2 of the API, whose market data need no account.

Errors come with HTTP 400 or 200 and a code of digits. Candles are oldest first, trades and rates newest first; books
have no numbers and repair nothing. Trades reach back 90 days, candles of minutes one month. Times of trades are whole
seconds; their ids, which are those of the stream, have the millisecond.

Not verified: the body of a 429, codes of the moment, whether a range of trades counts in milliseconds, too (whole
seconds are asked for).
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import FundingRate, Kline, Trade
from wsadapter.events.decimals import plain_number
from wsadapter.exchanges.bitget import CODES
from wsadapter.exchanges.bitget_v2 import UTC_CODES, CandleRow
from wsadapter.exchanges.history import candles, fundings_by_page, trades_between
from wsadapter.exchanges.listing import Listing, instrument
from wsadapter.exchanges.mapping import (
    closes,
    computed,
    constant,
    decimal,
    mapped,
    ms,
    ms_text,
    or_none,
    signed_or_none,
    subscribed,
)
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import BadAnswer, BookRule, Errors, Limit, Request, ServerTime
from wsadapter.exchanges.turnover import Tickers
from wsadapter.exchanges.values import DAY_MS, MS, Text, Time
from wsadapter.text import printable

MIX: Final = "/api/v2/mix/market/"
SPOT: Final = "/api/v2/spot/"
FUTURES: Final = {"productType": "USDT-FUTURES"}
SYMBOL: Final = {"symbol": "{symbol}"}
RANGE: Final = {"startTime": "{first_ms}", "endTime": "{last_ms}", "limit": "{limit}"}
MAX_ROWS: Final = 20_000
SPOT_CODES: Final[Mapping[str, str]] = {
    **{code: f"{code}in" for code in ("1m", "3m", "5m", "15m", "30m")}, "1h": "1h", "4h": "4h", **UTC_CODES,
}  # fmt: skip
"""A third spelling."""
REACH: Final[Mapping[str, int]] = {
    "1m": 30 * 1440, "3m": 30 * 480, "5m": 30 * 288, "15m": 30 * 96,
    **dict.fromkeys(("30m", "1h", "4h", "6h", "12h", "1d"), 1440),
}  # fmt: skip
"""So many candles back, as others have measured: a month of minutes. The documentation has more of 15m, 30m and 1h."""
LONGEST_MS: Final = 90 * DAY_MS - 2
"""Of a range of futures' candles, which begins a millisecond earlier."""
SPOT_MOSTS: Final[Mapping[str, int]] = {"1d": 300, "3d": 100, "1w": 100, "1M": 100}
"""Rows of a page, whatever is asked for."""
POOL: Final = "market"
TRADES: Final = "trades"
SECOND_MS: Final = 1_000
EPOCH_MS: Final = 1_435_725_920_677
"""What the times in ids count from; so it is in every recorded trade of the streams, of either version."""
TIME_BIT: Final = 22


AGAIN: Final = frozenset(("40010", "40015", "40200", "40604", "40725", "45001"))
"""Of the moment. 40808 is so at times and about parameters at others: it is not asked again."""


class AnswerBody(Struct, gc=False):
    """{"code":"00000","msg":"success","requestTime":1790358274804,"data":[...]}"""

    code: str
    msg: str = ""
    requestTime: Time | None = None
    data: Raw = Raw()


class TradeRow(Struct, gc=False):
    """{"tradeId":"1485683898127761410","symbol":"BTCUSDT","price":"80810.6","size":"0.0246","side":"Sell",
    "ts":"1789940564000"}; spot writes its sides small."""

    tradeId: Annotated[str, Meta(min_length=1, max_length=64)]
    price: Text
    size: Text
    side: Text
    ts: Time


class FundingRow(Struct, gc=False):
    """{"symbol":"BTCUSDT","fundingRate":"0.000078","fundingTime":"1790352000000"}"""

    symbol: Text
    fundingRate: Text
    fundingTime: Time


class ContractRow(Struct, gc=False):
    """{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","supportMarginCoins":["USDT"],"minTradeNum":"0.0001",
    "priceEndStep":"1","volumePlace":"4","pricePlace":"1","sizeMultiplier":"0.0001","symbolType":"perpetual",
    "minTradeUSDT":"5","symbolStatus":"normal","deliveryTime":"","launchTime":"","fundInterval":"8",
    "maxOrderQty":"1200",...}; a tick is the end step at the price's last place."""

    symbol: Text
    baseCoin: Text
    quoteCoin: Text
    symbolStatus: Text
    symbolType: Text
    priceEndStep: Text
    pricePlace: Text
    sizeMultiplier: Text = ""
    minTradeNum: Text = ""
    maxOrderQty: Text = ""
    minTradeUSDT: Text = ""
    supportMarginCoins: Annotated[list[Text], Meta(max_length=64)] = []
    deliveryTime: Text = ""
    launchTime: Text = ""
    fundInterval: Text = ""


class PairRow(Struct, gc=False):
    """{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","minTradeAmount":"0","maxTradeAmount":"900000000",
    "pricePrecision":"2","quantityPrecision":"6","minTradeUSDT":"1","status":"online",...}"""

    symbol: Text
    baseCoin: Text
    quoteCoin: Text
    status: Text
    pricePrecision: Text
    quantityPrecision: Text
    minTradeAmount: Text = ""
    maxTradeAmount: Text = ""
    minTradeUSDT: Text = ""


_body: Final = Decoder(AnswerBody).decode
_rows: Final = Decoder(Annotated[list[Raw], Meta(max_length=MAX_ROWS)]).decode


def error(status: int, body: bytes) -> tuple[str, str] | None:
    answer = _body(body)
    return None if answer.code == "00000" else (answer.code, answer.msg)


def rows_of(body: bytes) -> tuple[list[Raw], int | None]:
    answer = _body(body)
    if answer.code != "00000":
        raise BadAnswer(f"{printable(answer.code)} {printable(answer.msg)}")
    return _rows(answer.data), answer.requestTime


def at_place(step: str, place: str) -> str:
    """So many at this decimal place."""
    return plain_number(f"{step}e-{place}".encode())


def traded_ns(d: TradeRow) -> int:
    """The row's time is the second; the id says when in it, unless it is of another kind."""
    at_ms = (int(d.tradeId) >> TIME_BIT) + EPOCH_MS if d.tradeId.isdecimal() else 0
    return (at_ms if d.ts <= at_ms < d.ts + SECOND_MS else d.ts) * MS


def hours(d: ContractRow) -> int | None:
    return int(d.fundInterval) * 3600 if d.fundInterval.isdecimal() and len(d.fundInterval) < 5 else None


CANDLE: Final = row(
    Kline, interval=subscribed("interval"), open_time_ns=ms("start"), close_time_ns=closes("start"),
    open=decimal("open"), high=decimal("high"), low=decimal("low"), close=decimal("close"), volume=decimal("volume"),
    quote_volume=decimal("turnover"), closed=constant(True),
    absent=("event_time_ns", "transaction_time_ns", "trade_count", "taker_buy_volume", "taker_buy_quote_volume",
            "first_trade_id", "last_trade_id"),
)  # fmt: skip
TRADE: Final = row(
    Trade, transaction_time_ns=computed(lambda d, e: traded_ns(d)), trade_id="tradeId", price=decimal("price"),
    quantity=decimal("size"),
    buyer_is_maker=mapped("side", {"Buy": False, "buy": False, "Sell": True, "sell": True}),
    aggregated=constant(False), absent=("event_time_ns", "trade_number", "first_trade_id", "last_trade_id"),
)  # fmt: skip
FUNDING: Final = row(
    FundingRate, transaction_time_ns=ms("fundingTime"), funding_rate=signed_or_none("fundingRate"),
    absent=("event_time_ns", "next_funding_time_ns", "mark_price"), settled=constant(True),
    refuse=lambda d: "" if d.fundingRate else "no rate",
)  # fmt: skip


def klines(word: str, path: str, query: Mapping[str, str], codes: Mapping[str, str], **limits: Any) -> Page:
    """A range that begins when a candle does may leave it out."""
    return Page(
        word, path, {**query, "granularity": "{code}", **RANGE, "startTime": "{before_ms}"}, CandleRow, CANDLE, rows_of,
        key="open_time_ns", wire_key="start", end_key="close_time_ns", most=1000, codes=codes, keeps_newest=True,
        lax=True, pool=POOL, kept=REACH, **limits,
    )  # fmt: skip


def past_trades(word: str, path: str, query: Mapping[str, str]) -> Page:
    """Those of one second may come in any order."""
    return Page(
        word, path, {**query, **RANGE}, TradeRow, TRADE, rows_of, key="transaction_time_ns", wire_key="tradeId", unit=1,
        strict=False, most=1000, window_ms=7 * DAY_MS - 1, keeps_newest=True, sorts=True, lax=True, pool=TRADES,
        kept_ms=90 * DAY_MS, step_ms=SECOND_MS,
    )  # fmt: skip


SETTLED: Final = Page(
    "bitget", MIX + "history-fund-rate", FUTURES | SYMBOL | {"pageSize": "{limit}", "pageNo": "{number}"}, FundingRow,
    FUNDING, rows_of, key="transaction_time_ns", wire_key="fundingTime", symbol="symbol", most=100, newest_first=True,
    lax=True, pool=POOL,
)  # fmt: skip
CONTRACTS: Final = Listing(
    "bitget", Request(MIX + "contracts", tuple(FUTURES.items()), pool=POOL), ContractRow, rows_of,
    instrument(
        symbol="symbol", status="symbolStatus", contract_type=or_none("symbolType"), base_asset="baseCoin",
        quote_asset="quoteCoin", margin_asset=computed(lambda d, e: next(iter(d.supportMarginCoins), None)),
        contract_size=constant("1"), contract_currency="baseCoin",
        tick_size=computed(lambda d, e: at_place(d.priceEndStep, d.pricePlace)), step_size=or_none("sizeMultiplier"),
        min_quantity=or_none("minTradeNum"), max_quantity=or_none("maxOrderQty"),
        min_notional=or_none("minTradeUSDT"), onboard_time_ns=ms_text("launchTime"),
        delivery_time_ns=ms_text("deliveryTime"),
        kind=computed(lambda d, e: "perpetual" if d.symbolType == "perpetual" else "future"),
        funding_interval=computed(lambda d, e: hours(d)),
    ),
)  # fmt: skip
PAIRS: Final = Listing(
    "bitget_spot", Request(SPOT + "public/symbols", pool=POOL), PairRow, rows_of,
    instrument(
        symbol="symbol", status="status", base_asset="baseCoin", quote_asset="quoteCoin", contract_size=constant("1"),
        contract_currency="baseCoin", tick_size=computed(lambda d, e: at_place("1", d.pricePrecision)),
        step_size=computed(lambda d, e: at_place("1", d.quantityPrecision)), min_quantity=or_none("minTradeAmount"),
        max_quantity=or_none("maxTradeAmount"), min_notional=or_none("minTradeUSDT"), kind=constant("spot"),
        absent=("contract_type", "margin_asset", "onboard_time_ns", "delivery_time_ns"),
    ),
)  # fmt: skip


def tickers(path: str, **query: str) -> Tickers:
    """{"symbol":"BTCUSDT","lastPr":"84017.5","baseVolume":"72811.2","quoteVolume":"6132487264.7","ts":"..."}"""
    return Tickers(
        Request(path, tuple(query.items()), pool=POOL), rows_of, symbol="symbol",
        price="lastPr", volume="quoteVolume",
    )  # fmt: skip


class BitgetTables(RestTables):
    """What is the same for both markets."""

    live = testnet = "https://api.bitget.com"
    testnet_headers: Mapping[str, str] = {"paptrading": "1"}
    server_time: ServerTime | None = ServerTime("/api/v2/public/time", "serverTime")
    weights = Limit(6000, 60.0)
    pools: Mapping[str, Limit] = {POOL: Limit(20, 1.0), TRADES: Limit(10, 1.0)}
    variants: Mapping[str, Any] = {"aggregated": False}
    book_rule = BookRule(whole=frozenset((5, 50)))
    errors = Errors(error, limited=frozenset(("429", "30006")), again=AGAIN)
    intervals = frozenset((*CODES, *UTC_CODES))


class BitgetRest(BitgetTables):
    """Futures in USDT."""

    repairs = {
        "trade": partial(trades_between, past_trades("bitget", MIX + "fills-history", FUTURES | SYMBOL)),
        "kline": partial(
            candles,
            klines(
                "bitget",
                MIX + "candles",
                FUTURES | SYMBOL,
                {**CODES, **UTC_CODES},
                window_ms=LONGEST_MS,
            ),
        ),
        "funding_rate": partial(fundings_by_page, SETTLED),
    }
    listings = (CONTRACTS,)
    trading = frozenset(("normal",))
    halted = frozenset(("maintain", "limit_open", "restrictedAPI"))
    tickers = (tickers(MIX + "tickers", **FUTURES),)


class BitgetSpotRest(BitgetTables):
    """Pairs."""

    repairs = {
        "trade": partial(trades_between, past_trades("bitget_spot", SPOT + "market/fills-history", SYMBOL)),
        "kline": partial(
            candles,
            klines(
                "bitget_spot",
                SPOT + "market/candles",
                SYMBOL,
                SPOT_CODES,
                mosts=SPOT_MOSTS,
                backwards=True,
            ),
        ),
    }
    listings = (PAIRS,)
    trading = frozenset(("online",))
    halted = frozenset(("gray", "halt"))
    tickers = (tickers(SPOT + "market/tickers"),)
