"""Bybit v5 over REST, linear: what was, what is traded, open interest. Sans-I/O.

Errors are HTTP 200 with a ``retCode``. Lists are newest first; where more rows lie in the range than a page holds, the
oldest are the ones left out, so a range is never longer than a page. Trades have no history but the newest page.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Annotated, Final, TypeVar

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import Depth, FundingRate, Kline, OpenInterest, Source, Trade, UpdateType
from wsadapter.events.decimals import NotPlain, are_plain, split_book
from wsadapter.exchanges.bybit import CODES, SIDES
from wsadapter.exchanges.history import (
    MINUTES,
    BookRepair,
    CandleRepair,
    FundingRepair,
    NewestTradesRepair,
    Repairs,
    repair_of,
)
from wsadapter.exchanges.mapping import MS, Id, Text, Time
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

EXCHANGE: Final = "bybit"
REST: Final = Source.REST
CANDLES_PAGE: Final = 1000
NEWEST_TRADES: Final = 1000
MOST_FUNDINGS: int = 200
FUNDING_WINDOW_MS: int = 199 * 3_600_000
"""Rates are settled once an hour at most."""
BOOK_LEVELS: Final = 1000
SHORTEST_MONTH: Final = 40_320
MAX_ROWS: Final = 20_000
TOO_MANY: Final = frozenset((429, 10006, 10018))
BUSY: Final = frozenset((10000, 10016))
"""Timeout, internal error."""
ACCESS_TOO_FREQUENT: Final = 600.0
"""So long the documentation says to stay away."""

T = TypeVar("T")


class AnswerBody(Struct, gc=False):
    """{"retCode":0,"retMsg":"OK","result":{...},"retExtInfo":{},"time":1672025956592}"""

    retCode: int
    retMsg: str = ""
    result: Raw = Raw()
    time: Time = 0


class CandleRow(Struct, array_like=True, gc=False):
    """["1670608800000","17071","17073","17027","17055.5","268611","15.74462667"]; nothing says whether it is closed."""

    opened: Time
    open: Text
    high: Text
    low: Text
    close: Text
    volume: Text
    turnover: Text


class TradeRow(Struct, gc=False):
    """{"execId":"a905d5c3-...","symbol":"BTCUSDT","price":"27450.50","size":"0.005","side":"Buy","time":"1709891679000",
    "isBlockTrade":false}; ``execId`` is ``i`` of the stream."""

    execId: Annotated[str, Meta(min_length=1, max_length=64)]
    symbol: Text
    price: Text
    size: Text
    side: Text
    time: Time


class FundingRow(Struct, gc=False):
    """{"symbol":"BTCUSDT","fundingRate":"0.0001","fundingRateTimestamp":"1709884800000"}"""

    symbol: Text
    fundingRate: Text
    fundingRateTimestamp: Time


class InterestRow(Struct, gc=False):
    """{"openInterest":"461134384.00000000","timestamp":"1669571400000"}"""

    openInterest: Text
    timestamp: Time


class BookResult(Struct, gc=False):
    """{"s":"BTCUSDT","a":[["65557.7","16.606"]],"b":[["65485.47","47.08"]],"ts":1716863719031,"u":230704,"seq":1432604333,
    "cts":1716863718905}; ``u`` is that of the stream of 1000 levels."""

    s: Text
    b: Raw
    a: Raw
    ts: Time
    u: Id
    cts: Time | None = None


class PriceFilter(Struct, gc=False):
    tickSize: Text = ""


class LotFilter(Struct, gc=False):
    qtyStep: Text = ""
    minOrderQty: Text = ""
    maxOrderQty: Text = ""
    minNotionalValue: Text = ""


class InstrumentRow(Struct, gc=False):
    """{"symbol":"BTCUSDT","contractType":"LinearPerpetual","status":"Trading","baseCoin":"BTC","quoteCoin":"USDT",
    "launchTime":"1585526400000","deliveryTime":"0","priceFilter":{"tickSize":"0.10"},"lotSizeFilter":{"qtyStep":"0.001",
    "minOrderQty":"0.001","maxOrderQty":"1190.000","minNotionalValue":"5"},"settleCoin":"USDT"}; times "0" are none."""

    symbol: Text
    status: Text
    baseCoin: Text
    quoteCoin: Text
    priceFilter: PriceFilter
    lotSizeFilter: LotFilter
    contractType: Text = ""
    settleCoin: Text = ""
    launchTime: Time | None = None
    deliveryTime: Time | None = None


class Rows(Struct, gc=False):
    """The ``list`` of a result."""

    list: Annotated[list[Raw], Meta(max_length=MAX_ROWS)]


_body: Final = Decoder(AnswerBody).decode
_rows: Final = Decoder(Rows).decode
# numbers are texts here
_candle: Final = Decoder(CandleRow, strict=False).decode
_trade: Final = Decoder(TradeRow, strict=False).decode
_funding: Final = Decoder(FundingRow, strict=False).decode
_interest: Final = Decoder(InterestRow, strict=False).decode
_book: Final = Decoder(BookResult).decode
_instrument_row: Final = Decoder(InstrumentRow, strict=False).decode


def _request(name: str, **query: object) -> Request:
    return Request(f"/v5/market/{name}", (("category", "linear"), *((key, str(value)) for key, value in query.items())))


def _checked(work: Callable[[], T]) -> T:
    try:
        return work()
    except NotPlain as error:
        raise BadAnswer(f"decimal: {printable(str(error))}") from None
    except FAILURES as error:
        raise BadAnswer(f"{type(error).__name__}: {printable(str(error))}") from None


def _result(body: bytes) -> AnswerBody:
    answer = _checked(lambda: _body(body))
    if answer.retCode:
        raise BadAnswer(f"{answer.retCode} {printable(answer.retMsg)}")
    return answer


def _listed(body: bytes, decode: Callable[[Raw], T], most: int) -> tuple[list[T], int]:
    """The rows, oldest first, and the venue's time."""
    answer = _result(body)
    rows = _checked(lambda: [decode(each) for each in _rows(answer.result).list])
    if len(rows) > most:
        raise BadAnswer("more rows than were asked for")
    return rows[::-1], answer.time


def _in_order(what: str, times: list[int]) -> None:
    if any(later < earlier for earlier, later in pairwise(times)):
        raise BadAnswer(f"{what}: not in order")


def candles(symbol: str, interval: str, first_ns: int, last_ns: int, count: int) -> Request:
    """Candles by open time, both ends included."""
    length_ms = min(MINUTES[interval], SHORTEST_MONTH) * 60_000
    first_ms = first_ns // MS
    until_ms = min(last_ns // MS, first_ms + (CANDLES_PAGE - 1) * length_ms)
    return _request("kline", symbol=symbol, interval=CODES[interval], start=first_ms, end=until_ms, limit=CANDLES_PAGE)


def _closes(opened_ms: int, interval: str) -> int:
    """The last millisecond of a candle; a month's is that of the calendar."""
    if interval != "1M":
        return opened_ms + MINUTES[interval] * 60_000 - 1
    begin = datetime.fromtimestamp(opened_ms / 1000, UTC)
    following = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return int(following.timestamp()) * 1000 - 1


def parse_candles(symbol: str, interval: str, body: bytes, received_ns: int) -> tuple[list[Kline], int | None]:
    """The closed candles, and the open time (ns) of the one that is still open, if it is in the answer."""
    rows, time_ms = _listed(body, _candle, CANDLES_PAGE)
    result: list[Kline] = []
    for index, row in enumerate(rows):
        closes = _checked(partial(_closes, row.opened, interval))
        if index and row.opened <= _closes(rows[index - 1].opened, interval):
            raise BadAnswer("kline: not in order")
        prices = row.open, row.high, row.low, row.close, row.volume
        if not are_plain(*prices, row.turnover):
            raise BadAnswer("kline: decimal")
        if closes >= time_ms:
            return result, row.opened * MS
        result.append(
            Kline(
                EXCHANGE, symbol, None, None, received_ns, REST, CONNECTION, None,
                interval, row.opened * MS, closes * MS, *prices, row.turnover, None, None, None, True, None, None,
            )
        )  # fmt: skip
    return result, None


def newest_trades(symbol: str) -> Request:
    return _request("recent-trade", symbol=symbol, limit=NEWEST_TRADES)


def parse_newest(symbol: str, body: bytes, received_ns: int) -> list[Trade]:
    rows, _ = _listed(body, _trade, NEWEST_TRADES)
    _in_order("recent-trade", [row.time for row in rows])
    for row in rows:
        if row.symbol != symbol or row.side not in SIDES or not are_plain(row.price, row.size):
            raise BadAnswer("recent-trade: symbol, side or decimal")
    return [
        Trade(
            EXCHANGE, symbol, None, row.time * MS, received_ns, REST, CONNECTION, None,
            row.execId, None, row.price, row.size, SIDES[row.side], None, None, False,
        )
        for row in rows
    ]  # fmt: skip


def fundings(symbol: str, first_ms: int, last_ms: int) -> Request:
    return _request("funding/history", symbol=symbol, startTime=first_ms, endTime=last_ms, limit=MOST_FUNDINGS)


def parse_fundings(symbol: str, body: bytes, received_ns: int) -> list[FundingRate]:
    """``transaction_time`` is when the rate was settled."""
    rows, _ = _listed(body, _funding, MOST_FUNDINGS)
    _in_order("funding", [row.fundingRateTimestamp for row in rows])
    if any(row.symbol != symbol or not are_plain(row.fundingRate.removeprefix("-")) for row in rows):
        raise BadAnswer("funding: symbol or decimal")
    return [
        FundingRate(
            EXCHANGE, symbol, None, row.fundingRateTimestamp * MS, received_ns, REST, CONNECTION, None,
            row.fundingRate, None, None,
        )
        for row in rows
    ]  # fmt: skip


def book(symbol: str, levels: int) -> Request:
    return _request("orderbook", symbol=symbol, limit=levels or BOOK_LEVELS)


def parse_book(symbol: str, levels: int, body: bytes, received_ns: int) -> Depth:
    answer = _result(body)
    row = _checked(lambda: _book(answer.result))
    sides, most = _checked(lambda: split_book(row.b, row.a)), levels or BOOK_LEVELS
    if row.s != symbol or max(map(len, sides)) > most:
        raise BadAnswer("orderbook: of another symbol, or more levels than were asked for")
    return Depth(
        EXCHANGE, symbol, row.ts * MS, None if row.cts is None else row.cts * MS, received_ns, REST, CONNECTION, None,
        UpdateType.SNAPSHOT, most, None, row.u, None, *sides,
    )  # fmt: skip


class _Pages:
    """The functions above as the repairs want them."""

    MOST_FUNDINGS = MOST_FUNDINGS
    FUNDING_WINDOW_MS = FUNDING_WINDOW_MS
    candles = staticmethod(candles)
    parse_candles = staticmethod(parse_candles)
    newest_trades = staticmethod(newest_trades)
    parse_newest = staticmethod(parse_newest)
    fundings = staticmethod(fundings)
    parse_fundings = staticmethod(parse_fundings)
    book = staticmethod(book)
    parse_book = staticmethod(parse_book)


REPAIRS: Final[Repairs] = {
    "trade": partial(NewestTradesRepair, _Pages()),
    "kline": partial(CandleRepair, _Pages()),
    "funding_rate": partial(FundingRepair, _Pages()),
    "depth": partial(BookRepair, _Pages()),
}


class BybitLinearRest:
    """See `wsadapter.exchanges.rest_api.RestExchange`."""

    weights = Limit(600, 5.0)
    weight_header = ""
    reset_header = "x-bapi-limit-reset-timestamp"
    pools: Mapping[str, Limit] = {}
    banned = frozenset((403,))
    """Too many requests from this address: ten minutes apart help. Some clouds are refused altogether."""
    polled: frozenset[str] = frozenset()
    """The ticker stream brings open interest."""

    def base(self, testnet: bool) -> str:
        return "https://api-testnet.bybit.com" if testnet else "https://api.bybit.com"

    def series(self, plan: ConnectionPlan) -> list[Series]:
        return [
            Series(word, each.symbol, each.interval)
            for each in plan.subscriptions
            for word in each.feeds or (each.stream.value,)
        ]

    def repair(self, hole: Hole) -> Repair | None:
        if hole.stream == "kline" and hole.interval not in CODES:
            return None
        return repair_of(REPAIRS, hole)

    def refusal(self, status: int, body: bytes) -> Refusal | None:
        try:
            answer = _body(body)
        except FAILURES:
            frequent = status == 403 and b"access too frequent" in body[:4096].lower()
            return Refusal(status, "access too frequent", ErrorKind.LIMITED, ACCESS_TOO_FREQUENT) if frequent else None
        if not answer.retCode:
            return None
        code = answer.retCode
        kind = ErrorKind.LIMITED if code in TOO_MANY else ErrorKind.AGAIN if code in BUSY else ErrorKind.FINAL
        return Refusal(code, printable(answer.retMsg), kind)

    def open_interest(self, symbol: str) -> Request:
        return _request("open-interest", symbol=symbol, intervalTime="5min", limit=1)

    def parse_open_interest(self, symbol: str, body: bytes, received_ns: int) -> OpenInterest:
        rows, _ = _listed(body, _interest, 1)
        if not rows or not are_plain(rows[0].openInterest):
            raise BadAnswer("open interest")
        at_ns = rows[0].timestamp * MS
        return OpenInterest(
            EXCHANGE, symbol, at_ns, None, received_ns, REST, CONNECTION, None, rows[0].openInterest, None
        )

    def instruments(self) -> Request:
        """A page of 1000 holds all linear contracts that are traded."""
        return _request("instruments-info", limit=1000)

    def parse_instruments(self, body: bytes, received_ns: int) -> list[Instrument]:
        answer = _result(body)
        elements = _checked(lambda: _rows(answer.result).list)
        result = [row for each in elements if (row := _instrument(each, received_ns)) is not None]
        if elements and not result:
            raise BadAnswer("instruments-info: no symbol that can be read")
        return result

    def parse_weights(self, body: bytes) -> Limit | None:
        return None


def _instrument(element: Raw, received_ns: int) -> Instrument | None:
    try:
        row = _instrument_row(element)
    except FAILURES:
        return None
    price, lot = row.priceFilter, row.lotSizeFilter
    texts = price.tickSize, lot.qtyStep, lot.minOrderQty, lot.maxOrderQty, lot.minNotionalValue
    if not are_plain(*(each or "0" for each in texts)):
        return None
    return Instrument(
        exchange=EXCHANGE,
        symbol=row.symbol,
        receive_time_ns=received_ns,
        status=row.status,
        contract_type=row.contractType or None,
        base_asset=row.baseCoin,
        quote_asset=row.quoteCoin,
        margin_asset=row.settleCoin or None,
        contract_size="1",
        contract_currency=row.baseCoin,
        tick_size=price.tickSize or None,
        step_size=lot.qtyStep or None,
        min_quantity=lot.minOrderQty or None,
        max_quantity=lot.maxOrderQty or None,
        min_notional=lot.minNotionalValue or None,
        onboard_time_ns=row.launchTime * MS if row.launchTime else None,
        delivery_time_ns=row.deliveryTime * MS if row.deliveryTime else None,
    )
