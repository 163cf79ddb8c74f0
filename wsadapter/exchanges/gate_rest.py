"""Gate v4 over REST, USDT futures, as tables: what was, and what is traded.

Each request has the header of decimal sizes, like each connection: a page without it would mend a stream with whole
contracts. Errors are HTTP 400 with a ``label``, and perhaps a ``message``. Times are seconds, with or without decimals.
Trades are those of a range of time, in parts; their sign is the side of whoever took.

Not verified: in which order trades and candles come (either is understood), how far back trades and rates reach (a
hole that began more than a day ago has to be proved), and the body of an answer 429.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import Depth, FundingRate, Kline, Trade, UpdateType
from wsadapter.exchanges.gate import CODES, HEADERS, Level
from wsadapter.exchanges.history import book, candles, fundings, trades_in_parts
from wsadapter.exchanges.listing import Listing, instrument
from wsadapter.exchanges.mapping import (
    applied,
    as_text,
    by_sign,
    closes,
    computed,
    constant,
    decimal,
    decimal_or_none,
    magnitude,
    number,
    number_or_none,
    or_none,
    seconds,
    signed_or_none,
    subscribed,
)
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import Errors, Limit, Request, ServerTime
from wsadapter.exchanges.sides import levels
from wsadapter.exchanges.turnover import Tickers
from wsadapter.exchanges.values import MOST, Id, Seconds, Text

EXCHANGE: Final = "gate"
PATH: Final = "/api/v4/futures/usdt/"
MAX_ROWS: Final = 20_000
SECOND: Final = 1_000_000_000
CONTRACT: Final = {"contract": "{symbol}"}
RANGE: Final = {"from": "{first_s}", "to": "{last_s}"}


class TradeRow(Struct, gc=False):
    """`trades`: {"id":807645690,"create_time":1786540580,"create_time_ms":1786540580.715,"contract":"BTC_USDT",
    "size":"-2","price":"63994.5"}; ``create_time_ms`` is in seconds."""

    id: Id
    create_time_ms: Raw
    contract: Text
    size: Raw
    price: Text


class CandleRow(Struct, gc=False):
    """`candlesticks`: {"t":1539852480,"v":"97151","c":"1.032","h":"1.032","l":"1.032","o":"1.032","sum":"3580"}"""

    t: Seconds
    o: Text
    h: Text
    l: Text  # noqa: E741
    c: Text
    v: Raw
    sum: Text = ""


class FundingRow(Struct, gc=False):
    """`funding_rate`: {"t":1543968000,"r":"0.000157"}, up to two seconds after the hour."""

    t: Seconds
    r: Text


class BookRow(Struct, gc=False):
    """`order_book`: {"id":123456,"current":1623898993.123,"update":1623898993.121,"asks":[{"p":"1.52","s":"100"}],
    "bids":[{"p":"1.17","s":"201"}]}; ``id`` is of the numbers of the stream."""

    id: Id
    current: Raw
    asks: list[Level]
    bids: list[Level]


class ContractRow(Struct, gc=False):
    """`contracts`: {"name":"BTC_USDT","type":"direct","quanto_multiplier":"0.0001","order_price_round":"0.1",
    "order_size_min":1,"order_size_max":1000000,"enable_decimal":false,"funding_interval":28800,"status":"trading",
    "in_delisting":false,"launch_time":1548979200}"""

    name: Text
    status: Text = ""
    in_delisting: bool = False
    quanto_multiplier: Text = ""
    order_price_round: Text = ""
    order_size_min: Raw = Raw()
    order_size_max: Raw = Raw()
    enable_decimal: bool = False
    funding_interval: int = 0
    launch_time: Raw = Raw()


class ErrorBody(Struct, gc=False):
    """{"label":"INVALID_PARAM_VALUE","message":"range from/to must in 1 hour"}"""

    label: str
    message: str = ""


_rows: Final = Decoder(Annotated[list[Raw], Meta(max_length=MAX_ROWS)]).decode
_error: Final = Decoder(ErrorBody).decode
_whole: Final = Decoder(Raw).decode


def rows_of(body: bytes) -> tuple[list[Raw], None]:
    return _rows(body), None


def whole(body: bytes) -> tuple[list[Raw], None]:
    """An answer that is one row."""
    return [_whole(body)], None


def error(status: int, body: bytes) -> tuple[str, str] | None:
    if status == 200:
        return None
    answer = _error(body)
    return answer.label, answer.message


def ns(said: Raw) -> int:
    """Seconds, with decimals or without, as a number or as text."""
    digits, _, decimals = bytes(said).decode().strip('"').partition(".")
    if not digits.isdecimal() or len(digits) > 11 or not (decimals or "0").isdecimal():
        raise ValueError("no time")
    time = int(digits) * SECOND + int(decimals[:9].ljust(9, "0"))
    if time > MOST:
        raise ValueError("no time of ours")
    return time


def status(d: ContractRow, e: object) -> str:
    return d.status or ("delisting" if d.in_delisting else "trading")


def launched(said: Raw) -> int | None:
    return ns(said) or None if bytes(said) not in (b"", b"null") else None


TRADE: Final = row(
    Trade, transaction_time_ns=applied(ns, "create_time_ms"), trade_id=as_text("id"), trade_number="id",
    price=decimal("price"), quantity=magnitude("size"), buyer_is_maker=by_sign("size", False, True),
    aggregated=constant(False), absent=("event_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip
CANDLE: Final = row(
    Kline, interval=subscribed("interval"), open_time_ns=seconds("t"), close_time_ns=closes("t", unit_ms=1000),
    open=decimal("o"), high=decimal("h"), low=decimal("l"), close=decimal("c"), volume=number("v"),
    quote_volume=decimal_or_none("sum"), closed=constant(True),
    absent=("event_time_ns", "transaction_time_ns", "trade_count", "taker_buy_volume", "taker_buy_quote_volume",
            "first_trade_id", "last_trade_id"),
)  # fmt: skip
FUNDING: Final = row(
    FundingRate, transaction_time_ns=seconds("t"), funding_rate=signed_or_none("r"), settled=constant(True),
    absent=("event_time_ns", "next_funding_time_ns", "mark_price"), refuse=lambda d: "" if d.r else "no rate",
)  # fmt: skip
BOOK: Final = row(
    Depth, event_time_ns=applied(ns, "current"), update_type=constant(UpdateType.SNAPSHOT),
    level_limit=subscribed("limit"), last_update_id="id", columns=levels("bids", "asks", "p", "s"),
    absent=("transaction_time_ns", "first_update_id", "previous_update_id"),
)  # fmt: skip

TRADES: Final = Page(
    EXCHANGE, PATH + "trades", CONTRACT | RANGE | {"limit": "{limit}", "offset": "{offset}"}, TradeRow, TRADE, rows_of,
    key="trade_number", wire_key="id", unit=1, symbol="contract", most=1000, sorts=True, window_ms=60_000,
    pool="trades",
)  # fmt: skip
KLINES: Final = Page(  # at most 2,000
    EXCHANGE, PATH + "candlesticks", CONTRACT | {"interval": "{code}"} | RANGE, CandleRow, CANDLE, rows_of,
    key="open_time_ns", wire_key="t", unit=SECOND, end_key="close_time_ns", most=1999, codes=CODES, sorts=True,
    keeps_newest=True, pool="candlesticks",
)  # fmt: skip
FUNDINGS: Final = Page(
    EXCHANGE, PATH + "funding_rate", CONTRACT | RANGE | {"limit": "{limit}"}, FundingRow, FUNDING, rows_of,
    key="transaction_time_ns", wire_key="t", unit=SECOND, most=1000, sorts=True, fills_up=True,
    window_ms=998 * 3_600_000, pool="funding_rate",
)  # fmt: skip
ORDER_BOOK: Final = Page(
    EXCHANGE, PATH + "order_book", CONTRACT | {"limit": "{limit}", "with_id": "true"}, BookRow, BOOK, whole,
    key="last_update_id", wire_key="id", unit=1, most=300, pool="order_book",
)  # fmt: skip
CONTRACTS: Final = Listing(
    EXCHANGE, Request(PATH + "contracts", pool="contracts"), ContractRow, rows_of,
    instrument(
        symbol="name", status=computed(status), base_asset=computed(lambda d, e: d.name.partition("_")[0]),
        quote_asset=computed(lambda d, e: d.name.partition("_")[2]), margin_asset=constant("USDT"),
        contract_size=or_none("quanto_multiplier"), contract_currency=computed(lambda d, e: d.name.partition("_")[0]),
        tick_size=or_none("order_price_round"), step_size=computed(lambda d, e: None if d.enable_decimal else "1"),
        min_quantity=number_or_none("order_size_min"), max_quantity=number_or_none("order_size_max"),
        onboard_time_ns=applied(launched, "launch_time"), kind=constant("perpetual"),
        funding_interval=computed(lambda d, e: d.funding_interval or None),
        absent=("contract_type", "min_notional", "delivery_time_ns"),
    ),
)  # fmt: skip
# [{"contract":"BTC_USDT","last":"85462.5","volume_24h_quote":"6141524125","volume_24h_base":"71862",...}]
TICKERS: Final = Tickers(
    Request(PATH + "tickers", pool="tickers"), rows_of, symbol="contract", price="last",
    volume="volume_24h_quote",
)  # fmt: skip


class GateRest(RestTables):
    """Gate perpetual futures, settled in USDT."""

    live = "https://api.gateio.ws"
    testnet = "https://api-testnet.gateapi.io"
    headers: Mapping[str, str] = HEADERS
    server_time: ServerTime | None = ServerTime("/api/v4/spot/time", "server_time")
    weights = Limit(1000, 10.0)
    """The sum of the pools: the venue counts by endpoint."""
    pools: Mapping[str, Limit] = {
        page: Limit(200, 10.0)
        for page in ("trades", "candlesticks", "funding_rate", "order_book", "contracts", "tickers")
    }
    variants: Mapping[str, Any] = {"aggregated": False}
    errors = Errors(
        error, limited=frozenset(("TOO_MANY_REQUESTS",)), again=frozenset(("SERVER_ERROR", "INTERNAL", "TOO_BUSY"))
    )
    repairs = {
        "trade": partial(trades_in_parts, TRADES),
        "kline": partial(candles, KLINES),
        "funding_rate": partial(fundings, FUNDINGS),
        "depth": partial(book, ORDER_BOOK),
    }
    intervals = frozenset(CODES)
    listings = (CONTRACTS,)
    trading = frozenset(("trading",))
    halted = frozenset(("delisting", "circuit_breaker"))
    tickers = (TICKERS,)
