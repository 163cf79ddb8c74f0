"""A small HTTP/1.1 server around a dialect's REST: GET and POST, keep-alive, bounded in bytes, time and connections.

The fields of a JSON body are parameters like those of a query, fields of fields among them.
"""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from wsadapter.embedded.market.rest import Query, RestReply

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_BODY_BYTES: Final = 16 * 1024
MAX_CONNECTIONS: Final = 64
IDLE_SECONDS: Final = 60.0
_content_length: Final = re.compile(rb"\r\ncontent-length: *([0-9]{1,9})\r\n", re.IGNORECASE).search


class RestServer:
    """``answer``: path and parameters to a reply, called on the loop."""

    def __init__(self, answer: Callable[[str, Query], RestReply]) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.delay = 0.0
        """Seconds that each answer takes."""

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that it became."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_HEAD_BYTES)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while len(self._open) <= MAX_CONNECTIONS:
                async with asyncio.timeout(IDLE_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                    body = await reader.readexactly(_length(head))
                    if self.delay:
                        await asyncio.sleep(self.delay)
                    reply, last = self._reply(head, body)
                    writer.write(_encoded(reply))
                    await writer.drain()
                if last:
                    break
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # its client is gone, silent or no client of ours: nobody to tell
        finally:
            self._open.discard(writer)
            writer.close()

    def _reply(self, head: bytes, body: bytes) -> tuple[RestReply, bool]:
        request, _, fields = head.decode("latin-1").partition("\r\n")
        parts = request.split(" ")
        if len(parts) != 3 or parts[0] != ("POST" if body else "GET"):
            return RestReply(HTTPStatus.BAD_REQUEST, b""), True
        url = urlsplit(parts[1])
        try:
            query = {**dict(parse_qsl(url.query)), **parameters(body)}
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return RestReply(HTTPStatus.BAD_REQUEST, b""), True
        reply = self._answer(url.path, query)
        return reply, "connection: close" in fields.lower()


def _length(head: bytes) -> int:
    """Of the body that follows; one that is too long is not read, and its client is none of ours."""
    found = _content_length(head)
    length = int(found[1]) if found else 0
    if length > MAX_BODY_BYTES:
        raise ConnectionError("too long a body")
    return length


def parameters(body: bytes) -> dict[str, str]:
    """Of a JSON object; raises msgspec's errors."""
    document = msgspec.json.decode(body, type=dict[str, Any]) if body else {}
    inner = [value for value in document.values() if isinstance(value, dict)]
    return {name: str(value) for each in (document, *inner) for name, value in each.items()}


def _encoded(reply: RestReply) -> bytes:
    headers = (("Content-Type", "application/json"), ("Content-Length", str(len(reply.body))), *reply.headers)
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}", *(f"{k}: {v}" for k, v in headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body
