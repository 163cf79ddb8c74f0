"""How a venue's wire Struct becomes an event: declared field by field, done in C where it is built.

    AGG_TRADE = shape("binance", AggTradeWire, Trade, symbol="s", event_time_ns=ms("E"), price=decimal("p"), ...)
    event = AGG_TRADE(wire, receive_time_ns, connection, last_gap_ns)

A name alone takes the wire's value as it is; ``"k.o"`` is field ``o`` of the Struct in field ``k``. Every field of the
event is named, save exchange, source and those that the call gives. Guarantees: a text that must be a plain decimal and
is none raises `NotPlain`; what the venue leaves out or empty is None where that is allowed. Pure; knows no venue.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, Final, get_type_hints

from msgspec import Struct

from wsadapter import native
from wsadapter.events import Event, Source, UpdateType
from wsadapter.events.decimals import NotPlain, are_plain, split_at_once
from wsadapter.exchanges.continuity import Line
from wsadapter.exchanges.outages import Holes
from wsadapter.exchanges.venue import Item


class Op(IntEnum):
    """As in _shapes.c."""

    CONSTANT = 0
    GIVEN = 1
    SAME = 2
    OR_NONE = 3
    MS = 4
    AS_TEXT = 5
    COUNT = 6
    DECIMAL = 7
    DECIMAL_OR_NONE = 8
    SIGNED_OR_NONE = 9


class Step(Struct, frozen=True):
    """Where a field of the event comes from: ``path`` in the wire Struct, or ``value``."""

    what: Op
    path: str = ""
    value: object = None


def constant(value: object) -> Step:
    return Step(Op.CONSTANT, value=value)


def or_none(path: str) -> Step:
    """Text; empty is None."""
    return Step(Op.OR_NONE, path)


def ms(path: str) -> Step:
    """Milliseconds become nanoseconds; None stays."""
    return Step(Op.MS, path)


def as_text(path: str) -> Step:
    """A number's digits."""
    return Step(Op.AS_TEXT, path)


def count(path: str) -> Step:
    """A number; below zero is None."""
    return Step(Op.COUNT, path)


def decimal(path: str) -> Step:
    return Step(Op.DECIMAL, path)


def decimal_or_none(path: str) -> Step:
    """A plain decimal; empty or None is None."""
    return Step(Op.DECIMAL_OR_NONE, path)


def signed_or_none(path: str) -> Step:
    """The same with a minus sign allowed."""
    return Step(Op.SIGNED_OR_NONE, path)


GIVEN: Final = ("receive_time_ns", "connection", "last_gap_ns")
NONE: Final = constant(None)
Convert = Callable[..., Any]
"""(wire Struct, receive time, connection, time of the last gap, and what the shape says is given) -> event; raises
`NotPlain`."""


def given(field: str) -> Step:
    """The caller has the value of this field; in the order of these steps, behind `GIVEN`."""
    return Step(Op.GIVEN, field)


def shape(exchange: str, wire: type[Struct], event: type[Event], **fields: str | Step) -> Convert:
    """The conversion; `TypeError` where the event's fields are not all named, or one that it does not have is,
    `AttributeError` where the wire Struct does not have what a field is taken from."""
    steps = _steps(exchange, event, fields)
    members = [_members(wire, step) for step in steps.values()]
    extra = tuple(
        step.path for step in fields.values() if isinstance(step, Step) and step.what is Op.GIVEN
    )  # fmt: skip
    if _native is None:
        return in_python(wire, event, steps, extra)
    return _in_c(wire, event, steps, members, extra)


def _steps(exchange: str, event: type[Event], fields: dict[str, str | Step]) -> dict[str, Step]:
    named: dict[str, str | Step] = {
        "exchange": constant(exchange), "source": constant(Source.WEBSOCKET),
        **{name: Step(Op.GIVEN, name) for name in GIVEN}, **fields,
    }  # fmt: skip
    if differing := named.keys() ^ set(event.__struct_fields__):
        raise TypeError(f"shape of {event.__name__}: {', '.join(sorted(differing))}")
    return {
        name: Step(Op.SAME, step) if isinstance(step := named[name], str) else step for name in event.__struct_fields__
    }


def in_python(wire: type[Struct], event: type[Event], steps: dict[str, Step], extra: tuple[str, ...] = ()) -> Convert:
    """The twin of the conversion in C: source text, compiled once."""
    plain = [expression for step in steps.values() if (expression := _checked(step))]
    names: dict[str, Any] = {"event": event, "are_plain": are_plain, "NotPlain": NotPlain, "wire": wire}
    names |= {f"constant_{i}": step.value for i, step in enumerate(steps.values()) if step.what is Op.CONSTANT}
    values = [_expression(step, i) for i, step in enumerate(steps.values())]
    lines = [f"def convert(d, {', '.join(GIVEN + extra)}):"]
    lines += ["  if type(d) is not wire: raise TypeError(f'{type(d).__name__} is not the wire Struct of this shape')"]
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
    }.get(step.what, "")


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
    }.get(step.what, value)


Members = tuple[object, object]
"""The member descriptors of a path: of the wire Struct, and of the Struct in that field; None where there is none."""


def _members(wire: type[Struct], step: Step) -> Members:
    if step.what in (Op.CONSTANT, Op.GIVEN):
        return None, None
    first, _, second = step.path.partition(".")
    return getattr(wire, first), getattr(_type_of(wire, first), second) if second else None


def _in_c(
    wire: type[Struct], event: type[Event], steps: dict[str, Step], members: list[Members], extra: tuple[str, ...]
) -> Convert:
    names = GIVEN + extra
    described = [
        (int(step.what), names.index(step.path) if step.what is Op.GIVEN else 0, outer, inner, step.value)
        for step, (outer, inner) in zip(steps.values(), members, strict=True)
    ]
    made: Convert = _native.Shape(wire, event, tuple(described), NotPlain, event.__name__, len(names))
    return made


def _type_of(wire: type[Struct], field: str) -> type:
    """Of the Struct in a field; it is never None there."""
    found = get_type_hints(wire)[field]
    if not (isinstance(found, type) and issubclass(found, Struct)):
        raise TypeError(f"{wire.__name__}.{field} is no Struct")
    return found


class Rule(IntEnum):
    """What an id must be compared with `Line.next`, as in _shapes.c: anything, it, or more."""

    ANY = 0
    NEXT = 1
    RISING = 2


class Route(Struct, frozen=True):
    """The usual case of one type of event: its ``shape``, the `Line` of each symbol, what its id (field ``number``)
    must be. ``guard``: the field that tells what is not of the feed."""

    shape: Convert
    lines: dict[str, Line]
    rule: Rule
    number: str
    symbol: str = "s"
    guard: str = "st"


class Books(Struct, frozen=True):
    """The usual book: ``shape`` has update type, level limit and the four columns of `split_at_once` given; ``kinds``:
    stream name -> the first two, or None for a book that is not of the feed. A book without a limit must name the last
    one, with field ``previous``; ``number`` is its own id."""

    wire: type[Struct]
    shape: Convert
    lines: dict[str, Line]
    kinds: Mapping[str, tuple[UpdateType, int] | None]
    bids: str = "b"
    asks: str = "a"
    number: str = "u"
    previous: str = "pu"
    symbol: str = "s"
    guard: str = "st"


Receive = Callable[[bytes | memoryview, int], list[Item]]
"""(message, receive time) -> items."""


class Ways(Struct, frozen=True):
    """How a venue receives. ``decode`` gives the envelope Struct ``frame``, whose ``data`` and ``stream`` are the wire
    Struct and the stream's name; ``rest`` makes items of any envelope, ``again`` of a message for which decoder or
    ``rest`` raised one of ``failures``. ``unwanted``: the value of a guard that marks an event of something else. While
    ``holes.pending`` every event goes to ``rest``."""

    decode: Callable[[bytes | memoryview], Any]
    frame: type[Struct]
    routes: Mapping[type[Struct], Route]
    books: Books
    unwanted: int
    connection: str
    received: dict[str, int]
    """Stream name -> receive time of its last good frame; written for the names that it has."""
    holes: Holes
    rest: Callable[[Any, int], list[Item]]
    again: Receive
    failures: tuple[type[Exception], ...]


def receiver(ways: Ways) -> Receive:
    """What receives a message; in C the events that are of the feed, plain and in sequence need no word of Python."""
    if _native is None:
        return receiver_in_python(ways)
    routes = tuple(
        (r.shape, r.lines, int(r.rule), getattr(wire, r.number), getattr(wire, r.symbol), getattr(wire, r.guard))
        for wire, r in ways.routes.items()
    )
    members = (vars(Line)[name] for name in ("next", "at_ns", "gap_ns"))
    b = ways.books
    fields = (getattr(b.wire, name) for name in (b.bids, b.asks, b.number, b.previous, b.symbol, b.guard))
    books = (b.shape, b.lines, b.kinds, split_at_once, *fields)
    straight = _native.Straight(routes, books, Line, *members, ways.unwanted)
    frame: Any = ways.frame
    made: Receive = _native.Receiver(
        straight, ways.decode, ways.frame, frame.data, frame.stream, ways.connection, ways.received, ways.holes,
        ways.rest, ways.again, ways.failures,
    )  # fmt: skip
    return made


def receiver_in_python(ways: Ways) -> Receive:
    """The twin: all goes the way of the rest."""
    decode, rest, again, failures = ways.decode, ways.rest, ways.again, ways.failures

    def receive(payload: bytes | memoryview, receive_time_ns: int) -> list[Item]:
        try:
            return rest(decode(payload), receive_time_ns)
        except failures:
            return again(payload, receive_time_ns)

    return receive


_native: Final = native.load("mapping")
