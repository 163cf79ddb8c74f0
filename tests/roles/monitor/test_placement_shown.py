"""`/status` says where a process really runs: CPUs, niceness, locked memory."""

import json
import mmap
import os
import subprocess
import sys
from typing import Any

import pytest
from eventually import eventually

from wsadapter.cli.top import _placed
from wsadapter.config.model import ProcessConfig
from wsadapter.roles.monitor.snapshot import process_use
from wsadapter.supervision.child import place

PLACED = """
import sys
from wsadapter.config.model import ProcessConfig
from wsadapter.supervision.child import place
place(ProcessConfig(cpu=({cpu},), nice=5))
print("placed", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def cpu() -> int:
    return max(os.sched_getaffinity(0))


def test_where_a_process_was_put_is_seen_from_outside(cpu: int) -> None:
    command = [sys.executable, "-c", PLACED.format(cpu=cpu)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "placed"
        use = process_use(process.pid)
        process.stdin.close()

    assert use is not None
    assert (use.cpus, use.nice) == ((cpu,), 5)
    child: dict[str, Any] = {"cpus": list(use.cpus), "nice": use.nice, "locked_bytes": 3 << 20}
    narrow = f"cpu {cpu} " if (os.cpu_count() or 1) > 1 else ""
    assert _placed(json.loads(json.dumps(child))) == f"{narrow}nice 5 locked 3 MiB"


def test_memory_that_is_shared_is_told_apart() -> None:
    before = process_use(os.getpid())
    with mmap.mmap(-1, 32 << 20) as shared:
        shared.write(b"x" * len(shared))
        after = process_use(os.getpid())

    assert before is not None
    assert after is not None
    assert after.shared_bytes - before.shared_bytes >= 32 << 20
    assert after.rss_bytes >= after.shared_bytes


def test_a_process_that_is_gone_has_no_place() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    eventually(lambda: process_use(process.pid) is None, 10)
    assert _placed({"cpus": None, "nice": None, "locked_bytes": None}) == ""


def test_nothing_is_changed_unless_configured() -> None:
    before = process_use(os.getpid())
    place(ProcessConfig())
    after = process_use(os.getpid())

    assert before is not None
    assert after is not None
    assert (before.cpus, before.nice) == (after.cpus, after.nice)
