"""Segments: who may attach, what a full /dev/shm does, who outlives whom."""

import os
import stat
from collections.abc import Iterator

import pytest
from shm.ring_child import end, start

from wsadapter.errors import SegmentError
from wsadapter.shm import segment as shm
from wsadapter.shm.segment import Segment


@pytest.fixture
def segment(segment_name: str) -> Iterator[Segment]:
    made = Segment.create(segment_name, 8192, b"header")
    yield made
    made.close()


def path(name: str) -> str:
    return f"{shm.DIRECTORY}/{name}"


def test_what_one_writes_the_other_reads(segment: Segment) -> None:
    other = Segment.attach(segment.name)
    segment.buf[100:105] = b"hello"
    assert bytes(other.buf[:6]) == b"header"
    assert other.map[100:105] == b"hello"
    assert other.size == segment.size == 8192
    assert bytes(other.buf[105:]) == bytes(8192 - 105)
    other.close()


def test_read_only_attachment_cannot_write(segment: Segment) -> None:
    other = Segment.attach(segment.name, writable=False)
    with pytest.raises(TypeError):
        other.buf[0] = 1
    other.close()


@pytest.mark.parametrize("umask", [0, 0o277])
def test_mode_is_0600_under_any_umask(segment_name: str, umask: int) -> None:
    before = os.umask(umask)
    try:
        Segment.create(segment_name, 4096).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path(segment_name)).st_mode) == 0o600
    Segment.attach(segment_name).close()


def test_every_page_is_allocated_at_creation(segment_name: str) -> None:
    Segment.create(segment_name, 1 << 20).close()
    assert os.stat(path(segment_name)).st_blocks * 512 >= 1 << 20


def test_more_than_there_is_names_both_sizes_and_leaves_nothing(segment_name: str) -> None:
    status = os.statvfs(shm.DIRECTORY)
    wanted = 2 * status.f_blocks * status.f_frsize
    if not wanted:
        pytest.skip(f"{shm.DIRECTORY} has no limit")
    with pytest.raises(SegmentError, match=rf"{segment_name}: {wanted} bytes wanted, \d+ bytes free"):
        Segment.create(segment_name, wanted)
    assert not Segment.exists(segment_name)
    assert shm.listing(segment_name) == []


def test_a_name_is_never_taken_over(segment: Segment) -> None:
    segment.buf[0:4] = b"mine"
    with pytest.raises(SegmentError, match="exists already"):
        Segment.create(segment.name, 4096)
    assert bytes(segment.buf[0:4]) == b"mine"


def test_header_larger_than_the_segment_is_refused(segment_name: str) -> None:
    with pytest.raises(ValueError, match="does not hold a header"):
        Segment.create(segment_name, 4, b"header")
    assert not Segment.exists(segment_name)


def test_symlink_is_refused(segment: Segment, segment_name: str) -> None:
    link = f"{segment_name}-link"
    os.symlink(path(segment.name), path(link))
    try:
        assert Segment.exists(link)
        with pytest.raises(SegmentError, match=rf"{link} refused: it is a symbolic link"):
            Segment.attach(link)
    finally:
        assert Segment.unlink(link)
    assert Segment.exists(segment.name)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o700, 0o400])
def test_another_mode_is_refused(segment: Segment, mode: int) -> None:
    os.chmod(path(segment.name), mode)
    with pytest.raises(SegmentError, match=rf"its mode is {mode:04o}|Permission denied"):
        Segment.attach(segment.name)


def test_foreign_owner_is_refused(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(path(segment.name), 65534, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 65534)
    with pytest.raises(SegmentError, match=r"belongs to uid \d+, we are uid \d+"):
        Segment.attach(segment.name)


def test_fifo_is_refused_without_waiting(segment_name: str) -> None:
    os.mkfifo(path(segment_name), 0o600)
    for writable in (True, False):
        with pytest.raises(SegmentError, match="not a regular file"):
            Segment.attach(segment_name, writable)


def test_empty_file_is_refused(segment_name: str) -> None:
    os.close(os.open(path(segment_name), os.O_CREAT | os.O_RDWR, 0o600))
    with pytest.raises(SegmentError, match="it is empty"):
        Segment.attach(segment_name)


def test_missing_segment_is_refused(segment_name: str) -> None:
    with pytest.raises(SegmentError, match="No such file"):
        Segment.attach(segment_name)


@pytest.mark.parametrize("name", ["", "a/b", "../etc", ".hidden", "-x", "a b", "a\n", "a\0b", "x" * 201])
def test_bad_names_are_refused(name: str) -> None:
    for call in (Segment.attach, Segment.unlink, Segment.exists):
        with pytest.raises(SegmentError, match="segment name"):
            call(name)
    with pytest.raises(SegmentError, match="segment name"):
        Segment.create(name, 4096)


def test_unlink_takes_the_name_and_keeps_the_mapping(segment: Segment) -> None:
    assert shm.listing(segment.name) == [segment.name]
    assert Segment.unlink(segment.name)
    assert not Segment.unlink(segment.name)
    assert not Segment.exists(segment.name)
    assert bytes(segment.buf[:6]) == b"header"


def test_rename_moves_the_name_and_takes_none_over(segment: Segment) -> None:
    aside = f"{segment.name}-aside"
    Segment.create(aside, 4096).close()
    try:
        with pytest.raises(SegmentError, match=f"cannot rename it to {aside}, which exists already"):
            Segment.rename(segment.name, aside)
        assert Segment.unlink(aside)
        Segment.rename(segment.name, aside)
        assert not Segment.exists(segment.name)
        moved = Segment.attach(aside)
        assert bytes(moved.buf[:6]) == b"header"
        moved.close()
        with pytest.raises(SegmentError, match="No such file"):
            Segment.rename(segment.name, segment.name + "-other")
    finally:
        Segment.unlink(aside)


def test_close_names_the_segment_while_a_view_is_held(segment: Segment) -> None:
    view = segment.buf.cast("Q")
    with pytest.raises(SegmentError, match=rf"{segment.name}: a view of it is still held"):
        segment.close()
    view.release()
    segment.close()
    segment.close()


@pytest.mark.parametrize("ending", ["close", "leave", "kill"])
def test_segment_survives_an_unrelated_interpreter(segment: Segment, ending: str) -> None:
    child = start("attach", segment.name, ending)
    assert child.wait() == (-9 if ending == "kill" else 0)
    end(child)
    Segment.attach(segment.name).close()


def test_segment_survives_its_creator(segment_name: str) -> None:
    end(start("create", segment_name, 8192))
    found = Segment.attach(segment_name)
    assert found.size == 8192
    found.close()


def test_no_fd_is_left(segment: Segment) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        Segment.attach(segment.name).close()
        with pytest.raises(SegmentError):
            Segment.create(segment.name, 4096)
    assert os.listdir("/proc/self/fd") == before
