"""A run, which is what the program does without a subcommand, and `replay`."""

import os
from urllib.parse import urlsplit

import click
from msgspec import structs

from wsadapter.cli import options
from wsadapter.cli.service_manager import held_when_failed
from wsadapter.config import load as configuration
from wsadapter.config.load import Loaded
from wsadapter.config.model import Config
from wsadapter.config.types import address, loopback
from wsadapter.embedded.demo import StandIns
from wsadapter.embedded.exchange import DEFAULT, STAND_INS
from wsadapter.errors import ConfigError, ExitCode
from wsadapter.exchanges import REGISTRY
from wsadapter.roles.supervisor import run as composition


@click.command()
@options.CONFIG
@options.EMBEDDED
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, resolve_path=True))
@click.option(
    "--exchange",
    type=click.Choice(list(STAND_INS)),
    default=DEFAULT,
    show_default=True,
    metavar="NAME",
    help="Whose frames they are.",
)
@click.option("--speed", type=click.Choice(["max", "recorded"]), default="max", show_default=True)
@click.pass_context
def replay(
    context: click.Context, config_path: str | None, embedded: bool, file: str, exchange: str, speed: str
) -> int:
    """Play a recorded frame file through the loopback venue and the whole pipeline, then exit."""
    embedded = embedded or context.meta.get("embedded", False)
    return run(config_path or context.obj, StandIns(embedded, demo=True, replay=file, exchange=exchange, speed=speed))


def run(config_path: str | None, stand_ins: StandIns, duration: float | None = None) -> int:
    """Until a signal, the end of ``duration`` (seconds) or of the replay; the exit code."""
    if not configuration.enabled(os.environ):
        click.echo("WEBSOCKET_ENABLED=false: nothing to do", err=True)
        return ExitCode.OK
    config = _adjusted(options.load_with_origins(config_path, stand_ins.demo), stand_ins)
    if stand_ins.embedded:
        _require_loopback(config)

    def reload() -> Config:
        words = tuple(REGISTRY)
        loaded = configuration.load_with_origins(config_path, os.environ, demo=stand_ins.demo, implemented=words)
        return _adjusted(loaded, stand_ins)

    run_options = composition.RunOptions(config, reload, stand_ins, duration)
    with held_when_failed(os.environ):
        if not stand_ins.demo:
            return composition.run(run_options, None)
        from wsadapter.cli.reporter import Reporter  # only a run that shows something pays for what it imports

        with Reporter(config.service.log_format) as reporter:
            return composition.run(run_options, reporter)


def _adjusted(loaded: Loaded, stand_ins: StandIns) -> Config:
    """The embedded engine's tables are nobody else's: a new version takes them along. Who watches a demo wants no more
    of the log than warnings, if the configuration does not say otherwise."""
    config = loaded.config
    if stand_ins.embedded:
        config = structs.replace(config, clickhouse=structs.replace(config.clickhouse, migrate=True))
    if stand_ins.demo and "service.log_level" not in loaded.origins:
        config = structs.replace(config, service=structs.replace(config.service, log_level="warning"))
    return config


def _require_loopback(config: Config) -> None:
    """The embedded services are for this machine: an address elsewhere would be left without a server."""
    errors = []
    servers = config.kafka.bootstrap_servers.split(",")
    if len(servers) > 1 or not loopback(address(servers[0])[0]):
        errors.append(("kafka.bootstrap_servers", "--embedded serves one loopback address"))
    url = urlsplit(config.clickhouse.url)
    if url.scheme != "http" or not loopback(url.hostname or "") or url.path:
        errors.append(("clickhouse.url", "--embedded serves http:// on a loopback address, without a path"))
    if errors:
        raise ConfigError(errors)
