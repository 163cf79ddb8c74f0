"""Bodies of the ClickHouse endpoint: plain, chunked, compressed, and what is wrong with them."""

import gzip
import io
import zlib
from collections.abc import Callable

import lz4.frame  # type: ignore[import-untyped]  # has no stubs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.embedded.clickhouse import http_body
from wsadapter.embedded.clickhouse.http_body import BodyError, compress, form_fields, read_body

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": lambda data: compress(data, "zstd")[0],
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


def body_of(wire: bytes, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_body(lambda name: named.get(name, ""), io.BytesIO(wire))


def chunked(data: bytes, size: int) -> bytes:
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x;x=y\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nTrailer: 1\r\n\r\n"


@given(st.binary(max_size=5000), st.integers(1, 700))
def test_chunked_gives_the_same_bytes(data: bytes, size: int) -> None:
    assert body_of(chunked(data, size), Transfer_Encoding="chunked") == data


@pytest.mark.parametrize("coding", ENCODERS)
@given(parts=st.lists(st.binary(max_size=3000), min_size=1, max_size=4))
def test_every_frame_of_a_compressed_body_is_read(coding: str, parts: list[bytes]) -> None:
    wire = b"".join(ENCODERS[coding](part) for part in parts)
    assert body_of(wire, Content_Length=str(len(wire)), Content_Encoding=coding) == b"".join(parts)


@pytest.mark.parametrize("coding", ENCODERS)
def test_an_answer_is_compressed_as_accepted(coding: str) -> None:
    data = b"0123456789" * 1000
    wire, used = compress(data, f"br;q=1, {coding};q=0.5")
    assert used == coding
    assert body_of(wire, Content_Length=str(len(wire)), Content_Encoding=coding) == data
    assert compress(data, "br, identity") == (data, "")


@pytest.mark.parametrize("coding", ENCODERS)
def test_data_that_ends_early_or_is_broken_is_refused(coding: str) -> None:
    wire = ENCODERS[coding](b"0123456789" * 1000)
    for broken in (wire[:-5], b"\x00garbage" + wire, wire + b"garbage"):
        with pytest.raises(BodyError) as refused:
            body_of(broken, Content_Length=str(len(broken)), Content_Encoding=coding)
        assert refused.value.status == 400


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_bomb_is_refused(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = ENCODERS[coding](bytes(4 << 20))
    monkeypatch.setattr(http_body, "MAX_BODY_BYTES", 2 << 20)
    with pytest.raises(BodyError) as refused:
        body_of(wire, Content_Length=str(len(wire)), Content_Encoding=coding)
    assert refused.value.status == 413


def test_a_body_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(BodyError) as refused:
        body_of(b"", Content_Length=str(http_body.MAX_BODY_BYTES + 1))
    assert refused.value.status == 413
    with pytest.raises(BodyError) as refused:
        body_of(b"ffffffff\r\n", Transfer_Encoding="chunked")
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("wire", "headers"),
    [
        (b"", {"Content_Length": "-1"}),
        (b"", {"Content_Length": "x"}),
        (b"zz\r\n", {"Transfer_Encoding": "chunked"}),
        (b"", {"Transfer_Encoding": "chunked"}),
        (b"x", {"Content_Length": "1", "Content_Encoding": "rot13"}),
    ],
)
def test_nonsense_is_refused(wire: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(BodyError):
        body_of(wire, **headers)


def test_a_client_that_goes_away_inside_its_body_is_a_broken_connection() -> None:
    with pytest.raises(ConnectionError):
        body_of(b"abc", Content_Length="4")


def test_form_fields() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT {x:Int8}\r\n'
        b'--b\r\nContent-Disposition: form-data; name="param_x"\r\n\r\n1\r\n--b--\r\n'
    )
    assert form_fields("multipart/form-data; boundary=b", body) == {"query": b"SELECT {x:Int8}", "param_x": b"1"}
    with pytest.raises(BodyError):
        form_fields("multipart/form-data", body)
