"""Recordings on a disk: rotated, bounded together, never two writers of one; a disk that refuses costs frames only."""

import os
import shutil
import time
from pathlib import Path

from msgspec import structs

from wsadapter.config.model import KIB, MIB, RecordConfig
from wsadapter.recordings import NOTE, Frame, Header, Recording, note
from wsadapter.roles.ingest.recording_files import RETRY_SECONDS, RecordedCount, RecordingFiles


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def settings(path: Path, **others: float) -> RecordConfig:
    return structs.replace(RecordConfig(mode="all", path=str(path)), **others)


def frames(count: int, size: int = 50) -> list[Frame]:
    return [Frame(time.time_ns(), "1.1", os.urandom(size)) for _ in range(count)]


def found(path: Path) -> list[Path]:
    return sorted(path.glob("*.frames.zst"))


def test_a_file_that_is_large_is_followed_by_another_and_the_oldest_goes(tmp_path: Path) -> None:
    count = RecordedCount()
    files = RecordingFiles(settings(tmp_path, max_bytes=MIB), Header(exchange="okx", connection="okx-0"), count)
    written = [frames(10, 8 * KIB) for _ in range(40)]
    for number, some in enumerate(written):
        files.write(some)
        for path in found(tmp_path):  # as if time went by
            os.utime(path, (time.time() - 1000 + number, time.time() - 1000 + number))
    files.close()
    files.keep_bounds()
    assert 8 < len(found(tmp_path)) < 20
    assert sum(path.stat().st_size for path in found(tmp_path)) <= MIB
    left = [frame for path in found(tmp_path) for frame in Recording(path)]
    assert left == [frame for some in written for frame in some][-len(left) :]
    assert (count.frames, count.missing, count.failures) == (400, 0, 0)
    assert count.octets > 3 * MIB


def test_what_is_old_goes_and_what_is_written_stays(tmp_path: Path) -> None:
    clock, rules = Clock(), settings(tmp_path, max_age=100.0)
    mine = RecordingFiles(rules, Header(exchange="okx", connection="mine"), RecordedCount(), clock)
    other = RecordingFiles(rules, Header(exchange="okx", connection="other"), RecordedCount(), clock)
    other.write(frames(1))
    mine.write(frames(1))
    for path in found(tmp_path):
        os.utime(path, (time.time() - 200, time.time() - 200))
    mine.keep_bounds()
    assert len(found(tmp_path)) == 2  # both are written

    other.close()
    for path in found(tmp_path):
        os.utime(path, (time.time() - 200, time.time() - 200))
    mine.keep_bounds()
    assert [path.name[:5] for path in found(tmp_path)] == ["mine-"]

    clock.now += 30
    mine.write(frames(1))  # a quarter of the age is over
    mine.write(frames(1))
    assert len(found(tmp_path)) == 2
    mine.close()
    other.close()


def test_a_disk_that_refuses_costs_frames_and_says_how_many(tmp_path: Path) -> None:
    """It is full, or gone: the same to whoever writes."""
    clock, count, path = Clock(), RecordedCount(), tmp_path / "recordings"
    files = RecordingFiles(settings(path), Header(exchange="okx", connection="okx-0"), count, clock)
    path.write_text("in the way")
    files.write(frames(3))
    files.write(frames(2))  # not tried again at once
    assert (count.frames, count.missing, count.failures) == (0, 5, 1)
    path.unlink()
    clock.now += RETRY_SECONDS
    some = frames(1)
    files.write([note(1, around="gap"), *some])
    files.close()
    (file,) = found(path)
    assert [frame.payload for frame in Recording(file)] == [b'{"dropped":5}', b'{"around":"gap"}', some[0].payload]
    assert (count.frames, count.missing) == (1, 5)


def test_a_directory_that_is_taken_away_comes_back(tmp_path: Path) -> None:
    clock, count, path = Clock(), RecordedCount(), tmp_path / "recordings"
    files = RecordingFiles(settings(path), Header(exchange="okx", connection="okx/0"), count, clock)
    files.write(frames(1))
    shutil.rmtree(path)
    files.close()
    files.keep_bounds()  # it is not there
    files.write(frames(1))
    files.close()
    (file,) = found(path)
    assert file.name.startswith("okx_0-")
    assert [frame.socket for frame in Recording(file)] != [NOTE]
    assert path.stat().st_mode & 0o777 == 0o700
