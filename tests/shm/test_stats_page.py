"""Stats pages: self-describing, written by one, read by all, refused when they are something else."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsadapter.errors import SegmentError
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import LAYOUT_VERSION, MAGIC, StatsPage

FIELDS = ("heartbeat_ns", "state", 'events_total{stream="trade"}', 'stream_state{stream="btcusdt@aggTrade"}')
_numbers = itertools.count()


@pytest.fixture
def page_name() -> Iterator[str]:
    name = f"wsadapter-test{os.getpid()}-stats-{next(_numbers)}"
    yield name
    Segment.unlink(name)


@pytest.fixture
def page(page_name: str) -> Iterator[StatsPage]:
    made = StatsPage.create(page_name, FIELDS)
    yield made
    made.release()


def test_a_reader_needs_the_name_only(page: StatsPage) -> None:
    page["state"] = 2
    page['events_total{stream="trade"}'] = -(2**63)
    page.cells[page.index("heartbeat_ns")] += 2**63 - 1
    reader = StatsPage.attach(page.name)
    assert reader.fields == FIELDS
    assert dict(zip(FIELDS, (2**63 - 1, 2, -(2**63), 0), strict=True)) == reader.read()
    assert reader["state"] == 2
    assert "state" in reader
    assert "status" not in reader
    reader.release()


def test_a_reader_cannot_write(page: StatsPage) -> None:
    reader = StatsPage.attach(page.name)
    with pytest.raises(TypeError):
        reader["state"] = 1
    reader.release()
    assert page["state"] == 0


def test_an_unknown_field_is_a_key_error(page: StatsPage) -> None:
    for call in (lambda: page["nothing"], lambda: page.index("nothing"), lambda: page.__setitem__("nothing", 1)):
        with pytest.raises(KeyError, match="nothing"):
            call()


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_a_value_beyond_64_bits_changes_nothing(page: StatsPage, value: int) -> None:
    page["state"] = 3
    with pytest.raises(ValueError, match="format"):
        page["state"] = value
    assert page["state"] == 3


def test_counts_survive_the_writer(page: StatsPage) -> None:
    code = (
        "import os, sys; from wsadapter.shm.stats_page import StatsPage\n"
        "page = StatsPage.attach(sys.argv[1], writable=True)\n"
        "page.cells[page.index('state')] += 5; os.kill(os.getpid(), 9)"
    )
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", code, page.name], check=False).returncode == -9
    assert page["state"] == 10
    StatsPage.attach(page.name).release()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(fields=st.lists(st.text(max_size=20), min_size=1, max_size=20, unique=True), data=st.data())
def test_any_labels_and_values_come_back(page_name: str, fields: list[str], data: st.DataObject) -> None:
    page = StatsPage.create(page_name, fields)
    try:
        values = {field: data.draw(st.integers(-(2**63), 2**63 - 1)) for field in fields}
        for field, value in values.items():
            page[field] = value
        reader = StatsPage.attach(page_name)
        assert values == reader.read()
        reader.release()
    finally:
        page.release()
        Segment.unlink(page_name)


@pytest.mark.parametrize("fields", [(), ("a", "a")])
def test_labels_are_present_and_unique(page_name: str, fields: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="present and unique"):
        StatsPage.create(page_name, fields)


def damaged(name: str, word: int, value: int) -> None:
    segment = Segment.attach(name)
    words = segment.buf[:32].cast("Q")
    words[word] = value
    words.release()
    segment.close()


@pytest.mark.parametrize(
    ("word", "value", "message"),
    [
        (
            0,
            MAGIC << 32 | LAYOUT_VERSION + 1,
            f"version {LAYOUT_VERSION + 1}, this program has version {LAYOUT_VERSION}",
        ),
        (0, 0xDEAD << 32, f"not a stats page.*0xdead, expected {MAGIC:#x}"),
        (1, 3, "do not make"),
        (1, 2**63, "do not make"),
        (2, 2**63, "do not make"),
        (2, 3, "not JSON"),
        (2, 0, "not JSON"),
        (3, 2**63, "do not make"),
        (3, 64, "do not make"),
    ],
)
def test_another_layout_is_refused_by_name(page: StatsPage, word: int, value: int, message: str) -> None:
    damaged(page.name, word, value)
    with pytest.raises(SegmentError, match=rf"{page.name} refused: .*{message}"):
        StatsPage.attach(page.name)


@pytest.mark.parametrize("blob", [b'{"a":1}', b'["a",1]', b'["a"]', b"\xff\xfe\xfd\xfc"])
def test_labels_that_are_no_list_of_names_are_refused(page_name: str, blob: bytes) -> None:
    page = StatsPage.create(page_name, ("a", "b"))
    page.release()
    segment = Segment.attach(page_name)
    segment.buf[32 : 32 + len(blob)] = blob
    segment.close()
    damaged(page_name, 2, len(blob))
    with pytest.raises(SegmentError, match="its labels are not"):
        StatsPage.attach(page_name)


def test_a_segment_without_a_header_is_refused(page_name: str) -> None:
    Segment.create(page_name, 16).close()
    with pytest.raises(SegmentError, match="16 bytes hold no header"):
        StatsPage.attach(page_name)


def test_release_is_harmless_when_repeated(page: StatsPage) -> None:
    reader = StatsPage.attach(page.name)
    reader.release()
    reader.release()
