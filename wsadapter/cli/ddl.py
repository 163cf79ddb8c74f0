"""`ddl`: what is created in ClickHouse, as SQL. Contacts nothing."""

import click

from wsadapter.clickhouse.schema import ddl as statements
from wsadapter.config.load import Config
from wsadapter.errors import ExitCode


def ddl(config: Config) -> int:
    click.echo(statements(config.clickhouse), nl=False)
    return ExitCode.OK
