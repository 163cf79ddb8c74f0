"""The views ``funding_settled`` and ``funding_predicted``: table ``funding_rate`` holds both, ``settled`` says which.

What was paid is settled: one row for each payment, from the venue's history over REST; what is paid beside the rate of
a funding interval (dividends of equity perpetuals) has ordinal 1. What the venue expects for the next time is
predicted, and changes until then. Each row is there once (FINAL). Text only.
"""

from typing import Final

from wsadapter.clickhouse.conversion import quoted
from wsadapter.clickhouse.query_view import QueryView, ViewColumn, selected
from wsadapter.clickhouse.units import TIME
from wsadapter.events.descriptions import of_field

_NAME: Final = "LowCardinality(String)"
_RATE: Final = "Decimal(38, 18)"


def _column(name: str, kind: str, source: str = "", about: str = "") -> ViewColumn:
    return ViewColumn(name, f"t.{quoted(source or name)}", kind, about or of_field("funding_rate", name))


_SETTLED: Final = (
    _column("exchange", _NAME),
    _column("symbol", _NAME),
    _column("funding_time", TIME, "time", "when it was paid"),
    _column("funding_rate", _RATE, about="of the position's value; above 0: longs pay shorts"),
    _column("mark_price", "Nullable(Decimal(38, 12))", about="what the position was valued at, where the venue says"),
    _column("receive_time", TIME),
    _column("source", _NAME),
    _column("ordinal", "Int32", about="0: the rate of a funding interval; 1: paid beside it (dividends)"),
)
_PREDICTED: Final = (
    _column("exchange", _NAME),
    _column("symbol", _NAME),
    _column("time", TIME),
    _column("funding_rate", _RATE, about="that the venue expects for next_funding_time"),
    _column("next_funding_time", f"Nullable({TIME})"),
    _column("mark_price", "Nullable(Decimal(38, 12))"),
    _column("receive_time", TIME),
    _column("source", _NAME),
)


def funding_views(database: str) -> tuple[QueryView, QueryView]:
    source = f"\nFROM {quoted(database)}.`funding_rate` AS t FINAL\nWHERE "
    return (
        QueryView(
            "funding_settled", f"{selected(_SETTLED)}{source}t.settled",
            "funding rates that were paid: one row for each funding time, and one for what was paid beside it",
            _SETTLED,
        ),
        QueryView(
            "funding_predicted", f"{selected(_PREDICTED)}{source}NOT t.settled",
            "funding rates that the venue expected, one row for each change", _PREDICTED,
        ),
    )  # fmt: skip
