"""Coinbase Exchange over REST as tables: trades by id, candles, the products.

Pages of trades hold those before an id, newest first. Candles come newest first, too, none for a time without trades,
and some from before the range that was asked for. Errors have a message and a status. Of books without a number nothing
that is asked for later can fill a hole.

Not verified: that candles of Advanced are those of Exchange, as products and trades are.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import Kline, Trade
from wsadapter.exchanges.coinbase import INTERVALS, SIDES
from wsadapter.exchanges.history import candles, trades_back
from wsadapter.exchanges.listing import Listing, instrument
from wsadapter.exchanges.mapping import (
    as_text,
    closes,
    constant,
    decimal,
    iso,
    mapped,
    number,
    or_none,
    seconds,
    subscribed,
)
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import Errors, Limit, Request, ServerTime
from wsadapter.exchanges.values import Id, Text

EXCHANGE: Final = "coinbase"
MAX_ROWS: Final = 20_000


class TradeRow(Struct, gc=False):
    """{"time":"2026-08-25T03:35:57.198335Z","trade_id":74,"price":"10.00000000","size":"0.01000000","side":"buy"}; the
    side is the maker's."""

    trade_id: Id
    side: Text
    size: Text
    price: Text
    time: Text


class CandleRow(Struct, array_like=True, gc=False):
    """[1688998200,1865.63,1867.72,1867.38,1866.81,0.20269406]: the lowest price stands before the highest."""

    opened: Id
    low: Raw
    high: Raw
    open: Raw
    close: Raw
    volume: Raw


class ProductRow(Struct, gc=False):
    """{"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","base_increment":"0.00000001",
    "quote_increment":"0.01","min_market_funds":"1","status":"online","trading_disabled":false,...}"""

    id: Text
    base_currency: Text
    quote_currency: Text
    status: Text
    base_increment: Text = ""
    quote_increment: Text = ""
    min_market_funds: Text = ""


class Problem(Struct, gc=False):
    """{"message":"NotFound"}"""

    message: str


_rows: Final = Decoder(Annotated[list[Raw], Meta(max_length=MAX_ROWS)]).decode
_problem: Final = Decoder(Problem).decode


def error(status: int, body: bytes) -> tuple[int, str] | None:
    return (status, _problem(body).message) if status >= 400 else None


TRADE: Final = row(
    Trade, transaction_time_ns=iso("time"), trade_id=as_text("trade_id"), trade_number="trade_id",
    price=decimal("price"), quantity=decimal("size"), buyer_is_maker=mapped("side", SIDES), aggregated=constant(False),
    absent=("event_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip
TRADES: Final = Page(
    EXCHANGE, "/products/{symbol}/trades", {"limit": "{limit}", "after": "{behind}"}, TradeRow, TRADE,
    lambda body: (_rows(body), None), key="trade_number", wire_key="trade_id", unit=1, most=1000, newest_first=True,
    fills_up=True,
)  # fmt: skip
CANDLE: Final = row(
    Kline, interval=subscribed("interval"), open_time_ns=seconds("opened"), close_time_ns=closes("opened", 1000),
    open=number("open"), high=number("high"), low=number("low"), close=number("close"), volume=number("volume"),
    closed=constant(True),
    absent=("event_time_ns", "transaction_time_ns", "quote_volume", "trade_count", "taker_buy_volume",
            "taker_buy_quote_volume", "first_trade_id", "last_trade_id"),
)  # fmt: skip
CANDLES: Final = Page(
    EXCHANGE, "/products/{symbol}/candles", {"granularity": "{code}", "start": "{first_s}", "end": "{last_s}"},
    CandleRow, CANDLE, lambda body: (_rows(body), None), key="open_time_ns", wire_key="opened", unit=1_000_000_000,
    end_key="close_time_ns", most=300, codes=INTERVALS, newest_first=True, quiet=True,
)  # fmt: skip
PRODUCTS: Final = Listing(
    EXCHANGE, Request("/products"), ProductRow, _rows,
    instrument(
        symbol="id", status="status", kind=constant("spot"), base_asset="base_currency", quote_asset="quote_currency",
        contract_size=constant("1"), contract_currency="base_currency", tick_size=or_none("quote_increment"),
        step_size=or_none("base_increment"), min_notional=or_none("min_market_funds"),
        absent=("contract_type", "margin_asset", "min_quantity", "max_quantity", "onboard_time_ns", "delivery_time_ns"),
    ),
)  # fmt: skip


class CoinbaseRest(RestTables):
    """Coinbase Exchange."""

    live = "https://api.exchange.coinbase.com"
    testnet = "https://api-public.sandbox.exchange.coinbase.com"
    server_time: ServerTime | None = ServerTime("/time", "epoch")
    weights = Limit(10, 1.0)
    variants: Mapping[str, Any] = {"aggregated": False}
    errors = Errors(error, limited=frozenset((429,)), again=frozenset((500, 502, 503, 504)))
    repairs = {"trade": partial(trades_back, TRADES, None), "kline": partial(candles, CANDLES)}
    intervals = frozenset(INTERVALS)
    listings = (PRODUCTS,)
    trading = frozenset(("online",))
    halted = frozenset(("offline",))
