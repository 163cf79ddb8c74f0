"""A recording gives back every frame byte for byte, and after a kill or damage all that is whole before it."""

import random
import sys
from pathlib import Path

import pytest

from wsadapter.errors import WsadapterError
from wsadapter.recordings import Frame, Header, Recording, RecordingWriter, is_recording, note

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FRAMES = [
    Frame(1_700_000_000_000_000_001, "1.1", b'{"e":"trade"}'),
    Frame(1_700_000_000_000_000_001, "2.1", b'{\n "pretty": true\n}\n'),
    Frame(1_700_000_000_000_000_002, "1.2", b""),
    Frame(1_700_000_000_000_000_003, "1.2", b"\xff\xfe broken \x00"),
    note(1_700_000_000_000_000_004, dropped=3),
]
HEADER = Header(exchange="okx", symbols=("BTC-USDT-SWAP",), streams=("trade",), intervals=("1m",))


def written(path: Path, frames: list[Frame], batch: int = 2) -> RecordingWriter:
    writer = RecordingWriter(path, HEADER)
    for begin in range(0, len(frames), batch):
        writer.write(frames[begin : begin + batch])
    return writer


def test_every_frame_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.frames.zst"
    writer = written(path, FRAMES)
    writer.close()
    recording = Recording(path)
    assert (list(recording), recording.damage) == (FRAMES, "")
    assert recording.header == HEADER
    assert writer.octets == path.stat().st_size
    assert is_recording(path)


def test_the_format_is_the_documented_one(tmp_path: Path) -> None:
    """Other programs read it with zstd and nothing of ours."""
    path = tmp_path / "a.frames.zst"
    written(path, FRAMES[:1]).close()
    header, frame = zstd.decompress(path.read_bytes()).splitlines()
    assert header.startswith(b'{"wsadapter_frames":1,"exchange":"okx"')
    assert frame == b'1700000000000000001 1.1 13 {"e":"trade"}'


def test_a_writer_that_was_killed_leaves_what_it_flushed(tmp_path: Path) -> None:
    path = tmp_path / "a.frames.zst"
    writer = written(path, FRAMES)
    recording = Recording(path)  # nobody has closed it
    assert list(recording) == FRAMES
    assert recording.damage == "the file was not closed"
    writer.close()


@pytest.mark.parametrize("seed", range(5))
def test_a_file_that_ends_anywhere_gives_whole_frames(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    frames = [Frame(n, "1.1", dice.randbytes(dice.choice((0, 10, 3_000, 400_000)))) for n in range(20)]
    path = tmp_path / "a.frames.zst"
    written(path, frames).close()
    content = path.read_bytes()
    path.write_bytes(content[: dice.randrange(300, len(content))])
    recording = Recording(path)
    found = list(recording)
    assert found == frames[: len(found)]
    assert recording.damage


def test_damage_is_said_and_costs_what_is_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "a.frames.zst"
    written(path, FRAMES, batch=9).close()
    path.write_bytes(path.read_bytes() + zstd.compress(b"7 1.1 1 ab\n8 1.1 1 c\n"))
    recording = Recording(path)
    assert list(recording) == FRAMES
    assert recording.damage == "a line that is none"


def test_files_that_are_no_recordings(tmp_path: Path) -> None:
    path = tmp_path / "lines.zst"
    path.write_bytes(zstd.compress(b'{"e":"trade"}\n'))
    assert not is_recording(path)
    with pytest.raises(WsadapterError, match="no recording"):
        Recording(path)
    path.write_bytes(zstd.compress(b'{"wsadapter_frames":2,"exchange":"okx"}\n'))
    assert is_recording(path)
    with pytest.raises(WsadapterError, match="version 2"):
        Recording(path)


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.frames.zst"
    written(path, FRAMES).close()
    with pytest.raises(FileExistsError):
        RecordingWriter(path, HEADER)
