"""What an exchange module is: frames in, events and replies out.

Sans-I/O: no socket, no await, no clock, no logging. `wsadapter.client.client` owns the socket and the time and calls an
exchange from its read callback; tests call it with recorded frames. One instance serves one connection plan through all
its reconnects; `Exchange.open` begins a new socket. Where a socket is to follow another one without a hole, for a while
there are two of the same plan: the new one `follow`s, and when the old socket has ended it `succeed`s.

Guarantee: `Exchange.receive` raises for no input whatever, as long as a venue's functions raise nothing of it but
`wsadapter.exchanges.second_look.FAILURES`. What it could not use comes back as `Bad`, one for each
frame (or element of an array frame) that was lost, so that losses are counted by kind.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

from msgspec import Struct

from wsadapter.events import Gap, MarketEvent, StreamType
from wsadapter.exchanges.checked_book import CheckedBook
from wsadapter.exchanges.mapping import Emit


class FeedSettings(Protocol):
    """What a plan is made from: `config.model.Feed` and `wsadapter.client.client.ConnectionConfig` have it."""

    @property
    def name(self) -> str: ...
    @property
    def exchange(self) -> str: ...
    @property
    def symbols(self) -> Sequence[str]: ...
    @property
    def streams(self) -> Sequence[str]: ...
    @property
    def intervals(self) -> Sequence[str]: ...
    @property
    def depth_levels(self) -> int: ...
    @property
    def depth_speed(self) -> str: ...
    @property
    def testnet(self) -> bool: ...
    @property
    def ws_url(self) -> str: ...


class Subscription(Struct, frozen=True):
    """One stream as the venue names it. ``stream`` is the first of the stream types that it feeds."""

    name: str
    stream: StreamType
    symbol: str
    interval: str = ""
    feeds: tuple[str, ...] = ()
    """Those of its stream's words that are wanted, where it has several or is named otherwise. Empty: its stream's."""
    by_successor: bool = False
    """Of candles: none says that it is closed, the next one does."""


class Cadence(Struct, frozen=True):
    """How long a stream is silent at most while all is well, in seconds: ``first`` before anything is known of it, then
    ``silence``, or, where it follows its market (``rhythm``, 0 = it does not), what it has taught if that is more:
    ``rhythm`` times its mean interval, and more than its longest silence, see `wsadapter.client.staleness`. ``reply``:
    seconds after each acknowledgement in which it sends something whatever its market does (a snapshot, say), 0 = it
    need not. A venue that has sent nothing by then has acknowledged the subscription and forgotten it, or means to
    refuse it: the stream is stale, and asked for anew."""

    silence: float = math.inf
    first: float = math.inf
    rhythm: float = 0.0
    reply: float = 0.0


class AttemptLimit(Struct, frozen=True):
    """At most so many attempts to connect in any so many seconds, from one address to one host of the venue; or
    requests, on whichever of its sockets."""

    attempts: int
    seconds: float


class ConnectionPlan(Struct, frozen=True):
    """One connection: where to, and the desired state after every (re)connect. ``symbols`` are those of the whole feed,
    in the venue's own text: events of any other symbol are dropped and counted. ``root``: its class, see `Hosts`;
    ``headers``: of the handshake."""

    connection: str
    exchange: str
    url: str
    subscriptions: tuple[Subscription, ...]
    symbols: tuple[str, ...]
    root: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Acked(Struct, frozen=True):
    """The venue accepted these subscriptions (names)."""

    names: tuple[str, ...]


class Refused(Struct, frozen=True):
    """The venue refused these subscriptions (names; empty when it did not say which request it means). ``again`` False:
    to ask for them once more would end the connection."""

    names: tuple[str, ...]
    code: str
    message: str
    again: bool = True


class Bad(Struct, frozen=True):
    """A frame, or an element of an array frame, that gives no event. ``kind``: json utf8 depth type decimal range
    unknown_event foreign_symbol binary oversize other. ``detail`` is bounded and printable."""

    kind: str
    detail: str


class ClosesSoon(Struct, frozen=True):
    """The venue has announced that it will close this socket (``announced``), or it will be of no use for much longer:
    time for another one."""

    detail: str
    announced: bool = True


class Reply(Struct, frozen=True):
    """Send this to the venue, paced like the requests of `Exchange.open`. ``is_request``: and an `Acked` or `Refused`
    follows, else it is the answer to what the venue asked. ``pause``: in so many seconds, and nothing else before."""

    payload: bytes
    is_request: bool = True
    pause: float = 0.0


Item = MarketEvent | Acked | Refused | Bad | ClosesSoon | Reply


Receive = Callable[[bytes | memoryview, int], list[Item]]
"""(message, receive time) -> items."""


class Exchange(Protocol):
    """One venue on one connection. See the module docstring."""

    rest: ClassVar[str]
    """``module:Class`` of its REST side, see `wsadapter.exchanges.rest_api`; empty: it has none."""
    message_interval: float
    """Seconds between two requests of ours."""
    ack_timeout: float
    """Seconds after the last request by which every subscription must be acked or refused."""
    max_streams: int
    """Most subscriptions on one connection."""
    attempt_limit: AttemptLimit
    address_streams: int
    """Most subscriptions of all connections from one address; 0: no limit is known."""
    message_limit: AttemptLimit | None
    """Of requests on all sockets together, where the venue counts them by address; None: it does not."""
    max_life: float
    """Seconds after which the venue cuts a connection, 0 = never."""
    ping_every: float
    """Seconds between two application level pings, whatever else is sent; 0: only where nothing came for a while."""
    aside: frozenset[bytes]
    """Requests of `open` that no `Acked` or `Refused` follows."""
    dated: bytes
    """What in requests and pings ends with a digit in whose place their sender writes the time, in seconds; empty: not
    dated."""

    last_gap_ns: int | None
    """Receive time of the last gap of this whole connection: copied into every event from now on."""
    last_receive_ns: dict[str, int]
    """Subscription name -> receive time of its last good frame (0 = none yet). Its keys never change."""
    cadences: dict[str, Cadence]
    """Subscription name -> how often it speaks; streams without one may be silent for ever."""
    out_of_order: Counter[str]
    """Stream word -> events whose id was not above the highest one: repeats and old ones. They are published."""

    def __init__(self, plan: ConnectionPlan) -> None: ...

    @classmethod
    def plan(cls, feed: FeedSettings, before: Mapping[str, Sequence[str]] = ...) -> list[ConnectionPlan]:
        """The connections that a feed needs; raises `ConfigError` for what the venue does not offer. ``before``:
        connection -> names of its subscriptions, where there are some: those that stay should stay where they are."""

    def open(self) -> list[bytes]:
        """A new socket is up: forget the old one's state, return the requests that bring the desired state."""

    def receive(self, payload: bytes | memoryview, receive_time_ns: int) -> list[Item]:
        """Decode one message. ``payload`` is only borrowed for the call. Never raises. A hole in a sequence is a `Gap`
        before the event that showed it, and so is the end of a silence or of a run of undecodable events."""

    def resubscribe(self, names: tuple[str, ...]) -> list[bytes]:
        """Requests that end these subscriptions and ask for them anew; `Acked` follows as for `open`."""

    def silent(self, name: str, since_ns: int, at_ns: int) -> Gap | None:
        """Told that a stream is stale: the `Gap` (no end yet) from its last event on, or from ``since_ns``; None when
        it was told before. The gap's end comes from `receive`, before the first event after."""

    def acknowledged(self, name: str, at_ns: int) -> list[Gap]:
        """Told that a stream which may be silent for ever, and was refused, is taken again: the ends of its gaps."""

    def mark(self, stream: str, symbol: str, at_ns: int) -> None:
        """Events of this stream word and symbol come after a gap that was noticed elsewhere; empty: those of all."""

    def marked(self, stream: str, symbol: str) -> int | None:
        """The ``last_gap_ns`` of the next event of this stream word and symbol."""

    def close(self, at_ns: int) -> list[Gap]:
        """No socket follows: the ends of the gaps that last."""

    # Two instances are of the same plan, or of two plans of one connection that differ in symbols and subscriptions.

    def follow(self, before: Self) -> None:
        """Told before `open` that another instance still receives: what that has told needs no repetition here (funding
        rates, times of gaps), and what it has learned of subscriptions is known."""

    def leave(self, heir: Self, at_ns: int) -> list[Gap]:
        """Told before ``heir`` succeeds or replaces this one: the ends of the gaps of streams that it does not have."""

    def succeed(self, before: Self) -> None:
        """The socket of ``before`` has ended and this one goes on: take over what lasts there, gaps and ids, and what
        events name. The gaps that were found here meanwhile are named when they are published (`mark`)."""

    def replace(self, before: Self) -> None:
        """Told before `open`: the socket of ``before`` has ended, and the next one is asked for other subscriptions."""

    def learn(self, other: Self) -> None:
        """The socket of ``other`` is given up: what it found out of subscriptions is known from now on."""

    def reached(self, event: MarketEvent) -> tuple[int, int] | None:
        """Number and receive time of the last event of the same numbered series, see `wsadapter.events.sequence`; None
        where there was none, or no numbers are."""

    def joined(self, event: MarketEvent, hole: tuple[int, int] | None) -> Gap | None:
        """Told after `succeed`: this event, received before it, is the next one of its series. ``hole``: number and
        receive time of the series' last event, where this one does not continue it. The `Gap` between the two: the
        ids', the end of a silence, or both in one."""

    def ping(self) -> bytes | None:
        """The venue's application level ping, or None where WebSocket pings do."""


# ------------------------------------------------------------------------------------------------- a venue as tables


class Unnumbered(Struct, frozen=True):
    """Events that nothing orders; what tells two of them apart, if anything, says `wsadapter.events.streams`."""


class Follows(Struct, frozen=True):
    """An event brings ``number`` and continues the one whose number was ``previous`` (wire fields; left out: the number
    before). Books: snapshots of the top levels are no part of the series (only the last one's number is kept, for a
    hand-over to another socket), unless ``resubscribe``: then a snapshot begins the series, changes without one are
    lost, and after a gap the stream is asked for anew; a change that brings its own predecessor's number is a sign of
    life and no event, and one whose number is None is not checked. Where the venue does not name the number before, but
    an event has several: ``count`` says how many up to its own, ``first`` (of books) which is the first of them.
    ``repeats``: whether a message, by its envelope, tells the newest ones again, as after each subscription; those that
    are known already are passed over, by their ``identity`` where numbers may begin anew. ``unnamed``: what
    stands in the place of ``previous`` where a change of such a book names none, after a restart say: that is a gap,
    whatever its number. ``overlaps``: the first change after a snapshot of such a book may begin before it."""

    number: str
    previous: str = ""
    resubscribe: bool = False
    count: str = ""
    first: str = ""
    repeats: Callable[[Any], bool] | None = None
    identity: str = ""
    unnamed: int | None = None
    overlaps: bool = False


class Rises(Struct, frozen=True):
    """Numbers only grow; what is not above the last one is a repeat or an older state. None is no number."""

    number: str


class Repeats(Struct, frozen=True):
    """``identity`` tells events apart and says nothing of their order; the venue tells the newest ones again, as after
    each subscription. What is among the last ``most`` of its symbol is passed over."""

    identity: str
    most: int = 200


class Candles(Struct, frozen=True):
    """Closed candles leave no open time out, unless ``sparse``: the venue makes none where nobody traded.
    ``by_successor``: its last state is closed when the next one comes, unless the venue has said so before."""

    by_successor: bool = False
    sparse: bool = False


class Checked(Struct, frozen=True):
    """Books without numbers whose messages bring a checksum, or whose connection is numbered. ``checksum`` reads it
    from an element (None: this one has none), ``compute`` makes it of the book, ``levels`` tells by the stream's name
    how many the venue keeps. A snapshot begins the book, changes without one are lost, and after a wrong checksum, or
    a change that cannot be read, the stream is asked for anew. None: the connection's numbers are all the proof that
    there is, or there is none."""

    checksum: Callable[[Any], int | None] | None = None
    compute: Callable[[CheckedBook], int] = lambda book: 0
    levels: Callable[[str], int] = lambda name: 0


Numbering = Unnumbered | Follows | Rises | Repeats | Candles | Checked


class Latest(Struct, frozen=True):
    """A stream that sends all once, then what changed: the last state of each symbol is kept, for one socket. Envelope
    field ``kind`` says ``snapshot`` for all of it."""

    kind: str
    snapshot: str = "snapshot"


class Within(Struct, frozen=True):
    """Elements that come in lists, each list in ``field`` of a ``wire`` Struct that says what all of them share."""

    wire: type[Struct]
    field: str


class Channel(Struct, frozen=True):
    """One stream of the venue: what it is called, what it carries, what that becomes.

    ``words``: the words of the configuration that it feeds; ``name`` may hold {symbol} {lower} {interval} and what
    `Venue.names` gives; ``root``: on which socket. ``numbering`` is that of the first of its ``emits``. ``many``: the
    data is a list of elements. ``intervals``: our code -> the venue's; None: the stream has none. ``named``: what a
    stream's name says of its elements beside the payload, None for a name that is not of this channel. ``wanted``:
    which feeds the channel is for, where another one has the same words (None: all). ``lax``: numbers come as text, and
    the wire Struct names their types.

    ``offered``: which symbols have this stream, None: all. ``symbol``: of a stream of the whole market, whose name
    has no symbol in it: the field with an element's own; elements of symbols that are not of the feed are passed
    over. ``newest_first``: so lists of elements come. ``within``: elements come in lists inside others, which then
    have the ``symbol`` and are the envelope of theirs."""

    words: tuple[str, ...]
    name: str
    wire: type[Struct]
    emits: tuple[Emit, ...]
    numbering: Numbering = Unnumbered()
    root: str = ""
    many: bool = False
    latest: Latest | None = None
    intervals: Mapping[str, str] | None = None
    named: Callable[[str], tuple[Any, ...] | None] | None = None
    lax: bool = False
    wanted: Callable[[FeedSettings], bool] | None = None
    offered: Callable[[str], bool] | None = None
    symbol: str = ""
    within: Within | None = None
    newest_first: bool = False


class Hosts(Struct, frozen=True):
    """``paths``: root (as in connection names) -> path. ``shared``: the same where one address stands for all hosts of
    an exchange (``ws_url`` of a feed), if that differs. ``headers``: of each handshake."""

    live: str
    testnet: str
    paths: Mapping[str, str]
    shared: Mapping[str, str] = {}
    headers: tuple[tuple[str, str], ...] = ()


class Limits(Struct, frozen=True):
    """What the venue allows, and how long we wait; seconds. ``max_life`` 0: connections are not cut. ``octets``: of all
    the names that one connection asks for, see `wsadapter.exchanges.protocol.cut`. ``messages``: of all connections
    from one address, where it counts those (``message_interval`` is one connection's pace). ``on_address``:
    subscriptions of all connections from one address; 0: no limit is known."""

    streams: int
    message_interval: float
    attempts: AttemptLimit
    ack_timeout: float = 10.0
    max_life: float = 0.0
    octets: int = 1 << 30
    messages: AttemptLimit | None = None
    on_address: int = 0


class Heartbeat(Struct, frozen=True):
    """The venue's own ping. ``every``: seconds, whatever else is sent; 0: only where nothing came for a while.
    ``pong``: the answer, where that is no message of the venue's form. ``begin``: what asks the venue for heartbeats of
    its own, the first request of every socket, or the ``last``; its answer is for `Venue.control` to pass over, or
    lists what stands."""

    ping: bytes
    every: float = 0.0
    pong: bytes = b""
    begin: bytes = b""
    last: bool = False


class Answer(Struct, frozen=True):
    """What the venue answers to a request: the one with this ``id``; without one those that asked for (``begin`` False:
    that ended) these ``names``; without either the oldest. ``about``: of a request's names only those of which this is
    true, where the venue does not say them whole. ``error``: code and message.

    ``everything``: ``names`` are all that the venue took of the request, what is not among them is refused. Where they
    are as many as were asked for, an unknown one is the venue's other name for the stream in its place: data come under
    that. ``standing``, too: they are all that the connection has now, by requests before this one as well. ``again``:
    the request was not looked at (too many of them, the venue's own trouble), and is made once more after a pause."""

    id: int | None
    error: tuple[str, str] | None = None
    names: tuple[str, ...] = ()
    everything: bool = False
    standing: bool = False
    begin: bool = True
    about: Callable[[str], bool] | None = None
    again: bool = False


class Requests(Struct, frozen=True):
    """How streams are asked for: ``build(begin, names, id)``, at most so many names and octets of names in one request,
    and only names of one ``group`` (a channel, say; None: any names), ``in_flight`` requests unanswered.
    ``data_acks``: data may come before the answer, and is one. ``may_close``: the venue may end the connection for
    a name that it does not know; which one is then looked for. ``ends``: that a stream has ended is answered for sure;
    where it is not, no answer is waited for. ``dated``: see `Exchange.dated`. ``on_socket``: so many requests
    one connection takes in its life (0: any number); before they are used up another one is asked for."""

    build: Callable[[bool, tuple[str, ...], int], bytes]
    most: int
    octets: int
    in_flight: int = 1 << 30
    data_acks: bool = False
    may_close: bool = False
    group: Callable[[str], str] | None = None
    ends: bool = True
    dated: bytes = b""
    on_socket: int = 0


class Framing(Protocol):
    """How a message is told from another: `wsadapter.exchanges.by_tag`, `wsadapter.exchanges.by_key`."""

    def receiver(self, session: Any) -> Receive:
        """What takes the messages of a `wsadapter.exchanges.session.VenueSession`."""


class Venue(Struct, frozen=True):
    """One venue. ``control``: what a message that is no data says (answers, the notice that the socket will be closed,
    what is to be sent), None where it is nothing known. ``check``: what
    of a feed the venue does not offer, beside words and intervals; ``names``: the feed's part of channel names."""

    word: str
    hosts: Hosts
    limits: Limits
    requests: Requests
    framing: Framing
    channels: tuple[Channel, ...]
    control: Callable[[bytes], Sequence[Answer | ClosesSoon | Reply] | None]
    cadences: Mapping[StreamType, Cadence]
    check: Callable[[FeedSettings], list[tuple[str, str]]] = lambda feed: []
    names: Callable[[FeedSettings], Mapping[str, str]] = lambda feed: {}
    spell: Callable[[str], str] = str
    """A symbol of the feed as the venue writes it."""
    texts: frozenset[bytes] = frozenset()
    """Messages that are no JSON and say nothing: a greeting."""
    foreign: frozenset[str] = frozenset("*@/")
    """Characters that no symbol of the venue has: of patterns, and those that its requests give a meaning to."""
    polled: frozenset[str] = frozenset()
    """Words that its REST side feeds."""
    unread: str | None = None
    """Names, with spaces between, of fields that it is known to send and that nothing here reads: what recorded and
    documented frames have beyond the wire Structs; one that turns up here has been looked at. None: not known, and
    nothing is said of a field."""
    busiest: Mapping[str, float] = {}
    """Stream word -> events a second of its busiest symbol, where somebody measured them: for `plan --capacity`."""
    books_a_second: float = 0.0
    """Of one symbol at most, by its documentation; 0: it does not say."""
    heartbeat: Heartbeat | None = None
    notices: bytes = b""
    """What asks the venue for notices, where it gives none unasked: the last request of every socket, whose answer is
    for ``control`` to pass over."""
