"""The live table: /status once a second, as tables on a terminal and as one line each time anywhere else.

Only reads; a monitor that is being restarted is waited for. Everything that comes from outside is shown as plain text.
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
from wsadapter.audit.sheet import add_row, plain_table
from wsadapter.cli import monitor_client, options
from wsadapter.errors import ExitCode, ServiceUnavailable

INTERVAL_SECONDS: Final = 1.0
LINE_INTERVAL_SECONDS: Final = 5.0
"""Between two lines where there is no terminal."""
_COUNTS: Final = ("events", "delivered", "accepted_rows", "rejected_rows", "dropped")
_FLOW: Final = ("connection", "state", "frames", "age", "ring", "reconnects", "bad", "gaps")
_WORDS: Final = ("stream", "connection", "process", "state", "about")
_GOOD: Final = ("running", "live", "acked", "up")
_BAD: Final = ("down", "refused", "paused")


@click.command()
@options.CONFIG
@click.option("--interval", callback=options.seconds, metavar="DURATION", help="Time between two updates.")
@click.pass_obj
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
    (_tables if console.is_terminal else _lines)(url, wait, interval, console)


def _tables(url: str, wait: Callable[[float], bool], interval: float | None, console: Console) -> None:
    before: Status = {}
    with Live(Text("waiting for the monitor"), console=console, auto_refresh=False) as live:
        while True:
            if status := _try_fetch(url):
                live.update(view(status, before), refresh=True)
                before = status
            elif before:
                live.update(Group(Text(f"no answer from {url}", "bold red"), view(before, None)), refresh=True)
            if wait(interval or INTERVAL_SECONDS):
                return


def _lines(url: str, wait: Callable[[float], bool], interval: float | None, console: Console) -> None:
    before: Status = {}
    while True:
        status = _try_fetch(url)
        if status or before:  # before the first answer there is nothing to tell
            console.print(Text(line(status, before) if status else f"no answer from {url}"), soft_wrap=True)
        before = status or before
        if wait(interval or (LINE_INTERVAL_SECONDS if before else INTERVAL_SECONDS)):
            return


def _try_fetch(url: str) -> Status:
    """Empty when nothing answers."""
    try:
        return monitor_client.fetch(url)
    except ServiceUnavailable:
        return {}


def line(status: Status, before: Status | None) -> str:
    """The whole pipeline in one line."""
    totals = status["totals"]
    fills = [ring["fill"] for ring in status["rings"]]
    events, rows = sum(totals["events"].values()), sum(totals["accepted_rows"].values())
    parts = [
        time.strftime("%H:%M:%S", time.localtime(status["time"])),
        "ready" if status["ready"] else "not ready",
        f"events {events:,}",
        f"{_rate(status, before, lambda s: sum(s['totals']['events'].values())) or 0:,.0f}/s",
        f"ring {max(fills, default=0.0):.1%}",
        f"in Kafka {sum(totals['delivered'].values()):,}",
        "lag unknown" if totals["lag"] is None else f"lag {totals['lag']:,}",
        f"rows {rows:,}",
        f"rejected {sum(totals['rejected_rows'].values()):,}",
        f"dropped {sum(totals['dropped'].values()):,}",
        f"gaps {sum(totals['gaps'].values()):,}",
    ]
    if status["reasons"]:
        parts.append(f"({'; '.join(status['reasons'][:3])})")
    return "  ".join(parts)


def view(status: Status, before: Status | None) -> RenderableType:
    """The tables of one moment; rates are over the time since ``before``, and left out when there is none."""
    head = Text("ready" if status["ready"] else "not ready", "bold green" if status["ready"] else "bold red")
    supervisor = status["supervisor"]
    uptime = supervisor.get("uptime_seconds")
    head.append(f"  instance {status['instance']}  version {status['version']}", "not bold default")
    head.append(f"  up {uptime:.0f} s" if uptime is not None else "", "not bold default")
    reasons = [Text(f"  {reason}", "red") for reason in status["reasons"][:10]]
    return Group(head, *reasons, *filter(None, (_streams(status, before), _flow(status, before), _children(status))))


def _streams(status: Status, before: Status | None) -> Table:
    totals = status["totals"]
    rates = () if before is None else ("events/s",)
    table = plain_table("stream", *rates, "events", "in Kafka", "rows", "rejected", "dropped", words=_WORDS)
    for name in sorted({*totals["events"], *totals["polled"], *totals["accepted_rows"], *totals["sent"]}):
        counts = [
            totals[key].get(name, 0) for key in ("events", "delivered", "accepted_rows", "rejected_rows", "dropped")
        ]
        counts[0] += totals["polled"].get(name, 0)
        rate = _rate(status, before, lambda s, name=name: _events(s, name))  # type: ignore[misc]
        add_row(table, name, *((rate,) if rates else ()), *counts)
    return table


def _events(sample: Status, name: str) -> int:
    """Received or polled."""
    totals = sample["totals"]
    return int(totals["events"].get(name, 0) + totals["polled"].get(name, 0))


def _flow(status: Status, before: Status | None) -> Table:
    rings = {ring["connection"]: ring for ring in status["rings"]}
    rates = () if before is None else ("frames/s",)
    table = plain_table(*_FLOW[:2], *rates, *_FLOW[2:], words=_WORDS)
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
        "process", "state", "restarts", "pid", "memory", "placed", "about", words=_WORDS, wraps=["about"]
    )
    about = _about(status)
    for child in status["children"]:
        # without the rings: they are one memory, whoever has touched them
        memory = None if child["rss_bytes"] is None else child["rss_bytes"] - child["shared_bytes"]
        add_row(
            table, child["name"], _word(child["state"]), child["restarts"], str(child["pid"] or ""),
            "" if memory is None else f"{memory / 1048576:.0f} MiB", _placed(child), about.get(child["name"], ""),
        )  # fmt: skip
    return table


def _placed(child: Status) -> str:
    """Where it may run, as the kernel says; nothing is said of what is as usual."""
    cpus = child["cpus"]
    if cpus is None:
        return ""
    parts = [f"cpu {','.join(map(str, cpus))}"] if len(cpus) < (os.cpu_count() or 1) else []
    parts += [f"nice {child['nice']}"] if child["nice"] else []
    parts += [f"locked {child['locked_bytes'] / 1048576:.0f} MiB"] if child["locked_bytes"] else []
    return " ".join(parts)


def _about(status: Status) -> dict[str, str]:
    """Name of a process -> what its services and queues are like."""
    about: dict[str, str] = {}
    for serializer in status["serializers"]:
        parts = [f"Kafka {_up(serializer['broker_up'])}", f"outstanding {serializer['outstanding']:,}"]
        if records := serializer["spool_records"]:
            parts.append(f"spool {records:,} records, {serializer['spool_bytes'] / 1048576:.1f} MiB")
        about[serializer["name"]] = ", ".join(parts)
    for consumer in status["consumers"]:
        parts = [f"Kafka {_up(consumer['broker_up'])}", f"ClickHouse {_up(consumer['clickhouse_up'])}"]
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
