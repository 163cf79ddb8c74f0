"""Views ``<table>_base``: quantities of every venue in units of the base asset, beside the venue's own number.

A venue counts in what it likes: coins, or contracts of so many coins. Table ``instrument`` says which. The views have
every column of their table and, behind them, ``canonical`` (one name over all venues), ``base_currency`` and a
``base_`` column for each quantity: exact, and NULL where a contract is not of the base asset (inverse ones are of the
quote asset) or where ``instrument`` has no row that says so. Nothing is made up.

Text only. The views are no part of the way of an event: one that is missing or is somebody else's stops nothing.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from wsadapter.clickhouse.conversion import FINGERPRINT, fingerprint, literal, quoted, table_columns
from wsadapter.events.streams import StreamSpec

BASE_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "trade": ("quantity",),
    "depth": ("bid_quantity", "ask_quantity"),
    "book_ticker": ("bid_quantity", "ask_quantity"),
    "ticker": ("last_quantity", "volume"),
    "kline": ("volume", "taker_buy_volume"),
    "open_interest": ("open_interest",),
}
"""Table -> the columns that are counted in what the venue counts in."""
SIDES: Final = "open_interest_sides"

_EXACT: Final = "toDecimal256({}, 12)"
_FACTOR: Final = (
    "if(base_currency != '' AND (kind = 'spot' OR contract_currency = base_currency), "
    f"{_EXACT.format('contract_size')} * ifNull({_EXACT.format('multiplier')}, toDecimal256(1, 12)), NULL)"
)
"""Of the base asset in one unit of a quantity."""


class QueryView(Struct, frozen=True):
    """A view that is asked, not written to."""

    name: str
    select: str
    about: str

    @property
    def comment(self) -> str:
        return f"{fingerprint(self.select)}: {self.about}"

    def sql(self, database: str) -> str:
        return self._made(database, "CREATE VIEW IF NOT EXISTS")

    def replacing(self, database: str) -> str:
        return self._made(database, "CREATE OR REPLACE VIEW")

    def is_outdated(self, comment: str) -> bool:
        """Whether one of this name with this comment is ours and has another text."""
        return comment.startswith(FINGERPRINT) and comment != self.comment

    def _made(self, database: str, verb: str) -> str:
        return f"{verb} {quoted(database)}.{quoted(self.name)}\nAS {self.select}\nCOMMENT {literal(self.comment)}"


def base_view(spec: StreamSpec, database: str, columns: tuple[str, ...]) -> QueryView:
    repeated = {column.name for column in table_columns(spec) if column.repeated}
    scale = 18 if spec.name == "open_interest" else 12
    values = [f"t.{quoted(name)} AS {quoted(name)}" for name in (*(c.name for c in table_columns(spec)), "time")]
    values += ["i.canonical AS `canonical`", "i.base_currency AS `base_currency`"]
    for name in columns:
        exact = f"toDecimal256({{}}, {scale}) * i.factor"
        source = f"t.{quoted(name)}"
        value = f"arrayMap(x -> {exact.format('x')}, {source})" if name in repeated else exact.format(source)
        values.append(f"{value} AS {quoted(f'base_{name}')}")
    if spec.name == "open_interest":
        values += [f"i.{SIDES} AS {quoted(SIDES)}", "base_open_interest / i.open_interest_sides AS `base_one_sided`"]
    select = (
        "SELECT\n    " + ",\n    ".join(values) + f"\nFROM {quoted(database)}.{quoted(spec.name)} AS t\n"
        f"LEFT JOIN (SELECT exchange, symbol, canonical, base_currency, {SIDES}, {_FACTOR} AS factor "
        f"FROM {quoted(database)}.`instrument` FINAL) AS i ON t.exchange = i.exchange AND t.symbol = i.symbol"
    )
    about = (
        f"table {spec.name} with quantities in units of base_currency (base_...), for spot and linear contracts; NULL "
        "for others and where table instrument says nothing. Like the table itself it may have rows that are not merged"
    )
    return QueryView(f"{spec.name}_base", select, about)
