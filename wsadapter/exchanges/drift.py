"""Fields that a venue sends and this version does not know: what is said of a message beyond what its tables read.

Pure. Known are the fields of the wire Structs that make events of a type, those of the envelope, and those that the
venue is known to send and nobody reads (`Venue.unread`). Of a venue of which the last are not known, nothing is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import inspect

from wsadapter.events import Gap, MarketEvent
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.venue import Item, Venue

LONGEST: Final = 64
"""Of a field's name; a longer one is data."""
ENDS: Final = 2
"""Elements of a list that are looked at, from its end."""

Known = Mapping[str, frozenset[str]]
"""Stream word -> names of fields, at any depth."""


def known_of(exchange: type) -> Known | None:
    """Of an exchange's class; None: it is not known what else it sends, or it is no venue of tables."""
    if not issubclass(exchange, VenueSession):
        return None
    return known_fields([exchange.venue, *(other.venue for other in exchange.others)])


def known_fields(venues: Iterable[Venue]) -> Known | None:
    """Of all protocols of one exchange."""
    known: dict[str, set[str]] = {}
    unread: frozenset[str] | None = None
    for venue in venues:
        unread = None if venue.unread is None else frozenset(venue.unread.split())
        framing: Any = venue.framing
        envelope = [getattr(framing, name) for name in ("envelope", "frame") if hasattr(framing, name)]
        for channel in venue.channels:
            wires = [*envelope, channel.wire, *([channel.within.wire] if channel.within else [])]
            names = set().union(*map(_names, wires))
            for one in channel.emits:
                known.setdefault(one.event.stream_type.value, set()).update(names)
    return None if unread is None else {word: frozenset(names) | unread for word, names in known.items()}


def unknown_fields(message: bytes, items: Sequence[Item], known: Known) -> tuple[str, frozenset[str]]:
    """(the stream word that the message is of, what of it is not known); empty where it gave no event."""
    events = (item for item in items if isinstance(item, MarketEvent) and type(item) is not Gap)
    word = next((event.stream_type.value for event in events), "")
    if word not in known:
        return "", frozenset()
    try:
        found = msgspec.json.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", frozenset()
    return word, frozenset(_keys(found)) - known[word]


def _keys(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if len(key) <= LONGEST:
                yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value[-ENDS:]:
            yield from _keys(inner)


def _names(wire: Any) -> set[str]:
    names: set[str] = set()
    waiting: list[Any] = [inspect.type_info(wire)]
    while waiting:
        match waiting.pop():
            case inspect.StructType(tag_field=tag, fields=fields):
                names.update(field.encode_name for field in fields)
                names.update((tag,) if tag else ())
                waiting += [field.type for field in fields]
            case inspect.UnionType(types=types):
                waiting += types
            case inspect.ListType(item_type=inner) | inspect.VarTupleType(item_type=inner):
                waiting.append(inner)
            case inspect.TupleType(item_types=types):
                waiting += types
    return names
