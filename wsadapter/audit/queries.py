"""The questions that an audit asks ClickHouse: SQL text and parameters, no connection.

Everything is aggregated by the server. What comes back is bounded: one row per series (exchange, symbol, kind) and at
most `MAX_HOLES` holes per stream. Names come from the registry and are quoted; every value is a query parameter.

A hole is two neighbours in a series that do not meet. To see one that the range's edge cuts, neighbours are looked for
a while before and after the range (`Scope.margin_ns`); what lies wholly outside is left out again.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

from wsadapter.audit.rows import HOUR_NS, Scope
from wsadapter.clickhouse.client import Parameters, Query
from wsadapter.clickhouse.conversion import quoted
from wsadapter.events.sequence import NUMBERINGS
from wsadapter.events.streams import RAW_TRADE, STEP_NS, Chained, Contiguous, SequenceRule, StreamSpec, Timed

MAX_HOLES: Final = 10_000
"""Per stream. With more, the audit says that there are more, and fails."""
MAX_SERIES: Final = 50_000
MAX_GAPS: Final = 100_000
MAX_COVERAGE: Final = 500_000
MAX_REJECTED: Final = 100_000
BLOCK: Final = 65_536
"""Trade numbers of one block; of a book, an hour is one."""
CANDLES_NS: Final = 1000 * HOUR_NS
_CHECKS: Final[Mapping[type[SequenceRule], str]] = {Contiguous: "sequence", Chained: "chain", Timed: "grid"}
CHECKS: Final[Mapping[str, str]] = {
    word: _CHECKS[type(numbering.checked)] for word, numbering in NUMBERINGS.items() if numbering.checked is not None
}
"""Streams in which a missing event shows, and by what."""

_KINDS: Final[Mapping[str, str]] = {
    "trade": "if(aggregated, 'aggregated', 'raw')",
    "depth": "if(update_type = 'DELTA', 'delta', concat('top ', toString(level_limit)))",
    "kline": "toString(interval)",
}
"""What tells the series of one symbol apart."""
_ORIGIN: Final = (
    "toUnixTimestamp64Nano(time) AS ns, source IN ('REST', 'ARCHIVE') AS late, "
    "if(late, ns, toUnixTimestamp64Nano(receive_time)) AS at, if(late, '', toString(connection)) AS came_from"
)
"""When it was, when it came in, on which connection. What came by REST or from a file came later: the venue's
time stands in."""


def counts(database: str, spec: StreamSpec, scope: Scope) -> Query:
    """Rows per series, as stored and as FINAL leaves them: one question, so that both are of one moment."""
    column, kind = quoted(spec.partition_time), _KINDS.get(spec.name, "''")
    where, parameters = _where(scope, spec.partition_time, closed=spec.name == "kline")
    table = _table(database, spec.name)
    parts = " UNION ALL ".join(
        f"SELECT exchange, symbol, {kind} AS kind, {merged} AS merged, count() AS counted, "
        f"countIf({_numbered(spec)}) AS numbered, "
        f"min({column}) AS first, max({column}) AS last FROM {table}{' FINAL' if merged else ''} WHERE {where} "
        "GROUP BY exchange, symbol, kind"
        for merged in (0, 1)
    )
    return Query(
        "SELECT exchange, symbol, kind, sumIf(counted, merged = 0) AS rows, sumIf(counted, merged = 1) AS rows_final, "
        "toUnixTimestamp64Nano(min(first)) AS first_ns, toUnixTimestamp64Nano(max(last)) AS last_ns, "
        "sumIf(numbered, merged = 1) AS rows_numbered "
        f"FROM ({parts}) GROUP BY exchange, symbol, kind ORDER BY exchange, symbol, kind LIMIT {MAX_SERIES}",
        parameters,
    )


def silences(database: str, spec: StreamSpec, scope: Scope) -> Query:
    """The longest time between two events of a series that has no numbers to check."""
    kind, key = _KINDS.get(spec.name, "''"), ", ".join(_series_key(spec))
    where, parameters = _where(scope, "time")
    now = "toUnixTimestamp64Nano(time)"
    return Query(
        f"SELECT exchange, symbol, kind, max(passed) AS silence_ns FROM (SELECT exchange, symbol, {kind} AS kind, "
        f"{now} - lagInFrame({now}, 1, {now}) OVER ({_window(key, 'time')}) AS passed "
        f"FROM {_table(database, spec.name)} WHERE {where} AND NOT {_numbered(spec)}) "
        f"GROUP BY exchange, symbol, kind LIMIT {MAX_SERIES}",
        parameters,
    )


def _numbered(spec: StreamSpec) -> str:
    """Whether a row has what its stream is checked by."""
    rule = NUMBERINGS[spec.name].checked
    if rule is None:
        return "false"
    conditions = [_condition(rule)]
    if isinstance(rule, Contiguous | Chained):
        conditions.append(f"{rule.number} IS NOT NULL")
    if isinstance(rule, Chained):
        conditions.append(f"ifNull({rule.previous}, {rule.first}) IS NOT NULL")
    return f"({' AND '.join(filter(None, conditions))})"


def _condition(rule: SequenceRule) -> str:
    """SQL of the rule's ``when``."""
    if rule.when is None:
        return ""
    field, value = rule.when
    if isinstance(value, bool):
        return field if value else f"NOT {field}"
    return f"{field} = '{value.name}'" if isinstance(value, IntEnum) else f"{field} = {value}"


def imported(database: str) -> Query:
    """Venues of which files of single trades were imported."""
    return Query(
        f"SELECT DISTINCT exchange FROM {_table(database, 'coverage')} "
        f"WHERE source = 'ARCHIVE' AND stream = '{RAW_TRADE}' LIMIT {MAX_SERIES}",
        Parameters(),
    )


def holes(database: str, spec: StreamSpec, scope: Scope, burning: Iterable[str] = ()) -> Query:
    """The neighbours that do not meet: each row says what it is (``own``) and what it must follow (``follows``).

    Sorting all rows would need as much memory as there are rows. So they are looked at in blocks: in one without a hole
    (and without repeats) everything between cancels out of the sum of what is followed less what is there. Only blocks
    where it does not are sorted; between blocks their edges are compared. ``burning``: venues that give numbers of
    single trades to none; between two of one file, which was whole, none is missing."""
    rows, broken, parameters = _rows(database, spec, scope)
    parameters["burning"] = " ".join(burning)
    series = "exchange, symbol, kind"
    about = ("ns", "at", "came_from", "length", "file")
    edges = "".join(f"argMin({c}, place) AS first_{c}, argMax({c}, place) AS last_{c}, " for c in about)
    between = (
        f"SELECT {series}, first AS follows, last AS own, lagInFrame(last, 1, first) OVER w AS before, "
        + ", ".join(f"lagInFrame(last_{c}, 1, first_{c}) OVER w AS before_{c}, first_{c} AS after_{c}" for c in about)
        + f" FROM ({_blocks(rows, edges)}) WINDOW w AS ({_window(series, 'block')})"
    )
    inside = (
        f"SELECT {series}, follows, own, lagInFrame(own, 1, follows) OVER w AS before, "
        + ", ".join(f"lagInFrame({c}, 1, {c}) OVER w AS before_{c}, {c} AS after_{c}" for c in about)
        + f" FROM ({rows}) WHERE ({series}, block) IN "
        f"(SELECT {series}, block FROM ({_blocks(rows)}) WHERE NOT whole) "
        f"WINDOW w AS ({_window(f'{series}, block', 'place')})"
    )
    inner = [broken, "(before_file = 0 OR before_file != after_file)"]
    if scope.since_ns is not None:
        inner.append("after_ns >= {since:Int64}")
    if scope.until_ns is not None:
        inner.append("before_ns < {until:Int64}")
    return Query(
        f"SELECT {series}, before, follows AS after, before_ns, after_ns, before_at AS before_at_ns, "
        "after_at AS after_at_ns, before_came_from AS before_from, after_came_from AS after_from, "
        f"before_length AS length_ns FROM ({between} UNION ALL {inside}) WHERE {' AND '.join(inner)} "
        f"ORDER BY {series}, after_ns, after LIMIT {MAX_HOLES + 1}",
        parameters,
    )


def _blocks(rows: str, edges: str = "") -> str:
    return (
        f"SELECT exchange, symbol, kind, block, argMin(follows, place) AS first, argMax(own, place) AS last, {edges} "
        "sum(cityHash64(own)) - sum(cityHash64(follows)) = cityHash64(last) - cityHash64(first) AS whole "
        f"FROM ({rows}) GROUP BY exchange, symbol, kind, block"
    )


Rows = tuple[str, str, Parameters]
"""A stream's rows as `holes` wants them, when two neighbours do not meet, parameters. ``place``: their order."""


def _rows(database: str, spec: StreamSpec, scope: Scope) -> Rows:
    rule = NUMBERINGS[spec.name].checked
    origin, zero, file = _ORIGIN, "toInt64(0)", "toUInt64(0)"
    match rule:
        case Contiguous(number=number):
            own, follows, place, length = f"assumeNotNull({number})", "own - 1", "own", zero
            file = (
                "if(source = 'ARCHIVE' AND NOT aggregated AND has(splitByChar(' ', {burning:String}), "
                "toString(exchange)), cityHash64(connection), 0)"
            )
            # what has the higher number and is much older is of an earlier numbering: a symbol that was listed again
            block, broken = f"intDiv(own, {BLOCK})", f"follows > before AND before_ns <= after_ns + {HOUR_NS}"
        case Chained(number=number, previous=previous, first=first):
            # in order of time, for an engine may begin its ids anew
            own, length = f"assumeNotNull({number})", zero
            follows = f"assumeNotNull(ifNull({previous}, {first} - 1))"
            place = "toUInt128(toUnixTimestamp64Nano(time)) * toUInt128('18446744073709551616') + toUInt128(own)"
            block, broken = f"intDiv(toUnixTimestamp64Nano(time), {HOUR_NS})", "own != before AND follows != before"
        case Timed(opens=opens, closes=closes):
            # an interval opens when the one before it has closed: true for months, too
            closes = closes.removesuffix("_ns")
            own, follows, place = f"{_nanoseconds(closes)} + {STEP_NS}", _nanoseconds(opens), "follows"
            block, broken, length = f"intDiv(follows, {CANDLES_NS})", "follows > before", "own - follows"
            origin = _ORIGIN.replace("(time)", f"({closes})")
        case None:
            raise ValueError(f"{spec.name}: numbers do not show what is missing")
    where, parameters = _where(scope, spec.partition_time, margin=True)
    return (
        f"SELECT exchange, symbol, {_KINDS[spec.name]} AS kind, {own} AS own, {follows} AS follows, {place} AS place, "
        f"{block} AS block, {origin}, {length} AS length, {file} AS file "
        f"FROM {_table(database, spec.name)} WHERE {where} AND {_numbered(spec)}",
        broken,
        parameters,
    )


def _nanoseconds(field: str) -> str:
    return f"toUnixTimestamp64Nano({field.removesuffix('_ns')})"


def gaps(database: str, scope: Scope, first_ns: int, last_ns: int) -> Query:
    """Gap rows that may say something about ``first_ns`` to ``last_ns`` (receive times); the newest state of each."""
    # no bound by time for those that name ids, or were found long after the loss
    where = ["(started <= fromUnixTimestamp64Nano({last:Int64}, 'UTC') "
             "AND ifNull(ended >= fromUnixTimestamp64Nano({first:Int64}, 'UTC'), true) "
             "OR first_missing IS NOT NULL OR cause = 'kafka_retention')"]  # fmt: skip
    parameters: Parameters = {"first": first_ns, "last": last_ns}
    # of all streams: whether a gap has rows about single ones says which it is about
    _narrow(where, parameters, scope, ("exchange", "symbol"))
    return Query(_gap_rows(database, where) + f"LIMIT {MAX_GAPS}", parameters)


def gaps_within(database: str, scope: Scope, first_ns: int, last_ns: int) -> Query:
    """Gap rows that lasted into that time, whatever became of them."""
    where = ["started <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')", "cause != 'filler'",
             "ifNull(ended >= fromUnixTimestamp64Nano({first:Int64}, 'UTC'), true)"]  # fmt: skip
    parameters: Parameters = {"first": first_ns, "last": last_ns}
    _narrow(where, parameters, scope)
    return Query(_gap_rows(database, where) + f"LIMIT {MAX_GAPS}", parameters)


def coverage(database: str, scope: Scope, last_ns: int) -> Query:
    """When what was covered until ``last_ns``: what is within the range, and of each series the newest."""
    where, parameters = ["`from` <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')"], Parameters(last=last_ns)
    # the audit looks at both kinds of trades together; a file has one of them
    stream = f"if(c.stream = '{RAW_TRADE}' AND c.source != 'ARCHIVE', 'trade', c.stream) AS stream"
    for name in _NARROWED:
        if value := getattr(scope, name):
            where.append(f"{name} = {{{name}:String}}")
            parameters[name] = value
    within = "true"
    if scope.since_ns is not None:
        within, parameters["since"] = "to_ns >= {since:Int64} OR to_ns = newest_ns", scope.since_ns
    return Query(
        f"SELECT * FROM (SELECT exchange, {stream}, symbol, interval, connection, "
        "toUnixTimestamp64Nano(`from`) AS from_ns, toUnixTimestamp64Nano(`to`) AS to_ns, "
        "min(from_ns) OVER series AS first_ns, max(to_ns) OVER series AS newest_ns "
        f"FROM {_table(database, 'coverage')} AS c FINAL WHERE {' AND '.join(where)} "
        f"WINDOW series AS (PARTITION BY exchange, stream, symbol, interval)) WHERE {within} "
        f"ORDER BY exchange, stream, symbol, interval, from_ns LIMIT {MAX_COVERAGE}",
        parameters,
    )


def gap_list(database: str, scope: Scope, cause: str, limit: int) -> Query:
    """For the operator: the newest ``limit`` rows of gaps that lasted within the range, the newest first."""
    where: list[str] = []
    parameters: Parameters = {}
    if scope.since_ns is not None:
        where.append("ifNull(ended >= fromUnixTimestamp64Nano({since:Int64}, 'UTC'), true)")
        parameters["since"] = scope.since_ns
    if scope.until_ns is not None:
        where.append("started < fromUnixTimestamp64Nano({until:Int64}, 'UTC')")
        parameters["until"] = scope.until_ns
    _narrow(where, parameters, scope)
    if cause:
        where.append("cause = {cause:String}")
        parameters["cause"] = cause
    return Query(_gap_rows(database, where) + f"LIMIT {limit}", parameters)


def _gap_rows(database: str, where: list[str]) -> str:
    return (
        "SELECT exchange, symbol, stream, interval, connection, cause, gap_id, "
        "toUnixTimestamp64Nano(started) AS started_ns, toUnixTimestamp64Nano(ended) AS ended_ns, "
        "first_missing, last_missing, missing_count, repair_state "
        f"FROM {_table(database, 'gap')} FINAL {'WHERE ' + ' AND '.join(where) if where else ''} "
        "ORDER BY started DESC, exchange, connection, gap_id, stream DESC, symbol DESC, interval DESC "
    )


_NARROWED: Final = ("exchange", "symbol", "stream")


def _narrow(where: list[str], parameters: Parameters, scope: Scope, names: tuple[str, ...] = _NARROWED) -> None:
    """Gaps of this exchange, symbol, stream: also those that are about all of them."""
    for name in names:
        if value := getattr(scope, name):
            where.append(f"{name} IN ('', {{{name}:String}})")
            parameters[name] = value


def rejected(database: str, stream: str, scope: Scope, first_ns: int, last_ns: int) -> Query:
    """Rows that are kept as text in table ``rejected``, by when they came."""
    where = ["stream = {stream:String}", "receive_time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')",
             "receive_time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')"]  # fmt: skip
    parameters: Parameters = {"stream": stream, "first": first_ns, "last": last_ns}
    for name in ("exchange", "symbol"):
        if value := getattr(scope, name):
            where.append(f"{name} = {{{name}:String}}")
            parameters[name] = value
    return Query(
        f"SELECT exchange, symbol, toUnixTimestamp64Nano(receive_time) AS at_ns FROM {_table(database, 'rejected')} "
        f"FINAL WHERE {' AND '.join(where)} ORDER BY exchange, symbol, at_ns LIMIT {MAX_REJECTED}",
        parameters,
    )


def _where(scope: Scope, column: str, margin: bool = False, closed: bool = False) -> tuple[str, Parameters]:
    """``since`` and ``until`` are the range itself; ``from`` and ``to`` what is read."""
    conditions, parameters = ["true"], Parameters()
    more = scope.margin_ns if margin else 0
    if margin and column == "open_time":
        # the neighbour of a monthly candle opened a month before
        more = max(more, 40 * 24 * HOUR_NS)
    if scope.since_ns is not None:
        conditions.append(f"{quoted(column)} >= fromUnixTimestamp64Nano({{from:Int64}}, 'UTC')")
        parameters |= {"since": scope.since_ns, "from": max(0, scope.since_ns - more)}
    if scope.until_ns is not None:
        conditions.append(f"{quoted(column)} < fromUnixTimestamp64Nano({{to:Int64}}, 'UTC')")
        parameters |= {"until": scope.until_ns, "to": scope.until_ns + more}
    for name in ("exchange", "symbol"):
        if value := getattr(scope, name):
            conditions.append(f"{name} = {{{name}:String}}")
            parameters[name] = value
    if closed:
        conditions.append("closed")
    return " AND ".join(conditions), parameters


def _series_key(spec: StreamSpec) -> tuple[str, ...]:
    return ("exchange", "symbol", *(("update_type", "level_limit") if spec.name == "depth" else ()))


def _window(partition: str, order: str) -> str:
    return f"PARTITION BY {partition} ORDER BY {order} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW"


def _table(database: str, name: str) -> str:
    return f"{quoted(database)}.{quoted(name)}"
