"""A file is replaced as a whole, or not at all."""

import os
import stat
from pathlib import Path

import pytest

from wsadapter import files


@pytest.mark.parametrize("durable", [False, True])
def test_the_new_content_stands_in_the_place_of_the_old(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "kept.json"
    path.write_bytes(b"old, and longer")

    files.replace(path, b"new", durable)

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["kept.json"], "nothing is left beside it"


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept"
    files.replace(path, b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.replace(path, b"new", durable=True)

    assert path.read_bytes() == b"old"


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"not ours")
    (tmp_path / "kept.new").symlink_to(target)

    with pytest.raises(OSError, match="symbolic link"):
        files.replace(tmp_path / "kept", b"new")

    assert target.read_bytes() == b"not ours"
