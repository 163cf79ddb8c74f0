"""`audit`: is what was recorded complete, and does everything that entered the pipeline come out of it?

Two parts: the tables (`wsadapter.audit.tables`), and the counters of a running instance
(`wsadapter.audit.conservation`). Exit 0 when everything is explained, 75 when something is not, is in no table, or when
nothing was recorded, 69 when ClickHouse (or, with ``--live``, the monitor) is away.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import click
from rich.console import Console

from wsadapter.audit import conservation, tables, tail, view
from wsadapter.audit.configured import configured
from wsadapter.audit.conservation import UNEXPLAINED, Live, Status
from wsadapter.audit.rows import HOUR_NS, STREAMS, Scope
from wsadapter.audit.tables import FAILED, Report
from wsadapter.cli import known_names, monitor_client, options
from wsadapter.cli.status import PIPE_WIDTH
from wsadapter.clickhouse.client import asker
from wsadapter.config.model import Config
from wsadapter.errors import ExitCode, ServiceUnavailable
from wsadapter.listings.feeds import resolved
from wsadapter.times import SECOND

FRESH_NS: Final = 12 * SECOND
"""A gap's row may come so much later than what followed the gap: its table is quiet, and quiet batches wait."""
FRESH_RETRIES: Final = 4
SAMPLE_SECONDS: Final = 0.5
SAMPLES: Final = 14
"""Over somewhat more than the 5 s after which a consumer asks what was rejected."""
PATIENT_SAMPLES: Final = 90
"""So many while something is unexplained, or nothing comes out of a hop: on a machine that is overloaded one may take
long, a loss stays."""

Pause = Callable[[float], object]


@click.command()
@options.CONFIG
@options.SINCE
@options.UNTIL
@options.EXCHANGE
@options.SYMBOL
@options.STREAM
@options.JSON
@click.option("--live", is_flag=True, help="A running instance must be there to have its counters checked.")
@click.pass_obj
def audit(
    group_path: str | None, config_path: str | None, since: int | None, until: int | None, exchange: str, symbol: str,
    stream: str, as_json: bool, live: bool,
) -> int:  # fmt: skip
    """Prove that what was recorded is complete: exit 75 when a hole has no explanation."""
    options.one_of("--stream", stream, STREAMS)
    options.in_order(since, until)
    config = options.load(config_path or group_path, demo=True)
    known_names.refuse_unknown(config, exchange, symbol, known_names.in_tables(config.clickhouse, exchange))
    return _audit(config, Scope(time.time_ns(), since, until, exchange, symbol, stream), live, as_json)


def _audit(config: Config, scope: Scope, live: bool, as_json: bool) -> int:
    pause = threading.Event().wait
    first = _try_fetch(config, required=live)
    balance = _balance(config, first, scope.stream, pause) if first else None
    report = _report(config, scope, pause)
    report = report.with_tail(tail.find(config.kafka, scope, balance))
    failed = report.verdict in FAILED or (balance is not None and balance.verdict == UNEXPLAINED)
    if as_json:
        click.echo(json.dumps(view.to_json(scope, report, balance, failed), indent=2))
    else:
        width = None if sys.stdout.isatty() else PIPE_WIDTH
        view.show(Console(file=sys.stdout, highlight=False, width=width), scope, report, balance)
    return ExitCode.LOSS if failed else ExitCode.OK


def _report(config: Config, scope: Scope, pause: Pause) -> Report:
    """Ask again while what is unexplained is so fresh that rows about it may not be in the tables yet."""
    ask = asker(config.clickhouse)
    retention_ns = round(config.kafka.retention_hours * HOUR_NS)
    wanted = configured(resolved(config).config.feed, scope)
    report = tables.audit(ask, config.clickhouse.database, scope, retention_ns, wanted)
    for _ in range(FRESH_RETRIES):
        if not report.is_fresh(time.time_ns() - FRESH_NS):
            break
        pause(FRESH_NS / FRESH_RETRIES / SECOND)
        report = tables.audit(ask, config.clickhouse.database, scope, retention_ns, wanted)
    return report


def _try_fetch(config: Config, required: bool) -> Status | None:
    try:
        return monitor_client.fetch(monitor_client.address(config))
    except ServiceUnavailable:
        if required:
            raise
        return None


def _balance(config: Config, first: Status, stream: str, pause: Pause) -> Live | None:
    samples = [first]
    while len(samples) < PATIENT_SAMPLES and not conservation.is_final(samples):
        if len(samples) >= SAMPLES and not conservation.balance(samples, stream).is_undecided:
            break
        pause(SAMPLE_SECONDS)
        if (sample := _try_fetch(config, required=False)) is not None:
            samples.append(sample)
        elif len(samples) == 1:
            return None  # it has just gone
    return conservation.balance(samples, stream)
