"""Epochs only grow, whatever disk and clock do; the state directory is refused when it cannot be ours."""

import errno
import os
import time
from pathlib import Path

import msgspec
import pytest

from wsadapter import files
from wsadapter.errors import AlreadyRunning, ConfigError, ServiceUnavailable
from wsadapter.supervision.instance import ChildRecord, Instance, start_ticks


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


@pytest.mark.parametrize("content", [b"12x", b"", b"\xff\xfe", b"-5", b"9" * 30])
def test_a_damaged_epoch_is_set_aside_and_the_clock_counts(tmp_path: Path, content: bytes) -> None:
    instance = Instance.claim(str(tmp_path), 1.0)
    first = instance.next_epoch()
    (tmp_path / "epoch").write_bytes(content)
    assert instance.next_epoch() > first
    assert instance.state.damaged == 1
    assert [path.read_bytes() for path in tmp_path.glob("epoch.damaged-*")] == [content]
    assert instance.next_epoch() > first
    assert instance.state.damaged == 1
    instance.release()


def test_an_epoch_is_written_over_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = Instance.claim(str(tmp_path), 1.0)
    first = instance.next_epoch()
    monkeypatch.setattr(files, "replace", refuse)
    second = instance.next_epoch()
    assert second > first
    assert int((tmp_path / "epoch").read_text()) == second
    assert instance.state.write_failures == 0
    (tmp_path / "epoch").unlink()
    assert instance.next_epoch() > second, "without a file it is known in memory"
    assert instance.state.write_failures == 1
    assert "No space left" in capsys.readouterr().out
    instance.release()


def test_a_claim_needs_no_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Instance.claim(str(tmp_path), 1.0).release()
    (tmp_path / "children.json").write_bytes(b"[\xff")
    monkeypatch.setattr(files, "replace", refuse)
    monkeypatch.setattr(os, "pwrite", refuse)
    instance = Instance.claim(str(tmp_path), 1.0)
    instance.record([ChildRecord("a", "ingest", 5, 1)])
    instance.record([ChildRecord("b", "ingest", 6, 1)])
    instance.state.flush()
    assert instance.state.write_failures == 3
    monkeypatch.undo()
    instance.state.retry()
    instance.state.flush()
    assert msgspec.json.decode((tmp_path / "children.json").read_bytes())[0]["name"] == "b"
    instance.release()


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_lock_goes_with_its_holder(tmp_path: Path) -> None:
    first = Instance.claim(str(tmp_path), 1.0)
    pid = os.getpid()
    with pytest.raises(
        AlreadyRunning, match=f"service.state_dir: .* in use by .* pid {pid}, .*: kill -TERM {pid}, then"
    ):
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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_without_room_for_the_locks_may_have_some_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(ServiceUnavailable, match=r"service\.state_dir: .*" + os.strerror(number)):
        Instance.claim(str(tmp_path), 1.0)


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
