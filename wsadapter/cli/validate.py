"""`validate`: the configuration as it would run, connection by connection. Starts and contacts nothing."""

import json
import os

import click

from wsadapter.cli import options
from wsadapter.cli.rules import rules_shown
from wsadapter.config.model import Config
from wsadapter.config.warnings import warnings
from wsadapter.errors import ConfigError, ExitCode
from wsadapter.exchanges import load_rest
from wsadapter.roles.supervisor.topology import Assembly, assemble

HEADS = ("connection", "exchange", "symbols", "subscriptions", "url")


@click.command()
@options.CONFIG
@click.option("-v", "--verbose", is_flag=True, help="List every subscription.")
@options.JSON
@click.pass_obj
def validate(group_path: str | None, config_path: str | None, verbose: bool, as_json: bool) -> int:
    """Check the configuration and print the planned connections."""
    if as_json:
        return _as_json(config_path or group_path)
    config = options.load(config_path or group_path, demo=False)
    assembly = _assembled(config)
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


def _assembled(config: Config) -> Assembly:
    """With both sides of every venue imported: a table of another package that cannot be is told here."""
    for exchange in dict.fromkeys(feed.exchange for feed in config.feed):
        load_rest(exchange)
    return assemble(config)


def _as_json(path: str | None) -> int:
    """One object: valid or not, every error under its key, warnings, connections."""
    try:
        config = options.load(path, demo=False, quiet=True)
        plans = _assembled(config).plans
    except ConfigError as error:
        errors = [{"key": key, "message": message} for key, message in error.errors]
        click.echo(json.dumps({"valid": False, "errors": errors, "warnings": [], "connections": []}))
        return error.exit_code
    connections = [
        {
            "connection": plan.connection,
            "exchange": plan.exchange,
            "url": plan.url,
            "symbols": list(plan.symbols),
            "subscriptions": [{"stream": each.stream.value, "name": each.name} for each in plan.subscriptions],
        }
        for plan in plans
    ]
    found = {"valid": True, "errors": [], "warnings": warnings(config, os.environ), "connections": connections}
    click.echo(json.dumps(found))
    return ExitCode.OK
