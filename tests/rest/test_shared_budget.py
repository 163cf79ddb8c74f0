"""What all instances of a host ask of a REST host, together: in virtual time, by processes, by two repairers."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.exchanges.rest_api import Limit, Request
from wsadapter.files import StateDirectory
from wsadapter.rest.budget import RESERVE, Outcome
from wsadapter.rest.host import RestHost
from wsadapter.rest.shared_budget import BUCKETS, BUSY_SECONDS, STOPPED_SECONDS, SharedBudget, Take

LIMIT, SECONDS = 10, 2.0
ASKER = """
import os, sys, time
from pathlib import Path
from wsadapter.rest.shared_budget import SharedBudget, Take
mine = SharedBudget(Path(sys.argv[1]), 1)
out = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    before = time.monotonic_ns()
    if wait := mine.take([Take(0, 1, 10, 2.0)]):
        time.sleep(min(wait, 0.02))
    else:
        os.write(out, b"%d %d\\n" % (before, time.monotonic_ns()))
"""


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def ns(self) -> int:
        return round(self.now * 1e9)


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 10), st.booleans()), min_size=1, max_size=60))
def test_no_span_holds_more_than_the_limit_and_nobody_waits_for_ever(asked: list[tuple[float, int, bool]]) -> None:
    import tempfile

    clock, taken = Time(), list[tuple[float, int]]()
    with tempfile.TemporaryDirectory() as directory:
        both = [SharedBudget(Path(directory) / "host", 1, clock.ns) for _ in range(2)]
        for pause, units, which in asked:
            clock.now += pause
            since = clock.now
            while wait := both[which].take([Take(0, units, LIMIT, SECONDS)]):
                clock.now += wait
                assert clock.now - since <= SECONDS * (1 + 2 / BUCKETS) + 1e-6
            taken.append((clock.now, units))
    for begin, _ in taken:
        assert sum(units for at, units in taken if begin <= at < begin + SECONDS) <= LIMIT


def test_all_windows_are_taken_or_none(tmp_path: Path) -> None:
    clock = Time()
    one = SharedBudget(tmp_path / "host", 2, clock.ns)
    both = [Take(0, 1, 5, 60.0), Take(1, 1, 2, 300.0)]
    assert [one.take(both) for _ in range(2)] == [0.0, 0.0]
    assert one.take(both) > 290
    assert [one.take(both[:1]) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert 59 < one.take(both[:1]) <= 62


def test_another_boot_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot, clock = tmp_path / "boot_id", Time()
    monkeypatch.setattr("wsadapter.rest.shared_budget._BOOT_ID", str(boot))
    boot.write_text("one")
    assert SharedBudget(tmp_path / "host", 1, clock.ns).take([Take(0, 7, LIMIT, 60.0)]) == 0.0
    boot.write_text("two")
    clock.now = 3.0
    again = SharedBudget(tmp_path / "host", 1, clock.ns)
    assert again.take([Take(0, 10, LIMIT, 60.0)]) == 0.0
    assert again.take([Take(0, 1, LIMIT, 60.0)]) > 50


@pytest.mark.parametrize("content", [b"", b"x" * 7, b"\xff" * 500, b"\xff" * 5000])
def test_junk_is_set_aside_and_counted(tmp_path: Path, content: bytes) -> None:
    path, clock = tmp_path / "host", Time()
    path.write_bytes(content)
    one = SharedBudget(path, 1, clock.ns)
    if content:
        assert one.take([Take(0, 1, LIMIT, 60.0)]) == BUSY_SECONDS
    assert one.take([Take(0, 1, LIMIT, 60.0)]) == 0.0
    assert (one.file.damaged, one.file.failures) == (bool(content), 0)
    path.write_bytes(path.read_bytes()[:16] + b"\x7f" * 1024)  # behind a header of ours
    damaged = SharedBudget(path, 1, clock.ns)
    clock.now += (wait := damaged.take([Take(0, 1, LIMIT, 60.0)]))
    assert wait <= 62
    assert damaged.take([Take(0, 1, LIMIT, 60.0)]) == 0.0, "what was ahead of the clock is over"


def test_where_there_is_no_file_each_counts_for_itself(tmp_path: Path) -> None:
    (tmp_path / "rest").touch()
    one = SharedBudget(tmp_path / "rest" / "host", 1)
    assert [one.take([Take(0, 9, LIMIT, 60.0)]) for _ in range(3)] == [0.0] * 3
    assert one.file.failures == 3
    assert one.file.new_failures()["state_write_failures_total"] == 3


def test_a_holder_that_is_stopped_holds_nobody_up_for_long(tmp_path: Path) -> None:
    import fcntl

    clock = Time()
    one = SharedBudget(tmp_path / "host", 1, clock.ns)
    assert one.take([Take(0, 1, LIMIT, 60.0)]) == 0.0
    with (tmp_path / "host").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert one.take([Take(0, 1, LIMIT, 60.0)]) == BUSY_SECONDS
        clock.now += STOPPED_SECONDS
        assert (one.take([Take(0, 1, LIMIT, 60.0)]), one.file.failures) == (0.0, 1)


def test_processes_stay_inside_the_limit_whichever_is_killed(tmp_path: Path) -> None:
    out, path = tmp_path / "taken", tmp_path / "host"
    out.touch()
    running = [subprocess.Popen([sys.executable, "-c", ASKER, str(path), str(out), "60"]) for _ in range(3)]
    try:
        for killed in range(3):
            while out.read_bytes().count(b"\n") < 8 * (killed + 1):
                time.sleep(0.01)
            running[killed].kill()
            running[killed].wait()
            if killed < 2:
                running.append(subprocess.Popen([sys.executable, "-c", ASKER, str(path), str(out), "60"]))
    finally:
        for process in running:
            process.kill()
            process.wait()
    lines = [tuple(map(int, line.split())) for line in out.read_text().splitlines()]
    before, after = (sorted(times) for times in zip(*lines, strict=True))
    spans = [late - early for early, late in zip(before, after[LIMIT:], strict=False)]
    assert min(spans) >= SECONDS * 1e9, "more than the limit in one span"


class Rest:
    """No header says what is used."""

    weights, weight_header, reset_header = Limit(8, 60.0), "", ""
    pools, banned = {"some": Limit(4, 60.0)}, frozenset[int]()
    headers, testnet_headers = dict[str, str](), dict[str, str]()

    def base(self, testnet: bool) -> str:
        return "http://127.0.0.1:1"


def test_two_instances_share_what_a_host_allows(tmp_path: Path) -> None:
    """Each by itself would ask six times (a quarter is left to others), both together do."""
    rung: list[None] = []
    hosts = [
        RestHost(Rest(), "http://127.0.0.1:1", StateDirectory(tmp_path / name), tmp_path, lambda: rung.append(None))  # type: ignore[arg-type]
        for name in ("one", "two")
    ]
    outcomes = []
    for number in range(10):
        host = hosts[number % 2]
        host.budget._paused_until = float("-inf")  # nobody answers there
        outcomes.append(host.send(Request("/x", pool="some" if number < 4 else "")).result())
    assert sum("used up" in result.reason for result in outcomes) == 10 - int(8 * (1 - RESERVE))
    assert sum("used up" in result.reason for result in outcomes[:4]) == 1, "of the pool"
    assert {result.outcome for result in outcomes} == {Outcome.AGAIN, Outcome.ABSENT}
    assert rung
    assert min(host.wait(Request("/x")) for host in hosts) > 30
    assert os.listdir(tmp_path / "rest") == ["127.0.0.1_1"]
