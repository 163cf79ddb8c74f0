"""When is a stream dead while its connection lives, and what to do about it. Pure: told what was received until when,
it answers with a `StaleStreams`.

A stream that is silent for longer than its `_WatchedStream.patience` is stale. It is subscribed anew; after another
such time its connection's socket is to be renewed, but never more often than every `RENEWAL_SECONDS`, and much more
rarely after renewals that did not make a stream speak; after another such time it is an alarm, logged once, and so it
is where the renewal has to wait or fails. From then on it is subscribed anew now and then, which costs the other
streams nothing. It is stale until it speaks.

A stream that spoke on any socket and is refused by a new one is stale at once, and asked for anew now and then. Is it
one that may be silent for ever, it is well again when it is acknowledged: its events may not come.

A stream that begins with a snapshot, or answers each subscription in another way, is stale sooner where it does not
(`Cadence.reply`), on every socket.

A stream that only follows its market teaches its patience: by its mean interval, and by its longest silence of about
the last day, so that a silence which turned out harmless is not misjudged twice. While little is known of it another
socket is only tried: the old one goes if the new one brings the stream.

Silence is measured up to the connection's own last sign of life (a pong is one): where nothing comes at all,
`wsadapter.client.protocol` decides. A pause of this process counts as no silence. Rhythms are learned at the pace of
the checks: many events between two checks are one, which errs on the patient side.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum
from typing import Final

from msgspec import Struct

from wsadapter.exchanges.venue import Cadence

RENEWAL_SECONDS: Final = 600.0
UNDERWAY_SECONDS: Final = 60.0
"""A renewal takes so long at most, or it is an alarm."""
HELPED_SECONDS: Final = 60.0
"""A stream that speaks so soon on the new socket was dead on the old one."""
RARER: Final = 6.0
"""So many times longer is the pause after a renewal that did not help."""
RETRY_SECONDS: Final = 600.0
"""Between two requests for a stream after its alarm, doubled each time."""
MOST_SECONDS: Final = 6 * 3600.0
"""No pause and no patience is longer."""
KNOWN: Final = 8
"""Intervals after which a rhythm is believed, ..."""
SURE: Final = 30
"""... and after which a socket is renewed for its sake."""
MEMORY: Final = 16
"""Intervals that the running mean looks back, roughly."""
MEMORY_SECONDS: Final = 86_400.0
"""In which the longest silence fades to a third."""
LONGER: Final = 3.0
"""So many times its longest silence must a stream be silent that has a rhythm, ..."""
DOUBT: Final = 16.0
"""... and so many more, shared by the intervals that are known."""


class StaleStreams(Struct):
    """Names. ``stale``: from now on. ``renew``: the socket, for these; ``trial``: if that brings one of them.
    ``alarm``: nothing helped."""

    stale: list[str]
    resubscribe: list[str]
    renew: list[str]
    alarm: list[str]
    trial: bool = False


class _Step(IntEnum):
    SPEAKING = 0
    RESUBSCRIBED = 1
    RENEWING = 2
    RENEWED = 3
    ALARMED = 4


class _WatchedStream:
    """All times in seconds of one monotonic clock, except ``seen`` (ns, as received)."""

    __slots__ = (
        "alarmed", "cadence", "due", "intervals", "longest", "mean", "replied", "retry", "seen", "since", "spoke_at",
        "step",
    )  # fmt: skip

    def __init__(self, cadence: Cadence) -> None:
        self.cadence = cadence
        self.seen = 0
        self.since = 0.0
        """Silent since: its last event, or when the socket was ready for it."""
        self.spoke_at: float | None = None
        self.mean, self.longest, self.intervals = 0.0, 0.0, 0
        self.step, self.due, self.retry = _Step.SPEAKING, 0.0, RETRY_SECONDS
        self.alarmed = False
        self.replied = False
        """It has sent something since the socket came up."""

    @property
    def sure(self) -> bool:
        return not self.cadence.rhythm or self.intervals >= SURE

    def patience(self) -> float:
        cadence, intervals = self.cadence, self.intervals
        if cadence.reply and not self.replied:
            return cadence.reply
        known = intervals >= (KNOWN if cadence.rhythm else 1)
        least = cadence.silence if known else max(cadence.first, cadence.silence)
        if not cadence.rhythm or not intervals:
            return least
        learned = max(cadence.rhythm * self.mean * known, (LONGER + DOUBT / intervals) * self.longest)
        return max(least, min(learned, MOST_SECONDS))

    def spoke(self, seen: int, now: float) -> None:
        if self.spoke_at is not None:
            interval = now - self.spoke_at
            self.intervals += 1
            self.mean += (interval - self.mean) / min(self.intervals, MEMORY)
            self.longest = max(interval, self.longest * (1.0 - min(interval / MEMORY_SECONDS, 1.0)))
        self.since, self.spoke_at, self.replied = now, now, True
        self.alive(seen)

    def alive(self, seen: int) -> None:
        self.seen, self.step, self.retry, self.alarmed = seen, _Step.SPEAKING, RETRY_SECONDS, False


class Staleness:
    """``period``: seconds between two checks."""

    def __init__(self, cadences: Mapping[str, Cadence], period: float) -> None:
        self._streams = {name: _WatchedStream(cadence) for name, cadence in cadences.items()}
        self._period = period
        self._checked_at = 0.0
        self._renewed = float("-inf")
        self._pause = RENEWAL_SECONDS

    def watch(self, cadences: Mapping[str, Cadence], now: float) -> None:
        """These streams from now on; of those that stay everything is known."""
        before, self._streams = self._streams, {}
        for name, cadence in cadences.items():
            stream = self._streams[name] = before.get(name) or _WatchedStream(cadence)
            if name not in before:
                stream.since = stream.spoke_at = now

    def is_stale(self, name: str, received_ns: int) -> bool:
        """Whether a stream is stale that received last at ``received_ns``."""
        stream = self._streams.get(name)
        return stream is not None and stream.step is not _Step.SPEAKING and stream.seen == received_ns

    def opened(
        self, now: float, received: Mapping[str, int], heard: Collection[str] = (), seamless: bool = False
    ) -> None:
        """A new socket: silence begins anew, what was tried for a stale stream is not forgotten. ``heard``: it has
        brought these by itself already. ``seamless``: it goes on where the last one ended; only for what is stale it
        is anything new, and for what owes it a first word."""
        self._checked_at = now
        for name, stream in self._streams.items():
            stream.replied = name in heard
            if seamless and stream.step is _Step.SPEAKING and (stream.replied or not stream.cadence.reply):
                continue  # the next check sees what it sent
            if stream.seen != received[name]:
                self._helped(stream, _Step.RENEWING, 0.0)
                stream.alive(received[name])
            if stream.step is _Step.SPEAKING:
                # the time without a connection is no rhythm, the time to the first word is all that is known then
                stream.spoke_at = None if stream.intervals else now
            elif stream.step in (_Step.RESUBSCRIBED, _Step.RENEWING):
                stream.step, stream.due = _Step.RENEWED, now + stream.patience()
            stream.since = now

    def acknowledged(self, names: Iterable[str]) -> list[str]:
        """Those of them that may be silent for ever: they are as well as if they had spoken."""
        endless = [name for name in names if self._streams[name].cadence == Cadence()]
        for name in endless:
            self._streams[name].alive(self._streams[name].seen)
        return endless

    def put_off(self) -> None:
        """The socket could not be renewed."""
        for stream in self._streams.values():
            if stream.step is _Step.RENEWING:
                stream.step, stream.due = _Step.RESUBSCRIBED, 0.0

    def check(
        self, now: float, last_read: float, received: Mapping[str, int], expected: Collection[str],
        refused: Collection[str] = (),
    ) -> StaleStreams:  # fmt: skip
        """``last_read``: when the connection last gave any sign of life. ``expected``: streams that are acknowledged,
        or were; others are not expected to speak. ``refused``: those of the others that may be asked for again."""
        slept = now - self._checked_at - self._period
        slept, self._checked_at = slept if slept > self._period else 0.0, now
        verdict = StaleStreams([], [], [], [])
        for name, stream in self._streams.items():
            stream.since, stream.due = stream.since + slept, stream.due + slept
            if received[name] != stream.seen:
                self._helped(stream, _Step.RENEWED, now - stream.since)
                stream.spoke(received[name], now)
            elif name not in expected:
                stream.since = now
                if stream.seen and name in refused:
                    self._ask_again(name, stream, now, verdict)
            elif min(now, last_read) - stream.since >= stream.patience():
                self._judge(name, stream, now, verdict)
        self._ration(verdict, now)
        return verdict

    def _judge(self, name: str, stream: _WatchedStream, now: float, verdict: StaleStreams) -> None:
        if stream.step is _Step.SPEAKING:
            stream.step, stream.due = _Step.RESUBSCRIBED, now + stream.patience()
            verdict.stale.append(name)
            verdict.resubscribe.append(name)
        elif now < stream.due:
            return
        elif stream.step is _Step.RESUBSCRIBED:
            verdict.renew.append(name)
        elif stream.step is _Step.ALARMED:
            stream.retry = min(2 * stream.retry, MOST_SECONDS)
            stream.due = now + stream.retry
            verdict.resubscribe.append(name)
        else:
            if stream.step is _Step.RENEWED:
                stream.step, stream.due = _Step.ALARMED, now + stream.retry
            self._alarm(name, stream, verdict)

    def _ask_again(self, name: str, stream: _WatchedStream, now: float, verdict: StaleStreams) -> None:
        """What spoke once and is refused by a new socket, which says as much as an alarm."""
        if stream.step is _Step.ALARMED:
            self._judge(name, stream, now, verdict)
        else:
            stream.step, stream.due, stream.alarmed = _Step.ALARMED, now + stream.retry, True

    def _helped(self, stream: _WatchedStream, step: _Step, after: float) -> None:
        """It speaks; is that the new socket's doing?"""
        if stream.step is step and after <= HELPED_SECONDS:
            self._pause = RENEWAL_SECONDS

    def _alarm(self, name: str, stream: _WatchedStream, verdict: StaleStreams) -> None:
        if not stream.alarmed:
            stream.alarmed = True
            verdict.alarm.append(name)

    def _ration(self, verdict: StaleStreams, now: float) -> None:
        """May the socket be renewed already? If not, what waits for that is an alarm meanwhile."""
        if not verdict.renew:
            return
        since = now - self._renewed
        if since < self._pause:
            for name in verdict.renew:
                self._streams[name].due = self._renewed + self._pause
                self._alarm(name, self._streams[name], verdict)
            verdict.renew = []
            return
        self._pause = RENEWAL_SECONDS if since >= 4 * self._pause else min(RARER * self._pause, MOST_SECONDS)
        self._renewed = now
        verdict.trial = not any(self._streams[name].sure for name in verdict.renew)
        for name in verdict.renew:
            stream = self._streams[name]
            stream.step, stream.due = _Step.RENEWING, now + max(stream.patience(), UNDERWAY_SECONDS)
