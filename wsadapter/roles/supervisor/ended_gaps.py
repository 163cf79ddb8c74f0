"""The end of a gap whose publisher is no more: into a ring that has no writer, counted in the page beside it.

For the supervisor, before a child is started or after it is gone: until then ring and page are its own to write.
"""

from collections.abc import Sequence
from typing import Final

from wsadapter import metrics
from wsadapter.events import Gap, Source
from wsadapter.events.gaps import RepairState, ended
from wsadapter.events.records import encode
from wsadapter.events.streams import BY_EVENT
from wsadapter.log import get_logger
from wsadapter.shm.ring import RingWriter
from wsadapter.shm.ring_counters import RingCounters
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.process import ChildSpec

_COUNTED: Final = {"ingest": 'events_total{stream="gap"}', "repairer": 'records_total{stream="gap"}'}
"""Role -> the cell that counts the gaps in its ring."""


def publish_ends(spec: ChildSpec, page: StatsPage, gaps: Sequence[Gap], now_ns: int) -> list[Gap]:
    """Say of each gap that it lasted until ``now_ns`` at most, in the ring of this child; those that it has no room
    for."""
    assert spec.ring is not None, "only children with a ring publish gaps"
    names = metrics.PUBLISHED if spec.role == "ingest" else metrics.repair_published(page.fields)
    writer = RingWriter.attach(spec.ring.name)
    counters = RingCounters(page, names, writer.tail)
    publish = counters.publication(writer, spec.ring.doorbell_fd)
    counted, done = counters.index(_COUNTED[spec.role]), 0
    for gap in gaps:
        if not writer.try_write(BY_EVENT[Gap].kind, encode(_end(gap, now_ns))):
            break
        counters.cells[counted] += 1
        done += 1
        get_logger().info("gap of an earlier life ended", gap=gap.gap_id, connection=gap.connection, stream=gap.stream)
    publish()
    counters.release()
    writer.release()
    return list(gaps[done:])


def _end(gap: Gap, now_ns: int) -> Gap:
    end = ended(gap, max(now_ns, gap.started_ns))
    if gap.source == Source.REST:
        end.repair_state = RepairState.UNREPAIRABLE.value  # what was polled nobody keeps
    return end
