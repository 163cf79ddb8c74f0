"""A declared conversion does the same in C and in Python, and is refused when its fields do not fit."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.events import Liquidation, OpenInterest, Source
from wsadapter.events.decimals import NotPlain
from wsadapter.exchanges import mapping as mapping
from wsadapter.exchanges.mapping import as_text, constant, conversion, count, decimal, decimal_or_none, ms, or_none


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
    "quantity": as_text("n"), "filled_quantity": mapping.signed_or_none("v"), "status": or_none("v"),
    "ordinal": count("n"),
}  # fmt: skip


def twins() -> list[Any]:
    steps = mapping.all_steps("venue", Liquidation, FIELDS)
    return [
        pytest.param(mapping.in_python(Wire, Liquidation, steps), id="python"),
        pytest.param(conversion("venue", Wire, Liquidation, **FIELDS), id="as built"),
    ]


ODD = ["", "1", "-1", "0.5", "1e5", "nan", ".", "-", "--1", "1.2.3", "\uff11"]
texts = st.one_of(st.none(), st.sampled_from(ODD), st.text(max_size=3))
numbers = st.integers(-(2**60) // 1_000_000, 2**62 // 1_000_000)


def outcome(convert: Callable[..., Any], wire: Wire) -> object:
    try:
        return convert(wire, 5, "c", None)
    except NotPlain:
        return NotPlain


@given(texts, st.text("0123456789.-e", max_size=4), numbers, numbers)
def test_both_make_the_same_event(text: str | None, price: str, time_ms: int, number: int) -> None:
    wire = Wire(E=time_ms, k=InnerWire(price), n=number, v=text)
    first, second = (outcome(parameter.values[0], wire) for parameter in twins())

    assert first == second
    if isinstance(first, Liquidation):
        assert first.price == price
        assert (first.exchange, first.source, first.connection) == ("venue", Source.WEBSOCKET, "c")
        assert (first.event_time_ns, first.quantity) == (time_ms * 1_000_000, str(number))
        assert first.ordinal == (None if number < 0 else number)
        assert first.average_price == (text or None)


@pytest.mark.parametrize("convert", twins())
def test_another_type_is_refused(convert: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        convert(InnerWire("1"), 5, "c", None)
    with pytest.raises((TypeError, AttributeError)):
        convert(Wire(k=None), 5, "c", None)  # type: ignore[arg-type]


def test_every_field_is_named_and_no_other() -> None:
    with pytest.raises(TypeError, match="price"):
        conversion("venue", Wire, Liquidation, **{name: step for name, step in FIELDS.items() if name != "price"})
    with pytest.raises(TypeError, match="side"):
        conversion("venue", Wire, OpenInterest, symbol="s", event_time_ns=ms("E"), transaction_time_ns=ms("E"),
              open_interest=decimal("v"), open_interest_value=decimal("v"), side=constant(0))  # fmt: skip
    with pytest.raises(AttributeError):
        conversion("venue", Wire, Liquidation, **FIELDS | {"price": decimal("nothing")})
