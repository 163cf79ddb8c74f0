"""`import`: the files that a venue publishes of past days, into the tables.

Which series a file is of says its published name; of one with another name the options. Every name is looked at before
anything is imported: one that says nothing, or another thing than an option, is a wrong command line (64). Exit 0 when
all files are wholly there, 75 when one could not be read, has lines that are no rows, or holes; 69 when ClickHouse is
away (what was done stays, and is not done again).
"""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import click
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from wsadapter.archives.files import found
from wsadapter.archives.filled_gaps import fill_all
from wsadapter.archives.importing import Importer, Outcome, Task
from wsadapter.archives.series import Series
from wsadapter.audit.sheet import add_row, plain_table, print_whole
from wsadapter.cli import completion, options
from wsadapter.cli.status import PIPE_WIDTH
from wsadapter.clickhouse import catalog
from wsadapter.clickhouse.client import connect
from wsadapter.config.types import INTERVALS
from wsadapter.errors import ExitCode
from wsadapter.exchanges import REGISTRY, load_archive
from wsadapter.exchanges.archives import Archive
from wsadapter.text import shown
from wsadapter.times import iso, short

TOLD: Final = 20
"""Refused lines and holes of a file that are said one by one."""
ANSWER_SECONDS: Final = 600.0
IMPORTED, ALREADY, FAILED = "imported", "already there", "failed"


@click.command("import")
@options.CONFIG
@click.argument("paths", metavar="FILE|DIRECTORY...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--exchange", required=True, help="Whose files they are.", shell_complete=completion.exchanges)
@click.option("--symbol", default="", help="Of files whose names do not say it.")
@click.option("--stream", default="", help="The same: kline, trade, raw_trade or book_ticker.")
@click.option("--interval", default="", help="The same, of candles.", shell_complete=completion.intervals)
@click.option("--again", is_flag=True, help="Also files that are there already.")
@options.JSON
@click.pass_obj
def import_files(
    group_path: str | None, config_path: str | None, paths: tuple[Path, ...], exchange: str, symbol: str, stream: str,
    interval: str, again: bool, as_json: bool,
) -> int:  # fmt: skip
    """Import the files that a venue publishes of past days: candles, trades, best prices."""
    options.one_of("--exchange", exchange, tuple(REGISTRY))
    archive = load_archive(exchange)
    if archive is None:
        have = " ".join(sorted(word for word in REGISTRY if load_archive(word) is not None))
        raise click.UsageError(f"--exchange {exchange}: its files are not known; those of: {have}")
    options.one_of("--stream", stream, archive.streams)
    options.one_of("--interval", interval, INTERVALS)
    tasks = tasks_of(archive, paths, exchange, symbol, stream, interval)
    settings = options.load(config_path or group_path, demo=True).clickhouse
    client = connect(settings, ANSWER_SECONDS)
    try:
        catalog.create_or_verify(client, settings)
        importer, outcomes = Importer(client, settings), []
        with _Watch(tasks) as watch:
            for task in tasks:
                watch.begin(task)
                outcomes.append(importer.run(task, watch.advance, again))
                watch.end(task, outcomes[-1])
        repaired = fill_all(client, settings, tasks)
    finally:
        client.close()
    _show(tasks, outcomes, repaired, as_json)
    return ExitCode.OK if all(outcome.whole for outcome in outcomes) else ExitCode.LOSS


def tasks_of(
    archive: Archive, paths: Iterable[Path], exchange: str, symbol: str, stream: str, interval: str
) -> list[Task]:
    """Of each file, in order; raises `click.UsageError` for what is not there, or of which nobody knows what it is."""
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise click.UsageError(f"{shown(str(missing[0]))} is not there")
    files, others = found(paths, lambda name: archive.named(name) is not None)
    if others:
        click.echo(f"{len(others)} files passed over, whose names are none of {exchange}'s: {others[0]}", err=True)
    if not files:
        raise click.UsageError(f"no files of {exchange} there")
    return [_task(archive, path, exchange, symbol, stream, interval) for path in files]


def _task(archive: Archive, path: Path, exchange: str, symbol: str, stream: str, interval: str) -> Task:
    named = archive.named(path.name)
    if named is None or (form := archive.format(word=named.word)) is None:
        form = archive.format(stream=stream) if stream else None
        if form is None or not symbol or bool(interval) != form.candles:
            wanted = "--symbol, --stream and (of candles) --interval"
            raise click.UsageError(f"{shown(path.name)}: its name is none that the venue gives its files: say {wanted}")
        return Task(path, exchange, form, symbol, interval)
    for option, own, asked in (
        ("--symbol", named.symbol, symbol), ("--stream", form.stream, stream), ("--interval", named.interval, interval),
    ):  # fmt: skip
        if asked and asked != own:
            raise click.UsageError(f"{shown(path.name)}: its name says {own or 'no interval'}, and {option} {asked}")
    return Task(path, exchange, form, named.symbol, named.interval, named.span)


class _Watch:
    """A bar on a terminal, else a line a file, on standard error."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._files, self._number = len(tasks), 0
        self._rows, self._before, self._began = 0, 0, time.monotonic()
        self._bytes = sum(task.path.stat().st_size for task in tasks)
        columns = TextColumn("{task.description}"), BarColumn(bar_width=None), TimeElapsedColumn()
        console = Console(stderr=True)
        self._bar = Progress(*columns, console=console, expand=True) if console.is_terminal else None
        self._task = self._bar.add_task("", total=self._bytes) if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, task: Task) -> None:
        self._number += 1
        self._name, self._size = task.path.name, task.path.stat().st_size
        self._draw(0)

    def advance(self, rows: int, at: int) -> None:
        self._rows += rows
        self._draw(at)

    def end(self, task: Task, outcome: Outcome) -> None:
        self._before += self._size
        self._draw(0)
        for line in told(task, outcome):
            self._say(line)
        if not self._bar:
            self._say(f"{self._place()}: {_what(outcome)}")

    def _place(self) -> str:
        return f"file {self._number} of {self._files} {self._name}"

    def _draw(self, at: int) -> None:
        if self._bar and self._task is not None:
            rate = self._rows / max(1e-3, time.monotonic() - self._began)
            self._bar.update(self._task, completed=self._before + at, description=f"{self._place()} {rate:,.0f} rows/s")

    def _say(self, text: str) -> None:
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(text, err=True)


def told(task: Task, outcome: Outcome) -> Iterable[str]:
    """What is not as it should be, each with its place."""
    name = task.path
    if outcome.reason:
        yield f"{name}: {outcome.reason}"
    for one in outcome.refused[:TOLD]:
        yield f"{name}:{one.line}: {one.reason}"
    if outcome.refused_count > TOLD:
        yield f"{name}: {outcome.refused_count - min(TOLD, len(outcome.refused))} more lines that are no rows"
    if outcome.annulled_count:
        yield f"{name}: {outcome.annulled_count:,} trades that the venue has annulled, passed over"
    for from_ns, to_ns in outcome.holes[:TOLD]:
        yield f"{name}: no rows between {short(from_ns)} and {short(to_ns)}"
    if outcome.hole_count > TOLD:
        yield f"{name}: {outcome.hole_count - min(TOLD, len(outcome.holes))} more holes"
    if outcome.again_count:
        yield f"{name}: {outcome.again_count:,} rows that ClickHouse had called inserted were not there: inserted again"
    if outcome.lacking_count:
        yield f"{name}: {outcome.lacking_count:,} rows that ClickHouse takes are not there: something removes them"


def _what(outcome: Outcome) -> str:
    return _state(outcome) if outcome.already or outcome.reason else f"{outcome.rows:,} rows"


def _state(outcome: Outcome) -> str:
    return FAILED if outcome.reason else ALREADY if outcome.already else IMPORTED


class _Account(Struct):
    """Of a series."""

    states: dict[str, int]
    rows: int = 0
    refused: int = 0
    holes: int = 0


def _show(tasks: Sequence[Task], outcomes: Sequence[Outcome], repaired: dict[Series, int], as_json: bool) -> None:
    if as_json:
        files = [_json(task, outcome) for task, outcome in zip(tasks, outcomes, strict=True)]
        gaps = [{**series._asdict(), "gaps_repaired": count} for series, count in repaired.items()]
        click.echo(json.dumps({"files": files, "series": gaps}, indent=2))
        return
    accounts: dict[Series, _Account] = {}
    for task, outcome in zip(tasks, outcomes, strict=True):
        account = accounts.setdefault(task.series, _Account({IMPORTED: 0, ALREADY: 0, FAILED: 0}))
        account.states[_state(outcome)] += 1
        account.rows += outcome.rows
        account.refused += outcome.refused_count
        account.holes += outcome.hole_count
    heads = ("symbol", "stream", "rows", "files", "there", "failed", "refused", "holes", "repaired")
    table = plain_table(*heads, words=("symbol", "stream"))
    for series, one in accounts.items():
        states = one.states
        add_row(
            table, series[1], f"{series[2]} {series[3]}".strip(), one.rows, states[IMPORTED], states[ALREADY],
            states[FAILED], one.refused, one.holes, repaired.get(series, 0),
        )  # fmt: skip
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    print_whole(Console(file=sys.stdout, highlight=False, width=width), table)


def _json(task: Task, outcome: Outcome) -> dict[str, Any]:
    return {
        "file": str(task.path), **task.series._asdict(), "state": _state(outcome), "rows": outcome.rows,
        "reason": outcome.reason, "refused": outcome.refused_count, "holes": outcome.hole_count,
        "annulled": outcome.annulled_count, "inserted_again": outcome.again_count, "lacking": outcome.lacking_count,
        "refused_lines": [{"line": one.line, "reason": one.reason} for one in outcome.refused],
        "missing": [{"from": iso(from_ns), "to": iso(to_ns)} for from_ns, to_ns in outcome.holes],
    }  # fmt: skip
