"""The spool's log on disk: order, bounds, crashes at every byte, damage, a disk that refuses."""

import errno
import os
import random
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wsadapter.roles.serializer import spool as spool_module
from wsadapter.roles.serializer.spool import Spool
from wsadapter.roles.serializer.spool_directory import SpoolError
from wsadapter.roles.serializer.spool_segment import HEADER_BYTES, Record

EPOCH = 1_790_000_000_000_000_000
MIB = 1 << 20


def record(number: int, size: int = 40) -> Record:
    return EPOCH + number % 2, number * 8, 1 + number % 10, random.Random(number).randbytes(size)


def batch(first: int, count: int, size: int = 40) -> list[Record]:
    return [record(number, size) for number in range(first, first + count)]


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.spool"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def test_records_come_back_in_order_and_files_go(directory: Path) -> None:
    spool = Spool(str(directory), MIB, 4096)
    for first in range(0, 500, 50):
        assert spool.append(batch(first, 50)) == 50
    assert (spool.records, len(segments(directory)) > 3) == (500, True)
    got = []
    while records := spool.poll(77):
        got += records
        spool.commit()
    assert got == batch(0, 500)
    assert (spool.records, spool.size, segments(directory)) == (0, 0, [])
    spool.close()


def test_an_uncommitted_record_comes_again(directory: Path) -> None:
    spool = Spool(str(directory), MIB, 4096)
    spool.append(batch(0, 300))
    assert spool.poll(100) == batch(0, 100)
    spool.commit()
    assert spool.poll(100) == batch(100, 100)
    spool.close()
    again = Spool(str(directory), MIB, 4096)
    assert again.records == 200
    assert again.poll(1000) == batch(100, 200)
    again.close()


def test_reading_while_it_grows(directory: Path) -> None:
    spool = Spool(str(directory), MIB, 2000)
    got: list[Record] = []
    for first in range(0, 300, 10):
        spool.append(batch(first, 10))
        got += spool.poll(7)
        if first % 40 == 0:
            spool.commit()
    got += spool.poll(1000)
    assert got == batch(0, 300)
    assert spool.poll(1) == []
    spool.close()


def test_full_is_an_answer_and_space_comes_back(directory: Path) -> None:
    spool = Spool(str(directory), MIB)
    stored = spool.append(batch(0, 20_000, 60))
    assert MIB - 200 < stored * (HEADER_BYTES + 60) <= MIB
    assert spool.append(batch(stored, 5, 60)) == 0
    assert sum(path.stat().st_size for path in segments(directory)) <= MIB
    assert spool.poll(50_000) == batch(0, stored, 60)
    spool.commit()
    assert spool.append(batch(stored, 5, 60)) == 5
    spool.close()


def test_a_full_spool_frees_space_by_segments(directory: Path) -> None:
    spool = Spool(str(directory), MIB)
    number = 0
    while stored := spool.append(batch(number, 500, 60)):
        number += stored
    spool.poll(number // 2)
    spool.commit()
    assert spool.size < MIB * 3 // 4
    assert spool.append(batch(number, 500, 60)) == 500
    assert len(spool.poll(MIB)) == number - number // 2 + 500
    spool.close()


def test_a_crash_at_every_byte_keeps_a_prefix(tmp_path: Path, directory: Path) -> None:
    spool = Spool(str(directory), MIB, 1500)
    for first in range(0, 40, 5):
        spool.append(batch(first, 5, first))
    spool.poll(3)
    spool.commit()
    spool.close()
    last = segments(directory)[-1]
    begins = int(last.stem)
    whole = last.read_bytes()
    for size in range(len(whole) + 1):
        copy = tmp_path / "copy"
        shutil.copytree(directory, copy)
        os.truncate(copy / last.name, size)
        (copy / "confirmed").unlink()  # killed before the last write was answered
        again = Spool(str(copy), MIB, 1500)
        got = again.poll(1000)
        assert got == [record(n, n // 5 * 5) for n in range(3, 3 + len(got))]
        assert len(got) >= begins - 3
        assert again.lost_records == 0
        assert again.append([record(99)]) == 1
        assert again.poll(10) == [record(99)]
        again.close()
        shutil.rmtree(copy)


def test_garbage_after_the_end_is_cut_and_said(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    spool = Spool(str(directory), MIB)
    spool.append(batch(0, 10))
    spool.close()
    with segments(directory)[-1].open("ab") as file:
        file.write(random.Random(1).randbytes(777))
    again = Spool(str(directory), MIB)
    assert again.poll(100) == batch(0, 10)
    assert again.damaged_bytes == 0
    assert again.append(batch(10, 1)) == 1
    assert again.poll(100) == batch(10, 1)
    again.close()
    assert "777" in "".join(capfd.readouterr())


@pytest.mark.parametrize("where", ["first", "middle", "sealed end", "length field"])
def test_damage_costs_its_record_and_is_counted(directory: Path, where: str) -> None:
    spool = Spool(str(directory), MIB, 2000)
    for first in range(0, 60, 10):
        spool.append(batch(first, 10))
    size = HEADER_BYTES + 40
    names = segments(directory)
    sealed = names[0]
    count = sealed.stat().st_size // size
    victim = {"first": 0, "middle": 7, "sealed end": count - 1, "length field": 5}[where]
    with sealed.open("r+b") as file:
        file.seek(victim * size + (4 if where == "length field" else 50))
        file.write(b"\xff\xff\xff\x7f")
    got = spool.poll(1000)
    assert got == [r for n, r in enumerate(batch(0, 60)) if n != victim]
    assert (spool.lost_records, spool.damaged_bytes) == (1, size)
    spool.commit()
    assert [path.name for path in directory.glob("*.damaged")] == [sealed.name + ".damaged"]
    spool.close()
    again = Spool(str(directory), MIB, 2000)
    assert (again.records, again.size, again.poll(1)) == (0, 0, [])
    again.close()


@pytest.mark.parametrize("victim", [0, 9])
def test_a_confirmed_record_that_rots_at_the_end_is_lost_and_counted(directory: Path, victim: int) -> None:
    spool = Spool(str(directory), MIB)
    spool.append(batch(0, 10))
    spool.close()
    (segment,) = segments(directory)
    with segment.open("r+b") as file:
        file.seek(victim * (HEADER_BYTES + 40) + 50)
        file.write(b"\xff\0\xff\0")
    again = Spool(str(directory), MIB)
    assert again.records == 10
    assert again.append(batch(10, 1)) == 1
    assert again.poll(100) == [r for n, r in enumerate(batch(0, 11)) if n != victim]
    assert again.lost_records == 1
    again.commit()
    assert [path.name for path in directory.glob("*.damaged")] == [segment.name + ".damaged"]
    again.close()


def test_a_spool_whose_every_record_rots_is_lost_and_counted(directory: Path) -> None:
    spool = Spool(str(directory), MIB)
    spool.append(batch(0, 3))
    spool.close()
    (segment,) = segments(directory)
    segment.write_bytes(bytes(segment.stat().st_size))
    again = Spool(str(directory), MIB)
    assert (again.records, again.poll(10), again.lost_records) == (3, [], 3)
    again.commit()
    assert again.append(batch(3, 1)) == 1
    assert again.poll(10) == batch(3, 1)
    again.close()
    assert [path.name for path in directory.glob("*.damaged")] == [segment.name + ".damaged"]


def test_a_poll_is_bounded_by_bytes(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "POLL_BYTES", 1000)
    spool = Spool(str(directory), MIB)
    spool.append(batch(0, 50, 300))
    parts = []
    while part := spool.poll(1000):
        parts.append(part)
    assert [len(part) for part in parts] == [4] * 12 + [2]
    assert [r for part in parts for r in part] == batch(0, 50, 300)
    spool.close()


def test_a_reserve_of_the_file_system_stays_free(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(str(directory), MIB)
    seen = os.statvfs(directory)

    def nearly_full(_fd: int) -> os.statvfs_result:
        values = list(seen)
        values[4] = seen.f_blocks // 100  # f_bavail
        return os.statvfs_result(values)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstatvfs", nearly_full)
        full = Spool(str(directory.with_name("other")), MIB, reserve=1 << 62)
        assert full.append(batch(0, 3)) == 0
        assert full.records == 0
        full.close()
    assert spool.append(batch(0, 3)) == 3
    spool.close()


def test_a_checkpoint_that_was_being_written_is_no_damage(directory: Path) -> None:
    spool = Spool(str(directory / "7" / "serializer-0"), MIB)
    (directory / "7" / "serializer-0" / "checkpoint.new").write_bytes(b"1")
    spool.remove()
    assert list(directory.rglob("*")) == [directory / "7"]


def test_the_names_of_new_directories_are_durable(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[str] = set()
    fsync = os.fsync

    def noted(fd: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    own = directory / "7" / "serializer-0"
    spool = Spool(str(own), MIB)
    spool.append(batch(0, 1))
    spool.close()
    assert {str(own), str(own.parent), str(directory), str(directory.parent)} <= synced


def test_damage_found_after_a_restart_and_a_lost_file(directory: Path) -> None:
    spool = Spool(str(directory), MIB, 1000)
    for first in range(0, 100, 10):
        spool.append(batch(first, 10))
    spool.close()
    names = segments(directory)
    names[2].unlink()
    with names[-1].open("r+b") as file:
        file.seek(HEADER_BYTES + 3)
        file.write(b"\0\1\2\3")
    missing = set(range(int(names[2].stem), int(names[3].stem))) | {int(names[-1].stem)}
    again = Spool(str(directory), MIB, 1000)
    assert again.poll(1000) == [r for n, r in enumerate(batch(0, 100)) if n not in missing]
    assert again.lost_records == len(missing)
    again.close()


def test_damage_to_the_end_of_a_growing_segment(directory: Path) -> None:
    spool = Spool(str(directory), MIB)
    spool.append(batch(0, 10))
    with segments(directory)[0].open("r+b") as file:
        file.seek(5 * (HEADER_BYTES + 40))
        file.write(bytes(5 * (HEADER_BYTES + 40)))
    assert spool.poll(5) == batch(0, 5)
    assert spool.poll(100) == []
    spool.append(batch(10, 2))
    assert spool.poll(100) == batch(10, 2)
    spool.commit()
    assert (spool.lost_records, spool.records) == (5, 0)
    assert spool.append(batch(12, 1)) == 1
    assert spool.poll(2) == batch(12, 1)
    spool.close()


@pytest.mark.parametrize("call", ["fdatasync", "pwrite"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_is_full(directory: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    spool = Spool(str(directory), MIB)
    spool.append(batch(0, 3))

    def refuse(*arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    for _ in range(2):  # into a segment that has records, then into a new one
        with monkeypatch.context() as patch:
            patch.setattr(os, call, refuse)
            assert spool.append(batch(3, 3)) == 0
            assert spool.append(batch(3, 3)) == 0
    assert spool.append(batch(3, 3)) == 3
    assert spool.poll(100) == batch(0, 6)
    spool.close()
    again = Spool(str(directory), MIB)
    assert again.poll(100) == batch(0, 6)
    again.close()


def test_what_a_failed_write_left_behind_is_not_replayed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(str(directory), MIB)
    spool.append(batch(0, 3))

    def refuse(*arguments: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        patch.setattr(os, "ftruncate", refuse)
        assert spool.append(batch(3, 3)) == 0
    assert spool.append(batch(3, 4)) == 4
    spool.close()
    with segments(directory)[0].open("r+b") as file:  # of the remains only the later records are whole
        file.seek(3 * (HEADER_BYTES + 40) + 20)
        file.write(b"\xff\xff")
    again = Spool(str(directory), MIB)
    assert again.poll(100) == batch(0, 7)
    assert again.lost_records == 0
    again.close()


@pytest.mark.parametrize("content", [b"", b"12", b"5 00000000\n", b"\xff" * 40])
def test_a_checkpoint_that_cannot_be_read_costs_a_repetition(directory: Path, content: bytes) -> None:
    spool = Spool(str(directory), MIB)
    spool.append(batch(0, 10))
    spool.poll(5)
    spool.commit()
    spool.close()
    (directory / "checkpoint").write_bytes(content)
    again = Spool(str(directory), MIB)
    assert again.poll(100) == batch(0, 10)
    again.close()


@pytest.mark.parametrize("content", [b"", b"12", b"5 00000000\n", b"\xff" * 40, None])
def test_a_checkpoint_that_cannot_be_read_costs_nothing_where_all_was_done_with(
    directory: Path, content: bytes | None
) -> None:
    spool = Spool(str(directory), MIB)
    spool.append(batch(0, 10))
    spool.poll(10)
    spool.commit()
    spool.close()
    (directory / "checkpoint").unlink()
    if content is not None:
        (directory / "checkpoint").write_bytes(content)
    for number in (10, 11):
        again = Spool(str(directory), MIB)
        assert (again.records, again.poll(100), again.lost_records) == (0, [], 0)
        again.append(batch(number, 1))
        assert again.poll(100) == batch(number, 1)
        again.commit()
        again.close()


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_checkpoint_that_the_disk_refuses_costs_a_repetition(
    directory: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    spool = Spool(str(directory), MIB, 500)
    for first in range(0, 30, 10):
        spool.append(batch(first, 10))
    assert spool.poll(100) == batch(0, 30)
    with monkeypatch.context() as full:
        full.setattr(os, "replace", refuse)
        full.setattr(os, call, refuse)
        spool.commit()
    assert (spool.records, spool.poll(100), len(segments(directory))) == (0, [], 1)
    spool.append(batch(30, 1))
    assert spool.poll(100) == batch(30, 1), "nothing again while it lives"
    spool.close()
    if call == "pwrite":
        again = Spool(str(directory), MIB, 500)
        assert again.poll(100) == batch(20, 11)
        assert again.lost_records == 0
        again.commit()
        assert segments(directory) == []
        again.close()


def test_the_checkpoint_is_on_the_disk_before_the_last_file_goes(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, unlink = os.fdatasync, os.unlink

    def noted_sync(fd: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        sync(fd)

    def noted_unlink(path: str) -> None:
        done.append(Path(path).suffix)
        unlink(path)

    spool = Spool(str(directory), MIB)
    spool.append(batch(0, 10))
    spool.poll(10)
    monkeypatch.setattr(os, "fdatasync", noted_sync)
    monkeypatch.setattr(os, "unlink", noted_unlink)
    spool.commit()
    assert done == ["checkpoint", ".spool"]
    spool.close()


@pytest.mark.parametrize("deleted", range(4))
def test_a_spool_that_is_killed_while_it_is_removed_has_lost_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    class Killed(BaseException):
        """kill -9, here and now."""

    calls, unlink = 0, os.unlink

    def unlink_or_be_killed(path: str) -> None:
        nonlocal calls
        calls += 1
        if calls > deleted:
            raise Killed
        unlink(path)

    own = str(directory / "7" / "serializer-0")
    spool = Spool(own, MIB)
    spool.append(batch(0, 10), {4: 4})
    spool.poll(10)
    spool.commit()
    with monkeypatch.context() as killing:
        killing.setattr(os, "unlink", unlink_or_be_killed)
        with pytest.raises(Killed):
            spool.remove()
    again = Spool(own, MIB)
    assert (again.records, again.poll(10), again.lost_records) == (0, [], 0)
    again.remove()
    assert list(directory.rglob("*")) == [directory / "7"]


def test_modes_and_one_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        spool = Spool(str(tmp_path / "a" / "spool"), MIB)
        spool.append(batch(0, 5))
        spool.poll(2)
        spool.commit()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "spool").stat().st_mode) == 0o700
    for path in (tmp_path / "a" / "spool").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    with pytest.raises(SpoolError, match="in use"):
        Spool(str(tmp_path / "a" / "spool"), MIB)
    spool.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="file"):
        Spool(str(tmp_path / "file"), MIB)


class Model(RuleBasedStateMachine):
    """Against a list: appends, reads, commits, and crashes that tear what was not reported as stored."""

    @initialize(seed=st.integers(0, 2**32), limit=st.sampled_from([4000, 20_000, MIB]))
    def begin(self, seed: int, limit: int) -> None:
        self.rng = random.Random(seed)
        self.limit = limit
        self.directory = Path(os.environ.get("TMPDIR", "/dev/shm")) / f"spool-test-{os.getpid()}-{seed}"
        shutil.rmtree(self.directory, ignore_errors=True)
        self.stored: list[Record] = []
        self.done = self.polled = 0
        self.open()

    def open(self) -> None:
        self.spool = Spool(str(self.directory), self.limit, 3000)
        self.polled = self.done

    @rule(count=st.integers(1, 30), size=st.sampled_from([0, 1, 40, 500]))
    def append(self, count: int, size: int) -> None:
        records = batch(len(self.stored), count, size)
        taken = self.spool.append(records)
        if taken < count:
            need = HEADER_BYTES + size
            assert self.spool.size + need > self.limit, "refused without need"
        self.stored += records[:taken]

    @rule(limit=st.integers(1, 60))
    def poll(self, limit: int) -> None:
        got = self.spool.poll(limit)
        assert got == self.stored[self.polled : self.polled + limit]
        self.polled += len(got)

    @rule()
    def commit(self) -> None:
        self.spool.commit()
        self.done = self.polled

    @rule(torn=st.booleans(), garbage=st.integers(0, 200))
    def crash(self, torn: bool, garbage: int) -> None:
        durable = self.spool.size
        if torn:  # a batch was being written: any prefix of it may be there
            files = segments(self.directory)
            size = files[-1].stat().st_size if files else 0
            confirmed = (self.directory / "confirmed").read_bytes()
            taken = self.spool.append(batch(len(self.stored), 5, 30))
            (self.directory / "confirmed").write_bytes(confirmed)
            after = segments(self.directory)
            if taken and files and after[-1] == files[-1]:
                os.truncate(after[-1], self.rng.randint(size, after[-1].stat().st_size))
            elif taken and after:
                os.truncate(after[-1], self.rng.randint(0, after[-1].stat().st_size))
        self.spool.close()
        files = segments(self.directory)
        if files and garbage:
            with files[-1].open("ab") as file:
                file.write(self.rng.randbytes(garbage))
        self.open()
        assert self.spool.size >= durable
        extra = self.spool.records - (len(self.stored) - self.done)
        assert 0 <= extra <= 5
        self.stored += batch(len(self.stored), extra, 30)

    @precondition(lambda self: hasattr(self, "spool"))
    @invariant()
    def counts_agree(self) -> None:
        assert self.spool.records == len(self.stored) - self.done
        assert self.spool.lost_records == 0
        assert sum(path.stat().st_size for path in segments(self.directory)) <= self.limit + 400

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            shutil.rmtree(self.directory)


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestModel = Model.TestCase
