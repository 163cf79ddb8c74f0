"""Tables for a person, whole at any width: no column is cut, none that says something is left out.

On a terminal a table that is too wide loses the columns in which nothing stands, then its heads take two lines, and at
last each row is a record, name by value, over as many lines as it needs. Anywhere else a table is as wide as it is.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

MAX_WIDTH: Final = 1000
"""Columns of text that a table may take."""
NOTHING: Final = ("", "0", "-")
ALWAYS_SHOWN: Final = frozenset(
    {"in the ring", "rows", "rows (FINAL)", "missing", "holes", "unexplained", "lost", "duplicates", "verdict", "state"}
)
"""Of these a zero says something."""
GAP: Final = "  "
"""Between the values of a record."""
MOST_IN_HEAD: Final = 4
"""Texts at the begin of a row that name it."""


def plain_table(*heads: str, words: Collection[str], wraps: Collection[str] = ()) -> Table:
    """Without a frame. Columns in ``words`` are text and stand left, the others are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, justify="left" if head in words else "right", no_wrap=head not in wraps)
    return table


def add_row(table: Table, *cells: str | float | Text | None) -> None:
    """Text as `Text`: a name is never read as rich's markup."""
    texts = (f"{cell:,.0f}" if isinstance(cell, int | float) else cell or "" for cell in cells)
    table.add_row(*(text if isinstance(text, Text) else Text(text) for text in texts))


def fitted(console: Console, table: Table) -> RenderableType:
    """The table as far as the terminal has room for it; else a record a row."""
    for lean in _leaner(table):
        if _width(console, lean) <= console.width:
            return lean
    return Group(*records(table, console.width))


def print_whole(console: Console, table: Table) -> None:
    if not console.is_terminal:
        width = console.width
        console.width = max(width, _width(console, table))
        console.print(table, crop=False)
        console.width = width
        return
    console.print(fitted(console, table))


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(max_width=MAX_WIDTH), table).maximum


def _leaner(table: Table) -> Iterator[Table]:
    """The table, and what of it takes less and less room."""
    yield table
    kept = [at for at, column in enumerate(table.columns) if at == 0 or _says_something(table, at)]
    yield _part(table, kept, lambda head: head)
    yield _part(table, kept, lambda head: head.replace(" ", "\n", 1))


def _says_something(table: Table, at: int) -> bool:
    return str(table.columns[at].header) in ALWAYS_SHOWN or any(text.plain not in NOTHING for text in _cells(table, at))


def _part(table: Table, kept: Collection[int], head: Callable[[str], str]) -> Table:
    part = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for at in kept:
        column = table.columns[at]
        part.add_column(head(str(column.header)), justify=column.justify, no_wrap=column.no_wrap, vertical="bottom")
    for row in zip(*(_cells(table, at) for at in kept), strict=True):
        part.add_row(*row)
    return part


def records(table: Table, width: int) -> Iterator[Text]:
    """A row each: what names it, then the values under their names, broken between two of them only."""
    for row in zip(*(_cells(table, at) for at in range(len(table.columns))), strict=True):
        named = 1
        while named < min(MOST_IN_HEAD, len(row)) and table.columns[named].justify == "left":
            named += 1
        line = Text(GAP.join(text.plain for text in row[:named] if text.plain), style="bold")
        for at in range(named, len(row)):
            head, text = str(table.columns[at].header), row[at]
            if text.plain in NOTHING and head not in ALWAYS_SHOWN:
                continue
            value = Text.assemble((f"{head} ", "dim"), text)
            if line.cell_len + len(GAP) + value.cell_len > width:
                yield line
                line = Text(GAP)
                line.append_text(value)
            else:
                line = Text.assemble(line, GAP, value) if line.plain.strip() else Text.assemble(GAP, value)
        yield line


def _cells(table: Table, at: int) -> list[Text]:
    """As `Text`: what `add_row` made of it."""
    return [cell if isinstance(cell, Text) else Text(str(cell)) for cell in table.columns[at].cells]
