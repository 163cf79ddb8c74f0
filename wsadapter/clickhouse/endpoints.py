"""The addresses of one ClickHouse (``clickhouse.url``): which of them is asked, and when another one is.

One rule for every client of a process, below the driver. The first endpoint is asked; one that cannot be reached, does
not answer or answers 5xx is left for the next one, with the same bytes: an insert keeps its token, so that a batch
whose answer was lost is known where the tables are shared. Repeated is only what may be: a query, an insert with a
token, and whatever was not sent at all. Anything else is the caller's to repeat; the next request goes elsewhere.

Every `RETURN_SECONDS` an endpoint that stands before the one in use is asked again, and used when it answers.

Guarantees: an endpoint that is not known to have the very tables of the one that was used before it (the same server,
or replicas of one another with the same views, by which tokens go) is never used: `Reason.FOREIGN`, by name. Where no
other one has answered yet, there is nothing to compare with.
"""

import functools
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from clickhouse_connect.driver.httputil import default_pool_manager, get_pool_manager
from msgspec import Struct
from urllib3 import HTTPResponse, Timeout
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError

from wsadapter.clickhouse.conversion import literal
from wsadapter.clickhouse.errors import is_about_content, reason_of
from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import Reason
from wsadapter.log import get_logger
from wsadapter.text import first_line

RETURN_SECONDS: Final = 30.0
"""After so long at most an endpoint that answers again is used again, if it stands before the one in use."""
FAILED_SECONDS: Final = 5.0
"""An endpoint that failed so recently is asked after the others."""
LOOK_SECONDS: Final = 5.0
"""How often it is looked what tables the endpoint in use has, at most: what makes them another one has done soon."""
_PING: Final = Timeout(connect=2.0, read=2.0)
_ASK: Final = Timeout(connect=5.0, read=10.0)
_NO_UUID: Final = "00000000-0000-0000-0000-000000000000"
"""Of an engine that is no server (chDB)."""
_QUERY: Final = re.compile(rb"\s*(?:SELECT|WITH|SHOW|EXISTS|DESC|DESCRIBE|EXPLAIN)\b", re.IGNORECASE)
_EXCEPTION_CODE: Final = "X-ClickHouse-Exception-Code"

log = get_logger()
_asked = threading.local()


def unanswered() -> int:
    """Requests of this thread that had no answer. A client repeats some by itself, here and in the driver: who sent an
    insert learns by this that it was sent more than once."""
    return int(getattr(_asked, "unanswered", 0))


class Found(Struct, frozen=True):
    """What an endpoint has: the server, and of our databases (name, engine, UUID, path in Keeper) of each table that
    keeps rows and of each view that they go through."""

    server: str
    tables: tuple[tuple[str, str, str, str], ...] = ()

    def shares(self, other: "Found") -> str:
        """Empty where ``other`` has the same tables; else what it is that differs."""
        mine = {name: (uuid, path) for name, _, uuid, path in self.tables}
        theirs = {name: (uuid, path) for name, _, uuid, path in other.tables}
        common = mine.keys() & theirs.keys()
        is_named = self.server == other.server != _NO_UUID
        if is_named or (common and self.server == other.server and all(mine[name] == theirs[name] for name in common)):
            return ""
        if not other.tables:
            return "another server, which has no tables of ours"
        for name, engine, uuid, path in other.tables:
            if not engine.startswith(("Replicated", "Shared", "Materialized")):
                return f"another server, whose table {name} is not replicated ({engine})"
            if engine == "MaterializedView" and name in common and mine[name][0] != uuid:
                return f"another server, where view {name} is another: it was not made with ON CLUSTER"
            if name in common and not name.endswith("_local") and mine[name][1] != path:
                return f"another server, whose table {name} is a replica of another one ({path})"
        return ""


class Failure(Struct, frozen=True):
    reason: Reason
    detail: str


class State(Struct):
    """Of one endpoint. ``reason``: None while nothing is known against it."""

    url: str
    reason: Reason | None = None
    detail: str = ""
    failed_at: float = -1e9
    found: Found | None = None
    looked_at: float = -1e9

    @property
    def name(self) -> str:
        """As labels have it."""
        return self.url.partition("://")[2]

    def sentence(self) -> str:
        return (self.reason or Reason.UNKNOWN).sentence(f"ClickHouse at {self.url}", self.detail)


class Endpoints:
    """What the driver takes for its pool of connections. Threads share it."""

    def __init__(self, urls: tuple[str, ...], database: str, pool: Any) -> None:
        self.states = [State(url) for url in urls]
        self._database, self._pool = database, pool
        self._current = 0
        self._lock = threading.Lock()
        """Of looking at another endpoint: one thread does."""
        self._look_at = 0.0
        self._is_kept = False
        self._base = urlsplit(urls[0]).path

    @property
    def current(self) -> int:
        """Number of the endpoint in use."""
        return self._current

    def clear(self) -> None:
        self._pool.clear()

    def request(self, method: str, url: str, **kwargs: Any) -> HTTPResponse:
        """Of the driver; ``url`` is at the first endpoint."""
        if self._current and not self._is_kept and time.monotonic() >= self._look_at:
            self._return(kwargs)
        may_repeat = _may_repeat(method, url, kwargs)
        outcome: HTTPResponse | HTTPError | None = None
        for index in self._order():
            if index != self._current and not self._use(index, kwargs):
                continue
            if isinstance(outcome, HTTPResponse):
                outcome.drain_conn()
            outcome = self._ask(index, method, url, kwargs)
            if isinstance(outcome, HTTPResponse) and not _is_failure(outcome):
                self._answered(index, kwargs)
                return outcome
            if not (may_repeat or (isinstance(outcome, HTTPError) and _was_not_sent(outcome))):
                break
        assert outcome is not None  # the one in use is asked first
        if isinstance(outcome, HTTPError):
            raise outcome
        return outcome

    @contextmanager
    def kept(self) -> Iterator[None]:
        """The one in use stays it, whatever it answers: for steps that must be done on one server."""
        self._is_kept = True
        try:
            yield
        finally:
            self._is_kept = False

    def examine(self, client: Any) -> list[State]:
        """Asks all of them, and returns what is known then; `Reason.FOREIGN`: it answers and has other tables than the
        one in use. ``client``: who asks."""
        kwargs = {"headers": dict(client.headers)}
        with self._lock:
            self._look(self.states[self._current], kwargs)
            for state in self.states:
                if state is not self.states[self._current]:
                    self._is_ours(state, kwargs)
        return self.states

    def _order(self) -> Iterator[int]:
        """The one in use first, then as they stand; those that have just failed last."""
        now, current = time.monotonic(), self._current
        yield current
        if self._is_kept:
            return
        others = [index for index in range(len(self.states)) if index != current]
        yield from sorted(others, key=lambda index: now - self.states[index].failed_at < FAILED_SECONDS)

    def _ask(self, index: int, method: str, url: str, kwargs: dict[str, Any]) -> HTTPResponse | HTTPError:
        state = self.states[index]
        try:
            response: HTTPResponse = self._pool.request(method, self._moved(url, state.url), **kwargs)
        except HTTPError as error:
            _asked.unanswered = unanswered() + 1
            self._failed(state, reason_of(error), first_line(error))
            return error
        if _is_failure(response):
            _asked.unanswered = unanswered() + 1
            self._failed(state, Reason.UNKNOWN, f"HTTP status {response.status}")
        return response

    def _moved(self, url: str, to: str) -> str:
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return f"{to}{parts.path[len(self._base) :]}{query}"

    def _answered(self, index: int, kwargs: dict[str, Any]) -> None:
        state = self.states[index]
        if state.reason is not Reason.FOREIGN:
            state.reason, state.detail = None, ""
        if len(self.states) > 1 and time.monotonic() - state.looked_at >= LOOK_SECONDS and self._lock.acquire(False):
            try:
                self._look(state, kwargs)
            finally:
                self._lock.release()

    def _failed(self, state: State, reason: Reason, detail: str) -> None:
        state.reason, state.detail, state.failed_at = reason, detail, time.monotonic()

    def _use(self, index: int, kwargs: dict[str, Any]) -> bool:
        """From now on, if it has the tables."""
        with self._lock:
            before, state = self.states[self._current], self.states[index]
            if before is state:
                return True
            if not self._is_ours(state, kwargs):
                return False
            self._current, self._look_at = index, time.monotonic() + RETURN_SECONDS
        reason = "it stands before the other" if before.reason is None else before.sentence()
        log.warning("another ClickHouse endpoint is used", endpoint=state.url, instead_of=before.url, reason=reason)
        return True

    def _return(self, kwargs: dict[str, Any]) -> None:
        self._look_at = time.monotonic() + RETURN_SECONDS
        for index in range(self._current):
            state = self.states[index]
            try:
                answer = self._pool.request("GET", f"{state.url}/ping", timeout=_PING, retries=False)
            except HTTPError as error:
                self._failed(state, reason_of(error), first_line(error))
                continue
            if answer.status == 200 and self._use(index, kwargs):
                return

    def _is_ours(self, state: State, kwargs: dict[str, Any]) -> bool:
        """The lock is held."""
        known = next((other.found for other in self.states if other is not state and other.found is not None), None)
        found = self._look(state, kwargs)
        if isinstance(found, Failure):
            self._failed(state, found.reason, found.detail)
            return False
        difference = known.shares(found) if known is not None and (known.tables or found.tables) else ""
        if difference:
            state.found = None
            self._failed(state, Reason.FOREIGN, difference)
            return False
        state.reason, state.detail = None, ""
        return True

    def _look(self, state: State, kwargs: dict[str, Any]) -> Found | Failure:
        """What it has. The lock is held."""
        state.looked_at = time.monotonic()
        headers = {name: text for name, text in kwargs.get("headers", {}).items() if name.lower() != "content-encoding"}
        query = urlencode({"query": _looking(self._database)})
        try:
            answer = self._pool.request("GET", f"{state.url}/?{query}", headers=headers, timeout=_ASK, retries=False)
        except HTTPError as error:
            return Failure(reason_of(error), first_line(error))
        if answer.status != 200:
            reason = {401: Reason.AUTHENTICATION, 403: Reason.AUTHORIZATION}.get(answer.status, Reason.UNKNOWN)
            text = answer.data[:300].decode(errors="replace")
            return Failure(reason, first_line(Exception(text)) or f"HTTP status {answer.status}")
        rows = msgspec.json.Decoder(tuple[str, str, str, str, str]).decode_lines(answer.data)
        state.found = Found(rows[0][0], tuple(sorted(row[1:] for row in rows if row[1]))) if rows else Found("")
        return state.found


def _looking(database: str) -> str:
    where = f"database IN ({literal(database)}, {literal(f'{database}_inner')})"
    return (
        "SELECT toString(serverUUID()), t.name, t.engine, toString(t.uuid), r.zookeeper_path FROM (SELECT 1) AS one "
        f"LEFT JOIN (SELECT name, engine, uuid FROM system.tables WHERE {where} "
        "AND (engine LIKE '%MergeTree' OR engine = 'MaterializedView')) AS t ON 1 = 1 "
        f"LEFT JOIN (SELECT table, zookeeper_path FROM system.replicas WHERE {where}) AS r ON r.table = t.name "
        "SETTINGS join_use_nulls = 0 FORMAT JSONCompactEachRow"
    )


def _may_repeat(method: str, url: str, kwargs: dict[str, Any]) -> bool:
    """Whether it does no harm that it was done already: a query, or an insert with a token."""
    body = kwargs.get("body")
    if body is not None and not isinstance(body, bytes | bytearray | memoryview | str):
        return False  # read once
    query = urlsplit(url).query
    if method == "GET" or "insert_deduplication_token=" in query:
        return True
    text = body.encode() if isinstance(body, str) else bytes(body[:64]) if body else b""
    return bool(_QUERY.match(text)) and "query=" not in query


def _was_not_sent(error: HTTPError) -> bool:
    cause = error.reason if isinstance(error, MaxRetryError) else error
    return isinstance(cause, NewConnectionError | ConnectTimeoutError)


def _is_failure(response: HTTPResponse) -> bool:
    """5xx, unless the answer is about what was sent: that is so anywhere."""
    code = response.headers.get(_EXCEPTION_CODE, "")
    return response.status >= 500 and not (code.isdigit() and is_about_content(int(code)))


def addresses(settings: ClickHouseConfig) -> tuple[str, ...]:
    """As the driver has them, with their ports."""
    return tuple(map(_with_port, settings.url.split(",")))


def _with_port(url: str) -> str:
    parts = urlsplit(url)
    netloc = parts.netloc if parts.port else f"{parts.netloc}:{8443 if parts.scheme == 'https' else 8123}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


def of(settings: ClickHouseConfig) -> Endpoints:
    """Those of one configuration, one for all clients of the process."""
    return _of(
        addresses(settings), settings.database, settings.ca, settings.certificate, settings.key, settings.secrets_digest
    )


def in_use(settings: ClickHouseConfig) -> str:
    endpoints = of(settings)
    return endpoints.states[endpoints.current].url


@functools.cache
def _of(urls: tuple[str, ...], database: str, ca: str, certificate: str, key: str, _digest: str) -> Endpoints:
    """With a CA of the operator's own no other is trusted. Given to the driver, so that no proxy of the environment is
    looked for."""
    if not ca and not certificate:
        return Endpoints(urls, database, default_pool_manager())
    pool = get_pool_manager(ca_cert=ca or None, client_cert=certificate or None, client_cert_key=key or None)
    return Endpoints(urls, database, pool)
