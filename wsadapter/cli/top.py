"""The live table: /status once a second, as tables on a terminal and as one line each time anywhere else.

Only reads; a monitor that is being restarted is waited for. Everything that comes from outside is shown as plain text.
Times are UTC, as in the log. Where a terminal has too few lines, what is as it should be is summed up.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from wsadapter.audit.conservation import Status
from wsadapter.audit.sheet import add_row, fitted, plain_table
from wsadapter.cli import condition, monitor_client, options
from wsadapter.errors import ExitCode, ServiceUnavailable

INTERVAL_SECONDS: Final = 1.0
LINE_INTERVAL_SECONDS: Final = 5.0
"""Between two lines where there is no terminal."""
READY, NOT_READY, STOPPING = "ready", "not ready", "stopping"
MIB: Final = 1_048_576
MAX_REASONS: Final = 10
MAX_LINE_REASONS: Final = 3
MARGIN_LINES: Final = 3
"""Of a terminal, besides the tables."""
_WORDS: Final = ("stream", "connection", "process", "state", "about", "placed")
_GOOD: Final = ("running", "live", "acked", "up")
_BAD: Final = ("down", "refused", "paused")


@click.command()
@options.CONFIG
@click.option("--interval", callback=options.seconds, metavar="DURATION", help="Time between two updates.")
@click.pass_obj
@options.until_enough()
def top(group_path: str | None, config_path: str | None, interval: float | None) -> int:
    """Watch a running instance: a live table, or lines when this is no terminal."""
    address = monitor_client.address(options.load(config_path or group_path, demo=True))
    monitor_client.fetch(address)  # no monitor at all: an error, not a table that waits for one
    watch(address, threading.Event().wait, interval)
    return ExitCode.OK


def watch(
    url: str, wait: Callable[[float], bool], interval: float | None = None, console: Console | None = None
) -> None:
    """Show /status of ``url`` until ``wait(seconds)`` returns True (e.g. `threading.Event.wait`). A monitor that does
    not answer (yet, or any more) is waited for."""
    console = console or Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        _lines(url, wait, interval, console)
        return
    with Live(Text("waiting for the monitor"), console=console, auto_refresh=False) as live:
        tables(url, wait, interval, live)


def tables(url: str, wait: Callable[[float], bool], interval: float | None, live: Live) -> None:
    """On a display that is there already."""
    before: Status = {}
    while True:
        if status := try_fetch(url):
            live.update(view(status, before, live.console), refresh=True)
            before = status
        elif before:
            away = Text(f"no answer from {url}", "bold red")
            live.update(Group(away, view(before, None, live.console)), refresh=True)
        if wait(interval or INTERVAL_SECONDS):
            return


def _lines(url: str, wait: Callable[[float], bool], interval: float | None, console: Console) -> None:
    before: Status = {}
    while True:
        status = try_fetch(url)
        if status or before:  # before the first answer there is nothing to tell
            console.print(Text(line(status, before) if status else f"no answer from {url}"), soft_wrap=True)
        before = status or before
        if wait(interval or (LINE_INTERVAL_SECONDS if before else INTERVAL_SECONDS)):
            return


def try_fetch(url: str) -> Status:
    """Empty when nothing answers."""
    try:
        return monitor_client.fetch(url)
    except ServiceUnavailable:
        return {}


def line(status: Status, before: Status | None) -> str:
    """The whole pipeline in one line."""
    totals, flow = status["totals"], status["flow"]
    word, _ = _readiness(status)
    fills = [ring["fill"] for ring in status["rings"]]
    parts = [
        f"{_clock(status)} UTC",
        word,
        f"events {_sum(flow, 'events'):,}",
        f"{_rate(status, before, lambda s: _sum(s['flow'], 'events')) or 0:,.0f}/s",
        f"ring {max(fills, default=0.0):.1%}",
        f"in Kafka {_sum(flow, 'in_kafka'):,}",
        condition.lag(status),
        f"rows {_sum(flow, 'rows'):,}",
        f"rejected {_sum(flow, 'rejected'):,}",
        f"dropped {_sum(flow, 'dropped'):,}",
        f"gaps {sum(totals['gaps'].values()):,}",
        *([f"open gaps {count:,}"] if (count := status["open_gaps"]["count"]) else []),
        *condition.spool(status),
    ]
    if word == NOT_READY:
        reasons = status["reasons"]
        more = f"; and {len(reasons) - MAX_LINE_REASONS} more" if len(reasons) > MAX_LINE_REASONS else ""
        parts.append(f"({'; '.join(reasons[:MAX_LINE_REASONS])}{more})")
    return "  ".join(parts)


def _sum(flow: list[dict[str, Any]], column: str) -> int:
    """Of the venues' events: what the recorder says of its recording is no event."""
    return sum(int(row[column]) for row in flow if not row["ours"])


def view(status: Status, before: Status | None, console: Console) -> RenderableType:
    """What is wrong first, then the tables of one moment; rates are over the time since ``before``, and left out when
    there is none."""
    parts = [*_head(status), fitted(console, _streams(status, before)), *_latency(status)]
    connections, children = _connections(status, before), _children(status)
    room = console.height - MARGIN_LINES - len(parts) - len(status["flow"]) if console.is_terminal else sys.maxsize
    if len(status["connections"]) + len(status["children"]) <= room:
        return Group(*parts, fitted(console, connections), fitted(console, children))
    is_stopping = _readiness(status)[0] == STOPPING
    odd = [child for child in status["children"] if child["state"] != "running" and not is_stopping]
    return Group(
        *parts, *_summed_up(status), *([fitted(console, _children(status | {"children": odd}))] if odd else [])
    )


def _head(status: Status) -> list[Text]:
    """In words: is it ready, since when not and why, how far it is behind, how long the spool lasts, which gaps last,
    and the last errors."""
    word, style = _readiness(status)
    head = Text(word, style)
    if word == NOT_READY and (since := status["not_ready_since"]):
        head.append(f" for {condition.span(status['time'] - since)}")
    uptime = status["supervisor"].get("uptime_seconds")
    about = [f"{_clock(status)} UTC", f"instance {status['instance']}", f"version {status['version']}"]
    about += [f"up {condition.span(uptime)}"] if uptime is not None else []
    head.append("  " + "  ".join(about), "not bold default")
    named = [*(status["reasons"] if word == NOT_READY else []), *condition.problems(status)]
    reasons = [Text(f"  {reason}", "red") for reason in named[:MAX_REASONS]]
    if (more := len(named) - MAX_REASONS) > 0:
        reasons.append(Text(f"  and {more} more", "red"))
    told = [*condition.spool(status), *condition.open_gaps(status), *condition.errors(status)]
    return [head, *reasons, Text(f"  {condition.lag(status)}"), *(Text(f"  {text}", "yellow") for text in told)]


def _latency(status: Status) -> list[Text]:
    return [Text(text) for text in condition.latency(status)]


def _readiness(status: Status) -> tuple[str, str]:
    """In a word, and its style. What ends in order is not ready for no other reason."""
    if any(child["role"] == "supervisor" and child["state"] == STOPPING for child in status["children"]):
        return STOPPING, "bold yellow"
    return (READY, "bold green") if status["ready"] else (NOT_READY, "bold red")


def _clock(status: Status) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(status["time"]))


def _streams(status: Status, before: Status | None) -> Table:
    rates = () if before is None else ("events/s",)
    table = plain_table(
        "stream", *rates, "events", "in Kafka", "rows", "open candles", "rejected", "dropped", words=_WORDS
    )
    for row in status["flow"]:
        rate = _rate(status, before, lambda s, name=row["stream"]: _events(s, name))  # type: ignore[misc]
        add_row(
            table, row["stream"], *((rate,) if rates else ()), row["events"], row["in_kafka"], row["rows"],
            row["open_candles"] or "", row["rejected"], row["dropped"],
        )  # fmt: skip
    return table


def _events(sample: Status, name: str) -> int:
    return sum(int(row["events"]) for row in sample["flow"] if row["stream"] == name)


def _connections(status: Status, before: Status | None) -> Table:
    rings = {ring["connection"]: ring for ring in status["rings"]}
    rates = () if before is None else ("frames/s",)
    table = plain_table(
        "connection", "state", *rates, "frames", "age", "ring", "reconnects", "bad", "gaps", words=_WORDS
    )
    for connection in status["connections"]:
        name = connection["connection"]
        ring = rings.get(name, {"fill": 0.0})
        rate = _rate(status, before, lambda s, name=name: _frames(s, name))  # type: ignore[misc]
        age = connection["last_receive_age_seconds"]
        add_row(
            table, name, _word("up" if connection["up"] else "down"), *((rate,) if rates else ()), connection["frames"],
            "never" if age is None else f"{age:.1f} s", f"{ring['fill']:.1%}", connection["reconnects"],
            connection["decode_errors"], connection["gaps"],
        )  # fmt: skip
    return table


def _children(status: Status) -> Table:
    table = plain_table(
        "process", "state", "restarts", "pid", "memory", "rings", "placed", "about", words=_WORDS, wraps=["about"]
    )
    about = _about(status)
    for child in status["children"]:
        add_row(
            table, child["name"], _word(child["state"]), child["restarts"], str(child["pid"] or ""),
            _mib(child["private_bytes"]), _mib(child["shared_bytes"] or None), _placed(child),
            child["stage"] or about.get(child["name"], ""),
        )  # fmt: skip
    return table


def _summed_up(status: Status) -> list[Text]:
    """Connections and processes where there is no room for a line each."""
    connections, children = status["connections"], status["children"]
    up = sum(connection["up"] for connection in connections)
    running = sum(child["state"] == "running" for child in children)
    memory = sum(child["private_bytes"] or 0 for child in children)
    rings = sum(ring["used_bytes"] for ring in status["rings"])
    about = _about(status)
    return [
        Text(f"connections {up} of {len(connections)} up, rings hold {rings / MIB:.1f} MiB"),
        Text(f"processes {running} of {len(children)} running, memory {memory / MIB:,.0f} MiB of their own"),
        *(Text(f"{name}: {text}") for name, text in about.items()),
    ]


def _mib(octets: int | None) -> str:
    return "" if octets is None else f"{octets / MIB:.0f} MiB"


def _placed(child: Status) -> str:
    """Where it may run, as the kernel says; nothing is said of what is as usual."""
    cpus = child["cpus"]
    if cpus is None:
        return ""
    parts = [f"cpu {','.join(map(str, cpus))}"] if len(cpus) < (os.cpu_count() or 1) else []
    parts += [f"nice {child['nice']}"] if child["nice"] else []
    parts += [f"locked {child['locked_bytes'] / MIB:.0f} MiB"] if child["locked_bytes"] else []
    return " ".join(parts)


def _about(status: Status) -> dict[str, str]:
    """Name of a process -> what its services and queues are like."""
    about: dict[str, str] = {}
    for serializer in status["serializers"]:
        parts = [f"Kafka {_up(serializer['broker_up'])}", f"outstanding {serializer['outstanding']:,}"]
        if records := serializer["spool_records"]:
            parts.append(f"spool {records:,} records, {serializer['spool_bytes'] / MIB:.1f} MiB")
        about[serializer["name"]] = ", ".join(parts)
    for consumer in status["consumers"]:
        several = consumer["clickhouse_endpoints"]
        parts = [f"Kafka {_up(consumer['broker_up'])}", f"ClickHouse {_up(consumer['clickhouse_up'])}"]
        parts[-1] += "".join(f" ({each['endpoint']})" for each in several if each["in_use"] and len(several) > 1)
        unknown = f" (unknown: {' '.join(consumer['lag_unknown'])})" if consumer["lag_unknown"] else ""
        parts += [f"lag {sum(consumer['lag'].values()):,}{unknown}", f"inserts {consumer['inserts']:,}"]
        parts += [f"paused {' '.join(consumer['paused'])}"] if consumer["paused"] else []
        about[consumer["name"]] = ", ".join(parts)
    return about


def _word(state: str) -> Text:
    return Text(state, "green" if state in _GOOD else "red" if state in _BAD else "yellow")


def _up(up: bool) -> str:
    return "up" if up else "down"


def _frames(status: Mapping[str, Any], connection: str) -> int:
    return sum(c["frames"] for c in status["connections"] if c["connection"] == connection)


def _rate(status: Status, before: Status | None, count: Callable[[Status], int]) -> float | None:
    """Per second since ``before``; a counter that began again gives 0, never a negative rate."""
    if not before or status["time"] <= before["time"]:
        return None
    return max(0, count(status) - count(before)) / float(status["time"] - before["time"])
