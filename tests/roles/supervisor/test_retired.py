"""What a connection counted that a reload has taken out stays in the sums of the run."""

import os
from collections.abc import Iterator

import pytest

from wsadapter import metrics
from wsadapter.audit import hops
from wsadapter.roles.supervisor.retired import RetiredCounters, retired_page
from wsadapter.shm.segment import Segment, listing
from wsadapter.shm.stats_page import StatsPage

INSTANCE = f"retired-{os.getpid()}"
PAGE = f"wsadapter-{INSTANCE}-stats-a"


@pytest.fixture(autouse=True)
def no_segments() -> Iterator[None]:
    yield
    for name in listing(f"wsadapter-{INSTANCE}-"):
        Segment.unlink(name)


def gone(retired: RetiredCounters, role: str, fields: tuple[str, ...], **counts: int) -> None:
    page = StatsPage.create(PAGE, fields)
    for name, count in counts.items():
        page[f'{name}{{stream="trade"}}' if f'{name}{{stream="trade"}}' in page else name] = count
    retired.add(role, page)
    page.release()
    Segment.unlink(PAGE)


def test_sums_do_not_go_backwards_when_connections_go() -> None:
    retired = RetiredCounters(INSTANCE)
    assert retired.read("ingest") == {}
    fields = metrics.ingest(("btcusdt@aggTrade",))
    gone(retired, "ingest", fields, events_total=7, frames_total=9, connection_up=1, last_receive_ns=5)
    gone(retired, "ingest", metrics.ingest(("ethusdt@aggTrade",)), events_total=3, frames_total=1)
    cells = RetiredCounters(INSTANCE).read("ingest")  # of a supervisor that follows one that was killed
    sums = hops.totals([("ingest", cells)])
    assert sums["events"] == {"trade": 10}
    assert sums["frames"] == 10
    assert not {"connection_up", "last_receive_ns"} & cells.keys(), "what is a state of a process ends with it"


def test_processes_that_count_nothing_leave_nothing_and_the_end_of_a_run_neither() -> None:
    retired = RetiredCounters(INSTANCE)
    gone(retired, "monitor", metrics.MONITOR)
    gone(retired, "ingest", metrics.ingest(()), events_total=1)
    assert listing(f"wsadapter-{INSTANCE}-") == [retired_page(INSTANCE, "ingest")]
    retired.close(keep=True)
    assert retired.read("ingest")
    retired.close(keep=False)
    assert listing(f"wsadapter-{INSTANCE}-") == []
