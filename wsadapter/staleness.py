"""When is a stream dead while its connection lives, and what to do about it. Pure: told what was received until when,
it answers with a `Verdict`.

A stream that is silent for longer than its cadence allows is stale. It is asked for anew; after another such time the
connection is made anew, but never more often than every `RECONNECT_SECONDS`, and each such reconnect that comes soon
after the last doubles the time to the next one; after another such time it is an alarm, said once. From then on it is
asked for anew now and then, which costs the other streams nothing. It is stale until it speaks.

Silence is measured up to the connection's own last sign of life (a pong is one): where nothing comes at all,
`wsadapter.keepalive` decides. A pause of this process counts as no silence. Rhythms are learned at the pace of the
looks: many events between two looks are one, which errs on the patient side.
"""

from collections.abc import Collection, Mapping
from enum import IntEnum
from typing import Final

from msgspec import Struct

from wsadapter.exchanges.base import Cadence

RECONNECT_SECONDS: Final = 600.0
RETRY_SECONDS: Final = 600.0
"""Between two requests for a stream after its alarm, doubled each time."""
MOST_SECONDS: Final = 6 * 3600.0
KNOWN: Final = 8
"""Intervals after which a rhythm is believed."""
MEMORY: Final = 16
"""Intervals that the running mean looks back, roughly."""


class Verdict(Struct):
    """Names. ``stale``: from now on. ``alarm``: nothing helped."""

    stale: list[str]
    resubscribe: list[str]
    reconnect: list[str]
    alarm: list[str]


class _Step(IntEnum):
    SPEAKING = 0
    RESUBSCRIBED = 1
    RECONNECTED = 2
    ALARMED = 3


class _Stream:
    """All times in seconds of one monotonic clock, except ``seen`` (ns, as received)."""

    __slots__ = ("alarmed", "cadence", "due", "intervals", "mean", "retry", "seen", "since", "spoke_at", "step")

    def __init__(self, cadence: Cadence) -> None:
        self.cadence = cadence
        self.seen = 0
        self.since = 0.0
        """Silent since: its last event, or when the socket was ready for it."""
        self.spoke_at: float | None = None
        self.mean, self.intervals = 0.0, 0
        self.step, self.due, self.retry = _Step.SPEAKING, 0.0, RETRY_SECONDS
        self.alarmed = False

    def patience(self) -> float:
        cadence = self.cadence
        if not self.intervals or (cadence.rhythm and self.intervals < KNOWN):
            return max(cadence.first, cadence.silence)
        return max(cadence.silence, cadence.rhythm * self.mean)

    def spoke(self, seen: int, now: float) -> None:
        if self.spoke_at is not None:
            self.intervals = min(self.intervals + 1, MEMORY)
            self.mean += (now - self.spoke_at - self.mean) / self.intervals
        self.since, self.spoke_at = now, now
        self.alive(seen)

    def alive(self, seen: int) -> None:
        self.seen, self.step, self.retry, self.alarmed = seen, _Step.SPEAKING, RETRY_SECONDS, False


class Staleness:
    """``period``: seconds between two looks."""

    def __init__(self, cadences: Mapping[str, Cadence], period: float) -> None:
        self._streams = {name: _Stream(cadence) for name, cadence in cadences.items()}
        self._period = period
        self._looked = 0.0
        self._reconnected = float("-inf")
        self._pause = RECONNECT_SECONDS

    def is_stale(self, name: str, received_ns: int) -> bool:
        """Whether a stream is stale that received last at ``received_ns``."""
        stream = self._streams.get(name)
        return stream is not None and stream.step is not _Step.SPEAKING and stream.seen == received_ns

    def opened(self, now: float, received: Mapping[str, int]) -> None:
        """A new socket: silence begins anew, what was tried for a stale stream is not forgotten."""
        self._looked = now
        for name, stream in self._streams.items():
            if stream.seen != received[name]:
                stream.alive(received[name])
            if stream.step is _Step.SPEAKING:
                stream.spoke_at = None  # the time without a connection is no rhythm
            elif stream.step is _Step.RESUBSCRIBED:
                stream.step = _Step.RECONNECTED
            stream.since = now

    def look(self, now: float, last_read: float, received: Mapping[str, int], asked: Collection[str]) -> Verdict:
        """``last_read``: when the connection last gave any sign of life. ``asked``: streams that are acknowledged;
        others are not expected to speak."""
        slept = now - self._looked - self._period
        slept, self._looked = slept if slept > self._period else 0.0, now
        verdict = Verdict([], [], [], [])
        for name, stream in self._streams.items():
            stream.since, stream.due = stream.since + slept, stream.due + slept
            if received[name] != stream.seen:
                stream.spoke(received[name], now)
            elif name not in asked:
                stream.since = now
            elif min(now, last_read) - stream.since >= stream.patience():
                self._judge(name, stream, now, verdict)
        self._ration(verdict, now)
        return verdict

    def _judge(self, name: str, stream: _Stream, now: float, verdict: Verdict) -> None:
        if stream.step is _Step.SPEAKING:
            stream.step = _Step.RESUBSCRIBED
            verdict.stale.append(name)
            verdict.resubscribe.append(name)
        elif now < stream.due:
            return
        elif stream.step is _Step.RESUBSCRIBED:
            verdict.reconnect.append(name)
        elif stream.step is _Step.RECONNECTED:
            stream.step = _Step.ALARMED
            self._alarm(name, stream, verdict)
        else:
            verdict.resubscribe.append(name)
            stream.retry = min(2 * stream.retry, MOST_SECONDS)
        stream.due = now + (stream.retry if stream.step is _Step.ALARMED else stream.patience())

    def _alarm(self, name: str, stream: _Stream, verdict: Verdict) -> None:
        if not stream.alarmed:
            stream.alarmed = True
            verdict.alarm.append(name)

    def _ration(self, verdict: Verdict, now: float) -> None:
        """May the connection be made anew already? If not, what waits for that is an alarm meanwhile."""
        if not verdict.reconnect:
            return
        since = now - self._reconnected
        if since < self._pause:
            for name in verdict.reconnect:
                self._streams[name].due = self._reconnected + self._pause
                self._alarm(name, self._streams[name], verdict)
            verdict.reconnect = []
            return
        self._pause = RECONNECT_SECONDS if since >= 4 * self._pause else min(2 * self._pause, MOST_SECONDS)
        self._reconnected = now
        for name in verdict.reconnect:
            self._streams[name].step = _Step.RECONNECTED
