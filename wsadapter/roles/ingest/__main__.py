"""The ingest process: one exchange connection, its events into one ring (`wsadapter.roles.ingest.ring_publisher`)."""

import asyncio
import gc
import socket
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import uvloop
from msgspec import Struct

from wsadapter import log
from wsadapter.client.client import Client, ConnectionConfig
from wsadapter.client.clock import clock
from wsadapter.client.connect_limit import SharedLimiter
from wsadapter.errors import SegmentError
from wsadapter.events.gaps import GapCause
from wsadapter.exchanges import load
from wsadapter.exchanges.drift import known_of
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.host_files import host_directory
from wsadapter.roles.ingest.drift import Drift, Paces
from wsadapter.roles.ingest.flight_recorder import FlightRecorder
from wsadapter.roles.ingest.gaps import missed_since
from wsadapter.roles.ingest.gauges import Gauges
from wsadapter.roles.ingest.recording_files import RecordedCount
from wsadapter.roles.ingest.ring_publisher import RingPublisher
from wsadapter.roles.orders import IngestOrder, RecordOrder
from wsadapter.shm.ring import RingWriter
from wsadapter.supervision import live_order
from wsadapter.supervision.child import Child, ChildArgs, run_child

TICK: Final = 0.25
"""Seconds between two checks of what no frame triggers: heartbeat, stream states, room for gaps."""
QUIET_TICK: Final = 1.0
"""The same while nothing comes."""
SETTLE_SECONDS: Final = 30.0
"""At a stop, for room in a ring that was full; half of the time that is left at most."""


class Ordered(Struct, frozen=True):
    """What the supervisor wants instead; its arguments name the page for that."""

    args: ChildArgs
    plan: ConnectionPlan
    config: ConnectionConfig


class Ingest:
    """The connection of one process, and what it is told while it runs."""

    def __init__(self, child: Child, publisher: RingPublisher) -> None:
        order = child.order(IngestOrder)
        plan, config = order.plan, ConnectionConfig.of_plan(order.plan, order.socket)
        shared, venue = host_directory(child.args.config.service.state_dir), urlsplit(plan.url).netloc
        limits = [SharedLimiter(shared, venue, load(plan.exchange).attempt_limit)]
        last_event_ns = missed_since(child.page)  # of this or any earlier process: the supervisor sees to that
        missed_by = GapCause.RELOAD if child.page["by_reload"] else GapCause.RESTART
        child.page["by_reload"] = 0  # a later process of this child is a restart
        self.client = Client(config, publisher, plan, limits[0], last_event_ns, missed_by)
        (connection,) = self.client.connections
        if (limit := connection.exchange.message_limit) is not None:
            limits.append(SharedLimiter(shared, f"{venue}-messages", limit))
            connection.dialer.requests = limits[1]
        connection.tally, publisher.mark = publisher.tally, connection.mark
        self._child, self._publisher, self._connection = child, publisher, connection
        self._recorded = RecordedCount()
        self._recorder: FlightRecorder | None = None
        self._record_order: RecordOrder | None = None
        self._record(order.record)
        directory = Path(child.args.config.service.state_dir, "drift")
        self._drift = Drift(plan.exchange, known_of(load(plan.exchange)), directory)
        self._paces = Paces(plan.subscriptions, connection.exchange.cadences)
        publisher.unknown_event = self._drift.unknown_event
        self.gauges = Gauges(child.page, connection, limits, self._recorded, self._drift.counts)
        self._ordered: Ordered | None = None
        """Not done yet."""
        self._settled: asyncio.Event | None = None
        """Somebody waits until nothing waits for room in the ring."""

    def _record(self, order: RecordOrder | None) -> None:
        """Have raw frames kept so from the next socket on."""
        if self._recorder is not None:
            self._recorder.end()
        self._record_order = order
        self._recorder = None if order is None else FlightRecorder(order.settings, order.header, self._recorded)
        self._connection.tap = None if self._recorder is None else self._recorder.tap
        self._publisher.happened = _ignored if self._recorder is None else self._recorder.happened

    def tick(self) -> float:
        """Seconds until the next one."""
        self._child.beat()
        now_ns, connection = clock.now_ns(), self._connection
        self._publisher.recover(now_ns, self._settled is not None)
        if self._settled is not None and self._publisher.settled:
            self._settled.set()
        if self._publisher.coverage.look(
            connection.plan, connection.subscriptions, connection.alive_ns, now_ns, time.monotonic()
        ):
            self._publisher.on_read_end()
        self._take_order()
        if self._recorder is not None:
            self._recorder.tick(now_ns)
        self._look_for_drift()
        self.gauges.refresh()
        is_quiet = self.gauges.quiet and self._ordered is None and self._settled is None
        return QUIET_TICK if is_quiet else TICK

    def _look_for_drift(self) -> None:
        connection, now = self._connection, time.monotonic()
        if share := self._drift.share(connection.tally.messages, now):
            connection.current.session.inspect(share, self._drift.look)
        if not (connection.connected_ns and connection.subscribed.is_set()):
            self._paces.broken()
            return
        for word, before, after in self._paces.look(connection.exchange.last_receive_ns, now):
            self._drift.pace(word, before, after)

    async def stop(self) -> None:
        """What the venue has sent already is recorded, and covered to its end."""
        connection = self._connection
        alive_ns = connection.alive_ns
        await self.client.stop()
        now_ns = clock.now_ns()
        self._publisher.recover(now_ns)
        self._publisher.coverage.end(max([alive_ns, *connection.exchange.last_receive_ns.values()]), now_ns)
        if self._recorder is not None:
            self._recorder.stop()

    async def settle(self) -> None:
        """Nothing comes any more. What found the ring full has its gaps there once the serializer has made room; their
        holes would be in no row if nobody came after us."""
        if self._publisher.settled:
            return
        self._settled = asyncio.Event()
        left = max(0.0, self._child.deadline - time.monotonic())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), min(SETTLE_SECONDS, left / 2))

    def on_order(self) -> None:
        """The supervisor wants other subscriptions or settings."""
        if (args := live_order.receive(self._orders)) is None:
            return
        self._child.page["order_since_ns"] = time.monotonic_ns()
        order = msgspec.json.decode(args.order, type=IngestOrder)
        self._ordered = ordered = Ordered(args, order.plan, ConnectionConfig.of_plan(order.plan, order.socket))
        is_recorded_so = order.record == self._record_order
        if not is_recorded_so:
            self._record(order.record)
        self._connection.change(ordered.plan, ordered.config)
        if not is_recorded_so:
            self._connection.renew("frames are to be recorded in another way")
        self._take_order()

    @cached_property
    def _orders(self) -> socket.socket:
        return socket.socket(fileno=self._child.args.orders_fd)

    def _take_order(self) -> None:
        """The connection has what was ordered: say so, in the page that was made for it."""
        ordered = self._ordered
        if ordered is None or not (self._publisher.settled and self._connection.has(ordered.plan, ordered.config)):
            return
        self._ordered = None
        try:
            page = self._child.take(ordered.args)
        except SegmentError as error:
            log.get_logger().info("the supervisor has another order by now", reason=str(error))
            return
        page["order_since_ns"] = 0
        self._publisher.move(page, ordered.plan)
        self._paces = Paces(ordered.plan.subscriptions, self._connection.exchange.cadences)
        self.gauges.move(page)
        self._child.free()


def _ignored(reason: str, at_ns: int) -> None:
    """Nobody keeps what is around a gap."""


async def record(child: Child, publisher: RingPublisher) -> None:
    """Until told to stop; then what the venue has sent already is recorded too."""
    publisher.adopt_open_gaps(clock.now_ns())
    ingest = Ingest(child, publisher)
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    failures: list[BaseException] = []

    def fail(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        failures.append(context.get("exception") or RuntimeError(context["message"]))
        stopping.set()  # a callback that failed ends the process; the supervisor starts it again

    def check_stop() -> None:
        if child.stopping:
            loop.remove_reader(child.stop_fd)
            stopping.set()

    def tick() -> None:
        loop.call_later(ingest.tick(), tick)

    loop.set_exception_handler(fail)
    loop.add_reader(child.stop_fd, check_stop)
    check_stop()
    tick()
    if child.args.orders_fd >= 0:
        loop.add_reader(child.args.orders_fd, ingest.on_order)
    child.ready()
    running = asyncio.ensure_future(ingest.client.start())
    waiting = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        waiting.cancel()
        running.result()
    else:
        await ingest.stop()
        await running
    if failures:
        raise failures[0]
    await ingest.settle()
    publisher.coverage.catch_up()
    publisher.on_read_end()
    ingest.gauges.refresh()


def main(child: Child) -> int:
    ref = child.args.ring
    assert ref is not None, "the supervisor gives every ingest a ring"
    plan = child.order(IngestOrder).plan
    publisher = RingPublisher(RingWriter.attach(ref.name), ref.doorbell_fd, child.page, plan)
    gc.collect()
    gc.freeze()  # what is imported stays: nothing to look through on every later collection
    uvloop.run(record(child, publisher))
    publisher.release()
    return 0


if __name__ == "__main__":
    run_child(main)
