"""`generate`: the files of an installation, as they are shipped, with its own paths. Writes to standard output only.

The texts are in ``cli/shipped``, with ``@NAME@`` where a path stands; those in ``deploy/`` and ``supervisord.conf`` of
the repository are printed by these commands, and a test holds them together.
"""

from importlib import resources
from pathlib import PurePosixPath
from typing import Final

import click
import msgspec

from wsadapter.cli import options
from wsadapter.errors import ExitCode

PREFIX = click.option(
    "--prefix", default="/opt/wsadapter", show_default=True, metavar="DIR", help="The virtual environment."
)
FILE = click.option(
    "--config", "config", default="/etc/wsadapter/wsadapter.toml", show_default=True, metavar="FILE",
    help="Configuration file (TOML).",
)  # fmt: skip
USER = click.option("--user", default="wsadapter", show_default=True, metavar="NAME", help="Who runs it.")
STATE: Final = "/var/lib/wsadapter"
RUN: Final = "/run/wsadapter"
LOG: Final = "/var/log/wsadapter"


def shipped(name: str, **values: str) -> str:
    """A shipped text with its paths."""
    text = resources.files("wsadapter.cli").joinpath("shipped", name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key.upper()}@", value)
    return text


@click.group()
def generate() -> None:
    """Print the files of an installation: units, users, grants, what watches it."""


@generate.command()
@PREFIX
@FILE
@USER
def systemd(prefix: str, config: str, user: str) -> int:
    """Print the unit wsadapter.service."""
    doc = f"{prefix}/share/doc/wsadapter"
    text = shipped("wsadapter.service", prefix=prefix, bin=f"{prefix}/bin", config=config, user=user, doc=doc)
    click.echo(text, nl=False)
    return ExitCode.OK


@generate.command()
@USER
def sysusers(user: str) -> int:
    """Print a file for sysusers.d: the system user."""
    click.echo(shipped("sysusers.conf", user=user, directory=STATE), nl=False)
    return ExitCode.OK


@generate.command()
@FILE
@USER
def tmpfiles(config: str, user: str) -> int:
    """Print a file for tmpfiles.d: directories, and that no cleaner takes the rings."""
    directories = {"etc": str(PurePosixPath(config).parent), "state": STATE, "run": RUN, "log": LOG}
    click.echo(shipped("tmpfiles.conf", user=user, **directories), nl=False)
    return ExitCode.OK


@generate.command()
@PREFIX
@FILE
@USER
@click.option("--here", is_flag=True, help="For a clone: everything in the directory of the file itself.")
def supervisord(prefix: str, config: str, user: str, here: bool) -> int:
    """Print supervisord.conf."""
    if here:
        run = "%(here)s/deploy/run"
        paths = {"bin": "%(here)s/.venv/bin", "config": "%(here)s/wsadapter.toml", "directory": "%(here)s", "user": ""}
        click.echo(shipped("supervisord.conf", run=run, log=run, **paths), nl=False)
    else:
        own = f'user = {user}\nenvironment = STATE_DIRECTORY="{STATE}"\n'
        click.echo(
            shipped(
                "supervisord.conf", run=RUN, log=LOG, bin=f"{prefix}/bin", config=config, directory=STATE, user=own
            ),
            nl=False,
        )
    return ExitCode.OK


@generate.command()
@click.option("--markdown", is_flag=True, help="The reference of all keys instead: docs/configuration.md.")
def config(markdown: bool) -> int:
    """Print a commented configuration file: every key with its default."""
    from wsadapter.config import reference
    from wsadapter.exchanges import OURS

    click.echo((reference.page if markdown else reference.example)(tuple(OURS)), nl=False)
    return ExitCode.OK


@generate.command("clickhouse-grants")
@options.CONFIG
@click.option("--user", default="", metavar="NAME", help="Who records.  [default: clickhouse.user, or wsadapter]")
@click.option("--reader", default="quant", show_default=True, metavar="NAME", help="A user who only reads.")
@click.pass_obj
def clickhouse_grants(group_path: str | None, config_path: str | None, user: str, reader: str) -> int:
    """Print SQL of users with what they need and no more."""
    from wsadapter.clickhouse.grants import grants

    config = options.load(config_path or group_path, demo=True)
    configured = config.clickhouse.user
    # the server's own user has every right already
    user = user or (configured if configured != "default" else "wsadapter")
    try:
        click.echo(grants(config.clickhouse.database, user, reader, config.clickhouse.cluster), nl=False)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return ExitCode.OK


@generate.command("schema-registry")
@options.CONFIG
@click.option(
    "--registry", "url", default="http://127.0.0.1:8081", show_default=True, metavar="URL",
    help="Where the schema registry listens.",
)  # fmt: skip
@click.pass_obj
def schema_registry(group_path: str | None, config_path: str | None, url: str) -> int:
    """Print a shell script that registers the message of each topic."""
    from wsadapter.cli.schema_registry import script

    config = options.load(config_path or group_path, demo=True)
    click.echo(script(config.kafka, url), nl=False)
    return ExitCode.OK


@generate.command()
def alerts() -> int:
    """Print alert rules for Prometheus; docs/runbook.md has a section for each."""
    click.echo(shipped("alerts.yaml"), nl=False)
    return ExitCode.OK


@generate.command()
@click.option("--datasource", default="", metavar="UID", help="Of the data source, to be provisioned with no choice.")
def grafana(datasource: str) -> int:
    """Print the Grafana dashboard, made from the metrics that there are."""
    from wsadapter.cli.dashboard import dashboard

    click.echo(msgspec.json.format(msgspec.json.encode(dashboard(datasource)), indent=1).decode())
    return ExitCode.OK


@generate.command()
def metrics() -> int:
    """Print the reference of the metrics (docs/metrics.md)."""
    from wsadapter.cli.metrics_reference import reference

    click.echo(reference(), nl=False)
    return ExitCode.OK
