"""Which rings are adopted, set aside, unlinked or kept."""

import contextlib
import errno
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wsadapter.errors import SegmentError
from wsadapter.files import StateDirectory
from wsadapter.roles.supervisor.rings import Rings
from wsadapter.shm import ring, watermarks
from wsadapter.shm.ring import DATA, RingReader, RingWriter
from wsadapter.shm.segment import Segment, listing

CAPACITY = 65_536
STATE = ""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[str]:
    global STATE
    STATE = str(tmp_path)
    name = f"rings-test-{os.getpid()}"
    yield name
    for segment in listing(f"wsadapter-{name}-"):
        Segment.unlink(segment)


def rings(instance: str, capacity: int = CAPACITY, serializers: int = 1) -> Rings:
    epochs = itertools.count(1000)
    return Rings(instance, capacity, lambda: next(epochs), serializers, StateDirectory(STATE))


def write(name: str, count: int) -> None:
    writer = RingWriter.attach(name)
    for number in range(count):
        assert writer.try_write(1, b"%d" % number)
    writer.publish()
    writer.release()


def test_a_new_ring_has_its_own_epoch(instance: str) -> None:
    made = rings(instance)
    made.open(["a", "b"])

    assert [made.refs[c].epoch for c in ("a", "b")] == [1000, 1001]
    assert made.adopted == 0
    assert made.close() == 0
    assert listing(f"wsadapter-{instance}-") == []


def test_a_left_ring_is_adopted_with_its_epoch_and_records(instance: str) -> None:
    ring.create(f"wsadapter-{instance}-a", CAPACITY, 77)
    write(f"wsadapter-{instance}-a", 5)
    made = rings(instance)
    made.open(["a"])

    assert (made.refs["a"].epoch, made.adopted, made.unread()) == (77, 5, 5)
    assert made.close() == 5, "kept for the next start"
    assert listing(f"wsadapter-{instance}-") == [f"wsadapter-{instance}-a"]


@pytest.mark.parametrize("connections", [["a"], ["b"]], ids=["other capacity", "no such connection"])
def test_a_ring_that_no_longer_fits_is_set_aside_until_drained(instance: str, connections: list[str]) -> None:
    ring.create(f"wsadapter-{instance}-a", CAPACITY, 77)
    rings(instance).open(["a"])
    write(f"wsadapter-{instance}-a", 5)
    made = rings(instance, CAPACITY * 2)
    made.open(connections)
    (aside,) = made.aside

    assert made.refs[connections[0]].epoch == 1000
    assert aside.epoch == 77
    assert set(made.of_serializer(0)) == {made.refs[connections[0]], aside}

    reader = RingReader.attach(aside.name)
    assert [payload for _, _, payload in reader.poll(10)] == [b"0", b"1", b"2", b"3", b"4"]
    reader.commit(reader.position)
    reader.release()
    assert made.close() == 0
    assert listing(f"wsadapter-{instance}-") == []


def test_one_set_aside_before_is_found_again(instance: str) -> None:
    ring.create(f"wsadapter-{instance}-a", CAPACITY, 77)
    write(f"wsadapter-{instance}-a", 5)
    first = rings(instance, CAPACITY * 2)
    first.open(["a"])
    assert first.close() == 5
    second = rings(instance, CAPACITY * 2)
    second.open(["a"])

    assert [ref.epoch for ref in second.aside] == [77]
    assert second.adopted == 5


@pytest.mark.parametrize("spoiled", ["", "a", "aside"])
def test_of_which_connections_nothing_was_lost_with_a_ring(instance: str, spoiled: str) -> None:
    name = f"wsadapter-{instance}-a"
    ring.create(name, CAPACITY, 77)
    write(name, 5)
    first = rings(instance, CAPACITY * 2)
    first.open(["a"])
    write(name, 5)
    assert first.close() == 10
    if spoiled:
        damage(name if spoiled == "a" else first.aside[0].name)
    made = rings(instance, CAPACITY * 2)
    made.open(["a"])

    assert made.survived == (set() if spoiled else {"a"})
    made.close()


def test_what_was_set_aside_is_delivered_before_what_came_since(instance: str) -> None:
    ring.create(f"wsadapter-{instance}-a", CAPACITY, 77)
    write(f"wsadapter-{instance}-a", 5)
    made = rings(instance, CAPACITY * 2)
    made.open(["a"])

    def unread() -> tuple[int, bool]:
        now = made.progress("a")
        assert now is not None
        return now.epoch, now.head < now.tail

    assert unread() == (77, True)
    write(made.refs["a"].name, 1)
    read_all(made.aside[0].name)
    assert unread() == (1000, True)
    read_all(made.refs["a"].name)
    assert unread() == (1000, False)
    made.close()


def test_an_empty_ring_that_no_longer_fits_goes_at_once(instance: str) -> None:
    first = rings(instance)
    first.open(["gone"])
    made = rings(instance)
    made.open(["a"])

    assert not Segment.exists(f"wsadapter-{instance}-gone")
    assert made.aside == []
    made.close()


def damage(name: str) -> None:
    """The header of the second record."""
    segment = Segment.attach(name)
    at = segment.map.find(b"1", segment.map.find(b"0", DATA))
    segment.map[at - 8 : at] = b"\xff" * 8
    segment.close()


def destroy(name: str) -> None:
    segment = Segment.attach(name)
    segment.map[:8] = b"\xff" * 8
    segment.close()


@pytest.mark.parametrize("spoil", [damage, destroy], ids=["a record", "the header"])
@pytest.mark.parametrize("connections", [["a", "b"], ["b"]], ids=["wanted", "of an earlier run"])
def test_a_damaged_ring_is_set_aside_and_the_others_go_on(
    instance: str, spoil: Callable[[str], None], connections: list[str]
) -> None:
    first = rings(instance)
    first.open(["a", "b"])
    for connection in "ab":
        write(f"wsadapter-{instance}-{connection}", 5)
    assert first.close() == 10
    spoil(f"wsadapter-{instance}-a")

    for times in (1, 2):
        made = rings(instance)
        made.open(connections)
        assert (made.damaged, made.adopted) == (times == 1, 5)
        assert [ref.connection for ref in made.of_serializer(0)] == connections
        made.close()
        assert len(listing(f"wsadapter-{instance}-a.damaged-")) == 1
    assert not Segment.exists(f"wsadapter-{instance}-a")


def test_a_ring_of_another_version_waits_for_it_and_the_remedy_is_said(
    instance: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"wsadapter-{instance}-a"
    first = rings(instance)
    first.open(["a", "b"])
    write(name, 5)
    assert first.close() == 5
    of_version(name, 1)

    for _ in (1, 2):
        made = rings(instance)
        made.open(["a"])
        made.close()
    (aside,) = listing(f"{name}.other-layout-")
    said = capsys.readouterr().out
    assert said.count("ring of another version is set aside") == 1
    assert "layout version 1, this program has version 2; 80 bytes are unread in it" in said
    assert f"mv /dev/shm/{aside} /dev/shm/{name}; run the version that wrote it" in said
    assert f"segments remove --discard-unread {aside}" in said

    os.rename(f"/dev/shm/{aside}", f"/dev/shm/{name}")
    of_version(name, ring.LAYOUT_VERSION)  # as the version that wrote it sees it
    again = rings(instance)
    again.open(["a"])
    assert again.adopted == 5


def test_an_empty_ring_of_another_version_is_no_message(instance: str) -> None:
    name = f"wsadapter-{instance}-a"
    ring.create(name, CAPACITY, 77)
    of_version(name, 1)
    made = rings(instance)
    made.open(["a"])
    assert (made.damaged, made.refs["a"].epoch) == (0, 1000)
    assert listing(f"{name}.") == []


def of_version(name: str, version: int) -> None:
    segment = Segment.attach(name)
    segment.map[:4] = version.to_bytes(4, "little")
    segment.close()


def test_a_ring_that_cannot_be_opened_now_is_not_taken_for_damaged(
    instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rings(instance)
    first.open(["a"])
    write(f"wsadapter-{instance}-a", 5)
    assert first.close() == 5

    def no_descriptor(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr("wsadapter.shm.segment.os.open", no_descriptor)
        with pytest.raises(SegmentError, match="Too many open files"):
            rings(instance)._existing(f"wsadapter-{instance}-a")
    made = rings(instance)
    made.open(["a"])
    assert (made.damaged, made.adopted) == (0, 5)


def test_a_link_in_a_rings_place_is_set_aside(instance: str, tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", f"/dev/shm/wsadapter-{instance}-a")
    made = rings(instance)
    made.open(["a"])
    assert made.damaged == 1
    assert made.close() == 0


def test_damaged_watermarks_are_replaced(instance: str) -> None:
    first = rings(instance)
    first.open(["a", "a-r2"], {"a": 4})
    name = first.refs["a"].marks
    page = watermarks.Watermarks(name)
    page.store(("trade", "X"), (1,) * watermarks.STATE)
    page.release()
    segment = Segment.attach(name)
    at = segment.map.find(b'["trade"')
    segment.map[at : at + 8] = b"\xff" * 8
    segment.close()

    made = rings(instance)
    made.open(["a", "a-r2"], {"a": 4})
    assert made.refs["a"].marks == name
    assert made.close() == 0


def test_stats_pages_and_strangers_are_left_alone(instance: str) -> None:
    Segment.create(f"wsadapter-{instance}-stats-x", 4096).close()
    ring.create(f"wsadapter-{instance}-other", CAPACITY, 77)  # e.g. of an instance "{instance}-other"
    made = rings(instance)
    made.open(["a"])
    made.close()

    assert listing(f"wsadapter-{instance}-") == [f"wsadapter-{instance}-other", f"wsadapter-{instance}-stats-x"]


def read_all(name: str) -> None:
    reader = RingReader.attach(name)
    reader.poll(1000)
    reader.commit(reader.position)
    reader.release()


def test_a_ring_that_no_reload_wants_goes_when_it_is_drained_and_its_reader_begins_anew(instance: str) -> None:
    made = rings(instance)
    made.open(["a", "b"])
    gone = made.refs["b"].name
    write(gone, 5)
    made.open(["a", "c"])
    assert "b" in made.refs, "its writer is there yet"
    made.open(["a", "c", "d"])
    assert gone in [ref.name for ref in made.of_serializer(0)], "unread"
    read_all(gone)
    made.open(["a", "c"])
    assert "b" in made.refs, "its reader goes on"

    with contextlib.suppress(SegmentError), made.undone_on_error():
        made.open(["a", "c", "e"])
        assert "b" not in made.refs
        raise SegmentError("no room")
    assert "b" in made.refs

    with made.undone_on_error():
        made.open(["a", "c", "e"])
    assert [ref.connection for ref in made.of_serializer(0)] == ["a", "c", "e"]
    assert Segment.exists(gone), "its reader may be started again until it is exchanged"
    assert Segment.exists(f"wsadapter-{instance}-c"), "is wanted"
    made.discard()
    assert not Segment.exists(gone)
    assert made.lost() == []
    assert gone not in StateDirectory(STATE).file("rings.json", tuple[str, ...], ()).read()
    made.open(["a", "b", "c"])
    assert made.refs["b"].epoch == made.refs["e"].epoch + 1
    assert made.close() == 0
    assert listing(f"wsadapter-{instance}-") == []


def test_one_that_was_set_aside_goes_when_it_is_drained_too(instance: str) -> None:
    ring.create(f"wsadapter-{instance}-a", CAPACITY, 77)
    write(f"wsadapter-{instance}-a", 5)
    made = rings(instance, CAPACITY * 2)
    made.open(["a"])
    (aside,) = made.aside
    made.open(["a", "b"])
    assert made.aside == [aside]
    read_all(aside.name)
    made.open(["a", "b", "c"])
    made.discard()
    assert (made.aside, Segment.exists(aside.name)) == ([], False)
    assert made.close() == 0


def test_a_group_that_goes_takes_its_watermarks_along(instance: str) -> None:
    made = rings(instance)
    made.open(["a", "b", "b-r2"], {"b": 4})
    marks = made.refs["b"].marks
    made.open(["a"])
    made.open(["a", "c"])
    assert Segment.exists(marks)
    made.discard()
    assert listing(f"wsadapter-{instance}-") == [f"wsadapter-{instance}-a", f"wsadapter-{instance}-c"]
    made.open(["a", "b", "b-r2", "c"], {"b": 4})
    assert Segment.exists(made.refs["b"].marks)
    assert made.close() == 0
    assert listing(f"wsadapter-{instance}-") == []


def test_what_was_to_go_and_is_wanted_again_stays(instance: str) -> None:
    made = rings(instance)
    made.open(["a", "b"])
    made.open(["a"])
    made.open(["a", "c"])
    made.open(["a", "b", "c"])  # before their reader was exchanged
    made.discard()
    assert Segment.exists(made.refs["b"].name)
    made.close()


def test_a_new_ring_goes_to_who_has_fewest(instance: str) -> None:
    made = rings(instance, serializers=2)
    made.open(["a", "b", "c"])
    made.open(["a", "c"])
    made.open(["a", "c", "d"])
    made.open(["a", "c", "d", "e"])

    assert [[r.connection for r in made.of_serializer(n)] for n in (0, 1)] == [["a", "c"], ["d", "e"]]
    made.close()


def test_rings_are_spread_over_serializers(instance: str) -> None:
    made = rings(instance, serializers=2)
    made.open(["a", "b", "c"])

    assert [[r.connection for r in made.of_serializer(n)] for n in (0, 1)] == [["a", "c"], ["b"]]
    made.close()


def test_rings_whose_names_somebody_removes_are_made_anew_with_what_is_in_them(instance: str) -> None:
    made = rings(instance)
    made.open(["a", "b", "c-r2", "c"], {"c": 8})
    name = made.refs["a"].name
    write(name, 5)
    reader = RingReader.attach(name)
    reader.poll(2)
    reader.commit(reader.position)
    marks = watermarks.Watermarks(made.refs["c"].marks)
    marks.store(("line",), (1, 2, 3, 4, 5, 6, 7))
    kept = {("line",): (1, 2, 3, 4, 5, 6, 7)}
    marks.release()
    assert made.lost() == []
    before = listing(f"wsadapter-{instance}-")
    for segment in before:
        Segment.unlink(segment)
    assert sorted(made.lost()) == before
    reader.release()
    made.restore()

    assert (made.lost(), listing(f"wsadapter-{instance}-")) == ([], before)
    reader = RingReader.attach(name)
    assert [payload for _, _, payload in reader.poll(10)] == [b"2", b"3", b"4"]
    assert reader.epoch == made.refs["a"].epoch
    reader.release()
    again = watermarks.Watermarks(made.refs["c"].marks)
    assert again.kept == kept
    again.release()
    assert made.close() == 3


def test_a_ring_that_lost_its_name_waits_for_room(instance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = rings(instance)
    made.open(["a"])
    name = made.refs["a"].name
    write(name, 2)
    Segment.unlink(name)

    def full(name: str, size: int, header: bytes = b"") -> Segment:
        raise SegmentError(f"segment {name}: no space")

    with monkeypatch.context() as patched:
        patched.setattr(Segment, "create", full)
        made.restore()
    assert made.lost() == [name]
    made.restore()
    assert (made.lost(), made.unread()) == ([], 2)
    made.close()


def test_what_lost_its_name_before_a_stop_is_kept_for_the_next_start(instance: str) -> None:
    first = rings(instance)
    first.open(["a"])
    write(first.refs["a"].name, 3)
    Segment.unlink(first.refs["a"].name)

    assert first.close() == 3
    second = rings(instance)
    second.open(["a"])
    assert second.adopted == 3
    second.close()
