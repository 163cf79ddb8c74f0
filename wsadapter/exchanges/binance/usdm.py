"""Binance USD-M futures: subscriptions and their replies, frames to events.

Frames are decoded by their type, not by what was asked for, combined (``{"stream":...,"data":...}``) or bare, single or
in arrays; symbols that are not of the feed and COIN-M contracts (``st`` 2) are dropped and counted.

`BinanceFutures.receive` decodes with one typed decoder; the usual trade or quote goes the straight way
(`wsadapter.exchanges.mapping`). What the decoder refuses is looked at again, slowly and element by element: replies are
answered, unwanted types passed over, and each lost frame or element becomes one `Bad`.

One instance belongs to one connection and holds what a socket needs: outstanding requests, the last funding seen and
the last ids (`sequences`); beyond a socket the holes that last (`holes`).
"""

from collections.abc import Sequence
from typing import Final, Self

from msgspec import Raw, Struct, ValidationError
from msgspec.json import Decoder

from wsadapter.events import Gap, Liquidation, MarketEvent, UpdateType
from wsadapter.events.decimals import NotPlain
from wsadapter.exchanges.binance import streams
from wsadapter.exchanges.binance.events import DECODERS, WORDS, books, routes
from wsadapter.exchanges.binance.wire import COIN_M, KNOWN, SHUTDOWN, UNWANTED, Wire
from wsadapter.exchanges.continuity import Sequences
from wsadapter.exchanges.mapping import Receive, Ways, receiver
from wsadapter.exchanges.outages import Holes
from wsadapter.exchanges.second_look import FAILURES, failure, number, present, text
from wsadapter.exchanges.venue import (
    Acked,
    AttemptLimit,
    Bad,
    ClosesSoon,
    ConnectionPlan,
    FeedSettings,
    Item,
    Refused,
    Reply,
    printable,
    sample,
)

MAX_CACHED_NAMES: Final = 4096
MAX_COMMAS: Final = 200_000
"""In an array frame that is looked at again; the whole market has some 20,000."""


class Frame(Struct, gc=False):
    """The combined envelope. A bare frame fails here and takes the slow way."""

    data: Wire | list[Wire]
    stream: str = ""


class LooseFrame(Struct):
    """Anything that is an object: what is it?"""

    data: Raw = Raw()
    stream: Raw = Raw()
    e: Raw = Raw()
    id: Raw = Raw()
    result: Raw = Raw()
    error: Raw = Raw()
    code: Raw = Raw()
    msg: Raw = Raw()


class LooseElement(Struct):
    """What tells whose an undecodable element was; ``o`` is forceOrder's, whose symbol is inside."""

    e: Raw = Raw()
    s: Raw = Raw()
    st: Raw = Raw()
    o: Raw = Raw()


_frame: Final = Decoder(Frame).decode
_loose_frame: Final = Decoder(LooseFrame).decode
_loose_element: Final = Decoder(LooseElement).decode
_element: Final = Decoder(Wire).decode
_array: Final = Decoder(list[Raw]).decode


class BinanceFutures:
    """See the module docstring, and `wsadapter.exchanges.venue.Exchange` for the contract."""

    message_interval = 0.2
    ack_timeout = 10.0
    max_streams = streams.MAX_STREAMS
    max_life = 86_400.0
    attempt_limit = AttemptLimit(300, 300.0)

    def __init__(self, plan: ConnectionPlan) -> None:
        self.connection = plan.connection
        self.last_receive_ns = {subscription.name: 0 for subscription in plan.subscriptions}
        self.cadences = streams.cadences(plan.subscriptions)
        self.sequences = Sequences(plan.exchange, plan.connection, plan.symbols)
        self.out_of_order = self.sequences.out_of_order
        self._holes = Holes(self.sequences, plan.subscriptions, self.last_receive_ns)
        self._last_gap_ns: int | None = None
        self.funding: dict[str, tuple[str, int | None]] = {}
        self._symbols = frozenset(plan.symbols)
        self._depth_kinds: dict[str, tuple[UpdateType, int] | None] = {}
        # request id -> names, oldest first
        self._outstanding: dict[int, tuple[str, ...]] = {}
        self._requests = 0
        self.receive: Receive = receiver(
            Ways(
                _frame, Frame, routes(self.sequences), books(self.sequences, self._depth_kinds), COIN_M,
                plan.connection, self.last_receive_ns, self._holes, self._accept_frame, self._look_again, FAILURES,
            )
        )  # fmt: skip

    @classmethod
    def plan(cls, feed: FeedSettings) -> list[ConnectionPlan]:
        return streams.plans(feed)

    @property
    def last_gap_ns(self) -> int | None:
        return self._last_gap_ns

    @last_gap_ns.setter
    def last_gap_ns(self, at_ns: int) -> None:
        self._last_gap_ns = at_ns
        self.sequences.mark("", "", at_ns)

    def open(self) -> list[bytes]:
        self.funding.clear()
        self.sequences.reset()
        self._holes.reset()
        self._outstanding.clear()
        return [self._subscribe(names) for names in streams.batches(self.last_receive_ns)]

    def follow(self, before: Self) -> None:
        self.funding.update(before.funding)
        self.sequences.follow(before.sequences)
        self._last_gap_ns = before._last_gap_ns

    def succeed(self, before: Self) -> None:
        self.sequences.succeed(before.sequences)
        self._holes.succeed(before._holes)
        for name, received_ns in before.last_receive_ns.items():
            self.last_receive_ns[name] = max(self.last_receive_ns[name], received_ns)
        self._last_gap_ns = before._last_gap_ns

    def reached(self, event: MarketEvent) -> tuple[int, int] | None:
        return self.sequences.reached(event)

    def joined(self, event: MarketEvent, hole: tuple[int, int] | None) -> Gap | None:
        return self._holes.joined(event, self.sequences.skipped(event, *hole) if hole else None)

    def resubscribe(self, names: tuple[str, ...]) -> list[bytes]:
        return [
            request
            for batch in streams.batches(names)
            for request in (self._request("UNSUBSCRIBE", batch, ()), self._subscribe(batch))
        ]

    def silent(self, name: str, since_ns: int, at_ns: int) -> Gap | None:
        return self._holes.silent(name, since_ns, at_ns)

    def close(self, at_ns: int) -> list[Gap]:
        return self._holes.close(at_ns)

    def ping(self) -> bytes | None:
        return None

    def _accept_frame(self, frame: Frame, receive_time_ns: int) -> list[Item]:
        wire, stream = frame.data, frame.stream
        if isinstance(wire, list):
            items = self._accept_all(wire, stream, receive_time_ns)
        else:
            # _accept, but what fails is looked at again
            if wire.s not in self._symbols or wire.st == COIN_M:
                return [Bad("foreign_symbol", printable(wire.s))]
            items = DECODERS[type(wire)](wire, self, stream, receive_time_ns)
            if self._holes.pending:
                items = self._holes.ended(items, stream, receive_time_ns)
        if stream in self.last_receive_ns:
            self.last_receive_ns[stream] = receive_time_ns
        return items

    def depth_of(self, stream: str) -> tuple[UpdateType, int] | None:
        kinds = self._depth_kinds
        if stream not in kinds:
            if len(kinds) >= MAX_CACHED_NAMES:
                kinds.clear()
            kinds[stream] = streams.depth_kind(stream)
        return kinds[stream]

    def _subscribe(self, names: tuple[str, ...]) -> bytes:
        return self._request("SUBSCRIBE", names, names)

    def _request(self, method: str, names: tuple[str, ...], acked: tuple[str, ...]) -> bytes:
        self._requests += 1
        self._outstanding[self._requests] = acked
        return streams.request(method, names, self._requests)

    def _accept(self, wire: Wire, stream: str, receive_time_ns: int) -> list[Item]:
        if wire.s not in self._symbols or wire.st == COIN_M:
            return [Bad("foreign_symbol", printable(wire.s))]
        try:
            items = DECODERS[type(wire)](wire, self, stream, receive_time_ns)
        except NotPlain as error:
            return [self._failed(wire, stream, receive_time_ns, Bad("decimal", str(error)))]
        except FAILURES as error:
            return [self._failed(wire, stream, receive_time_ns, failure(error))]
        return self._holes.ended(items, stream, receive_time_ns) if self._holes.pending else items

    def _failed(self, wire: Wire, stream: str, receive_time_ns: int, bad: Bad) -> Bad:
        """An event of the feed is lost: a hole in its stream."""
        word = WORDS[str(wire.__struct_config__.tag)]
        self._holes.failed(word, wire.s, stream, receive_time_ns)
        return bad

    def _accept_all(self, wires: Sequence[Wire | Bad | ClosesSoon], stream: str, receive_time_ns: int) -> list[Item]:
        """The elements of one array frame; a liquidation that equals an earlier one gets the next ordinal."""
        items: list[Item] = []
        seen: dict[tuple[object, ...], int] = {}
        for wire in wires:
            if isinstance(wire, Bad | ClosesSoon):
                items.append(wire)
                continue
            for item in self._accept(wire, stream, receive_time_ns):
                if type(item) is Liquidation:
                    key = (item.symbol, item.transaction_time_ns, item.side, item.price, item.quantity)
                    item.ordinal = seen.get(key, 0)
                    seen[key] = item.ordinal + 1
                items.append(item)
        return items

    def _look_again(self, payload: bytes | memoryview, receive_time_ns: int) -> list[Item]:
        """What the typed decoder refused."""
        try:
            frame = _loose_frame(payload)
        except ValidationError:  # no object: a bare array, or nothing that we know
            return self._elements(payload, "", receive_time_ns)
        except FAILURES as error:
            return [failure(error)]
        if bytes(frame.data):
            return self._elements(frame.data, text(frame.stream), receive_time_ns)
        if bytes(frame.e):
            return self._elements(payload, "", receive_time_ns)
        if bytes(frame.result) or bytes(frame.error) or bytes(frame.code):
            return self._replied(frame)
        return [Bad("unknown_event", sample(bytes(payload)))]

    def _elements(self, data: bytes | memoryview | Raw, stream: str, receive_time_ns: int) -> list[Item]:
        octets = bytes(data).lstrip()
        if octets[:1] != b"[":
            return self._accept_all(self._one(octets, stream, receive_time_ns), stream, receive_time_ns)
        if octets.count(b",") > MAX_COMMAS:
            return [Bad("range", "array frame")]
        try:
            elements = _array(octets)
        except FAILURES as error:
            return [failure(error)]
        wires = [found for each in elements for found in self._one(each, stream, receive_time_ns)]
        return self._accept_all(wires, stream, receive_time_ns)

    def _one(self, element: bytes | Raw, stream: str, receive_time_ns: int) -> list[Wire | Bad | ClosesSoon]:
        try:
            return [_element(element)]
        except FAILURES as error:
            return self._lost(element, error, stream, receive_time_ns)

    def _lost(
        self, element: bytes | Raw, error: Exception, stream: str, receive_time_ns: int
    ) -> list[Wire | Bad | ClosesSoon]:
        """Why an element gives no event; nothing for types that are none of ours."""
        try:
            loose = _loose_element(element)
        except ValidationError as refused:
            return [Bad("type", printable(str(refused)))]
        except FAILURES as refused:
            return [failure(refused)]
        kind = text(loose.e)
        if kind in UNWANTED:
            return []
        if kind == SHUTDOWN:
            return [ClosesSoon(kind)]
        if kind not in KNOWN:
            return [Bad("unknown_event", sample(bytes(element)))]
        symbol = text(loose.s) or _symbol_inside(loose.o)
        if symbol and (symbol not in self._symbols or number(loose.st) == COIN_M):
            return [Bad("foreign_symbol", printable(symbol))]
        if symbol:
            self._holes.failed(WORDS[kind], symbol, stream, receive_time_ns)
        return [failure(error)]

    def _replied(self, frame: LooseFrame) -> list[Item]:
        """An answer to a request. A refused batch is asked for again in halves, so that one bad name costs only itself;
        an error without an id belongs to the oldest request."""
        request = number(frame.id)
        failed = present(frame.error) or present(frame.code)
        if failed and request is None and self._outstanding:
            request = next(iter(self._outstanding))
        names = self._outstanding.pop(request, ()) if request is not None else ()
        if not failed:
            return [Acked(names)] if names else []
        if len(names) > 1:
            half = len(names) // 2
            return [Reply(self._subscribe(names[:half])), Reply(self._subscribe(names[half:]))]
        try:
            error = _loose_frame(frame.error) if present(frame.error) else frame
        except FAILURES:
            error = frame
        return [Refused(names, printable(str(number(error.code)), 16), printable(text(error.msg)))]


def _symbol_inside(order: Raw) -> str:
    try:
        return text(_loose_element(order).s)
    except FAILURES:
        return ""
