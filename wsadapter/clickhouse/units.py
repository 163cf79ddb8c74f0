"""Views ``<table>_base``: quantities of every venue in units of the base asset, beside the venue's own number.

A venue counts in what it likes: coins, or contracts of so many coins. Table ``instrument`` says which. The views have
every column of their table and, behind them, ``canonical`` (one name over all venues), ``base_currency``,
``quote_currency`` and a ``base_`` column for each quantity: exact, and NULL where a contract is not of the base asset
(inverse ones are of the quote asset) or where ``instrument`` has no row that says so. ``trade_base`` has ``notional``,
too: what was paid, in the quote currency, exact for linear and inverse contracts. Nothing is made up.

Text only. Each row is there once (FINAL).
"""

from collections.abc import Mapping
from typing import Final

from wsadapter.clickhouse.conversion import quoted, stored_type, table_columns
from wsadapter.clickhouse.query_view import QueryView, ViewColumn, selected
from wsadapter.events.descriptions import of_field
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
PRICED: Final = "trade"
"""Whose rows have a price for their one quantity."""
TIME: Final = "DateTime64(9, 'UTC')"

_EXACT: Final = "toDecimal256({}, 12)"
_SIZE: Final = f"{_EXACT.format('contract_size')} * ifNull({_EXACT.format('multiplier')}, toDecimal256(1, 12))"
_OF_BASE: Final = "base_currency != '' AND (kind = 'spot' OR contract_currency = base_currency)"
_OF_QUOTE: Final = "quote_currency != '' AND kind != 'spot' AND contract_currency = quote_currency"
_NAMES: Final = ("canonical", "base_currency", "quote_currency")


def instruments(database: str) -> str:
    """A subquery of table ``instrument``: names of each symbol, and how much of the base asset (``base_factor``) or of
    the quote currency (``quote_factor``) one unit of a quantity is; NULL where it is not of that."""
    return (
        f"SELECT exchange, symbol, {', '.join(_NAMES)}, {SIDES}, if({_OF_BASE}, {_SIZE}, NULL) AS base_factor, "
        f"if({_OF_QUOTE}, {_SIZE}, NULL) AS quote_factor FROM {quoted(database)}.`instrument` FINAL"
    )


def notional(paid: str, quantity: str) -> str:
    """What was paid in the quote currency, of price times quantity (24 decimals) and quantity (12), with `instruments`
    as ``i``: exact, with 28 digits before the point."""
    return f"coalesce({paid} * i.base_factor, toDecimal256({quantity} * i.quote_factor, 48))"


def view_type(kind: str) -> str:
    """A type of ours in a server's words."""
    return kind.replace(",", ", ")


def own_columns(spec: StreamSpec) -> list[ViewColumn]:
    """The columns of a table as they are, but for ``version``; the table is ``t``."""
    kinds = [(c.name, view_type(stored_type(c))) for c in table_columns(spec)] + [("time", TIME)]
    return [ViewColumn(name, f"t.{quoted(name)}", kind, of_field(spec.name, name)) for name, kind in kinds]


def base_view(spec: StreamSpec, database: str, columns: tuple[str, ...]) -> QueryView:
    repeated = {column.name for column in table_columns(spec) if column.repeated}
    scale = 18 if spec.name == "open_interest" else 12
    values = own_columns(spec)
    texts = "one name over all venues: BTC/USDT:USDT", "what is bought", "what prices are in"
    values += [
        ViewColumn(name, f"i.{name}", "LowCardinality(String)", text) for name, text in zip(_NAMES, texts, strict=True)
    ]
    for name in columns:
        exact = f"toDecimal256({{}}, {scale}) * i.base_factor"
        source, kind = f"t.{quoted(name)}", f"Nullable(Decimal(76, {scale + 24}))"
        if name in repeated:
            source, kind = f"arrayMap(x -> {exact.format('x')}, {source})", f"Array({kind})"
        else:
            source = exact.format(source)
        about = f"{name} in units of base_currency; NULL: not of the base asset, or not known"
        values.append(ViewColumn(f"base_{name}", source, kind, about))
    if spec.name == PRICED:
        about = "what was paid, in quote_currency; NULL: table instrument does not say enough"
        price, quantity = _EXACT.format("t.`price`"), _EXACT.format("t.`quantity`")
        value = notional(f"{price} * {quantity}", quantity)
        values.append(ViewColumn("notional", value, "Nullable(Decimal(76, 48))", about))
    if spec.name == "open_interest":
        values.append(ViewColumn(SIDES, f"i.{SIDES}", "Nullable(UInt8)", of_instrument_sides()))
        values.append(ViewColumn(
            "base_one_sided", f"base_open_interest / i.{SIDES}", f"Nullable(Decimal(76, {scale + 24}))",
            "base_open_interest counted once; NULL: not known which sides the venue counts",
        ))  # fmt: skip
    select = (
        f"{selected(values)}\nFROM {quoted(database)}.{quoted(spec.name)} AS t FINAL\n"
        f"LEFT JOIN ({instruments(database)}) AS i ON t.exchange = i.exchange AND t.symbol = i.symbol"
    )
    about = (
        f"table {spec.name} with quantities in units of base_currency (base_...), for spot and linear contracts; NULL "
        "for others and where table instrument says nothing. Each row once"
    )
    return QueryView(f"{spec.name}_base", select, about, values)


def of_instrument_sides() -> str:
    return "1: open contracts counted once, 2: longs and shorts"
