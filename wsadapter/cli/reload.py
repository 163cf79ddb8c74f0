"""`reload`: have a running instance read its configuration, and say what came of it.

The file is checked here first: one that is refused is not sent. What only the running supervisor can refuse (a key that
needs a restart) it leaves in its state directory, which is waited for; where its disk takes no file its counters say so
much as whether it was taken.
"""

import os
import select
import signal
import time
from typing import Final

import click

from wsadapter.cli import options
from wsadapter.config.model import ServiceConfig
from wsadapter.errors import ExitCode, SegmentError, ServiceUnavailable
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision import instance
from wsadapter.supervision.instance import ReloadOutcome
from wsadapter.supervision.process import page_name

ANSWER_SECONDS: Final = 60.0
LOOK_AGAIN_SECONDS: Final = 0.05
FILE_SECONDS: Final = 5.0
"""For the file to follow the counters."""


@click.command()
@options.CONFIG
@click.pass_obj
def reload(group_path: str | None, config_path: str | None) -> int:
    """Have the running instance read its configuration again, and say what came of it."""
    config = options.load(config_path or group_path, demo=False)
    state_dir = config.service.state_dir
    supervisor = instance.supervisor_of(state_dir)
    before = instance.last_reload(state_dir), _counted(config.service.instance)
    signal.pidfd_send_signal(supervisor, signal.SIGHUP)
    outcome = _outcome(supervisor, config.service, *before)
    os.close(supervisor)
    if outcome.refused:
        click.echo(f"refused, the old configuration stays:\n{outcome.refused}", err=True)
        return ExitCode.CONFIG
    click.echo("reloaded; the log says what changed", err=True)
    return ExitCode.OK


def _counted(name: str) -> tuple[int, int]:
    """(taken, refused) since the supervisor's start."""
    try:
        page = StatsPage.attach(page_name(name, "supervisor"))
    except SegmentError:
        return 0, 0
    try:
        return page["reloads_total"], page["reload_failures_total"]
    finally:
        page.release()


def _outcome(
    supervisor: int, service: ServiceConfig, before: ReloadOutcome, counted_before: tuple[int, int]
) -> ReloadOutcome:
    """What the supervisor says of it. A file has no descriptor to wait on: it is looked at."""
    poll = select.poll()
    poll.register(supervisor, select.POLLIN)
    deadline, counted = time.monotonic() + ANSWER_SECONDS, counted_before
    while time.monotonic() < deadline:
        ended = poll.poll(LOOK_AGAIN_SECONDS * 1000)
        if (outcome := instance.last_reload(service.state_dir)) != before:
            return outcome
        if ended:
            raise ServiceUnavailable("the supervisor ended meanwhile")
        if counted == counted_before and (counted := _counted(service.instance)) != counted_before:
            deadline = time.monotonic() + FILE_SECONDS
    if counted == counted_before:
        raise ServiceUnavailable(f"the supervisor said nothing for {ANSWER_SECONDS:.0f} s; its log may say why")
    is_refused = counted[1] > counted_before[1]
    return ReloadOutcome(1, "its log says why (the disk of the state directory takes no file)" if is_refused else "")
