"""Where an event stands in its series: what makes two copies of it one, which of two is older, what is missing between.

A series is what one venue orders: the trades of a symbol, the candles of a symbol and interval. How its events are
numbered says the column ``sequence`` of `wsadapter.events.streams.StreamSpec`; here each row's rules are compiled once.
The answers are the same for every copy of an event, whatever connection brought it. Pure, for every venue.

Only attributes are read that the event Structs and the protobuf messages have in common, so both are taken. A number
of 0 is none: that is what a message says for an absent one.
"""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, Final, NamedTuple

from wsadapter.events import StreamType
from wsadapter.events.streams import (
    BY_EVENT,
    BY_KIND,
    SPECS,
    STEP_NS,
    Chained,
    Contiguous,
    Dated,
    Identified,
    Rising,
    SequenceRule,
    StreamSpec,
    Timed,
)

SequenceKey = tuple[Any, ...]
"""A series: stream, symbol, then what else tells it from others."""
Missing = tuple[int | None, int | None, int | None]
"""First and last number that are missing, and how many events; None where the venue's numbers do not say."""
UNKNOWN: Final[Missing] = (None, None, None)


ORDINAL_BITS: Final = 20
"""Of a number that is a time and an ordinal."""
MOST_ORDINAL: Final = 2**ORDINAL_BITS - 1


class Sequenced(NamedTuple):
    """``previous``: the number that must come directly before, where the venue says that (None: numbers only grow).
    ``identity``: of an event that has no number (`Identified`)."""

    key: SequenceKey
    number: int
    previous: int | None = None
    identity: tuple[Any, ...] | None = None


def dated(at_ns: int, ordinal: int) -> int:
    """Number of an event that only has a time (`Dated`); longer than 64 bits."""
    return at_ns << ORDINAL_BITS | min(ordinal, MOST_ORDINAL)


Place = Callable[[Any], Sequenced | None]


class Numbering:
    """The rules of one stream, compiled."""

    def __init__(self, spec: StreamSpec) -> None:
        self.stream, self.rules = spec.stream, spec.sequence
        self.place = _compiled(spec)
        """None for an event that cannot be told from others."""
        self.awaited = all(rule.awaited for rule in spec.sequence if isinstance(rule, Rising | Dated))
        self.only_by_id = bool(spec.sequence) and all(isinstance(rule, Identified) for rule in spec.sequence)
        self.is_counted = any(
            isinstance(rule, Contiguous | Chained) or (isinstance(rule, Rising) and not _is_time(rule))
            for rule in spec.sequence
        )
        """Whether the venue counts its events: such numbers may begin anew."""
        self.is_numbered = self.is_counted or any(isinstance(rule, Timed) for rule in spec.sequence)
        """Whether its events have an order beside that of their times."""

        self._spans = next((rule.spans for rule in self.rules if isinstance(rule, Identified)), None)

    @property
    def checked(self) -> Contiguous | Chained | Timed | None:
        """The rule by which a missing event shows."""
        return next((rule for rule in self.rules if isinstance(rule, Contiguous | Chained | Timed)), None)

    def chained_keys(self, symbol: str) -> tuple[SequenceKey, ...]:
        """The series of a symbol whose numbers a gap may name."""
        rule = self.checked
        if not isinstance(rule, Contiguous | Chained):
            return ()
        return tuple((self.stream, symbol, *rest) for rest in product(*(values for _, values in rule.series)))

    def contiguous(self, event: Any) -> int | None:
        """The event's number, where numbers have no holes."""
        rule = self.checked
        return (getattr(event, rule.number) or None) if isinstance(rule, Contiguous) else None

    def extent(self, event: Any) -> tuple[int, int] | None:
        """The event's number, the first of them if it takes several, and the number that the next one must have; None
        where that cannot be said."""
        rule = self.checked
        if isinstance(rule, Timed):
            return getattr(event, rule.opens), getattr(event, rule.closes) + STEP_NS
        if number := self.contiguous(event):
            return number, number + 1
        if self._spans and (first := getattr(event, self._spans[0])) and (last := getattr(event, self._spans[1])):
            return first, last + 1
        return None

    def missing(self, event: Any, before: int) -> Missing:
        """What lies between number ``before`` and an event that does not continue it."""
        rule = self.checked
        if isinstance(rule, Contiguous) and (extent := self.extent(event)):
            first = extent[0]
            return (before + 1, first - 1, first - before - 1) if first - 1 > before else UNKNOWN
        if isinstance(rule, Chained) and (first := getattr(event, rule.first)) and first - 1 > before:
            return before + 1, first - 1, None
        return UNKNOWN


def _compiled(spec: StreamSpec) -> Place:
    """The stream's rules as one expression, as fast as if it were written by hand: redundant rings ask for each
    record."""
    source = " or ".join(f"({_expression(rule)})" for rule in spec.sequence) or "None"
    place: Place = eval(f"lambda e: {source}", {"Sequenced": Sequenced, "stream": spec.stream})
    return place


def _expression(rule: SequenceRule) -> str:
    """Python of one rule, over the event ``e``."""
    key = "".join(f", e.{field}" for field in ("symbol", *(field for field, _ in rule.series)))
    when = "" if rule.when is None else f"e.{rule.when[0]} == {int(rule.when[1])} and "
    match rule:
        case Contiguous(number=number):
            return f"{when}(n := e.{number}) and Sequenced((stream{key}), n, n - 1) or None"
        case Chained(number=number, previous=previous, first=first):
            before = f"e.{previous} or (e.{first} or 1) - 1"
            return f"{when}(n := e.{number}) and Sequenced((stream{key}), n, {before}) or None"
        case Rising(number=number, then=then) if then:
            return f"{when}(n := e.{number}) and Sequenced((stream{key}), n << 64 | e.{then}) or None"
        case Rising(number=number) | Timed(opens=number):
            return f"{when}(n := e.{number}) and Sequenced((stream{key}), n) or None"
        case Dated():
            number = f"t << {ORDINAL_BITS} | min(e.ordinal, {MOST_ORDINAL})"  # `dated`
            return (
                f"{when}(t := e.transaction_time_ns or e.event_time_ns) and Sequenced((stream{key}), {number}) or None"
            )
        case Identified(identity=fields):
            identity = "".join(f"e.{field}, " for field in fields)
            return f"{when}any(i := ({identity})) and Sequenced((stream{key}), 0, None, i) or None"
    raise TypeError(f"not a rule of numbers: {rule}")


def _is_time(rule: Rising) -> bool:
    return rule.number.endswith("_ns")


NUMBERINGS: Final[Mapping[str, Numbering]] = {spec.stream.value: Numbering(spec) for spec in SPECS}
PLACES_BY_KIND: Final[Mapping[int, Place]] = {
    kind: NUMBERINGS[spec.name].place for kind, spec in BY_KIND.items() if spec.sequence
}
"""By ring record kind; an event without an entry is never a copy."""
_PLACES: Final[Mapping[type, Place]] = {event: NUMBERINGS[spec.name].place for event, spec in BY_EVENT.items()}


def place(event: Any) -> Sequenced | None:
    """None for an event that cannot be told from others."""
    found = _PLACES.get(type(event))
    return None if found is None else found(event)


def filler_place(gap: Any) -> Sequenced:
    """That of the numbers that a gap of cause ``filler`` names: always of single trades."""
    return Sequenced((StreamType.TRADE, gap.symbol, False), gap.last_missing, gap.first_missing - 1)


def numbering(event: type) -> Numbering:
    """Of an event's type."""
    return NUMBERINGS[BY_EVENT[event].name]
