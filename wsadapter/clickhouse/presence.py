"""Whether the rows of an insert are in the tables: asked when one was sent more than once.

A MergeTree table notes an insert's token before it renames the new part into place. Of a server that is killed between
the two, or cannot rename, the token stays and the part does not: a repeat is answered as known, and its rows are
nowhere. (`X-ClickHouse-Summary` counts rows of a known block like others, so the answer does not tell.)

Guarantees: a row is there when table or ``rejected`` have its ring identity, or when the table has a row with its
sorting key that counts as much or more: of rows with one key that are inserted together, or merged, one is kept. So
what `Presence.lacking` names can be inserted without a double. Rows past their TTL are not looked for. Questions are
bounded: each names so many rows, by the sorting key and the time of the partition; one that the server finds too
expensive fails and may be asked again. On replicated tables nothing is asked: there token and part are one transaction
in Keeper, and a replica may lag.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final, TypeVar

import msgspec
from clickhouse_connect.driver.client import Client
from google.protobuf.message import DecodeError
from msgspec import Struct

from wsadapter.clickhouse.conversion import NAME, enum_of, literal, quoted, scale, table_columns
from wsadapter.clickhouse.retention import COVERAGE, coverage_days, kept_from
from wsadapter.clickhouse.schema import REJECTED, placed
from wsadapter.config.model import ClickHouseConfig
from wsadapter.events import Source
from wsadapter.events.streams import NEWEST, Column, StreamSpec
from wsadapter.pb import market_pb2

ROWS: Final = 500
"""Of one question."""
KEYS: Final = 50
"""Of one question about each of them."""
SECONDS: Final = 20
"""That one may take on the server."""
_SHARED: Final = ("Replicated", "Shared", "Distributed")
_TEXTS: Final = ("String", NAME)
_SETTINGS: Final[dict[str, Any]] = {"max_execution_time": SECONDS, "max_query_size": 4 << 20}
_MAX_U64: Final = 2**64 - 1

T = TypeVar("T")
Identity = tuple[int | None, int | None, int]
"""Epoch, position, time of receipt."""


class Row(Struct, frozen=True):
    """``number``: among the messages. ``time_ns``: of the table's partition. ``key``: the values of the sorting key, as
    SQL."""

    number: int
    exchange: str
    symbol: str
    receive_ns: int
    time_ns: int
    identity: Identity
    key: tuple[str, ...]
    version: int

    @property
    def series(self) -> tuple[str, str]:
        return self.exchange, self.symbol


class Presence:
    """Asks with one client; may be used by several threads at once."""

    def __init__(self, client: Client, settings: ClickHouseConfig) -> None:
        self._client, self._settings = client, settings

    def lacking(self, spec: StreamSpec, messages: Iterable[bytes]) -> list[int]:
        """Which of these messages, that were inserted, are in no table; none where that cannot be."""
        if not self.is_asked(spec):
            return []
        rows = sorted(self._rows(spec, messages), key=lambda row: (row.series, row.time_ns, row.number))
        table = placed(self._settings.database, spec.name)
        by_time = quoted(spec.partition_time)
        named = [row for row in rows if None not in row.identity]
        found = self._identities(table, "1", by_time, named, lambda row: row.time_ns)
        keys = [of_key for of_key in _by_key(rows) if not _heaviest(of_key) & found]
        if not keys:
            return []
        unfound = sorted((row for of_key in keys for row in of_key), key=lambda row: (row.series, row.receive_ns))
        rejected = placed(self._settings.database, REJECTED)
        is_stream = f"stream = {literal(spec.name)}"
        refused = self._identities(rejected, is_stream, "receive_time", unfound, lambda row: row.receive_ns)
        keys = [left for of_key in keys if (left := [row for row in of_key if row.identity not in refused])]
        return sorted(row.number for of_key in self._unknown(spec, table, keys) for row in of_key)

    def lacking_of_series(self, spec: StreamSpec, messages: Iterable[bytes]) -> list[int]:
        """The same of rows of one series that follow each other and have no ring identity, as those of files: told by
        their keys, which are asked for with one question however many there are."""
        rows = list(self._rows(spec, messages)) if self.is_asked(spec) else []
        if not rows:
            return []
        parts = [_part(spec, part) for part in spec.order_by]
        times = [row.time_ns for row in rows]
        (exchange, symbol), table = rows[0].series, placed(self._settings.database, spec.name)
        by_time = quoted(spec.partition_time)
        query = (
            f"SELECT {', '.join(sql for sql, _ in parts)} FROM {table} "
            f"WHERE exchange = {literal(exchange)} AND symbol = {literal(symbol)} "
            f"AND {by_time} >= {_time(min(times))} AND {by_time} <= {_time(max(times))} "
            f"AND version >= {max(row.version for row in rows)}"
        )
        known = {
            tuple(written(value) for (_, written), value in zip(parts, values, strict=True))
            for values in self._ask(query, tuple[str, ...])
        }
        return [row.number for row in rows if row.key[2:] not in known]

    def is_asked(self, spec: StreamSpec) -> bool:
        """Whether it can be that an insert's token is known and its rows are not there."""
        return not (self._settings.cluster or self._is_shared(spec))

    def _is_shared(self, spec: StreamSpec) -> bool:
        """Asked each time: tables may be made anew while we run."""
        where = f"database = {literal(self._settings.database)} AND name = {literal(spec.name)}"
        answers = self._ask(f"SELECT engine FROM system.tables WHERE {where}", list[str])
        return any(engine.startswith(_SHARED) for (engine,) in answers)

    def _rows(self, spec: StreamSpec, messages: Iterable[bytes]) -> Iterator[Row]:
        """Those that views keep. What this side cannot read it cannot look for."""
        parse = getattr(market_pb2, spec.message).FromString
        columns = {column.name: column for column in table_columns(spec)}
        closed_only = "closed" in columns and not self._settings.open_candles
        ttl_days, now_ns = self._settings.ttl_days, time.time_ns()
        for number, message in enumerate(messages):
            try:
                event = parse(message)
            except DecodeError:
                continue
            days = coverage_days(ttl_days, event.stream) if spec.name == COVERAGE else ttl_days.get(spec.name)
            expired = _ns(spec.partition_time, event) < kept_from(days, now_ns)
            if not expired and (not closed_only or event.closed):
                yield _row(spec, columns, number, event)

    def _identities(self, table: str, where: str, by_time: str, rows: Sequence[Row], time_of: Any) -> set[Identity]:
        """Of these rows, in the order of series and time: which have such a row in ``table``."""
        found: set[Identity] = set()
        for some in _parted(rows, ROWS):
            either = []
            for (exchange, symbol), of_series in groupby(some, key=lambda row: row.series):
                times = [time_of(row) for row in of_series]
                either.append(
                    f"(exchange = {literal(exchange)} AND symbol = {literal(symbol)} "
                    f"AND {by_time} >= {_time(min(times))} AND {by_time} <= {_time(max(times))})"
                )
            epochs = {row.identity[0] for row in some} - {None}
            known = f"ifNull(epoch, 0) IN ({', '.join(map(str, {0, *epochs}))})"
            positions = [row.identity[1] or 0 for row in some]
            between = f"ifNull(position, 0) BETWEEN {min(positions)} AND {max(positions)}"
            query = (
                "SELECT toString(epoch), toString(position), toString(toUnixTimestamp64Nano(receive_time)) "
                f"FROM {table} WHERE {where} AND ({' OR '.join(either)}) AND {known} AND {between}"
            )
            for epoch, position, receive_ns in self._ask(query, tuple[str | None, str | None, str]):
                found.add((_number(epoch), _number(position), int(receive_ns)))
        return found

    def _unknown(self, spec: StreamSpec, table: str, keys: Sequence[list[Row]]) -> Iterator[list[Row]]:
        """Those of which the table has no row that counts as much."""
        names = ", ".join(("exchange", "symbol", *(quoted(p) if p.isidentifier() else p for p in spec.order_by)))
        for some in _parted(keys, KEYS):
            listed = ", ".join(f"({', '.join(of_key[0].key)})" for of_key in some)
            if self._ask(f"SELECT 1 FROM {table} WHERE ({names}) IN ({listed}) LIMIT 1", tuple[int]):
                each = (
                    f"(SELECT {number} FROM {table} WHERE ({names}) = ({', '.join(of_key[0].key)}) "
                    f"AND version >= {max(row.version for row in of_key)} LIMIT 1)"
                    for number, of_key in enumerate(some)
                )
                known = {number for (number,) in self._ask(" UNION ALL ".join(each), tuple[int])}
            else:
                known = set()
            yield from (of_key for number, of_key in enumerate(some) if number not in known)

    def _ask(self, query: str, kind: Any) -> list[Any]:
        text = f"{query} FORMAT JSONCompactEachRow"
        answer = bytes(self._client.raw_query(text, settings=_SETTINGS, use_database=False))
        return msgspec.json.Decoder(kind, strict=False).decode_lines(answer)


def _row(spec: StreamSpec, columns: dict[str, Column], number: int, event: Any) -> Row:
    key = [
        literal(event.exchange),
        literal(event.symbol),
        *(_sql(spec, columns, part, event) for part in spec.order_by),
    ]
    identity = tuple(getattr(event, name) if event.HasField(name) else None for name in ("epoch", "position"))
    return Row(
        number, event.exchange, event.symbol, event.receive_time_ns, _ns(spec.partition_time, event),
        (*identity, event.receive_time_ns), tuple(key), version(spec, event),
    )  # fmt: skip


def _ns(name: str, event: Any) -> int:
    """A time of the table."""
    if name != "time":
        return int(getattr(event, f"{name}_ns"))
    given = (field for field in ("transaction_time_ns", "event_time_ns") if event.HasField(field))
    return int(getattr(event, next(given, "receive_time_ns")))


def _sql(spec: StreamSpec, columns: dict[str, Column], part: str, event: Any) -> str:
    """What a part of the sorting key is of this event."""
    name = part.removeprefix("ifNull(").removesuffix(", 0)")
    if name == "time" or columns[name].time:
        return _time(_ns(name, event))
    column, value = columns[name], getattr(event, columns[name].field)
    if column.enum:
        names = {member.value: member.name for member in enum_of(spec, column)}
        return literal(names.get(value, ""))
    if column.decimal:
        return f"toDecimal128OrNull({literal(value)}, {scale(column)})"
    if isinstance(value, bool):
        return str(value).lower()
    return literal(value) if isinstance(value, str) else str(value)


def _part(spec: StreamSpec, part: str) -> tuple[str, Callable[[str], str]]:
    """How a part of the sorting key is asked for as text, and what `_sql` makes of its value."""
    name = part.removeprefix("ifNull(").removesuffix(", 0)")
    column = next((column for column in table_columns(spec) if column.name == name), None)
    if column is None or column.time:
        return f"toString(toUnixTimestamp64Nano({quoted(name)}))", lambda text: _time(int(text))
    return f"toString({quoted(part) if part == name else part})", literal if column.type in _TEXTS else str


def version(spec: StreamSpec, event: Any) -> int:
    """As ``spec.version`` says it in SQL."""
    if spec.version == "version":
        return int(event.version) & _MAX_U64
    is_archive = event.source == Source.ARCHIVE
    if spec.version == NEWEST:
        return (event.receive_time_ns // 2 if is_archive else int(event.receive_time_ns)) & _MAX_U64
    rank = 2 if is_archive or event.source == Source.REST else int(event.closed)
    return ((rank << 61) + int(event.receive_time_ns)) & _MAX_U64


def _parted(rows: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    return (rows[at : at + most] for at in range(0, len(rows), most))


def _by_key(rows: Iterable[Row]) -> list[list[Row]]:
    keys: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        keys.setdefault(row.key, []).append(row)
    return list(keys.values())


def _heaviest(rows: Sequence[Row]) -> set[Identity]:
    """Of rows of one key: those of which one is kept."""
    most = max(row.version for row in rows)
    return {row.identity for row in rows if row.version == most}


def _time(ns: int) -> str:
    return f"fromUnixTimestamp64Nano(toInt64({ns}), 'UTC')"


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
