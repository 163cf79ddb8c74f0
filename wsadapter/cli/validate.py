"""`validate`: the configuration as it would run, connection by connection. Starts and contacts nothing."""

import click

from wsadapter.config import load as configuration
from wsadapter.config.load import Config
from wsadapter.errors import ExitCode
from wsadapter.roles.supervisor.topology import assemble

HEADS = ("connection", "exchange", "symbols", "subscriptions", "url")


def validate(config: Config, verbose: bool) -> int:
    connections = assemble(config).plans
    for warning in configuration.warnings(config):
        click.echo(f"warning: {warning}", err=True)
    rows = [
        (plan.connection, plan.exchange, str(len(plan.symbols)), str(len(plan.subscriptions)), plan.url)
        for plan in connections
    ]
    widths = [max(map(len, column)) for column in zip(HEADS, *rows, strict=True)]
    for row in (HEADS, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if verbose:
        for plan in connections:
            for subscription in plan.subscriptions:
                click.echo(f"{plan.connection}  {subscription.stream.value}  {subscription.name}")
    click.echo(f"{len(connections)} connections, {config.kafka.bootstrap_servers}, {config.clickhouse.url}", err=True)
    return ExitCode.OK
