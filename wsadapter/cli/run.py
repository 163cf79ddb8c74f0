"""A run, which is what the program does without a subcommand, and `replay`."""

import os
import re
from pathlib import Path
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
from wsadapter.embedded.kafka import cluster
from wsadapter.errors import ConfigError, ExitCode, WsadapterError
from wsadapter.recordings import Recording, is_recording
from wsadapter.roles.supervisor import run as composition


def _speed(context: click.Context, parameter: click.Parameter, text: str) -> str:
    if text not in ("max", "recorded") and not re.fullmatch(r"(?=.*[1-9])[0-9]{1,6}(\.[0-9]{1,3})?x?", text):
        raise click.BadParameter("max, recorded, or a factor like 10x")
    return text


@click.command()
@options.CONFIG
@options.EMBEDDED
@options.BROKERS
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, resolve_path=True))
@click.option(
    "--exchange", type=click.Choice(list(STAND_INS)), metavar="NAME",
    help=f"Whose frames they are, where the file does not say it itself; {DEFAULT} if left out.",
)  # fmt: skip
@click.option(
    "--speed", callback=_speed, default="max", show_default=True, metavar="max|recorded|1x|10x",
    help="As fast as it is taken, as it was received, or so many times as fast.",
)  # fmt: skip
@click.pass_context
def replay(
    context: click.Context, config_path: str | None, embedded: bool, brokers: str, file: str, exchange: str | None,
    speed: str,
) -> int:  # fmt: skip
    """Play a recorded frame file through the loopback venue and the whole pipeline, then exit."""
    embedded, number = options.embedded(context, embedded, brokers)
    exchange = _exchange_of(Path(file), exchange)
    stand_ins = StandIns(embedded, demo=True, replay=file, exchange=exchange, speed=speed, brokers=number)
    return run(config_path or context.obj, stand_ins)


def _exchange_of(file: Path, named: str | None) -> str:
    """A recording says whose it is."""
    if not is_recording(file):
        return named or DEFAULT
    exchange = Recording(file).header.exchange
    if named not in (None, exchange):
        raise click.UsageError(f"--exchange {named}: {file} is a recording of {exchange}")
    if exchange not in STAND_INS:
        raise WsadapterError(f"{file}: no stand-in speaks like {exchange!r}, only: {' '.join(STAND_INS)}")
    return exchange


def run(config_path: str | None, stand_ins: StandIns, duration: float | None = None) -> int:
    """Until a signal, the end of ``duration`` (seconds) or of the replay; the exit code."""
    if not configuration.enabled(os.environ):
        click.echo("WEBSOCKET_ENABLED=false: nothing to do", err=True)
        return ExitCode.OK
    config = _adjusted(options.load_with_origins(config_path, stand_ins.demo), stand_ins)
    if stand_ins.embedded:
        _require_servable(config, stand_ins.brokers)

    def reload() -> Config:
        loaded = configuration.load_with_origins(
            config_path, os.environ, demo=stand_ins.demo, exchanges=options.exchanges()
        )
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
    of the log than warnings, and its first rows soon, if the configuration does not say otherwise: each partition costs
    its broker and its engine, on the machine of the whole pipeline, and one is plenty for what it sends."""
    config = cluster.configured(loaded, stand_ins.brokers)
    if stand_ins.embedded:
        config = structs.replace(config, clickhouse=structs.replace(config.clickhouse, migrate=True))
    if stand_ins.demo and stand_ins.embedded and stand_ins.brokers == 1 and "kafka.partitions" not in loaded.origins:
        config = structs.replace(config, kafka=structs.replace(config.kafka, partitions=1))
    if stand_ins.demo and "service.log_level" not in loaded.origins:
        config = structs.replace(config, service=structs.replace(config.service, log_level="warning"))
    return config


def _require_servable(config: Config, brokers: int) -> None:
    """The embedded services are for this machine: an address elsewhere would be left without a server."""
    errors = []
    servers = config.kafka.bootstrap_servers.split(",")
    if len(servers) != brokers or not all(loopback(address(server)[0]) for server in servers):
        wanted = "one loopback address" if brokers == 1 else f"one loopback address, or {brokers}, with --brokers"
        errors.append(("kafka.bootstrap_servers", f"--embedded serves {wanted}"))
    if config.kafka.replication_factor > brokers:
        errors.append(("kafka.replication_factor", f"--embedded --brokers {brokers} has no more than {brokers}"))
    url = urlsplit(config.clickhouse.url)
    if "," in config.clickhouse.url or url.scheme != "http" or not loopback(url.hostname or "") or url.path:
        errors.append(("clickhouse.url", "--embedded serves one http:// on a loopback address, without a path"))
    if errors:
        raise ConfigError(errors)
    cluster.require_data_of(brokers, Path(config.service.state_dir))
