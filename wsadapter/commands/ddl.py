"""`ddl`: what is created in ClickHouse, as SQL. Contacts nothing."""

import click

from wsadapter.config import Config
from wsadapter.errors import ExitCode
from wsadapter.schema import ddl as statements


def ddl(config: Config) -> int:
    click.echo(statements(config.clickhouse), nl=False)
    return ExitCode.OK
