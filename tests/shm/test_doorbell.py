"""The doorbell: many rings are one wake-up, a cleared one is silent, a child rings by the number it inherited."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator

import pytest

from wsadapter.shm import doorbell


@pytest.fixture
def bell() -> Iterator[int]:
    fd = doorbell.create()
    yield fd
    os.close(fd)


def readable(fd: int, timeout_ms: int = 0) -> bool:
    waiter = select.poll()
    waiter.register(fd, select.POLLIN)
    return bool(waiter.poll(timeout_ms))


def test_rings_add_up_and_clear_silences(bell: int) -> None:
    assert not readable(bell)
    assert doorbell.clear(bell) == 0
    for _ in range(3):
        doorbell.ring(bell)
    assert readable(bell)
    assert doorbell.clear(bell) == 3
    assert not readable(bell)


def test_a_full_counter_does_not_block(bell: int) -> None:
    os.eventfd_write(bell, 2**64 - 2)
    doorbell.ring(bell)
    assert readable(bell)
    assert doorbell.clear(bell) == 2**64 - 2


def test_it_is_inherited_only_when_passed_on(bell: int) -> None:
    assert not os.get_inheritable(bell)
    code = "import sys; from wsadapter.shm import doorbell; doorbell.ring(int(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(bell)]
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 1
    assert not readable(bell)
    subprocess.run(command, pass_fds=(bell,), check=True)
    assert readable(bell, 10_000)
