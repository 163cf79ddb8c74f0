"""The options that several commands share, and the configuration that they name.

What the values need is imported when there is one, so that ``--help`` comes at once.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from wsadapter.cli import completion
from wsadapter.errors import ConfigError

if TYPE_CHECKING:
    from wsadapter.config.feeds import Exchanges
    from wsadapter.config.load import Loaded
    from wsadapter.config.model import Config

PROGRAM: Final = "wsadapter-supervisor"


def seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """``20s``, ``5m``, ``2h``, ``7d``, ``500ms`` or a number of seconds."""
    from wsadapter.times import duration

    if text is None:
        return None
    try:
        value = float(text) if text.replace(".", "", 1).isdigit() else duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if value <= 0:
        raise click.BadParameter("must be more than 0")
    return value


def _point_in_time(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Nanoseconds since the epoch of ``1h`` ago or of a time."""
    from wsadapter.times import moment

    try:
        return None if text is None else moment(text, time.time_ns())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


CONFIG = click.option("--config", "config_path", metavar="FILE", help="Configuration file (TOML).")
SINCE = click.option(
    "--since", callback=_point_in_time, metavar="DURATION|TIME", help="From then on, e.g. 2h, 7d, 2026-11-22."
)
EXCHANGE = click.option("--exchange", default="", help="Only this exchange.", shell_complete=completion.exchanges)
SYMBOL = click.option(
    "--symbol", default="", help="Only this symbol, in the venue's text.", shell_complete=completion.symbols
)
STREAM = click.option("--stream", default="", help="Only this stream word.", shell_complete=completion.streams)
EMBEDDED = click.option("--embedded", is_flag=True, help="Also run a local Kafka and a local ClickHouse engine.")
BROKERS = click.option(
    "--brokers", type=click.Choice(("1", "3")), default="1", show_default=True,
    help="Brokers of the embedded Kafka. Of 3 each topic has 3 replicas, and 2 must have a record.",
)  # fmt: skip
UNTIL = click.option("--until", callback=_point_in_time, metavar="DURATION|TIME", help="To then, exclusive.")
UNTIL_NOW = click.option("--until", callback=_point_in_time, metavar="DURATION|TIME", help="To then; now if left out.")
JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@contextmanager
def until_enough() -> Iterator[None]:
    """Of what only shows: Ctrl-C is how one leaves it, and a reader may have enough (| head). Both are an end like any
    other; of a command that does or proves something neither is."""
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    except SystemExit as error:  # rich's own of a reader that has enough
        if error.code != 1:
            raise


def one_of(option: str, word: str, known: Iterable[str]) -> None:
    if word and word not in known:
        raise click.UsageError(f"{option} must be one of: {' '.join(known)}")


def in_order(since_ns: int | None, until_ns: int | None) -> None:
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise click.UsageError("--since must be before --until")


def embedded(context: click.Context, here: bool, brokers: str) -> tuple[bool, int]:
    """Whether, and with how many brokers: said before the subcommand or behind it."""
    is_embedded = here or context.meta.get("embedded", False)
    number = int(brokers if brokers != "1" else context.meta.get("brokers", "1"))
    if number != 1 and not is_embedded:
        raise click.UsageError("--brokers goes with --embedded")
    return is_embedded, number


def exchanges() -> "Exchanges":
    """Those of this version and of the packages that are installed beside it."""
    from wsadapter.config.feeds import Exchanges
    from wsadapter.exchanges import REGISTRY, spelled

    return Exchanges(tuple(REGISTRY), spelled)


def load(path: str | None, demo: bool, quiet: bool = False) -> "Config":
    """The checked configuration; ``demo``: a missing feed is no error. ``quiet``: the file is not named."""
    return load_with_origins(path, demo, quiet).config


def load_with_origins(path: str | None, demo: bool, quiet: bool = False) -> "Loaded":
    """The same, and where its values came from."""
    from wsadapter.config import load as configuration

    try:
        return configuration.load_with_origins(path, os.environ, demo=demo, exchanges=exchanges())
    except ConfigError:
        if path is not None and not quiet:
            click.echo(f"{PROGRAM}: in {path!a}:", err=True)
        raise
