"""How a venue whose messages name their stream (`wsadapter.exchanges.by_key`) receives: the usual message in C.

A message that is spelled as usual, next in its sequence, while no hole lasts, is read once, where it lies, and becomes
events with nothing between: no envelope, no wire Struct, no word of Python. Every other message goes to the session.
Both ways say the same of every message and leave the same state behind; without C all goes the second way.

Where the handler of a channel's events is a publisher in C (`wsadapter.roles.ingest.publisher`), not even events are
made: `give_records` has it take their records, the same octets, and the message has no items. It is the same pass over
the message with the same rules; what is not usual there, a full ring among it, becomes events.

What C is told is made of the venue's tables: of each Struct the values that it may have, of each event what its fields
are made of (`wsadapter.exchanges.mapping.Direct`), of each stream which number goes on. A channel of which something
cannot be told so is left to the session.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct

from wsadapter import native
from wsadapter.events import Depth, Kline, Liquidation, UpdateType
from wsadapter.exchanges.checked_book import CheckedBook, DigitsChecksum
from wsadapter.exchanges.continuity import MessageCount, SeriesState
from wsadapter.exchanges.conversion import all_steps
from wsadapter.exchanges.mapping import GIVEN, Direct, Emit, Offers, Op, RefusedWord, Step, Word, subscribed
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.numbering import MOST_KNOWN
from wsadapter.exchanges.outages import Outages
from wsadapter.exchanges.planning import stream_type
from wsadapter.exchanges.scanner_shapes import RAW, TEXT, Alone, Slots, Told, Unusual, shape_of
from wsadapter.exchanges.session import VenueSession
from wsadapter.exchanges.sides import Spelling
from wsadapter.exchanges.values import MS
from wsadapter.exchanges.venue import (
    Candles,
    Channel,
    Checked,
    Follows,
    Numbering,
    Receive,
    Repeats,
    Rises,
    Subscription,
    Unnumbered,
)

MOST_PARTS: Final = 8
"""Of a name."""
KNOWN: Final[Mapping[str, str]] = {
    "ByKey": "envelope key element spoken sequence elements notices bare spelled usually inside alone "
             "usual_elements",
    "Channel": "words name wire emits numbering root many latest intervals named lax wanted offered symbol within "
               "newest_first",
    "Emit": "event fields on_change once needs refuse when",
    "Follows": "number previous resubscribe count first repeats identity unnamed overlaps",
    "Candles": "by_successor sparse",
    "Latest": "kind snapshot",
    "Repeats": "identity most",
    "Rises": "number",
}  # fmt: skip
"""All that tables can say; of what is not said here C would know nothing."""
ANY, NEXT, COUNTED, RISING, CHAINED, RENEWED, OPEN_CANDLE, CHECKED = range(8)


class Marks(Struct, frozen=True):
    """Of a venue whose elements say what they are of: fields with their ``symbol`` (else in the Struct in ``inside``),
    and ``guard``, with the value ``unwanted`` in what is not of the feed."""

    symbol: str
    inside: str
    guard: str
    unwanted: int


def scanner(
    framing: Any, session: VenueSession, streams: Mapping[str, tuple[Subscription, Channel]], otherwise: Receive,
    marks: Marks | None = None,
) -> Receive:  # fmt: skip
    """What receives a message; ``framing``: a `wsadapter.exchanges.by_key.ByKey`, ``streams``: by what their data
    name. `otherwise` itself where there is nothing for C to do."""
    if _native is None:
        return otherwise
    try:
        tables = _Tables(framing, session, streams, marks).told()
    except Unusual:
        return otherwise
    series: Any = SeriesState
    members = tuple(vars(series)[name] for name in ("next", "at_ns", "gap_ns", "grid", "waiting", "top"))
    candle: Any = Kline
    made: Receive = _native.Scanner(
        tables, otherwise, session.connection, session.last_receive_ns, session.outages, session.requests.unheard,
        session.states, series, *members, candle, candle.open_time_ns,
        vars(Outages)["pending"], CheckedBook, *(vars(CheckedBook)[name] for name in ("bids", "asks", "levels")),
        session.messages, vars(MessageCount)["last"],
    )  # fmt: skip
    return made


def give_records(receive: Receive, handlers: Mapping[type, Callable[[Any], object]]) -> None:
    """Have messages that `receive` gets become records where these handlers are publishers in C, and items no longer;
    without handlers everything is an item again."""
    made: Any = receive
    if _native is not None and type(made) is _native.Scanner:
        made.handlers = {**handlers}


class _Tables:
    """What is told of one session. ``data`` is the envelope's field with the elements."""

    def __init__(
        self, framing: Any, session: VenueSession, streams: Mapping[str, tuple[Subscription, Channel]],
        marks: Marks | None,
    ) -> None:  # fmt: skip
        self._framing, self._session, self._streams, self._marks = framing, session, streams, marks
        self._envelope = Slots(0)
        self._parts: list[Told] = []

    def told(self) -> Told:
        framing = self._framing
        data = "" if framing.alone else framing.usual_elements or _path(framing.elements)
        envelope = shape_of(framing.envelope, self._envelope, {}, False, data=data)
        parts = tuple(
            (text.encode(), self._envelope.of(path) if path else -1) for text, path in _spelled(framing).parts
        )
        alone = Alone(envelope, [path for _, path in _spelled(framing).parts]) if framing.alone else None
        tables: list[Told] = []
        streams: list[Told] = []
        for channel in {id(channel): channel for _, channel in self._streams.values()}.values():
            try:
                table = _Table(channel, self._session, self._envelope, self._framing, self._marks, alone)
            except Unusual:
                continue
            for name, (subscription, own) in self._streams.items():
                if own is channel and (stream := table.stream(subscription)) is not None:
                    # usual messages name a stream as it was asked for, or as the venue speaks of it
                    names = {name, subscription.name, self._framing.usually(name)}
                    streams += (stream(each, len(tables)) for each in names)
            if table.named:
                streams.append(table.anyone(len(tables)))
            tables.append(table.told)
        if not streams:
            raise Unusual("no stream")
        numbered = -1 if framing.sequence is None else self._envelope.of(_path(framing.sequence))
        read = 0 if alone is None else 2 if alone.is_whole else 1
        return envelope, tuple(self._envelope.kinds), parts, tuple(tables), tuple(streams), read, numbered


class _Table:
    """A channel, as it is told, and its streams."""

    def __init__(
        self, channel: Channel, session: VenueSession, envelope: Slots, framing: Any, marks: Marks | None,
        alone: Alone | None,
    ) -> None:  # fmt: skip
        if channel.within is not None or channel.symbol:
            raise Unusual("elements of many symbols")
        self._channel, self._session, self._envelope, self._marks = channel, session, envelope, marks
        self._row = Slots(len(envelope.kinds))
        self._said: list[Callable[[Any, Any], Any]] = []
        self._emits = channel.emits
        spellings: dict[str, Spelling] = {}
        for one in channel.emits:
            for step in one.fields.values():
                spellings |= _spellings(step)
        shape = shape_of(channel.wire, self._row, spellings, channel.lax)
        if alone is not None:
            shape = alone.shape(shape)
        self.named = self._name_parts(framing)
        """Of the name that an element's fields make, where they do."""
        emits = tuple(
            self._emit(one, channel.numbering if one is channel.emits[0] else Unnumbered()) for one in channel.emits
        )
        kinds = tuple(self._row.kinds)
        repeats: Told = (-1, 0, None)
        match channel.numbering:
            case Repeats(identity=identity, most=most):
                repeats = self._row.of(identity), most, session.known
            case Follows(number=number, identity=identity, repeats=told) if told is not None:
                repeats = self._row.of(identity or number), MOST_KNOWN, session.known
        self.told = (
            shape, kinds, int(channel.many), int(channel.newest_first), *repeats, *self._own_marks(), emits,
            self._changing(), tuple(self.named),
        )  # fmt: skip

    def stream(self, subscription: Subscription) -> Callable[[str, int], Told] | None:
        """None: what is said of it is nothing for C."""
        session, channel = self._session, self._channel
        kind = session.kind(channel, subscription.name)
        try:
            said = tuple(read(subscription, kind) for read in self._said)
        except (TypeError, LookupError, ValueError):
            return None
        symbol, interval = subscription.symbol, subscription.interval
        of_state = symbol if channel.latest is not None else f"{symbol} {interval}"
        key = (channel.name, subscription.name if isinstance(channel.numbering, Checked) else of_state)
        wanted = {stream_type(word) for word in subscription.feeds}
        series = tuple(
            session.series(one).get(symbol)
            if not wanted or len(channel.emits) == 1 or one.event.stream_type in wanted
            else None
            for one in channel.emits
        )
        counted = tuple((symbol, self._update_type(one)) if one.event is Depth else symbol for one in channel.emits)
        return lambda name, table: (name, subscription.name, said, key, symbol, table, series, counted)

    def anyone(self, table: int) -> Told:
        """What messages name, where only elements name the stream."""
        name = self._any
        none = (None,) * len(self._emits)
        return name, name, (None,) * len(self._said), (), "", table, none, none

    def _name_parts(self, framing: Any) -> list[Told]:
        if framing.element is None:
            return []
        template = framing.spoken(self._channel.name)
        self._any = template.partition("{")[0]
        inside = framing.inside
        if "*" in inside:
            return [(self._any.encode(), self._row.first_of(inside["*"]))]
        return [
            (text.encode(), self._row.first_of(inside.get(field, ())) if field else -1)
            for text, field in Spelled(template).parts
        ]

    def _emit(self, one: Emit, numbering: Numbering) -> Told:
        steps = all_steps(self._session.venue.word, one.event, one.fields)
        names = list(steps)
        rule, number, previous, back, counted = ANY, -1, -1, 0, -1
        kind = limit = interval = closed = opened = checksum = columns = -1
        best = 0
        match numbering:
            case Unnumbered() | Repeats():
                pass
            case Rises():
                rule, number = RISING, self._row.of(numbering.number)
            case Follows():
                number = self._row.of(numbering.number)
                before = numbering.previous or numbering.first
                previous = self._row.of(before) if before else -1
                back = 0 if numbering.previous else 1
                if numbering.count:
                    rule, counted, previous = COUNTED, self._row.of(numbering.count), -1
                elif numbering.resubscribe:
                    rule, kind = RENEWED, names.index("update_type")
                elif before:
                    rule, limit = CHAINED, names.index("level_limit")
                    if one.fields["last_update_id"] != numbering.number:
                        raise Unusual("a book's number is another")
                else:
                    rule = NEXT
            case Candles():
                interval, closed = names.index("interval"), names.index("closed")
                rule = ANY if numbering.sparse else OPEN_CANDLE
                if numbering.by_successor:
                    opened = names.index("open_time_ns")
                    step = one.fields["interval"]
                    if not isinstance(step, Step) or step.expression != subscribed("interval").expression:
                        raise Unusual("a candle's interval is its own")
            case Checked(compute=DigitsChecksum(best=best), checksum=read) if read is not None:
                rule, kind, columns = CHECKED, names.index("update_type"), names.index("bid_price")
                checksum = self._row.of(_path(read))
            case Checked(checksum=None):
                rule, kind, columns = CHECKED, names.index("update_type"), names.index("bid_price")
            case _:
                raise Unusual("another rule")
        slots = self._row
        needs = [slots.of(name) - slots.first for name in one.needs]
        if any(slots.types[name] not in (TEXT, RAW) for name in one.needs):
            raise Unusual("what a number says")
        raw = [slots.of(name) - slots.first for name in (*one.needs, *one.once) if slots.types.get(name) == RAW]
        changes = [slots.of(name) - slots.first for name in one.on_change]
        return (
            one.event, tuple(self._step(step) for step in steps.values()), rule, number, previous, back, counted, kind,
            limit, interval, closed, opened, checksum, best, columns, UpdateType.DELTA, _mask(changes), _mask(needs),
            _mask(raw), self._counting(one), self._conditions(one),
        )  # fmt: skip

    def _conditions(self, one: Emit) -> Told:
        """Of which elements it is made."""
        slots, when, refuse = self._row, one.when, one.refuse
        kind, word, text, offers = 0, -1, None, 0
        match when:
            case None:
                pass
            case Word():
                kind = 2 if when.within else 4 if when.unless else 1
                word, text = slots.of(when.path) - slots.first, when.text.encode()
            case Offers() if all(slots.types.get(path) == RAW for path in when.paths):
                kind, offers = 3, _mask(slots.of(path) - slots.first for path in when.paths)
            case _:
                raise Unusual("a function chooses")
        if not (refuse is None or isinstance(refuse, RefusedWord)):
            raise Unusual("a function refuses")
        refused, told = (-1, None) if refuse is None else (slots.of(refuse.path) - slots.first, refuse.text.encode())
        once = tuple(slots.of(name) - slots.first for name in one.once)
        published = self._session.published.setdefault(id(one), {}) if once else None
        return kind, word, text, offers, refused, told, published, once, int(one.event is Liquidation)

    def _counting(self, one: Emit) -> Told | None:
        """Of events without ids."""
        count, event = self._session.counting(one), one.event
        if count is None:
            return None
        members = vars(event)
        is_book = event is Depth
        return (
            count, self._session.ordinals[event].times, event.transaction_time_ns,
            event.event_time_ns, members["update_type"] if is_book else None,
            self._update_type(one) if is_book else None, members["ordinal"],
        )  # fmt: skip

    @staticmethod
    def _update_type(one: Emit) -> UpdateType:
        """The usual one."""
        step = one.fields["update_type"]
        always = step.value if isinstance(step, Step) and step.op is Op.CONSTANT else None
        return always if isinstance(always, UpdateType) else UpdateType.DELTA

    def _own_marks(self) -> Told:
        """What elements say of themselves, though their stream says it, too."""
        marks, slots = self._marks, self._row
        if marks is None:
            return -1, -1, 0
        return slots.first_of((marks.symbol, f"{marks.inside}.{marks.symbol}")), slots.of(marks.guard), marks.unwanted

    def _changing(self) -> Told | None:
        """Of a stream that sends what changed."""
        latest, channel, slots = self._channel.latest, self._channel, self._row
        if latest is None:
            return None
        if any(type_ != TEXT for type_ in slots.types.values()) or channel.many:
            raise Unusual("states that are no text")
        if any(one.once or one.refuse or one.when for one in channel.emits):
            raise Unusual("events that not every change makes")
        changes = [slots.of(name) - slots.first for one in channel.emits for name in one.on_change]
        members = tuple(getattr(channel.wire, name) for name in slots.places)
        return self._envelope.of(latest.kind), latest.snapshot.encode(), channel.wire, members, _mask(changes)

    # Steps.

    def _slot(self, path: str) -> int:
        return self._envelope.of(path[1:]) if path.startswith("@") else self._row.of(path)

    def _step(self, step: Step | str) -> Told:
        if isinstance(step, str):
            return _told(Op.SAME, self._row.of(step))
        if step.op is Op.CONSTANT:
            return _told(Op.CONSTANT, constant=step.value)
        if step.op is not Op.GIVEN:
            return _told(step.op, self._row.of(step.path), factor=MS)
        if step.direct is not None:
            return self._direct(step.direct)
        if step.path in GIVEN and not step.expression:
            return _told(Op.GIVEN, place=GIVEN.index(step.path))
        raise Unusual("a function of the element")

    def _direct(self, direct: Direct) -> Told:
        place = direct.place
        if direct.said is not None:
            place = len(self._said)
            self._said.append(direct.said)
        slot = self._slot(direct.path) if direct.path else 0
        if direct.op is Op.APPLIED and self._row.types.get(direct.path) == RAW:
            raise Unusual("a function of a Raw")
        match direct.op:
            case Op.MAPPED:
                pairs = tuple((_word(word), value) for word, value in direct.table.items())
                return _told(Op.MAPPED, slot, constant=pairs)
            case Op.SIGN:
                then, otherwise = self._step(direct.then or ""), self._step(direct.otherwise or "")
                return _told(Op.SIGN, slot, then=then, otherwise=otherwise)
            case Op.EITHER:
                then, otherwise = self._step(direct.then or ""), self._step(direct.otherwise or "")
                text = None if direct.table is None else direct.table.encode()
                return _told(Op.EITHER, slot, constant=text, then=then, otherwise=otherwise)
            case Op.ONE:
                words, value = direct.table
                pairs = tuple((_word(word), is_ask) for word, is_ask in words.items())
                return _told(Op.ONE, slot, self._slot(value), direct.factor, pairs)
            case Op.FIRST | Op.OFFERED:
                place = self._slot(direct.table)
        constant = None if isinstance(direct.table, Spelling) else direct.table
        return _told(direct.op, slot, place, direct.factor, constant)


def _told(
    op: Op,
    slot: int = 0,
    place: int = 0,
    factor: int = 1,
    constant: Any = None,
    then: Any = None,
    otherwise: Any = None,
) -> Told:
    return int(op), slot, place, factor, constant, then, otherwise


def _spelled(framing: Any) -> Spelled:
    """How the names of its streams are made of an envelope."""
    found = framing.spelled or framing.key
    if isinstance(found, attrgetter):
        found = Spelled(f"{{{_path(found)}}}")
    if not isinstance(found, Spelled) or len(found.parts) > MOST_PARTS:
        raise Unusual("names are made by functions")
    return found


def _path(read: Any) -> str:
    """Of an `attrgetter`."""
    if not isinstance(read, attrgetter):
        raise Unusual("a function says where the elements are")
    made: Any = read.__reduce__()
    return str(made[1][0])


def _spellings(step: Step | str | None) -> dict[str, Spelling]:
    """Of the sides that a field is made of."""
    if not isinstance(step, Step) or step.direct is None:
        return {}
    direct = step.direct
    own = {direct.path.partition(":")[0]: direct.table} if isinstance(direct.table, Spelling) else {}
    return {**own, **_spellings(direct.then), **_spellings(direct.otherwise)}


def _word(word: object) -> object:
    """A venue's word as C compares it."""
    if isinstance(word, bool):
        return word
    if isinstance(word, str | int):
        return str(word).encode()
    raise Unusual("a word that is no text")


def _mask(slots: Iterable[int]) -> int:
    return sum({1 << slot for slot in slots})


_native: Final = native.extension
