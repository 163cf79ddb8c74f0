"""An HTTPS server that answers as ClickHouse does at a connect, and wants a client certificate."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

VERSION = b"26.9.1.1\tUTC\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    headers: Mapping[str, str] = {}
    """Of the last request."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that we refuse


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.headers = dict(self.headers)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(VERSION if b"version()" in query else b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def tls_server(certificate: Path, key: Path, client_ca: Path) -> Iterator[_Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
