"""Framing of venues whose data says its own type: one typed decoder for a whole message.

Messages are decoded by their type, not by what was asked for, in their envelope or bare, single or in arrays; symbols
that are not of the feed are dropped and counted. What the typed decoder refuses is looked at again, slowly and element
by element: answers are handled, unwanted types passed over, and each lost message or element becomes one `Bad`.
"""

import contextlib
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

from msgspec import Raw, Struct, ValidationError, defstruct, structs
from msgspec.json import Decoder

from wsadapter.exchanges.by_key import ByKey, channel_of
from wsadapter.exchanges.planning import stream_type
from wsadapter.exchanges.scanner import Marks, scanner
from wsadapter.exchanges.second_look import FAILURES, failure, number, text
from wsadapter.exchanges.session import VenueSession, numbered_apart
from wsadapter.exchanges.venue import (
    Bad,
    Channel,
    ClosesSoon,
    Item,
    Receive,
    Subscription,
)
from wsadapter.text import printable, sample

MAX_COMMAS: Final = 200_000
"""In an array message that is looked at again; a whole market has some 20,000."""


class ByTag(Struct, frozen=True):
    """``frame``: the envelope, whose ``data`` is an ``element`` (a tagged union) or a list of them and whose ``stream``
    is the stream's name. Fields of an element: ``tag`` its type, ``symbol``, ``inside`` a Struct that has the symbol
    where the element does not, ``guard`` with the value ``unwanted`` for what is not of the feed. Types: ``ignored``
    holds nothing of ours, ``closing`` announces the end of the socket."""

    frame: type[Struct]
    element: Any
    tag: str
    symbol: str
    inside: str
    guard: str
    unwanted: int
    ignored: frozenset[str]
    closing: str

    def receiver(self, session: Any) -> Receive:
        made = TagReceiver(self, session)
        marks = Marks(self.symbol, self.inside, self.guard, self.unwanted)
        return scanner(_BY_STREAM, session, made.asked(), made.receive, marks)


class _Envelope(Struct):
    """A message, as far as its stream says what is in it."""

    stream: str
    data: Raw


_BY_STREAM: Final = ByKey(_Envelope, attrgetter("stream"))


class TagReceiver:
    """The messages of one session."""

    def __init__(self, framing: ByTag, session: VenueSession) -> None:
        self._framing, self._session = framing, session
        self._channels = {channel.wire: (channel, session.accept(channel)) for channel in session.venue.channels}
        self._accepts = {wire: accept for wire, (_, accept) in self._channels.items()}
        self._marks = attrgetter(framing.symbol, framing.guard)
        self._symbols, self._unwanted = session.symbols, framing.unwanted
        self._holes, self._received = session.outages, session.last_receive_ns
        self._by_tag = {str(wire.__struct_config__.tag): channel for wire, (channel, _) in self._channels.items()}
        self._element, self._array = Decoder(framing.element).decode, Decoder(list[Raw]).decode
        raw = [(name, Raw, Raw()) for name in (framing.tag, framing.symbol, framing.guard, framing.inside)]
        self._loose_element = Decoder(defstruct("LooseElement", raw)).decode
        self._loose_frame = Decoder(
            defstruct("LooseFrame", [(name, Raw, Raw()) for name in ("data", "stream", framing.tag)])
        ).decode
        self._decode_frame = Decoder(framing.frame).decode

    def receive(self, payload: bytes | memoryview, receive_time_ns: int) -> list[Item]:
        try:
            return self._accept_frame(self._decode_frame(payload), receive_time_ns)
        except FAILURES:
            return self._decode_loosely(payload, receive_time_ns)

    def asked(self) -> dict[str, tuple[Subscription, Channel]]:
        """The streams that were asked for. Types of events are told by their data, whatever a stream feeds."""
        asked, channels = {}, self._session.venue.channels
        for name, subscription in self._session.subscriptions.items():
            with contextlib.suppress(ValueError):
                asked[name] = structs.replace(subscription, feeds=()), channel_of(channels, subscription)
        return asked

    def _accept_frame(self, frame: Any, receive_time_ns: int) -> list[Item]:
        wire, stream = frame.data, frame.stream
        if isinstance(wire, list):
            items = self._accept_all(wire, stream, receive_time_ns)
        else:
            # as in _accept_one, but what fails is looked at again
            symbol, guard = self._marks(wire)
            if symbol not in self._symbols or guard == self._unwanted:
                return [Bad("foreign_symbol", printable(symbol))]
            items = self._accepts[type(wire)](wire, None, None, stream, symbol, receive_time_ns)
            if self._holes.pending:
                items = self._holes.ended(items, stream, receive_time_ns)
        if stream in self._received:
            self._received[stream] = receive_time_ns
        return items

    def _accept_one(self, wire: Any, stream: str, receive_time_ns: int) -> list[Item]:
        symbol, guard = self._marks(wire)
        if symbol not in self._symbols or guard == self._unwanted:
            return [Bad("foreign_symbol", printable(symbol))]
        channel, accept = self._channels[type(wire)]
        return self._session.try_accept(channel, accept, wire, None, None, stream, symbol, receive_time_ns)

    def _accept_all(self, wires: Sequence[Any], stream: str, receive_time_ns: int) -> list[Item]:
        items: list[Item] = []
        for wire in wires:
            if isinstance(wire, Bad | ClosesSoon):
                items.append(wire)
            else:
                items += self._accept_one(wire, stream, receive_time_ns)
        return numbered_apart(items)

    def _decode_loosely(self, payload: bytes | memoryview, receive_time_ns: int) -> list[Item]:
        """What the typed decoder refused."""
        try:
            frame: Any = self._loose_frame(payload)
        except ValidationError:  # no object: a bare array, or nothing that we know
            return self._elements(payload, "", receive_time_ns)
        except FAILURES as error:
            return self._session.unreadable(payload, error)
        if bytes(frame.data):
            return self._elements(frame.data, text(frame.stream), receive_time_ns)
        if bytes(getattr(frame, self._framing.tag)):
            return self._elements(payload, "", receive_time_ns)
        return self._session.control(bytes(payload))

    def _elements(self, data: bytes | memoryview | Raw, stream: str, receive_time_ns: int) -> list[Item]:
        octets = bytes(data).lstrip()
        if octets[:1] != b"[":
            return self._accept_all(self._decoded(octets, stream, receive_time_ns), stream, receive_time_ns)
        if octets.count(b",") > MAX_COMMAS:
            return [Bad("range", "array frame")]
        try:
            elements = self._array(octets)
        except FAILURES as error:
            return [failure(error)]
        wires = [wire for each in elements for wire in self._decoded(each, stream, receive_time_ns)]
        return self._accept_all(wires, stream, receive_time_ns)

    def _decoded(self, element: bytes | Raw, stream: str, receive_time_ns: int) -> list[Any]:
        try:
            return [self._element(element)]
        except FAILURES as error:
            return self._lost(element, error, stream, receive_time_ns)

    def _lost(self, element: bytes | Raw, error: Exception, stream: str, receive_time_ns: int) -> list[Any]:
        """Why an element gives no event; nothing for types that are none of ours."""
        framing = self._framing
        try:
            loose: Any = self._loose_element(element)
        except ValidationError as refused:
            return [Bad("type", printable(str(refused)))]
        except FAILURES as refused:
            return [failure(refused)]
        kind = text(getattr(loose, framing.tag))
        if kind in framing.ignored:
            return []
        if kind == framing.closing:
            return [ClosesSoon(kind)]
        if kind not in self._by_tag:
            return [Bad("unknown_event", sample(bytes(element)))]
        symbol = text(getattr(loose, framing.symbol)) or self._symbol_inside(getattr(loose, framing.inside))
        is_unwanted = number(getattr(loose, framing.guard)) == framing.unwanted
        if symbol and (symbol not in self._symbols or is_unwanted):
            return [Bad("foreign_symbol", printable(symbol))]
        if symbol:
            self._holes.failed(_word(self._by_tag[kind]), symbol, stream, receive_time_ns)
        return [failure(error)]

    def _symbol_inside(self, element: Raw) -> str:
        try:
            loose: Any = self._loose_element(element)
        except FAILURES:
            return ""
        return text(getattr(loose, self._framing.symbol))


def _word(channel: Channel) -> str:
    return stream_type(channel.words[0]).value
