"""The command `wsadapter-supervisor`: arguments in, one exit code out.

Standard output carries data, standard error everything else. Exit codes are `ExitCode`; a wrong command line is 64, a
wrong configuration 78 with every error and its key path, before anything is started. Each subcommand is a module with
its own options, imported when it is called, so that ``--help`` and errors come at once.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from keyword import iskeyword
from typing import Final, NoReturn, cast

import click
from click.shell_completion import CompletionItem

from wsadapter import __version__
from wsadapter.cli import options
from wsadapter.cli.options import PROGRAM
from wsadapter.errors import MEANINGS, ConfigError, ExitCode, WsadapterError

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "validate": ("validate", "Check the configuration and print the planned connections."),
    "config": ("config", "Show the effective configuration, and where each value came from."),
    "plan": ("plan", "Show where each stream of the configuration goes, and why."),
    "check": ("check", "Check that Kafka, ClickHouse, ports, state directory, spool and ring memory are there."),
    "status": ("status", "Show what a running instance says of itself: exit 0 ready, 1 not ready, 2 no answer."),
    "top": ("top", "Watch a running instance: a live table, or lines when this is no terminal."),
    "tap": ("tap", "Print the messages of a topic (e.g. trade or websocket.trade), one JSON line each."),
    "ddl": ("ddl", "Print the SQL of all tables and views, or bring a database to it."),
    "generate": ("generate", "Print the files of an installation: units, users, grants, what watches it."),
    "gaps": (
        "gaps",
        "List the gaps that were recorded, those about every symbol or stream (*) included.",
    ),
    "audit": (
        "audit",
        "Prove that what was recorded is complete: exit 75 when a hole has no explanation.",
    ),
    "backfill": (
        "backfill",
        "Have a range of time fetched over REST by the running instance, within its budget.",
    ),
    "export": ("export", "Export what was recorded: Parquet files by day, each with a manifest of what is missing."),
    "import": ("import_files", "Import the files that a venue publishes of past days: candles, trades, best prices."),
    "reload": ("reload", "Have the running instance read its configuration again, and say what came of it."),
    "segments": (
        "segments",
        "List the shared memory of all instances on this machine, or remove what no process uses.",
    ),
    "mcp": ("mcp", "Serve what was recorded to an agent: an MCP server, which only reads."),
    "record": ("record", "Write the raw frames of a venue to a file that `replay` takes back."),
    "replay": (
        "run",
        "Play a recorded frame file through the loopback venue and the whole pipeline, then exit.",
    ),
    "demo-exchange": ("demo_exchange", "Serve a loopback venue to a client of your own until Ctrl-C."),
}
"""Subcommand -> the module in this package that has a `click.Command` of this name (``_`` for ``-``; its own name,
where that is a word of Python), and its line in ``--help``."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = COMMANDS[name][0]
        word = module if iskeyword(name) else name.replace("-", "_")
        return cast(click.Command, getattr(import_module(f"wsadapter.cli.{module}"), word))

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        """Nothing is imported for it."""
        names = [name for name in self.list_commands(context) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=COMMANDS[name][1]) for name in names]
        return found + click.Command.shell_complete(self, context, incomplete)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        width = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, click.Command(name, help=COMMANDS[name][1]).get_short_help_str(width))
                    for name in self.list_commands(context)
                ]
            )

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), text) for code, text in MEANINGS.items()])


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@options.CONFIG
@options.EMBEDDED
@options.BROKERS
@click.option("--demo", is_flag=True, help="Also run the loopback demo venue and record it.")
@click.option("--for", "duration", callback=options.seconds, metavar="DURATION", help="Drain and exit after this time.")
@click.option("--rate", type=click.IntRange(min=1), metavar="N", help="Frames a second of the demo venue.")
@click.version_option(__version__, prog_name=PROGRAM)
@click.pass_context
def command(
    context: click.Context, config_path: str | None, embedded: bool, brokers: str, demo: bool,
    duration: float | None, rate: int | None,
) -> int:  # fmt: skip
    """Record market data: WebSocket to Kafka to ClickHouse. Without a subcommand: run until a signal.

    Configuration: command line over environment (WEBSOCKET_*, KAFKA_*, CLICKHOUSE_*, also from .env) over the file over
    defaults; `config show` says which it was.
    """
    context.obj = config_path
    if context.invoked_subcommand is None:
        if rate is not None and not demo:
            raise click.UsageError("--rate goes with --demo")
        from wsadapter.cli.run import run
        from wsadapter.embedded.demo import StandIns

        _, number = options.embedded(context, embedded, brokers)
        return run(config_path, StandIns(embedded, demo, rate=rate, brokers=number), duration)
    if (
        demo
        or duration is not None
        or rate is not None
        or ((embedded or brokers != "1") and context.invoked_subcommand not in ("check", "replay"))
    ):
        raise click.UsageError(
            f"--demo, --for, --rate, --embedded and --brokers do not go with {context.invoked_subcommand}"
        )
    context.meta["embedded"], context.meta["brokers"] = embedded, brokers
    return ExitCode.OK


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
        _complain(f"{PROGRAM}: configuration refused, {len(error.errors)} errors:")
        for path, message in error.errors:
            _complain(f"  {path}: {message}")
        return error.exit_code
    except WsadapterError as error:
        _complain(f"{PROGRAM}: {error}")
        return error.exit_code
    except SystemExit as error:
        if error.code != 1:
            raise
        return ExitCode.PIPE  # click's and rich's own exit; what only shows has caught it (`options.until_enough`)
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED  # so has what one leaves by it; a run has its own handlers


def _complain(line: str) -> None:
    """On standard error; as an error where that is the journal of systemd."""
    from wsadapter import log

    click.echo(f"{'<3>' if log.is_journal(2) else ''}{line}", err=True)


def main() -> NoReturn:
    if not all(word.startswith("-") for word in sys.argv[1:]):  # not for --help, which comes at once
        from wsadapter import log

        log.on_standard_error()
    code: int = ExitCode.PIPE
    try:
        code = run_command()
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of our output has enough (| head), which changes no verdict; Python would complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
