"""The ingest process: one exchange connection, its events into one ring (`wsadapter.roles.ingest.ring_publisher`)."""

import asyncio
import gc
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

from wsadapter.client.client import Client, ConnectionConfig
from wsadapter.client.clock import clock
from wsadapter.client.connect_limit import SharedLimiter
from wsadapter.exchanges import load
from wsadapter.roles.ingest.gauges import Gauges
from wsadapter.roles.ingest.ring_publisher import RingPublisher
from wsadapter.roles.orders import IngestOrder
from wsadapter.shm.ring import RingWriter
from wsadapter.supervision.child import Child, run_child

TICK: Final = 0.25
"""Seconds between two checks of what no frame triggers: heartbeat, stream states, room for gaps."""
QUIET_TICK: Final = 1.0
"""The same while nothing comes."""


async def record(child: Child, publisher: RingPublisher, order: IngestOrder) -> None:
    """Until told to stop; then what the venue has sent already is recorded too."""
    plan = order.plan
    attempts = SharedLimiter(
        child.args.config.service.state_dir, urlsplit(plan.url).netloc, load(plan.exchange).attempt_limit
    )
    publisher.adopt_open_gaps(clock.now_ns())
    last_event_ns = child.page["last_receive_ns"]  # of this or any earlier process: the supervisor sees to that
    client = Client(ConnectionConfig.of_feed(order.feed), publisher, plan, attempts, last_event_ns)
    (connection,) = client.connections
    connection.tally, publisher.mark = publisher.tally, connection.mark
    gauges = Gauges(child.page, connection, attempts)
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
        child.beat()
        publisher.recover(clock.now_ns())
        gauges.refresh()
        loop.call_later(QUIET_TICK if gauges.quiet else TICK, tick)

    loop.set_exception_handler(fail)
    loop.add_reader(child.stop_fd, check_stop)
    check_stop()
    tick()
    child.ready()
    running = asyncio.ensure_future(client.start())
    waiting = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        waiting.cancel()
        running.result()
    else:
        await client.stop()
        await running
    if failures:
        raise failures[0]
    publisher.recover(clock.now_ns())
    publisher.on_read_end()
    gauges.refresh()


def main(child: Child) -> int:
    ref = child.args.ring
    assert ref is not None, "the supervisor gives every ingest a ring"
    order = child.order(IngestOrder)
    publisher = RingPublisher(RingWriter.attach(ref.name), ref.doorbell_fd, child.page, order.plan)
    gc.collect()
    gc.freeze()  # what is imported stays: nothing to look through on every later collection
    uvloop.run(record(child, publisher, order))
    publisher.release()
    return 0


if __name__ == "__main__":
    run_child(main)
