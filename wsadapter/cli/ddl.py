"""`ddl`: the SQL of what is created; `ddl --migrate`: a database of an earlier version becomes one of this.

Without ``--migrate`` it contacts nothing. What a migration does goes to standard error, line by line.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import click
from msgspec import structs

from wsadapter.cli import options
from wsadapter.clickhouse.schema import ddl as statements
from wsadapter.config.model import Config
from wsadapter.errors import ExitCode

ANSWER_SECONDS: Final = 7 * 86_400.0
"""A partition is copied in one statement."""
START_SECONDS: Final = 120.0


@click.command()
@options.CONFIG
@options.EMBEDDED
@click.option("--migrate", is_flag=True, help="Bring the tables of an earlier version to this one; goes on if killed.")
@click.option("--drop-old", is_flag=True, help="With --migrate: drop the tables that were replaced.")
@click.pass_obj
def ddl(group_path: str | None, config_path: str | None, embedded: bool, migrate: bool, drop_old: bool) -> int:
    """Print the SQL of all tables and views, or bring a database to it."""
    if (drop_old or embedded) and not migrate:
        raise click.UsageError("--drop-old and --embedded go with --migrate")
    config = options.load(config_path or group_path, demo=True)
    if not migrate:
        with options.until_enough():
            click.echo(statements(config.clickhouse), nl=False)
        return ExitCode.OK
    from wsadapter.clickhouse import migration
    from wsadapter.clickhouse.client import connect

    with _engine(config, embedded):
        client = connect(config.clickhouse, ANSWER_SECONDS)
        try:
            migration.migrate(client, config.clickhouse, partial(click.echo, err=True), drop_old)
        finally:
            client.close()
    return ExitCode.OK


@contextmanager
def _engine(config: Config, embedded: bool) -> Iterator[None]:
    """The embedded ClickHouse, with its data, for as long as this takes; its directory refuses it while a run has
    it."""
    if not embedded:
        yield
        return
    from wsadapter.embedded.servers import ServiceProcess

    # a name of its own: a run that has the directory keeps its stats page
    own = structs.replace(config.service, instance=f"migration-{os.getpid()}")
    service = ServiceProcess("clickhouse", structs.replace(config, service=own))
    try:
        service.start(START_SECONDS)
        yield
    finally:
        service.close()
