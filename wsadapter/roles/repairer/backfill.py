"""Backfill by hand: a range of time of one series, as a gap that somebody wants to have closed.

The wish is a `Gap` on `websocket.gap` (cause ``connect``: it is from before we were there), its connection
``backfill:`` and the feed. So whoever wishes needs no budget of its own: the repairer fetches it beside everything
else. Other than a gap it is fetched by time alone, as the log may hold a part of it in the middle; what the log holds
is not published again.
"""

from collections.abc import Mapping
from typing import Any, Final

from wsadapter.config.load import KafkaConfig
from wsadapter.events import Gap
from wsadapter.events.gaps import RepairState
from wsadapter.events.streams import BY_STREAM
from wsadapter.exchanges.rest_api import Hole, RestExchange, Series
from wsadapter.kafka.backfill import PREFIX, STREAMS
from wsadapter.kafka.time_range_reader import TimeRangeReader
from wsadapter.kafka.topics import topic
from wsadapter.roles.repairer.gap_repair import GapRepair
from wsadapter.roles.repairer.missing_range import MissingRange

MARGIN_NS: Final = 10_000_000_000
"""An event may come so much later than it is dated."""
TURN_SECONDS: Final = 0.01


class Backfill(GapRepair):
    """The work on one wish. A `wsadapter.roles.repairer.host_queue.Job`."""

    def __init__(self, gap: Gap, rest: RestExchange, kafka: KafkaConfig, now: float) -> None:
        super().__init__(gap, rest, [Series(gap.stream, gap.symbol, gap.interval)], kafka, now)
        self.not_before = now
        ended_ns = gap.ended_ns or gap.started_ns
        self._range = MissingRange(self._series[0], gap.started_ns - MARGIN_NS, ended_ns + MARGIN_NS)

    def prepare(self, now: float) -> bool:
        """Look what the log holds of it; others have their turn meanwhile."""
        if self._requesting:
            return True
        gap, (series,) = self.gap, self._series
        if self._reader is None:
            self._around = {(series.stream, series.symbol, series.interval): self._range}
            topics = [topic(self._kafka, BY_STREAM[series.stream])]
            self._reader = TimeRangeReader(
                self._kafka, topics, gap.started_ns, gap.ended_ns or gap.started_ns, self._read
            )
        if not self._reader.step():
            self.not_before = now + TURN_SECONDS
            return False
        self.close()
        self._requesting = True
        hole = Hole(series.stream, series.symbol, gap.started_ns, gap.ended_ns or 0, interval=series.interval)
        if (repair := self._rest.repair(hole)) is None:
            self._outcomes.append(RepairState.UNREPAIRABLE)
        else:
            self._repairs.append((repair, self._is_present))
        return True

    def _is_present(self, event: Any) -> bool:
        if event.stream_type == "kline":
            return self._range.is_present(event.open_time_ns)
        return self._range.is_present(getattr(event, "trade_number", None) or event.transaction_time_ns)


def can_be_filled(gap: Gap) -> bool:
    return gap.stream in STREAMS and bool(gap.symbol) and bool(gap.interval) == (gap.stream == "kline")


def backfill_of(gap: Gap, feeds: Mapping[str, RestExchange], kafka: KafkaConfig, now: float) -> Backfill | None:
    """The job of a wish; None where it is none that can be met. ``feeds``: those whose history we can ask for."""
    rest = feeds.get(gap.connection.removeprefix(PREFIX))
    return Backfill(gap, rest, kafka, now) if rest is not None and can_be_filled(gap) else None
