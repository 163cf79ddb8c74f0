"""`validate`: the configuration as it would run, connection by connection. Starts and contacts nothing."""

import os

import click

from wsadapter.cli import options
from wsadapter.cli.rules import rules_shown
from wsadapter.config.warnings import warnings
from wsadapter.errors import ExitCode
from wsadapter.roles.supervisor.topology import assemble

HEADS = ("connection", "exchange", "symbols", "subscriptions", "url")


@click.command()
@options.CONFIG
@click.option("-v", "--verbose", is_flag=True, help="List every subscription.")
@click.pass_obj
def validate(group_path: str | None, config_path: str | None, verbose: bool) -> int:
    """Check the configuration and print the planned connections."""
    config = options.load(config_path or group_path, demo=False)
    assembly = assemble(config)
    connections = assembly.plans
    for warning in warnings(config, os.environ):
        click.echo(f"warning: {warning}", err=True)
    for line in rules_shown(assembly.resolved):
        click.echo(line, err=True)
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
