"""Connections to the engine: a fresh one a request, or the one of the session that the request names.

A session keeps temporary tables, SET and USE between requests, as ClickHouse's does; one request at a time. Sessions
are bounded: the one that was idle longest is closed first. A connection costs half a millisecond.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

MAX_SESSIONS: Final = 64
IDLE_SECONDS: Final = 60.0


class ClickHouseSession:
    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.busy = False
        self.used = time.monotonic()


class Sessions:
    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._open: dict[str, ClickHouseSession] = {}

    @contextmanager
    def connection(self, name: str) -> Iterator[Any]:
        """A connection for one request; None when the session is busy with another one."""
        if not name:
            connection = self._connect()
            try:
                yield connection
            finally:
                connection.close()
            return
        session = self._take(name)
        try:
            yield None if session is None else session.connection
        finally:
            if session is not None:
                session.used = time.monotonic()
                session.busy = False

    def close(self) -> None:
        with self._lock:
            self._drop(list(self._open))

    def _take(self, name: str) -> ClickHouseSession | None:
        with self._lock:
            session = self._open.get(name)
            if session is None:
                self._expire()
                session = self._open[name] = ClickHouseSession(self._connect())
            elif session.busy:
                return None
            session.busy = True
            return session

    def _expire(self) -> None:
        idle = sorted((s.used, name) for name, s in self._open.items() if not s.busy)
        now = time.monotonic()
        surplus = len(self._open) - MAX_SESSIONS + 1
        self._drop([name for place, (used, name) in enumerate(idle) if place < surplus or now - used > IDLE_SECONDS])

    def _drop(self, names: list[str]) -> None:
        for name in names:
            self._open.pop(name).connection.close()
