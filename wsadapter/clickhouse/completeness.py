"""The view ``complete(exchange, symbol, stream, from, to)``: is a series complete in a range of time?

SQL alone says so. One row a series (an empty argument means all of them): how long it was covered (table ``coverage``),
how long neither that nor a gap accounts for, how many gaps are in it, by what became of them, and how many of its rows
are in table ``rejected``. ``verdict``:

* ``complete``: covered from the range's begin to its end, but for gaps that are repaired, and no row of it is rejected;
* ``incomplete``: a gap in it is open, partial or unrepairable, a row is rejected, or for some of it nothing was
  recorded;
* ``missing``: nothing of it was recorded.

A row of coverage that was said less than `ALIVE_SECONDS` ago is of a connection that lives: it counts to the end of a
range that ends now. From when on a gap accounts for a time without coverage: `wsadapter.events.gaps.accounts_since`.
What lies ahead is not asked about. Text only.
"""

from typing import Final

from wsadapter.clickhouse.conversion import quoted
from wsadapter.clickhouse.query_view import QueryView, ViewColumn
from wsadapter.events import Source
from wsadapter.events.gaps import SAID_SECONDS, GapCause
from wsadapter.events.streams import RAW_TRADE

COMPLETE: Final = "complete"
ALIVE_SECONDS: Final = 45
"""A heartbeat, and the time that a row takes to the table."""
REJECTED_INTERVAL: Final = "JSONExtractString(r.record, 'interval')"
REJECTED_NS: Final = (
    f"if(JSONExtractInt(r.record, 'source') = {int(Source.WEBSOCKET)}, toUnixTimestamp64Nano(r.receive_time), "
    "if(r.stream = 'kline', JSONExtractInt(r.record, 'open_time_ns'), toUnixTimestamp64Nano(r.time)))"
)
"""Of a row ``r`` of table ``rejected``: where in a range of time it is missing. What was fetched happened earlier."""
ROWS_OF: Final = f"if({{0}} = '{RAW_TRADE}', 'trade', {{0}})"
"""Of a stream word, as `wsadapter.events.streams.stream_of`: what gaps and rejected rows of it are called."""
_SECOND: Final = 1_000_000_000
PARAMETERS: Final = "exchange='binance', symbol='BTCUSDT', stream='trade', from='2026-01-01', to='2026-01-02'"
_ABOUT: Final = "is a series complete in a range of time? One row a series; an empty argument means all of them"
COLUMNS: Final = tuple(
    ViewColumn(name, name, kind, about)
    for name, kind, about in (
        ("exchange", "String", "the venue"),
        ("symbol", "String", "in the venue's own text"),
        ("stream", "String", "stream word"),
        ("interval", "String", "of candles"),
        ("connections", "Array(String)", "which recorded it"),
        ("covered_seconds", "Float64", "how long it was recorded"),
        ("unrecorded_seconds", "Float64", "how long neither a recording nor a gap accounts for"),
        ("open", "UInt64", "gaps that are to be repaired"),
        ("partial", "UInt64", "gaps of which the venue gave some"),
        ("unrepairable", "UInt64", "gaps of which it gave nothing"),
        ("repaired", "UInt64", "gaps without which it is complete"),
        ("rejected", "UInt64", "rows that its table cannot keep: they are in table rejected"),
        ("verdict", "String", "complete, incomplete or missing"),
    )
)


def complete_view(database: str) -> QueryView:
    coverage, gap, rejected = (f"{quoted(database)}.{quoted(name)}" for name in ("coverage", "gap", "rejected"))
    begin = "toUnixTimestamp64Nano({from:DateTime64(9,'UTC')})"
    now = "toUnixTimestamp64Nano(now64(9))"
    end = f"least(toUnixTimestamp64Nano({{to:DateTime64(9,'UTC')}}), {now})"
    began, said = (f"toUnixTimestamp64Nano(c.{quoted(name)})" for name in ("from", "to"))
    lasts = f"if({said} > {now} - {ALIVE_SECONDS * _SECOND}, {now}, {said})"

    def named(table: str, stream: str = "{stream:String}") -> str:
        asked = {"exchange": "{exchange:String}", "symbol": "{symbol:String}", "stream": stream}
        return " AND ".join(f"({value} = '' OR {table}.{name} = {value})" for name, value in asked.items())

    series = (
        "SELECT c.exchange AS exchange, c.symbol AS symbol, c.stream AS stream, c.interval AS interval, "
        "groupUniqArray(toString(c.connection)) AS connections, "
        f"groupArray((greatest({began}, {begin}), least({lasts}, {end}))) AS spans "
        f"FROM {coverage} AS c FINAL WHERE {named('c')} AND {began} < {end} AND {lasts} > {begin} "
        "GROUP BY exchange, symbol, stream, interval"
    )
    gaps = (
        "SELECT groupArray((toString(exchange), toString(symbol), toString(stream), toString(interval), "
        # what Kafka lost came over any connection
        f"if(cause = '{GapCause.KAFKA_RETENTION}', '', toString(connection)), "
        "toString(repair_state), gap_id, toUnixTimestamp64Nano(started), "
        f"ifNull(toUnixTimestamp64Nano(ended), {now}), "
        f"toInt64(if(cause = '{GapCause.CONNECT}', 0, {SAID_SECONDS * _SECOND})))) FROM {gap} FINAL "
        f"WHERE cause != 'filler' AND toUnixTimestamp64Nano(started) < {end} "
        f"AND ifNull(toUnixTimestamp64Nano(ended), {now}) > {begin} "
        "AND ({exchange:String} = '' OR exchange IN ('', {exchange:String})) "
        "AND ({symbol:String} = '' OR symbol IN ('', {symbol:String})) "
        # of a connection's gap that is worked off, the rows of its streams say more
        "AND (stream != '' OR repair_state IN ('open', 'repaired'))"
    )
    rejects = (
        "SELECT groupArray((toString(r.exchange), toString(r.symbol), toString(r.stream), "
        f"{REJECTED_INTERVAL})) FROM {rejected} AS r FINAL "
        f"WHERE {named('r', ROWS_OF.format('{stream:String}'))} "
        f"AND {REJECTED_NS} >= {begin} AND {REJECTED_NS} < {end}"
    )
    about = (
        "g.1 IN ('', exchange) AND g.2 IN ('', symbol) "
        f"AND g.3 IN ('', stream, {ROWS_OF.format('stream')}) AND g.4 IN ('', interval) "
        "AND (g.2 != '' OR g.5 = '' OR empty(connections) OR has(connections, g.5))"
    )

    def length(spans: str) -> str:
        """Of what they cover together."""
        step = "(greatest(at.1, span.2), at.2 + greatest(toInt64(0), span.2 - greatest(at.1, span.1)))"
        return f"arrayFold((at, span) -> {step}, arraySort({spans}), ({begin}, toInt64(0))).2"

    counts = ", ".join(
        f"length(arrayDistinct(arrayMap(g -> g.7, arrayFilter(g -> g.6 = '{state}', gaps)))) AS {state}"
        for state in ("open", "partial", "unrepairable", "repaired")
    )
    accounted = f"arrayConcat(spans, arrayMap(g -> (greatest({begin}, g.8 - g.10), least({end}, g.9)), gaps))"
    select = (
        f"SELECT exchange, symbol, stream, interval, connections, "
        f"covered / {_SECOND} AS covered_seconds, "
        f"greatest(0, {end} - {begin} - known) / {_SECOND} AS unrecorded_seconds, {counts}, "
        f"countEqual(({rejects}), (exchange, symbol, {ROWS_OF.format('stream')}, interval)) AS rejected, "
        "multiIf(covered = 0, 'missing', unrecorded_seconds > 0 OR open + partial + unrepairable + rejected > 0, "
        f"'incomplete', '{COMPLETE}') AS verdict\n"
        f"FROM (SELECT *, {length('spans')} AS covered, {length(accounted)} AS known "
        f"FROM (SELECT *, {_narrowest(f'arrayFilter(g -> {about}, ({gaps}))')} AS gaps "
        # where nothing was covered, a row that says so
        "FROM (SELECT if(one.1 = '', {exchange:String}, toString(one.1)) AS exchange, "
        "if(one.2 = '', {symbol:String}, toString(one.2)) AS symbol, "
        "if(one.3 = '', {stream:String}, toString(one.3)) AS stream, toString(one.4) AS interval, "
        "one.5 AS connections, one.6 AS spans "
        "FROM (SELECT arrayJoin(arrayResize(found, greatest(1, length(found)))) AS one "
        "FROM (SELECT groupArray((toString(exchange), toString(symbol), toString(stream), toString(interval), "
        f"connections, spans)) AS found FROM ({series}))))))\n"
        "ORDER BY exchange, symbol, stream, interval"
    )
    return QueryView(COMPLETE, select, _ABOUT, COLUMNS, PARAMETERS)


def _narrowest(gaps: str) -> str:
    """Of several rows of one gap the one that says most about the series."""
    named = f"(g.1, g.7, (g.2 != '') + (g.3 != '') + (g.3 = '{RAW_TRADE}') + (g.4 != ''))"
    following = "arrayResize(arrayPopFront(sorted), length(sorted))"
    last = "(g, h) -> (g.1, g.7) != (h.1, h.7)"
    return f"arrayFilter({last}, arraySort(g -> {named}, {gaps}) AS sorted, {following})"
