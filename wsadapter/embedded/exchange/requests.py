"""What clients ask on a connection, and the answers: common to all dialects, and the form in which one is declared.

`Requests` says how a venue's requests are read and how its answers are spelled; `DeclaredSubscriptions` is one
connection's subscriptions by it, sans-I/O.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from msgspec import Struct

from wsadapter.embedded.market.streams import Offered


class Target(Struct, frozen=True):
    """What the URL of a connection says."""

    route: str
    combined: bool = False
    names: tuple[str, ...] = ()


class SubscriptionReply(Struct, frozen=True):
    """The replies, in order; whether they are an ack, and which names came and went. ``data_first``: the data of the
    new names goes out before them. ``close``: with this code afterwards, 0 = the connection stays. ``beat_every``: the
    client asks for the venue's heartbeat so often (seconds)."""

    replies: tuple[bytes, ...] = ()
    acked: bool = False
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    data_first: bool = False
    close: int = 0
    beat_every: float | None = None


class Subscriptions(Protocol):
    """``names``: what the connection has requested. ``combined``: whether an envelope is around the data."""

    names: dict[str, None]
    combined: bool

    def answer(self, request: bytes) -> SubscriptionReply:
        """Never raises, whatever the client sent."""


class Unknown(Enum):
    """What becomes of a request in which some names do not exist, or not on this class of connection."""

    VOIDS = "none of its names is taken"
    ALONE = "the others are taken"
    SILENT = "they are acknowledged like the others and never come"
    CLOSES = "none is taken, and the connection is closed"


class Ask(Struct, frozen=True):
    """A request for streams, as names of the dialect's channels, one for each of its arguments. ``id`` and
    ``arguments`` are what the answers repeat."""

    names: tuple[str, ...]
    begin: bool = True
    id: Any = None
    arguments: tuple[Any, ...] = ()


class Say(Struct, frozen=True):
    """The answer to a request that asks for no stream (a ping, a refusal)."""

    replies: Sequence[str] = ()
    close: int = 0
    beat_every: float | None = None


class Requests(Struct, frozen=True, kw_only=True):
    """``read(document, connection id)``: what a JSON request means; ``texts``: requests that are no JSON -> the answer;
    ``malformed(connection id)``: the answer to what is neither, and to documents on which ``read`` fails.
    ``replies(ask, taken, bad, standing, connection id)``: the answers to a request, its names sorted into those that
    were taken and the others; ``standing`` are all names of the connection then. ``most``: names in a request,
    ``characters``: of all names of a connection; what is more is refused like an unknown one."""

    read: Callable[[Any, str], Ask | Say]
    replies: Callable[[Ask, tuple[str, ...], tuple[str, ...], tuple[str, ...], str], Iterable[str]]
    malformed: Callable[[str], Say]
    texts: Mapping[bytes, bytes] = {}
    unknown: Unknown = Unknown.VOIDS
    close_code: int = 1008
    data_first: bool = False
    most: int = 0
    characters: int = 0


_FAILURES = (
    msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError, ValueError, AttributeError,
)  # fmt: skip
"""All that reading a hostile document raises."""


class DeclaredSubscriptions:
    """One connection's: ``combined`` is never true, the frames are whole as they are."""

    combined = False

    def __init__(
        self, rules: Requests, offered: Callable[[str], Offered | None], route: str, most_streams: int
    ) -> None:
        self.names: dict[str, None] = {}
        self.connection_id = str(uuid4())
        self._rules, self._offered, self._route, self._most = rules, offered, route, most_streams

    def answer(self, request: bytes) -> SubscriptionReply:
        """Never raises, whatever the client sent."""
        if request in self._rules.texts:
            return SubscriptionReply((self._rules.texts[request],))
        try:
            asked = self._rules.read(msgspec.json.decode(request), self.connection_id)
            if isinstance(asked, Ask):
                msgspec.convert(asked.names, tuple[str, ...])
        except _FAILURES:
            asked = self._rules.malformed(self.connection_id)
        if isinstance(asked, Say):
            return SubscriptionReply(_encoded(asked.replies), close=asked.close, beat_every=asked.beat_every)
        return self._begin(asked) if asked.begin else self._end(asked)

    def _begin(self, ask: Ask) -> SubscriptionReply:
        rules = self._rules
        bad = tuple(name for name in ask.names if not self._exists(name))
        taken = tuple(name for name in dict.fromkeys(ask.names) if name not in bad)
        wanted = self.names | dict.fromkeys(taken)
        is_much = (rules.most and len(ask.names) > rules.most) or len(wanted) > self._most
        if is_much or (rules.characters and sum(map(len, wanted)) > rules.characters):
            taken, bad, wanted = (), bad or ask.names, self.names
        elif bad and rules.unknown in (Unknown.VOIDS, Unknown.CLOSES):
            taken, wanted = (), self.names
        elif rules.unknown is Unknown.SILENT:
            taken, bad, wanted = ask.names, (), self.names | dict.fromkeys(ask.names)
        added = tuple(name for name in wanted if name not in self.names)
        self.names = wanted
        return SubscriptionReply(
            self._replies(ask, taken, bad),
            acked=bool(taken),
            added=added,
            data_first=rules.data_first,
            close=rules.close_code if bad and rules.unknown is Unknown.CLOSES else 0,
        )

    def _end(self, ask: Ask) -> SubscriptionReply:
        removed = tuple(name for name in dict.fromkeys(ask.names) if name in self.names)
        for name in removed:
            del self.names[name]
        return SubscriptionReply(self._replies(ask, ask.names, ()), acked=True, removed=removed)

    def _exists(self, name: str) -> bool:
        stream = self._offered(name)
        return stream is not None and stream.route == self._route

    def _replies(self, ask: Ask, taken: tuple[str, ...], bad: tuple[str, ...]) -> tuple[bytes, ...]:
        return _encoded(self._rules.replies(ask, taken, bad, tuple(self.names), self.connection_id))


def paths(routes: Mapping[str, str]) -> Callable[[str], Target | None]:
    """Path -> class of connection; any other path is not served."""

    def target(path: str) -> Target | None:
        route = routes.get(urlsplit(path).path.rstrip("/") or "/")
        return None if route is None else Target(route)

    return target


def _encoded(texts: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(text.encode() for text in texts)
