"""Slips in a venue's tables that would be told late or never: refused when its class, or a page of its REST side, is
made.

Guarantee: a `TypeError` that names the venue's word, the channel or path, and what is wrong there. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_type_hints

from msgspec import Struct

from wsadapter.exchanges.mapping import Direct, Emit, Offers, Op, RefusedWord, Step, Word
from wsadapter.exchanges.planning import stream_type
from wsadapter.exchanges.venue import Channel, Follows, Numbering, Repeats, Rises, Venue

Named = Iterator[tuple[str, str]]
"""What reads a field, and the field: its path in the element, with ``@`` before it in the envelope."""


def refuse_slips(venue: Venue) -> None:
    """Of the channels of a venue."""
    for channel in venue.channels:
        for slip in _slips(venue, channel):
            raise TypeError(f"{venue.word}: channel {channel.name!r}: {slip}")


def refuse_unknown_fields(where: str, wire: type[Struct], fields: Iterable[tuple[str, str]]) -> None:
    """Of a page, whose rows have no envelope."""
    for slip in _unknown(fields, wire, None):
        raise TypeError(f"{where}: {slip}")


def _slips(venue: Venue, channel: Channel) -> Iterator[str]:
    paths = venue.hosts.paths
    if channel.root not in paths:
        yield f"root {channel.root!r} is none of `hosts.paths`: {' '.join(map(repr, paths))}"
    for word in channel.words:
        try:
            stream_type(word)
        except ValueError:
            yield f"{word!r} is no word of the configuration"
    if "{interval}" in channel.name and channel.intervals is None:
        yield "{interval} in the name, and no `intervals`"
    within, envelope = channel.within, getattr(venue.framing, "envelope", None)
    if channel.latest is not None:
        yield from _unknown((("latest.kind", f"@{channel.latest.kind}"),), channel.wire, envelope)
    outer = channel.wire if within is None else within.wire
    own = [("symbol", channel.symbol)] if channel.symbol else []
    yield from _unknown(own if within is None else [*own, ("within.field", within.field)], outer, None)
    named = [*_of_numbering(channel.numbering), *(each for one in channel.emits for each in of_emit(one))]
    yield from _unknown(named, channel.wire, envelope if within is None else outer)


def _unknown(fields: Iterable[tuple[str, str]], wire: type[Struct], envelope: type[Struct] | None) -> Iterator[str]:
    for what, path in fields:
        struct = envelope if path.startswith("@") else wire
        if struct is not None and not _has(struct, path.removeprefix("@")):
            yield f"{what}: {struct.__name__} has no field {path.removeprefix('@')!r}"


def _has(struct: Any, path: str) -> bool:
    """Fields and properties; what lies in something that is no Struct is taken to be there."""
    first, _, rest = path.partition(".")
    if not hasattr(struct, first):
        return False
    hint = get_type_hints(struct).get(first) if rest else None
    inner = next(
        (each for each in (hint, *get_args(hint)) if isinstance(each, type) and issubclass(each, Struct)), None
    )
    return inner is None or _has(inner, rest)


def _of_numbering(numbering: Numbering) -> Named:
    names: tuple[str, ...]
    match numbering:
        case Follows():
            names = "number", "previous", "count", "first", "identity"
        case Rises():
            names = ("number",)
        case Repeats():
            names = ("identity",)
        case _:
            return
    for name in names:
        if path := getattr(numbering, name):
            yield f"{type(numbering).__name__}.{name}", path


def of_emit(one: Emit) -> Named:
    """What an event reads of its element."""
    for name in ("on_change", "once", "needs"):
        for path in getattr(one, name):
            yield f"{one.event.__name__}: {name}", path
    match one.when:
        case Word(path=path):
            yield f"{one.event.__name__}: when", path
        case Offers(paths=paths):
            yield from ((f"{one.event.__name__}: when", path) for path in paths)
    if isinstance(one.refuse, RefusedWord):
        yield f"{one.event.__name__}: refuse", one.refuse.path
    yield from of_fields(one.event, one.fields)


def of_fields(made: type[Struct], fields: Mapping[str, str | Step]) -> Named:
    """What each field is made of, as far as its step says it."""
    for name, step in fields.items():
        for path in _of_step(step):
            yield f"{made.__name__}.{name}", path


def _of_step(step: str | Step | None) -> Iterator[str]:
    if isinstance(step, str):
        yield step
    elif step is not None and step.direct is not None:
        yield from _of_direct(step.direct)
    elif step is not None and step.op not in (Op.CONSTANT, Op.GIVEN):
        yield step.path


def _of_direct(direct: Direct) -> Iterator[str]:
    if direct.path:
        yield direct.path.partition(":")[0]
    match direct.op:
        case Op.FIRST | Op.OFFERED:
            yield direct.table
        case Op.ONE:
            yield direct.table[1]
    yield from _of_step(direct.then)
    yield from _of_step(direct.otherwise)
