"""/readyz fails for what each process by itself does not show: a ring that nobody reads, commits that fail, a lag that
is not measured any more. Over hand-made pages and a ring, with a clock of our own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from roles.monitor.monitor_process import CONNECTION, Road, road

from wsadapter.roles.monitor import exposition, snapshot, status
from wsadapter.roles.monitor.rings import RingProgress, RingReading
from wsadapter.roles.monitor.snapshot import LAG_KNOWN_NS, Snapshot
from wsadapter.roles.monitor.status import COMMIT_FAILED_NS, STALLED_NS
from wsadapter.shm.ring import RingReader, RingWriter
from wsadapter.times import SECOND

START_NS = 1000 * SECOND


class Clock:
    def __init__(self) -> None:
        self.now_ns = START_NS

    def monotonic_ns(self) -> int:
        return self.now_ns

    def time_ns(self) -> int:
        return self.now_ns + 1_700_000_000 * SECOND


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(snapshot, "time", found)
    return found


@pytest.fixture
def made(tmp_path: Path, clock: Clock) -> Iterator[Road]:
    with road(tmp_path) as found:
        for page in found.pages.values():
            page["heartbeat_ns"] = START_NS + 10**6 * SECOND  # none of these tests is about a heartbeat
        yield found


@pytest.fixture
def writer(made: Road) -> Iterator[RingWriter]:
    found = RingWriter.attach(made.ring)
    yield found
    found.release()


def write(writer: RingWriter, size: int = 100) -> None:
    assert writer.try_write(1, b"x" * size)
    writer.publish()


class Monitor:
    def __init__(self, made: Road, clock: Clock) -> None:
        self._made, self._clock = made, clock
        self._progress = RingProgress()

    def look(self, after_ns: int = 0) -> Snapshot:
        self._clock.now_ns += after_ns
        return snapshot.read(self._made.config, self._made.order(), self._progress)

    def reasons(self, after_ns: int = 0) -> list[str]:
        return status.not_ready(self.look(after_ns))


def test_a_ring_that_is_written_to_and_not_read_fails_readyz(made: Road, clock: Clock, writer: RingWriter) -> None:
    monitor = Monitor(made, clock)
    assert monitor.reasons() == []
    write(writer)
    assert monitor.reasons(STALLED_NS) == []

    (reason,) = monitor.reasons(2 * SECOND)
    assert b"\nwsadapter_ready 0.0\n" in exposition.exposition(monitor.look)()
    assert reason == (
        f"ring {CONNECTION}: {writer.used():,} bytes wait, none was read for 12 s (since 2023-11-14 22:30:00 UTC)"
    )

    reader = RingReader.attach(made.ring)
    reader.poll(10)
    reader.commit(reader.position)
    reader.release()
    assert monitor.reasons() == []
    assert b"\nwsadapter_ready 1.0\n" in exposition.exposition(monitor.look)()


def test_a_ring_that_is_read_slowly_is_read(made: Road, clock: Clock, writer: RingWriter) -> None:
    monitor, reader = Monitor(made, clock), RingReader.attach(made.ring)
    for _ in range(20):
        write(writer)
        write(writer)
        assert monitor.reasons(STALLED_NS) == []
        reader.poll(1)
        reader.commit(reader.position)
    reader.release()


def test_a_ring_to_which_nothing_comes_is_not_judged(made: Road, clock: Clock, writer: RingWriter) -> None:
    """The monitor was started when the ring held records: whether they wait for long it cannot know."""
    write(writer)
    monitor = Monitor(made, clock)
    assert monitor.reasons() == []
    assert monitor.reasons(100 * STALLED_NS) == []
    write(writer)
    assert len(monitor.reasons(1)) == 1


def test_a_new_ring_of_the_same_name_begins_anew() -> None:
    progress, old = RingProgress(), RingReading("c", "ring", 1024, 100, epoch=1)
    progress.observe([old], 0)
    assert progress.observe([RingReading("c", "ring", 1024, 200, epoch=1)], 5) == {"ring": 5}
    assert progress.observe([RingReading("c", "ring", 1024, 300, epoch=2)], 10) == {}
    assert progress.observe([RingReading("c", "ring")], 15) == {}, "it cannot be read"


def test_while_a_spool_is_replayed_its_rings_may_wait_until_half_full(
    made: Road, clock: Clock, writer: RingWriter
) -> None:
    monitor = Monitor(made, clock)
    made.pages["serializer-0"]["spool_records"] = 1000
    monitor.look()
    write(writer)
    assert monitor.reasons(2 * STALLED_NS) == []
    while writer.used() <= monitor.look().rings[0].capacity // 2:
        write(writer, 1000)
    assert len(monitor.reasons()) == 1


def test_commits_that_fail_for_long_fail_readyz(made: Road, clock: Clock) -> None:
    monitor, page = Monitor(made, clock), made.pages["consumer-0"]
    page["commit_failed_since_ns"] = clock.now_ns
    assert monitor.reasons(COMMIT_FAILED_NS) == []
    (reason,) = monitor.reasons(15 * SECOND)
    assert reason.startswith("consumer-0: offset commits fail for 45 s (since 2023-11-14 22:30:00 UTC)")

    page["commit_failed_since_ns"] = 0
    assert monitor.reasons() == []


def test_a_lag_of_long_ago_is_unknown_and_fails_readyz(made: Road, clock: Clock) -> None:
    monitor, page = Monitor(made, clock), made.pages["consumer-0"]
    for stream in ("trade", "depth"):
        page[f'consumer_lag{{stream="{stream}"}}'] = 80
        page[f'lag_measured_ns{{stream="{stream}"}}'] = clock.now_ns
    assert monitor.reasons(LAG_KNOWN_NS) == []
    page['lag_measured_ns{stream="depth"}'] = clock.now_ns

    seen = monitor.look(15 * SECOND)
    (reason,) = status.not_ready(seen)
    assert reason.startswith("consumer-0: lag of trade not measured for 75 s (since ")
    found = status.status(seen)
    assert (found["consumers"][0]["lag"], found["consumers"][0]["lag_unknown"]) == ({"depth": 80}, ["trade"])
    assert found["totals"]["lag"] is None
    text = exposition.exposition(lambda: seen)().decode()
    (family,) = (f for f in text_string_to_metric_families(text) if f.name == "wsadapter_consumer_lag")
    lag = {sample.labels["stream"]: str(sample.value) for sample in family.samples}
    assert (lag["trade"], lag["depth"], lag["kline"]) == ("nan", "80.0", "0.0")
