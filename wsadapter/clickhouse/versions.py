"""The versions of the tables, and what each changed in tables that were there.

A version is what `wsadapter.clickhouse.migration` has to do with rows. The present schema is in
`wsadapter.clickhouse.schema`; nothing here is needed where the database is new.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

COMMAND: Final = "wsadapter-supervisor ddl --migrate"


class Version(Struct, frozen=True):
    """``keys``: tables whose sorting key it changed -> the key before, as a server says it. ``filled``: table -> new
    column -> SQL of its value in a row from before; other new columns have their type's default."""

    number: int
    what: str
    keys: Mapping[str, str] = {}
    filled: Mapping[str, Mapping[str, str]] = {}


VERSIONS: Final = (
    Version(1, "the first one"),
    Version(
        2,
        "ordinal in the keys of events without an id, settled in that of funding rates, more columns of instruments",
        keys={
            "depth": "exchange, symbol, update_type, level_limit, time, ifNull(last_update_id, 0)",
            "book_ticker": "exchange, symbol, time, ifNull(update_id, 0)",
            **dict.fromkeys(("ticker", "mark_price", "funding_rate", "open_interest"), "exchange, symbol, time"),
        },
        # the history of rates is all that came over REST
        filled={"funding_rate": {"settled": "source = 'REST'"}},
    ),
    Version(3, "what rows go through (_in, _mv) in a database of its own, table coverage, comments"),
)
VERSION: Final = VERSIONS[-1].number


def before_key(table: str) -> int:
    """The last version in which a table had a former key."""
    return max(version.number for version in VERSIONS if table in version.keys) - 1


def is_former_key(table: str, sorting_key: str) -> bool:
    """Whether a table of ours once had this sorting key."""
    return bare(sorting_key) in {bare(version.keys[table]) for version in VERSIONS if table in version.keys}


def bare(text: str) -> str:
    """SQL without spaces and backticks: servers differ in them."""
    return re.sub(r"[\s`]", "", text)


def filled(table: str) -> dict[str, str]:
    """Columns of a table that rows from before get a value for."""
    return {column: sql for version in VERSIONS for column, sql in version.filled.get(table, {}).items()}
