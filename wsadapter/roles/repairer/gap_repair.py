"""The work on one gap: what is missing, what to ask, what came of it.

A gap is expanded into the series of its connection's plan. What each of them lacks is looked up in Kafka
(`missing_range`), so that exactly that is fetched; the gap's new state is the sum of what became of its series:
``repaired`` when all are, ``unrepairable`` when none is, else ``partial``. What became of each stream is said beside it
(`gap_outcomes`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from confluent_kafka import Message
from google.protobuf.message import DecodeError

from wsadapter.config.load import KafkaConfig
from wsadapter.events import Event, Gap, MarketEvent, Trade
from wsadapter.events.gaps import RepairState, with_state
from wsadapter.events.sequence import NUMBERINGS, numbering
from wsadapter.events.streams import BY_STREAM
from wsadapter.exchanges.rest_api import Hole, RestExchange, Series
from wsadapter.kafka.time_range_reader import TimeRangeReader
from wsadapter.kafka.topics import topic
from wsadapter.pb import market_pb2
from wsadapter.roles.repairer.gap_outcomes import streams_of, summed
from wsadapter.roles.repairer.host_queue import RepairJob
from wsadapter.roles.repairer.missing_range import MissingRange

SETTLE_SECONDS: Final = 2.0
"""After a gap is seen, before the log is looked into: what follows it must be there."""
PATIENCE_SECONDS: Final = 12.0
"""For the first record of a series after the gap; a series that is quieter is bounded by time."""
LOOKED_UP: Final = ("trade", "kline", "funding_rate")


class GapRepair(RepairJob):
    """One gap, and the ``series`` that it is about. A `wsadapter.roles.repairer.host_queue.Job`."""

    def __init__(self, gap: Gap, rest: RestExchange, series: Sequence[Series], kafka: KafkaConfig, now: float) -> None:
        super().__init__()
        self.gap = gap
        self.lane = gap.connection
        self.urgent = True
        self.not_before = now + SETTLE_SECONDS
        self._rest, self._series, self._kafka = rest, series, kafka
        self._patient_until = now + PATIENCE_SECONDS
        self._around: dict[tuple[str, str, str], MissingRange] = {}
        self._ordered: list[Series] = []
        """The series as ``_outcomes`` has them, or will have."""
        self._reader: TimeRangeReader | None = None
        self._requesting = False

    def prepare(self, now: float) -> bool:
        """Look into the log, step by step, until it is known what is missing."""
        if self._requesting:
            return True
        if self._reader is None:
            self._around = {
                _key(series): MissingRange(series, self.gap.started_ns, self.gap.ended_ns or self.gap.started_ns)
                for series in self._series
                if series.stream in LOOKED_UP
            }
            if self._around:
                topics = [topic(self._kafka, BY_STREAM[word]) for word in {key[0] for key in self._around}]
                ended_ns = self.gap.ended_ns or self.gap.started_ns
                self._reader = TimeRangeReader(self._kafka, sorted(topics), self.gap.started_ns, ended_ns, self._read)
        if self._reader is not None:
            if not self._reader.step():
                return False
            self.close()
        waits = (a for a in self._around.values() if not a.ends and a.series.stream != "funding_rate")
        if now < self._patient_until and any(waits) and self._bounds is None:
            self.not_before = now + SETTLE_SECONDS
            return False
        self._requesting = True
        self._begin()
        return True

    def handle(self, body: bytes, received_ns: int) -> Sequence[Event]:
        return self._events(body, received_ns)

    def closing(self) -> Sequence[Event]:
        by_series = zip(self._ordered, self._outcomes, strict=False)
        return (*streams_of(self.gap, by_series), with_state(self.gap, self.outcome))

    @property
    def outcome(self) -> str:
        return summed(self._outcomes)

    @property
    def counts(self) -> dict[str, int]:
        """How many of its series became what."""
        return dict(Counter(self._outcomes))

    def close(self) -> None:
        """Let go of what is under way."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    @property
    def _bounds(self) -> tuple[int, int | None] | None:
        """The ids that the gap names itself. With raw trades beside aggregated ones it does not say whose they are."""
        gap = self.gap
        ambiguous = any(series.stream == "raw_trade" for series in self._series)
        if gap.first_missing is None or gap.stream not in ("trade", "kline") or ambiguous:
            return None
        return gap.first_missing, gap.last_missing

    def _begin(self) -> None:
        first, last = self._bounds or (None, None)
        requested = []
        for series in self._series:
            around = self._around.get(_key(series))
            if around is None:
                gap = self.gap
                ended_ns = gap.ended_ns or gap.started_ns
                hole: Hole | None = Hole(series.stream, series.symbol, gap.started_ns, ended_ns, levels=series.levels)
            else:
                hole = around.hole(first, last)
            repair = self._rest.repair(hole) if hole is not None else None
            if repair is not None:
                self._repairs.append((repair, _is_present(around)))
                requested.append(series)
            else:
                self._outcomes.append(
                    RepairState.REPAIRED if hole is None else RepairState.UNREPAIRABLE
                )  # nothing was missed, or all
                self._ordered.append(series)
        self._ordered += requested

    def _read(self, message: Message) -> None:
        """One message of the log, if it is of a series in question."""
        exchange, _, symbol = (message.key() or b"").decode(errors="replace").partition(":")
        if exchange != self.gap.exchange or not any(key[1] == symbol for key in self._around):
            return
        word = str(message.topic()).removeprefix(self._kafka.topic_prefix)
        try:
            event: Any = getattr(market_pb2, BY_STREAM[word].message).FromString(message.value() or b"")
        except DecodeError:
            return
        is_rest = event.source == market_pb2.SOURCE_REST
        interval = event.interval if word == "kline" else ""
        around = self._around.get((word, symbol, interval))
        if around is None:
            return
        whole = event.closed if word == "kline" else True
        if (extent := NUMBERINGS[word].extent(event)) is not None:
            if word != "trade" or event.aggregated:
                around.add(*extent, whole, is_rest, event.receive_time_ns)
        elif word == "trade":
            around.add_identity(event.trade_id)
        elif word == "funding_rate" and is_rest:
            around.add(event.transaction_time_ns, event.transaction_time_ns + 1, True, True, event.receive_time_ns)


def series_of(gap: Gap, carried: Iterable[Series]) -> list[Series]:
    """Those of a connection's series that the gap is about; a gap of trades is about both kinds."""
    words = ("trade", "raw_trade") if gap.stream == "trade" else (gap.stream,)
    return [
        series
        for series in carried
        if (not gap.stream or series.stream in words)
        and gap.symbol in ("", series.symbol)
        and gap.interval in ("", series.interval)
    ]


def _key(series: Series) -> tuple[str, str, str]:
    return series.stream, series.symbol, series.interval


def _is_present(around: MissingRange | None) -> Callable[[MarketEvent], bool]:
    def is_present(event: MarketEvent) -> bool:
        if around is None:
            return False
        extent = numbering(type(event)).extent(event)
        if extent is None and isinstance(event, Trade):
            return around.has_identity(event.trade_id)
        return around.is_present(event.transaction_time_ns if extent is None else extent[0])

    return is_present
