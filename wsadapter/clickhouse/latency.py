"""The view ``latency(exchange, from, to)``: from the venue's time of an event to its read from our socket, by minute.

Two clocks: a host that is 5 ms ahead of the venue's sees 5 ms more, and one that is behind may see less than nothing.
``least_ms`` of many minutes is the way at its best plus that difference: what lies above it is not the clocks'. Only
what came over WebSocket counts, by the time that the venue sent it, or else that it happened (a trade may be told of
later). Text only.
"""

from collections.abc import Iterable
from typing import Final

from wsadapter.clickhouse.conversion import literal, quoted
from wsadapter.clickhouse.query_view import QueryView, ViewColumn

LATENCY: Final = "latency"
PARAMETERS: Final = "exchange='binance', from='2026-01-01 00:00:00', to='2026-01-01 01:00:00'"
_NAME: Final = "LowCardinality(String)"
_ABOUT: Final = (
    "from the venue's time of an event to its read from our socket, by minute (exchange empty: all). By two clocks: "
    "least_ms has the difference of them in it, and may be negative"
)
COLUMNS: Final = (
    ViewColumn("exchange", "exchange", _NAME, "the venue"),
    ViewColumn("stream", "stream", "String", "stream word"),
    ViewColumn("minute", "toStartOfMinute(time)", "DateTime('UTC')", "by the venue's clock"),
    ViewColumn("events", "count()", "UInt64", "that say when they were sent or happened"),
    ViewColumn("least_ms", "min(ms)", "Float64", "the fastest, milliseconds"),
    ViewColumn("p50_ms", "quantileTDigest(0.5)(ms)", "Float32", "half of them were faster"),
    ViewColumn("p90_ms", "quantileTDigest(0.9)(ms)", "Float32", "nine of ten were faster"),
    ViewColumn("p99_ms", "quantileTDigest(0.99)(ms)", "Float32", "99 of 100 were faster"),
    ViewColumn("greatest_ms", "max(ms)", "Float64", "the slowest"),
)


def latency_view(database: str, streams: Iterable[str]) -> QueryView:
    ms = (
        "(toUnixTimestamp64Nano(receive_time) - toUnixTimestamp64Nano(assumeNotNull(coalesce(event_time, "
        "transaction_time)))) / 1e6"
    )
    parts = "\n    UNION ALL ".join(
        f"SELECT exchange, {literal(stream)} AS stream, time, {ms} AS ms FROM {quoted(database)}.{quoted(stream)} "
        "WHERE ({exchange:String} = '' OR exchange = {exchange:String}) "
        "AND time >= {from:DateTime64(9, 'UTC')} AND time < {to:DateTime64(9, 'UTC')} AND source = 'WEBSOCKET' "
        "AND (event_time IS NOT NULL OR transaction_time IS NOT NULL)"
        for stream in streams
    )
    values = ",\n".join(f"    {c.value} AS {quoted(c.name)}" for c in COLUMNS)
    select = (
        f"SELECT\n{values}\nFROM (\n    {parts}\n)\nGROUP BY exchange, stream, minute\n"
        "ORDER BY exchange, stream, minute"
    )
    return QueryView(LATENCY, select, _ABOUT, COLUMNS, PARAMETERS)
