"""One connection of any venue: its tables at work. See `wsadapter.exchanges.venue.Exchange` for the contract.

A `VenueSession` holds what a socket needs (outstanding requests, the last number of each series, states of streams that
send changes) and what outlasts one (gaps that have not ended). How messages are told apart is the venue's framing; what
an element becomes says `wsadapter.exchanges.accepting`.
"""

from types import MappingProxyType
from typing import Any, ClassVar, Final, Self, cast

from wsadapter.events import Depth, Event, Gap, Kline, Liquidation, MarketEvent
from wsadapter.events.decimals import NotPlain
from wsadapter.events.sequence import place
from wsadapter.exchanges import books
from wsadapter.exchanges.accepting import Accept, accept_elements
from wsadapter.exchanges.continuity import MessageCount, Sequences, SeriesState
from wsadapter.exchanges.conversion import Convert, Given, compiled
from wsadapter.exchanges.mapping import Emit
from wsadapter.exchanges.ordinals import Count, Ordinals, has_id, is_counted
from wsadapter.exchanges.outages import Outages
from wsadapter.exchanges.placing import Placement
from wsadapter.exchanges.planning import plans, stream_type
from wsadapter.exchanges.protocol import Outstanding
from wsadapter.exchanges.second_look import FAILURES, failure
from wsadapter.exchanges.slips import refuse_slips
from wsadapter.exchanges.venue import (
    Acked,
    Answer,
    AttemptLimit,
    Bad,
    Cadence,
    Channel,
    ConnectionPlan,
    FeedSettings,
    Item,
    Receive,
    Rises,
    Subscription,
    Venue,
)
from wsadapter.text import sample

MAX_CACHED_NAMES: Final = 4096


class VenueSession:
    """A venue's class has its tables in ``venue``, says where its REST side is, and nothing else."""

    venue: ClassVar[Venue]
    rest: ClassVar[str] = ""
    archives: ClassVar[str] = ""
    """``module:NAME`` of the files that it publishes, see `wsadapter.exchanges.archives`; empty: none that is known."""
    message_interval: float
    ack_timeout: float
    max_streams: int
    max_life: float
    ping_every: float
    aside: frozenset[bytes]
    dated: bytes
    attempt_limit: AttemptLimit
    address_streams: int
    message_limit: AttemptLimit | None
    others: ClassVar[tuple[type["VenueSession"], ...]] = ()
    """Connections of the same exchange that speak another protocol: its subclasses declared with ``beside=True``. Which
    one a plan is for says its root."""
    conversions: ClassVar[dict[int, tuple[Convert, Given | None]]]
    """By the id of the `Emit`."""
    whole_books: ClassVar[frozenset[int]]
    """The ids of those of books that come whole each time, with numbers that only rise."""

    def __init_subclass__(cls, beside: bool = False) -> None:
        parent, cls.others = cls.__base__, ()
        if beside and parent is not None and issubclass(parent, VenueSession):
            parent.others = (*parent.others, cls)
        refuse_slips(cls.venue)
        limits, heartbeat = cls.venue.limits, cls.venue.heartbeat
        cls.message_interval, cls.ack_timeout = limits.message_interval, limits.ack_timeout
        cls.max_streams, cls.max_life, cls.attempt_limit = limits.streams, limits.max_life, limits.attempts
        cls.message_limit, cls.address_streams = limits.messages, limits.on_address
        cls.ping_every = heartbeat.every if heartbeat else 0.0
        cls.dated = cls.venue.requests.dated
        cls.aside = frozenset((cls.venue.notices, heartbeat.begin if heartbeat else b""))
        cls.conversions = {
            id(one): compiled(cls.venue.word, channel.wire, one)
            for channel in cls.venue.channels
            for one in channel.emits
        }

        cls.whole_books = frozenset(
            id(one)
            for channel in cls.venue.channels
            if isinstance(channel.numbering, Rises)
            for one in channel.emits
            if one.event is Depth
        )

    def __new__(cls, plan: ConnectionPlan) -> Self:
        speaks = next((each for each in cls.others if plan.root in each.venue.hosts.paths), cls)
        return super().__new__(cast(type[Self], speaks))

    def __init__(self, plan: ConnectionPlan) -> None:
        self.connection = plan.connection
        self.subscriptions = {subscription.name: subscription for subscription in plan.subscriptions}
        self.last_receive_ns = dict.fromkeys(self.subscriptions, 0)
        self.cadences: dict[str, Cadence] = {
            name: cadence for name, s in self.subscriptions.items() if (cadence := self.venue.cadences.get(s.stream))
        }
        self.symbols = frozenset(plan.symbols)
        self.sequences = Sequences(plan.exchange, plan.connection, plan.symbols)
        self.out_of_order = self.sequences.out_of_order
        self.outages = Outages(self.sequences, plan.subscriptions, self.last_receive_ns)
        self.requests = Outstanding(self.venue.requests)
        self.states: dict[tuple[str, str], Any] = {}
        """(channel, symbol) -> the last state of a stream that sends changes."""
        self.published: dict[int, dict[str, tuple[Any, ...]]] = {}
        """Id of the `Emit` -> symbol -> what the last event of those that come once had."""
        self.ordinals: dict[type[Event], Ordinals] = {}
        """Of the types of which some events have no id."""
        self.kinds: dict[str, tuple[Any, ...] | None] = {}
        self.known: dict[str, dict[Any, None]] = {}
        """Stream -> what it told last, oldest first, where the venue repeats itself; outlasts the socket."""
        self.messages = MessageCount()
        self._last_gap_ns: int | None = None
        self._before: Self | None = None
        """The session that this one follows, until `open`."""
        self.receive: Receive = self.venue.framing.receiver(self)

    @classmethod
    def plan(cls, feed: FeedSettings, before: Placement = MappingProxyType({})) -> list[ConnectionPlan]:
        return plans([cls.venue, *(other.venue for other in cls.others)], feed, before)

    @property
    def last_gap_ns(self) -> int | None:
        return self._last_gap_ns

    @last_gap_ns.setter
    def last_gap_ns(self, at_ns: int) -> None:
        self._last_gap_ns = at_ns
        self.sequences.mark("", "", at_ns)

    def open(self) -> list[bytes]:
        for published in self.published.values():
            published.clear()
        for ordinals in self.ordinals.values():
            ordinals.reset()
        self.states.clear()
        self.messages.last = None
        self.sequences.reset()
        self.outages.reset()
        self.requests.reset()
        if (before := self._before) is not None:
            self._before = None
            for one, published in self.published.items():
                told_once = before.published.get(one, {}).items()
                published.update((symbol, told) for symbol, told in told_once if symbol in self.symbols)
            self._know(before)
            self.sequences.follow(before.sequences)
            self.requests.follow(before.requests)
            self._last_gap_ns = before._last_gap_ns
        heartbeat = self.venue.heartbeat
        beat = [heartbeat.begin] if heartbeat is not None and heartbeat.begin else []
        asked = self.requests.begin(self.last_receive_ns)
        if self.venue.notices:
            asked.append(self.venue.notices)
        return [*asked, *beat] if heartbeat is not None and heartbeat.last else [*beat, *asked]

    def follow(self, before: Self) -> None:
        self._before = before

    def succeed(self, before: Self) -> None:
        self.sequences.succeed(before.sequences)
        self.outages.succeed(before.outages)
        for event, ordinals in self.ordinals.items():
            if event in before.ordinals:
                ordinals.succeed(before.ordinals[event], self.symbols)
        for name in self.last_receive_ns.keys() & before.last_receive_ns.keys():
            self.last_receive_ns[name] = max(self.last_receive_ns[name], before.last_receive_ns[name])
        self._last_gap_ns = before._last_gap_ns

    def replace(self, before: Self) -> None:
        self.succeed(before)
        self._know(before)
        self.learn(before)

    def learn(self, other: Self) -> None:
        other.requests.reset()
        self.requests.follow(other.requests)

    def leave(self, heir: Self, at_ns: int) -> list[Gap]:
        return self.outages.leave(heir.outages, at_ns)

    def _know(self, before: Self) -> None:
        """What the venue has told already, of the streams that are here, too."""
        told = before.known.items()
        self.known.update(
            {
                name: events.copy()
                for name, events in told
                if name in self.subscriptions or name not in before.subscriptions
            }
        )

    def reached(self, event: MarketEvent) -> tuple[int, int] | None:
        if isinstance(event, Kline):
            return self._candle_reached(event) or self.sequences.reached(event)
        if has_id(event):
            return self.sequences.reached(event)
        ordinals = self.ordinals.get(type(event))
        return None if ordinals is None else ordinals.reached(event)

    def _candle_reached(self, event: Kline) -> tuple[int, int] | None:
        """Of candles that the next one closes."""
        for channel in self.venue.channels:
            told = self.states.get((channel.name, f"{event.symbol} {event.interval}"))
            if isinstance(told, Kline) and not event.closed:
                return (found.number, told.receive_time_ns) if (found := place(told)) else None
            if isinstance(told, Kline):
                return told.open_time_ns - 1, told.receive_time_ns
        return None

    def joined(self, event: MarketEvent, hole: tuple[int, int] | None) -> Gap | None:
        return self.outages.joined(event, self.sequences.skipped(event, *hole) if hole else None)

    def resubscribe(self, names: tuple[str, ...]) -> list[bytes]:
        return self.requests.renew(names)

    def silent(self, name: str, since_ns: int, at_ns: int) -> Gap | None:
        return self.outages.silent(name, since_ns, at_ns)

    def acknowledged(self, name: str, at_ns: int) -> list[Gap]:
        return self.outages.acknowledged(name, at_ns)

    def mark(self, stream: str, symbol: str, at_ns: int) -> None:
        self.sequences.mark(stream, symbol, at_ns)

    def marked(self, stream: str, symbol: str) -> int | None:
        return self.sequences.marked(stream, symbol)

    def close(self, at_ns: int) -> list[Gap]:
        return self.outages.close(at_ns)

    def ping(self) -> bytes | None:
        return (self.venue.heartbeat.ping or None) if self.venue.heartbeat else None

    # For the venue's framing.

    def control(self, payload: bytes) -> list[Item]:
        """A message that is no data."""
        items: list[Item] = []
        try:
            answers = self.venue.control(payload)
            if answers is None:
                return [Bad("unknown_event", sample(payload))]
            for answer in answers:
                items += self.requests.answered(answer) if isinstance(answer, Answer) else [answer]
        except FAILURES as error:
            return [*items, failure(error)]
        return items

    def unreadable(self, payload: bytes | memoryview, error: Exception) -> list[Item]:
        """A message that is not of the venue's form: nothing, if it is the answer to a ping."""
        pong = self.venue.heartbeat.pong if self.venue.heartbeat else b""
        is_known = (pong and payload == pong) or (self.venue.texts and bytes(payload) in self.venue.texts)
        return [] if is_known else [failure(error)]

    def accept(self, channel: Channel) -> Accept:
        """What makes items of the channel's elements."""
        return accept_elements(self, channel)

    def try_accept(
        self, channel: Channel, accept: Accept, d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str,
        received: int,
    ) -> list[Item]:  # fmt: skip
        """The same, where an element that gives no event is a `Bad` and a hole in its stream."""
        try:
            items = accept(d, e, sub, stream, symbol, received)
        except FAILURES as error:
            return self.lost(channel, symbol, stream, error, received)
        return self.outages.ended(items, stream, received) if self.outages.pending else items

    def lost(self, channel: Channel, symbol: str, stream: str, error: Exception, received: int) -> list[Item]:
        """An element gives no event: a hole in its stream."""
        bad = Bad("decimal", str(error)) if isinstance(error, NotPlain) else failure(error)
        return [bad, *self.hole(channel, symbol, stream, received)]

    def hole(self, channel: Channel, symbol: str, stream: str, received: int) -> list[Item]:
        """Of an element, in all that its stream feeds; a book may have to be asked for anew."""
        subscription = self.subscriptions.get(stream)
        for word in (subscription.feeds if subscription else ()) or (stream_type(channel.words[0]).value,):
            self.outages.failed(word, symbol, stream, received, whole=True)
        return books.lost(self, channel, ((stream, symbol),))

    def kind(self, channel: Channel, stream: str) -> tuple[Any, ...] | None:
        """What the stream's name says."""
        if stream not in self.kinds:
            if len(self.kinds) >= MAX_CACHED_NAMES:
                self.kinds.clear()
            self.kinds[stream] = channel.named(stream) if channel.named else None
        return self.kinds[stream]

    def series(self, one: Emit) -> dict[str, SeriesState]:
        """The series of its events, by symbol."""
        aggregated = one.fields.get("aggregated")
        return self.sequences.of(
            one.event, getattr(aggregated, "value", None) is True, whole=id(one) in self.whole_books
        )

    def counting(self, one: Emit) -> Count | None:
        """What gives its events their ordinals; None where they have ids. Whoever makes events without `accept` calls
        it for each, once it is sure that it is one."""
        return self.ordinals.setdefault(one.event, Ordinals(one.event)).count if is_counted(one) else None

    def forget_candle(self, channel: Channel, subscription: Subscription) -> None:
        """What was told last may not be the last state: the next candle does not close it, unless it is told again."""
        self.states.pop((channel.name, f"{subscription.symbol} {subscription.interval}"), None)


def numbered_apart(items: list[Item]) -> list[Item]:
    """Of one message: a liquidation that equals an earlier one gets the next ordinal."""
    seen: dict[tuple[object, ...], int] = {}
    for item in items:
        if type(item) is Liquidation:
            key = (item.symbol, item.transaction_time_ns, item.side, item.price, item.quantity)
            item.ordinal = seen.get(key, 0)
            seen[key] = item.ordinal + 1
    return items


def heard(session: VenueSession, name: str) -> list[Item]:
    """Data of a stream that has no answer yet, where data is one."""
    unheard = session.requests.unheard
    if name not in unheard:
        return []
    unheard.discard(name)
    return [Acked((name,))]
