"""Where the host's limits are kept, and the files in it: whose they are, what is set aside, what is removed."""

import fcntl
import os
import stat
import time
from pathlib import Path

import pytest

from wsadapter import host_files
from wsadapter.host_files import UNUSED_SECONDS, Busy, Damaged, HostFile, host_directory


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(host_files, "_SHARED_MEMORY", tmp_path)
    return tmp_path / f"wsadapter.{os.getuid()}"


def test_one_directory_for_all_instances_of_a_user(shared: Path) -> None:
    assert host_directory("/var/lib/one", {}) == host_directory("/var/lib/two", {}) == shared
    assert stat.S_IMODE(shared.stat().st_mode) == 0o700
    assert host_directory("/var/lib/one", {"WSADAPTER_HOST_DIR": "/srv/limits"}) == Path("/srv/limits")


@pytest.mark.parametrize("kind", ["open to others", "link", "file"])
def test_a_directory_that_others_may_write_is_not_trusted(shared: Path, tmp_path: Path, kind: str) -> None:
    if kind == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        shared.symlink_to(tmp_path / "theirs")
    elif kind == "file":
        shared.touch()
    else:
        shared.mkdir()
        shared.chmod(0o777)
    assert host_directory("/var/lib/one", {}) == Path("/var/lib/one")


def test_a_file_has_its_length_from_the_beginning_and_is_ours_alone(tmp_path: Path) -> None:
    file = HostFile(tmp_path / "limits" / "venue", 40)
    with file.locked() as fd:
        assert os.pread(fd, 100, 0) == bytes(40)
        os.pwrite(fd, b"7", 39)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    with file.locked() as fd:
        assert os.pread(fd, 100, 0)[-1:] == b"7"


def test_it_is_changed_by_one_at_a_time(tmp_path: Path) -> None:
    one, other = HostFile(tmp_path / "venue", 8), HostFile(tmp_path / "venue", 8)
    with one.locked(), pytest.raises(Busy), other.locked():
        pass
    with other.locked():
        pass


def damage(fd: int) -> None:
    os.pwrite(fd, b"theirs", 0)
    raise Damaged("not ours")


def test_what_is_none_of_ours_is_kept_under_another_name(tmp_path: Path) -> None:
    file = HostFile(tmp_path / "venue", 8)
    with pytest.raises(Busy), file.locked() as fd:
        damage(fd)
    assert file.damaged == 1
    (aside,) = tmp_path.glob("venue.damaged-*")
    assert aside.read_bytes()[:6] == b"theirs"
    with file.locked() as fd:
        assert os.pread(fd, 8, 0) == bytes(8)


def test_files_that_nobody_uses_are_removed_when_another_is_made(tmp_path: Path) -> None:
    old, held, new = (HostFile(tmp_path / name, 8) for name in ("old", "held", "new"))
    for each in (old, held, new):
        with each.locked():
            pass
    at = time.time() - UNUSED_SECONDS - 1
    for each in (old, held):
        os.utime(each.path, (at, at))
    with held.path.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with HostFile(tmp_path / "another", 8).locked():
            pass
    assert sorted(each.name for each in tmp_path.iterdir()) == ["another", "held", "new"]


def test_a_file_that_was_removed_meanwhile_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = HostFile(tmp_path / "venue", 8)
    with file.locked():
        pass
    taken = fcntl.flock

    def removed_first(fd: int, how: int) -> None:
        file.path.unlink()
        taken(fd, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    with pytest.raises(Busy), file.locked():
        pass
    monkeypatch.undo()
    with file.locked():
        assert file.path.exists()
