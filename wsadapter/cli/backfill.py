"""`backfill`: have a range of time fetched over REST, by the running instance's repairer and within its budget.

Exit 0 when all of it is there, 75 when something is not, 69 when no repairer runs (or Kafka is away). A Ctrl-C ends the
watching only: what was requested is fetched all the same; 130 when something was open then.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import click
from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from wsadapter.cli import completion, known_names, monitor_client, options
from wsadapter.cli.status import PIPE_WIDTH
from wsadapter.config.model import Config
from wsadapter.config.symbol_rules import is_rule
from wsadapter.config.types import INTERVALS, checked_symbol
from wsadapter.embedded.exchange import DEMO_FEED
from wsadapter.errors import ExitCode, ServiceUnavailable
from wsadapter.events.gaps import RepairState
from wsadapter.exchanges import spelled
from wsadapter.kafka.backfill import STREAMS, BackfillRequest, BackfillWatch, every_series
from wsadapter.listings.feeds import resolved
from wsadapter.text import shown
from wsadapter.times import iso

POLL_SECONDS: Final = 0.2
LINE_SECONDS: Final = 5.0
"""Between two lines where there is no terminal."""
LOOK_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 90.0
"""For a repairer that went away: its supervisor starts it again."""

MOST_SERIES: Final = 1_000
DEMO: Final = structs.replace(DEMO_FEED, streams=("kline", "trade"))
"""Of a configuration without a feed, as `--demo` runs it."""

Show = Callable[[BackfillWatch], None]


@click.command()
@options.CONFIG
@options.SINCE
@options.UNTIL_NOW
@options.EXCHANGE
@click.option("--feed", default="", help="Only this feed of the configuration.", shell_complete=completion.feeds)
@click.option(
    "--symbol", "symbols", multiple=True, help="In the venue's text; several times for several. Else the feed's.",
    shell_complete=completion.symbols,
)  # fmt: skip
@click.option(
    "--stream", "streams", multiple=True, help="kline, trade or funding_rate; else those of the feed.",
    shell_complete=completion.streams,
)  # fmt: skip
@click.option(
    "--interval", "intervals", multiple=True, help="Of kline; else those of the feed.",
    shell_complete=completion.intervals,
)  # fmt: skip
@options.JSON
@click.pass_obj
def backfill(
    group_path: str | None, config_path: str | None, since: int | None, until: int | None, exchange: str, feed: str,
    symbols: tuple[str, ...], streams: tuple[str, ...], intervals: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Have a range of time fetched over REST by the running instance, within its budget."""
    config = resolved(options.load(config_path or group_path, demo=True)).config
    requests = requests_of(config, exchange, feed, symbols, streams, intervals, since, until)
    others = known_names.traded(config, {request.exchange for request in requests})
    for symbol in symbols:
        known_names.refuse_unknown(config, exchange, symbol, others)
    return _backfill(config, requests, as_json)


def requests_of(
    config: Config, exchange: str, feed: str, symbols: Sequence[str], streams: Sequence[str],
    intervals: Sequence[str], since_ns: int | None, until_ns: int | None,
) -> list[BackfillRequest]:  # fmt: skip
    now_ns = time.time_ns()
    if since_ns is None:
        raise click.UsageError("--since is needed: from when on?")
    until_ns = now_ns if until_ns is None else min(until_ns, now_ns)
    if since_ns >= until_ns:
        raise click.UsageError("--since must be before --until, and both in the past")
    for option, words, known in (("--stream", streams, STREAMS), ("--interval", intervals, INTERVALS)):
        if unknown := [word for word in words if word not in known]:
            raise click.UsageError(f"{option} {unknown[0]!a}: must be one of: {' '.join(known)}")
    if intervals and streams and "kline" not in streams:
        raise click.UsageError("--interval goes with --stream kline")
    feeds = [each for each in config.feed or (DEMO,) if exchange in ("", each.exchange) and feed in ("", each.name)]
    if not feeds:
        raise click.UsageError("no feed of the configuration is of that --exchange and --feed")
    for symbol in symbols:
        _refuse_malformed(symbol)
    if symbols:
        feeds = [structs.replace(f, symbols=tuple(spelled(f.exchange, each) for each in symbols)) for f in feeds]
    requests = every_series(feeds, streams, intervals, since_ns, until_ns)
    if not requests:
        raise click.UsageError(f"the feed records nothing that has a history ({' '.join(STREAMS)}): name a --stream")
    if len(requests) > MOST_SERIES:
        raise click.UsageError(f"{len(requests)} series, the most is {MOST_SERIES}: name a --symbol or a --stream")
    return requests


def _refuse_malformed(symbol: str) -> None:
    try:
        checked_symbol(symbol)
    except ValueError as error:
        raise click.UsageError(f"--symbol: {error}") from None
    if is_rule(symbol):
        raise click.UsageError(f"--symbol {shown(symbol)} is a rule, not a symbol")


def _backfill(config: Config, requests: list[BackfillRequest], as_json: bool) -> int:
    address = monitor_client.address(config)
    if not _repairer_runs(address, required=True):
        raise ServiceUnavailable(f"no repairer runs in the instance at {address}: nobody would fetch it")
    watch = BackfillWatch(config.kafka, requests)
    try:
        watch.publish()
        if sys.stderr.isatty():
            _with_bar(watch, address)
        else:
            _follow(watch, address, _lines())
        watch.poll_to_the_end(LOOK_SECONDS)
    except KeyboardInterrupt:
        click.echo("no longer watched; the repairer goes on, see gaps", err=True)
    finally:
        watch.close()
    _show(watch, as_json)
    if not watch.done:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if all(p.state in (RepairState.REPAIRED, "") for p in watch.progress.values()) else ExitCode.LOSS


def _repairer_runs(address: str, required: bool) -> bool:
    try:
        status = monitor_client.fetch(address)
    except ServiceUnavailable:
        if required:
            raise
        return False
    return any(child["role"] == "repairer" and child["state"] != "down" for child in status["children"])


def _follow(watch: BackfillWatch, address: str, show: Show) -> None:
    """Until every request has a state."""
    seen = looked = time.monotonic()
    while not watch.done:
        watch.poll(POLL_SECONDS)
        show(watch)
        now = time.monotonic()
        if now < looked + LOOK_SECONDS:
            continue
        looked = now
        if _repairer_runs(address, required=False):
            seen = now
        elif now > seen + PATIENCE_SECONDS:
            raise ServiceUnavailable("the repairer is gone; what it has not fetched it will at its next start")


def _with_bar(watch: BackfillWatch, address: str) -> None:
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("backfill", total=len(watch.progress))

        def show(watch: BackfillWatch) -> None:
            done = sum(progress.share for progress in watch.progress.values())
            bar.update(task, completed=done, description=_summary(watch))

        _follow(watch, address, show)
        show(watch)


def _lines() -> Show:
    written, at = "", float("-inf")

    def show(watch: BackfillWatch) -> None:
        nonlocal written, at
        now, text = time.monotonic(), _summary(watch)
        if text != written and (now >= at + LINE_SECONDS or watch.done):
            written, at = text, now
            click.echo(text, err=True)

    return show


def _summary(watch: BackfillWatch) -> str:
    progresses = watch.progress.values()
    done, events = sum(bool(p.state) for p in progresses), sum(p.events for p in progresses)
    return f"backfill: {done} of {len(progresses)} series done, {events:,} events fetched"


def _show(watch: BackfillWatch, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([dict(_cells(watch, gap_id)) for gap_id in watch.progress], indent=2))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for head in ("exchange", "stream", "symbol", "interval", "since", "until", "fetched", "state", "gap"):
        table.add_column(head, no_wrap=True, justify="right" if head == "fetched" else "left")
    for gap_id in watch.progress:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for _, cell in _cells(watch, gap_id)))
    Console(file=sys.stdout, highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH).print(
        table
    )


def _cells(watch: BackfillWatch, gap_id: str) -> Iterable[tuple[str, str | int]]:
    progress = watch.progress[gap_id]
    request = progress.request
    yield "exchange", request.exchange
    yield "stream", request.stream
    yield "symbol", request.symbol
    yield "interval", request.interval
    yield "since", iso(request.since_ns) or ""
    yield "until", iso(request.until_ns) or ""
    yield "fetched", progress.events
    yield "state", progress.state or "open"
    yield "gap_id", gap_id
