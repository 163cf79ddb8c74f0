"""Backfill by hand: a range of time of one series, as a gap that somebody wants to have closed.

The request is a `Gap` on `websocket.gap` (cause ``connect``: it is from before we were there), its connection
``backfill:`` and the feed. So whoever requests one needs no budget of its own: the repairer fetches it beside
everything else. Other than a gap it is fetched by time alone, as the log may hold a part of it in the middle; what the
log holds is not published again.
"""

from collections.abc import Mapping
from typing import Final

from wsadapter.config.model import KafkaConfig
from wsadapter.events import Gap
from wsadapter.events.streams import BY_STREAM
from wsadapter.exchanges.rest_api import Hole, RestExchange, Series
from wsadapter.kafka.backfill import PREFIX, STREAMS
from wsadapter.kafka.time_range_reader import TimeRangeReader
from wsadapter.kafka.topics import topic
from wsadapter.roles.repairer.gap_repair import GapRepair, Search, Searches, read_all
from wsadapter.roles.repairer.missing_range import MissingRange
from wsadapter.roles.repairer.published import Published
from wsadapter.roles.repairer.undelivered import Undelivered

MARGIN_NS: Final = 10_000_000_000
"""An event may come so much later than it is dated."""


class Backfill(GapRepair):
    """The work on one request."""

    def __init__(
        self,
        gap: Gap,
        rest: RestExchange,
        kafka: KafkaConfig,
        now: float,
        searches: Searches | None = None,
        published: Published | None = None,
        undelivered: Undelivered | None = None,
    ) -> None:
        series = [Series(gap.stream, gap.symbol, gap.interval)]
        super().__init__(gap, rest, series, kafka, now, None, searches, published, (), undelivered)
        self.not_before = now

    @property
    def publishes_again(self) -> bool:
        """It goes by the log alone: somebody wants what is not there any more."""
        return True

    def _search(self, now: float) -> Search:
        """Look what the log holds of it."""
        gap, (series,) = self.gap, self._series
        around = MissingRange(series, gap.started_ns - MARGIN_NS, self._ended_ns + MARGIN_NS)
        self._ranges = {(series.stream, series.symbol, series.interval): around}
        topics = [topic(self._kafka, BY_STREAM[series.stream])]
        yield from read_all(TimeRangeReader(self._kafka, topics, gap.started_ns, self._ended_ns, self._read), now)
        return self._ranges

    def _hole(self, series: Series, around: MissingRange | None) -> Hole:
        return Hole(series.stream, series.symbol, self.gap.started_ns, self._ended_ns, interval=series.interval)


def can_be_filled(gap: Gap) -> bool:
    return gap.stream in STREAMS and bool(gap.symbol) and bool(gap.interval) == (gap.stream == "kline")


def backfill_of(
    gap: Gap,
    feeds: Mapping[str, RestExchange],
    kafka: KafkaConfig,
    now: float,
    searches: Searches | None = None,
    published: Published | None = None,
    undelivered: Undelivered | None = None,
) -> Backfill | None:
    """The job of a request; None where it is none that can be met. ``feeds``: those whose history we can ask for."""
    rest = feeds.get(gap.connection.removeprefix(PREFIX))
    if rest is None or not can_be_filled(gap):
        return None
    return Backfill(gap, rest, kafka, now, searches, published, undelivered)
