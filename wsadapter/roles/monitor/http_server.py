"""A small HTTP server for a handful of read-only pages: bounded in connections, time and bytes, one request each.

It runs on the role's own asyncio loop, so a hung role does not answer. More connections than the limit are answered
503, and more than twice as many are closed at once; a client that is slow to ask or to read is cut at the deadline.
What a probe asks (``vital``) is answered between the two limits, too: idle clients must not make a healthy process look
dead. GET and HEAD only.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from typing import Final

from msgspec import Struct

MAX_HEAD_BYTES: Final = 8192
PLAIN: Final = "text/plain; charset=utf-8"


class Response(Struct, frozen=True):
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


Route = Callable[[], Response]


class HttpServer:
    """``routes``: path -> what answers it, called on the loop and expected to take milliseconds. ``vital``: paths that
    are answered above ``max_connections``."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        max_connections: int = 32,
        timeout: float = 5.0,
        vital: Collection[str] = ("/livez",),
    ) -> None:
        self._routes, self._vital = routes, vital
        self._max_connections = max_connections
        self._timeout = timeout
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._server: asyncio.Server | None = None
        self.requests = 0
        self.refused = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; OSError when the address is not ours to take."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_HEAD_BYTES, backlog=64)

    @property
    def port(self) -> int:
        assert self._server is not None
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    @property
    def open(self) -> int:
        """Connections being served or refused."""
        return len(self._open)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        if tasks := [task for task in self._open.values() if task is not None]:
            await asyncio.wait(tasks, timeout=self._timeout)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ahead = len(self._open)
        self._open[writer] = asyncio.current_task()
        try:
            # those that are answered 503 are bounded, too
            if ahead < 2 * self._max_connections:
                async with asyncio.timeout(self._timeout):
                    await self._converse(reader, writer, full=ahead >= self._max_connections)
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # its client is gone or too slow: nobody to tell
        finally:
            writer.transport.abort()
            del self._open[writer]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, full: bool) -> None:
        await self._answer(reader, writer, full)
        # closing with unread bytes would reset the connection and take our answer with it
        writer.write_eof()
        while await reader.read(MAX_HEAD_BYTES):
            pass

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, full: bool) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            await _send(writer, text(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers too large"), head=False)
            return
        method, path, response = self._parse(head)
        if full and path not in self._vital:
            self.refused += 1
            response = text(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
        else:
            self.requests += 1
            response = response or self._routes[path]()
        await _send(writer, response, head=method == "HEAD")

    def _parse(self, head: bytes) -> tuple[str, str, Response | None]:
        """Method, path, and the refusal where no route answers it."""
        parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].startswith("/"):
            return "", "", text(HTTPStatus.BAD_REQUEST, "bad request")
        method, path = parts[0], parts[1].partition("?")[0]
        if path not in self._routes:
            return method, path, text(HTTPStatus.NOT_FOUND, "not found")
        if method not in ("GET", "HEAD"):
            refusal = text(HTTPStatus.METHOD_NOT_ALLOWED, "GET only")
            allowed = Response(refusal.status, refusal.content_type, refusal.body, (("Allow", "GET, HEAD"),))
            return method, path, allowed
        return method, path, None


def text(status: int, message: str) -> Response:
    return Response(status, PLAIN, message.encode() + b"\n")


def _send(writer: asyncio.StreamWriter, response: Response, head: bool) -> Awaitable[None]:
    headers = (
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(response.body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Connection", "close"),
        *response.headers,
    )
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}", *(f"{k}: {v}" for k, v in headers)]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else response.body))
    return writer.drain()
