"""The gaps of an ingest process on their way into the ring: who the connection's is, and what the full ring dropped.

Pure: told what happened and when (ns since the epoch, UTC). `ConnectionGap` gives the connection's gap, which the
client makes, the name of its first ring record; `StreamGaps` does so for streams that fall silent. Both live in the
ingest's stats page (`wsadapter.roles.open_gaps`), so that whoever follows ends the same gap. `DroppedEvents` has one
accumulator per stream and symbol while the ring is full, bounded by `MAX_ACCUMULATORS`; beyond that they share one for
the whole connection. So are the gaps that it holds; beyond that those of one stream and cause are one of all symbols.
"""

from typing import Final

from msgspec.structs import replace

from wsadapter.events import Event, Gap
from wsadapter.events.gaps import GapCause, Identity, RepairState, begin, identity
from wsadapter.events.sequence import numbering
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.metrics import GAP_CAUSES
from wsadapter.roles.open_gaps import STREAM_CELLS, connection_gap, stream_cell, stream_gaps
from wsadapter.shm.stats_page import StatsPage

MAX_ACCUMULATORS: Final = 4096


def missed_since(page: StatsPage) -> int:
    """Since when nothing is known to be received, as an earlier process left the page: its last event, else the begin
    of its first gap; 0 = there was no process."""
    return page["last_receive_ns"] or page["gap_started_ns"]


class ConnectionGap:
    """The gap of a whole connection, one at a time. It may have begun in an earlier ring, of another epoch."""

    def __init__(self, page: StatsPage, epoch: int, plan: ConnectionPlan) -> None:
        self._page, self._epoch, self._plan = page, epoch, plan
        if self.is_open and not page["gap_epoch"]:
            page["gap_epoch"] = epoch  # a page of an earlier version: its gap began in this ring

    @property
    def is_open(self) -> bool:
        return self._page["gap_position"] != 0

    def continued(self, now_ns: int) -> Gap | None:
        """The gap that is open and began in another ring: to be published in this one, too, which else knows nothing
        of it."""
        gap = connection_gap(self._page.read(), self._plan)
        if gap is None or self._page["gap_epoch"] == self._epoch:
            return None
        self._page["gap_version"] += 1
        gap.version, gap.receive_time_ns = self._page["gap_version"], now_ns
        return gap

    def adopt(self, gap: Gap) -> bool:
        """Whether this record is to be published: not the begin while a gap is open, not the end of none. An end gets
        name, version, cause and begin of the open gap, which an earlier process may have begun. Once it is in the ring,
        call `opened_at` or `closed`."""
        page = self._page
        if (gap.ended_ns is not None) is not self.is_open:
            return False
        if gap.ended_ns is None:
            page["gap_started_ns"], page["gap_version"] = gap.started_ns, gap.version
            page["gap_cause"] = GAP_CAUSES.index(gap.cause)
        else:
            page["gap_version"] += 1
            gap.gap_id = f"{page['gap_epoch']}:{page['gap_position'] - 1}"
            gap.version, gap.started_ns = page["gap_version"], min(page["gap_started_ns"], gap.ended_ns)
            gap.cause = GAP_CAUSES[page["gap_cause"]]
        return True

    def opened_at(self, position: int) -> None:
        """The ring position of the gap's first record: it names the gap."""
        self._page["gap_epoch"] = self._epoch
        self._page["gap_position"] = position + 1

    def closed(self) -> None:
        """Its end is published, and no earlier: a kill must not leave a gap that nobody ends."""
        self._page["gap_position"] = 0


class StreamGaps:
    """The gaps of single streams that have no end yet (`GapCause.STALE`). One for each subscription at most."""

    def __init__(self, page: StatsPage, epoch: int, plan: ConnectionPlan) -> None:
        self._cells, self._epoch, self._plan, self._page = page.cells, epoch, plan, page
        self._slots: dict[tuple[str, str, str], list[tuple[int, int, int]]] = {}
        """Stream, symbol and interval -> the cells of each of its subscriptions."""
        for each in plan.subscriptions:
            epoch_cell, position, started_ns = (page.index(stream_cell(name, each.name)) for name in STREAM_CELLS)
            line = each.stream.value, each.symbol, each.interval
            self._slots.setdefault(line, []).append((epoch_cell, position, started_ns))

    def opened_at(self, position: int, gap: Gap) -> None:
        """The ring position of the gap's first record."""
        for slot in self._of(gap):
            if not self._cells[slot[1]]:
                self._cells[slot[0]], self._cells[slot[2]] = self._epoch, gap.started_ns
                self._cells[slot[1]] = position + 1
                return

    def name(self, gap: Gap) -> None:
        """Give an end the name, begin and version of its gap, if the begin of that is in a ring."""
        slot = self._slot_of(gap)
        if slot:
            gap.started_ns = min(gap.started_ns, self._cells[slot[2]])
        gap.gap_id = f"{self._cells[slot[0]]}:{self._cells[slot[1]] - 1}" if slot else ""
        gap.version = 2 if slot else 1

    def closed(self, gap: Gap) -> None:
        """Its end is published."""
        if (slot := self._slot_of(gap)) is not None:
            self._cells[slot[1]] = 0

    def left_open(self) -> list[Gap]:
        """Those that an earlier process began."""
        return stream_gaps(self._page.read(), self._plan)

    def _of(self, gap: Gap) -> list[tuple[int, int, int]]:
        return self._slots.get((gap.stream, gap.symbol, gap.interval), []) if gap.cause == GapCause.STALE else []

    def _slot_of(self, gap: Gap) -> tuple[int, int, int] | None:
        open_slots = [slot for slot in self._of(gap) if self._cells[slot[1]]]
        same = (slot for slot in open_slots if self._cells[slot[2]] == gap.started_ns)
        return next(same, open_slots[0] if open_slots else None)


class DroppedEvents:
    """Events that found the ring full: how many of which stream and symbol, since when, which numbers (of streams whose
    numbers are contiguous). Gaps that found it full are not counted but kept, those of one stream, symbol and cause as
    one."""

    def __init__(self, exchange: str, connection: str) -> None:
        self._exchange, self._connection = exchange, connection
        self._runs: dict[tuple[str, str], list[int | None]] = {}
        self._held: dict[Identity, Gap] = {}

    def __bool__(self) -> bool:
        return bool(self._runs or self._held)

    def add(self, event: Event) -> None:
        key = (event.stream_type.value, event.symbol)
        if key not in self._runs and len(self._runs) >= MAX_ACCUMULATORS:
            key = ("", "")
        run = self._runs.get(key)
        number = numbering(type(event)).contiguous(event) if key[1] else None
        if run is None:
            self._runs[key] = [1, event.receive_time_ns, event.receive_time_ns, number, number]
        else:
            run[0] = (run[0] or 0) + 1
            run[2] = event.receive_time_ns
            run[4] = number if number is not None else run[4]

    def hold(self, gap: Gap) -> None:
        """A gap that finds the ring full is published before the others, later. An end has its name if its begin is in
        a ring. Those of silent streams are held each by itself, however many: one for each subscription at most."""
        if self._is_one_too_many(gap) and gap.cause == GapCause.FILLER:
            self._extend(gap)
            return
        if self._is_one_too_many(gap):
            gap = _of_all_symbols(gap)
        key = identity(gap)
        before = self._held.get(key)
        self._held[key] = gap if before is None else _joined(before, gap)

    def _is_one_too_many(self, gap: Gap) -> bool:
        is_new = identity(gap) not in self._held
        return is_new and len(self._held) >= MAX_ACCUMULATORS and gap.cause != GapCause.STALE

    def _extend(self, filler: Gap) -> None:
        """What the venue gave to no event is no dropped event; but nothing else will tell what became of its number."""
        at_ns, number = filler.receive_time_ns, filler.first_missing
        key = filler.stream, filler.symbol
        if key not in self._runs and len(self._runs) >= MAX_ACCUMULATORS:
            key, number = ("", ""), None
        run = self._runs.setdefault(key, [0, at_ns, at_ns, number, number])
        run[2] = at_ns
        run[3] = number if run[3] is None else run[3]
        run[4] = number if number is not None else run[4]

    def gaps(self, now_ns: int) -> list[Gap]:
        """One `Gap` per stream and symbol, behind those that were held. Call `published` for each that is in. One of
        all symbols is dated now: no event that follows knows of it."""
        for gap in self._held.values():
            if not gap.symbol:
                gap.receive_time_ns = now_ns
        runs = [self._gap(stream, symbol, run, now_ns) for (stream, symbol), run in self._runs.items()]
        return [*self._held.values(), *runs]

    def published(self, gap: Gap) -> None:
        if self._held.pop(identity(gap), None) is None:
            del self._runs[gap.stream, gap.symbol]

    def _gap(self, stream: str, symbol: str, run: list[int | None], now_ns: int) -> Gap:
        count, first_ns, last_ns, first_number, last_number = run
        return begin(
            GapCause.RING_FULL,
            first_ns or now_ns,
            now_ns,
            exchange=self._exchange,
            connection=self._connection,
            stream=stream,
            symbol=symbol,
            ended_ns=last_ns,
            missing=(first_number, last_number, count),
        )


def _of_all_symbols(gap: Gap) -> Gap:
    """The same, of its stream: when is known, of which symbol is not. What lasts ends under its own name, later."""
    ended_ns = gap.receive_time_ns if gap.ended_ns is None else gap.ended_ns
    return replace(gap, symbol="", interval="", ended_ns=ended_ns, first_missing=None, last_missing=None)


def _joined(first: Gap, second: Gap) -> Gap:
    """One hole of two: what lies between them was dropped, too. The end of a gap says what it was in the end; one whose
    end was not published and that begins again goes on, as it stands in its ring."""
    if first.gap_id and second.ended_ns is None:
        first.version = 1
    if first.ended_ns is not None and RepairState.OPEN in (first.repair_state, second.repair_state):
        first.repair_state = RepairState.OPEN.value
    else:
        first.repair_state = second.repair_state
    first.started_ns = min(first.started_ns, second.started_ns)
    first.ended_ns = None if second.ended_ns is None else max(first.ended_ns or 0, second.ended_ns)
    first.receive_time_ns = second.receive_time_ns
    if first.first_missing is None:
        first.first_missing = second.first_missing
    if second.last_missing is not None:
        first.last_missing = second.last_missing
    counts = [count for count in (first.missing_count, second.missing_count) if count is not None]
    first.missing_count = sum(counts) if counts else None
    return first
