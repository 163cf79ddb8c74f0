"""Hyperliquid over REST as tables: all is POST /info. Candles and settled funding have a history, trades but their
newest page, books none but the present one.

A coin that the venue does not know is answered with ``null``, of status 200 or 500; a request that it does not
understand with text, of 422. No answer says what is left of the weight.

The newest 5000 candles of each interval are kept; where nobody traded there is none, and none is missing.

Perpetuals of the first dex and spot are listed; those of other dexes are recorded all the same.

Not verified: the order of the newest trades (they are put in order here), how many settled rates a page holds (500),
what happens above the weight.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder, encode

from wsadapter.events import Depth, FundingRate, Kline, Trade
from wsadapter.exchanges.history import book, candles, fundings, newest_trades
from wsadapter.exchanges.hyperliquid import (
    BOOK_FIELDS,
    CANDLE_FIELDS,
    CODES,
    FAST_LEVELS,
    LEVELS,
    TRADE_FIELDS,
    BookWire,
    CandleWire,
    TradeWire,
)
from wsadapter.exchanges.listing import Listing, instrument
from wsadapter.exchanges.mapping import computed, constant, ms, signed_or_none
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import BadAnswer, BookRule, Errors, Limit, Request
from wsadapter.exchanges.turnover import Tickers
from wsadapter.exchanges.values import Id, Text, Time

EXCHANGE: Final = "hyperliquid"
PATH: Final = "/info"
MAX_ROWS: Final = 20_000
REFUSED: Final = frozenset((400, 405, 415, 422))
Rows = Annotated[list[Raw], Meta(max_length=MAX_ROWS)]


class TimeWire(Struct, gc=False):
    time: Time


class FundingRow(Struct, gc=False):
    """{"coin":"BTC","fundingRate":"0.0000125","premium":"0.00031774","time":1683849600076}; a few ms after the hour."""

    coin: Text
    fundingRate: Text
    time: Time


class PerpetualRow(Struct, gc=False):
    """{"szDecimals":5,"name":"BTC","maxLeverage":40,"marginTableId":54,"isDelisted":true}"""

    name: Text
    szDecimals: Annotated[int, Meta(ge=0, le=30)]
    isDelisted: bool = False


class TokenRow(Struct, gc=False):
    """{"name":"PURR","szDecimals":0,"weiDecimals":5,"index":1,"tokenId":"0xc1fb...","isCanonical":true}"""

    name: Text
    index: Id
    szDecimals: Annotated[int, Meta(ge=0, le=30)]


class PairRow(Struct, gc=False):
    """{"name":"PURR/USDC","tokens":[1,0],"index":0,"isCanonical":true}; most are called @107."""

    name: Text
    tokens: tuple[Id, Id]


class SpotRow(Struct, gc=False):
    """A pair and its tokens."""

    name: Text
    base: TokenRow
    quote: TokenRow


class PerpetualMeta(Struct, gc=False):
    """{"universe":[{...}],"collateralToken":0}"""

    universe: Rows


class SpotMeta(Struct, gc=False):
    """{"tokens":[{...}],"universe":[{...}]}"""

    tokens: Annotated[list[TokenRow], Meta(max_length=MAX_ROWS)]
    universe: Annotated[list[PairRow], Meta(max_length=MAX_ROWS)]


_rows: Final = Decoder(Rows).decode
_time: Final = Decoder(TimeWire).decode
_perpetuals: Final = Decoder(PerpetualMeta).decode
_spot: Final = Decoder(SpotMeta).decode
_perpetual: Final = Decoder(PerpetualRow).decode
_contexts: Final = Decoder(tuple[Raw, Annotated[list[dict[str, Raw]], Meta(max_length=MAX_ROWS)]]).decode


def error(status: int, body: bytes) -> tuple[int, str] | None:
    if body.strip() == b"null":
        return status, "nothing of this name"
    return (status, body[:200].decode(errors="replace")) if status in REFUSED else None


def rows_of(body: bytes) -> tuple[list[Raw], None]:
    return _rows(body), None


def oldest_first(body: bytes) -> tuple[list[Raw], None]:
    return sorted(_rows(body), key=lambda raw: _time(raw).time), None


def whole(body: bytes) -> tuple[list[Raw], None]:
    """An answer that is one row."""
    if body.strip() == b"null":
        raise BadAnswer("nothing of this name")
    return [Raw(body)], None


def spot_rows(body: bytes) -> list[Raw]:
    meta = _spot(body)
    tokens = {token.index: token for token in meta.tokens}
    pairs = ((pair.name, [tokens.get(index) for index in pair.tokens]) for pair in meta.universe)
    return [Raw(encode({"name": name, "base": base, "quote": quote})) for name, (base, quote) in pairs]


def perpetual_tickers(body: bytes) -> list[Raw]:
    """[{"universe":[{"name":"BTC",...}]},[{"dayNtlVlm":"1426126295.17","markPx":"85462.0",...}]], in one order"""
    meta, contexts = _contexts(body)
    return [Raw(encode({**each, "coin": perpetual.name})) for perpetual, each in zip(
        map(_perpetual, _perpetuals(meta).universe), contexts, strict=True
    )]  # fmt: skip


def pair_tickers(body: bytes) -> list[Raw]:
    """[{...},[{"dayNtlVlm":"8906.0","markPx":"0.14","coin":"PURR/USDC",...}]]"""
    return [Raw(encode(each)) for each in _contexts(body)[1]]


def step(decimals: int) -> str:
    return f"0.{1:0{decimals}d}" if decimals else "1"


def is_thousands(name: str) -> bool:
    """kPEPE"""
    return name[:1] == "k" and name[1:].isupper()


def info(kind: str, **more: object) -> bytes:
    return encode({"type": kind, **more})


def costs(weight: int, rows: int) -> Any:
    """So much, and one for so many rows."""
    return lambda limit: weight + limit // rows


RECENT_TRADES: Final = Page(
    EXCHANGE, PATH, {}, TradeWire, row(Trade, **TRADE_FIELDS), oldest_first, key="transaction_time_ns",
    wire_key="time", strict=False, symbol="coin", most=100, weight=costs(20, 20),
    post={"type": "recentTrades", "coin": "{symbol}"},
)  # fmt: skip
KLINES: Final = Page(
    EXCHANGE, PATH, {}, CandleWire, row(Kline, closed=constant(True), **CANDLE_FIELDS), rows_of, key="open_time_ns",
    wire_key="t", end_key="close_time_ns", symbol="s", most=1000, quiet=True, kept=dict.fromkeys(CODES, 5000),
    keeps_newest=True, weight=costs(20, 60),
    post={"type": "candleSnapshot",
          "req": {"coin": "{symbol}", "interval": "{interval}", "startTime": "{first_ms}", "endTime": "{last_ms}"}},
)  # fmt: skip
FUNDINGS: Final = Page(  # rates are settled once an hour
    EXCHANGE, PATH, {}, FundingRow,
    row(FundingRate, transaction_time_ns=ms("time"), funding_rate=signed_or_none("fundingRate"), settled=constant(True),
        absent=("event_time_ns", "next_funding_time_ns", "mark_price")),
    rows_of, key="transaction_time_ns", wire_key="time", symbol="coin", most=500, window_ms=400 * 3_600_000,
    weight=costs(20, 20),
    post={"type": "fundingHistory", "coin": "{symbol}", "startTime": "{first_ms}", "endTime": "{last_ms}"},
)  # fmt: skip
BOOK: Final = Page(
    EXCHANGE, PATH, {}, BookWire, row(Depth, **BOOK_FIELDS), whole, key="transaction_time_ns", wire_key="time",
    symbol="coin", most=1, weight=costs(2, 20), post={"type": "l2Book", "coin": "{symbol}"},
)  # fmt: skip
PERPETUALS: Final = Listing(
    EXCHANGE, Request(PATH, weight=20, body=info("meta")), PerpetualRow, lambda body: _perpetuals(body).universe,
    instrument(
        symbol="name", status=computed(lambda d, e: "delisted" if d.isDelisted else "listed"),
        kind=constant("perpetual"), base_asset=computed(lambda d, e: d.name[1:] if is_thousands(d.name) else d.name),
        quote_asset=constant("USDC"), margin_asset=constant("USDC"), contract_size=constant("1"),
        multiplier=computed(lambda d, e: "1000" if is_thousands(d.name) else None),
        contract_currency=computed(lambda d, e: d.name[1:] if is_thousands(d.name) else d.name),
        step_size=computed(lambda d, e: step(d.szDecimals)), funding_interval=constant(3600),
        absent=("contract_type", "tick_size", "min_quantity", "max_quantity", "min_notional", "onboard_time_ns",
                "delivery_time_ns"),
    ),
)  # fmt: skip
PAIRS: Final = Listing(
    EXCHANGE, Request(PATH, weight=20, body=info("spotMeta")), SpotRow, spot_rows,
    instrument(
        symbol="name", status=constant("listed"), kind=constant("spot"), base_asset="base.name",
        quote_asset="quote.name", contract_size=constant("1"), contract_currency="base.name",
        step_size=computed(lambda d, e: step(d.base.szDecimals)),
        absent=("contract_type", "margin_asset", "tick_size", "min_quantity", "max_quantity", "min_notional",
                "onboard_time_ns", "delivery_time_ns"),
    ),
)  # fmt: skip


def contexts(kind: str, rows: Callable[[bytes], list[Raw]]) -> Tickers:
    return Tickers(
        Request(PATH, weight=20, body=info(kind)), rows, symbol="coin", volume="dayNtlVlm", price="markPx"
    )  # fmt: skip


class HyperliquidRest(RestTables):
    """Hyperliquid."""

    live = "https://api.hyperliquid.xyz"
    testnet = "https://api.hyperliquid-testnet.xyz"
    weights = Limit(1200, 60.0)
    variants: Mapping[str, Any] = {"aggregated": False}
    errors = Errors(error, final=frozenset((500,)))
    repairs = {
        "trade": partial(newest_trades, RECENT_TRADES),
        "kline": partial(candles, KLINES),
        "funding_rate": partial(fundings, FUNDINGS),
        "depth": partial(book, BOOK),
    }
    intervals = frozenset(CODES)
    listings = (PERPETUALS, PAIRS)
    trading = frozenset(("listed",))
    tickers = (
        contexts("metaAndAssetCtxs", perpetual_tickers),
        contexts("spotMetaAndAssetCtxs", pair_tickers),
    )

    book_rule = BookRule(whole=frozenset((FAST_LEVELS, LEVELS)))

    def levels(self, name: str) -> int:
        return FAST_LEVELS if name.startswith("l2BookFast:") else LEVELS
