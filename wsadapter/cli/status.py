"""`status`: what a running instance says of itself, asked over HTTP from its monitor.

Exit 0 when it is ready, 1 when it is not, 2 when nothing answers: a health check for whoever can run a command.
"""

import json
import sys
import threading
from typing import Final

import click
from rich.console import Console

from wsadapter.audit.conservation import Status
from wsadapter.cli import monitor_client, options
from wsadapter.cli.top import view
from wsadapter.errors import ServiceUnavailable

PIPE_WIDTH: Final = 200
"""A pipe has no width; cutting columns there would lose data."""
SAMPLE_SECONDS: Final = 1.0
"""Between the two looks that a rate needs."""
READY, NOT_READY, NO_ANSWER = 0, 1, 2


@click.command()
@options.CONFIG
@click.option("--json", "as_json", is_flag=True, help="The monitor's answer as it is.")
@click.pass_obj
def status(group_path: str | None, config_path: str | None, as_json: bool) -> int:
    """Show what a running instance says of itself: exit 0 ready, 1 not ready, 2 no answer."""
    url = monitor_client.address(options.load(config_path or group_path, demo=True))
    try:
        answer = monitor_client.fetch(url)
        if not as_json:
            before = answer
            threading.Event().wait(SAMPLE_SECONDS)
            answer = monitor_client.fetch(url)
    except ServiceUnavailable as error:
        click.echo(f"{options.PROGRAM}: {error}", err=True)
        return NO_ANSWER
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        _show(answer, before)
    return READY if answer["ready"] else NOT_READY


def _show(answer: Status, before: Status) -> None:
    width, height = (None, sys.maxsize) if sys.stdout.isatty() else (PIPE_WIDTH, None)
    console = Console(file=sys.stdout, highlight=False, width=width)
    if height is not None:
        console.height = height  # what does not fit scrolls
    console.print(view(answer, before, console))
