"""The SQL of stored rows: one series, one range of time, each row once. Text only.

``FINAL`` shows a row once, and one that was fetched again instead of the one from before; that it looks at partitions
one by one is right, since a table's partition is of a time that is in its key. Decimals become floats through their
text: the nearest one, the same that Python and the venue's own JSON would give, which a division of the number that is
stored is not.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from wsadapter.clickhouse.client import Parameters, Query
from wsadapter.clickhouse.completeness import REJECTED_INTERVAL, REJECTED_NS, ROWS_OF
from wsadapter.clickhouse.conversion import quoted, table_columns
from wsadapter.events.streams import IDENTITY, Column, StreamSpec
from wsadapter.stored.rows import MOMENT, ORDERED_BY

SETTINGS: Final = "do_not_merge_across_partitions_select_final = 1"
ARROW: Final = "output_format_arrow_string_as_string = 1, output_format_arrow_low_cardinality_as_dictionary = 0"
MOST_REJECTED: Final = 1_000
"""Spans of rejected rows in an answer: those that are nearer to each other than so many parts of the range are one."""
_ROWS: Final = ROWS_OF.format("{stream:String}")
PLUMBING: Final = frozenset(
    (*(column.name for column in IDENTITY), "exchange", "symbol", "connection", "last_gap", "event_time",
     "transaction_time", "version")
)  # fmt: skip
"""Columns that an answer has only where they are asked for."""


def default_columns(spec: StreamSpec) -> tuple[str, ...]:
    """The time of the event first, then its own, then when it came and from where."""
    own = [column.name for column in table_columns(spec)]
    last = ("receive_time", "source")
    return ("time", *(name for name in own if name not in PLUMBING and name not in last), *last)


def column_names(spec: StreamSpec) -> frozenset[str]:
    return frozenset((*(column.name for column in table_columns(spec)), "time", "version"))


def series_rows(
    spec: StreamSpec,
    database: str,
    columns: Sequence[str],
    where: Mapping[str, str | bool],
    parameters: Parameters,
    *,
    exact: bool,
    limit: int | None,
) -> Query:
    """Rows of one series with ``start <= time < end``. ``where``: what else a column must be."""
    known = {column.name: column for column in table_columns(spec)}
    values = [f"{_value(known.get(name), name, exact)} AS {quoted(name)}" for name in columns]
    # what was fetched again came when it happened, as far as holes go
    at = "time" if spec.partition_time == "time" else spec.partition_time
    values.append(f"toUnixTimestamp64Nano(if(t.source = 'WEBSOCKET', t.receive_time, t.{at})) AS {quoted(MOMENT)}")
    if limit is not None:
        values.append(f"toUnixTimestamp64Nano(t.{at}) AS {quoted(ORDERED_BY)}")
    conditions = [
        "t.exchange = {exchange:String}",
        "t.symbol = {symbol:String}",
        f"t.{at} >= fromUnixTimestamp64Nano({{start:Int64}}, 'UTC')",
        f"t.{at} < fromUnixTimestamp64Nano({{end:Int64}}, 'UTC')",
    ]
    given: Parameters = dict(parameters)
    for name, value in where.items():
        if isinstance(value, bool):
            conditions.append(f"t.{quoted(name)} = {str(value).lower()}")
        else:
            conditions.append(f"t.{quoted(name)} = {{{name}:String}}")
            given[name] = value
    order = ", ".join(f"t.{part}" if part.isidentifier() else part for part in _order(spec, at))
    sql = (
        f"SELECT {', '.join(values)} FROM {quoted(database)}.{quoted(spec.name)} AS t FINAL "
        f"WHERE {' AND '.join(conditions)} ORDER BY {order}"
        + (f" LIMIT {limit:d}" if limit is not None else "")
        + f" SETTINGS {SETTINGS}, {ARROW}"
    )
    return Query(sql, given)


def coverage(database: str, parameters: Parameters) -> Query:
    begin, end = (f"toUnixTimestamp64Nano({quoted(name)})" for name in ("from", "to"))
    return Query(
        f"SELECT toString(connection) AS connection, toString(interval) AS interval, {begin} AS from_ns, "
        f"{end} AS to_ns FROM {quoted(database)}.coverage FINAL WHERE exchange = {{exchange:String}} "
        f"AND symbol = {{symbol:String}} AND stream = {{stream:String}} AND from_ns < {{end:Int64}} "
        "AND to_ns > {start:Int64} - 120000000000 ORDER BY from_ns",
        parameters,
    )


def gap_rows(database: str, parameters: Parameters) -> Query:
    started, ended = (f"toUnixTimestamp64Nano({quoted(name)})" for name in ("started", "ended"))
    named = ("gap_id", "symbol", "stream", "interval", "connection", "cause", "repair_state")
    return Query(
        f"SELECT {', '.join(f'toString({name}) AS {name}' for name in named)}, {started} AS started_ns, "
        f"{ended} AS ended_ns FROM {quoted(database)}.gap FINAL "
        "WHERE cause != 'filler' AND exchange IN ('', {exchange:String}) AND symbol IN ('', {symbol:String}) "
        f"AND stream IN ('', {{stream:String}}, {_ROWS}) AND started_ns < {{end:Int64}} "
        "AND (ended_ns IS NULL OR ended_ns > {start:Int64}) "
        # of a connection's gap that is worked off, the rows of its streams say more
        "AND (gap.stream != '' OR gap.repair_state IN ('open', 'repaired')) ORDER BY started_ns",
        parameters,
    )


def rejected_rows(database: str, parameters: Parameters) -> Query:
    part = f"intDiv(at_ns - {{start:Int64}}, greatest(1, intDiv({{end:Int64}} - {{start:Int64}}, {MOST_REJECTED})))"
    return Query(
        "SELECT interval, min(at_ns) AS first_ns, max(at_ns) AS last_ns FROM ("
        f"SELECT {REJECTED_INTERVAL} AS interval, {REJECTED_NS} AS at_ns FROM {quoted(database)}.rejected AS r "
        f"WHERE r.exchange = {{exchange:String}} AND r.symbol = {{symbol:String}} AND r.stream = {_ROWS}) "
        f"WHERE at_ns >= {{start:Int64}} AND at_ns < {{end:Int64}} GROUP BY interval, {part} ORDER BY first_ns",
        parameters,
    )


def _order(spec: StreamSpec, at: str) -> tuple[str, ...]:
    """By time, then as the table's key has it."""
    rest = [part for part in spec.order_by if part not in (at, "interval", "aggregated", "update_type", "level_limit")]
    if spec.name == "trade":
        return (at, "trade_number", *rest)
    return (at, *rest)


def _value(column: Column | None, name: str, exact: bool) -> str:
    source = f"t.{quoted(name)}"
    if column is None or not column.decimal or exact:
        return source
    if column.repeated:
        return f"arrayMap(x -> toFloat64(toString(x)), {source})"
    return f"toFloat64(toString({source}))"


def recorded(database: str, parameters: Parameters) -> Query:
    begin, end = (f"toUnixTimestamp64Nano({quoted(name)})" for name in ("from", "to"))
    return Query(
        f"SELECT toString(exchange) AS exchange, toString(symbol) AS symbol, toString(stream) AS stream, "
        f"toString(interval) AS interval, min({begin}) AS from_ns, max({end}) AS to_ns "
        f"FROM {quoted(database)}.coverage WHERE ({{exchange:String}} = '' OR coverage.exchange = {{exchange:String}}) "
        "AND ({symbol:String} = '' OR coverage.symbol = {symbol:String}) "
        "GROUP BY exchange, symbol, stream, interval ORDER BY exchange, symbol, stream, interval",
        parameters,
    )
