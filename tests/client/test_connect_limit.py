"""Grants for dials: in virtual time, and by processes that race and are killed."""

import errno
import fcntl
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.client.connect_limit import BUSY_SECONDS, MARGIN_SECONDS, STOPPED_SECONDS, LocalLimiter, SharedLimiter
from wsadapter.exchanges.venue import AttemptLimit

LIMIT = 20
KILLS = 20
DIALLER = """
import os, sys, time
from wsadapter.client import connect_limit as attempts
from wsadapter.exchanges.venue import AttemptLimit
attempts.MARGIN_SECONDS = 0.0
mine = attempts.SharedLimiter(sys.argv[1], "venue:443", AttemptLimit(int(sys.argv[3]), 1.0))
out = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)
while True:
    before = time.monotonic_ns()
    wait = mine.acquire()
    if wait:
        time.sleep(min(wait, 0.05))
    else:
        os.write(out, b"%d %d\\n" % (before, time.monotonic_ns()))
"""


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def ns(self) -> int:
        return round(self.now * 1e9)


def most_in_any(span: float, times: list[float]) -> int:
    return max((sum(begin <= at < begin + span for at in times) for begin in times), default=0)


@given(st.integers(1, 7), st.lists(st.floats(0.0, 40.0), min_size=1, max_size=60), st.booleans())
def test_never_more_than_the_limit_in_any_span(limit: int, pauses: list[float], shared: bool) -> None:
    import tempfile

    clock, span = Time(), 30.0
    with tempfile.TemporaryDirectory() as directory:

        def processes() -> LocalLimiter | SharedLimiter:
            """A new one each time: as after a kill."""
            return SharedLimiter(directory, "venue:443", AttemptLimit(limit, span), clock.ns)

        own, granted = LocalLimiter(AttemptLimit(limit, span), lambda: clock.now), []
        for pause in pauses:
            clock.now += pause
            asked = clock.now
            while wait := (processes() if shared else own).acquire():
                clock.now += wait
                assert clock.now - asked <= span + MARGIN_SECONDS + 1, "nobody waits longer than one span"
            granted.append(clock.now)
    assert most_in_any(span + MARGIN_SECONDS - 0.001, granted) <= limit


def test_a_limit_of_a_second_costs_another_second_and_not_the_whole_margin() -> None:
    clock = Time()
    own = LocalLimiter(AttemptLimit(3, 1.0), lambda: clock.now)
    assert [own.acquire() for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]


def test_grants_of_another_boot_are_carried_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot, clock, limit = tmp_path / "boot_id", Time(), AttemptLimit(2, 300.0)
    monkeypatch.setattr("wsadapter.client.connect_limit._BOOT_ID", str(boot))
    boot.write_text("one")
    first = SharedLimiter(str(tmp_path), "venue:443", limit, clock.ns)
    assert first.acquire() == first.acquire() == 0.0
    clock.now = 7.0  # since the second boot, a moment later by the wall clock
    boot.write_text("two")
    again = SharedLimiter(str(tmp_path), "venue:443", limit, clock.ns)

    assert again.acquire() == pytest.approx(315, abs=5)
    os.utime(tmp_path / "attempts" / "venue_443", times=(time.time() - 400, time.time() - 400))
    boot.write_text("three")
    later = SharedLimiter(str(tmp_path), "venue:443", limit, clock.ns)
    assert later.acquire() == 0.0


def test_a_file_of_another_limit_is_begun_anew_and_none_of_ours_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "attempts").mkdir()
    path = tmp_path / "attempts" / "venue_443"
    path.write_bytes(b"x" * 100)

    one = SharedLimiter(str(tmp_path), "venue:443", AttemptLimit(1, 60.0))
    assert (one.acquire(), one.file.damaged) == (BUSY_SECONDS, 1)
    assert (one.acquire(), one.file.damaged, one.file.failures) == (0.0, 1, 0)
    (aside,) = path.parent.glob("venue_443.damaged-*")
    assert aside.read_bytes() == b"x" * 100
    again = SharedLimiter(str(tmp_path), "venue:443", AttemptLimit(1, 60.0))
    assert again.acquire() > 60
    assert again.file.damaged == 0
    other = SharedLimiter(str(tmp_path), "venue:443", AttemptLimit(2, 60.0))
    assert (other.acquire(), other.file.damaged) == (0.0, 0)
    assert SharedLimiter(str(tmp_path), "other:443", AttemptLimit(1, 60.0)).acquire() == 0.0


@pytest.mark.parametrize("kind", ["directory", "link", "fifo"])
def test_what_is_no_file_is_set_aside(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "attempts" / "venue_443"
    path.parent.mkdir()
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)
    one = SharedLimiter(str(tmp_path), "venue:443", AttemptLimit(1, 60.0))
    assert (one.acquire(), one.file.damaged, one.file.failures) == (0.0, 1, 0)
    assert not (tmp_path / "elsewhere").exists()
    assert one.acquire() > 60


def test_a_holder_that_is_stopped_holds_nobody_up_for_long(tmp_path: Path) -> None:
    """Each counts for itself then; what was granted alone counts when the file is there again."""
    clock, limit = Time(), AttemptLimit(2, 60.0)
    one = SharedLimiter(str(tmp_path), "venue:443", limit, clock.ns)
    assert one.acquire() == 0.0
    with (tmp_path / "attempts" / "venue_443").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert one.acquire() == BUSY_SECONDS
        clock.now += STOPPED_SECONDS
        assert (one.acquire(), one.file.failures) == (0.0, 1)
        assert one.acquire() == 60.0 + MARGIN_SECONDS - STOPPED_SECONDS
    assert (one.acquire(), one.file.failures) == (0.0, 2)


@pytest.mark.parametrize("content", [b"", b"x" * 7, b"\xff" * 24, b"\xff" * 500])
def test_junk_in_the_file_neither_raises_nor_stops_us_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    clock, limit = Time(), AttemptLimit(2, 60.0)
    first = SharedLimiter(str(tmp_path), "venue:443", limit, clock.ns)
    assert first.acquire() == 0.0
    path = tmp_path / "attempts" / "venue_443"
    header = path.read_bytes()[:24]
    for junk in (content, header + content):
        path.write_bytes(junk)
        boot = tmp_path / "boot_id"
        for text in ("one", "two"):
            boot.write_text(text)
            monkeypatch.setattr("wsadapter.client.connect_limit._BOOT_ID", str(boot))
            one = SharedLimiter(str(tmp_path), "venue:443", limit, clock.ns)
            assert one.acquire() <= 60.0 + MARGIN_SECONDS
            assert one.file.failures == 0


def test_a_full_disk_is_no_reason_not_to_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, limit = Time(), AttemptLimit(2, 60.0)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = SharedLimiter(str(tmp_path), "venue:443", limit, clock.ns)
    assert before.acquire() == 0.0
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert before.acquire() == 0.0, "what is there already needs no room"
    assert (before.acquire(), before.file.failures) == (60.0 + MARGIN_SECONDS, 0)

    other = SharedLimiter(str(tmp_path), "other:443", limit, clock.ns)
    assert other.acquire() == other.acquire() == 0.0
    assert other.acquire() == 60.0 + MARGIN_SECONDS, "by itself it keeps to the limit"
    assert other.file.failures == 3
    monkeypatch.undo()
    clock.now += 100.0
    assert (other.acquire(), other.file.failures) == (0.0, 3)


def test_a_directory_that_cannot_be_made_is_no_reason_not_to_connect(tmp_path: Path) -> None:
    (tmp_path / "attempts").touch()
    one = SharedLimiter(str(tmp_path), "venue:443", AttemptLimit(1, 60.0))
    assert one.acquire() == 0.0
    assert one.acquire() > 0
    assert one.file.failures == 2


def test_processes_that_race_and_are_killed_stay_inside_the_limit(tmp_path: Path) -> None:
    """Six diallers, one killed after every few grants; never more grants than the limit allows, and none is lost but
    with the process that was killed with it. Driven by the grants, not by time: a busy machine only takes longer."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    out = tmp_path / "granted"
    out.touch()

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", DIALLER, str(tmp_path), str(out), str(LIMIT)])

    running = [start() for _ in range(6)]
    try:
        for killed in range(KILLS):
            wanted = 5 * (killed + 1)
            while out.read_bytes().count(b"\n") < wanted:
                time.sleep(0.01)
            at = rng.randrange(len(running))
            os.kill(running[at].pid, rng.choice([signal.SIGKILL, signal.SIGSTOP]))
            running[at].send_signal(signal.SIGKILL)
            running[at].wait()
            running[at] = start()
    finally:
        for process in running:
            process.kill()
            process.wait()
    lines = [tuple(map(int, line.split())) for line in out.read_text().splitlines()]
    # a grant lies between its two times: so does the n-th of all between the n-th of each
    before, after = (sorted(times) for times in zip(*lines, strict=True))
    spans = [late - early for early, late in zip(before, after[LIMIT:], strict=False)]
    assert min(spans) >= 1e9, "more than the limit in one span"
    granted = struct.unpack_from("<QQQ", (tmp_path / "attempts" / "venue_443").read_bytes())[2]
    assert len(lines) <= granted <= len(lines) + KILLS + len(running)
