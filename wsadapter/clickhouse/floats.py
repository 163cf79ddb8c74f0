"""Views ``<table>_f64``: a table with Float64 where it has decimals, for data frames.

A client makes an object of each decimal: 100,000 trades take seconds, as floats some hundredths. A float has 15 to 17
digits: good to plot and to model, not to settle accounts with. Everything else is as in the table, each row once
(FINAL). Text only.
"""

from msgspec import structs

from wsadapter.clickhouse.conversion import quoted, table_columns
from wsadapter.clickhouse.query_view import QueryView, selected
from wsadapter.clickhouse.units import own_columns
from wsadapter.events.streams import StreamSpec


def float_view(spec: StreamSpec, database: str) -> QueryView:
    values = own_columns(spec)
    by_name = {column.name: column for column in table_columns(spec)}
    for place, value in enumerate(values):
        column = by_name.get(value.name)
        if column is None or not column.decimal:
            continue
        made, kind = f"toFloat64({value.value})", "Float64"
        if column.repeated:
            made, kind = f"arrayMap(x -> toFloat64(x), {value.value})", "Array(Float64)"
        elif column.nullable:
            kind = "Nullable(Float64)"
        values[place] = structs.replace(value, value=made, type=kind)
    about = f"table {spec.name} with Float64 instead of decimals, for data frames. Each row once"
    return QueryView(
        f"{spec.name}_f64", f"{selected(values)}\nFROM {quoted(database)}.{quoted(spec.name)} AS t FINAL", about, values
    )
