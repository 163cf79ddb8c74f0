"""A declared conversion makes what it says, and is refused when its fields do not fit."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.events import Liquidation, OpenInterest, Source
from wsadapter.events.decimals import NotPlain
from wsadapter.exchanges.conversion import conversion
from wsadapter.exchanges.mapping import as_text, constant, count, decimal, decimal_or_none, ms, or_none, signed_or_none


class InnerWire(msgspec.Struct):
    p: Any


class Wire(msgspec.Struct):
    s: Any = "BTCUSDT"
    E: Any = 1
    k: InnerWire = msgspec.field(default_factory=lambda: InnerWire("1.5"))
    n: Any = 7
    v: Any = None


FIELDS: dict[str, Any] = {
    "symbol": "s", "event_time_ns": ms("E"), "transaction_time_ns": ms("n"), "side": constant(1),
    "order_type": or_none("v"), "price": decimal("k.p"), "average_price": decimal_or_none("v"),
    "quantity": as_text("n"), "filled_quantity": signed_or_none("v"), "status": or_none("v"),
    "ordinal": count("n"),
}  # fmt: skip


CONVERT = conversion("venue", Wire, Liquidation, **FIELDS)
ODD = ["", "1", "-1", "0.5", "1e5", "nan", ".", "-", "--1", "1.2.3", "\uff11"]
texts = st.one_of(st.none(), st.sampled_from(ODD), st.text(max_size=3))
numbers = st.integers(-(2**60) // 1_000_000, 2**62 // 1_000_000)


def is_plain(text: str) -> bool:
    return re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) is not None


@given(texts, st.text("0123456789.-e", max_size=4), numbers, numbers)
def test_an_event_is_what_its_fields_say(text: str | None, price: str, time_ms: int, number: int) -> None:
    wire = Wire(E=time_ms, k=InnerWire(price), n=number, v=text)
    if not is_plain(price) or (text and not is_plain(text)):
        with pytest.raises(NotPlain):
            CONVERT(wire, 5, "c", None)
        return
    made = CONVERT(wire, 5, "c", None)

    assert made.price == price
    assert (made.exchange, made.source, made.connection) == ("venue", Source.WEBSOCKET, "c")
    assert (made.event_time_ns, made.quantity) == (time_ms * 1_000_000, str(number))
    assert made.ordinal == (None if number < 0 else number)
    assert made.average_price == made.filled_quantity == (text or None)


def test_another_type_is_refused() -> None:
    with pytest.raises(TypeError):
        CONVERT(InnerWire("1"), 5, "c", None)
    with pytest.raises(AttributeError):
        CONVERT(Wire(k=None), 5, "c", None)  # type: ignore[arg-type]


def test_every_field_is_named_and_no_other() -> None:
    with pytest.raises(TypeError, match="price"):
        conversion("venue", Wire, Liquidation, **{name: step for name, step in FIELDS.items() if name != "price"})
    with pytest.raises(TypeError, match="side"):
        conversion("venue", Wire, OpenInterest, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("E"),
              open_interest=decimal("v"), open_interest_value=decimal("v"), side=constant(0))  # fmt: skip
    with pytest.raises(AttributeError):
        conversion("venue", Wire, Liquidation, **FIELDS | {"price": decimal("nothing")})
