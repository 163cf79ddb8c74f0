"""Open interest, which the venue has over REST only: each symbol is asked for in turn, as long as the repairer lives.

A `wsadapter.roles.repairer.host_queue.Job` without an end. Every symbol is due each `cadence` seconds of the monotonic
clock; many symbols are asked for less often, so that all of them use `POLLS_SHARE` of the host's weight at most. What
is missed is not caught up, and an answer with the same venue time as the one before is no new event. A silence of
`silence_ns` becomes a `Gap` that is open as long as it lasts, whatever the reason: `stale`, or `restart` when this
process did not live through its beginning. Nobody keeps past open interest: a silence that is over is ``unrepairable``.
Which ones last is in the repairer's stats page and moves with its ring's tail (`silence_cells`): the process that
follows a killed one ends the same gaps.
"""

import heapq
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from wsadapter.events import Coverage, Event, Gap, OpenInterest, Source
from wsadapter.events.gaps import GapCause, RepairState, begin, ended
from wsadapter.exchanges.rest_api import CONNECTION, Fetch, Limit, RequestRefused, RestError, RestExchange
from wsadapter.metrics import GAP_CAUSES, SILENCES, polled
from wsadapter.roles.repairer.host_queue import POLLS_SHARE, Job, Pause, Steps

EVERY_SECONDS: Final = 10.0
STREAM: Final = "open_interest"
EPOCH, POSITION, STARTED, CAUSE = SILENCES
SILENT_ROUNDS: Final = 3
LEAST_SILENCE: Final = 30.0
REFUSED_SECONDS: Final = 600.0
"""Until a symbol that the venue refuses is asked for again."""
DAY_NS: Final = 86_400 * 10**9
REQUESTED, LIVE, STALE, REFUSED = 0, 2, 3, 4
"""States as in ``stream_state``."""


class PolledSymbol(Struct):
    """One symbol. ``received_ns``: its last good answer, perhaps to an earlier process; 0 = none."""

    received_ns: int
    state: int = REQUESTED
    venue_ns: int | None = None
    """The venue's time of its last event."""
    gap_ns: int | None = None
    silence: Gap | None = None
    """That lasts, as it was said."""
    own: bool = False
    """The last answer came to this process."""
    covered_ns: int = 0
    """Since when it is had without a silence, as far as this process knows; 0 = it has no answer yet."""


def cadence(symbols: int, weights: Limit, weight: int) -> float:
    """Seconds between two questions for one symbol."""
    return max(EVERY_SECONDS, symbols * weight * weights.seconds / (weights.units * POLLS_SHARE))


class OpenInterestPoll(Job):
    """``received``: symbol -> when it was last answered, perhaps to an earlier process (ns; 0: never). ``lasting``:
    symbol -> the silence that such a process said last."""

    punctual = True
    polls = True

    def __init__(
        self,
        exchange: str,
        received: Mapping[str, int],
        rest: RestExchange,
        now: float,
        lasting: Mapping[str, Gap | None] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.lane = f"open_interest:{exchange}"
        self.exchange = exchange
        self.symbols = {symbol: PolledSymbol(at_ns, silence=lasting.get(symbol)) for symbol, at_ns in received.items()}
        self._began_ns: int | None = None
        """Before it nobody asked for what was never answered."""
        self.errors = 0
        self._rest = rest
        self.allow(rest.weights)
        # spread over the first round: they stay so. It may take longer than the process lives
        step = self.cadence / max(1, len(self.symbols))
        waiting = sorted(received, key=received.__getitem__)
        self._due = [(now + turn * step, symbol) for turn, symbol in enumerate(waiting)]
        self.not_before = now

    def allow(self, weights: Limit) -> None:
        """So much the host allows: each symbol is asked for that often from its next turn on."""
        self.cadence = cadence(len(self.symbols), weights, self._rest.open_interest("").weight)
        self.silence_ns = round(max(LEAST_SILENCE, SILENT_ROUNDS * self.cadence) * 1e9)

    def run(self) -> Steps:
        while True:
            now = yield Pause(self._due[0][0])
            symbol = self._due[0][1]
            request = self._rest.open_interest(symbol)
            try:
                event = yield Fetch(request, partial(self._rest.parse_open_interest, symbol))
            except RequestRefused:
                self.errors += 1
                self.symbols[symbol].state = REFUSED
                self._next(now, max(REFUSED_SECONDS, self.cadence))
            except RestError:
                self.errors += 1
                self._next(now, self.cadence)
            else:
                self._next(now, self.cadence)
                if events := self._events(symbol, event):
                    yield events

    def _events(self, symbol: str, event: OpenInterest) -> list[Event]:
        """What a good answer is to be published as."""
        received_ns = event.receive_time_ns
        entry = self.symbols[symbol]
        events: list[Event] = []
        silence = entry.silence
        if silence is None and entry.received_ns and received_ns - entry.received_ns > self.silence_ns:
            silence = self._silence(symbol, entry.received_ns, received_ns)
        if silence is not None:
            events.append(end_silence(silence, received_ns))
            entry.gap_ns, entry.silence = received_ns, None
            entry.covered_ns = received_ns
        elif not entry.covered_ns:
            # asked for as often as ever, though by another process before
            entry.covered_ns = entry.received_ns or received_ns
        entry.received_ns, entry.state, entry.own = received_ns, LIVE, True
        if event.event_time_ns is None or event.event_time_ns != entry.venue_ns:
            entry.venue_ns = event.event_time_ns
            event.last_gap_ns = entry.gap_ns
            events.append(event)
        events.append(self._coverage(symbol, entry))
        if entry.covered_ns // DAY_NS != received_ns // DAY_NS:
            # the day before ends here; what follows is a row of its own at once
            entry.covered_ns = received_ns
            events.append(self._coverage(symbol, entry))
        return events

    def _coverage(self, symbol: str, entry: PolledSymbol) -> Coverage:
        """Behind each answer; a new UTC day begins a new row."""
        return Coverage(
            self.exchange, symbol, None, None, entry.received_ns, Source.REST, CONNECTION, None,
            STREAM, "", entry.covered_ns, entry.received_ns,
        )  # fmt: skip

    def check(self, now_ns: int) -> None:
        """See which symbols have been silent for too long."""
        for entry in self.symbols.values():
            if entry.state == LIVE and now_ns - entry.received_ns > self.silence_ns:
                entry.state = STALE

    def new_silences(self, now_ns: int) -> list[Gap]:
        """The silences that are too long since this was asked last: they are to be published."""
        if self._began_ns is None:
            self._began_ns = now_ns
        gaps = []
        for symbol, entry in self.symbols.items():
            since_ns = entry.received_ns or self._began_ns
            if entry.silence is None and now_ns - since_ns > self.silence_ns:
                entry.silence = self._silence(symbol, since_ns, now_ns)
                gaps.append(entry.silence)
        return gaps

    def end_silences(self, now_ns: int) -> list[Gap]:
        """Nobody asks any more: what lasts ends here, the next run sees how long it is without."""
        gaps = [end_silence(entry.silence, now_ns) for entry in self.symbols.values() if entry.silence is not None]
        for entry in self.symbols.values():
            entry.silence = None
        return gaps

    def _next(self, now: float, seconds: float) -> None:
        due, symbol = self._due[0]
        heapq.heapreplace(self._due, (max(due, now - self.cadence) + seconds, symbol))

    def _silence(self, symbol: str, since_ns: int, now_ns: int) -> Gap:
        entry = self.symbols[symbol]
        cause = GapCause.STALE if entry.own or not entry.received_ns else GapCause.RESTART
        return begin_silence(self.exchange, symbol, cause, since_ns, now_ns)


def begin_silence(exchange: str, symbol: str, cause: GapCause, started_ns: int, now_ns: int) -> Gap:
    """A silence that lasts. The record names it: its ``gap_id`` is filled in when it is in the ring."""
    return begin(
        cause, started_ns, now_ns, exchange=exchange, connection=CONNECTION, stream=STREAM, symbol=symbol,
        source=Source.REST,
    )  # fmt: skip


def end_silence(gap: Gap, at_ns: int) -> Gap:
    """Its end."""
    end = ended(gap, at_ns)
    end.repair_state = RepairState.UNREPAIRABLE.value
    if not gap.gap_id:
        end.version = 1  # its begin was never published
    return end


def silence_cells(gap: Gap, epoch: int, position: int) -> dict[str, int]:
    """What the page says once ``gap`` is in the ring at ``position``."""
    about = gap.exchange, gap.symbol
    if gap.ended_ns is not None:
        return {polled(POSITION, *about): 0}
    return {
        polled(EPOCH, *about): epoch,
        polled(POSITION, *about): position + 1,
        polled(STARTED, *about): gap.started_ns,
        polled(CAUSE, *about): GAP_CAUSES.index(gap.cause),
    }
