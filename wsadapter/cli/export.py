"""`export`: what was recorded, as a Parquet file a day and series, with a manifest beside it that says what is missing.

Exit 0 when every day is complete, 75 when one is not (its files are written all the same, and say so), 69 when
ClickHouse is away, 70 when the disk refuses.
"""

import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from wsadapter.archives.exporting import DAY_NS, Exporter, Manifest
from wsadapter.archives.series import Series
from wsadapter.audit.sheet import add_row, plain_table, print_whole
from wsadapter.cli import completion, known_names, options
from wsadapter.cli.status import PIPE_WIDTH
from wsadapter.clickhouse.client import asker, connect
from wsadapter.config.types import INTERVALS
from wsadapter.errors import ExitCode
from wsadapter.events.streams import SPECS

STREAMS: Final = tuple(spec.name for spec in SPECS if not spec.ours)
MOST_DAYS: Final = 10_000
ANSWER_SECONDS: Final = 600.0
_DATE: Final = click.DateTime(["%Y-%m-%d"])


@click.command()
@options.CONFIG
@click.option("--exchange", required=True, help="Of this exchange.", shell_complete=completion.exchanges)
@click.option(
    "--symbol", "symbols", required=True, multiple=True, help="In the venue's text; several times for several.",
    shell_complete=completion.symbols,
)  # fmt: skip
@click.option(
    "--stream", "streams", required=True, multiple=True, help="Stream word; several times for several.",
    shell_complete=completion.streams,
)  # fmt: skip
@click.option(
    "--interval", "intervals", multiple=True, help="Of candles; those there are if left out.",
    shell_complete=completion.intervals,
)  # fmt: skip
@click.option("--from", "begin", type=_DATE, required=True, metavar="DATE", help="The first day, UTC.")
@click.option("--to", "end", type=_DATE, metavar="DATE", help="The day after the last one; today if left out.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR", help="Where files go."
)
@options.JSON
@click.pass_obj
def export(
    group_path: str | None, config_path: str | None, exchange: str, symbols: tuple[str, ...], streams: tuple[str, ...],
    intervals: tuple[str, ...], begin: datetime, end: datetime | None, out: Path, as_json: bool,
) -> int:  # fmt: skip
    """Export what was recorded: Parquet files by day, each with a manifest of what is missing."""
    for option, words, known in (("--stream", streams, STREAMS), ("--interval", intervals, INTERVALS)):
        for word in words:
            options.one_of(option, word, known)
    if intervals and "kline" not in streams:
        raise click.UsageError("--interval goes with --stream kline")
    days = days_of(begin, end)
    config = options.load(config_path or group_path, demo=True)
    for symbol in symbols:
        known_names.refuse_unknown(config, exchange, symbol, known_names.in_tables(config.clickhouse, exchange))
    asker(config.clickhouse)
    client = connect(config.clickhouse, ANSWER_SECONDS)
    try:
        exporter = Exporter(client, config.clickhouse, out)
        every = [Series(exchange, symbol, stream) for symbol in symbols for stream in streams]
        series = [each for one in every for each in _with_intervals(exporter, one, intervals, days)]
        manifests = _export(exporter, series, days)
    finally:
        client.close()
    _show(manifests, as_json)
    return ExitCode.OK if all(manifest.is_complete for manifest in manifests) else ExitCode.LOSS


def days_of(begin: datetime, end: datetime | None) -> list[int]:
    """Where each begins, in ns; raises `click.UsageError` where there is none."""
    first_ns = int(begin.replace(tzinfo=UTC).timestamp()) * 10**9
    today_ns = time.time_ns() // DAY_NS * DAY_NS
    end_ns = today_ns if end is None else int(end.replace(tzinfo=UTC).timestamp()) * 10**9
    end_ns = min(end_ns, today_ns + DAY_NS)
    if first_ns >= end_ns:
        raise click.UsageError("--from must be before --to, and in the past")
    if (count := (end_ns - first_ns) // DAY_NS) > MOST_DAYS:
        raise click.UsageError(f"{count} days, the most is {MOST_DAYS}")
    return list(range(first_ns, end_ns, DAY_NS))


def _with_intervals(exporter: Exporter, one: Series, intervals: Sequence[str], days: Sequence[int]) -> list[Series]:
    if one.stream != "kline":
        return [one]
    found = intervals or exporter.intervals(one, days[0], days[-1] + DAY_NS)
    if not found:
        raise click.UsageError(f"no candles of {one.symbol} were recorded in these days: name an --interval")
    return [one._replace(interval=interval) for interval in found]


def _export(exporter: Exporter, series: Sequence[Series], days: Sequence[int]) -> list[Manifest]:
    """A bar on a terminal, else a line a file, on standard error."""
    manifests: list[Manifest] = []
    rows, began, total = 0, time.monotonic(), len(series) * len(days)
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(bar_width=None), TimeElapsedColumn()
    with Progress(*columns, console=console, expand=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        for one in series:
            for day_ns in days:
                manifests.append(exporter.run(one, day_ns))
                rows += manifests[-1].rows
                rate = rows / max(1e-3, time.monotonic() - began)
                text = f"file {len(manifests)} of {total} {' '.join(filter(None, one[1:]))}"
                bar.update(task, advance=1, description=f"{text} {rate:,.0f} rows/s")
                if not console.is_terminal:
                    click.echo(f"{text} {manifests[-1].day}: {manifests[-1].rows:,} rows", err=True)
    return manifests


def _show(manifests: Sequence[Manifest], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(list(manifests)), indent=2))
        return
    heads = ("symbol", "stream", "day", "rows", "bytes", "gaps", "unrecorded", "verdict")
    table = plain_table(*heads, words=("symbol", "stream", "day", "verdict"))
    for one in manifests:
        add_row(
            table, one.symbol, f"{one.stream} {one.interval}".strip(), one.day, one.rows, one.bytes, len(one.gaps),
            f"{one.unrecorded_seconds:,.0f} s", Text(one.verdict, "" if one.is_complete else "yellow"),
        )  # fmt: skip
    print_whole(Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH), table)
