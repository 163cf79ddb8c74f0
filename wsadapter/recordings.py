"""Recordings: files of raw frames, as a venue sent them, with the time of each ([recording.md](../docs/recording.md)).

A file is zstd; inside are lines. The first one is JSON, `Header`: whose frames these are, and what was asked for. Each
one after it is a frame, or a note of who recorded it::

    receive time (ns) SP socket SP octets of the payload SP payload LF

``socket`` is the number of a connection, a dot and the number of its socket; ``!`` is a note (JSON: frames that are
missing here, why it was written). The payload is the message byte for byte, line ends and broken JSON included: its
length says where it ends.

A writer flushes whole lines, so that a file whose writer was killed reads up to its last flush: `Recording` gives every
whole line, and says in ``damage`` what stopped it. Owns nothing but open files.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec
from msgspec import Struct

from wsadapter.errors import WsadapterError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIX: Final = ".frames.zst"
VERSION: Final = 1
NOTE: Final = "!"
MAX_LINE: Final = 1 << 28
"""Of a payload; no venue sends one of this size."""
_CHUNK: Final = 1 << 18
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_LEVEL: Final = 3


class Header(Struct, frozen=True, kw_only=True):
    """``wsadapter_frames``: version of the format. ``symbols`` to ``depth_speed``: what was asked for, in the words of
    a `[[feed]]`."""

    wsadapter_frames: int = VERSION
    exchange: str
    connection: str = ""
    url: str = ""
    started_ns: int = 0
    symbols: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    intervals: tuple[str, ...] = ()
    depth_levels: int = 20
    depth_speed: str = "100ms"


class Frame(NamedTuple):
    """``socket``: its number, or `NOTE`."""

    at_ns: int
    socket: str
    payload: bytes


Kept = tuple[int, str, bytes]
"""A `Frame` as a tap keeps it: without names, which would be a third of what keeping it costs."""


def note(at_ns: int, **said: object) -> Frame:
    return Frame(at_ns, NOTE, msgspec.json.encode(said))


class RecordingWriter:
    """One file, made anew: a name that exists is refused (`OSError`, as everything that the disk refuses)."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self._file = path.open("xb")
        self._zstd = zstd.ZstdCompressor(level=_LEVEL)
        self.octets = 0
        """On disk."""
        try:
            self._append(msgspec.json.encode(header) + b"\n")
        except BaseException:
            self._file.close()
            raise

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, frames: Iterable[Kept]) -> None:
        """With it they can be read, whatever becomes of this process."""
        self._append(b"".join(b"%d %b %d %b\n" % (at, socket.encode(), len(payload), payload)
                              for at, socket, payload in frames))  # fmt: skip

    def close(self) -> None:
        """The file is whole; it is closed even where the disk refuses the end."""
        try:
            self._put(self._zstd.flush(zstd.ZstdCompressor.FLUSH_FRAME))
        finally:
            self._file.close()

    def _append(self, lines: bytes) -> None:
        self._put(self._zstd.compress(lines, zstd.ZstdCompressor.FLUSH_BLOCK))

    def _put(self, octets: bytes) -> None:
        self._file.write(octets)
        self._file.flush()
        self.octets += len(octets)


class Recording:
    """A file to read. ``header``: as soon as it is made. ``damage``: after a reading, why it ended before the file's
    end; empty: it did not."""

    def __init__(self, path: Path) -> None:
        self.path, self.damage = path, ""
        with path.open("rb") as file:
            first = next(_Lines(file).text(), b"")
        try:
            self.header = msgspec.json.decode(first, type=Header)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise WsadapterError(f"{path}: no recording: {error}") from error
        if self.header.wsadapter_frames != VERSION:
            found = self.header.wsadapter_frames
            raise WsadapterError(f"{path}: a recording of version {found}, and this program reads {VERSION}")

    def __iter__(self) -> Iterator[Frame]:
        self.damage = ""
        with self.path.open("rb") as file:
            lines = _Lines(file)
            lines.take_line()
            while (frame := lines.frame()) is not None:
                yield frame
            self.damage = lines.damage


def is_compressed(path: Path) -> bool:
    """Whether it is zstd."""
    with path.open("rb") as file:
        return file.read(4) == _MAGIC


def is_recording(path: Path) -> bool:
    """Whether it is one of ours, of whatever version."""
    if not is_compressed(path):
        return False
    with path.open("rb") as file:
        return b'"wsadapter_frames"' in next(_Lines(file).text(), b"")


def compressed_lines(path: Path) -> Iterator[bytes]:
    """Of a zstd file of lines that is no recording."""
    with path.open("rb") as file:
        yield from _Lines(file).text()


class _Lines:
    """What a compressed file holds, as far as it can be read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._zstd = file, zstd.ZstdDecompressor()
        self._ahead = bytearray()
        self._at = 0
        self.damage = ""

    def text(self) -> Iterator[bytes]:
        while (line := self.take_line()) is not None:
            yield line

    def take_line(self) -> bytes | None:
        """Without its end; None where none follows."""
        searched = self._at
        while (end := self._ahead.find(b"\n", searched)) < 0:
            searched = len(self._ahead)
            if searched - self._at > MAX_LINE or not self._more():
                rest = self._taken(len(self._ahead))
                return rest or None
            searched -= self._forget()
        line = self._taken(end)
        self._at += 1
        return line

    def frame(self) -> Frame | None:
        """The next whole line; None at the end, or where there is damage."""
        while (head := bytes(self._ahead[self._at : self._at + 64])).count(b" ") < 3 and self._more():
            self._forget()
        parts = head.split(b" ", 3)
        if not head:
            return None
        try:
            at_ns, socket, octets = int(parts[0]), parts[1].decode("ascii"), int(parts[2])
            begin = sum(len(part) + 1 for part in parts[:3])
        except (ValueError, IndexError):
            self.damage = self.damage or "a line that is none"
            return None
        if not 0 <= octets <= MAX_LINE:
            self.damage = "a line that is none"
            return None
        while len(self._ahead) - self._at < begin + octets + 1:
            if not self._more():
                self.damage = self.damage or "it ends within a line"
                return None
            self._forget()
        self._at += begin
        payload = self._taken(self._at + octets)
        if self._ahead[self._at] != 10:
            self.damage = "a line that is none"
            return None
        self._at += 1
        return Frame(at_ns, socket, payload)

    def _taken(self, end: int) -> bytes:
        found = bytes(self._ahead[self._at : end])
        self._at = end
        return found

    def _forget(self) -> int:
        """What was read is dropped; how much it was."""
        dropped, self._at = self._at, 0
        del self._ahead[:dropped]
        return dropped

    def _more(self) -> bool:
        """Whether anything was left."""
        while not self.damage:
            rest = b""
            if self._zstd.eof:
                rest, self._zstd = self._zstd.unused_data, zstd.ZstdDecompressor()
            octets = (rest or self._file.read(_CHUNK)) if self._zstd.needs_input else b""
            if self._zstd.needs_input and not octets:
                if self._in_frame:
                    self.damage = "the file was not closed"
                return False
            try:
                out = self._zstd.decompress(octets, _CHUNK)
            except zstd.ZstdError as error:
                self.damage = str(error)
                return False
            self._in_frame = not self._zstd.eof
            if out:
                self._ahead += out
                return True
        return False

    _in_frame = False
