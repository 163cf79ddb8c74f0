"""How a venue whose data says its own type (`wsadapter.exchanges.by_tag`) receives: the usual event in C.

An event of the feed that is plain and next in its sequence needs no word of Python; every other one goes to the
session. Both ways say the same of every frame and leave the same state behind; without C all goes the second way.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, Final, get_type_hints

from msgspec import Struct

from wsadapter import native
from wsadapter.events import Kline, UpdateType
from wsadapter.events.decimals import split_at_once
from wsadapter.exchanges.continuity import SeriesState
from wsadapter.exchanges.mapping import Convert
from wsadapter.exchanges.outages import Outages
from wsadapter.exchanges.venue import Item, Receive


class Rule(IntEnum):
    """As in mapping.c. What an id must be compared with `SeriesState.next`: anything, it, or more. Of a
    candle: one that still runs, in an interval of which its `SeriesState` knows the grid."""

    ANY = 0
    NEXT = 1
    RISING = 2
    OPEN_CANDLE = 3


class Route(Struct, frozen=True):
    """The usual case of one type of event: its ``conversion``, the `SeriesState` of each symbol, what its id (field
    ``number``) must be. ``guard``: the field that tells what is not of the feed; ``inside``: the field with the Struct
    that has ``symbol``, where the element does not. ``amend`` has the last word about the event. ``once`` and
    ``published``: a second event is due unless these fields are as they were (`wsadapter.exchanges.mapping.Emit`)."""

    conversion: Convert
    by_symbol: dict[str, SeriesState]
    rule: Rule
    number: str
    symbol: str = "s"
    guard: str = "st"
    inside: str = ""
    amend: Callable[[Any], None] | None = None
    once: tuple[str, ...] = ()
    published: dict[str, tuple[Any, ...]] = {}


class Books(Struct, frozen=True):
    """The usual book: ``conversion`` has update type, level limit and the four columns of `split_at_once` given;
    ``kinds``: stream name -> the first two, or None for a book that is not of the feed. A book without a limit must
    name the last one, with field ``previous``; ``number`` is its own id."""

    wire: type[Struct]
    conversion: Convert
    by_symbol: dict[str, SeriesState]
    kinds: Mapping[str, tuple[UpdateType, int] | None]
    bids: str = "b"
    asks: str = "a"
    number: str = "u"
    previous: str = "pu"
    symbol: str = "s"
    guard: str = "st"


class ReceiverTables(Struct, frozen=True):
    """How a venue receives. ``decode`` gives the envelope Struct ``frame``, whose ``data`` and ``stream`` are the wire
    Struct and the stream's name; ``rest`` makes items of any envelope, ``again`` of a message for which decoder or
    ``rest`` raised one of ``failures``. ``unwanted``: the value of a guard that marks an event of something else. While
    ``outages.pending`` every event goes to ``rest``."""

    decode: Callable[[bytes | memoryview], Any]
    frame: type[Struct]
    routes: Mapping[type[Struct], Route]
    books: Books
    unwanted: int
    connection: str
    received: dict[str, int]
    """Stream name -> receive time of its last good frame; written for the names that it has."""
    outages: Outages
    rest: Callable[[Any, int], list[Item]]
    again: Receive
    failures: tuple[type[Exception], ...]


def receiver(tables: ReceiverTables) -> Receive:
    """What receives a message; in C the events that are of the feed, plain and in sequence need no word of Python."""
    if _native is None:
        return receiver_in_python(tables)
    routes = tuple(_members(wire, route) for wire, route in tables.routes.items())
    members = (vars(SeriesState)[name] for name in ("next", "at_ns", "gap_ns", "grid"))
    candle: Any = Kline
    b = tables.books
    fields = (getattr(b.wire, name) for name in (b.bids, b.asks, b.number, b.previous, b.symbol, b.guard))
    books = (b.conversion, b.by_symbol, b.kinds, split_at_once, *fields)
    fast_path = _native.FastPath(
        routes, books, SeriesState, *members, Kline, candle.closed, candle.interval, tables.unwanted
    )  # fmt: skip
    frame: Any = tables.frame
    made: Receive = _native.Receiver(
        fast_path, tables.decode, tables.frame, frame.data, frame.stream, tables.connection, tables.received,
        tables.outages, tables.rest, tables.again, tables.failures,
    )  # fmt: skip
    return made


def _members(wire: Any, route: Route) -> tuple[Any, ...]:
    inside = getattr(wire, route.inside) if route.inside else None
    holder = get_type_hints(wire)[route.inside] if route.inside else wire
    once = tuple(getattr(wire, name) for name in route.once)
    return (
        route.conversion, route.by_symbol, int(route.rule), getattr(wire, route.number), inside,
        getattr(holder, route.symbol), getattr(wire, route.guard), route.amend,
        (route.published, once) if once else None,
    )  # fmt: skip


def receiver_in_python(tables: ReceiverTables) -> Receive:
    """The twin: all goes the way of the rest."""
    decode, rest, again, failures = tables.decode, tables.rest, tables.again, tables.failures

    def receive(payload: bytes | memoryview, receive_time_ns: int) -> list[Item]:
        try:
            return rest(decode(payload), receive_time_ns)
        except failures:
            return again(payload, receive_time_ns)

    return receive


_native: Final = native.extension
