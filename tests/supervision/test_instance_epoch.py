"""Epochs only grow; the state directory is refused when it cannot be ours."""

import os
import time
from pathlib import Path

import pytest

from wsadapter.errors import ConfigError
from wsadapter.supervision.instance import Instance, start_ticks


def test_epochs_grow_whatever_the_clock_says(tmp_path: Path) -> None:
    instance = Instance.claim(str(tmp_path / "s"), 1.0)
    first = instance.next_epoch()
    assert abs(first - time.time_ns()) < 60 * 10**9
    assert instance.next_epoch() > first
    future = 9_000_000_000_000_000_000
    (tmp_path / "s" / "epoch").write_text(f"{future}\n")
    assert instance.next_epoch() == future + 1
    assert instance.next_epoch() == future + 2
    assert (tmp_path / "s" / "epoch").stat().st_mode & 0o777 == 0o600
    instance.release()


def test_damaged_epoch_is_refused_and_named(tmp_path: Path) -> None:
    instance = Instance.claim(str(tmp_path), 1.0)
    (tmp_path / "epoch").write_text("12x")
    with pytest.raises(ConfigError, match="epoch does not hold a number"):
        instance.next_epoch()
    instance.release()


def test_lock_goes_with_its_holder(tmp_path: Path) -> None:
    first = Instance.claim(str(tmp_path), 1.0)
    with pytest.raises(ConfigError, match=f"service.state_dir: .* in use by the supervisor with pid {os.getpid()}"):
        Instance.claim(str(tmp_path), 1.0)
    first.release()
    Instance.claim(str(tmp_path), 1.0).release()


def test_wide_mode_is_narrowed(tmp_path: Path) -> None:
    directory = tmp_path / "wide"
    directory.mkdir(mode=0o755)
    Instance.claim(str(directory), 1.0).release()
    assert directory.stat().st_mode & 0o777 == 0o700


def test_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"service\.state_dir"):
        Instance.claim(str(tmp_path / "file"), 1.0)
    with pytest.raises(ConfigError, match=r"service\.state_dir"):
        Instance.claim(str(tmp_path / "file" / "below"), 1.0)


def test_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "supervisor.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"service\.state_dir"):
        Instance.claim(str(tmp_path), 1.0)


def test_start_ticks_tell_processes_apart() -> None:
    ours = start_ticks(os.getpid())
    assert ours is not None
    assert ours > 0
    assert start_ticks(1) != ours
    assert start_ticks(2**22 + 1) is None
