"""The work on one gap: what is missing, what to ask, what came of it.

A gap is expanded into the series of its connection's plan. What each of them lacks is looked up in Kafka
(`missing_range`), so that exactly that is fetched; the gap's new state is the sum of what became of its series:
``repaired`` when all are, ``unrepairable`` when none is, else ``partial``. What became of each stream is said beside it
(`gap_outcomes`).

Guarantees: nothing is ``repaired`` because nothing was found to compare. Where a series shows nothing before the gap,
time has to say where its hole begins: for the gap of a first connection its last record is looked for further back, and
where neither that nor the log's beginning is found the hole is at best ``partial``. A gap that ends before it began
(the clock was set) bounds nothing by its times. What the log has of the connection before the gap, or a reload took
from it since, is repaired like the series of its plan, which may be another one by now: as far as another connection
has it, else to the gap's end; of a start's gap only what came after it, too. A look into the log is made of short
steps, between which others have their turn; gaps that are long hold up no others of their connection.
"""

from collections import Counter
from collections.abc import Generator, Sequence
from typing import Any, Final

from confluent_kafka import Message
from google.protobuf.message import DecodeError
from msgspec import Struct

from wsadapter.config.model import KafkaConfig
from wsadapter.events import Gap, MarketEvent
from wsadapter.events.gaps import GapCause, RepairState
from wsadapter.events.sequence import NUMBERINGS
from wsadapter.events.streams import BY_STREAM
from wsadapter.exchanges.rest_api import Filled, Filling, Hole, RestExchange, Series, Unanswered
from wsadapter.kafka.messages import Identity
from wsadapter.kafka.time_range_reader import OffsetRangeReader, TimeRangeReader
from wsadapter.kafka.topics import topic
from wsadapter.log import get_logger
from wsadapter.pb import market_pb2
from wsadapter.roles.repairer.gap_outcomes import Outcomes, streams_of, summed, with_outcome
from wsadapter.roles.repairer.host_queue import Pause, RepairJob, Steps
from wsadapter.roles.repairer.missing_range import LogOrder, MissingRange, Order
from wsadapter.roles.repairer.published import Published
from wsadapter.roles.repairer.undelivered import Undelivered
from wsadapter.times import SECOND, iso

SETTLE_SECONDS: Final = 2.0
"""After a gap is seen, before the log is looked into: what follows it must be recorded; then until it is delivered."""
PATIENCE_SECONDS: Final = 12.0
"""For the first record of a series after the gap; a series that is quieter is bounded by time."""
TURN_SECONDS: Final = 0.01
LOOKED_UP: Final = ("trade", "kline", "funding_rate")
HISTORIES: Final = (*LOOKED_UP, "raw_trade")
"""Of which a venue may have what was missed: a book that nobody carries any more is not asked for."""
MOST_SEARCHES: Final = 4
MOST_LONG: Final = 2
"""Of them those of long gaps."""
LONG_NS: Final = 900 * SECOND
"""Of a gap, which makes it long: its look into the log may take minutes, of one of days hours."""
EARLIER: Final = (2_000, 8_000, 32_000, 128_000)
"""Messages of each partition that are looked at before those around the gap, one step after another."""
NO_START: Final = "the log does not show the connection before the gap"
CLOCK_WENT_BACK: Final = "the clock went back during the gap"

UNKNOWN_NS: Final = 5 * SECOND
"""Of so much nothing is said: what a start takes."""

log = get_logger()
Key = tuple[str, str, str]
Ranges = dict[Key, MissingRange]
Search = Generator[Pause, float, Ranges]


class Searches(Struct):
    """Looks into the log that may be under way at a time, each with a client of its own."""

    free: int = MOST_SEARCHES


class Other(Struct):
    """What the log has of a series that the connection's plan does not have: not any more, or it is another
    connection's. ``sides`` of the gap on which the connection received it."""

    around: MissingRange
    sides: set[Order]


class GapRepair(RepairJob):
    """One gap, and the ``series`` that it is about. ``end``: the ring identity of the record that ends it. ``left``:
    what the connection carried then and does not any more."""

    def __init__(
        self,
        gap: Gap,
        rest: RestExchange,
        series: Sequence[Series],
        kafka: KafkaConfig,
        now: float,
        end: Identity | None = None,
        searches: Searches | None = None,
        published: Published | None = None,
        left: Sequence[Series] = (),
        undelivered: Undelivered | None = None,
    ) -> None:
        super().__init__()
        self.gap = gap
        self._ended_ns = gap.started_ns if gap.ended_ns is None else gap.ended_ns
        self._is_long = self._ended_ns - gap.started_ns > LONG_NS
        # a lane of their own: both may be about the same events, of which `published` has each published once
        self.lane = f"{gap.connection}:long" if self._is_long else gap.connection
        self.not_before = now + SETTLE_SECONDS
        self.outcomes: Outcomes = []
        self._filled: dict[Series, Filled] = {}
        """What became of those that are done: it outlives a new beginning."""
        self._rest, self._series, self._kafka = rest, series, kafka
        own = {_key(each) for each in series}
        self._left = [] if gap.stream else [each for each in left if _key(each) not in own]
        self._patient_until = now + PATIENCE_SECONDS
        self._order = LogOrder(gap, end)
        self._searches = searches or Searches()
        self._undelivered = undelivered or Undelivered()
        self._ranges: Ranges = {}
        self._others: dict[Key, Other] = {}
        """Of series that are not in the plan."""
        self._known = self._beside = Published() if published is None else published
        """What this process has published, and what of it is not published again."""
        self._symbols = frozenset({gap.symbol} if gap.symbol else ())
        """Empty: all of the venue."""
        self._variants = {word: _variant(word, rest) for word in LOOKED_UP}
        self._newest_before: tuple[Identity, int] | None = None
        """The connection's last record before the gap, as far as it was seen: identity and receive time."""

    def run(self) -> Steps:
        now = yield Pause(self.not_before)
        self._known.begun(self)
        if self.publishes_again and self._beside is self._known:
            self._beside = self._known.from_now_on()
        now = yield from self._undelivered.awaited(self.gap.exchange, now)
        reserved, turn = (MOST_SEARCHES - MOST_LONG, SETTLE_SECONDS) if self._is_long else (0, TURN_SECONDS)
        while self._searches.free <= reserved:
            now = yield Pause(now + turn)
        self._searches.free -= 1
        try:
            ranges = yield from self._search(now)
        finally:
            self._searches.free += 1
        for key, each in ranges.items():
            each.include(self._beside.of(self.gap.exchange, *key))
        wanted = (*self._series, *(each for each in self._left if each.stream in HISTORIES), *self._former())
        yield from self._fill_all(wanted, ranges)
        outcomes = [(series, self._filled[series]) for series in wanted]
        lost = (each for each in self._left if each.stream not in HISTORIES)
        outcomes += [(series, Filled(RepairState.UNREPAIRABLE)) for series in lost]
        self.outcomes = outcomes
        yield [*streams_of(self.gap, outcomes), with_outcome(self.gap, outcomes)]
        self._known.ended(self)

    @property
    def publishes_again(self) -> bool:
        """Whether what this process has published before may be missing all the same: it is what the log has lost."""
        return self.gap.cause == GapCause.KAFKA_RETENTION

    @property
    def outcome(self) -> str:
        return summed([filled.state for _, filled in self.outcomes])

    @property
    def counts(self) -> dict[str, int]:
        """How many of its series became what."""
        return dict(Counter(filled.state.value for _, filled in self.outcomes))

    @property
    def _bounds(self) -> tuple[int, int | None] | None:
        """The ids that the gap names itself. With raw trades beside aggregated ones it does not say whose they are."""
        gap = self.gap
        ambiguous = any(series.stream == "raw_trade" for series in self._series)
        if gap.first_missing is None or gap.stream not in ("trade", "kline") or ambiguous:
            return None
        return gap.first_missing, gap.last_missing

    def _search(self, now: float) -> Search:
        """Look into the log, step by step, until it is known what is missing."""
        while True:
            self._newest_before = None
            self._others = {}
            ranges = self._ranges = {
                _key(series): MissingRange(series, self.gap.started_ns, self._ended_ns)
                for series in (*self._series, *self._left)
                if series.stream in LOOKED_UP
            }
            if not ranges:
                return ranges
            words = {word for word, _, _ in ranges} if self.gap.stream else LOOKED_UP
            topics = sorted(topic(self._kafka, BY_STREAM[word]) for word in words)
            around = TimeRangeReader(
                self._kafka, topics, self.gap.started_ns, self._ended_ns, self._read, self._is_earlier
            )
            now = yield from read_all(around, now)
            awaited = (ranges[_key(each)] for each in self._series if each.stream in ("trade", "kline"))
            waits = any(not each.ends for each in awaited)
            if now < self._patient_until and waits and self._bounds is None:
                now = yield Pause(now + SETTLE_SECONDS)
                now = yield from self._undelivered.awaited(self.gap.exchange, now)
                continue
            reader: OffsetRangeReader = around
            for count in EARLIER if self.gap.cause == GapCause.CONNECT else ():
                if self._newest_before is not None or (before := reader.earlier(self._kafka, count)) is None:
                    break
                reader = before
                now = yield from read_all(reader, now)
            self._place_start(ranges, is_all=reader.is_at_the_beginning)
            self._tell_earlier()
            return ranges | {_key(series): self._others[_key(series)].around for series in self._former()}

    def _former(self) -> list[Series]:
        """What the connection had before the gap, and its plan does not have now."""
        return [each.around.series for each in self._others.values() if self._is_former(each)]

    def _is_former(self, other: Other) -> bool:
        """What came before the gap a reload may have taken while it lasted. While nothing ran the configuration may
        have: then something must have come after it, too, whoever has it now. A first start looks far back: what is
        before its gap may have been given up long ago."""
        if Order.BEFORE not in other.sides:
            return False
        comes_again = Order.AFTER in other.sides
        if self.gap.cause == GapCause.CONNECT:
            return comes_again
        return comes_again or other.around.ends or self.gap.cause != GapCause.RESTART

    def _place_start(self, ranges: Ranges, is_all: bool) -> None:
        """Where a hole begins that has no record of its series before it: behind the connection's last record. Only a
        gap of a first connection may be older than it says: after a power cut nobody knows that there was one."""
        for each in ranges.values():
            if self._newest_before is not None:
                each.begin_at(self._newest_before[1])
            elif self.gap.cause == GapCause.CONNECT and not is_all:
                each.doubt_start(NO_START)

    def _tell_earlier(self) -> None:
        """Of a start that knew of nothing before it (a new state directory), where the log does."""
        if self.gap.cause != GapCause.CONNECT or self._newest_before is None:
            return
        last_ns = self._newest_before[1]
        if self.gap.started_ns - last_ns > UNKNOWN_NS:
            log.warning(
                "recorded before this start, which knew nothing of it: what no venue gives again of the time between "
                "is in no gap row, only in coverage",
                connection=self.gap.connection, until=iso(last_ns), since=iso(self.gap.started_ns),
            )  # fmt: skip

    def _fill_all(self, wanted: Sequence[Series], ranges: Ranges) -> Steps:
        """One that gets no answer keeps back no other: it alone is asked for anew."""
        unanswered: Unanswered | None = None
        for series in wanted:
            if series in self._filled:
                continue
            try:
                self._filled[series] = yield from self._fill_series(series, ranges.get(_key(series)))
            except Unanswered as error:
                unanswered = error
        if unanswered is not None:
            raise unanswered

    def _fill_series(self, series: Series, around: MissingRange | None) -> Filling:
        hole = self._hole(series, around)
        if hole is None:
            return Filled(RepairState.REPAIRED)  # nothing was missed
        filled = yield from self._fill_hole(series, hole, around)
        if around is not None and around.before_anew is not None:
            before = yield from self._fill_hole(series, around.before_anew, around)
            state = summed([before.state, filled.state])
            filled = Filled(state, 0, (*before.missing, *filled.missing), before.reason or filled.reason)
        if filled.reason:
            self._log_remaining(series, filled)
        return filled

    def _fill_hole(self, series: Series, hole: Hole, around: MissingRange | None) -> Filling:
        filling = self._rest.repair(hole)
        if filling is None:
            return Filled(RepairState.UNREPAIRABLE)
        if _is_by_time(hole) and hole.ended_ns < hole.started_ns:
            return Filled(RepairState.PARTIAL, reason=CLOCK_WENT_BACK)
        filled = yield from self.fill(
            (_key(series), hole.last), filling, lambda events: self._absent(events, series, around)
        )
        if around is not None and around.doubt and filled.state is RepairState.REPAIRED:
            filled.state, filled.reason = RepairState.PARTIAL, around.doubt
        if not filled.missing and filled.reason and hole.first is not None and hole.last is not None:
            filled.missing = ((hole.first, hole.last),)
        return filled

    def _absent(self, events: list[MarketEvent], series: Series, around: MissingRange | None) -> list[MarketEvent]:
        """Those that are not in the log, nor on their way there since it was looked into; they will be."""
        if around is None:
            return events
        key = _key(series)
        unknown = self._beside.unknown(self.gap.exchange, key, events)
        absent = [event for event in unknown if event not in around]
        self._known.note(self.gap.exchange, key, absent)
        return absent

    def _hole(self, series: Series, around: MissingRange | None) -> Hole | None:
        """What it lacks; None for nothing."""
        if around is not None:
            return around.hole(*self._bounds or (None, None))
        return Hole(series.stream, series.symbol, self.gap.started_ns, self._ended_ns, levels=series.levels)

    def _log_remaining(self, series: Series, filled: Filled) -> None:
        log.warning(
            "a gap is not filled",
            gap=self.gap.gap_id,
            stream=series.stream,
            symbol=series.symbol,
            interval=series.interval,
            state=filled.state.value,
            reason=filled.reason,
            missing=[*filled.missing[:9]],
        )

    def _is_earlier(self, message: Message) -> bool:
        record = self._parsed(message)
        return record is not None and self._order.is_earlier(record)

    def _parsed(self, message: Message) -> Any:
        """One message of the log, None if it is not of a series in question."""
        exchange, _, symbol = (message.key() or b"").decode(errors="replace").partition(":")
        if exchange != self.gap.exchange or (self._symbols and symbol not in self._symbols):
            return None
        try:
            return getattr(market_pb2, BY_STREAM[self._word(message)].message).FromString(message.value() or b"")
        except DecodeError:
            return None

    def _word(self, message: Message) -> str:
        return str(message.topic()).removeprefix(self._kafka.topic_prefix)

    def _read(self, message: Message) -> None:
        record = self._parsed(message)
        if record is None:
            return
        word, is_rest = self._word(message), record.source == market_pb2.SOURCE_REST
        order = self._order.of(record)
        side = self._side(record, order)
        if side is Order.BEFORE:
            at = ((record.epoch, record.position), record.receive_time_ns)
            self._newest_before = at if self._newest_before is None else max(at, self._newest_before)
        if not self._is_of_its_series(word, record):
            return
        key = word, record.symbol, record.interval if word == "kline" else ""
        around = self._ranges.get(key) or self._other(key, side)
        if (extent := NUMBERINGS[word].extent(record)) is not None:
            whole = record.closed if word == "kline" else True
            around.add(*extent, whole, is_rest, record.receive_time_ns, order)
        elif word == "funding_rate":
            if is_rest:
                at_ns = record.transaction_time_ns
                around.add(at_ns, at_ns + 1, True, True, record.receive_time_ns)
        elif (place := NUMBERINGS[word].place(record)) is not None and place.identity is not None:
            around.add_identity(str(place.identity[0]), record.transaction_time_ns, None if is_rest else order)

    def _other(self, key: Key, side: Order | None) -> MissingRange:
        other = self._others.get(key)
        if other is None:
            around = MissingRange(Series(*key), self.gap.started_ns, self._ended_ns)
            other = self._others[key] = Other(around, set())
        if side is not None:
            other.sides.add(side)
        return other.around

    def _is_of_its_series(self, word: str, record: Any) -> bool:
        """Raw trades, say, are of the same stream and symbol as aggregated ones, and of another series."""
        return all(getattr(record, field) == value for field, value in self._variants[word])

    def _side(self, record: Any, order: Order | None) -> Order | None:
        """On which the connection received it; None for what others did."""
        if record.connection != self.gap.connection:
            return None
        if order is not None:
            return order
        return Order.BEFORE if record.receive_time_ns <= self.gap.started_ns else Order.WITHIN


def read_all(reader: OffsetRangeReader, now: float) -> Generator[Pause, float, float]:
    """Returns the time when all is read."""
    try:
        while not reader.step():
            now = yield Pause(now + TURN_SECONDS)
    finally:
        reader.close()
    return now


def _variant(word: str, rest: RestExchange) -> tuple[tuple[str, object], ...]:
    """Fields and values that tell the series of a stream that the venue's history is of."""
    fields = {field for rule in NUMBERINGS[word].rules for field, _ in rule.series}
    return tuple((field, rest.variants[field]) for field in sorted(fields & rest.variants.keys()))


def _is_by_time(hole: Hole) -> bool:
    return hole.stream in LOOKED_UP and (hole.first is None or hole.last is None)


def _key(series: Series) -> Key:
    return series.stream, series.symbol, series.interval
