"""chDB, the ClickHouse engine, opened on one directory by this process.

Guarantees: one engine a directory and process; every request has a connection of its own, so settings, parameters and
the current database never leak from one into another (a session keeps its connection); the bytes of an INSERT reach
the engine untouched. Errors are `QueryError` with ClickHouse's code. Requests run concurrently, at most
`MAX_QUERIES` at a time.

chDB is imported when the engine opens: the import starts the engine's threads and costs 230 MB of mapped library.
"""

import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from wsadapter.embedded.clickhouse.sessions import Sessions
from wsadapter.embedded.clickhouse.statement import Insert, UnsupportedInsert, insert_with_data, output_format
from wsadapter.errors import ServiceUnavailable

MAX_QUERIES: Final = 8
QUEUE_SECONDS: Final = 60.0
MAX_RESULT_BYTES: Final = 1 << 30
"""An answer is held in memory: a larger one is refused (code 396)."""
SYNTAX_ERROR: Final = 62
NOT_IMPLEMENTED: Final = 48
UNKNOWN_SETTING: Final = 115
TOO_MANY_QUERIES: Final = 202
SESSION_IS_LOCKED: Final = 373
OTHER_ERROR: Final = 1001

_CODE = re.compile(r"Code: (\d+)\. ")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class QueryError(Exception):
    """What ClickHouse answers with ``code``."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class EngineRequest(Struct, frozen=True):
    """One statement, with the data of an INSERT behind it."""

    statement: bytes
    settings: Mapping[str, str] = {}
    parameters: Mapping[str, str] = {}
    database: str = ""
    default_format: str = "TabSeparated"
    session: str = ""
    readonly: bool = False


class QueryResult(Struct, frozen=True):
    """``format`` is empty when the statement gives no result."""

    body: bytes
    format: str
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int
    result_rows: int
    elapsed: float


class Engine:
    """Open for the life of the process: chDB does not open a second directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # chDB writes inline schemas to a folder below the working directory, whatever its own path is
        os.chdir(directory)
        try:
            from chdb import _chdb
        except ImportError as error:
            raise ServiceUnavailable(f"chDB is missing ({error}): install wsadapter[embedded]") from None
        self._chdb: Any = _chdb
        try:
            self._anchor = self._connect()  # held open: the engine ends with its last connection
        except RuntimeError as error:
            raise ServiceUnavailable(f"chDB cannot open {directory}: {error}") from None
        self._places = threading.BoundedSemaphore(MAX_QUERIES)
        self._sessions = Sessions(self._connect)
        self.timezone, self.version = self._ask("SELECT timezone(), version()").rstrip("\n").split("\t")

    def check(self) -> None:
        """One small query on the engine's own connection."""
        self._ask("SELECT 1")

    def run(self, request: EngineRequest) -> QueryResult:
        """Execute; `QueryError` for everything that ClickHouse has a code for."""
        try:
            insert = insert_with_data(request.statement)
        except UnsupportedInsert as error:
            raise QueryError(NOT_IMPLEMENTED, str(error)) from None
        if not self._places.acquire(timeout=QUEUE_SECONDS):
            raise QueryError(TOO_MANY_QUERIES, f"Too many simultaneous queries. Maximum: {MAX_QUERIES}")
        try:
            # readonly cannot be taken back from a connection, so such a request gets one of its own
            session = "" if _is_readonly(request) else request.session
            with self._sessions.connection(session) as connection:
                if connection is None:
                    raise QueryError(SESSION_IS_LOCKED, f"Session {session} is locked by a concurrent client")
                return self._run_on(connection, request, insert, keep=bool(session))
        except RuntimeError as error:
            raise self._query_error(error) from None
        finally:
            self._places.release()

    def cancel(self) -> None:
        """Have every running query end with an error, soon."""
        self._anchor.query("KILL QUERY WHERE query_id != queryID() ASYNC", "Null")

    def close(self) -> None:
        """Nothing may be running any more: the engine crashes otherwise."""
        self._sessions.close()
        self._anchor.close()

    def _connect(self) -> Any:
        return self._chdb.connect(str(self._directory))

    def _ask(self, statement: str) -> str:
        answer: bytes = self._anchor.query(statement, "TabSeparated").bytes()
        return answer.decode()

    def _run_on(self, connection: Any, request: EngineRequest, insert: Insert | None, keep: bool) -> QueryResult:
        settings = _settings(request)
        if request.database:
            connection.query("USE `{}`".format(request.database.replace("\\", "\\\\").replace("`", "\\`")))
        _set(connection, {name: _quoted(value) for name, value in settings.items()})
        try:
            if insert is not None:
                return _insert(connection, insert, request.statement)
            return self._query(connection, request)
        finally:
            if keep:  # the settings of a request are not the session's
                _set(connection, dict.fromkeys(settings, "DEFAULT"))

    def _query(self, connection: Any, request: EngineRequest) -> QueryResult:
        kind = connection.classify_query(request.statement)
        if kind["statement_count"] > 1:
            # chDB would run them all; a ClickHouse server refuses
            raise QueryError(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
        result = connection.query(request.statement, request.default_format)
        has_result = kind["query_class"] == self._chdb.query_class.READ_ONLY
        given = output_format(request.statement, request.default_format) if has_result else ""
        return _answer(result, result.bytes(), given)

    def _query_error(self, error: RuntimeError) -> QueryError:
        text = str(error)
        match = _CODE.search(text)
        if match is None:
            return QueryError(OTHER_ERROR, text)
        message = _CODE.sub("", text[match.end() :]).replace("DB::Exception: ", "")
        return QueryError(int(match[1]), message)


def _insert(connection: Any, insert: Insert, statement: bytes) -> QueryResult:
    """Read the data from a file in memory: it is binary, and `query` would look for the next statement in it. chDB's
    streaming insert would do too, but it says nothing of what fails at the end (252 and 395 stored no row and were
    answered with success)."""
    data = os.memfd_create("insert", os.MFD_CLOEXEC)
    try:
        rest = memoryview(statement)[insert.data :]
        while rest:
            rest = rest[os.write(data, rest) :]
        return _answer(connection.query(insert.reading(f"/proc/self/fd/{data}")), b"", "")
    finally:
        os.close(data)


def _answer(result: Any, body: bytes, given: str) -> QueryResult:
    return QueryResult(
        body=body,
        format=given,
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        result_rows=result.rows_read(),
        elapsed=result.elapsed(),
    )


def _is_readonly(request: EngineRequest) -> bool:
    return request.readonly or request.settings.get("readonly", "0") != "0"


def _settings(request: EngineRequest) -> dict[str, str]:
    """Settings and parameters in the order to set them: readonly last, since it forbids the rest."""
    settings = {"max_result_bytes": str(MAX_RESULT_BYTES), **request.settings}
    settings.update({f"param_{name}": value for name, value in request.parameters.items()})
    readonly = settings.pop("readonly", "0")
    if _is_readonly(request):
        settings["readonly"] = readonly if readonly != "0" else "2"
    return settings


def _set(connection: Any, values: Mapping[str, str]) -> None:
    for name in values:
        if not _NAME.fullmatch(name):
            raise QueryError(UNKNOWN_SETTING, f"Unknown setting {name!r}")
    statement = "SET " + ", ".join(f"{name} = {value}" for name, value in values.items())
    connection.query(statement.encode(errors="surrogateescape"))


def _quoted(value: str) -> str:
    return "'{}'".format(value.replace("\\", "\\\\").replace("'", "\\'"))
