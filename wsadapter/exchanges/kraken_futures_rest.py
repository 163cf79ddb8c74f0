"""Kraken Futures over REST as tables: trades, candles, settled funding rates, the contracts.

Errors are ``{"result":"error","error":...}`` or ``{"errors":[{"code":...}]}``, of charts plain text with HTTP 400.
Trades come from the history of executions, oldest first, in pages that name the next one; they have no number, so a
hole is filled by its time. One of which the venue knows neither the taker's side nor the maker's is lost, and said.
Rates come all at once, of a year. Nothing counts against a limit but the address.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import FundingRate, Kline, Trade
from wsadapter.exchanges.history import candles, fundings, trades_of_time
from wsadapter.exchanges.kraken_futures import CODES
from wsadapter.exchanges.listing import Listing, instrument
from wsadapter.exchanges.mapping import (
    closes,
    computed,
    constant,
    decimal,
    iso,
    ms,
    number,
    number_or_none,
    or_none,
    signed_number_or_none,
    subscribed,
)
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import BadAnswer, Errors, Limit, Request
from wsadapter.exchanges.turnover import Tickers
from wsadapter.exchanges.values import Text, Time, Words, says
from wsadapter.text import printable

EXCHANGE: Final = "kraken_futures"
MAX_ROWS: Final = 50_000
LINEAR: Final = "flexible_futures"
HOUR: Final = 3600
BUYS: Final = Words({"buy": True, "sell": False})


class Problem(Struct, gc=False):
    code: int = 0
    message: str = ""


class Body(Struct, gc=False):
    """{"result":"success","instruments":[...]}, {"elements":[...],"continuationToken":"..."}, {"candles":[...]};
    {"result":"error","error":"apiLimitExceeded"}, {"errors":[{"code":11,"message":"Argument invalid: symbol"}],...}"""

    error: str = ""
    errors: list[Problem] = []
    rates: list[Raw] | None = None
    instruments: list[Raw] | None = None
    candles: list[Raw] | None = None
    tickers: list[Raw] | None = None
    elements: list["Element"] | None = None
    continuationToken: str | None = None


class Execution(Struct, gc=False):
    execution: Raw


class Element(Struct, gc=False):
    """{"uid":"...","timestamp":1790422737272,"event":{"Execution":{"execution":{...},"takerReducedQuantity":""}}}"""

    event: dict[str, Execution]


class Order(Struct, frozen=True, gc=False):
    direction: Text = ""


class ExecutionRow(Struct, gc=False):
    """{"uid":"f55f3bfb-...","timestamp":1790422737272,"quantity":"0.0288","price":"84186","takerOrder":{"direction":
    "Sell",...},"makerOrder":{"direction":"Buy",...},"markPrice":"84190.74043291174",...}; a direction may be
    ``unknown`` (documented)."""

    uid: Annotated[str, Meta(min_length=1, max_length=64)]
    timestamp: Time
    quantity: Text
    price: Text
    takerOrder: Order
    makerOrder: Order = Order()


class BarRow(Struct, gc=False):
    """{"time":1731715200000,"open":"91069","high":"91373.5","low":"90956","close":"91045.5","volume":"319499"}; the
    volume may be a number, ``0``."""

    time: Time
    open: Text
    high: Text
    low: Text
    close: Text
    volume: Raw


class RateRow(Struct, gc=False):
    """{"timestamp":"2025-09-24T08:00:00Z","fundingRate":1.3285114808978307,"relativeFundingRate":1.1795815277778e-05}"""

    timestamp: Text
    relativeFundingRate: Raw = Raw()


class ContractRow(Struct, gc=False):
    """{"symbol":"FI_XBTUSD_261225","type":"futures_inverse","lastTradingTime":"2026-12-25T16:00:00Z","tickSize":0.5,
    "contractSize":1,"tradeable":true,"openingDate":"2026-05-29T15:00:00Z","contractValueTradePrecision":0,"base":"BTC",
    "quote":"USD","isExpired":false,...}; a perpetual has no last trading time. The precision may be negative."""

    symbol: Text
    type: Text
    base: Text
    quote: Text
    tickSize: Raw = Raw()
    contractSize: Raw = Raw()
    contractValueTradePrecision: Annotated[int, Meta(ge=-18, le=18)] = 0
    tradeable: bool = False
    isExpired: bool = False
    openingDate: Text | None = None
    lastTradingTime: Text | None = None


_body: Final = Decoder(Body).decode


def answer(body: bytes) -> Body:
    answer = _body(body)
    if answer.error or answer.errors:
        raise BadAnswer(printable(answer.error or answer.errors[0].message))
    return answer


def listed(rows: list[Raw] | None) -> tuple[list[Raw], None]:
    if rows is None or len(rows) > MAX_ROWS:
        raise BadAnswer("no rows, or too many")
    return rows, None


def executions(body: bytes) -> tuple[list[Raw], None]:
    """The event is named ``Execution`` or, as documented, ``execution``."""
    elements = answer(body).elements
    return listed(None if elements is None else [one.execution for each in elements for one in each.event.values()])


def maker_buys(d: ExecutionRow, e: object) -> bool:
    """The taker does what the maker does not: one of the two is enough."""
    taker = BUYS.get(d.takerOrder.direction.lower())
    return BUYS[d.makerOrder.direction.lower()] if taker is None else not taker


def sideless(d: ExecutionRow) -> str:
    is_unknown = d.takerOrder.direction.lower() == "unknown" and d.makerOrder.direction.lower() not in BUYS
    return "the venue does not know its side" if is_unknown else ""


def step(d: ContractRow, e: object) -> str:
    """3: thousandths, -3: thousands."""
    places = d.contractValueTradePrecision
    return f"0.{'1':0>{places}}" if places > 0 else f"1{'0' * -places}"


def status(d: ContractRow, e: object) -> str:
    return "expired" if d.isExpired else "tradeable" if d.tradeable else "suspended"


def settled_in(d: ContractRow, e: object) -> str:
    return d.quote if d.type == LINEAR else d.base


def counted_in(d: ContractRow, e: object) -> str:
    return d.base if d.type == LINEAR else d.quote


def error(status: int, body: bytes) -> tuple[int | str, str] | None:
    if status == 400 and body[:1] not in (b"{", b"<"):
        return status, body[:256].decode(errors="replace")
    answer = _body(body)
    if answer.errors:
        return answer.errors[0].code, answer.errors[0].message
    return (answer.error.partition(":")[0], answer.error) if answer.error else None


CANDLE: Final = row(
    Kline, interval=subscribed("interval"), open_time_ns=ms("time"), close_time_ns=closes("time"),
    open=decimal("open"), high=decimal("high"), low=decimal("low"), close=decimal("close"), volume=number("volume"),
    closed=constant(True),
    absent=("event_time_ns", "transaction_time_ns", "quote_volume", "trade_count", "taker_buy_volume",
            "taker_buy_quote_volume", "first_trade_id", "last_trade_id"),
)  # fmt: skip
TRADE: Final = row(
    Trade, transaction_time_ns=ms("timestamp"), trade_id="uid", price=decimal("price"), quantity=decimal("quantity"),
    buyer_is_maker=computed(maker_buys), aggregated=constant(False), refuse=sideless,
    absent=("event_time_ns", "trade_number", "first_trade_id", "last_trade_id"),
)  # fmt: skip
FUNDING: Final = row(
    FundingRate, transaction_time_ns=iso("timestamp"), funding_rate=signed_number_or_none("relativeFundingRate"),
    settled=constant(True), refuse=lambda d: "" if says(d.relativeFundingRate) else "no rate",
    absent=("event_time_ns", "next_funding_time_ns", "mark_price"),
)  # fmt: skip

KLINES: Final = Page(
    EXCHANGE, "/api/charts/v1/trade/{symbol}/{code}", {"from": "{first_s}", "to": "{last_s}"}, BarRow, CANDLE,
    lambda body: listed(answer(body).candles), key="open_time_ns", wire_key="time", end_key="close_time_ns", most=2000,
    codes=CODES, whole=True, keeps_newest=True,
)  # fmt: skip
EXECUTIONS: Final = Page(
    EXCHANGE, "/api/history/v3/market/{symbol}/executions",
    {"since": "{since_ms}", "sort": "asc", "continuation_token": "{cursor}"}, ExecutionRow, TRADE, executions,
    key="transaction_time_ns", wire_key="timestamp", strict=False, most=MAX_ROWS, whole=True,
    cursor=lambda body: answer(body).continuationToken or "",
)  # fmt: skip
RATES: Final = Page(
    EXCHANGE, "/derivatives/api/v4/historicalfundingrates", {"symbol": "{symbol}"}, RateRow, FUNDING,
    lambda body: listed(answer(body).rates), key="transaction_time_ns", wire_key="timestamp", most=MAX_ROWS, whole=True,
)  # fmt: skip
CONTRACTS: Final = Listing(
    EXCHANGE, Request("/derivatives/api/v3/instruments"), ContractRow, lambda body: listed(answer(body).instruments),
    instrument(
        symbol="symbol", status=computed(status), contract_type=or_none("type"), base_asset="base",
        quote_asset="quote", margin_asset=computed(settled_in), contract_size=number_or_none("contractSize"),
        contract_currency=computed(counted_in), tick_size=number_or_none("tickSize"), step_size=computed(step),
        onboard_time_ns=iso("openingDate"), delivery_time_ns=iso("lastTradingTime"),
        kind=computed(lambda d, e: "future" if d.lastTradingTime else "perpetual"),
        funding_interval=computed(lambda d, e: None if d.lastTradingTime else HOUR),
        absent=("min_quantity", "max_quantity", "min_notional"),
    ),
    wanted=lambda d: d.type in (LINEAR, "futures_inverse"),
)  # fmt: skip
# {"result":"success","tickers":[{"symbol":"PF_XBTUSD","last":85463,"vol24h":1873.2,"volumeQuote":160092345.5,...}]}
TICKERS: Final = Tickers(
    Request("/derivatives/api/v3/tickers"), lambda body: listed(answer(body).tickers), symbol="symbol",
    price="last", volume="volumeQuote",
)  # fmt: skip


class KrakenFuturesRest(RestTables):
    """Kraken Futures."""

    live = "https://futures.kraken.com"
    testnet = "https://demo-futures.kraken.com"
    weights = Limit(50, 5.0)
    """Public calls cost nothing; an address has a limit that is said nowhere."""
    variants: Mapping[str, Any] = {"aggregated": False}
    errors = Errors(
        error,
        limited=frozenset(("apiLimitExceeded",)),
        again=frozenset(("Server Error", "Unavailable", "unknownError")),
    )
    repairs = {
        "trade": partial(trades_of_time, EXECUTIONS),
        "kline": partial(candles, KLINES),
        "funding_rate": partial(fundings, RATES),
    }
    intervals = frozenset(CODES)
    listings = (CONTRACTS,)
    trading = frozenset(("tradeable",))
    halted = frozenset(("suspended",))
    tickers = (TICKERS,)
