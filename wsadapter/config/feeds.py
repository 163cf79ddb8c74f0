"""The feeds: of the file's `[[feed]]`, of the environment, or of both.

Without a `[[feed]]` WEBSOCKET_* describe one feed an exchange. With them each variable sets its field in every feed of
an exchange that WEBSOCKET_EXCHANGES names, or of all: the environment beats the file here as everywhere. A variable
that would set nothing is refused by name.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from msgspec import Struct

from wsadapter.config import environment, overlaps, symbol_rules
from wsadapter.config import types as t
from wsadapter.config.convert import Errors, build, join, table, unknown_keys
from wsadapter.config.environment import Environment
from wsadapter.config.model import DEFAULT_EXCHANGE, DEFAULT_STREAMS, Feed


class Exchanges(Struct, frozen=True):
    """What a version knows: the ``words`` of its exchanges, and how each spells a symbol (word, symbol -> the venue's
    own text)."""

    words: tuple[str, ...]
    spell: Callable[[str, str], str]


ANY: Final = Exchanges((), lambda word, symbol: symbol)
"""Without a word: each that could be one is taken, and symbols as they are written."""


def feeds(
    document: Mapping[str, Any],
    env: Environment,
    exchanges: Exchanges,
    errors: Errors,
    origins: dict[str, str],
) -> tuple[Feed, ...]:
    """Checked, each with a name of its own; what the environment sets is noted in ``origins``."""
    if "feed" not in document:
        return _of_environment(env, exchanges, errors, origins) if env.says_feeds else ()
    listed = document["feed"]
    if not isinstance(listed, list):
        errors.add("feed", "must be a list of tables: write [[feed]]")
        return ()
    _refuse_unused(listed, env, errors)
    found: dict[str, Feed] = {}
    paths: dict[str, str] = {}
    for index, element in enumerate(listed):
        prefix = f"feed[{index}]"
        raw = table(element, prefix, errors)
        unknown_keys(raw, Feed.__struct_fields__, prefix, errors)
        names = {field: join(prefix, field) for field in Feed.__struct_fields__}
        if env.exchanges is None or raw.get("exchange") in env.exchanges:
            raw = {**raw, **env.feed}
            for field in env.feed:
                variable = names[field] = environment.FEED_VARIABLES[field]
                origins[join(prefix, field)] = env.origins[variable]
        if "name" not in raw and isinstance(raw.get("exchange"), str):
            raw = {**raw, "name": raw["exchange"]}
        feed = _feed(raw, names, exchanges, errors)
        if feed is not None and feed.name in found:
            errors.add(f"{prefix}.name", f"{feed.name} is the name of another feed")
        elif feed is not None:
            found[feed.name] = feed
            paths[feed.name] = prefix
    for path, message in overlaps.mixed([(paths[name], feed) for name, feed in found.items()]):
        errors.add(path, message)
    return tuple(found.values())


def _refuse_unused(listed: list[Any], env: Environment, errors: Errors) -> None:
    """WEBSOCKET_EXCHANGES beside `[[feed]]` only says which of them the other variables are for."""
    if env.exchanges is None:
        return
    there = [feed.get("exchange") for feed in listed if isinstance(feed, dict)]
    for exchange in env.exchanges:
        if exchange not in there:
            errors.add(environment.EXCHANGES, f"the file has no [[feed]] of {t.shown(exchange)}")
    if not env.feed:
        errors.add(
            environment.EXCHANGES,
            "the file has [[feed]], which say what is recorded; here it chooses the feeds that other WEBSOCKET_* "
            "variables are for, and there are none",
        )


def _of_environment(
    env: Environment, exchanges: Exchanges, errors: Errors, origins: dict[str, str]
) -> tuple[Feed, ...]:
    names = {**dict.fromkeys(Feed.__struct_fields__, environment.EXCHANGES), **environment.FEED_VARIABLES}
    named = env.exchanges or (DEFAULT_EXCHANGE,)
    found = []
    for index, exchange in enumerate(named):
        if exchange in named[:index]:
            errors.add(environment.EXCHANGES, f"{t.shown(exchange)} stands there twice")
        for field in env.feed:
            origins[f"feed[{index}].{field}"] = env.origins[environment.FEED_VARIABLES[field]]
        if env.exchanges is not None:
            origins[f"feed[{index}].exchange"] = env.origins[environment.EXCHANGES]
        found.append(_feed({**env.feed, "exchange": exchange, "name": exchange}, names, exchanges, errors))
    return tuple(feed for feed in found if feed is not None)


def _feed(raw: Mapping[str, Any], names: Mapping[str, str], exchanges: Exchanges, errors: Errors) -> Feed | None:
    """One feed with the rules between its fields; ``names`` is what the operator calls them."""
    exchange, symbols = raw.get("exchange"), raw.get("symbols")
    is_word = isinstance(exchange, str) and re.fullmatch(t.EXCHANGE, exchange) is not None
    is_known = is_word and exchange in (exchanges.words or (exchange,))
    if is_known and isinstance(symbols, list | tuple):
        spell = partial(exchanges.spell, str(exchange))
        raw = {**raw, "symbols": [symbol_rules.spelled(s, spell) if isinstance(s, str) else s for s in symbols]}
    if "name" not in raw:
        raw = {**raw, "name": "unnamed"}  # the exchange is missing too, and that is the error to tell
    feed = build(Feed, raw, names.__getitem__, errors)
    for message in symbol_rules.contradictions(feed.symbols) if feed is not None else ():
        errors.add(names["symbols"], message)
    if is_word and not is_known:
        errors.add(names["exchange"], f"{exchange} is an unknown exchange, must be one of: {t.words(exchanges.words)}")
    if symbols in ([], ()):
        errors.add(names["symbols"], "none")
    if raw.get("streams") in ([], ()):
        errors.add(names["streams"], "none: leave the key out for the default")
    if raw.get("intervals") in ([], ()) and "kline" in raw.get("streams", DEFAULT_STREAMS):
        errors.add(names["intervals"], "none, and kline needs one")
    return feed
