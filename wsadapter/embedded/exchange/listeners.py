"""Who listens to which stream: pairs the venue's pushes with the connections that requested them.

A stream goes to connections of its own class only: requested on another one it may be acknowledged, and never comes.
The source is told of the first and the last listener of a stream, so that it makes nothing for nobody.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from wsadapter.embedded.exchange.connection import VenueConnection, enveloped, raw
from wsadapter.embedded.market.clock import Numbered
from wsadapter.embedded.market.streams import Offered, Push


class PushSource(Protocol):
    """What makes the pushes: all markets, or a load feed."""

    @property
    def numbered(self) -> Iterable[Numbered]: ...

    @property
    def blasting(self) -> bool:
        """Whether there is something to push at any time."""

    def subscribe(self, offered: Offered) -> None: ...
    def unsubscribe(self, offered: Offered) -> None: ...
    def snapshot(self, offered: Offered) -> Push | None:
        """What a new listener gets first."""

    def advance(self, now_ms: int) -> list[Push]: ...


class Listeners:
    """``offered``: the stream of a name. ``before_first`` is called once, before the first stream has a listener."""

    def __init__(
        self, source: PushSource, offered: Callable[[str], Offered | None], before_first: Callable[[], None]
    ) -> None:
        self._source, self._offered, self._before_first = source, offered, before_first
        self._listeners: dict[str, list[VenueConnection]] = {}
        self._losing: Counter[str] = Counter()
        self._mute: set[str] = set()
        self._begun = False

    def add(self, connection: VenueConnection, names: Iterable[str]) -> None:
        for name in names:
            stream = self._offered(name)
            if stream is None or stream.route != connection.route:
                continue
            if name in self._mute:
                self._mute.discard(name)
                continue
            if not self._begun:
                self._begun = True
                self._before_first()
            self._listeners.setdefault(name, []).append(connection)
            self._source.subscribe(stream)
            if snapshot := self._source.snapshot(stream):
                combined = connection.subscriptions.combined
                connection.deliver(enveloped(snapshot) if combined else raw(snapshot), snapshot)

    def remove(self, connection: VenueConnection, names: Iterable[str]) -> None:
        for name in names:
            listeners, stream = self._listeners.get(name, []), self._offered(name)
            if connection not in listeners or stream is None:
                continue
            listeners.remove(connection)
            if not listeners:
                del self._listeners[name]
                self._source.unsubscribe(stream)

    def mute(self, stream: str) -> None:
        """The next subscription of a stream is acknowledged, and nothing comes."""
        self._mute.add(stream)

    def lose(self, stream: str, count: int) -> None:
        """The next ``count`` pushes of a stream vanish before they are counted or sent."""
        self._losing[stream] += count

    def dispatch(self, push: Push) -> None:
        """One payload to everybody who listens to its stream."""
        listeners = self._listeners.get(push.stream)
        if not listeners:
            return
        if self._losing[push.stream] > 0:
            self._losing[push.stream] -= 1
            return
        frames: dict[bool, bytes] = {}
        for connection in tuple(listeners):
            combined = connection.subscriptions.combined
            if combined not in frames:
                frames[combined] = enveloped(push) if combined else raw(push)
            connection.deliver(frames[combined], push)
