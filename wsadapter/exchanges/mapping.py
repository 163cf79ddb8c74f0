"""How a venue's wire Struct becomes an event, declared field by field in a venue's table of channels:

    TRADE = emit(Trade, event_time_ns=ms("E"), price=decimal("p"), ...)

`wsadapter.exchanges.conversion` makes a function of it, `wsadapter.exchanges.scanner` tells it to C.

A name alone takes the wire's value as it is; ``"k.o"`` is field ``o`` of the Struct in field ``k``. Every field of the
event is named, save exchange, source and those that the call gives. Guarantees: a text that must be a plain decimal and
is none raises `NotPlain`; what the venue leaves out or empty is None where that is allowed. Pure; knows no venue.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from enum import IntEnum
from typing import Any, Final

from msgspec import NODEFAULT, Struct, structs

from wsadapter.events import Event
from wsadapter.events.decimals import plain_number, split_book
from wsadapter.exchanges.intervals import MINUTES, close_time_ns
from wsadapter.exchanges.values import (
    MS,
    Words,
    close_of_iso,
    iso_ns,
    not_negative,
    ns,
    ns_of_text,
    number_if_said,
    plain_text,
    plain_text_if_said,
    signed_text,
    where_offered,
    without_sign,
)

BY_SIZE: Final = 0
"""Factor of a time that tells its unit by its size."""


class Op(IntEnum):
    """As in `native/scanner.h`."""

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
    SUBSCRIBED = 10
    TIME = 11
    NUMBER = 12
    NUMBER_OR_NONE = 13
    SIGNED_NUMBER_OR_NONE = 14
    ISO = 15
    MAPPED = 16
    EITHER = 17
    ADDED = 18
    COLUMN = 19
    APPLIED = 20
    CLOSES = 21
    FIRST = 22
    MS_TEXT = 23
    TOP = 24
    OFFERED = 25
    CLOSES_ISO = 26
    ONE = 27
    MAGNITUDE = 28
    SIGN = 29


class Direct(Struct, frozen=True):
    """What a given field is made of, for who makes events of messages without a wire Struct between
    (`wsadapter.exchanges.scanner`). ``path``: in the element, with ``@`` before it in the envelope; ``factor``: of a
    time, or what is added; ``said``: what the subscription and the stream's name say; ``table``: the venue's words in
    ours, the text that decides ``then``, the spelling of a side, the function that is applied."""

    op: Op
    path: str = ""
    factor: int = 1
    table: Any = None
    place: int = 0
    said: "Callable[[Any, Any], Any] | None" = None
    then: "str | Step | None" = None
    otherwise: "str | Step | None" = None


class Step(Struct, frozen=True):
    """Where a field of the event comes from: ``path`` in the wire Struct, or ``value``. ``expression``: of a given
    field, and of one that `either` chooses, how the session computes it from the element ``d``, the envelope ``e``,
    the subscription ``sub``, what the stream's name says (``named``) and ``{value}``; ``setup`` is a statement that it
    needs. ``direct`` says the same to who has no element; None: it cannot be said."""

    op: Op
    path: str = ""
    value: object = None
    expression: str = ""
    setup: str = ""
    direct: Direct | None = None


def constant(value: object) -> Step:
    return Step(Op.CONSTANT, value=value)


def or_none(path: str) -> Step:
    """Text; empty is None."""
    return Step(Op.OR_NONE, path, expression=f"({_reach(path)} or None)")


def ms(path: str) -> Step:
    """Milliseconds become nanoseconds; None stays."""
    return Step(Op.MS, path, expression=_scaled(path, MS))


def as_text(path: str) -> Step:
    """A number's digits."""
    return Step(Op.AS_TEXT, path, expression=f"str({_reach(path)})")


def count(path: str) -> Step:
    """A number; below zero is None."""
    at = _reach(path)
    return Step(Op.COUNT, path, expression=f"(None if {at} is None or {at} < 0 else {at})")


def decimal(path: str) -> Step:
    return Step(Op.DECIMAL, path, plain_text, f"{{value}}({_reach(path)})")


def decimal_or_none(path: str) -> Step:
    """A plain decimal; empty or None is None."""
    return Step(Op.DECIMAL_OR_NONE, path, plain_text_if_said, f"{{value}}({_reach(path)})")


def signed_or_none(path: str) -> Step:
    """The same with a minus sign allowed."""
    return Step(Op.SIGNED_OR_NONE, path, signed_text, f"{{value}}({_reach(path)})")


GIVEN: Final = ("receive_time_ns", "connection", "last_gap_ns")
NONE: Final = constant(None)


def given(field: str) -> Step:
    """The caller has the value of this field; in the order of these steps, behind `GIVEN`."""
    return Step(Op.GIVEN, field)


def subscribed(field: str) -> Step:
    """What the subscription says: its symbol, its interval."""
    return Step(
        Op.GIVEN, expression=f"sub.{field}", direct=Direct(Op.SUBSCRIBED, said=lambda sub, named: getattr(sub, field))
    )


def named(index: int) -> Step:
    """What the stream's name says, see `wsadapter.exchanges.venue.Channel.named`."""
    return Step(
        Op.GIVEN, expression=f"named[{index}]", direct=Direct(Op.SUBSCRIBED, said=lambda sub, named: named[index])
    )


def ms_if(path: str) -> Step:
    """Milliseconds become nanoseconds; 0 is None."""
    return either(path, "0", None, _time(path, MS))


def envelope_ms(field: str) -> Step:
    """Milliseconds of the envelope become nanoseconds; None stays."""
    return _time(f"@{field}", MS)


def mapped(path: str, table: Mapping[Any, Any]) -> Step:
    """The venue's word in ours; a word that is not in the table makes the event undecodable."""
    return Step(
        Op.GIVEN,
        value=Words(table),
        expression=f"{{value}}[{_reach(path)}]",
        direct=Direct(Op.MAPPED, path, table=table),
    )


def number(path: str) -> Step:
    """A JSON number, `Raw` in the wire Struct: its plain decimal, see `wsadapter.events.decimals.plain_number`."""
    return Step(Op.GIVEN, value=plain_number, expression=f"{{value}}({_reach(path)})", direct=Direct(Op.NUMBER, path))


def number_or_none(path: str) -> Step:
    """The same; null and absent (`Raw` without bytes) are None."""
    return Step(
        Op.GIVEN, value=number_if_said, expression=f"{{value}}(d.{path})", direct=Direct(Op.NUMBER_OR_NONE, path)
    )


def signed_number_or_none(path: str) -> Step:
    """The same with a minus sign allowed."""
    direct = Direct(Op.SIGNED_NUMBER_OR_NONE, path)
    return Step(Op.GIVEN, value=number_if_said, expression=f"{{value}}(d.{path}, True)", direct=direct)


def number_if(told: str, path: str) -> Step:
    """A JSON number, None where the text ``told`` is empty."""
    return either(told, "", None, number(path))


def magnitude(path: str) -> Step:
    """A JSON number, or the text of one, without its sign."""
    return Step(
        Op.GIVEN, value=without_sign, expression=f"{{value}}(d.{path})", direct=Direct(Op.MAGNITUDE, path)
    )  # fmt: skip


def by_sign(path: str, positive: object, negative: object) -> Step:
    """One of two values, by the sign of a JSON number, or of the text of one."""
    return Step(
        Op.GIVEN, value=(negative, positive), expression=f"{{value}}[bytes(d.{path}).lstrip(b'\"')[:1] != b'-']",
        direct=Direct(Op.SIGN, path, then=constant(positive), otherwise=constant(negative)),
    )  # fmt: skip


def ms_text(path: str) -> Step:
    """Milliseconds as text become nanoseconds; None, empty, zero and what is no number at all are None."""
    return Step(Op.GIVEN, value=ns_of_text, expression=f"{{value}}(d.{path})", direct=Direct(Op.MS_TEXT, path))


def us(path: str) -> Step:
    """Microseconds become nanoseconds; None stays."""
    return _time(path, 1_000)


def applied(function: Callable[[Any], Any], path: str) -> Step:
    """What a function says of the field; it may raise ValueError."""
    return Step(
        Op.GIVEN,
        value=function,
        expression=f"{{value}}({_reach(path)})",
        direct=Direct(Op.APPLIED, path, table=function),
    )


def ms_or_us(path: str) -> Step:
    """The same of a field, `TimeOrMicros` in the wire Struct; None stays."""
    at = _reach(path)
    expression = f"(None if {at} is None else {{value}}({at}))"
    return Step(Op.GIVEN, value=ns, expression=expression, direct=Direct(Op.TIME, path, BY_SIZE))


def seconds(path: str) -> Step:
    """Seconds become nanoseconds; None stays."""
    return _time(path, 1_000_000_000)


def closes(path: str, unit_ms: int = 1) -> Step:
    """The last millisecond of the subscription's candle that opens then."""

    return Step(
        Op.GIVEN, value=close_time_ns, expression=f"{{value}}(d.{path} * {unit_ms}, sub.interval)",
        direct=Direct(Op.CLOSES, path, unit_ms * MS, said=_less_one_ms),
    )  # fmt: skip


def _less_one_ms(sub: Any, named: Any) -> int | None:
    """None: months differ."""
    return close_time_ns(0, sub.interval) if sub.interval in (*MINUTES, "1s") and sub.interval != "1M" else None


def iso(path: str) -> Step:
    """``2026-10-06T08:04:56.153890Z``, up to nine decimals and always UTC, in nanoseconds; None stays."""
    at = _reach(path)
    return Step(
        Op.GIVEN, value=iso_ns, expression=f"(None if {at} is None else {{value}}({at}))", direct=Direct(Op.ISO, path)
    )


def closes_iso(path: str) -> Step:
    """As `closes`, of a time that is told as `iso`."""
    return Step(
        Op.GIVEN, value=close_of_iso, expression=f"{{value}}(d.{path}, sub.interval)",
        direct=Direct(Op.CLOSES_ISO, path, said=_less_one_ms),
    )  # fmt: skip


def said(function: Callable[[Any], Any]) -> Step:
    """What a function of the subscription says."""
    return Step(
        Op.GIVEN, value=function, expression="{value}(sub)",
        direct=Direct(Op.SUBSCRIBED, said=lambda sub, named: function(sub)),
    )  # fmt: skip


def offered(path: str, amount: str) -> Step:
    """A JSON number; None where ``amount``, another one, is absent, null or 0: nobody is there."""
    return Step(
        Op.GIVEN, value=where_offered, expression=f"{{value}}(d.{path}, d.{amount})",
        direct=Direct(Op.OFFERED, path, table=amount),
    )  # fmt: skip


def number_inside(struct: str, field: str) -> Step:
    """A JSON number in a Struct; None where there is no Struct."""
    expression = f"(None if d.{struct} is None else {{value}}(d.{struct}.{field}))"
    return Step(Op.GIVEN, value=plain_number, expression=expression, direct=Direct(Op.NUMBER, f"{struct}.{field}"))


def number_of(path: str, signed: bool = False) -> Step:
    """The plain decimal of a text, as a JSON number's."""
    return Step(
        Op.GIVEN, value=plain_number, expression=f"{{value}}(d.{path}.encode(), {signed})",
        direct=Direct(Op.SIGNED_NUMBER_OR_NONE if signed else Op.NUMBER, path),
    )  # fmt: skip


def added(path: str, distance: int) -> Step:
    """A number so far from the field's."""
    return Step(Op.GIVEN, expression=f"({_reach(path)} + {distance})", direct=Direct(Op.ADDED, path, distance))


def first_of(number: str, count: str) -> Step:
    """The first of so many numbers of which ``number`` is the last; below zero makes the event undecodable."""
    return Step(
        Op.GIVEN, value=not_negative, expression=f"{{value}}({_reach(number)} - {_reach(count)} + 1)",
        direct=Direct(Op.FIRST, number, table=count),
    )  # fmt: skip


def either(path: str, text: str | None, then: object, otherwise: object) -> Step:
    """``then`` where the field has this text (of a number: these digits; None: where it is null), else ``otherwise``:
    steps, or values; a text is a field's name here too, and one that is meant as it stands a `constant`."""
    values = [_chosen(each) for each in (then, otherwise)]
    names: dict[str, Any] = {"split_book": split_book}
    expressions = []
    for i, step in enumerate(values):
        names[f"value_{i}"] = step.value
        expressions.append((step.expression or "{value}").format(value=f"value_{i}"))
    at = _reach(path)
    decides = f"{at} is None" if text is None else f"{at} is not None and str({at}) == {text!r}"
    decision = f"{expressions[0]} if {decides} else {expressions[1]}"
    exec(f"def choose(d, e, sub, named):\n  return {decision}", names)
    return Step(
        Op.GIVEN, value=names["choose"], expression="{value}(d, e, sub, named)",
        direct=Direct(Op.EITHER, path, table=text, then=values[0], otherwise=values[1]),
    )  # fmt: skip


def _chosen(one: object) -> Step:
    if isinstance(one, str):
        return Step(Op.SAME, one, expression=_reach(one))
    step = one if isinstance(one, Step) else constant(one)
    if step.setup or not (step.expression or step.op is Op.CONSTANT):
        raise TypeError(f"either: {step.op.name} {step.path or step.expression} is no step that can be chosen")
    return step


def _time(path: str, unit: int) -> Step:
    return Step(Op.GIVEN, expression=_scaled(path, unit), direct=Direct(Op.TIME, path, unit))


def _scaled(path: str, unit: int) -> str:
    at = _reach(path)
    return f"(None if {at} is None else {at} * {unit})"


def _reach(path: str) -> str:
    """Of the element; with ``@`` before it, of the envelope."""
    return f"e.{path[1:]}" if path.startswith("@") else f"d.{path}"


def computed(function: Callable[[Any, Any], Any]) -> Step:
    """What a function of element and envelope says; it may raise ValueError."""
    return Step(Op.GIVEN, value=function, expression="{value}(d, e)")


def computed_for(function: Callable[[Any, Any], Any]) -> Step:
    """What a function of element and subscription (of a row: of what was asked) says; it may raise ValueError."""
    return Step(Op.GIVEN, value=function, expression="{value}(d, sub)")


class Word(Struct, frozen=True):
    """Whether a field of the element is this text, has it in it (``within``), or is another one (``unless``): for
    `Emit.when`."""

    path: str
    text: str
    within: bool = False
    unless: bool = False

    def __call__(self, d: Any) -> bool:
        value = getattr(d, self.path)
        return self.text in value if self.within else (value == self.text) is not self.unless


class RefusedWord(Struct, frozen=True):
    """An element with this text in a field is no event, and why: for `Emit.refuse`."""

    path: str
    text: str
    why: str

    def __call__(self, d: Any) -> str:
        return self.why if getattr(d, self.path) == self.text else ""


class Offers(Struct, frozen=True):
    """Whether one of these JSON numbers is there and not 0: for `Emit.when`."""

    paths: tuple[str, ...]

    def __call__(self, d: Any) -> bool:
        return any(bytes(getattr(d, path)).strip(b"0.") not in (b"", b"null") for path in self.paths)


class Emit(Struct, frozen=True):
    """One event that an element becomes.

    ``on_change``: of a stream that sends what changed, only when one of these wire fields was in the frame. ``once``:
    only when these differ from what the symbol's last such event had, since the socket came up. ``needs``: only where
    these say something. ``when``: only of elements of which this is true. ``refuse``: why an element of the right form
    is no event, empty where it is one; its number counts all the same, and is told in a gap of cause ``filler``."""

    event: type[Event]
    fields: dict[str, str | Step]
    on_change: frozenset[str] = frozenset()
    once: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    refuse: Callable[[Any], str] | None = None
    when: Callable[[Any], bool] | None = None


def emit(
    event: type[Event],
    *,
    absent: Iterable[str] = (),
    columns: Mapping[str, Step] | None = None,
    on_change: Iterable[str] = (),
    once: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    refuse: Callable[[Any], str] | None = None,
    when: Callable[[Any], bool] | None = None,
    **fields: str | Step,
) -> Emit:
    """Every field of the event that has no default is named, or named as ``absent``: `TypeError` for one that is
    forgotten. ``columns``: of a book, see `book`."""
    own = {**fields, **(columns or {}), **dict.fromkeys(absent, NONE)}
    complete = {"symbol": subscribed("symbol"), **defaults(event), **own}
    refuse_incomplete(event, {*complete, "exchange", "source", *GIVEN})
    return Emit(event, ordered(event, complete), frozenset(on_change), once, needs, refuse, when)


def refuse_incomplete(made: type[Struct], named: Set[str]) -> None:
    """`TypeError` where not all fields are named, or one that there is not."""
    fields = set(made.__struct_fields__)
    if unknown := named - fields:
        raise TypeError(f"{made.__name__} has no {', '.join(sorted(unknown))}")
    if forgotten := fields - named:
        raise TypeError(f"{made.__name__}: {', '.join(sorted(forgotten))}: map them or name them in `absent`")


def ordered(struct: type[Struct], fields: Mapping[str, str | Step]) -> dict[str, str | Step]:
    """In the order of the Struct's fields; what is given has the field's name."""
    return {
        name: structs.replace(step, path=name) if isinstance(step, Step) and step.op is Op.GIVEN else step
        for name in struct.__struct_fields__
        if (step := fields.get(name)) is not None
    }


def defaults(made: type[Struct]) -> dict[str, str | Step]:
    """What no venue needs to name."""
    return {f.name: constant(f.default) for f in structs.fields(made) if f.default is not NODEFAULT}
