"""One HTTP GET or POST, and what may be wrong: verified TLS, no redirects, bounded in time and bytes, no retries.

Blocking; its caller has a thread for it. Connections are kept alive. Guarantee: `ask` returns an `RestResponse` or
raises `Unreachable`, within `TOTAL_SECONDS` and one read timeout, and holds at most `MAX_BODY_BYTES`.
"""

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import urllib3
from msgspec import Struct
from urllib3.exceptions import HTTPError

from wsadapter import __version__, announced_wait
from wsadapter.errors import WsadapterError
from wsadapter.exchanges.rest_api import Request
from wsadapter.text import printable

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0
TOTAL_SECONDS: Final = 30.0
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Everything that a venue trades is some 2 MB."""
CHUNK: Final = 64 * 1024


class Unreachable(WsadapterError):
    """No answer, or not a whole one."""


class RestResponse(Struct, frozen=True):
    """``used``: weight of the current minute, ``retry_after``: seconds that the headers announce; None where the host
    does not say. ``host_clock``: its time, seconds since the epoch; ``dated_ns``: that of the answer, 0: it does
    not say."""

    status: int
    body: bytes
    used: int | None
    retry_after: float | None
    received_ns: int
    host_clock: float
    dated_ns: int = 0


class RestClient:
    """The transport to one host. For one thread."""

    def __init__(
        self, base: str, weight_header: str, reset_header: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        self._weight_header, self._reset_header = weight_header, reset_header
        self._path = urllib3.util.parse_url(base).path or ""
        self._pool = urllib3.connection_from_url(
            base,
            maxsize=1,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            headers={"User-Agent": f"wsadapter/{__version__}", "Accept-Encoding": "identity", **(headers or {})},
        )

    def ask(self, request: Request) -> RestResponse:
        query = f"?{urlencode(request.query)}" if request.query else ""
        until = time.monotonic() + TOTAL_SECONDS
        try:
            response = self._pool.urlopen(
                "POST" if request.body else "GET",
                f"{self._path}{request.path}{query}",
                body=request.body or None,
                headers={**self._pool.headers, **({"Content-Type": "application/json"} if request.body else {})},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                body = _read(response, until)
            except BaseException:
                response.close()  # what is left of it must not be taken for the next answer
                raise
            response.release_conn()
        except (HTTPError, OSError, ValueError) as error:
            raise Unreachable(f"{request.path}: {type(error).__name__}: {printable(str(error), 200)}") from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        used = headers.get(self._weight_header, "") if self._weight_header else ""
        received_ns = time.time_ns()
        clock = announced_wait.host_clock(headers, received_ns / 1e9)
        wait = announced_wait.of_headers(headers, self._reset_header, clock)
        dated_ns = round((announced_wait.host_date(headers) or 0.0) * 1e9)
        return RestResponse(response.status, body, announced_wait.number(used), wait, received_ns, clock, dated_ns)

    def close(self) -> None:
        self._pool.close()


def _read(response: urllib3.BaseHTTPResponse, until: float) -> bytes:
    """As it comes in: a read of a whole chunk would wait for a host that trickles."""
    parts: list[bytes] = []
    size = 0
    while part := response.read1(CHUNK, decode_content=False):
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise ValueError(f"more than {MAX_BODY_BYTES} bytes")
        if time.monotonic() > until:
            raise ValueError(f"not all there after {TOTAL_SECONDS:.0f} s")
        parts.append(part)
    return b"".join(parts)
