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
from wsadapter.exchanges.continuity import Line
from wsadapter.exchanges.mapping import Convert
from wsadapter.exchanges.outages import Holes
from wsadapter.exchanges.venue import Item, Receive


class Rule(IntEnum):
    """As in mapping.c. What an id must be compared with `Line.next`: anything, it, or more. Of a candle: one that still
    runs, in an interval of which its `Line` knows the grid."""

    ANY = 0
    NEXT = 1
    RISING = 2
    OPEN_CANDLE = 3


class Route(Struct, frozen=True):
    """The usual case of one type of event: its ``shape``, the `Line` of each symbol, what its id (field ``number``)
    must be. ``guard``: the field that tells what is not of the feed; ``inside``: the field with the Struct that has
    ``symbol``, where the element does not. ``amend`` has the last word about the event. ``once`` and ``published``: a
    second event is due unless these fields are as they were, see `wsadapter.exchanges.mapping.Emit`."""

    shape: Convert
    lines: dict[str, Line]
    rule: Rule
    number: str
    symbol: str = "s"
    guard: str = "st"
    inside: str = ""
    amend: Callable[[Any], None] | None = None
    once: tuple[str, ...] = ()
    published: dict[str, tuple[Any, ...]] = {}


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
    routes = tuple(_members(wire, route) for wire, route in ways.routes.items())
    members = (vars(Line)[name] for name in ("next", "at_ns", "gap_ns", "grid"))
    candle: Any = Kline
    b = ways.books
    fields = (getattr(b.wire, name) for name in (b.bids, b.asks, b.number, b.previous, b.symbol, b.guard))
    books = (b.shape, b.lines, b.kinds, split_at_once, *fields)
    straight = _native.Straight(routes, books, Line, *members, Kline, candle.closed, candle.interval, ways.unwanted)
    frame: Any = ways.frame
    made: Receive = _native.Receiver(
        straight, ways.decode, ways.frame, frame.data, frame.stream, ways.connection, ways.received, ways.holes,
        ways.rest, ways.again, ways.failures,
    )  # fmt: skip
    return made


def _members(wire: Any, route: Route) -> tuple[Any, ...]:
    inside = getattr(wire, route.inside) if route.inside else None
    holder = get_type_hints(wire)[route.inside] if route.inside else wire
    once = tuple(getattr(wire, name) for name in route.once)
    return (
        route.shape, route.lines, int(route.rule), getattr(wire, route.number), inside, getattr(holder, route.symbol),
        getattr(wire, route.guard), route.amend, (route.published, once) if once else None,
    )  # fmt: skip


def receiver_in_python(ways: Ways) -> Receive:
    """The twin: all goes the way of the rest."""
    decode, rest, again, failures = ways.decode, ways.rest, ways.again, ways.failures

    def receive(payload: bytes | memoryview, receive_time_ns: int) -> list[Item]:
        try:
            return rest(decode(payload), receive_time_ns)
        except failures:
            return again(payload, receive_time_ns)

    return receive


_native: Final = native.extension
