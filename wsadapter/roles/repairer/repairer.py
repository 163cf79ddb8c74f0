"""The repairer role: reads `websocket.gap`, fetches over REST what the venue still has, publishes it through its ring.

Guarantees: an open gap is forgotten by no restart, and none is repaired twice: a gap's offset is committed when its new
state is acknowledged, a gap whose state is in the log already is passed over, and what is fetched is what the log does
not hold. All REST of a host goes through here, within its budget; a ban is remembered. One more writer of one more
ring: what it publishes is delivered like anything else.

Order matters: nothing new is asked before all that was published is acknowledged, so the log is complete when it is
looked into. Owns the write side of its ring, its consumer group, the hosts and its stats page.
"""

import time
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from confluent_kafka import Message
from google.protobuf.message import DecodeError
from msgspec.structs import replace

from wsadapter.errors import Reason, ServiceUnavailable
from wsadapter.events import Gap
from wsadapter.events.gaps import RepairState, with_state
from wsadapter.exchanges import load_rest
from wsadapter.exchanges.rest_api import RestExchange, Series
from wsadapter.files import StateDirectory
from wsadapter.host_files import host_directory
from wsadapter.kafka.backfill import PREFIX
from wsadapter.kafka.errors import refusal
from wsadapter.listings.feeds import ListingSource
from wsadapter.log import get_logger
from wsadapter.metrics import host_label
from wsadapter.pb import market_pb2
from wsadapter.rest.host import RestHost
from wsadapter.roles.orders import Poll, RepairerOrder, Snapshots
from wsadapter.roles.repairer import backfill
from wsadapter.roles.repairer.candle_check import CandleChain, CandleCheck
from wsadapter.roles.repairer.candle_ends import CandleEnd
from wsadapter.roles.repairer.carriers import Carriers
from wsadapter.roles.repairer.gap_log import GapLog
from wsadapter.roles.repairer.gap_outcomes import streams_of_unknown
from wsadapter.roles.repairer.gap_repair import GapRepair, Searches
from wsadapter.roles.repairer.host_queue import HostQueue
from wsadapter.roles.repairer.listings import ListingFiles
from wsadapter.roles.repairer.open_candles import OpenCandles, ended_by_others, series_of_candles
from wsadapter.roles.repairer.polls import Polls
from wsadapter.roles.repairer.published import Published
from wsadapter.roles.repairer.publisher import RepairPublisher
from wsadapter.roles.repairer.settled_funding import STREAM as FUNDING
from wsadapter.roles.repairer.settled_funding import FundingFile
from wsadapter.roles.repairer.undelivered import Undelivered, rings_of
from wsadapter.shm import doorbell
from wsadapter.supervision.child import Child, ChildState

IDLE_SECONDS: Final = 0.5
"""Longest wait for a message while there is nothing else to do."""
BUSY_SECONDS: Final = 0.02
"""Between two looks at what nothing rings for: acknowledgements, the log."""
CLOSE_SECONDS: Final = 3.0

log = get_logger()


class Repairer:
    """Gaps in, events and states out. ``source`` is there once Kafka answers."""

    def __init__(
        self,
        child: Child,
        order: RepairerOrder,
        bell: int,
    ) -> None:
        assert child.args.ring is not None, "the supervisor gives the repairer a ring"
        config = child.args.config
        self._child, self._page, self._bell = child, child.page, bell
        self._kafka = config.kafka
        self._shard = order.shard
        self._state = StateDirectory(config.service.state_dir)
        self._shared = host_directory(config.service.state_dir)
        self._publisher = RepairPublisher(child.args.ring, child.page)
        self._queues: dict[str, HostQueue] = {}
        self._carriers = Carriers()
        self._left: dict[str, list[tuple[int, Series]]] = {}
        """Since when (ns) a connection does not carry it any more."""
        self._by_exchange: dict[str, tuple[HostQueue, RestExchange]] = {}
        self._of_candles: dict[tuple[str, str, str], tuple[HostQueue, RestExchange]] = {}
        """By series: a venue's test network has other candles of the same name."""
        for each in order.assignments:
            if (rest := load_rest(each.plan.exchange)) is None:
                continue
            queue = self._queue_of(rest, each.host)
            self._left[each.plan.connection] = [
                (one.at_ns, series)
                for one in each.left
                for series in rest.series(replace(each.plan, subscriptions=(one.subscription,)))
            ]
            own = self._carriers.add(each.plan, queue, rest)
            self._by_exchange.setdefault(each.plan.exchange, (queue, rest))
            self._of_candles.update(dict.fromkeys(series_of_candles(each.plan.exchange, own), (queue, rest)))
        self._feeds: dict[str, tuple[HostQueue, RestExchange]] = {}
        for history in order.histories:
            if (rest := load_rest(history.exchange)) is not None:
                entry = self._feeds[history.feed] = self._queue_of(rest, history.host), rest
                self._by_exchange.setdefault(history.exchange, entry)
        kept = ListingFiles(self._state, child.page, order.listings)
        self._polls = Polls(child.page, config.clickhouse, kept, order.checkpoints)
        for poll in order.polls:
            self._polls.interest(poll, *self._by_host(poll))
        self._published = Published()
        self._funding = FundingFile(self._state)
        for (exchange, queue), (rest, symbols) in self._carriers.with_stream(FUNDING).items():
            self._polls.funding(exchange, symbols, queue, rest, self._funding, self._published)
        for snapshots in order.snapshots:
            self._polls.books(snapshots, *self._by_host(snapshots))
        self._poll_instruments(order.listings)
        self._chain = CandleChain()
        series = ended_by_others(each.plan for each in order.assignments)
        self._open_candles = OpenCandles(child.page, self._state, series, self._of_candles, self._published)
        self._searches = Searches()
        self._undelivered = Undelivered(rings_of(order), order.serializers)
        self._done: list[str] = []
        """Gaps whose new state is published and not acknowledged yet."""

    def _poll_instruments(self, listings: Iterable[ListingSource]) -> None:
        """Once a venue, and of each other host whose listing is needed."""
        sources: dict[tuple[str, HostQueue], ListingSource] = {}
        for source in listings:
            if (rest := load_rest(source.exchange)) is not None:
                queue = self._queue_of(rest, source.host)
                sources[source.exchange, queue] = source
                self._by_exchange.setdefault(source.exchange, (queue, rest))
        for exchange, (queue, rest) in self._by_exchange.items():
            self._polls.instruments(exchange, queue, rest, sources.pop((exchange, queue), None))
            self._polls.clock(exchange, queue, rest)
        for (exchange, queue), source in sources.items():
            rest = load_rest(exchange)
            assert rest is not None, "it has a queue"
            self._polls.instruments(exchange, queue, rest, source, in_table=False)

    def _by_host(self, poll: Poll | Snapshots) -> tuple[HostQueue, RestExchange]:
        rest = load_rest(poll.exchange)
        assert rest is not None, "the supervisor gives only polls that its venue answers"
        return self._queue_of(rest, poll.host), rest

    def _queue_of(self, rest: RestExchange, host: str) -> HostQueue:
        if host not in self._queues:
            ring = partial(doorbell.ring, self._bell)
            self._queues[host] = HostQueue(RestHost(rest, host, self._state, self._shared, ring))
        return self._queues[host]

    def run(self) -> int:
        source = self._open_log()
        while source is not None and not self._child.stopping:
            self._child.beat()
            doorbell.clear(self._bell)
            self._publisher.flush()
            busy, requesting = self._busy(), any(queue.requesting for queue in self._queues.values())
            self._candles(source.poll(0.0 if busy or requesting else IDLE_SECONDS))
            self._commit_done(source)
            self._accept_gaps(source)
            self._step_queues()
            self._open_candles.step(time.monotonic())
            self._open_candles.keep(source, time.monotonic())
            self._polls.step(time.monotonic(), time.time_ns())
            if self._publisher.drained:
                self._funding.save()
                self._publisher.put(self._polls.new_silences(time.time_ns()))
            self._publish_stats(source)
            if busy or requesting:
                self._child.wait([self._bell], BUSY_SECONDS if busy else IDLE_SECONDS)
        self._shut_down(source)
        return 0

    def _open_log(self) -> GapLog | None:
        """Kafka may be away for as long as it likes. What an earlier run published must be in the log first: it says
        what is done."""
        self._page["broker_up"] = 0  # else an earlier process would have said it
        self._child.set_state(ChildState.WAITING)
        self._child.await_service("kafka")
        reason = None
        while not self._child.stopping:
            self._child.beat()
            if self._list() or not self._publisher.drained:
                self._child.wait([self._bell], BUSY_SECONDS)
                continue
            try:
                source = GapLog(self._kafka, self._shard.number if self._shard else 0, self._is_ours)
            except ServiceUnavailable as error:
                self._page["broker_refusal"] = refusal(error.__context__)
                self._page["broker_reason"] = error.reason
                if error.reason != reason:
                    reason = error.reason
                    # at the first start nobody has made the topics yet; who makes them says it where that takes long
                    is_usual = self._child.is_new("kafka") or reason is Reason.NOT_READY
                    say = log.info if is_usual else log.warning
                    say("the gap topic cannot be read yet", reason=str(error))
                self._child.wait([self._bell], IDLE_SECONDS)
                continue
            self._polls.begin()
            self._child.ready()
            return source
        return None

    def _list(self) -> bool:
        """What needs no log: the listings, which feeds may be waiting for. Whether one is under way."""
        doorbell.clear(self._bell)
        self._step_queues()
        self._polls.step(now := time.monotonic(), time.time_ns())
        return any(queue.requesting or queue.wait(now) <= 0 for queue in self._queues.values())

    def _busy(self) -> bool:
        """Whether something may be done before a message comes."""
        if not self._publisher.drained or self._done:
            return True
        now = time.monotonic()
        return any(queue.wait(now) < IDLE_SECONDS for queue in self._queues.values())

    def _commit_done(self, source: GapLog) -> None:
        """What was published is acknowledged: so far the log is done."""
        if not self._publisher.drained:
            return
        for gap_id in self._done:
            source.done(gap_id)
        self._done.clear()
        source.commit(time.monotonic())

    def _accept_gaps(self, source: GapLog) -> None:
        if not source.caught_up or not self._publisher.drained:
            return
        for logged in source.fresh():
            gap = logged.gap
            if gap.connection.startswith(PREFIX):
                self._accept_backfill(gap)
                continue
            carrier = self._carriers.of(gap)
            if carrier is None and self._shard is not None and gap.symbol:
                carrier = self._carriers.of_moved(gap)
            if carrier is None or not carrier.series:
                self._give_up(gap)
                continue
            now = time.monotonic()
            left = [each for at_ns, each in self._left.get(gap.connection, ()) if gap.started_ns < at_ns]
            carrier.queue.add(
                GapRepair(
                    gap, carrier.rest, carrier.series, self._kafka, now, logged.end, self._searches, self._published,
                    left, self._undelivered,
                )
            )  # fmt: skip

    def _is_ours(self, gap: Gap) -> bool:
        if self._shard is None:
            return True
        return self._shard.owns(gap.exchange, gap.symbol) if gap.symbol else self._shard.owns_connection(gap.connection)

    def _accept_backfill(self, gap: Gap) -> None:
        rests = {feed: rest for feed, (_, rest) in self._feeds.items()}
        job = backfill.backfill_of(
            gap, rests, self._kafka, time.monotonic(), self._searches, self._published, self._undelivered
        )
        if job is None:
            self._give_up(gap)
        else:
            self._feeds[gap.connection.removeprefix(PREFIX)][0].add(job)

    def _give_up(self, gap: Gap) -> None:
        self._publisher.put([*streams_of_unknown(gap), with_state(gap, RepairState.UNREPAIRABLE)])
        self._resolved(gap, RepairState.UNREPAIRABLE, {})

    def _step_queues(self) -> None:
        for queue in self._queues.values():
            if not self._publisher.drained:
                return
            self._publisher.put(queue.step(time.monotonic()), queue.is_polled)
            for job in queue.finished:
                if isinstance(job, GapRepair):
                    self._resolved(job.gap, job.outcome, job.counts)
                elif isinstance(job, CandleCheck):
                    self._page["candle_checks_total"] += 1
                    self._page["candles_differing_total"] += job.differing
                    self._page["candles_replaced_total"] += job.differing
                elif isinstance(job, CandleEnd):
                    self._open_candles.finished(job)
            queue.finished.clear()

    def _resolved(self, gap: Gap, state: str, series: dict[str, int]) -> None:
        self._done.append(gap.gap_id)
        self._page[f'repairs_total{{state="{state}"}}'] += 1
        log.info(
            "gap processed",
            gap=gap.gap_id,
            connection=gap.connection,
            stream=gap.stream,
            cause=gap.cause,
            state=state,
            series=series,
        )

    def _candles(self, messages: Iterable[Message]) -> None:
        for message in messages:
            try:
                candle: Any = market_pb2.Kline.FromString(message.value() or b"")
            except DecodeError:
                continue
            carrier = self._of_candles.get((candle.exchange, candle.symbol, candle.interval))
            if carrier is None:
                continue
            self._open_candles.add(candle)
            if candle.closed and (suspects := self._chain.add(candle)) is not None:
                queue, rest = carrier
                queue.add(CandleCheck(suspects, rest))

    def _publish_stats(self, source: GapLog) -> None:
        page = self._page
        page["broker_up"] = int(source.broker_up)
        page["broker_reason"] = source.heard.reason
        page["broker_refusal"] = max(source.refused.values(), default=0)
        page["gaps_open"] = len(source.open)
        self._state.retry()
        failures = [self._state.new_failures()]
        failures += (queue.host.shared.file.new_failures() for queue in self._queues.values())
        for name, count in (each for some in failures for each in some.items()):
            page[name] += count
        for host, queue in self._queues.items():
            queue.publish_stats(page, f'{{host="{host_label(host)}"}}')
        self._child.set_state(ChildState.RUNNING if source.broker_up and not source.refused else ChildState.WAITING)

    def _shut_down(self, source: GapLog | None) -> None:
        """What is not done is found again at the next start; what is published the serializers see to."""
        if not self._publisher.kept:
            self._publisher.put(self._polls.end_silences(time.time_ns()))
        self._publisher.flush()
        if not self._publisher.kept:
            self._funding.save()
        for queue in self._queues.values():
            queue.close()
        if source is not None:
            self._open_candles.close(source)
            self._commit_done(source)
            source.close(CLOSE_SECONDS)
        self._publisher.release()
