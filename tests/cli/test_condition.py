"""What `top` and `status` say in words: the same as the page."""

import io
from typing import Any

from rich.console import Console

from wsadapter.cli import condition, top

NOW = 1_795_800_000.0
GAP = {
    "exchange": "binance", "connection": "binance-market-0", "subscription": "btcusdt@aggTrade", "stream": "trade",
    "symbol": "BTCUSDT", "cause": "stale", "since": NOW - 14.0,
}  # fmt: skip
ERROR = {
    "time": NOW - 3.0, "name": "binance-market-0", "metric": "decode_errors_total", "labels": "json", "count": 2,
    "what": "Frames or events that the decoder refused",
}  # fmt: skip
RECEIVED = {
    "hop": "venue_to_receive", "exchange": "binance", "samples": 9, "p50_seconds": 0.0031, "p99_seconds": 0.25,
    "clock_offset_seconds": -0.004, "clock_error_seconds": 0.012,
}  # fmt: skip
INSERTED = {
    "hop": "delivered_to_inserted", "exchange": "", "samples": 9, "p50_seconds": 1.25, "p99_seconds": None,
    "clock_offset_seconds": None, "clock_error_seconds": None,
}  # fmt: skip


def status(**changes: Any) -> dict[str, Any]:
    found = {
        "time": NOW, "ready": True, "reasons": [], "not_ready_since": None, "instance": "i", "version": "1",
        "totals": {"lag": 120, "gaps": {}}, "lag_seconds": 1.5, "latency": [], "errors": [], "flow": [], "rings": [],
        "spool": {"records": 0, "bytes": 0, "max_bytes": 1, "seconds_left": None}, "supervisor": {},
        "open_gaps": {"count": 0, "to_repair": 0, "gaps": []}, "connections": [], "children": [], "serializers": [],
        "consumers": [],
    }  # fmt: skip
    return found | changes


def test_lag_is_in_seconds_where_it_is_worked_off() -> None:
    assert condition.lag(status()) == "lag 1.5 s (120)"
    assert condition.lag(status(lag_seconds=None)) == "lag 120 messages, not known in seconds"
    assert condition.lag(status(totals={"lag": None}, lag_seconds=None)) == "lag unknown"


def test_gaps_that_last_say_since_when_and_more_than_are_shown_are_counted() -> None:
    gaps = {"count": 7, "to_repair": 2, "gaps": [GAP, GAP | {"symbol": "", "stream": "", "subscription": ""}] * 3}
    lines = condition.open_gaps(status(open_gaps=gaps))

    assert lines[:3] == [
        "7 open gaps",
        "  binance-market-0 BTCUSDT trade: stale since 17:19:46 (14 s)",
        "  binance-market-0 the whole connection: stale since 17:19:46 (14 s)",
    ]
    assert lines[-2:] == ["  and 2 more", "2 gaps ended, being repaired"]


def test_last_errors() -> None:
    assert condition.errors(status(errors=[ERROR]))[1] == (
        "  17:19:57 binance-market-0: Frames or events that the decoder refused, json (2)"
    )


def test_how_late_events_are_with_the_clock_beside_it() -> None:
    unknown = RECEIVED | {"exchange": "kraken", "clock_offset_seconds": None, "clock_error_seconds": None}
    assert condition.latency(status(latency=[RECEIVED, unknown, INSERTED])) == [
        "venue to receipt: binance p50 3.1 ms, p99 250 ms (its clock behind by 4.0 ms ± 12 ms); "
        "kraken p50 3.1 ms, p99 250 ms (its clock is not known)",
        "Kafka to ClickHouse: p50 1.2 s, p99 over 5 min",
    ]


def test_verdict_and_problems_stand_first() -> None:
    gaps = {"count": 1, "to_repair": 0, "gaps": [GAP]}
    found = status(
        ready=False, reasons=["consumer-0: slow"], lag_seconds=90.0, open_gaps=gaps, errors=[ERROR], latency=[RECEIVED]
    )
    output = io.StringIO()
    console = Console(file=output, width=200)
    console.print(top.view(found, None, console))
    lines = output.getvalue().splitlines()

    assert lines[0].startswith("not ready")
    assert lines[1:3] == ["  consumer-0: slow", "  ClickHouse is 1 m 30 s behind Kafka"]
    assert lines[3] == "  lag 1 m 30 s (120)"
    assert "stale since" in output.getvalue()
    assert "decoder refused" in output.getvalue()
