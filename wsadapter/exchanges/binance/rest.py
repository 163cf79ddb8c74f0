"""Binance USD-M futures over REST: addresses, limits, error codes, and what is asked beside history. Sans-I/O.

Requests for history and their parsers are in `history`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from msgspec import Raw
from msgspec.json import Decoder

from wsadapter.events import OpenInterest, StreamType
from wsadapter.events.decimals import are_plain
from wsadapter.exchanges.binance import history
from wsadapter.exchanges.binance import rest_wire as wire
from wsadapter.exchanges.binance.history import EXCHANGE, FUNDING_POOL, REST, decoded
from wsadapter.exchanges.binance.usdm import depth_kind
from wsadapter.exchanges.history import BookRepair, CandleRepair, FundingRepair, Repairs, TradeRepair, repair_of
from wsadapter.exchanges.mapping import MS
from wsadapter.exchanges.rest_api import (
    CONNECTION,
    BadAnswer,
    ErrorKind,
    Hole,
    Instrument,
    Limit,
    Refusal,
    Repair,
    Request,
    Series,
)
from wsadapter.exchanges.second_look import FAILURES
from wsadapter.exchanges.venue import ConnectionPlan, printable

LIVE: Final = "https://fapi.binance.com"
TESTNET: Final = "https://demo-fapi.binance.com"
TOO_MANY: Final = frozenset((-1003, -1015))
BUSY: Final = frozenset((-1000, -1001, -1004, -1006, -1007, -1008, -1016))
"""Unknown error, disconnected, server busy, unexpected response, timeout, overloaded, shutting down: of the moment."""

_interest: Final = Decoder(wire.OpenInterestAnswer).decode
_info: Final = Decoder(wire.ExchangeInfo).decode
_limits: Final = Decoder(wire.RateLimits).decode
_limit: Final = Decoder(wire.RateLimitRow).decode
_symbol: Final = Decoder(wire.SymbolRow).decode
_error: Final = Decoder(wire.ErrorAnswer).decode


REPAIRS: Final[Repairs] = {
    "trade": partial(TradeRepair, history),
    "kline": partial(CandleRepair, history),
    "funding_rate": partial(FundingRepair, history),
    "depth": partial(BookRepair, history),
}
"""Everything else has no history: tickers, mark prices, liquidations, raw trades."""


class BinanceFuturesRest:
    """See `wsadapter.exchanges.rest_api.RestExchange`."""

    weights = Limit(2400, 60.0)
    weight_header = "x-mbx-used-weight-1m"
    reset_header = ""
    pools: Mapping[str, Limit] = {FUNDING_POOL: Limit(500, 300.0)}
    banned = frozenset((418,))
    polled = frozenset(("open_interest",))

    def base(self, testnet: bool) -> str:
        return TESTNET if testnet else LIVE

    def series(self, plan: ConnectionPlan) -> list[Series]:
        found = []
        for each in plan.subscriptions:
            kind = depth_kind(each.name) if each.stream is StreamType.DEPTH else None
            words: tuple[str, ...] = (each.stream.value,)
            if each.name.endswith("@trade"):
                words = ("raw_trade",)
            elif "@markPrice" in each.name:
                words = ("mark_price", "funding_rate")
            found += [Series(word, each.symbol, each.interval, kind[1] if kind else 0) for word in words]
        return found

    def repair(self, hole: Hole) -> Repair | None:
        return repair_of(REPAIRS, hole)

    def refusal(self, status: int, body: bytes) -> Refusal | None:
        if status == 200:
            return None
        try:
            error = _error(body)
        except FAILURES:
            return None
        kind = (
            ErrorKind.LIMITED if error.code in TOO_MANY else ErrorKind.AGAIN if error.code in BUSY else ErrorKind.FINAL
        )
        return Refusal(error.code, printable(error.msg), kind)

    def open_interest(self, symbol: str) -> Request:
        return Request("/fapi/v1/openInterest", (("symbol", symbol),))

    def parse_open_interest(self, symbol: str, body: bytes, received_ns: int) -> OpenInterest:
        answer = decoded(_interest, body)
        if answer.symbol != symbol or not are_plain(answer.openInterest):
            raise BadAnswer("open interest")
        at_ns = answer.time * MS
        return OpenInterest(
            EXCHANGE, symbol, at_ns, None, received_ns, REST, CONNECTION, None, answer.openInterest, None
        )

    def instruments(self) -> Request:
        return Request("/fapi/v1/exchangeInfo")

    def parse_instruments(self, body: bytes, received_ns: int) -> list[Instrument]:
        elements = decoded(_info, body).symbols
        found = [row for each in elements if (row := _instrument(each, received_ns)) is not None]
        if elements and not found:
            raise BadAnswer("exchangeInfo: no symbol that can be read")
        return found

    def parse_weights(self, body: bytes) -> Limit | None:
        try:
            elements = _limits(body).rateLimits
        except FAILURES:
            return None
        said = [weight for each in elements if (weight := _minute(each)) is not None]
        return Limit(min(said), 60.0) if said else None


def _minute(element: Raw) -> int | None:
    """The weight of a minute, which is what the header counts, if the limit is about that."""
    try:
        row = _limit(element)
    except FAILURES:
        return None
    counted = row.rateLimitType, row.interval, row.intervalNum
    return row.limit if counted == ("REQUEST_WEIGHT", "MINUTE", 1) else None


def _instrument(element: Raw, received_ns: int) -> Instrument | None:
    try:
        row = _symbol(element)
    except FAILURES:
        return None
    by_type = {each.filterType: each for each in row.filters}
    none = wire.FilterRow("")
    price, lot = by_type.get("PRICE_FILTER", none), by_type.get("LOT_SIZE", none)
    notional = by_type.get("MIN_NOTIONAL", none).notional
    texts = price.tickSize, lot.stepSize, lot.minQty, lot.maxQty, notional
    if not are_plain(*(each or "0" for each in texts)):
        return None
    return Instrument(
        exchange=EXCHANGE,
        symbol=row.symbol,
        receive_time_ns=received_ns,
        status=row.status,
        contract_type=row.contractType or None,
        base_asset=row.baseAsset,
        quote_asset=row.quoteAsset,
        margin_asset=row.marginAsset or None,
        contract_size="1",
        contract_currency=row.baseAsset,
        tick_size=price.tickSize or None,
        step_size=lot.stepSize or None,
        min_quantity=lot.minQty or None,
        max_quantity=lot.maxQty or None,
        min_notional=notional or None,
        onboard_time_ns=None if row.onboardDate is None else row.onboardDate * MS,
        delivery_time_ns=None if row.deliveryDate is None else row.deliveryDate * MS,
    )
