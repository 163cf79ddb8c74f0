"""How a running instance is, in lines of words, as the status page says it: how far the tables are behind in seconds,
the spool, the gaps that last and since when, the last errors, and how late events are hop by hop. Pure.
"""

import time
from typing import Any, Final

from wsadapter.audit.conservation import Status
from wsadapter.times import span as span_of

MIB: Final = 1_048_576
LATE_SECONDS: Final = 60.0
"""Behind which tables are a problem, although all is well with who fills them."""
MOST_LINES: Final = 5
"""Of gaps and of errors; /status has more."""
DAY_SECONDS: Final = 72_000.0
"""So long ago a time has its day."""
HOPS: Final = (
    ("venue_to_receive", "venue to receipt"),
    ("receive_to_delivered", "receipt to Kafka"),
    ("delivered_to_inserted", "Kafka to ClickHouse"),
)


def problems(status: Status) -> list[str]:
    """What /readyz does not say: tables that are far behind."""
    seconds = status["lag_seconds"]
    if seconds is None or seconds < LATE_SECONDS:
        return []
    return [f"ClickHouse is {span(seconds)} behind Kafka"]


def lag(status: Status) -> str:
    """In seconds, as fast as it is worked off now, and in messages."""
    messages, seconds = status["totals"]["lag"], status["lag_seconds"]
    if messages is None:
        return "lag unknown"
    if seconds is None:
        return f"lag {messages:,} messages, not known in seconds" if messages else "lag 0"
    return f"lag {span(seconds)} ({messages:,})"


def spool(status: Status) -> list[str]:
    """Nothing where it is empty."""
    found = status["spool"]
    if not found["records"]:
        return []
    lasts = found["seconds_left"]
    left = "" if lasts is None else f", full in {span(lasts)} at this rate"
    sizes = f"{found['bytes'] / MIB:,.1f} of {found['max_bytes'] / MIB:,.0f} MiB"
    return [f"spool {found['records']:,} records, {sizes}{left}"]


def open_gaps(status: Status) -> list[str]:
    """The longest first; nothing where none lasts."""
    found, now = status["open_gaps"], status["time"]
    lines = [f"{found['count']:,} open gaps"] if found["count"] else []
    for gap in found["gaps"][:MOST_LINES]:
        about = " ".join(part for part in (gap["symbol"], gap["stream"]) if part) or gap["subscription"]
        lines.append(
            f"  {gap['connection']} {about or 'the whole connection'}: {gap['cause']} "
            f"since {when(gap['since'], now)} ({span(now - gap['since'])})"
        )
    if (more := found["count"] - MOST_LINES) > 0:
        lines.append(f"  and {more:,} more")
    return [*lines, *([f"{found['to_repair']:,} gaps ended, being repaired"] if found["to_repair"] else [])]


def errors(status: Status) -> list[str]:
    """The newest first; nothing where there was none since the monitor started."""
    found, now = status["errors"], status["time"]
    lines = [f"{len(found)} errors since the monitor started, the newest first"] if found else []
    for error in found[:MOST_LINES]:
        which = f", {error['labels']}" if error["labels"] else ""
        lines.append(f"  {when(error['time'], now)} {error['name']}: {error['what']}{which} ({error['count']:,})")
    return lines


def latency(status: Status) -> list[str]:
    """A line a hop: of each exchange the median and the 99th percentile, and how its clock goes."""
    lines = []
    for hop, words in HOPS:
        rows = [row for row in status["latency"] if row["hop"] == hop]
        if rows:
            lines.append(f"{words}: " + "; ".join(_late(row, hop == HOPS[0][0]) for row in rows))
    return lines


def _late(row: dict[str, Any], has_clock: bool) -> str:
    name = f"{row['exchange']} " if row["exchange"] else ""
    text = f"{name}p50 {short(row['p50_seconds'])}, p99 {short(row['p99_seconds'])}"
    if not has_clock:
        return text
    offset, error = row["clock_offset_seconds"], row["clock_error_seconds"]
    if error is None:
        return f"{text} (its clock is not known)"
    return f"{text} (its clock {'behind' if offset < 0 else 'ahead'} by {short(abs(offset))} ± {short(error)})"


def short(seconds: float | None) -> str:
    """None: more than the histogram's last bound."""
    if seconds is None:
        return "over 5 min"
    if seconds < 1:
        return f"{seconds * 1000:.{1 if seconds < 0.01 else 0}f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else span(seconds)


def span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.{1 if seconds < 10 else 0}f} s"
    return span_of(int(seconds * 1e9))


def when(at: float, now: float) -> str:
    """UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S" if now - at > DAY_SECONDS else "%H:%M:%S", time.gmtime(at))
