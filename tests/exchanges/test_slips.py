"""A slip in a venue's tables is told when its class is made, with the venue's word, the channel and the field."""

import re
from typing import Any

import pytest
from exchanges.stub_venues import TRADE, Chained, Plain
from msgspec import Raw, Struct, structs

from wsadapter.config.model import Feed
from wsadapter.errors import ConfigError
from wsadapter.events import OpenInterest
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.history import candles
from wsadapter.exchanges.listing import MADE_HERE, Listing
from wsadapter.exchanges.mapping import (
    Emit,
    Offers,
    RefusedWord,
    Step,
    Word,
    constant,
    either,
    emit,
    first_of,
    mapped,
    ms,
    offered,
    ordered,
)
from wsadapter.exchanges.pages import Page, RestTables, row
from wsadapter.exchanges.rest_api import Hole, Instrument, Request
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import Follows, Latest, Repeats, Rises, Venue, Within

PLAIN, CHAINED = Plain.venue, Chained.venue


def made(venue: Venue, at: int = 0, **changes: Any) -> None:
    """A class whose channel number ``at`` has these changes."""
    channels = list(venue.channels)
    channels[at] = structs.replace(channels[at], **changes)
    of_class(structs.replace(venue, channels=tuple(channels)))


def of_class(tables: Venue) -> type[VenueSession]:
    class Made(VenueSession):
        venue = tables

    return Made


def having(one: Emit, **fields: str | Step) -> tuple[Emit]:
    return (structs.replace(one, fields=ordered(one.event, {**one.fields, **fields})),)


TRADES = "stub: channel 'trade:{symbol}': "


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"root": "public"}, "root 'public' is none of `hosts.paths`: ''"),
        ({"words": ("trade", "index_price")}, "'index_price' is no word of the configuration"),
        ({"numbering": Follows("id")}, "Follows.number: TradeWire has no field 'id'"),
        ({"numbering": Follows("trade_id", "before")}, "Follows.previous: TradeWire has no field 'before'"),
        ({"numbering": Follows("trade_id", count="many")}, "Follows.count: TradeWire has no field 'many'"),
        ({"numbering": Follows("trade_id", first="of")}, "Follows.first: TradeWire has no field 'of'"),
        ({"numbering": Follows("trade_id", identity="uid")}, "Follows.identity: TradeWire has no field 'uid'"),
        ({"numbering": Rises("nr")}, "Rises.number: TradeWire has no field 'nr'"),
        ({"numbering": Repeats("id")}, "Repeats.identity: TradeWire has no field 'id'"),
        ({"latest": Latest("kind")}, "latest.kind: Envelope has no field 'kind'"),
        ({"symbol": "inst"}, "symbol: TradeWire has no field 'inst'"),
        ({"emits": (structs.replace(TRADE, needs=("px",)),)}, "Trade: needs: TradeWire has no field 'px'"),
        ({"emits": (structs.replace(TRADE, once=("px",)),)}, "Trade: once: TradeWire has no field 'px'"),
        (
            {"emits": (structs.replace(TRADE, on_change=frozenset(("px",))),)},
            "Trade: on_change: TradeWire has no field 'px'",
        ),
        ({"emits": (structs.replace(TRADE, when=Word("of", "x")),)}, "Trade: when: TradeWire has no field 'of'"),
        ({"emits": (structs.replace(TRADE, when=Offers(("qty", "px"))),)}, "Trade: when: TradeWire has no field 'px'"),
        (
            {"emits": (structs.replace(TRADE, refuse=RefusedWord("of", "x", "why")),)},
            "Trade: refuse: TradeWire has no field 'of'",
        ),
        ({"emits": having(TRADE, price="px")}, "Trade.price: TradeWire has no field 'px'"),
        ({"emits": having(TRADE, event_time_ns=ms("ts"))}, "Trade.event_time_ns: TradeWire has no field 'ts'"),
        ({"emits": having(TRADE, event_time_ns=ms("@ts"))}, "Trade.event_time_ns: Envelope has no field 'ts'"),
        ({"emits": having(TRADE, price=mapped("px", {}))}, "Trade.price: TradeWire has no field 'px'"),
        ({"emits": having(TRADE, price=offered("price", "sz"))}, "Trade.price: TradeWire has no field 'sz'"),
        (
            {"emits": having(TRADE, first_trade_id=first_of("trade_id", "many"))},
            "Trade.first_trade_id: TradeWire has no field 'many'",
        ),
        (
            {"emits": having(TRADE, price=either("side", "buy", None, mapped("px", {})))},
            "Trade.price: TradeWire has no field 'px'",
        ),
    ],
)
def test_of_a_channel(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(TRADES + says)}"):
        made(PLAIN, **changes)


def test_an_interval_in_the_name_has_its_codes() -> None:
    with pytest.raises(TypeError, match=r"^stub: channel 'ohlc:\{interval\}': \{interval\} in the name, and no `inter"):
        made(PLAIN, 2, name="ohlc:{interval}", intervals=None)


class Inner(Struct):
    nr: int


class Nested(Struct):
    symbol: str
    deal: Inner | None = None
    rows: Raw = Raw()


def test_fields_of_inner_structs() -> None:
    """One that may be null, an envelope's, and elements in lists inside others."""
    (trade, *_), framing = PLAIN.channels, ByKey(Nested, lambda e: e.symbol)

    def nested(**changes: Any) -> Venue:
        channel = structs.replace(trade, wire=Nested, emits=(), **{"numbering": Rises("deal.nr"), **changes})
        return structs.replace(PLAIN, channels=(channel,), framing=framing)

    of_class(nested(latest=Latest("deal.nr")))
    with pytest.raises(TypeError, match=r"Follows.number: Nested has no field 'deal.id'"):
        of_class(nested(numbering=Follows("deal.id")))
    of_class(nested(symbol="symbol", within=Within(Nested, "rows")))
    with pytest.raises(TypeError, match=r"within.field: Nested has no field 'data'"):
        of_class(nested(symbol="symbol", within=Within(Nested, "data")))


def test_what_names_does_not_say_is_told_by_the_plan() -> None:
    (trade, *_) = PLAIN.channels
    venue = of_class(structs.replace(PLAIN, channels=(structs.replace(trade, name="trade:{symbol}:{levels}"),)))
    says = "exchange: stub: channel 'trade:{symbol}:{levels}': `names` does not say what 'levels' is"
    with pytest.raises(ConfigError, match=f"^{re.escape(says)}$"):
        venue.plan(Feed("f", "stub", ("XY",), ("trade",)))


def test_what_an_event_lacks_or_has_too_much() -> None:
    with pytest.raises(
        TypeError, match=r"^OpenInterest: event_time_ns, open_interest: map them or name them in `absent`"
    ):
        emit(OpenInterest, absent=("transaction_time_ns", "open_interest_value"))
    with pytest.raises(TypeError, match=r"^OpenInterest has no interest$"):
        emit(OpenInterest, interest="px", absent=("transaction_time_ns", "open_interest_value"))


ROW = row(OpenInterest, event_time_ns=ms("at"), open_interest=mapped("amount", {}), open_interest_value="value",
          absent=("transaction_time_ns",))  # fmt: skip


class Row(Struct, rename={"at": "T"}):
    at: int
    amount: str
    value: str


def page(query: str = "{symbol} {first_ms} {until_ms}", wire: type[Struct] = Row, **more: Any) -> Page:
    usual = {"key": "event_time_ns", "wire_key": "T", "most": 10}
    return Page("stub", "/of/{code}", {"q": query}, wire, ROW, lambda body: ([], None), **{**usual, **more})


class Less(Struct):
    at: int
    value: str


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"query": "{start_ms}"}, "no walker gives {start_ms}, only: before_ms "),
        ({"post": {"of": {"from": "{begin_s}"}}}, "no walker gives {begin_s}, only: "),
        ({"key": "event_time"}, "key: OpenInterest has no field 'event_time'"),
        ({"end_key": "close"}, "key: OpenInterest has no field 'close'"),
        ({"wire_key": "ts"}, "wire_key: Row has no field 'ts'"),
        ({"symbol": "s"}, "symbol: Row has no field 's'"),
        ({"wire": Less, "wire_key": "at"}, "OpenInterest.open_interest: Less has no field 'amount'"),
    ],
)
def test_of_a_page(changes: dict[str, Any], says: str) -> None:
    page()
    with pytest.raises(TypeError, match=f"^{re.escape('stub: /of/{code}: ' + says)}"):
        page(**changes)


def test_of_a_listing() -> None:
    columns = {name: constant(None) for name in Instrument.__struct_fields__ if name not in MADE_HERE}
    with pytest.raises(TypeError, match=r"^stub: /symbols: Instrument.symbol: Row has no field 'name'"):
        Listing("stub", Request("/symbols"), Row, lambda body: [], {**columns, "symbol": "name"})


def test_of_a_rest_side() -> None:
    with pytest.raises(TypeError, match=r"^Candles: candles are repaired, and `intervals` does not say which"):
        type("Candles", (RestTables,), {"repairs": {"kline": candles}})
    with pytest.raises(ValueError, match="trades"):
        type("Trades", (RestTables,), {"repairs": {"trades": candles}})


def test_the_end_of_a_range_is_in_it_or_behind_it() -> None:
    asked = page("{last_ms} {until_ms} {last_s} {until_s}").fetch(Hole("kline", "XY", 0, 0), last_ms=1500)
    assert asked.request.query == (("q", "1500 1501 1 2"),)


def test_what_is_whole_is_taken() -> None:
    for venue in (PLAIN, CHAINED):
        of_class(venue)
    made(PLAIN, numbering=Follows("trade_id", previous="trade_id", identity="side"), latest=Latest("type"))
