"""ClickHouse's HTTP interface, as much of it as clickhouse-connect and curl use, over `engine`.

    GET  /ping                       Ok.
    GET  /?query=SELECT+1            read only, as in ClickHouse
    POST /?query=...&setting=value   the body follows the statement; or the body is the statement

Parameters of the URL: ``query database default_format session_id query_id user password param_<name>``; every other one
is a setting. Answers carry ``X-ClickHouse-Summary -Query-Id -Format -Timezone``, errors ``-Exception-Code`` and the
text ``Code: N. DB::Exception: ...``. Not here: external data, ClickHouse's own block compression, progress headers.
"""

import base64
import binascii
import hmac
import json
import re
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from wsadapter.config.types import loopback
from wsadapter.embedded.clickhouse.connections import Connections
from wsadapter.embedded.clickhouse.engine import (
    NOT_IMPLEMENTED,
    TOO_MANY_QUERIES,
    Engine,
    EngineRequest,
    QueryError,
    QueryResult,
)
from wsadapter.embedded.clickhouse.http_body import BodyError, compress, form_fields, read_body
from wsadapter.embedded.ports import LOOPBACK

IDLE_SECONDS: Final = 60.0
MIN_COMPRESSED_BYTES: Final = 1024
AUTHENTICATION_FAILED: Final = 516
PLAIN: Final = "text/plain; charset=UTF-8"

NOT_SETTINGS: Final = frozenset(
    (
        *("query", "database", "default_format", "user", "password", "quota_key", "query_id", "role", "stacktrace"),
        *("session_id", "session_timeout", "session_check", "close_session", "wait_end_of_query", "buffer_size"),
        *("compress", "decompress", "client_protocol_version"),
    )
)

_STATUS: Final = {
    **dict.fromkeys((6, 26, 27, 32, 36, 38, 41, 53, 62, 69, 72, 117, 386, 444, 456, 457), 400),
    **dict.fromkeys((46, 47, 50, 60, 81, 82, 115), 404),
    **dict.fromkeys((194, 193), 401),
    **dict.fromkeys((AUTHENTICATION_FAILED, 164, 497), 403),
    159: 408,
    NOT_IMPLEMENTED: 501,
    TOO_MANY_QUERIES: 503,
}
_CONTENT_TYPES: Final = {
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    **dict.fromkeys(("Native", "RowBinary", "Arrow", "ArrowStream", "Parquet", "Protobuf"), "application/octet-stream"),
}


class HttpEndpoint:
    """What all connections share. ``password`` empty: anybody may ask, on loopback."""

    def __init__(self, engine: Engine, connections: Connections, password: str) -> None:
        self.engine = engine
        self.connections = connections
        self.password = password


class Handler(BaseHTTPRequestHandler):
    """One connection, in a thread of its own."""

    protocol_version = "HTTP/1.1"
    server_version = "wsadapter-chdb"
    timeout = IDLE_SECONDS
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Any
    """The `HttpEndpoint`."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path in ("/ping", "/replicas_status"):
            self._send(HTTPStatus.OK, b"Ok.\n", {"Content-Type": PLAIN})
        else:
            self._query(path)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._query(urlsplit(self.path).path)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are counted, not logged: a statement may hold a secret."""

    def _query(self, path: str) -> None:
        endpoint: HttpEndpoint = self.server
        query_id = ""
        endpoint.connections.busy(self.connection)
        try:
            if self._from_a_page():
                raise BodyError(403, "not for web pages")
            if path not in ("/", ""):
                raise BodyError(404, f"There is no handle {path}")
            parameters = self._parameters()
            body = read_body(self._header, self.rfile) if self.command == "POST" else b""
            query_id = parameters.get("query_id") or str(uuid.uuid4())
            self._authenticate(parameters, endpoint.password)
            request = self._request(parameters, body)
            if not request.statement.strip():
                self._send(HTTPStatus.OK, b"Ok.\n", {"Content-Type": PLAIN})
                return
            answer = endpoint.engine.run(request)
            self._send_answer(answer, query_id, parameters.get("enable_http_compression", "0") != "0")
        except BodyError as error:
            self.close_connection = True  # what is left of the body would be read as the next request
            self._send(error.status, f"{error}\n".encode(), {"Content-Type": PLAIN})
        except QueryError as error:
            self._send_error(error, query_id)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            endpoint.connections.idle(self.connection)
            if endpoint.connections.closing:
                self.close_connection = True

    def _header(self, name: str) -> str:
        return self.headers.get(name) or ""

    def _from_a_page(self) -> bool:
        """A browser was led here by a page of another site, by its script or by a name that resolves to loopback; the
        engine reads every file that its user may read."""
        host = urlsplit(f"//{self._header('Host') or LOOPBACK}").hostname or ""
        return not loopback(host) or bool(self._header("Origin"))

    def _parameters(self) -> dict[str, str]:
        query = urlsplit(self.path).query
        return dict(parse_qsl(query, keep_blank_values=True, errors="surrogateescape", max_num_fields=10_000))

    def _request(self, parameters: dict[str, str], body: bytes) -> EngineRequest:
        content_type = self._header("Content-Type")
        if content_type.startswith("multipart/form-data"):
            fields = form_fields(content_type, body)
            parameters = {**parameters, **{name: _text(value) for name, value in fields.items()}}
            body = b""
        if parameters.get("compress", "0") != "0" or parameters.get("decompress", "0") != "0":
            raise QueryError(NOT_IMPLEMENTED, "ClickHouse block compression is not supported here, use HTTP's own")
        statement = parameters.get("query", "").encode(errors="surrogateescape")
        return EngineRequest(
            statement=statement + b"\n" + body if statement and body else statement or body,
            settings={n: v for n, v in parameters.items() if n not in NOT_SETTINGS and not n.startswith("param_")},
            parameters={n[6:]: v for n, v in parameters.items() if n.startswith("param_")},
            database=parameters.get("database") or self._header("X-ClickHouse-Database"),
            default_format=parameters.get("default_format") or self._header("X-ClickHouse-Format") or "TabSeparated",
            session=parameters.get("session_id", ""),
            readonly=self.command != "POST",
        )

    def _authenticate(self, parameters: Mapping[str, str], password: str) -> None:
        if not password:
            return
        given = self._header("X-ClickHouse-Key") or parameters.get("password", "")
        scheme, _, credentials = self._header("Authorization").partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(credentials, validate=True).decode(errors="replace").partition(":")[2]
            except binascii.Error:
                given = ""
        if not hmac.compare_digest(given.encode(errors="surrogateescape"), password.encode()):
            raise QueryError(AUTHENTICATION_FAILED, "Authentication failed: password is incorrect")

    def _send_answer(self, answer: QueryResult, query_id: str, compressed: bool) -> None:
        headers = {
            "Content-Type": _CONTENT_TYPES.get(answer.format, PLAIN),
            "X-ClickHouse-Summary": _summary(answer),
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Timezone": self.server.engine.timezone,
        }
        if answer.format:
            headers["X-ClickHouse-Format"] = answer.format
        body = answer.body
        if compressed and len(body) >= MIN_COMPRESSED_BYTES:
            body, coding = compress(body, self._header("Accept-Encoding"))
            if coding:
                headers["Content-Encoding"] = coding
        self._send(HTTPStatus.OK, body, headers)

    def _send_error(self, error: QueryError, query_id: str) -> None:
        message = str(error).strip()
        if "(version " not in message:
            message += f" (version {self.server.engine.version})"
        body = f"Code: {error.code}. DB::Exception: {message}\n".encode(errors="surrogateescape")
        headers = {"X-ClickHouse-Exception-Code": str(error.code), "X-ClickHouse-Query-Id": query_id}
        self._send(_STATUS.get(error.code, 500), body, {"Content-Type": PLAIN, **headers})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        if self.server.connections.closing:
            self.close_connection = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, re.sub(r"[^\x20-\x7e]", "?", value))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")


def _summary(answer: QueryResult) -> str:
    values = {
        "read_rows": answer.read_rows,
        "read_bytes": answer.read_bytes,
        "written_rows": answer.written_rows,
        "written_bytes": answer.written_bytes,
        "total_rows_to_read": 0,
        "result_rows": answer.result_rows or answer.written_rows,
        "result_bytes": len(answer.body) or answer.written_bytes,
        "elapsed_ns": int(answer.elapsed * 1e9),
    }
    return json.dumps({name: str(value) for name, value in values.items()}, separators=(",", ":"))
