"""Which streams of a connection are stale: what `wsadapter.client.staleness` decides, published as gaps and logged.
The requests that follow from it are the connection's.

Owned by a `Connection`, one for all its sessions; runs on the loop. A stream that falls silent becomes an open `Gap`
for the handler; its end comes from the exchange module, in order, before the first event after. Of one that was
refused and may be silent for ever it is the acknowledgement.
"""

import logging
import time
from collections.abc import Collection, Iterable
from typing import Final

from wsadapter.client.clock import clock
from wsadapter.client.handler import BoundHandler
from wsadapter.client.staleness import Staleness, StaleStreams
from wsadapter.events import Gap
from wsadapter.exchanges.venue import Cadence, Exchange
from wsadapter.text import some

CHECK_SECONDS: Final = 1.0
"""Streams named in a log line."""

logger = logging.getLogger(__name__)


class StreamWatch:
    """``name``: the connection's, for the log."""

    def __init__(self, name: str, exchange: Exchange, hooks: BoundHandler) -> None:
        self._name, self._exchange, self._hooks = name, exchange, hooks
        self._policy = Staleness(_cadences(exchange), CHECK_SECONDS)

    def is_stale(self, stream: str) -> bool:
        return self._policy.is_stale(stream, self._exchange.last_receive_ns[stream])

    def opened(self) -> None:
        """A socket is up."""
        self._policy.opened(time.monotonic(), self._exchange.last_receive_ns)

    def succeed(self, exchange: Exchange, heard: Collection[str], seamless: bool) -> None:
        """Another socket goes on, with an exchange of its own. ``heard``: what it has brought itself. ``seamless``:
        there was no pause."""
        self.watch(exchange)
        self._policy.opened(time.monotonic(), exchange.last_receive_ns, heard, seamless)

    def acknowledged(self, names: Iterable[str]) -> list[Gap]:
        """The venue takes these subscriptions: the ends of the gaps of those that may be silent for ever."""
        now_ns = clock.now_ns()
        return [gap for name in self._policy.acknowledged(names) for gap in self._exchange.acknowledged(name, now_ns)]

    def watch(self, exchange: Exchange) -> None:
        """The connection has this exchange from now on, which may have other streams."""
        self._exchange = exchange
        self._policy.watch(_cadences(exchange), time.monotonic())

    def put_off(self) -> None:
        """The socket could not be renewed for now."""
        self._policy.put_off()

    def check(
        self, last_read: float, connected_ns: int, expected: Collection[str], refused: Collection[str]
    ) -> StaleStreams:
        """Raises what the handler raises."""
        verdict = self._policy.check(time.monotonic(), last_read, self._exchange.last_receive_ns, expected, refused)
        if verdict.stale:
            received = self._exchange.last_receive_ns
            self._warn("are silent", [stream for stream in verdict.stale if received[stream]])
            self._warn("were acknowledged and have never sent anything", [s for s in verdict.stale if not received[s]])
            now_ns = clock.now_ns()
            begun = [self._exchange.silent(stream, connected_ns, now_ns) for stream in verdict.stale]
            self._publish([gap for gap in begun if gap is not None])
        if verdict.alarm:
            logger.error(
                "%s: streams are still silent after a new subscription and a new connection: %s",
                self._name,
                some(verdict.alarm, between=" "),
            )
        return verdict

    def end(self) -> None:
        """No session follows: the gaps that last end with it."""
        self._publish(self._exchange.close(clock.now_ns()))

    def _warn(self, what: str, streams: list[str]) -> None:
        if streams:
            logger.warning("%s: streams %s, subscribing anew: %s", self._name, what, some(streams, between=" "))

    def _publish(self, gaps: list[Gap]) -> None:
        if gaps and (handle := self._hooks.events.get(Gap)) is not None:
            for gap in gaps:
                handle(gap)
            self._hooks.on_read_end()


def _cadences(exchange: Exchange) -> dict[str, Cadence]:
    """Of all streams: one that may be silent for ever may be refused."""
    return {name: exchange.cadences.get(name, Cadence()) for name in exchange.last_receive_ns}
