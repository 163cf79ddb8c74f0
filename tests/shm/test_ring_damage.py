"""What is no ring, another version or damaged is refused by name, never followed."""

import platform
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsadapter.errors import SegmentError
from wsadapter.shm import ring
from wsadapter.shm.ring import DATA, LAYOUT_VERSION, MAGIC, RingReader, RingWriter
from wsadapter.shm.segment import Segment

CAPACITY = 1024
TAIL, HEAD = 16, 32


@pytest.fixture
def words(segment_name: str) -> Iterator[memoryview]:
    """The words of a ring with ten published records of 16 bytes each (framed 24)."""
    ring.create(segment_name, CAPACITY, 1)
    writer = RingWriter.attach(segment_name)
    for number in range(10):
        assert writer.try_write(5, bytes([number]) * 16)
    writer.publish()
    writer.release()
    segment = Segment.attach(segment_name)
    view = segment.buf.cast("Q")
    yield view
    view.release()
    segment.close()


def attach_both(name: str, match: str) -> None:
    for end in (RingWriter, RingReader):
        with pytest.raises(SegmentError, match=match):
            end.attach(name)


def test_another_version_names_both(words: memoryview, segment_name: str) -> None:
    words[0] = MAGIC << 32 | LAYOUT_VERSION + 1
    attach_both(segment_name, f"version {LAYOUT_VERSION + 1}, this program has version {LAYOUT_VERSION}")


def test_another_magic_names_both(words: memoryview, segment_name: str) -> None:
    words[0] = 0xDEAD << 32 | LAYOUT_VERSION
    attach_both(segment_name, f"magic 0xdead, expected {MAGIC:#x}")


@pytest.mark.parametrize("capacity", [0, CAPACITY // 2, CAPACITY * 2, CAPACITY + 8])
def test_a_capacity_that_is_not_the_segments(words: memoryview, segment_name: str, capacity: int) -> None:
    words[1] = capacity
    attach_both(segment_name, rf"capacity {capacity} in a segment of {DATA + CAPACITY} bytes")


@pytest.mark.parametrize("size", [1, 4096, 8191])
def test_a_segment_too_small_for_a_ring(segment_name: str, size: int) -> None:
    Segment.create(segment_name, size).close()
    attach_both(segment_name, f"{size} bytes are no ring")


@pytest.mark.parametrize(("tail", "head"), [(240, 248), (241, 0), (240, 4), (0, 1 << 63)])
def test_cursors_that_are_none(words: memoryview, segment_name: str, tail: int, head: int) -> None:
    words[TAIL], words[HEAD] = tail, head
    attach_both(segment_name, f"head {head} and tail {tail}")


@pytest.mark.parametrize(
    ("machine", "extension"),
    [("aarch64", False), ("arm64", False), ("riscv64", True), ("i686", True), ("armv7l", True), ("", True)],
)
def test_other_machines_are_refused(
    segment_name: str, monkeypatch: pytest.MonkeyPatch, machine: str, extension: bool
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(ring, "_native", object() if extension else None)
    with pytest.raises(SegmentError, match=rf"needs x86-64.*\({machine}\)"):
        ring.create(segment_name, CAPACITY, 1)
    assert not Segment.exists(segment_name)
    attach_both(segment_name, "needs x86-64")


@pytest.mark.parametrize("machine", ["aarch64", "arm64", "x86_64"])
def test_a_machine_whose_order_is_kept(segment_name: str, monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(ring, "_native", object())
    Segment.unlink(segment_name)
    ring.create(segment_name, CAPACITY, 1)
    RingWriter.attach(segment_name).release()


@pytest.mark.parametrize(
    "header",
    [
        0,  # zeroed memory
        16,  # padding in the middle
        CAPACITY,
        0xFFFFFFFF,
        5 << 32 | 0xFFFFFFFF,  # runs past the ring
        5 << 32 | 240,  # runs past tail
        256 << 32 | 16,  # no kind
        0xFFFFFFFFFFFFFFFF,
        0x6161616161616161,  # text
    ],
)
@pytest.mark.parametrize("number", [0, 4, 9])
def test_a_damaged_header_is_named_after_the_good_records(
    words: memoryview, segment_name: str, header: int, number: int
) -> None:
    words[(DATA + 24 * number) // 8] = header
    reader = RingReader.attach(segment_name)
    if number:
        assert [bytes([n]) * 16 for n in range(number)] == [payload for _, _, payload in reader.poll(100)]
    for _ in range(2):
        with pytest.raises(SegmentError, match=rf"{segment_name}: damaged record at position {24 * number} "):
            reader.poll(100)
    with pytest.raises(SegmentError, match="damaged"):
        reader.unread()
    assert 24 * number == reader.position
    reader.release()


@pytest.mark.parametrize("tail", [8, 241, CAPACITY + 8, 1 << 63])
def test_a_damaged_tail_is_named(words: memoryview, segment_name: str, tail: int) -> None:
    reader = RingReader.attach(segment_name)
    assert len(reader.poll(5)) == 5
    reader.poll(100)
    words[TAIL] = tail
    with pytest.raises(SegmentError, match=rf"tail {tail} does not fit cursor 240"):
        reader.poll(100)
    reader.release()


@pytest.mark.parametrize("head", [248, 1 << 62])
def test_a_damaged_head_stops_the_writer(words: memoryview, segment_name: str, head: int) -> None:
    writer = RingWriter.attach(segment_name)
    words[HEAD] = head
    with pytest.raises(SegmentError, match=rf"head {head} does not fit tail 240"):
        writer.try_write(1, b"")
    writer.release()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(noise=st.binary(min_size=CAPACITY, max_size=CAPACITY), tail=st.integers(0, CAPACITY // 8))
def test_noise_ends_in_records_below_tail_or_an_error(
    words: memoryview, segment_name: str, noise: bytes, tail: int
) -> None:
    with words.cast("B") as plain:
        plain[DATA:] = noise
    words[TAIL] = tail * 8
    reader = RingReader.attach(segment_name)
    expected_position = 0
    try:
        for _ in range(CAPACITY // 8 + 1):
            records = reader.poll(3)
            if not records:
                break
            for position, kind, payload in records:
                assert position >= expected_position
                assert 1 <= kind <= 255
                expected_position = position + 8 + len(payload)
        assert tail * 8 == reader.position
    except SegmentError:
        pass
    assert expected_position <= tail * 8
    reader.release()


def test_a_watcher_cannot_commit(words: memoryview, segment_name: str) -> None:
    watcher = RingReader.attach(segment_name, writable=False)
    assert (watcher.unread(), watcher.used(), watcher.head) == (10, 240, 0)
    watcher.poll(3)
    with pytest.raises(TypeError):
        watcher.commit(watcher.position)
    assert words[HEAD] == 0
    watcher.release()
    watcher.release()
