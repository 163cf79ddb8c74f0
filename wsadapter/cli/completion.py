"""Values for the shell's completion of options: what the configuration records, what topics and segments there are.

Called while a person types: never raises, contacts nothing. A configuration that cannot be read has no values.
"""

import os
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

Values = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _begins(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in sorted(set(words)) if word.startswith(incomplete)]


def _feeds(context: click.Context) -> "list[tuple[str, str, tuple[str, ...]]]":
    """(name, exchange, symbols) of each feed that ``--config`` or the environment has."""
    from wsadapter.cli import options  # which has the values of this module
    from wsadapter.config import load as configuration
    from wsadapter.errors import ConfigError

    path = context.params.get("config_path") or context.find_root().params.get("config_path")
    try:
        config = configuration.load(path, os.environ, demo=True, exchanges=options.exchanges())
    except ConfigError:
        return []
    return [(feed.name, feed.exchange, tuple(feed.symbols)) for feed in config.feed]


def exchanges(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Those that are recorded; where none is, those that this version has."""
    from wsadapter.exchanges import REGISTRY

    return _begins([exchange for _, exchange, _ in _feeds(context)] or REGISTRY, incomplete)


def symbols(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Of the exchange that is named, if one is."""
    wanted = context.params.get("exchange")
    found = [symbol for _, exchange, own in _feeds(context) if wanted in (None, "", exchange) for symbol in own]
    return _begins(found, incomplete)


def feeds(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _begins([name for name, _, _ in _feeds(context)], incomplete)


def streams(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from wsadapter.events.streams import SPECS

    return _begins([spec.name for spec in SPECS if not spec.ours], incomplete)


def topics(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from wsadapter.events.streams import SPECS

    return _begins([*(spec.name for spec in SPECS), "dead_letter"], incomplete)


def intervals(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from wsadapter.config.types import INTERVALS

    return [CompletionItem(word) for word in INTERVALS if word.startswith(incomplete)]


def segments(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from wsadapter.roles.supervisor.segments import PREFIX
    from wsadapter.shm.segment import listing

    return _begins(listing(PREFIX), incomplete)
