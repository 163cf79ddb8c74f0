"""`segments`: all shared memory is listed; what a process uses, or what is unread, is not removed by mistake."""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.command import call, run

from wsadapter.errors import ExitCode
from wsadapter.roles.supervisor import segments
from wsadapter.shm import ring, watermarks
from wsadapter.shm.ring import RingWriter
from wsadapter.shm.segment import Segment, listing
from wsadapter.shm.stats_page import StatsPage

_numbers = itertools.count()


@pytest.fixture
def instance() -> Iterator[str]:
    name = f"seg-{os.getpid()}-{next(_numbers)}"
    yield name
    for segment in listing(f"wsadapter-{name}"):
        Segment.unlink(segment)


def make_ring(name: str, records: int) -> None:
    ring.create(name, 65_536, 7)
    writer = RingWriter.attach(name)
    for number in range(records):
        assert writer.try_write(1, b"%d" % number)
    writer.publish()
    writer.release()


def listed(directory: Path, instance: str) -> dict[str, dict[str, Any]]:
    done = run(directory, "segments", "list", "--json")
    assert done.returncode == 0, done.stderr
    prefix = f"wsadapter-{instance}-"
    return {one["name"].removeprefix(prefix): one for one in json.loads(done.stdout) if one["instance"] == instance}


def test_each_segment_is_listed_with_what_it_holds(tmp_path: Path, instance: str) -> None:
    prefix = f"wsadapter-{instance}-"
    make_ring(f"{prefix}binance-all-0", 5)
    make_ring(f"{prefix}binance-all-1", 0)
    StatsPage.create(f"{prefix}stats-binance-all-0", ("a", "b")).release()
    watermarks.create(f"{prefix}marks-binance-all-0", 4)

    found = listed(tmp_path, instance)

    assert {name: (one["kind"], one["unread"], one["state"]) for name, one in found.items()} == {
        "binance-all-0": ("ring", 5, "kept"),
        "binance-all-1": ("ring", 0, "kept"),
        "stats-binance-all-0": ("stats", 0, "kept"),
        "marks-binance-all-0": ("marks", 0, "kept"),
    }
    assert found["binance-all-0"]["size"] == ring.DATA + 65_536
    table = run(tmp_path, "segments", "list").stdout
    assert f"{prefix}binance-all-0" in table


def test_what_a_process_uses_is_live_and_stays(tmp_path: Path, instance: str) -> None:
    name = f"wsadapter-{instance}-a"
    make_ring(name, 5)
    script = f"from wsadapter.shm.segment import Segment; s = Segment.attach('{name}'); print(1, flush=True); input()"
    user = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert user.stdout is not None
        user.stdout.readline()
        StatsPage.create(f"wsadapter-{instance}-stats-x", ("a",)).release()
        (state, pids) = (listed(tmp_path, instance)["a"][key] for key in ("state", "pids"))
        assert (state, pids) == ("live", [user.pid])

        done = run(tmp_path, "segments", "remove", "--instance", instance, "--discard-unread")
        assert done.returncode == ExitCode.ALREADY_RUNNING
        assert f"refused: {name} is in use by pid {user.pid}" in done.stderr
        assert Segment.exists(name)
        assert Segment.exists(f"wsadapter-{instance}-stats-x"), "all or nothing"
    finally:
        user.communicate(b"\n")


def test_an_instance_that_beats_is_live_though_its_processes_cannot_be_seen(tmp_path: Path, instance: str) -> None:
    """Of another container, or of a hardened unit."""
    name = f"wsadapter-{instance}-a"
    make_ring(name, 0)
    page = StatsPage.create(f"wsadapter-{instance}-stats-supervisor", ("heartbeat_ns",))
    page["heartbeat_ns"] = time.monotonic_ns()
    page.release()

    assert {one["state"] for one in listed(tmp_path, instance).values()} == {"live"}
    done = run(tmp_path, "segments", "remove", name)
    assert done.returncode == ExitCode.ALREADY_RUNNING
    assert Segment.exists(name)


def test_what_is_kept_is_not_live_because_its_process_has_just_ended(tmp_path: Path, instance: str) -> None:
    """Its supervisor has seen the end."""
    make_ring(f"wsadapter-{instance}-a", 5)
    page = StatsPage.create(f"wsadapter-{instance}-stats-a", ("heartbeat_ns", "pid"))
    page["heartbeat_ns"] = time.monotonic_ns()
    page["pid"] = 7
    assert {one["state"] for one in listed(tmp_path, instance).values()} == {"live"}
    page["pid"] = 0
    page.release()

    assert {one["state"] for one in listed(tmp_path, instance).values()} == {"kept"}


@pytest.mark.skipif(os.geteuid() != 0, reason="as root only")
def test_root_sees_what_is_unread_in_another_users_ring(tmp_path: Path, instance: str) -> None:
    name = f"wsadapter-{instance}-a"
    make_ring(name, 5)
    StatsPage.create(f"wsadapter-{instance}-stats-a", ("heartbeat_ns",)).release()
    for segment in listing(f"wsadapter-{instance}-"):
        os.chown(f"/dev/shm/{segment}", 65_534, 65_534)

    found = listed(tmp_path, instance)["a"]
    assert (found["unread"], found["state"], found["owner"]) == (5, "kept", "nobody")


@pytest.mark.skipif(os.geteuid() != 0, reason="as root only")
def test_a_user_who_cannot_look_at_a_process_of_his_is_told_so(tmp_path: Path, instance: str) -> None:
    """As that of a unit with PrivateUsers=: the same user in a user namespace of his own."""
    name = f"wsadapter-{instance}-a"
    make_ring(name, 0)
    script = f"from wsadapter.shm.segment import Segment; s = Segment.attach('{name}'); print(1, flush=True); input()"
    user = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert user.stdout is not None
        user.stdout.readline()
        command = ["unshare", "--user", "--map-root-user", sys.executable, "-m", "wsadapter.cli.main", "segments"]
        done = subprocess.run([*command, "remove", name], capture_output=True, text=True, cwd=tmp_path)
        if "unshare:" in done.stderr:
            pytest.skip(done.stderr)
        assert done.returncode == ExitCode.ALREADY_RUNNING, done.stderr
        assert f"refused: {name} is perhaps in use" in done.stderr
        assert Segment.exists(name)
    finally:
        user.communicate(b"\n")


def test_unread_records_are_given_up_only_when_told(tmp_path: Path, instance: str) -> None:
    name = f"wsadapter-{instance}-a"
    make_ring(name, 5)

    done = run(tmp_path, "segments", "remove", name)
    assert (done.returncode, done.stdout) == (ExitCode.LOSS, "")
    assert f"refused: {name} holds 5 unread records" in done.stderr
    assert Segment.exists(name)

    done = run(tmp_path, "segments", "remove", name, "--discard-unread")
    assert done.returncode == 0
    assert f"removed {name}, {ring.DATA + 65_536:,} bytes; lost: 5 unread records" in done.stdout
    assert not Segment.exists(name)


def test_a_ring_of_another_version_counts_as_unread(tmp_path: Path, instance: str) -> None:
    name = f"wsadapter-{instance}-a"
    make_ring(name, 5)
    segment = Segment.attach(name)
    segment.map[:4] = (1).to_bytes(4, "little")
    segment.close()

    done = run(tmp_path, "segments", "remove", name)
    assert done.returncode == ExitCode.LOSS
    assert "layout version 1, 80 bytes unread" in done.stderr
    assert Segment.exists(name)


def test_orphans_go_and_what_is_kept_stays(
    tmp_path: Path, instance: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: every other segment of this machine is hidden from it."""
    make_ring(f"wsadapter-{instance}-kept-a", 5)
    make_ring(f"wsadapter-{instance}-orphan", 0)
    StatsPage.create(f"wsadapter-{instance}-kept-stats-a", ("a",)).release()
    StatsPage.create(f"wsadapter-{instance}-stats-a", ("a",)).release()
    from wsadapter.cli.main import run_command

    monkeypatch.setattr(segments, "PREFIX", f"wsadapter-{instance}")
    monkeypatch.setattr(segments, "listing", lambda prefix: listing(f"wsadapter-{instance}"))
    assert run_command(["segments", "remove", "--orphans"]) == 0
    assert listing(f"wsadapter-{instance}") == [
        f"wsadapter-{instance}-kept-a", f"wsadapter-{instance}-kept-stats-a",
    ]  # fmt: skip
    assert capsys.readouterr().out.count("removed ") == 2


def found_by(instance: str) -> dict[str, tuple[str, int | None, str]]:
    prefix = f"wsadapter-{instance}-"
    found = [one for one in segments.survey() if one.instance == instance]
    return {one.name.removeprefix(prefix): (one.kind, one.unread, one.state) for one in found}


@pytest.mark.parametrize(
    ("feed", "more"), [("usd-marks", ""), ("mark-stats", ""), ("usd-marks", "-stats-x"), ("mark-stats", "-marks-x")]
)
def test_what_a_segment_is_says_what_is_in_it(tmp_path: Path, instance: str, feed: str, more: str) -> None:
    """The name of a feed or of an instance may have any word in it."""
    instance += more
    prefix = f"wsadapter-{instance}-"
    make_ring(f"{prefix}{feed}-market-0", 5)
    watermarks.create(f"{prefix}marks-{feed}-market-0", 4)
    for child in ("supervisor", "consumer-0", f"{feed}-market-0"):
        StatsPage.create(f"{prefix}stats-{child}", ("a",)).release()

    found = found_by(instance)
    assert found == {
        f"{feed}-market-0": ("ring", 5, "kept"),
        f"marks-{feed}-market-0": ("marks", 0, "kept"),
        "stats-supervisor": ("stats", 0, "kept"),
        "stats-consumer-0": ("stats", 0, "kept"),
        f"stats-{feed}-market-0": ("stats", 0, "kept"),
    }
    done = call(tmp_path, "segments", "remove", f"{prefix}{feed}-market-0")
    assert f"{prefix}{feed}-market-0 holds 5 unread records" in done.stderr


def test_what_cannot_be_read_is_not_taken_for_empty(tmp_path: Path, instance: str) -> None:
    Segment.create(f"wsadapter-{instance}-stats-a", 64, b"no page").close()
    found = found_by(instance)
    assert found == {"stats-a": ("stats", None, "kept")}
    done = call(tmp_path, "segments", "remove", f"wsadapter-{instance}-stats-a")
    assert done.returncode == ExitCode.LOSS


@pytest.mark.parametrize("arguments", [(), ("x", "--orphans"), ("--instance", "a", "--orphans"), ("wsadapter-none",)])
def test_what_is_to_be_removed_must_be_said(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(tmp_path, "segments", "remove", *arguments).returncode == ExitCode.USAGE
