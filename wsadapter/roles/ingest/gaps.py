"""Which hole is open on a connection, and which events were dropped: the bookkeeping behind `Gap` events.

Pure: told what happened and when (ns since the epoch, UTC), it answers with the `Gap` to put in the ring. Two kinds of
holes meet here. The connection's: from the last frame received (or the start) until every subscription is acked again;
one at a time, first published open, then with its end. Dropped events: one accumulator per stream and symbol while
the ring is full, bounded by `MAX_ACCUMULATORS`; beyond that they share one for the whole connection.

The open gap lives in the ingest's stats page, so that the process that follows a killed one ends the same gap.
"""

from typing import Final

from wsadapter.events import Event, Gap, Source
from wsadapter.events.sequence import numbering
from wsadapter.metrics import GAP_CAUSES
from wsadapter.shm.stats_page import StatsPage

MAX_ACCUMULATORS: Final = 4096


class ConnectionGap:
    """The one hole of a whole connection. Cells: ``gap_position`` is the ring position of its first record + 1 (0 =
    no gap is open), ``gap_cause`` an index into `GAP_CAUSES`."""

    def __init__(self, page: StatsPage, exchange: str, connection: str, epoch: int) -> None:
        self._page, self._exchange, self._connection, self._epoch = page, exchange, connection, epoch

    @property
    def is_open(self) -> bool:
        return self._page["gap_position"] != 0

    def open(self, cause: str, started_ns: int, now_ns: int) -> Gap | None:
        """The record that says "not receiving since"; None when one is open already. Then call `opened_at`."""
        if self.is_open:
            return None
        page = self._page
        page["gap_started_ns"], page["gap_version"], page["gap_cause"] = started_ns, 1, GAP_CAUSES.index(cause)
        return self._gap("", now_ns, None)

    def opened_at(self, position: int) -> None:
        """The ring position of the record made by `open`: it names the gap."""
        self._page["gap_position"] = position + 1

    def close(self, now_ns: int) -> Gap | None:
        """The record that ends the open gap, None when there is none. Then call `closed`."""
        if not self.is_open:
            return None
        self._page["gap_version"] += 1
        return self._gap(f"{self._epoch}:{self._page['gap_position'] - 1}", now_ns, now_ns)

    def closed(self) -> None:
        self._page["gap_position"] = 0

    def _gap(self, gap_id: str, now_ns: int, ended_ns: int | None) -> Gap:
        page = self._page
        return Gap(
            exchange=self._exchange,
            symbol="",
            event_time_ns=None,
            transaction_time_ns=None,
            receive_time_ns=now_ns,
            source=Source.WEBSOCKET,
            connection=self._connection,
            last_gap_ns=None,
            gap_id=gap_id,
            version=page["gap_version"],
            stream="",
            interval="",
            cause=GAP_CAUSES[page["gap_cause"]],
            started_ns=page["gap_started_ns"],
            ended_ns=ended_ns,
            first_missing=None,
            last_missing=None,
            missing_count=None,
            repair_state="open",
        )


class DroppedEvents:
    """Events that found the ring full: how many of which stream and symbol, since when, which numbers
    (of streams whose numbers have no holes). Gaps that
    found it full are not counted but kept, those of one stream, symbol and cause as one."""

    def __init__(self, exchange: str, connection: str) -> None:
        self._exchange, self._connection = exchange, connection
        self._runs: dict[tuple[str, str], list[int | None]] = {}
        self._held: dict[tuple[str, str, str, str], Gap] = {}

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
        """A gap that finds the ring full is said before the others, later."""
        key = identity(gap)
        before = self._held.get(key)
        if before is None and len(self._held) >= MAX_ACCUMULATORS:
            self.add(gap)  # then it is one of the events that were dropped
        else:
            self._held[key] = gap if before is None else _joined(before, gap)

    def gaps(self, now_ns: int) -> list[Gap]:
        """One `Gap` per stream and symbol, behind those that were held. Call `told` for each that is in the ring."""
        runs = [self._gap(stream, symbol, run, now_ns) for (stream, symbol), run in self._runs.items()]
        return [*self._held.values(), *runs]

    def told(self, gap: Gap) -> None:
        if self._held.pop(identity(gap), None) is None:
            del self._runs[gap.stream, gap.symbol]

    def _gap(self, stream: str, symbol: str, run: list[int | None], now_ns: int) -> Gap:
        count, first_ns, last_ns, first_number, last_number = run
        return Gap(
            exchange=self._exchange,
            symbol=symbol,
            event_time_ns=None,
            transaction_time_ns=None,
            receive_time_ns=now_ns,
            source=Source.WEBSOCKET,
            connection=self._connection,
            last_gap_ns=None,
            gap_id="",
            version=1,
            stream=stream,
            interval="",
            cause="ring_full",
            started_ns=first_ns or now_ns,
            ended_ns=last_ns,
            first_missing=first_number,
            last_missing=last_number,
            missing_count=count,
            repair_state="open",
        )


def identity(gap: Gap) -> tuple[str, str, str, str]:
    """What makes two records of a stream's hole one, as long as it lasts."""
    return gap.stream, gap.symbol, gap.interval, gap.cause


def _joined(first: Gap, second: Gap) -> Gap:
    """One hole of two: what lies between them was dropped, too."""
    first.ended_ns, first.receive_time_ns = second.ended_ns, second.receive_time_ns
    first.repair_state = second.repair_state
    if first.first_missing is None:
        first.first_missing = second.first_missing
    if second.last_missing is not None:
        first.last_missing = second.last_missing
    counts = [count for count in (first.missing_count, second.missing_count) if count is not None]
    first.missing_count = sum(counts) if counts else None
    return first
