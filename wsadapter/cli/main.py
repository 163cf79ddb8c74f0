"""The command `wsadapter-supervisor`: arguments in, one exit code out.

Standard output carries data, standard error everything else. Exit codes are `ExitCode`; a wrong command line is 64, a
wrong configuration 78 with every error and its key path, before anything is started. What a subcommand needs is
imported when it is called, so that ``--help`` and errors come at once.
"""

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import click

from wsadapter import __version__
from wsadapter.errors import ConfigError, ExitCode, WsadapterError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsadapter.config.load import Config

PROGRAM = "wsadapter-supervisor"


def _seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """``20s``, ``5m``, ``2h``, ``500ms`` or a number of seconds."""
    from wsadapter.times import duration

    if text is None:
        return None
    try:
        seconds = float(text) if text.replace(".", "", 1).isdigit() else duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if seconds <= 0:
        raise click.BadParameter("must be more than 0")
    return seconds


CONFIG = click.option("--config", "config_path", metavar="FILE", help="Configuration file (TOML).")


def _moment(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Nanoseconds since the epoch of ``1h`` ago or of a time."""
    import time

    from wsadapter.times import moment

    try:
        return None if text is None else moment(text, time.time_ns())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


SINCE = click.option(
    "--since", callback=_moment, metavar="DURATION|TIME", help="From then on, e.g. 2h, 7d, 2026-11-22."
)
EXCHANGE = click.option("--exchange", default="", help="Only this exchange.")
SYMBOL = click.option("--symbol", default="", help="Only this symbol, in the venue's text.")
EMBEDDED = click.option("--embedded", is_flag=True, help="Also run a local Kafka and a local ClickHouse engine.")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@CONFIG
@EMBEDDED
@click.option("--demo", is_flag=True, help="Also run the loopback demo venue and record it.")
@click.option("--for", "duration", callback=_seconds, metavar="DURATION", help="Drain and exit after this time.")
@click.option("--rate", type=click.IntRange(min=1), metavar="N", help="Frames a second of the demo venue.")
@click.version_option(__version__, prog_name=PROGRAM)
@click.pass_context
def command(
    context: click.Context, config_path: str | None, embedded: bool, demo: bool, duration: float | None,
    rate: int | None,
) -> int:  # fmt: skip
    """Record market data: WebSocket to Kafka to ClickHouse. Without a subcommand: run until a signal.

    Configuration: command line over environment (WEBSOCKET_*, KAFKA_BOOTSTRAP_SERVERS, CLICKHOUSE_URL, also from .env)
    over the file over defaults.
    """
    context.obj = config_path
    if context.invoked_subcommand is None:
        if rate is not None and not demo:
            raise click.UsageError("--rate goes with --demo")
        return _run(config_path, embedded, demo, duration, rate=rate)
    if (
        demo
        or duration is not None
        or rate is not None
        or (embedded and context.invoked_subcommand not in ("check", "replay"))
    ):
        raise click.UsageError(f"--demo, --for, --rate and --embedded do not go with {context.invoked_subcommand}")
    context.meta["embedded"] = embedded
    return ExitCode.OK


@command.command()
@CONFIG
@click.option("-v", "--verbose", is_flag=True, help="List every subscription.")
@click.pass_obj
def validate(group_path: str | None, config_path: str | None, verbose: bool) -> int:
    """Check the configuration and print the planned connections."""
    from wsadapter.cli import validate as module

    return module.validate(_load(config_path or group_path, demo=False), verbose)


@command.command()
@CONFIG
@EMBEDDED
@click.pass_context
def check(context: click.Context, config_path: str | None, embedded: bool) -> int:
    """Check that Kafka, ClickHouse, ports, state directory and ring memory are there."""
    from wsadapter.cli import check as module

    embedded = embedded or context.meta.get("embedded", False)
    return module.check(_load(config_path or context.obj, demo=False), embedded)


@command.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="The monitor's answer as it is.")
@click.pass_obj
def status(group_path: str | None, config_path: str | None, as_json: bool) -> int:
    """Show what a running instance says of itself."""
    from wsadapter.cli import status as module

    return module.status(_load(config_path or group_path, demo=True), as_json)


@command.command()
@CONFIG
@click.option("--interval", callback=_seconds, metavar="DURATION", help="Time between two looks.")
@click.pass_obj
def top(group_path: str | None, config_path: str | None, interval: float | None) -> int:
    """Watch a running instance: a live table, or lines when this is no terminal."""
    import threading

    from wsadapter.cli import monitor_client
    from wsadapter.cli import top as module

    address = monitor_client.address(_load(config_path or group_path, demo=True))
    monitor_client.fetch(address)  # not there at all: say so and leave
    module.watch(address, threading.Event().wait, interval)
    return ExitCode.OK


@command.command()
@CONFIG
@click.argument("topic")
@click.option("--from-beginning", "beginning", is_flag=True, help="From the first message, not only new ones.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="Stop after so many messages.")
@click.option("--times", is_flag=True, help="Show times as text.")
@click.option("--no-follow", is_flag=True, help="Stop at the end of the topic.")
@click.pass_obj
def tap(
    group_path: str | None, config_path: str | None, topic: str, beginning: bool, count: int | None, times: bool,
    no_follow: bool,
) -> int:  # fmt: skip
    """Print the messages of a topic (e.g. trade or websocket.trade), one JSON line each."""
    from wsadapter.cli import tap as module

    config = _load(config_path or group_path, demo=True)
    return module.tap(config, topic, beginning, count, times, follow=not no_follow)


@command.command()
@CONFIG
@click.pass_obj
def ddl(group_path: str | None, config_path: str | None) -> int:
    """Print the SQL of all tables and views."""
    from wsadapter.cli import ddl as module

    return module.ddl(_load(config_path or group_path, demo=True))


@command.command()
@CONFIG
@SINCE
@EXCHANGE
@SYMBOL
@click.option("--stream", default="", help="Only this stream word.")
@click.option("--cause", default="", help="Only this cause.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def gaps(
    group_path: str | None, config_path: str | None, since: int | None, exchange: str, symbol: str, stream: str,
    cause: str, as_json: bool,
) -> int:  # fmt: skip
    """List the gaps that were recorded, those about every symbol or stream (*) included."""
    import time

    from wsadapter.audit.rows import Scope
    from wsadapter.cli import gaps as module
    from wsadapter.metrics import GAP_CAUSES, STREAM_WORDS

    _one_of("--stream", stream, STREAM_WORDS)
    _one_of("--cause", cause, GAP_CAUSES)
    scope = Scope(time.time_ns(), since, None, exchange, symbol, stream)
    return module.show_gaps(_load(config_path or group_path, demo=True), scope, cause, as_json)


@command.command()
@CONFIG
@SINCE
@click.option("--until", callback=_moment, metavar="DURATION|TIME", help="To then, exclusive.")
@EXCHANGE
@SYMBOL
@click.option("--stream", default="", help="Only this stream word.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--live", is_flag=True, help="A running instance must be there to have its counters checked.")
@click.pass_obj
def audit(
    group_path: str | None, config_path: str | None, since: int | None, until: int | None, exchange: str, symbol: str,
    stream: str, as_json: bool, live: bool,
) -> int:  # fmt: skip
    """Prove that what was recorded is complete: exit 75 when a hole has no explanation."""
    import time

    from wsadapter.audit.rows import STREAMS, Scope
    from wsadapter.cli import audit as module

    _one_of("--stream", stream, STREAMS)
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since must be before --until")
    scope = Scope(time.time_ns(), since, until, exchange, symbol, stream)
    return module.show_audit(_load(config_path or group_path, demo=True), scope, live, as_json)


@command.command()
@CONFIG
@SINCE
@click.option("--until", callback=_moment, metavar="DURATION|TIME", help="To then; now if not said.")
@EXCHANGE
@click.option("--feed", default="", help="Only this feed of the configuration.")
@click.option(
    "--symbol", "symbols", multiple=True, help="In the venue's text; several times for several. Else the feed's."
)
@click.option("--stream", "streams", multiple=True, help="kline, trade or funding_rate; else those of the feed.")
@click.option("--interval", "intervals", multiple=True, help="Of kline; else those of the feed.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def backfill(
    group_path: str | None, config_path: str | None, since: int | None, until: int | None, exchange: str, feed: str,
    symbols: tuple[str, ...], streams: tuple[str, ...], intervals: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Have a range of time fetched over REST by the running instance, within its budget."""
    from wsadapter.cli import backfill as module
    from wsadapter.cli import backfill_arguments

    config = _load(config_path or group_path, demo=True)
    wishes = backfill_arguments.wishes_of(config, exchange, feed, symbols, streams, intervals, since, until)
    return module.backfill(config, wishes, as_json)


def _one_of(option: str, word: str, known: "Iterable[str]") -> None:
    if word and word not in known:
        raise click.UsageError(f"{option} must be one of: {' '.join(known)}")


@command.command()
@CONFIG
@EMBEDDED
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, resolve_path=True))
@click.option("--speed", type=click.Choice(["max", "recorded"]), default="max", show_default=True)
@click.pass_context
def replay(context: click.Context, config_path: str | None, embedded: bool, file: str, speed: str) -> int:
    """Play a recorded frame file through the loopback venue and the whole road, then exit."""
    embedded = embedded or context.meta.get("embedded", False)
    return _run(config_path or context.obj, embedded, demo=True, duration=None, file=file, speed=speed)


def _run(
    config_path: str | None, embedded: bool, demo: bool, duration: float | None, file: str = "",
    speed: str = "max", rate: int | None = None,
) -> int:  # fmt: skip
    from wsadapter.config import load as configuration

    if not configuration.enabled(os.environ):
        click.echo("WEBSOCKET_ENABLED=false: nothing to do", err=True)
        return ExitCode.OK
    config = _load(config_path, demo)
    if embedded:
        _require_loopback(config)

    from wsadapter.embedded.demo import StandIns
    from wsadapter.exchanges import REGISTRY
    from wsadapter.roles.supervisor.run import RunOptions, run

    reporter = None
    if demo:
        from wsadapter.cli.run import Reporter  # only a run that shows something pays for what it imports

        reporter = Reporter()
    reload = partial(configuration.load, config_path, os.environ, demo=demo, implemented=tuple(REGISTRY))
    return run(RunOptions(config, reload, StandIns(embedded, demo, file, speed, rate), duration), reporter)


def _load(path: str | None, demo: bool) -> "Config":
    from wsadapter.config import load as configuration
    from wsadapter.exchanges import REGISTRY

    try:
        return configuration.load(path, os.environ, demo=demo, implemented=tuple(REGISTRY))
    except ConfigError:
        if path is not None:
            click.echo(f"{PROGRAM}: in {path!a}:", err=True)
        raise


def _require_loopback(config: "Config") -> None:
    """The embedded services are for this machine: an address elsewhere would be left without anybody behind it."""
    from urllib.parse import urlsplit

    from wsadapter.config.types import address, loopback

    errors = []
    servers = config.kafka.bootstrap_servers.split(",")
    if len(servers) > 1 or not loopback(address(servers[0])[0]):
        errors.append(("kafka.bootstrap_servers", "--embedded serves one loopback address"))
    url = urlsplit(config.clickhouse.url)
    if url.scheme != "http" or not loopback(url.hostname or "") or url.path:
        errors.append(("clickhouse.url", "--embedded serves http:// on a loopback address, without a path"))
    if errors:
        raise ConfigError(errors)


def run_command(arguments: list[str] | None = None) -> int:
    """The exit code of a command line; says on standard error what went wrong."""
    try:
        return int(command.main(args=arguments, prog_name=PROGRAM, standalone_mode=False) or ExitCode.OK)
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return ExitCode.INTERNAL
    except ConfigError as error:
        click.echo(f"{PROGRAM}: configuration refused, {len(error.errors)} errors:", err=True)
        for path, message in error.errors:
            click.echo(f"  {path}: {message}", err=True)
        return error.exit_code
    except WsadapterError as error:
        click.echo(f"{PROGRAM}: {error}", err=True)
        return error.exit_code
    except SystemExit as error:
        if error.code != 1:
            raise
        return ExitCode.OK  # click's own exit when the reader of our output has enough (| head)
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.OK  # Ctrl-C is how `top` and `tap` are left; a run has its own handlers


def main() -> NoReturn:
    try:
        code = run_command()
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of our output has enough (| head); Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.OK
    sys.exit(code)


if __name__ == "__main__":
    main()
