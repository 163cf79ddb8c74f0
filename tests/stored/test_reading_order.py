"""Whoever reads rows asks first what is missing of them: what is fetched again while they are read is not in them."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from stored.recordings import MINUTE, NOON, SECOND

from wsadapter.archives.exporting import Exporter
from wsadapter.archives.series import Series
from wsadapter.audit.configured import Configured
from wsadapter.audit.rows import Scope
from wsadapter.audit.tables import Report, audit
from wsadapter.clickhouse.client import Query
from wsadapter.config.model import ClickHouseConfig
from wsadapter.roles.monitor.stored_charts import StoredCharts
from wsadapter.stored import Stored
from wsadapter.stored.answers import Answers
from wsadapter.stored.rows import MOMENT, ORDERED_BY

START = NOON - 30 * SECOND
SERIES = ("binance", "BTCUSDT")
COUNT = {"exchange": "binance", "symbol": "BTCUSDT", "kind": "", "rows": 1, "rows_final": 1, "rows_numbered": 1,
         "first_ns": NOON, "last_ns": NOON}  # fmt: skip


class Server:
    """One minute is missing of a series, until its rows are read: by then it has been fetched again, and rows and gap
    are in the tables, in this order."""

    def __init__(self) -> None:
        self.is_repaired = False

    def answer(self, sql: str) -> bytes:
        rows = self._rows(sql)
        return b"\n".join(json.dumps(row).encode() for row in rows)

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        if ".complete(" in sql:
            verdict = "complete" if self.is_repaired else "incomplete"
            return [{"interval": "", "covered_seconds": 1, "unrecorded_seconds": 0, "rejected": 0, "verdict": verdict}]
        if "coverage" in sql:
            span = {"from_ns": NOON - 3600 * SECOND, "to_ns": NOON + (3600 * SECOND if self.is_repaired else 0)}
            return [{"exchange": "binance", "symbol": "BTCUSDT", "stream": "liquidation", "interval": interval,
                     "connection": "c", "first_ns": 0, **span} for interval in ("", "1m")]  # fmt: skip
        if "gap" in sql.partition("FROM")[2][:40]:
            row = dict.fromkeys(("symbol", "stream", "interval", "first_missing", "last_missing", "missing_count"), "")
            state = "repaired" if self.is_repaired else "open"
            return [row | {"exchange": "binance", "gap_id": "1:1", "connection": "c", "cause": "disconnect",
                           "version": 1, "receive_ns": NOON, "repair_state": state, "started_ns": NOON,
                           "ended_ns": NOON + MINUTE, "first_missing": None, "last_missing": None,
                           "missing_count": None}]  # fmt: skip
        if "rejected" in sql or "checkpoint" in sql:
            return []
        return self._events(sql)

    def _events(self, sql: str) -> list[dict[str, Any]]:
        if "update_type = 'SNAPSHOT'" in sql and "level_limit, source, max(" in sql:
            return [{"level_limit": 0, "source": "WEBSOCKET", "time_ns": START}]
        if "update_type = 'SNAPSHOT'" in sql and "DELTA" not in sql:
            return [BOOK]
        was_repaired, self.is_repaired = self.is_repaired, True
        if "DELTA" in sql:
            changes = [CHANGE] if was_repaired else []
            return [BOOK, *changes] if "SNAPSHOT" in sql else changes
        if "count() AS rows" in sql or "rows_final" in sql:
            return [COUNT]
        return [{"open_time": START // 1_000_000} | dict.fromkeys(CANDLE, 1.0)]


MISSED = NOON + 10 * SECOND
CANDLE = ("open", "high", "low", "close", "volume")
BOOK = {"update_type": "SNAPSHOT", "level_limit": 0, "first_update_id": None, "last_update_id": None,
        "previous_update_id": None, "time_ns": START, "receive_ns": START, "at_ns": START, "source": "WEBSOCKET",
        "connection": "c", "bid_price": ["1"], "bid_quantity": ["1"], "ask_price": ["2"],
        "ask_quantity": ["1"]}  # fmt: skip
CHANGE = BOOK | {"update_type": "DELTA", "time_ns": MISSED, "receive_ns": MISSED, "at_ns": MISSED}


class Asked(Stored):
    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self.__dict__["_ask"] = lambda query: server.answer(query.sql)

    def _arrow(self, query: Query) -> Any:
        self._server.is_repaired = True
        moments = pyarrow.array([START], pyarrow.int64())
        times = moments.cast(pyarrow.timestamp("ns", tz="UTC"))
        columns = {"time": times, "price": pyarrow.array([1.0]), MOMENT: moments}
        return pyarrow.table(columns | ({ORDERED_BY: moments} if ORDERED_BY in query.sql else {}))


class ExportClient:
    """Answers in the place of the driver's client."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def raw_query(self, sql: str, **_: Any) -> bytes:
        return self._server.answer(sql)

    def raw_stream(self, *_: Any, **__: Any) -> BytesIO:
        self._server.is_repaired = True
        return BytesIO(b"PAR1 rows PAR1")


def rows(server: Server, _: Path) -> Any:
    return Asked(server).trades(*SERIES, START, NOON + 2 * MINUTE).verdict


def answer(server: Server, _: Path) -> Any:
    given: tuple[Any, ...] = ("trade", *SERIES, START, NOON + 2 * MINUTE, ("time", "price"), 10, {})
    return Answers(Asked(server), "market").rows(*given)["completeness"]["verdict"]


def book_at(server: Server, _: Path) -> Any:
    return "complete" if Asked(server).book_at("nowhere", "BTCUSDT", NOON + 2 * MINUTE).complete else "incomplete"


def book_table(server: Server, _: Path) -> Any:
    return Asked(server).book_table("nowhere", "BTCUSDT", START, NOON + 2 * MINUTE).verdict


def chart(path: str, **asked: str) -> Callable[[Server, Path], Any]:
    def ask(server: Server, _: Path) -> Any:
        charts = StoredCharts(ClickHouseConfig(), lambda: NOON + 3600 * SECOND)
        charts._client = lambda query: server.answer(query.sql)
        work = charts._candles if path == "/candles" else charts._book
        return work({"exchange": "binance", "symbol": "BTCUSDT", **asked})["verdict"]

    return ask


def exported(server: Server, directory: Path) -> Any:
    exporter = Exporter(ExportClient(server), ClickHouseConfig(), directory)  # type: ignore[arg-type]
    return exporter.run(Series(*SERIES, "trade"), NOON - NOON % (86_400 * SECOND)).verdict


def audited(server: Server, _: Path) -> Any:
    """Its coverage ends where the minute begins, and grows when that is there."""
    scope = Scope(
        NOON + 3600 * SECOND, since_ns=START, until_ns=NOON + 20 * MINUTE, exchange="binance", stream="liquidation",
        symbol="BTCUSDT",
    )  # fmt: skip
    wanted = [Configured(("binance", "liquidation", "BTCUSDT", ""), None)]
    found: Report = audit(lambda query: server.answer(query.sql), "market", scope, 0, wanted)
    return "complete" if not found.holes else "incomplete"


@pytest.mark.parametrize(
    "read",
    [
        rows, answer, book_at, book_table,
        chart("/candles", **{"from": str(START // SECOND), "to": str(NOON // SECOND + 120)}),
        chart("/book", at=str(NOON // SECOND + 120)),
        exported, audited,
    ],
)  # fmt: skip
def test_what_is_fetched_again_meanwhile_is_not_called_complete(
    read: Callable[[Server, Path], Any], tmp_path: Path
) -> None:
    server = Server()

    assert read(server, tmp_path) == "incomplete"
    assert server.is_repaired, "meanwhile"
    assert read(server, tmp_path) == "complete", "the next time"
