"""`config show`: the effective configuration with the origin of each value. Reads; contacts nothing."""

import json
import os

import click
import msgspec

from wsadapter.cli import options
from wsadapter.errors import ExitCode


@click.group()
def config() -> None:
    """Show the effective configuration, and where each value came from."""


@config.command()
@options.CONFIG
@options.JSON
@click.pass_context
@options.until_enough()
def show(context: click.Context, config_path: str | None, as_json: bool) -> int:
    """Print every key with its value and where that came from: default, file, environment, command line."""
    from wsadapter.config.effective import settings
    from wsadapter.config.warnings import warnings

    loaded = options.load_with_origins(config_path or context.obj, demo=True)
    found, warned = settings(loaded), warnings(loaded.config, os.environ)
    if as_json:
        click.echo(json.dumps({"settings": msgspec.to_builtins(found), "warnings": warned}, ensure_ascii=False))
        return ExitCode.OK
    for warning in warned:
        click.echo(f"warning: {warning}", err=True)
    values = [json.dumps(setting.value, ensure_ascii=False) for setting in found]
    key_width = max(len(setting.key) for setting in found)
    value_width = min(40, max(map(len, values)))
    for setting, value in zip(found, values, strict=True):
        click.echo(f"{setting.key:<{key_width}}  {value:<{value_width}}  {setting.origin}")
    return ExitCode.OK
