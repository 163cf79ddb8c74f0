"""`status`: what a running instance says of itself, asked over HTTP from its monitor."""

import json
import sys

import click
from rich.console import Console

from wsadapter.cli import monitor_client, options
from wsadapter.cli.top import view
from wsadapter.errors import ExitCode

PIPE_WIDTH = 200
"""A pipe has no width; cutting columns there would lose data."""


@click.command()
@options.CONFIG
@click.option("--json", "as_json", is_flag=True, help="The monitor's answer as it is.")
@click.pass_obj
def status(group_path: str | None, config_path: str | None, as_json: bool) -> int:
    """Show what a running instance says of itself."""
    config = options.load(config_path or group_path, demo=True)
    answer = monitor_client.fetch(monitor_client.address(config))
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return ExitCode.OK
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(file=sys.stdout, highlight=False, width=width).print(view(answer, None))
    return ExitCode.OK
