"""HTTP message bodies of the ClickHouse endpoint: read whole, bounded, plain or chunked, and the content codings that
ClickHouse clients use. Both the bytes on the wire and the bytes they decompress to are limited.
"""

import gzip
import re
import sys
import zlib
from collections.abc import Callable, Mapping
from email.message import Message
from io import BufferedIOBase
from typing import Any, Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

try:
    import lz4.frame as lz4_frame  # type: ignore[import-untyped]  # has no stubs
except ImportError:  # clickhouse-connect brings it before Python 3.14 and does without it from there on
    lz4_frame = None

MAX_BODY_BYTES: Final = 256 << 20
_READ_BYTES: Final = 1 << 20
_MAX_CHUNK_LINE: Final = 1024


class BodyError(Exception):
    """The request is answered with ``status`` and the connection closed."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


def read_body(header: Callable[[str], str], stream: BufferedIOBase) -> bytes:
    """The whole body, decompressed; ``header`` gives a header's value or an empty string."""
    coding = header("Content-Encoding").lower()
    if "chunked" in header("Transfer-Encoding").lower():
        body = _read_chunked(stream)
    else:
        length = header("Content-Length") or "0"
        if not re.fullmatch(r"[0-9]{1,18}", length):
            raise BodyError(400, "bad Content-Length")
        body = bytearray()
        _read_into(body, stream, int(length))
    if coding in ("", "identity"):
        return bytes(body)
    return _decompress(bytes(body), coding)


def _read_chunked(stream: BufferedIOBase) -> bytearray:
    body = bytearray()
    while True:
        line = stream.readline(_MAX_CHUNK_LINE)
        size = line.split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
            raise BodyError(400, "bad chunk")
        if int(size, 16) == 0:
            while stream.readline(_MAX_CHUNK_LINE) not in (b"\r\n", b"\n", b""):
                pass  # trailers
            return body
        _read_into(body, stream, int(size, 16))
        stream.readline(_MAX_CHUNK_LINE)


def _read_into(body: bytearray, stream: BufferedIOBase, length: int) -> None:
    if len(body) + length > MAX_BODY_BYTES:
        raise BodyError(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    end = len(body) + length
    while len(body) < end:
        piece = stream.read(min(_READ_BYTES, end - len(body)))
        if not piece:
            raise ConnectionError("the client went away inside its body")
        body += piece


_DECOMPRESSORS: Final[Mapping[str, Callable[[], Any]]] = {
    "zstd": zstd.ZstdDecompressor,
    **({"lz4": lz4_frame.LZ4FrameDecompressor} if lz4_frame else {}),
}


def _decompress(body: bytes, coding: str) -> bytes:
    """All frames, one after another, of what never gets larger than the limit."""
    try:
        if coding in ("gzip", "deflate"):
            return _inflate(body, 31 if coding == "gzip" else 15)
        if coding not in _DECOMPRESSORS:
            raise BodyError(415, f"unknown Content-Encoding, supported: lz4, zstd, gzip, deflate; not {coding!r}")
        whole = bytearray()
        while body:
            frame = _DECOMPRESSORS[coding]()
            while not frame.eof:
                if frame.needs_input and not body:
                    raise BodyError(400, f"the {coding} data ends early")
                whole += frame.decompress(body, _READ_BYTES)
                body = b""
                _check_size(whole)
            body = frame.unused_data or b""
        return bytes(whole)
    except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as error:
        raise BodyError(400, f"broken {coding} data: {error}") from None


def _inflate(body: bytes, window: int) -> bytes:
    whole = bytearray()
    while body:
        member = zlib.decompressobj(window)
        while not member.eof:
            piece = member.decompress(body, _READ_BYTES)
            if not piece and not member.eof and not member.unconsumed_tail:
                raise BodyError(400, "the compressed data ends early")
            whole += piece
            body = member.unconsumed_tail
            _check_size(whole)
        body = member.unused_data
    return bytes(whole)


def _check_size(whole: bytearray) -> None:
    if len(whole) > MAX_BODY_BYTES:
        raise BodyError(413, f"the body is larger than {MAX_BODY_BYTES} bytes when decompressed")


def compress(body: bytes, accepted: str) -> tuple[bytes, str]:
    """The body in the first coding we know of those accepted, and the coding's name; plain if there is none."""
    for offer in accepted.lower().split(","):
        coding = offer.split(";")[0].strip()
        if coding == "lz4" and lz4_frame:
            return lz4_frame.compress(body), coding
        if coding == "zstd":
            return zstd.compress(body, 1), coding
        if coding == "gzip":
            return gzip.compress(body, 1), coding
        if coding == "deflate":
            return zlib.compress(body, 1), coding
    return body, ""


def form_fields(content_type: str, body: bytes) -> dict[str, bytes]:
    """The plain fields of a multipart form."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary()
    if boundary is None:
        raise BodyError(400, "a form without a boundary")
    fields: dict[str, bytes] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"))[1:]:
        head, separator, value = part.partition(b"\r\n\r\n")
        name = re.search(rb'[;\s]name="([^"]*)"', head)
        if separator and name is not None:
            if b"filename=" in head:
                raise BodyError(501, "external data is not supported here")
            fields[name[1].decode(errors="replace")] = value
    return fields
