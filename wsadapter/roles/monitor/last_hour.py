"""Minute by minute, what was recorded of each symbol in the last hour, as far as the monitor saw it.

It looks at the pages every few seconds and asks ClickHouse nothing. At a look a symbol is recorded when each of its
subscriptions is on a connection that is up, acked and not silent; of redundant connections the best one counts. A gap
that came and went between two looks shows in the connection's counter of gaps, and counts for all of its symbols: the
minute is one in part, never one that is whole. A minute that nobody looked at is not seen, which is not recorded.
What is in the tables says the audit.

Bounded: `MINUTES` bytes a symbol; one that is not watched any more is forgotten when its hour is over.
"""

from collections.abc import Iterator
from typing import Any, Final

from wsadapter.roles.monitor.snapshot import Reading, Snapshot
from wsadapter.roles.monitor.status import STREAM_STATES, state_of
from wsadapter.times import SECOND

MINUTES: Final = 60
RECORDED, OUT, GAP = 1, 2, 4
"""Bits of a minute: recorded at a look, not recorded at a look, a gap was recorded. 0: not seen."""
_WORSE: Final = {RECORDED: 0, RECORDED | GAP: 1, OUT: 2}
_GOOD: Final = frozenset(STREAM_STATES.index(state) for state in ("acked", "live"))

_Symbol = tuple[str, str]
"""Exchange and symbol; a subscription of all symbols has none."""


class LastHour:
    def __init__(self) -> None:
        self._minute = 0
        """The latest one, since 1970."""
        self._hours: dict[_Symbol, bytearray] = {}
        """A minute is at its number modulo `MINUTES`."""
        self._gaps: dict[str, int] = {}
        """Connection -> gaps it had counted at the look before."""

    def observe(self, snapshot: Snapshot) -> None:
        self._turn(snapshot.wall_ns // (60 * SECOND))
        for symbol, seen in self._symbols(snapshot).items():
            self._hours.setdefault(symbol, bytearray(MINUTES))[self._minute % MINUTES] |= seen

    def _turn(self, minute: int) -> None:
        if minute < self._minute - 1 or minute - self._minute >= MINUTES:  # the clock was set back, or nothing is left
            self._hours.clear()
        elif minute < self._minute:
            return  # a clock that is corrected by a moment
        for passed in range(self._minute + 1, minute + 1) if self._hours else ():
            for hour in self._hours.values():
                hour[passed % MINUTES] = 0
        self._hours = {symbol: hour for symbol, hour in self._hours.items() if any(hour)}
        self._minute = minute

    def _symbols(self, snapshot: Snapshot) -> dict[_Symbol, int]:
        """Of each symbol the worst of its subscriptions, each by its best connection."""
        best: dict[tuple[str, str], tuple[_Symbol, int]] = {}
        before, self._gaps = self._gaps, {}
        for role in ("ingest", "repairer"):
            for reading in snapshot.of(role):
                gaps = self._gaps[reading.name] = reading.total("gaps_total")
                has_new_gap = gaps > before.get(reading.name, gaps)
                for subscription, symbol, seen in _subscriptions(snapshot, reading):
                    seen |= GAP if has_new_gap and seen == RECORDED else 0
                    old = best.get(subscription)
                    if old is None or _WORSE[seen] < _WORSE[old[1]]:
                        best[subscription] = (symbol, seen)
        worst: dict[_Symbol, int] = {}
        for symbol, seen in best.values():
            if symbol not in worst or _WORSE[seen] > _WORSE[worst[symbol]]:
                worst[symbol] = seen
        return worst

    def told(self) -> dict[str, Any]:
        """``until``: the beginning of the last minute; of each symbol a digit a minute, the oldest first."""
        order = [(self._minute + 1 + offset) % MINUTES for offset in range(MINUTES)]
        return {
            "until": self._minute * 60,
            "symbols": [
                [exchange, symbol, "".join(str(hour[at]) for at in order)]
                for (exchange, symbol), hour in sorted(self._hours.items())
            ],
        }


def _subscriptions(snapshot: Snapshot, reading: Reading) -> Iterator[tuple[tuple[str, str], _Symbol, int]]:
    is_up = state_of(snapshot, reading) == "running" and reading.get("connection_up", 1) == 1
    for labels, cell in reading.layout.get("stream_state", ()):
        exchange, name = labels.get("exchange", reading.exchange), labels["stream"]
        about = reading.streams.get((name, exchange))
        is_recorded = is_up and reading.cells[cell] in _GOOD
        yield (exchange, name), (exchange, about.symbol if about else ""), RECORDED if is_recorded else OUT
