"""``--exchange`` and ``--symbol`` of every command that looks at what is recorded: a name that nobody knows is refused
with the near ones (exit 64), and never taken for one that had nothing. The one place for it.

Known is what the configuration records; what else is, the command says (`in_tables`, `traded`). Names are the venue's
own text: ``btcusdt`` is another symbol than ``BTCUSDT``.
"""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import click
from msgspec import Struct

from wsadapter.cli.options import one_of
from wsadapter.clickhouse.conversion import quoted
from wsadapter.clickhouse.schema import INSTRUMENT
from wsadapter.config.model import ClickHouseConfig, Config, Feed
from wsadapter.embedded.exchange import STAND_INS
from wsadapter.errors import ServiceUnavailable
from wsadapter.events.streams import SPECS
from wsadapter.exchanges import REGISTRY, load
from wsadapter.listings.feeds import resolved
from wsadapter.text import shown

if TYPE_CHECKING:
    from wsadapter.clickhouse.client import Query

NEAR: Final = 5
CLOSE: Final = 0.6
"""How alike names must be, 1 = the same."""


class _Found(Struct, frozen=True):
    symbol: str


Others = Callable[[str], Iterable[str]]
"""Asked about a symbol that is not configured: those that are known beside."""


def refuse_unknown(config: Config, exchange: str, symbol: str, others: Others = lambda symbol: ()) -> None:
    """`click.UsageError` for an exchange or a symbol that nobody knows; empty means all."""
    one_of("--exchange", exchange, tuple(REGISTRY))
    if not symbol:
        return
    names = configured(config, exchange)
    if symbol in names:
        return
    beside = {*others(symbol)}
    if symbol not in beside:
        raise click.UsageError(f"--symbol {shown(symbol)}: nobody records it{near(symbol, names | beside)}")


def configured(config: Config, exchange: str = "") -> set[str]:
    """Symbols of the feeds, with those that their rules stand for; of a configuration without one those that a demo
    records."""
    demo = (STAND_INS[word].feed for word in STAND_INS if word in REGISTRY)
    feeds: Iterable[Feed] = resolved(config).config.feed if config.feed else demo
    named = [feed for feed in feeds if exchange in ("", feed.exchange)]
    return {symbol for feed in named for plan in load(feed.exchange).plan(feed) for symbol in plan.symbols} | {
        symbol for feed in named for symbol in feed.symbols
    }


def near(symbol: str, names: Iterable[str]) -> str:
    """``; near: BTCUSDT BTC-USDT``, empty where nothing is."""
    by_form: dict[str, list[str]] = {}
    for name in sorted(names):
        by_form.setdefault(_form(name), []).append(name)
    close = get_close_matches(_form(symbol), by_form, NEAR, CLOSE)
    found = [name for form in close for name in by_form[form]][:NEAR]
    return f"; near: {' '.join(found)}" if found else ""


def _form(symbol: str) -> str:
    """What is left of a symbol without the venue's manner of writing it."""
    return "".join(letter for letter in symbol.upper() if letter.isalnum()) or symbol


def in_tables(settings: ClickHouseConfig, exchange: str) -> Others:
    """Of which there are rows: recorded once, and configured no more."""

    def others(symbol: str) -> Iterable[str]:
        from wsadapter.clickhouse.client import Query

        where = "symbol = {symbol:String}" + (" AND exchange = {exchange:String}" if exchange else "")
        database = quoted(settings.database)
        parts = (f"SELECT symbol FROM {database}.{quoted(spec.name)} WHERE {where} LIMIT 1" for spec in SPECS)
        query = f"SELECT symbol FROM ({' UNION ALL '.join(parts)}) LIMIT 1"
        return _names(settings, Query(query, {"symbol": symbol, "exchange": exchange}))

    return others


def traded(config: Config, exchanges: Iterable[str]) -> Others:
    """What the venues trade, as table ``instrument`` says. Where it says nothing of them, or nobody can be asked:
    whatever is not another way to write a name that is configured."""

    def others(symbol: str) -> Iterable[str]:
        from wsadapter.clickhouse.client import Parameters, Query

        names: Parameters = {f"exchange{number}": word for number, word in enumerate(sorted({*exchanges}))}
        values = ", ".join(f"{{{name}:String}}" for name in names)
        table = f"{quoted(config.clickhouse.database)}.{quoted(INSTRUMENT)}"
        query = Query(f"SELECT DISTINCT symbol FROM {table} WHERE exchange IN ({values})", names)
        try:
            found = _names(config.clickhouse, query)
        except ServiceUnavailable:
            found = []
        is_variant = _form(symbol) in map(_form, configured(config))
        return found or (() if is_variant else (symbol,))

    return others


def _names(settings: ClickHouseConfig, query: "Query") -> list[str]:
    # half a second and some MB, and only where a symbol is not configured
    from wsadapter.clickhouse.client import asker, decode_rows

    return [row.symbol for row in decode_rows(asker(settings)(query), _Found)]
