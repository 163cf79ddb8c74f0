"""What the markets of Binance have in common over REST: pages, error codes, weights, what is traded.

Weights, limits and codes are those of the documentation (July 2026). Lists are oldest first; the last row of klines may
be the open candle. Tickers, mark prices, liquidations and raw trades have no history that needs no key.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import Depth, FundingRate, Kline, OpenInterest, Trade, UpdateType
from wsadapter.exchanges.binance import rest_wire as wire
from wsadapter.exchanges.binance.tables import Time, top_levels
from wsadapter.exchanges.intervals import MINUTES
from wsadapter.exchanges.listing import Listing, instrument
from wsadapter.exchanges.mapping import (
    Emit,
    Step,
    as_text,
    computed,
    constant,
    count,
    decimal,
    decimal_or_none,
    ms,
    or_none,
    signed_or_none,
    subscribed,
)
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import BookRule, Errors, Limit, Request
from wsadapter.exchanges.second_look import FAILURES
from wsadapter.exchanges.sides import book as columns
from wsadapter.exchanges.turnover import Tickers

SYMBOL: Final = {"symbol": "{symbol}"}
RANGE: Final = {"startTime": "{first_ms}", "endTime": "{last_ms}", "limit": "{limit}"}
_list: Final = Decoder(list[Raw]).decode
_info: Final = Decoder(wire.ExchangeInfo).decode
_limits: Final = Decoder(wire.RateLimits).decode
_limit: Final = Decoder(wire.RateLimitRow).decode
_error: Final = Decoder(wire.ErrorAnswer).decode


def error(status: int, body: bytes) -> tuple[int, str] | None:
    if status == 200:
        return None
    answer = _error(body)
    return answer.code, answer.msg


def _minute(element: Raw) -> int | None:
    """The weight of a minute, which is what the header counts, if the limit is about that."""
    try:
        row = _limit(element)
    except FAILURES:
        return None
    counted = row.rateLimitType, row.interval, row.intervalNum
    return row.limit if counted == ("REQUEST_WEIGHT", "MINUTE", 1) else None


def allowed(body: bytes) -> Limit | None:
    """What the venue allows in all, as the answer to `SYMBOLS` says it."""
    try:
        elements = _limits(body).rateLimits
    except FAILURES:
        return None
    found = [weight for each in elements if (weight := _minute(each)) is not None]
    return Limit(min(found), 60.0) if found else None


def rows_of(body: bytes) -> tuple[list[Raw], None]:
    return _list(body), None


def whole(body: bytes) -> tuple[list[Raw], None]:
    """An answer that is one row."""
    return [Raw(body)], None


def closes_late(d: wire.CandleRow) -> str:
    return "closes before it opens" if d.closes < d.opened else ""


def candle(time: Time, closes: Step, quoted: bool = True) -> Emit:
    """``quoted``: turnovers are of the quote asset."""
    quote: dict[str, Any] = {
        "quote_volume": decimal("quote_volume"), "taker_buy_quote_volume": decimal("taker_quote_volume"),
    }  # fmt: skip
    return row(
        Kline, interval=subscribed("interval"), open_time_ns=time("opened"), close_time_ns=closes,
        open=decimal("open"), high=decimal("high"), low=decimal("low"), close=decimal("close"),
        volume=decimal("volume"), trade_count="trades", taker_buy_volume=decimal("taker_volume"),
        closed=constant(True), refuse=closes_late,
        absent=("event_time_ns", "transaction_time_ns", "first_trade_id", "last_trade_id",
                *(() if quoted else quote)),
        **(quote if quoted else {}),
    )  # fmt: skip


def annulled(d: wire.TradeRow) -> str:
    """By the venue: such a trade (spot, 2017) is at price 0, and no single ones are in it."""
    return "annulled by the venue" if d.f == d.l == -1 else ""


def trade(time: Time) -> Emit:
    return row(
        Trade, transaction_time_ns=time("T"), trade_id=as_text("a"), trade_number="a", price=decimal("p"),
        quantity=decimal("q"), buyer_is_maker="m", first_trade_id=count("f"), last_trade_id=count("l"),
        aggregated=constant(True), absent=("event_time_ns",), refuse=annulled,
    )  # fmt: skip


def trade_pages(
    exchange: str, path: str, weight: int, time: Time = ms, wire: type[Struct] = wire.TradeRow, *, kept_ms: int
) -> tuple[Page, Page]:
    """By number, and by time."""
    by_id, by_time = (
        Page(
            exchange, path, query, wire, trade(time), rows_of, key="trade_number", wire_key="a", unit=1, most=1000,
            weight=lambda _: weight, kept_ms=kept_ms,
        )
        for query in (SYMBOL | {"fromId": "{first}", "limit": "{limit}"}, SYMBOL | RANGE)
    )  # fmt: skip
    return by_id, by_time


# what the next rate is nobody says here; a dividend is paid, too, but is no rate of an interval
FUNDING: Final = row(
    FundingRate, transaction_time_ns=ms("fundingTime"), funding_rate=signed_or_none("fundingRate"),
    mark_price=decimal_or_none("markPrice"), absent=("event_time_ns", "next_funding_time_ns"),
    refuse=lambda d: "" if d.fundingRate else "no rate", settled=constant(True),
    ordinal=computed(lambda d, e: int(d.rateType == "Special")),
)  # fmt: skip
BOOK: Final = row(
    Depth, event_time_ns=ms("E"), transaction_time_ns=ms("T"), update_type=constant(UpdateType.SNAPSHOT),
    level_limit=subscribed("limit"), last_update_id="lastUpdateId", columns=columns("bids", "asks"),
    absent=("first_update_id", "previous_update_id"),
)  # fmt: skip
INTEREST: Final = row(
    OpenInterest, event_time_ns=ms("time"), open_interest=decimal("openInterest"),
    absent=("transaction_time_ns", "open_interest_value"),
)  # fmt: skip


def funding_page(exchange: str, path: str, weight: int, pool: str = "") -> Page:
    return Page(
        exchange, path, SYMBOL | RANGE, wire.FundingRow, FUNDING, rows_of, key="transaction_time_ns",
        wire_key="fundingTime", strict=False, symbol="symbol", most=1000, weight=lambda _: weight, pool=pool,
    )  # fmt: skip


def book_weight(limit: int) -> int:
    """Of the futures."""
    return 2 if limit <= 50 else 5 if limit == 100 else 10 if limit == 500 else 20


def book_page(exchange: str, path: str) -> Page:
    """Of the futures."""
    return Page(
        exchange, path, SYMBOL | {"limit": "{limit}"}, wire.BookAnswer, BOOK, whole, key="last_update_id",
        wire_key="lastUpdateId", unit=1, most=1000, weight=book_weight,
    )  # fmt: skip


def interest_page(exchange: str, path: str) -> Page:
    return Page(
        exchange, path, SYMBOL, wire.OpenInterestAnswer, INTEREST, whole, key="event_time_ns", wire_key="time",
        symbol="symbol", most=1,
    )  # fmt: skip


def bounds(d: wire.SymbolRow, kind: str) -> wire.FilterRow:
    return next((each for each in d.filters if each.filterType == kind), NO_BOUNDS)


def bound(kind: str, field: str) -> Step:
    """What a filter of this type says."""
    return computed(lambda d, e: getattr(bounds(d, kind), field))


NO_BOUNDS: Final = wire.FilterRow("")
LINEAR: Final[Mapping[str, Any]] = {
    "status": "status", "contract_size": constant("1"), "contract_currency": "baseAsset",
    "min_notional": bound("MIN_NOTIONAL", "notional"),
}  # fmt: skip


def market(d: Any, e: object) -> str:
    contract = getattr(d, "contractType", None)
    return "spot" if contract is None else "perpetual" if "PERPETUAL" in contract else "future" if contract else ""


def listing(exchange: str, path: str, wire: type[Struct], weight: int = 1, **fields: Any) -> Listing:
    """``fields``: what each market says in its own way."""
    return Listing(
        exchange, Request(path, weight=weight), wire, lambda body: _info(body).symbols,
        instrument(
            symbol="symbol", contract_type=or_none("contractType"), base_asset="baseAsset", quote_asset="quoteAsset",
            margin_asset=or_none("marginAsset"), tick_size=bound("PRICE_FILTER", "tickSize"),
            step_size=bound("LOT_SIZE", "stepSize"), min_quantity=bound("LOT_SIZE", "minQty"),
            max_quantity=bound("LOT_SIZE", "maxQty"), onboard_time_ns=ms("onboardDate"),
            delivery_time_ns=ms("deliveryDate"), kind=computed(market), **fields,
        ),
        weights=allowed,
    )  # fmt: skip


def tickers(path: str, weight: int, **fields: Any) -> Tickers:
    """[{"symbol":"BTCUSDT","lastPrice":"85462.50","volume":"182301.112","quoteVolume":"15570123456.78",...}]"""
    return Tickers(Request(path, weight=weight), _list, symbol="symbol", price="lastPrice", **fields)


class BinanceRest(RestTables):
    """See `wsadapter.exchanges.rest_api.RestExchange`."""

    weights = Limit(2400, 60.0)
    weight_header = "x-mbx-used-weight-1m"
    banned = frozenset((418,))
    variants: Mapping[str, Any] = {"aggregated": True}
    book_rule = BookRule(whole=frozenset((5, 10, 20)), joins=True)
    errors = Errors(
        error,
        limited=frozenset((-1003, -1015)),
        # unknown error, disconnected, server busy, unexpected response, timeout, overloaded, shutting down
        again=frozenset((-1000, -1001, -1004, -1006, -1007, -1008, -1016)),
        # "Search window is restricted to recent 2 days only.", by time and by number
        too_old=frozenset((-4166,)),
    )
    intervals = frozenset(MINUTES)
    trading = frozenset(("TRADING",))
    halted = frozenset(("HALT", "END_OF_DAY", "CANCEL_ONLY", "AUCTION_MATCH", "POST_TRADING"))

    def levels(self, name: str) -> int:
        return top_levels(name)
