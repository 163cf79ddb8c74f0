"""A file is replaced as a whole, or not at all."""

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually

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


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_state_file_that_cannot_be_written_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    state = files.StateDirectory(tmp_path, clock)
    kept = state.file("a.json", dict[str, int], {})
    assert kept.write({"a": 1})
    with monkeypatch.context() as patched:
        patched.setattr(files, "replace", full)
        assert not kept.write({"a": 2})
        clock.now = 100.0
        state.retry()
        state.flush()
        clock.now = 101.0
        state.retry()  # too early
        state.flush()
    assert state.write_failures == 2
    assert kept.read() == {"a": 1}
    clock.now = 200.0
    state.retry()
    state.flush()
    assert kept.read() == {"a": 2}
    (tmp_path / "a.json").unlink()
    clock.now = 300.0
    state.retry()
    state.flush()
    assert kept.read() == {}, "what was written is not written again"
    assert (state.write_failures, state.damaged) == (2, 0)


def test_a_disk_that_does_not_answer_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, replace = threading.Event(), files.replace
    monkeypatch.setattr(files, "ANSWER_SECONDS", 0.01)

    def hang(*arguments: Any) -> None:
        assert answers.wait(60)
        replace(*arguments)

    monkeypatch.setattr(files, "replace", hang)
    state = files.StateDirectory(tmp_path)
    kept = state.file("a.json", dict[str, int], {})
    assert not kept.write({"a": 1})
    assert state.write_failures == 1
    monkeypatch.setattr(files, "ANSWER_SECONDS", 600)
    other = state.file("b.json", dict[str, int], {})
    assert not other.write({"b": 1}), "nobody waits a second time"
    kept.write_soon({"a": 2})
    state.retry()
    assert kept.read() == {}
    answers.set()
    eventually(lambda: (kept.read(), other.read()) == ({"a": 2}, {"b": 1}))
    assert other.write({"b": 2})
    assert state.write_failures == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b'["a\xff"]', b'{"a": "x"}', b"[" * 100_000, b"null"],
    ids=["empty", "binary", "no UTF-8", "type", "deep", "null"],
)
def test_a_state_file_that_cannot_be_read_is_set_aside(tmp_path: Path, content: bytes) -> None:
    state = files.StateDirectory(tmp_path)
    kept = state.file("a.json", tuple[str, ...], ("default",))
    (tmp_path / "a.json").write_bytes(content)
    assert kept.read() == ("default",)
    assert state.damaged == 1
    assert kept.read() == ("default",)
    assert state.damaged == 1, "its name is free"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [content]
    assert kept.write(("new",))
    assert kept.read() == ("new",)


def test_what_is_no_file_in_its_place_is_set_aside(tmp_path: Path) -> None:
    state = files.StateDirectory(tmp_path)
    kept = state.file("a.json", dict[str, int], {})
    for make in (os.mkdir, os.mkfifo, lambda path: os.symlink("/etc/passwd", path)):
        make(tmp_path / "a.json")
        assert kept.read() == {}
    assert state.damaged == 3
    assert kept.write({"a": 1})
