"""Kraken spot over REST as tables: trades, candles, the pairs.

Errors come with HTTP 200, in a list beside the result. Of candles there are the newest 720 rows of each interval,
whatever is asked for, the last one open; a minute without trades, which the stream leaves out, is a row with a count
of 0. Trades have no end: pages go on where the one before ended, by a time in nanoseconds. Their own times are doubles,
printed as short as may be; the stream cuts nanoseconds after the microseconds. Cut alike, one of eight is a microsecond
later than in the stream, and nothing in it says so. Repairs and backfills know a trade by its number, so they publish
none that the log has; of one that is in the tables alone another row comes, with the same number.

The book has no checksum and ends at 500 levels: it can neither begin nor mend one, so holes of books stay.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from wsadapter.events import Kline, Trade
from wsadapter.events.decimals import plain_number
from wsadapter.exchanges.history import candles, trades_onward
from wsadapter.exchanges.kraken import CODES
from wsadapter.exchanges.listing import Listing, instrument
from wsadapter.exchanges.mapping import (
    as_text,
    closes,
    computed,
    constant,
    decimal,
    mapped,
    or_none,
    seconds,
    subscribed,
)
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import BadAnswer, Errors, Limit, Request
from wsadapter.exchanges.values import MOST, Id, Text
from wsadapter.text import printable

EXCHANGE: Final = "kraken"
PATH: Final = "/0/public/"
MAX_ROWS: Final = 20_000
OURS: Final[Mapping[str, str]] = {"XBT": "BTC", "XDG": "DOGE"}
"""What the WebSocket calls the two assets that REST alone still calls by their old names."""


class Body(Struct, gc=False):
    """{"error":[],"result":{...}}"""

    error: list[str] = []
    result: dict[str, Raw] | None = None


class CandleRow(Struct, array_like=True, gc=False):
    """[1790348400,"84001.9","84075.9","83351.5","83777.5","83714.6","159.04484404",9205]"""

    opened: Annotated[int, Meta(ge=0, le=MOST // 1_000_000_000)]
    open: Text
    high: Text
    low: Text
    close: Text
    vwap: Text
    volume: Text
    count: Id


class TradeRow(Struct, array_like=True, gc=False):
    """["83930.30000","0.00005100",1790359840.9392912,"s","l","",109118758]"""

    price: Text
    volume: Text
    time: Raw
    side: Text
    kind: Text
    misc: Text
    trade_id: Id


class PairRow(Struct, gc=False):
    """{"altname":"XBTUSD","wsname":"XBT/USD","base":"XXBT","quote":"ZUSD","pair_decimals":1,"lot_decimals":8,
    "ordermin":"0.00005","costmin":"0.5","tick_size":"0.1","status":"online","execution_venue":"international",...}"""

    wsname: Annotated[str, Meta(pattern="^[^/]+/[^/]+$", max_length=64)]
    status: Text
    lot_decimals: Annotated[int, Meta(ge=0, le=18)]
    tick_size: Text = ""
    ordermin: Text = ""
    costmin: Text = ""


_body: Final = Decoder(Body).decode
_rows: Final = Decoder(Annotated[list[Raw], Meta(max_length=MAX_ROWS)]).decode
_text: Final = Decoder(str).decode


def result_of(body: bytes) -> dict[str, Raw]:
    answer = _body(body)
    if answer.error or answer.result is None:
        raise BadAnswer(printable(" ".join(answer.error)) or "no result")
    return answer.result


def rows_of(body: bytes) -> tuple[list[Raw], None]:
    """Those of the one pair; its name in the answer may be another one than was asked for."""
    (rows,) = (value for name, value in result_of(body).items() if name != "last")
    return _rows(rows), None


def last(body: bytes) -> str:
    """Nanoseconds as text."""
    return _text(result_of(body)["last"])


def microseconds(d: TradeRow, e: object) -> int:
    """In nanoseconds; one too many where the double was rounded up to the next one, see the module docstring."""
    whole, _, fraction = plain_number(d.time).partition(".")
    return int(whole) * 1_000_000_000 + int(fraction[:6].ljust(9, "0"))


def assets(row: PairRow) -> tuple[str, str]:
    base, _, quote = row.wsname.partition("/")
    return OURS.get(base, base), OURS.get(quote, quote)


def lot(row: PairRow, e: object) -> str:
    return f"0.{'1':0>{row.lot_decimals}}" if row.lot_decimals else "1"


def error(status: int, body: bytes) -> tuple[str, str] | None:
    """``EService: Throttled: <time>`` and others by their first two words; those that begin with W are warnings."""
    for text in _body(body).error:
        if not text.startswith("W"):
            kind, _, rest = text.partition(":")
            return f"{kind}:{rest.partition(':')[0].strip()}", text
    return None


CANDLE: Final = row(
    Kline, interval=subscribed("interval"), open_time_ns=seconds("opened"), close_time_ns=closes("opened", 1000),
    open=decimal("open"), high=decimal("high"), low=decimal("low"), close=decimal("close"), volume=decimal("volume"),
    trade_count="count", closed=constant(True),
    absent=("event_time_ns", "transaction_time_ns", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume",
            "first_trade_id", "last_trade_id"),
)  # fmt: skip
TRADE: Final = row(
    Trade, transaction_time_ns=computed(microseconds), trade_id=as_text("trade_id"), trade_number="trade_id",
    price=decimal("price"), quantity=decimal("volume"), buyer_is_maker=mapped("side", {"b": False, "s": True}),
    aggregated=constant(False), absent=("event_time_ns", "first_trade_id", "last_trade_id"),
)  # fmt: skip

KLINES: Final = Page(
    EXCHANGE, PATH + "OHLC", {"pair": "{symbol}", "interval": "{code}", "since": "{before_s}"}, CandleRow, CANDLE,
    rows_of, key="open_time_ns", wire_key="opened", unit=1_000_000_000, end_key="close_time_ns", most=721, codes=CODES,
    whole=True, kept=dict.fromkeys(CODES, 720),
)  # fmt: skip
TRADES: Final = Page(
    EXCHANGE, PATH + "Trades", {"pair": "{symbol}", "since": "{from_ns}", "count": "{limit}"}, TradeRow, TRADE, rows_of,
    key="trade_number", wire_key="trade_id", unit=1, most=1000, cursor=last,
)  # fmt: skip
PAIRS: Final = Listing(
    EXCHANGE, Request(PATH + "AssetPairs"), PairRow, lambda body: result_of(body).values(),
    instrument(
        symbol=computed(lambda d, e: "/".join(assets(d))), status="status", kind=constant("spot"),
        base_asset=computed(lambda d, e: assets(d)[0]), quote_asset=computed(lambda d, e: assets(d)[1]),
        contract_size=constant("1"), contract_currency=computed(lambda d, e: assets(d)[0]),
        tick_size=or_none("tick_size"), step_size=computed(lot), min_quantity=or_none("ordermin"),
        min_notional=or_none("costmin"),
        absent=("contract_type", "margin_asset", "max_quantity", "onboard_time_ns", "delivery_time_ns"),
    ),
)  # fmt: skip


class KrakenRest(RestTables):
    """Kraken spot."""

    live = testnet = "https://api.kraken.com"
    weights = Limit(5, 5.0)
    """Said nowhere; one request a second is known to be safe."""
    variants: Mapping[str, Any] = {"aggregated": False}
    errors = Errors(
        error,
        limited=frozenset(("EAPI:Rate limit exceeded", "EService:Throttled", "EGeneral:Too many requests")),
        again=frozenset(("EService:Unavailable", "EService:Busy", "EGeneral:Internal error", "EService:Timeout")),
    )
    repairs = {"trade": partial(trades_onward, TRADES), "kline": partial(candles, KLINES)}
    intervals = frozenset(CODES)
    listings = (PAIRS,)
    trading = frozenset(("online",))
    halted = frozenset(("cancel_only", "post_only", "limit_only", "reduce_only", "maintenance"))
