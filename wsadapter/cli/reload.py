"""`reload`: have a running instance read its configuration, and say what came of it.

The file is checked here first: one that is refused is not sent. What only the running supervisor can refuse (a key that
needs a restart) it leaves in its state directory, which is waited for.
"""

import os
import select
import signal
import time
from typing import Final

import click

from wsadapter.cli import options
from wsadapter.errors import ExitCode, ServiceUnavailable
from wsadapter.supervision import instance
from wsadapter.supervision.instance import ReloadOutcome

ANSWER_SECONDS: Final = 60.0
LOOK_AGAIN_SECONDS: Final = 0.05


@click.command()
@options.CONFIG
@click.pass_obj
def reload(group_path: str | None, config_path: str | None) -> int:
    """Have the running instance read its configuration again, and say what came of it."""
    config = options.load(config_path or group_path, demo=False)
    state_dir = config.service.state_dir
    supervisor = instance.supervisor_of(state_dir)
    before = instance.last_reload(state_dir)
    signal.pidfd_send_signal(supervisor, signal.SIGHUP)
    outcome = _outcome(supervisor, state_dir, before)
    os.close(supervisor)
    if outcome.refused:
        click.echo(f"refused, the old configuration stays:\n{outcome.refused}", err=True)
        return ExitCode.CONFIG
    click.echo("reloaded; the log says what changed", err=True)
    return ExitCode.OK


def _outcome(supervisor: int, state_dir: str, before: ReloadOutcome) -> ReloadOutcome:
    """What the supervisor says of it. A file has no descriptor to wait on: it is looked at."""
    poll = select.poll()
    poll.register(supervisor, select.POLLIN)
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        ended = poll.poll(LOOK_AGAIN_SECONDS * 1000)
        if (outcome := instance.last_reload(state_dir)) != before:
            return outcome
        if ended:
            raise ServiceUnavailable("the supervisor ended meanwhile")
    raise ServiceUnavailable(f"the supervisor said nothing for {ANSWER_SECONDS:.0f} s; its log may say why")
