"""OKX v5 over REST, as tables: what was, and what is traded.

Errors are a ``code`` other than "0", most of them with HTTP 200. Lists are newest first and end before a time or an id
(``after``); older rows make a page full. Trades are single ones, of three months: those that fill a hole of aggregated
ones are such of one trade each. A settled rate is ``realizedRate``; ``fundingRate`` was the prediction. The book has no
predecessor, and is not joined to the changes here: those go on from the stream's own snapshot. The demo is the same API
with a header, at the older of the two hosts. Options are listed by their underlying: which there are is asked for
first.

Not verified: whether a page of candles may hold more than 100 rows; headers that say what is used of a limit; the
rule by which a book is joined after the venue's change log of 2026-02-12 (the first change that goes on from it has
``prevSeqId`` <= ``seqId`` of the book < its own ``seqId``).
"""

from collections.abc import Generator
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import Depth, FundingRate, Kline, Trade, UpdateType
from wsadapter.exchanges.history import book, candles, fundings, trades_back
from wsadapter.exchanges.listing import Listing, everything, instrument
from wsadapter.exchanges.mapping import (
    as_text,
    closes,
    computed,
    constant,
    decimal,
    decimal_or_none,
    mapped,
    ms,
    ms_text,
    or_none,
    signed_or_none,
    subscribed,
)
from wsadapter.exchanges.okx import CODES, FEW_LEVELS, LEVELS, SIDES, BookWire, KlineWire
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import (
    BadAnswer,
    BookRule,
    Errors,
    Fetch,
    Limit,
    Request,
    RequestRefused,
    ServerTime,
    Traded,
    checked,
)
from wsadapter.exchanges.sides import levels
from wsadapter.exchanges.turnover import Tickers
from wsadapter.exchanges.values import DAY_MS, Id, Text, Time
from wsadapter.text import printable

EXCHANGE: Final = "okx"
MARKET: Final = "/api/v5/market/"
PUBLIC: Final = "/api/v5/public/"
MAX_ROWS: Final = 20_000
MARKETS: Final = {"SWAP": "perpetual", "FUTURES": "future", "SPOT": "spot"}
OPTION: Final = "OPTION"
MOST_UNDERLYINGS: Final = 100
THREE_MONTHS_MS: Final = 89 * DAY_MS
WINDOW_MS: Final = 99 * 3_600_000
"""Of rates that are settled once an hour at most, a page."""


class AnswerBody(Struct, gc=False):
    """{"code":"0","msg":"","data":[...]}"""

    code: str
    msg: str = ""
    data: Annotated[list[Raw], Meta(max_length=MAX_ROWS)] = []


class TradeRow(Struct, gc=False):
    """`history-trades`: {"instId":"BTC-USDT","side":"sell","sz":"0.00013669","px":"102537.9","tradeId":"734864333",
    "ts":"1747087163557"}"""

    instId: Text
    side: Text
    sz: Text
    px: Text
    tradeId: Id
    ts: Time


class FundingRow(Struct, gc=False):
    """`funding-rate-history`: {"instType":"SWAP","instId":"BTC-USDT-SWAP","fundingRate":"0.0001515032",
    "realizedRate":"0.00015","fundingTime":"1704067200000"}"""

    instId: Text
    realizedRate: Text
    fundingTime: Time


class InstrumentRow(Struct, gc=False):
    """`instruments`: {"instType":"SWAP","instId":"ETH-USDT-SWAP","instFamily":"ETH-USDT","uly":"ETH-USDT","baseCcy":"",
    "quoteCcy":"","settleCcy":"USDT","ctVal":"0.1","ctMult":"1","ctValCcy":"ETH","ctType":"linear","tickSz":"0.01",
    "lotSz":"0.01","minSz":"0.01","maxLmtSz":"100000000","listTime":"1573557408000","expTime":"","state":"live"}: of
    contracts base and quote are in ``uly``. The family of those that are margined in dollars goes on behind that pair
    (BTC-USD_UM, BTC-USD_UM_XPERP). Of what is announced most is empty."""

    instType: Text
    instId: Text
    state: Text
    uly: Text = ""
    instFamily: Text = ""
    baseCcy: Text = ""
    quoteCcy: Text = ""
    settleCcy: Text = ""
    ctVal: Text = ""
    ctMult: Text = ""
    ctValCcy: Text = ""
    tickSz: Text = ""
    lotSz: Text = ""
    minSz: Text = ""
    maxLmtSz: Text = ""
    stk: Text = ""
    optType: Text = ""
    listTime: Text = ""
    expTime: Text = ""


_body: Final = Decoder(AnswerBody).decode
_texts: Final = Decoder(list[Text]).decode


def error(status: int, body: bytes) -> tuple[str, str] | None:
    answer = _body(body)
    return (answer.code, answer.msg) if answer.code != "0" else None


def rows_of(body: bytes) -> tuple[list[Raw], None]:
    answer = _body(body)
    if answer.code != "0":
        raise BadAnswer(f"{printable(answer.code)} {printable(answer.msg)}")
    return answer.data, None


def pair(d: InstrumentRow) -> list[str]:
    """Base and quote as the underlying says them, else the family or the name."""
    return (d.uly or (d.instFamily or d.instId).partition("_")[0]).split("-")[:2]


def asset(place: int, own: str) -> Any:
    """Base or quote of an instrument: its own, else that of its pair."""

    def read(d: InstrumentRow, e: object) -> str:
        return getattr(d, own) or pair(d)[place]

    return computed(read)


def option_name(d: InstrumentRow, e: object) -> str:
    """``BTC/USD:BTC-261225-100000-C``"""
    if d.instType != OPTION or not (d.expTime and d.stk and d.settleCcy):
        return ""
    base, quote = pair(d)
    day = datetime.fromtimestamp(int(d.expTime) // 1000, UTC)
    return f"{base}/{quote}:{d.settleCcy}-{day:%y%m%d}-{d.stk}-{d.optType}"


def contract_size(d: InstrumentRow, e: object) -> str | None:
    return "1" if d.instType == "SPOT" else d.ctVal or None


def contract_currency(d: InstrumentRow, e: object) -> str | None:
    return d.baseCcy if d.instType == "SPOT" else d.ctValCcy or None


CANDLE: Final = row(
    Kline, interval=subscribed("interval"), open_time_ns=ms("ts"), close_time_ns=closes("ts"), open=decimal("open"),
    high=decimal("high"), low=decimal("low"), close=decimal("close"), volume=decimal("volume"),
    quote_volume=decimal_or_none("quote_volume"), closed="confirm",
    absent=("event_time_ns", "transaction_time_ns", "trade_count", "taker_buy_volume", "taker_buy_quote_volume",
            "first_trade_id", "last_trade_id"),
)  # fmt: skip
_trade: Final = partial(
    row, Trade, transaction_time_ns=ms("ts"), trade_id=as_text("tradeId"), price=decimal("px"), quantity=decimal("sz"),
    buyer_is_maker=mapped("side", SIDES),
)  # fmt: skip
TRADE: Final = _trade(
    first_trade_id="tradeId", last_trade_id="tradeId", aggregated=constant(True),
    absent=("event_time_ns", "trade_number"),
)  # fmt: skip
RAW_TRADE: Final = _trade(
    trade_number="tradeId", aggregated=constant(False), absent=("event_time_ns", "first_trade_id", "last_trade_id")
)
FUNDING: Final = row(
    FundingRate, transaction_time_ns=ms("fundingTime"), funding_rate=signed_or_none("realizedRate"),
    settled=constant(True), absent=("event_time_ns", "next_funding_time_ns", "mark_price"),
    refuse=lambda d: "" if d.realizedRate else "no rate",
)  # fmt: skip
BOOK: Final = row(
    Depth, event_time_ns=ms("ts"), update_type=constant(UpdateType.SNAPSHOT), level_limit=subscribed("limit"),
    last_update_id="seqId", columns=levels("bids", "asks", 0, 1),
    absent=("transaction_time_ns", "first_update_id", "previous_update_id"),
)  # fmt: skip

INSTRUMENT: Final = {"instId": "{symbol}"}
KLINES: Final = Page(
    EXCHANGE, MARKET + "history-candles", INSTRUMENT | {"bar": "{code}", "after": "{last_ms}", "limit": "{limit}"},
    KlineWire, CANDLE, rows_of, key="open_time_ns", wire_key="ts", end_key="close_time_ns", most=100, codes=CODES,
    newest_first=True, lax=True, pool="candles",
)  # fmt: skip
_trades: Final = partial(
    Page, EXCHANGE, MARKET + "history-trades", wire=TradeRow, listed=rows_of, wire_key="tradeId", unit=1,
    symbol="instId", most=100, newest_first=True, lax=True, pool="trades", kept_ms=THREE_MONTHS_MS,
)  # fmt: skip
BEFORE_ID: Final = INSTRUMENT | {"type": "1", "after": "{behind}", "limit": "{limit}"}
BEFORE_TIME: Final = INSTRUMENT | {"type": "2", "after": "{first_ms}", "limit": "{limit}"}
TRADES: Final = tuple(_trades(query=each, emitted=TRADE, key="last_trade_id") for each in (BEFORE_ID, BEFORE_TIME))
RAW_TRADES: Final = tuple(
    _trades(query=each, emitted=RAW_TRADE, key="trade_number") for each in (BEFORE_ID, BEFORE_TIME)
)
FUNDINGS: Final = Page(  # ``after`` is the time behind the last one
    EXCHANGE, PUBLIC + "funding-rate-history", INSTRUMENT | {"after": "{until_ms}", "limit": "{limit}"}, FundingRow,
    FUNDING, rows_of, key="transaction_time_ns", wire_key="fundingTime", symbol="instId", most=100,
    window_ms=WINDOW_MS, newest_first=True, fills_up=True, lax=True, pool="funding",
)  # fmt: skip
BOOKS: Final = Page(
    EXCHANGE, MARKET + "books", INSTRUMENT | {"sz": "{limit}"}, BookWire, BOOK, rows_of, key="last_update_id",
    wire_key="seqId", unit=1, most=LEVELS, lax=True, pool="books",
)  # fmt: skip

FIELDS: Final = instrument(
    symbol="instId", status="state", contract_type="instType", base_asset=asset(0, "baseCcy"),
    quote_asset=asset(1, "quoteCcy"), margin_asset=or_none("settleCcy"), contract_size=computed(contract_size),
    contract_currency=computed(contract_currency), tick_size=or_none("tickSz"), step_size=or_none("lotSz"),
    min_quantity=or_none("minSz"), max_quantity=or_none("maxLmtSz"), onboard_time_ns=ms_text("listTime"),
    delivery_time_ns=ms_text("expTime"), kind=mapped("instType", {**MARKETS, OPTION: "option"}),
    multiplier=or_none("ctMult"), canonical=computed(option_name), absent=("min_notional",),
)  # fmt: skip


def listing(kind: str, **more: str) -> Listing:
    query = (("instType", kind), *more.items())
    return Listing(EXCHANGE, Request(PUBLIC + "instruments", query, pool="instruments"), InstrumentRow,
                   rows_of, FIELDS)  # fmt: skip


LISTINGS: Final = tuple(map(listing, MARKETS))
UNDERLYINGS: Final = Request(PUBLIC + "underlying", (("instType", OPTION),), pool="instruments")


def underlyings(body: bytes) -> list[str]:
    """{"code":"0","msg":"","data":[["BTC-USD","ETH-USD"]]}"""
    return [each for row in rows_of(body)[0] for each in _texts(row)][:MOST_UNDERLYINGS]


TICKERS: Final = tuple(
    # {"instType":"SWAP","instId":"WIF-USDT-SWAP","last":"0.3486","volCcy24h":"53208289","vol24h":"53208289",...}:
    # coins, but of spot the quote currency
    Tickers(Request(MARKET + "tickers", (("instType", each),), pool="tickers"), rows_of,
            symbol="instId", price="last", volume="volCcy24h", in_base=each != "SPOT")
    for each in MARKETS
)  # fmt: skip


class OkxRest(RestTables):
    """OKX swaps, futures and spot."""

    live = "https://openapi.okx.com"
    testnet = "https://www.okx.com"
    testnet_headers = {"x-simulated-trading": "1"}
    server_time: ServerTime | None = ServerTime("/api/v5/public/time", "ts")
    weights = Limit(130, 2.0)
    """The sum of the pools; the venue names none for the host."""
    pools = {
        "candles": Limit(20, 2.0), "trades": Limit(20, 2.0), "funding": Limit(10, 2.0), "books": Limit(40, 2.0),
        "instruments": Limit(20, 2.0), "tickers": Limit(20, 2.0),
    }  # fmt: skip
    variants = {"aggregated": True}
    book_rule = BookRule(whole=frozenset((FEW_LEVELS,)))
    errors = Errors(error, limited=frozenset(("50011",)), again=frozenset(("50001", "50004", "50013", "50026")))
    repairs = {
        "trade": partial(trades_back, *TRADES),
        "raw_trade": partial(trades_back, *RAW_TRADES),
        "kline": partial(candles, KLINES),
        "funding_rate": partial(fundings, FUNDINGS),
        "depth": partial(book, BOOKS),
    }
    intervals = frozenset(CODES)
    listings = LISTINGS
    trading = frozenset(("live",))
    halted = frozenset(("suspend", "rebase", "post_only"))
    tickers = TICKERS

    def instruments(self) -> Generator[Fetch, Any, Traded]:
        traded = yield from super().instruments()
        try:
            found = yield Fetch(UNDERLYINGS, lambda body, received_ns: checked(underlyings, body))
        except RequestRefused:
            return traded  # the venue has none here
        options = yield from everything(listing(OPTION, uly=each) for each in found)
        traded.instruments += options.instruments
        return traded

    def levels(self, name: str) -> int:
        return FEW_LEVELS if name.startswith("books5:") else 0
