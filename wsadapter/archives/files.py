"""A venue's files on disk: which there are, whether they are whole, and their lines, a bounded piece at a time.

A file is a CSV, a gzip of one or a zip with one in it. Where a ``.CHECKSUM`` (SHA-256) lies beside it, it is checked
before anything is read. What cannot be read is a `BadFile`, with the reason.
"""

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from msgspec import Struct

from wsadapter.errors import WsadapterError

PIECE_BYTES: Final = 12 << 20
"""Some 200,000 rows: one insert."""
MAX_LINE: Final = 4096
CHECKSUM: Final = ".CHECKSUM"
_BROKEN: Final = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What a file that is cut off, garbled, encrypted or unreadable ends with."""


class BadFile(WsadapterError):
    """A file that cannot be imported at all."""


class Piece(Struct, frozen=True):
    """Whole lines, the first of which has this number. ``at``: bytes of the file that are read."""

    lines: bytes
    first_line: int
    at: int


def found(paths: Iterable[Path], is_one: Callable[[str], bool]) -> tuple[list[Path], list[Path]]:
    """The files, those of directories in the order of their names; and what of directories is none of the venue's."""
    files: list[Path] = []
    others: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        for each in sorted(path.rglob("*")):
            if each.is_file() and each.suffix != CHECKSUM:
                (files if is_one(each.name) else others).append(each)
    return list(dict.fromkeys(files)), others


def digest(path: Path) -> str:
    """SHA-256, the same as the checksum file says if there is one."""
    try:
        with path.open("rb") as file:
            value = hashlib.file_digest(file, "sha256").hexdigest()
        beside = path.with_name(path.name + CHECKSUM)
        said = beside.read_text(errors="replace").split()[:1] if beside.exists() else [value]
    except OSError as error:
        raise BadFile(error.strerror or str(error)) from None
    if [word.lower() for word in said] != [value]:
        raise BadFile(f"its SHA-256 is {value}, and {beside.name} says {' '.join(said)[:64] or 'nothing'}")
    return value


def pieces(path: Path, size: int = PIECE_BYTES) -> Iterator[Piece]:
    """All lines. What is checked (zip, gzip) may end without an end of line; of a bare CSV the rest is handed on as it
    is, since it may be cut off."""
    try:
        with path.open("rb") as file, _opened(path, file) as content:
            rest, number = b"", 1
            while read := content.read(size):
                whole, newline, rest = (rest + read).rpartition(b"\n")
                if len(rest) > MAX_LINE:
                    at = number + (whole + newline).count(b"\n")
                    raise BadFile(f"line {at} is longer than {MAX_LINE} bytes: no CSV")
                if newline:
                    piece = whole + newline
                    yield Piece(piece, number, file.tell())
                    number += piece.count(b"\n")
            if rest:
                end = b"\n" if content is not file else b""
                yield Piece(rest + end, number, file.tell())
    except _BROKEN as error:
        raise BadFile(f"cannot be read: {error}" if str(error) else f"cannot be read: {type(error).__name__}") from None


def _opened(path: Path, file: IO[bytes]) -> IO[bytes] | gzip.GzipFile:
    if path.suffix == ".zip":
        archive = zipfile.ZipFile(file)
        inside = [info for info in archive.infolist() if not info.is_dir()]
        if len(inside) != 1:
            raise BadFile(f"{len(inside)} files in it, and not one CSV")
        return archive.open(inside[0])
    return gzip.open(file) if path.suffix == ".gz" else file
