"""An HTTP proxy in front of a ClickHouse engine that breaks as it is told."""

import http.client
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit


class HttpProxy:
    """``with HttpProxy(url) as proxy``; other code is given `url`. ``loses``: so many answers to inserts are not given
    after the server has given them; ``status``: answered instead of asking the server. ``request``, ``answer``: what
    becomes of their bodies."""

    def __init__(
        self, target: str, request: Callable[[bytes], bytes] = bytes, answer: Callable[[bytes], bytes] = bytes
    ) -> None:
        self._request, self._answered = request, answer
        self.target, self.loses, self.status = urlsplit(target).netloc, 0, 0
        self.asked: list[str] = []
        """Method, path and query of each request."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy._answer(self)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._handler, self._port = Handler, 0
        self._server: ThreadingHTTPServer | None = None
        self._open: set[Any] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuses connections from here on, and closes those that are open."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for each in list(self._open):
            each.close_connection = True
            _close(each)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self._open.add(request)
        self.asked.append(f"{request.command} {request.path}")
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if self.status:
            status, headers, answer = self.status, {}, b"the proxy has no server\n"
        else:
            server = http.client.HTTPConnection(self.target, timeout=30)
            named = {name: text for name, text in request.headers.items() if name.lower() != "content-length"}
            server.request(request.command, request.path, self._request(body), named)
            given = server.getresponse()
            status, headers, answer = given.status, dict(given.getheaders()), self._answered(given.read())
            server.close()
        if self.loses and "insert_deduplication_token" in request.path:
            self.loses -= 1
            request.close_connection = True
            _close(request)
            return
        request.send_response_only(status)
        for name, text in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                request.send_header(name, text)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)


def _close(request: BaseHTTPRequestHandler) -> None:
    with suppress(OSError):  # it is closed
        request.connection.shutdown(2)
