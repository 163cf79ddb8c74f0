"""A small HTTP server for a handful of read-only pages: bounded in connections, time and bytes.

It runs on the role's own asyncio loop, so a hung role does not answer. Whoever only holds a socket costs nothing but
that socket: of more than `IDLE_PER_SLOT` times the limit the one that has been silent for longest is cut. A slot is
taken when a request is complete; when all are taken (by clients that do not read) the answer is 503, but what a probe
asks (``vital``) is answered always: idle or slow clients must not make a healthy process look dead. A client that is
slow to ask or to read is cut at the deadline.

GET and HEAD only, kept alive, gzip for who takes it. Bound to loopback it answers to names of loopback alone, and
nowhere to pages of another origin: a web site must not read what runs on its visitor's machine (DNS rebinding).
"""

import asyncio
import gzip
import ipaddress
from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from msgspec import Struct

MAX_HEAD_BYTES: Final = 8192
IDLE_PER_SLOT: Final = 16
KEEP_ALIVE_SECONDS: Final = 30.0
GZIP_BYTES: Final = 1024
"""Less is not worth it."""
PLAIN: Final = "text/plain; charset=utf-8"


class Response(Struct, frozen=True):
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


Route = Callable[[], Response]
Question = Callable[[Mapping[str, str]], Awaitable[Response]]
"""What answers a path that is asked with parameters, and may take its time."""
MOST_PARAMETERS: Final = 16


class Request(Struct, frozen=True):
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    keep_alive: bool
    query: Mapping[str, str] = {}


class Connection(Struct):
    task: asyncio.Task[None] | None
    answering: bool = False


class HttpServer:
    """``routes``: path -> what answers it, called on the loop and expected to take milliseconds; ``questions``: what is
    waited for, as long as for a slow client. ``vital``: paths that are answered above ``max_connections``."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        max_connections: int = 32,
        timeout: float = 5.0,
        vital: Collection[str] = ("/livez", "/healthz"),
        questions: Mapping[str, Question] = MappingProxyType({}),
    ) -> None:
        self._routes, self._questions, self._vital = routes, questions, vital
        self._max_connections = max_connections
        self._timeout = timeout
        self._open: dict[asyncio.StreamWriter, Connection] = {}
        """The one that was silent for longest comes first."""
        self._server: asyncio.Server | None = None
        self._on_loopback = True
        self.requests = 0
        self.refused = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; OSError when the address is not ours to take."""
        self._on_loopback = _names_loopback(host)
        self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_HEAD_BYTES, backlog=128)

    @property
    def port(self) -> int:
        assert self._server is not None
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    @property
    def open(self) -> int:
        """Connections, idle ones included."""
        return len(self._open)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        if tasks := [connection.task for connection in self._open.values() if connection.task is not None]:
            await asyncio.wait(tasks, timeout=self._timeout)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= IDLE_PER_SLOT * self._max_connections:
            longest = next((one for one, connection in self._open.items() if not connection.answering), writer)
            longest.transport.abort()
        connection = self._open[writer] = Connection(asyncio.current_task())
        try:
            await self._converse(reader, writer, connection)
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # its client is gone or too slow: nobody to tell
        finally:
            writer.transport.abort()
            del self._open[writer]

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection
    ) -> None:
        patience = self._timeout
        while True:
            async with asyncio.timeout(patience):
                head = await _read_head(reader)
            connection.answering = True
            async with asyncio.timeout(self._timeout):
                goes_on = await self._answer(writer, head)
            connection.answering = False
            self._open[writer] = self._open.pop(writer)  # it was silent for the shortest time
            if not goes_on:
                break
            patience = max(self._timeout, KEEP_ALIVE_SECONDS)
        # closing with unread bytes would reset the connection and take our answer with it
        writer.write_eof()
        async with asyncio.timeout(self._timeout):
            while await reader.read(MAX_HEAD_BYTES):
                pass

    async def _answer(self, writer: asyncio.StreamWriter, head: bytes) -> bool:
        """Whether the client may ask again on this connection."""
        if not head:
            response = text(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers too large")
            await _send(writer, response, Request("", "", {}, False))
            return False
        request = _parse(head)
        if request is None:
            await _send(writer, text(HTTPStatus.BAD_REQUEST, "bad request"), Request("", "", {}, False))
            return False
        refusal = self._refusal(request)
        if refusal is None:
            self.requests += 1
        response = refusal or await self._response(request)
        await _send(writer, response, request)
        return request.keep_alive

    async def _response(self, request: Request) -> Response:
        if (question := self._questions.get(request.path)) is not None:
            return await question(request.query)
        return self._routes[request.path]()

    def _refusal(self, request: Request) -> Response | None:
        if request.path not in self._vital:
            # this one counts itself
            if sum(connection.answering for connection in self._open.values()) > self._max_connections:
                self.refused += 1
                return text(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
            if foreign := self._foreign(request):
                self.refused += 1
                return text(HTTPStatus.FORBIDDEN, foreign)
        if request.path not in self._routes and request.path not in self._questions:
            return text(HTTPStatus.NOT_FOUND, "not found")
        if request.method not in ("GET", "HEAD"):
            refusal = text(HTTPStatus.METHOD_NOT_ALLOWED, "GET only")
            return Response(refusal.status, refusal.content_type, refusal.body, (("Allow", "GET, HEAD"),))
        return None

    def _foreign(self, request: Request) -> str:
        """Why a browser must not have the answer; empty when it may."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin", "")
        if self._on_loopback and host and not _names_loopback(_without_port(host)):
            return "this server is bound to loopback: ask for localhost or 127.0.0.1"
        if origin and origin.partition("://")[2].lower() != host.lower():
            return "pages of another origin are not answered"
        return ""


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    """A request without its body; empty when it is too long."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return b""


def _parse(head: bytes) -> Request | None:
    """None where it is no request."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        return None
    method, target, version = parts
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if target.startswith(("http://", "https://")):  # the absolute form: its authority counts (RFC 9112, 3.2.2)
        headers["host"], _, path = target.partition("://")[2].partition("/")
        target = f"/{path}"
    if not target.startswith("/"):
        return None
    # what follows a body that we do not read is no request
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    closes = "close" in headers.get("connection", "").lower()
    path, _, query = target.partition("?")
    try:
        parameters = dict(parse_qsl(query, max_num_fields=MOST_PARAMETERS))
    except ValueError:  # too many
        return None
    return Request(method, path, headers, version == "HTTP/1.1" and not closes and not has_body, parameters)


def _without_port(host: str) -> str:
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _names_loopback(host: str) -> bool:
    name = host.lower().rstrip(".")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def text(status: int, message: str) -> Response:
    return Response(status, PLAIN, message.encode() + b"\n")


def _send(writer: asyncio.StreamWriter, response: Response, request: Request) -> Awaitable[None]:
    body = response.body
    encoding: tuple[tuple[str, str], ...] = ()
    if len(body) >= GZIP_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        body, encoding = gzip.compress(body, compresslevel=1), (("Content-Encoding", "gzip"),)
    headers = (
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(body))),
        *encoding,
        ("Vary", "Accept-Encoding"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Connection", "keep-alive" if request.keep_alive else "close"),
        *response.headers,
    )
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}", *(f"{k}: {v}" for k, v in headers)]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if request.method == "HEAD" else body))
    return writer.drain()
