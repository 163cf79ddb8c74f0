"""What `either` chooses is what the same step makes of a field of its own, in C and in the session."""

import json
from operator import attrgetter
from typing import Any

import pytest
from exchanges.scanning import built
from exchanges.stub_venues import Listed, plan
from msgspec import Raw, Struct, structs

from wsadapter.events import StreamType, Trade
from wsadapter.events.decimals import NotPlain
from wsadapter.exchanges import scanner
from wsadapter.exchanges.by_key import ByKey
from wsadapter.exchanges.mapping import (
    Step,
    as_text,
    constant,
    count,
    decimal,
    decimal_or_none,
    either,
    emit,
    given,
    ms,
    or_none,
    signed_or_none,
)
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import book
from wsadapter.exchanges.values import IdOrNone, Text, Time, plain_text_if_said
from wsadapter.exchanges.venue import Bad, Channel


class Envelope(Struct):
    channel: str = ""
    data: Raw = Raw()


class Deal(Struct):
    p: Text
    t: Time
    n: IdOrNone
    s: Text
    v: Text | None = None


DEAL: dict[str, Any] = {"p": "1.50", "t": 5, "n": 7, "s": "SELL"}


def session(fields: dict[str, Any]) -> VenueSession:
    usual = {"transaction_time_ns": ms("t"), "trade_id": "s", "price": decimal("p"), "quantity": decimal("p"),
             "buyer_is_maker": constant(False), "aggregated": constant(False)}  # fmt: skip
    absent = {"event_time_ns", "trade_number", "first_trade_id", "last_trade_id"} - fields.keys()
    deal = emit(Trade, absent=absent, **{**usual, **fields})

    class Deals(VenueSession):
        venue = structs.replace(
            Listed.venue,
            framing=ByKey(Envelope, attrgetter("channel")),
            channels=(Channel(("trade",), "deals.{symbol}", Deal, (deal,)),),
        )

    made = Deals(plan(("deals.XY", StreamType.TRADE, "XY", "")))
    made.open()
    return made


def received(made: VenueSession, **fields: Any) -> Any:
    message = {"channel": "deals.XY", "data": {**DEAL, **fields}}
    (item,) = made.receive(json.dumps(message, separators=(",", ":")).encode(), 1)
    return item


@pytest.fixture(params=[pytest.param(True, marks=built), False], ids=["c", "session"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether messages go through C."""
    if not request.param:
        monkeypatch.setattr(scanner, "_native", None)
    return bool(request.param)


@pytest.mark.parametrize(
    ("field", "step", "value", "fields"),
    [
        ("price", "p", "1.50", {}),
        ("price", decimal("p"), "1.50", {}),
        ("price", decimal_or_none("p"), "1.50", {}),
        ("price", decimal_or_none("v"), None, {"v": ""}),
        ("price", signed_or_none("v"), "-1.5", {"v": "-1.5"}),
        ("price", constant("p"), "p", {}),
        ("trade_id", or_none("s"), "SELL", {}),
        ("trade_id", or_none("v"), None, {"v": ""}),
        ("trade_id", as_text("n"), "7", {}),
        ("trade_number", count("n"), 7, {}),
        ("trade_number", count("n"), None, {"n": -1}),
        ("trade_number", ms("t"), 5_000_000, {}),
    ],
)
@pytest.mark.parametrize("is_then", [True, False])
def test_any_step_may_be_chosen(
    field: str, step: Step | str, value: object, fields: dict[str, Any], is_then: bool, way: bool
) -> None:
    """A name alone is the wire's value, as it is outside of `either`."""
    other = constant("other")
    chosen = either("s", "SELL", step, other) if is_then else either("s", "BUY", other, step)
    made = session({field: chosen})
    assert (made.receive.__class__.__name__ == "Scanner") is way
    assert getattr(received(made, **fields), field) == value
    bare = session({field: step})
    assert getattr(received(bare, **fields), field) == value, "without `either`"


@pytest.mark.parametrize("step", [decimal("p"), decimal_or_none("p"), signed_or_none("p")])
def test_what_is_no_decimal_is_refused(step: Step, way: bool) -> None:
    assert received(session({"price": either("s", "SELL", step, None)}), p="1e5").kind == "decimal"
    item = received(session({"price": either("s", "BUY", step, None)}), p="1e5", s="BUY")
    assert isinstance(item, Bad)


def test_what_no_step_can_choose_is_told_when_the_table_is_made() -> None:
    with pytest.raises(TypeError, match=r"^either: GIVEN price is no step that can be chosen"):
        either("s", "BUY", None, given("price"))
    with pytest.raises(TypeError, match=r"^either: GIVEN columns\[0\] is no step that can be chosen"):
        either("s", "BUY", None, book("b", "a")["bid_price"])
    with pytest.raises(TypeError, match=r"Trade.price: Deal has no field 'BUY'"):
        session({"price": either("s", "SELL", "BUY", decimal("p"))})


def test_a_text_that_is_said_is_a_plain_decimal() -> None:
    assert [plain_text_if_said(text) for text in (None, "", "1.5")] == [None, None, "1.5"]
    with pytest.raises(NotPlain):
        plain_text_if_said("1e5")
