"""From a declared mapping (`wsadapter.exchanges.mapping`) to the function that makes an event of a wire Struct.

    TRADE = conversion("venue", TradeWire, Trade, symbol="s", event_time_ns=ms("E"), price=decimal("p"), ...)
    event = TRADE(wire, receive_time_ns, connection, last_gap_ns)

In a venue's table of channels the same is an `emit`, which a session compiles. The usual message has no wire Struct and
comes no way near here (`wsadapter.exchanges.scanner`).
"""

from collections.abc import Callable, Iterable
from typing import Any, get_type_hints

from msgspec import Struct

from wsadapter.events import Event, Source
from wsadapter.events.decimals import NotPlain, are_plain, split_book
from wsadapter.exchanges.mapping import GIVEN, Emit, Op, Step, constant, defaults

Convert = Callable[..., Any]
"""(wire Struct, receive time, connection, time of the last gap, and what the conversion says is given) -> event; raises
`NotPlain`."""
Given = Callable[[Any, Any, Any, Any], tuple[Any, ...]]
"""(element, envelope, subscription, what the name says) -> what the conversion is given beside `GIVEN`."""


def compiled(exchange: str, wire: type[Struct], one: Emit) -> tuple[Convert, Given | None]:
    """The conversion, and what computes the fields that it is given; None where there are none."""
    convert = conversion(exchange, wire, one.event, **one.fields)
    return convert, given_of(step for step in one.fields.values() if isinstance(step, Step) and step.op is Op.GIVEN)


def given_of(given_steps: Iterable[Step]) -> Given | None:
    """What computes the fields of these steps; None where there are none."""
    if not (steps := list(given_steps)):
        return None
    names: dict[str, Any] = {"split_book": split_book}
    names |= {f"value_{i}": step.value for i, step in enumerate(steps)}
    values = [step.expression.format(value=f"value_{i}") for i, step in enumerate(steps)]
    setups = [f"  {setup}" for setup in dict.fromkeys(step.setup for step in steps) if setup]
    exec("\n".join(("def given(d, e, sub, named):", *setups, f"  return ({', '.join(values)},)")), names)
    computed: Given = names["given"]
    return computed


def conversion(exchange: str, wire: type[Struct], event: type[Event], **fields: str | Step) -> Convert:
    """The conversion; `TypeError` where the event's fields are not all named, or one that it does not have is,
    `AttributeError` where the wire Struct does not have what a field is taken from."""
    steps = all_steps(exchange, event, fields)
    for step in steps.values():
        if step.op not in (Op.CONSTANT, Op.GIVEN):
            _find(wire, step.path)
    extra = (step.path for step in fields.values() if isinstance(step, Step) and step.op is Op.GIVEN)
    return converting(wire, event, steps, tuple(extra))


def all_steps(exchange: str, event: type[Event], fields: dict[str, str | Step]) -> dict[str, Step]:
    """One for each field of the event, in its order."""
    named: dict[str, str | Step] = {
        "exchange": constant(exchange), "source": constant(Source.WEBSOCKET),
        **{name: Step(Op.GIVEN, name) for name in GIVEN}, **defaults(event), **fields,
    }  # fmt: skip
    if differing := named.keys() ^ set(event.__struct_fields__):
        raise TypeError(f"conversion of {event.__name__}: {', '.join(sorted(differing))}")
    return {
        name: Step(Op.SAME, step) if isinstance(step := named[name], str) else step for name in event.__struct_fields__
    }


def converting(wire: type[Struct], event: type[Struct], steps: dict[str, Step], extra: tuple[str, ...] = ()) -> Convert:
    """What makes the Struct of these steps: source text, compiled once."""
    plain = [expression for step in steps.values() if (expression := _checked(step))]
    names: dict[str, Any] = {"event": event, "are_plain": are_plain, "NotPlain": NotPlain, "wire": wire}
    names |= {f"constant_{i}": step.value for i, step in enumerate(steps.values()) if step.op is Op.CONSTANT}
    values = [_expression(step, i) for i, step in enumerate(steps.values())]
    lines = [f"def convert(d, {', '.join(GIVEN + extra)}):"]
    lines += ["  if type(d) is not wire: raise TypeError(f'{type(d).__name__} is not what is converted here')"]
    if plain:
        lines += [f"  if not are_plain({', '.join(plain)}): raise NotPlain({event.__name__!r})"]
    lines += [f"  return event({', '.join(values)})"]
    exec("\n".join(lines), names)
    made: Convert = names["convert"]
    return made


def _checked(step: Step) -> str:
    value = f"d.{step.path}"
    return {
        Op.DECIMAL: value,
        Op.DECIMAL_OR_NONE: f"({value} or '0')",
        Op.SIGNED_OR_NONE: f"({value} or '0').removeprefix('-')",
    }.get(step.op, "")


def _expression(step: Step, number: int) -> str:
    value = f"d.{step.path}"
    return {
        Op.CONSTANT: f"constant_{number}",
        Op.GIVEN: step.path,
        Op.OR_NONE: f"{value} or None",
        Op.MS: f"(None if {value} is None else {value} * 1_000_000)",
        Op.AS_TEXT: f"str({value})",
        Op.COUNT: f"(None if {value} is None or {value} < 0 else {value})",
        Op.DECIMAL_OR_NONE: f"{value} or None",
        Op.SIGNED_OR_NONE: f"{value} or None",
    }.get(step.op, value)


def _find(wire: type[Struct], path: str) -> None:
    """Raises AttributeError where the wire Struct has no such field."""
    first, _, second = path.partition(".")
    getattr(wire, first)
    if not second:
        return
    inner = get_type_hints(wire)[first]
    if not (isinstance(inner, type) and issubclass(inner, Struct)):
        raise TypeError(f"{wire.__name__}.{first} is no Struct")
    getattr(inner, second)
