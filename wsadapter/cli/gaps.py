"""`gaps`: the holes that were recorded, from table ``gap``: when, where, why, and whether they were repaired.

One line a hole, however many rows say how its streams are; ``--json`` has those, too.
"""

import json
import sys
import time
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wsadapter.audit import queries
from wsadapter.audit.queries import MAX_GAPS
from wsadapter.audit.recorded_holes import RecordedHole, holes
from wsadapter.audit.rows import GapRow, Scope
from wsadapter.audit.sheet import add_row, plain_table, print_whole
from wsadapter.cli import known_names, options
from wsadapter.cli.status import PIPE_WIDTH
from wsadapter.clickhouse.client import asker
from wsadapter.config.model import Config
from wsadapter.errors import ExitCode
from wsadapter.metrics import GAP_CAUSES, STREAM_WORDS
from wsadapter.times import SECOND, iso, short, span

MAX_SHOWN: Final = 1000
"""The newest so many; a range of time shows others."""
_HEADS: Final = (
    "started", "ended", "duration", "exchange", "connection", "symbol", "stream", "cause", "missing", "state",
)  # fmt: skip


@click.command()
@options.CONFIG
@options.SINCE
@options.UNTIL
@options.EXCHANGE
@options.SYMBOL
@options.STREAM
@click.option("--cause", default="", help="Only this cause.")
@options.JSON
@click.pass_obj
def gaps(
    group_path: str | None, config_path: str | None, since: int | None, until: int | None, exchange: str, symbol: str,
    stream: str, cause: str, as_json: bool,
) -> int:  # fmt: skip
    """List the gaps that were recorded, those about every symbol or stream (*) included."""
    options.one_of("--stream", stream, STREAM_WORDS)
    options.one_of("--cause", cause, GAP_CAUSES)
    options.in_order(since, until)
    config = options.load(config_path or group_path, demo=True)
    known_names.refuse_unknown(config, exchange, symbol, known_names.in_tables(config.clickhouse, exchange))
    return _gaps(config, Scope(time.time_ns(), since, until, exchange, symbol, stream), cause, as_json)


def _gaps(config: Config, scope: Scope, cause: str, as_json: bool) -> int:
    settings = config.clickhouse
    answer = asker(settings)(queries.gap_list(settings.database, scope, cause, MAX_GAPS))
    answered = msgspec.json.Decoder(GapRow, strict=False).decode_lines(answer)
    found = holes(answered)
    if len(found) > MAX_SHOWN or len(answered) == MAX_GAPS:
        found = found[: min(MAX_SHOWN, max(1, len(found) - 1))]  # the rows of the last one may be cut off
        click.echo(f"more than {len(found)} gaps: only the newest are shown", err=True)
    found.reverse()
    narrowed = bool(scope.stream or scope.symbol)
    _show(found, narrowed, as_json)
    return ExitCode.OK


@options.until_enough()
def _show(found: list[RecordedHole], narrowed: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_json(one, narrowed) for one in found], indent=2, ensure_ascii=False))
        return
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    print_whole(Console(file=sys.stdout, highlight=False, width=width), _table(found, narrowed))
    click.echo(_count(len(found)), err=True)


def _count(number: int) -> str:
    if not number:
        return "no gaps were recorded; whether anything was, `audit` says"
    return "1 gap" if number == 1 else f"{number} gaps"


def _table(found: list[RecordedHole], narrowed: bool) -> Table:
    table = plain_table(*_HEADS, words=[head for head in _HEADS if head not in ("duration", "missing")])
    for one in found:
        row = one.row
        stream = f"{row.stream} {row.interval}".strip()
        cells = (
            short(row.started_ns), short(row.ended_ns) or "open", span(_lasted(row)), row.exchange or "*",
            row.connection, row.symbol or "*", stream or "*", row.cause, _missing(row), one.state(narrowed),
        )  # fmt: skip
        add_row(table, *(Text(cell, "yellow" if cell == "open" else "") for cell in cells))
    return table


def _lasted(row: GapRow) -> int:
    return max(0, (time.time_ns() if row.ended_ns is None else row.ended_ns) - row.started_ns)


def _missing(row: GapRow) -> str:
    count = "" if row.missing_count is None else f"{row.missing_count:,}"
    if row.first_missing is None or row.last_missing is None:
        return count or "?"
    return f"{count} ({row.first_missing}-{row.last_missing})".strip()


def _json(one: RecordedHole, narrowed: bool) -> dict[str, Any]:
    row = one.row
    return {
        "gap_id": row.gap_id, "started": iso(row.started_ns), "ended": iso(row.ended_ns),
        "duration_seconds": _lasted(row) / SECOND, "exchange": row.exchange, "connection": row.connection,
        "symbol": row.symbol, "stream": row.stream, "interval": row.interval, "cause": row.cause,
        "first_missing": row.first_missing, "last_missing": row.last_missing, "missing_count": row.missing_count,
        "repair_state": one.state(narrowed),
        "parts": [
            {"stream": part.stream, "symbol": part.symbol, "interval": part.interval, "repair_state": part.repair_state}
            for part in one.parts
        ],
    }  # fmt: skip
