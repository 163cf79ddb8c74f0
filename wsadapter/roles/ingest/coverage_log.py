"""Which series the connection records, from when to when: rows that are written while it lives.

A row is a `Coverage` record in the connection's own ring, so it stands behind the events that it is about: a process
that is killed has said no more than it delivered, and one that is dead says nothing. Every series has one that grows:
it begins when its subscription is acknowledged, is said again each `EVERY_SECONDS`, and ends where the ledger of gaps
says that something is missing: with the connection (from its last event on) or with a stream that falls silent. A new
UTC day begins a new row, so that a range of time is a few rows and a table's partitions and TTL do their work.

Bounded: at most `MOST_ROWS` rows are said again at a time, so that no socket waits for them. What finds the ring full
is said later, of the ends that did the newest `MOST_ENDS`. Pure: told the time and the states; ``write`` puts a row
into the ring, or says that there is no room.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from wsadapter.client.subscriptions import SubscriptionState
from wsadapter.events import Coverage, Gap, Source
from wsadapter.exchanges.planning import Carried, carried
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.times import SECOND

EVERY_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 1.0
MOST_ROWS: Final = 256
MOST_ENDS: Final = 16_384
DAY_NS: Final = 86_400 * SECOND
COVERED: Final = (SubscriptionState.ACKED, SubscriptionState.LIVE)

States = Mapping[str, tuple[SubscriptionState, int]]
"""Subscription -> its state, and when its last frame came (ns)."""


class _Covered(Struct):
    """A subscription that is covered now. ``said``: monotonic time at which its rows were written last."""

    from_ns: int
    to_ns: int
    said: float


class CoverageLog:
    """Owns what is covered now; the ring is its publisher's."""

    def __init__(self, write: Callable[[Coverage], bool]) -> None:
        self._write = write
        self._plan: ConnectionPlan | None = None
        self._series: dict[str, tuple[Carried, ...]] = {}
        self._covered: dict[str, _Covered] = {}
        self._since_ns: int | None = None
        """When every subscription was acknowledged; None while the connection has a gap."""
        self._begins: dict[str, int] = {}
        """Where the next row of a subscription begins that was not there and covered at every look since then."""
        self._ends: deque[Coverage] = deque(maxlen=MOST_ENDS)
        """Last rows of what is not covered any more, while there is no room for them."""
        self._look_at = 0.0
        self._looked_ns = 0

    def on_gap(self, gap: Gap, now_ns: int) -> None:
        """Of the whole connection: it begins, or is over. To be told before its record is in the ring."""
        if gap.ended_ns is None:
            self.end(gap.started_ns, now_ns)
            self._since_ns = None
        else:
            self._since_ns = gap.ended_ns
            self._begins.clear()
            self._look_at = 0.0

    def end(self, to_ns: int, now_ns: int) -> bool:
        """Everything is covered until then and no longer; whether anything was written."""
        ending, self._covered = self._covered, {}
        for name, covered in ending.items():
            self._begins[name] = to_ns
            self._say_end(name, covered.from_ns, to_ns, now_ns)
        return bool(ending)

    def catch_up(self, most: int = MOST_ENDS) -> int:
        """Say the ends that found no room, as far as there is; how many were written."""
        written = 0
        while written < most and self._ends and self._write(self._ends[0]):
            self._ends.popleft()
            written += 1
        return written

    def look(self, plan: ConnectionPlan, states: Callable[[], States], alive_ns: int, now_ns: int, now: float) -> bool:
        """Say what is due; whether anything was written. ``alive_ns``: the connection's last sign of life, 0 while it
        is down: then nothing grows. ``now``: monotonic."""
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        written = self.catch_up(MOST_ROWS)
        if self._since_ns is None or not alive_ns:
            return bool(written)
        if plan is not self._plan:
            self._follow(plan, alive_ns, now_ns)
        for name, (state, received_ns) in states().items():
            covered = self._covered.get(name)
            if state not in COVERED:
                # behind a silence of its own it is when that was seen last: its gap's end comes after that, if little
                self._begins[name] = now_ns
                if covered is not None:
                    del self._covered[name]
                    self._say_end(name, covered.from_ns, received_ns, now_ns)
                    written += 1
            elif written < MOST_ROWS:
                written += self._grow(name, covered, alive_ns, now_ns, now)
        self._looked_ns = now_ns
        return bool(written)

    def _grow(self, name: str, covered: _Covered | None, alive_ns: int, now_ns: int, now: float) -> int:
        """Rows written."""
        if covered is None:
            from_ns = self._begins.get(name, self._since_ns or now_ns)
            covered = _Covered(from_ns, from_ns, now)
        elif now < covered.said + EVERY_SECONDS:
            return 0
        elif covered.from_ns // DAY_NS != alive_ns // DAY_NS:
            # the day before ends here; what follows is a row of its own at once
            if not self._say(name, covered.from_ns, alive_ns, now_ns):
                return 0
            covered = _Covered(alive_ns, alive_ns, now)
        to_ns = max(covered.to_ns, alive_ns)
        if not self._say(name, covered.from_ns, to_ns, now_ns):
            return 0
        self._covered[name] = _Covered(covered.from_ns, to_ns, now)
        return len(self._series[name])

    def _follow(self, plan: ConnectionPlan, alive_ns: int, now_ns: int) -> None:
        """Other subscriptions are the connection's now: what it does not have any more ends, what is new begins."""
        series = {one.name: carried(one, plan) for one in plan.subscriptions}
        for name in [name for name in self._covered if series.get(name) != self._series[name]]:
            self._say_end(name, self._covered.pop(name).from_ns, alive_ns, now_ns)
        self._begins = {name: at_ns for name, at_ns in self._begins.items() if name in series}
        if self._since_ns is not None and self._looked_ns > self._since_ns:  # else it had them from there on
            self._begins |= {name: alive_ns for name in series if series[name] != self._series.get(name)}
        self._plan, self._series = plan, series

    def _say(self, name: str, from_ns: int, to_ns: int, now_ns: int) -> bool:
        return all(self._write(row) for row in self._rows(name, from_ns, to_ns, now_ns))

    def _say_end(self, name: str, from_ns: int, to_ns: int, now_ns: int) -> None:
        """It is not covered any more."""
        for row in self._rows(name, from_ns, to_ns, now_ns):
            if self._ends or not self._write(row):
                self._ends.append(row)

    def _rows(self, name: str, from_ns: int, to_ns: int, now_ns: int) -> list[Coverage]:
        plan = self._plan
        assert plan is not None, "nothing is covered before there is a plan"
        return [
            Coverage(
                plan.exchange, symbol, None, None, now_ns, Source.WEBSOCKET, plan.connection, None,
                stream, interval, from_ns, max(from_ns, to_ns),
            )
            for symbol, stream, interval in self._series[name]
        ]  # fmt: skip
