"""Framing of venues whose messages name their stream: envelope first, then the data by the stream's own wire Struct.

A message of a stream that was asked for is data from the moment it was asked for, whether or not the answer has come.
Elements are decoded all at once; where that fails, one by one: a bad element costs only its own event, and the book
that it may have changed, where nothing numbers the changes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from msgspec import Raw, Struct, structs
from msgspec.json import Decoder

from wsadapter.events import Liquidation
from wsadapter.events.gaps import GapCause
from wsadapter.exchanges.accepting import Accept
from wsadapter.exchanges.books import UNBEGUN, lost
from wsadapter.exchanges.naming import Spelled
from wsadapter.exchanges.scanner import scanner
from wsadapter.exchanges.second_look import FAILURES, failure
from wsadapter.exchanges.session import MAX_CACHED_NAMES, VenueSession, heard, numbered_apart
from wsadapter.exchanges.unasked import unasked
from wsadapter.exchanges.venue import Bad, Candles, Channel, Checked, Follows, Item, Receive, Reply, Subscription
from wsadapter.text import printable

MAX_COMMAS: Final = 200_000
"""In a message that is taken apart element by element."""
Decode = Callable[[Raw | bytes | memoryview], Any]
AcceptAll = Callable[[Sequence[Any], Any, int], list[Item]]
"""(elements, `Bad` in the place of each that is none; envelope; receive time) -> items."""


class ByKey(Struct, frozen=True):
    """``envelope``: a Struct with the elements in ``data`` (`Raw`); ``key`` tells the stream's name from it, empty
    where the message is no data. ``element``: of venues whose messages name only what comes before the ``{`` of a
    channel's name: the stream's name from envelope and element. ``spoken``: a stream's name, or a channel's, as data
    say it, where it says more than they do (levels, say). ``sequence``: of venues that number all messages of a
    connection: this one's number, None where it has none. ``elements``: where they are in the envelope; None: the
    message is one itself. ``notices``: names under which `Venue.control` is told something. ``bare``: of recordings of
    sockets whose messages are elements without an envelope: the stream's name from the message, empty where it is none.

    For C, of usual messages, where these are functions: ``spelled`` is the name that ``key`` makes, or the stream's
    whole name, or what ``usually`` makes of it; ``inside`` what ``element`` reads: what a channel's name has in braces
    (``*``: all behind the first one) -> the element's field, or that of other elements; ``alone``: ``elements`` says
    None; ``usual_elements``: the field of the envelope that it reads."""

    envelope: type[Struct]
    key: Callable[[Any], str]
    element: Callable[[Any, Any], str] | None = None
    spoken: Callable[[str], str] = str
    sequence: Callable[[Any], int | None] | None = None
    elements: Callable[[Any], Raw | None] = attrgetter("data")
    notices: frozenset[str] = frozenset()
    bare: Callable[[bytes], str] | None = None
    spelled: Spelled | None = None
    usually: Callable[[str], str] = str
    inside: Mapping[str, tuple[str, ...]] = {}
    alone: bool = False
    usual_elements: str = ""

    def receiver(self, session: Any) -> Receive:
        made = KeyReceiver(self, session)
        return scanner(self, session, made.asked, made.receive)


class _Reading:
    """How the elements of a channel are read."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.many = channel.many
        wire: Any = channel.within.wire if channel.within else channel.wire
        self.decode: Decode = Decoder(list[wire] if channel.many else wire, strict=not channel.lax).decode
        self.decode_one: Decode = Decoder(wire, strict=not channel.lax).decode


class _Stream(_Reading):
    """One subscription and how its elements are read. ``received``: of streams by name, when each was."""

    def __init__(
        self, session: VenueSession, channel: Channel, subscription: Subscription, received: dict[str, int]
    ) -> None:
        super().__init__(channel)
        self.subscription = subscription
        self.accept = _accepting(session, channel, subscription, received)


def _accepting(
    session: VenueSession, channel: Channel, subscription: Subscription, received: dict[str, int]
) -> AcceptAll:
    """What makes items of one message's elements."""
    accept, name, symbol = session.accept(channel), subscription.name, subscription.symbol
    if channel.symbol:
        accept = _of_the_market(session, channel, subscription, accept)
    outages, unheard = session.outages, session.requests.unheard
    is_forced, is_nested = any(one.event is Liquidation for one in channel.emits), channel.within is not None

    def accept_all(elements: Sequence[Any], envelope: Any, receive_time_ns: int) -> list[Item]:
        items: list[Item] = heard(session, name) if name in unheard else []
        lost, begun = 0, True
        for element in elements:
            if type(element) is Bad:
                lost += 1
                items += element, *session.hole(channel, symbol, name, receive_time_ns)
                continue
            try:
                made = accept(element, envelope, subscription, name, symbol, receive_time_ns)
            except FAILURES as error:
                items += session.lost(channel, symbol, name, error, receive_time_ns)
                continue
            if made and (made[0] is UNBEGUN or made[-1] is UNBEGUN):
                begun = False
            items += outages.ended(made, name, receive_time_ns) if outages.pending else made
        if is_forced and (is_nested or len(elements) > 1):
            numbered_apart(items)
        if begun and lost < len(elements):
            received[name] = receive_time_ns
        return items

    return accept_all


def _of_the_market(session: VenueSession, channel: Channel, subscription: Subscription, accept: Accept) -> Accept:
    """The same for elements that name their own symbols; what is lost of one costs only that."""
    read, within = attrgetter(channel.symbol), channel.within
    of_symbol = {symbol: structs.replace(subscription, symbol=symbol) for symbol in session.symbols}

    def accept_if_of_the_feed(
        d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int
    ) -> list[Item]:
        one = of_symbol.get(read(d))
        if one is None:
            return []
        inner, envelope = ((d,), e) if within is None else (getattr(d, within.field), d)
        items: list[Item] = []
        for each in inner:
            items += session.try_accept(channel, accept, each, envelope, one, stream, one.symbol, received)
        return items

    return accept_if_of_the_feed


class KeyReceiver:
    """The messages of one session."""

    def __init__(self, framing: ByKey, session: VenueSession) -> None:
        self._key, self._element_key, self._session = framing.key, framing.element, session
        self._notices, self._bare = framing.notices, framing.bare
        self._sequence, self._spoken, self._elements = framing.sequence, framing.spoken, framing.elements
        self._envelope, self._array = Decoder(framing.envelope).decode, Decoder(list[Raw]).decode
        self._channels = session.venue.channels
        self._streams: dict[str, _Stream] = {}
        """By what their data name."""
        self._any = {self._spoken(each.name).partition("{")[0]: _Reading(each) for each in self._channels[::-1]}
        """A channel, by what its messages name; that of a stream that was asked for, where several are named alike."""
        for name, each in session.subscriptions.items():
            stream = _Stream(session, channel_of(self._channels, each), each, session.last_receive_ns)
            self._streams[self._spoken(name)] = stream
            self._any[self._spoken(stream.channel.name).partition("{")[0]] = stream
        self._most = len(self._streams) + MAX_CACHED_NAMES
        self.asked = {name: (each.subscription, each.channel) for name, each in self._streams.items()}
        """The streams that were asked for."""

    def receive(self, payload: bytes | memoryview, receive_time_ns: int) -> list[Item]:
        try:
            envelope: Any = self._envelope(payload)
            name = self._key(envelope)
            if self._sequence is not None and (number := self._sequence(envelope)) is not None:
                before, self._session.messages.last = self._session.messages.last, number
                if before is not None and number != before + 1:
                    return [*self._missed(receive_time_ns), *self._receive(payload, envelope, name, receive_time_ns)]
        except FAILURES as error:
            return self._session.unreadable(payload, error)
        return self._receive(payload, envelope, name, receive_time_ns)

    def _receive(self, payload: bytes | memoryview, envelope: Any, name: str, receive_time_ns: int) -> list[Item]:
        if not name or name in self._notices:
            return self._control(payload, envelope, receive_time_ns)
        if self._element_key is not None:
            return self._accept_apart(name, envelope, receive_time_ns)
        stream = self._stream(name)
        if stream is None:
            return [Bad("foreign_symbol", printable(name))]
        try:
            data = self._elements(envelope)
        except FAILURES as error:
            return stream.accept((failure(error),), envelope, receive_time_ns)
        elements: Sequence[Any]
        if data is None:
            elements = (_element(stream, payload),)
        else:
            elements = self._decoded(stream, data)
            if stream.channel.newest_first:
                elements = elements[::-1]
        return stream.accept(elements, envelope, receive_time_ns)

    def _control(self, payload: bytes | memoryview, envelope: Any, receive_time_ns: int) -> list[Item]:
        """What is no data, as far as its envelope says."""
        octets = bytes(payload)
        try:
            name = self._bare(octets) if self._bare is not None else ""
        except FAILURES:
            name = ""
        stream = self._stream(name) if name else None
        if stream is None:
            return [Bad("foreign_symbol", printable(name))] if name else self._session.control(octets)
        return stream.accept((_element(stream, octets),), envelope, receive_time_ns)

    def _missed(self, receive_time_ns: int) -> list[Item]:
        """Messages of the connection are missing, of whichever streams: a gap in each whose own numbers do not tell,
        and books are asked for anew."""
        session, broken = self._session, []
        for stream in self._streams.values():
            subscription, numbering = stream.subscription, stream.channel.numbering
            name = subscription.name
            if isinstance(numbering, Follows):
                continue
            for word in subscription.feeds or (subscription.stream.value,):
                session.outages.failed(word, subscription.symbol, name, receive_time_ns, GapCause.SEQUENCE)
            if isinstance(numbering, Candles):
                session.forget_candle(stream.channel, subscription)
            if isinstance(numbering, Checked) and not (book := session.sequences.books[subscription.symbol]).waiting:
                book.waiting = True
                broken.append(name)
        return [Reply(request) for request in session.requests.renew(broken)]

    def _stream(self, name: str) -> _Stream | None:
        """By our name, or by the one that the venue has given it, or one that nobody asked for."""
        stream = self._streams.get(name) or self._streams.get(
            self._spoken(self._session.requests.aliases.get(name, ""))
        )
        if stream is not None or len(self._streams) >= self._most:
            return stream
        try:
            found = unasked(self._channels, self._spoken, self._session.symbols, name)
        except FAILURES:  # a name that is none of the venue's
            return None
        if found is not None:
            stream = self._streams[name] = _Stream(self._session, *found, {})
        return stream

    def _accept_apart(self, name: str, envelope: Any, receive_time_ns: int) -> list[Item]:
        """A message of any streams of one channel."""
        anyone = self._any.get(name)
        if anyone is None or self._element_key is None:
            return [Bad("foreign_symbol", printable(name))]
        items: list[Item] = []
        of_stream: dict[str, list[Any]] = {}
        try:
            elements = self._decoded(anyone, self._elements(envelope) or Raw())
        except FAILURES as error:
            elements = (failure(error),)
        for element in elements:
            lost = element if type(element) is Bad else None
            if lost is None:
                try:
                    of_stream.setdefault(self._element_key(envelope, element), []).append(element)
                except FAILURES as error:
                    lost = failure(error)
            if lost is not None:
                items += lost, *self._any_lost(anyone.channel, receive_time_ns)
        for key, elements in of_stream.items():
            if (stream := self._stream(key)) is None:
                items += [Bad("foreign_symbol", printable(key))] * len(elements)
            else:
                items += stream.accept(elements, envelope, receive_time_ns)
        return items

    def _any_lost(self, channel: Channel, receive_time_ns: int) -> list[Item]:
        """An element that does not say whose it is: of a channel of books it may be a change of any that has begun."""
        if not isinstance(channel.numbering, Checked):
            return []
        session = self._session
        books = [each.subscription for each in self._streams.values() if each.channel is channel]
        begun = [book for book in books if (channel.name, book.name) in session.states]
        for book in begun:
            session.outages.failed(book.stream.value, book.symbol, book.name, receive_time_ns, whole=True)
        return lost(session, channel, [(book.name, book.symbol) for book in begun])

    def _decoded(self, stream: _Reading, data: Raw) -> Sequence[Any]:
        """The elements; `Bad` in the place of each that is none. Where lists are usual one element may be alone."""
        try:
            elements = stream.decode(data)
        except FAILURES as error:
            if stream.many and bytes(data)[:1] == b"{":
                return [_element(stream, data)]
            if stream.many and bytes(data).count(b",") <= MAX_COMMAS:
                try:
                    return [_element(stream, each) for each in self._array(data)]
                except FAILURES:
                    pass
            return [failure(error)]
        return elements if stream.many else (elements,)


def _element(stream: _Reading, element: Raw | bytes | memoryview) -> Any:
    try:
        return stream.decode_one(element)
    except FAILURES as error:
        return failure(error)


def channel_of(channels: Sequence[Channel], subscription: Subscription) -> Channel:
    """That of a stream: the first one whose name has the channel's form, and of which ``named`` knows something."""
    for channel in channels:
        form = ".*".join(map(re.escape, re.split(r"\{\w+\}", channel.name)))
        if re.fullmatch(form, subscription.name) and (channel.named is None or channel.named(subscription.name)):
            return channel
    raise ValueError(f"{printable(subscription.name)} is no stream of this venue")
