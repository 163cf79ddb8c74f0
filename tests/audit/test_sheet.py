"""Tables for a person: what fits, what is left out, and what a terminal that is too narrow shows instead."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from wsadapter.audit.sheet import add_row, plain_table, print_whole

HEADS = ("started", "duration", "venue name", "symbol", "missing", "nothing", "state")


def table(rows: int = 2, value: int = 1_000_000) -> Table:
    made = plain_table(*HEADS, words=["started", "venue name", "symbol", "state"])
    for number in range(rows):
        add_row(made, "2026-11-22 10:00:00", f"{number} s", "binance", "BTCUSDT", value, 0, "open")
    return made


def printed(width: int, made: Table, terminal: bool = True) -> list[str]:
    text = io.StringIO()
    print_whole(Console(width=width, file=text, force_terminal=terminal, color_system=None), made)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_a_terminal_that_is_wide_enough_shows_every_column() -> None:
    lines = printed(100, table())

    assert lines[0].split() == ["started", "duration", "venue", "name", "symbol", "missing", "nothing", "state"]
    assert len(lines) == 3


def test_first_the_columns_go_in_which_nothing_stands_then_heads_take_two_lines() -> None:
    (head, *_), (first, second, *_) = printed(70, table()), printed(61, table())

    assert "nothing" not in head
    assert "venue name" in head
    assert "venue name" not in first + second
    assert "venue" in first
    assert "name" in second


def test_at_last_a_row_is_a_record() -> None:
    lines = printed(40, table(rows=1))

    assert lines == [
        "2026-11-22 10:00:00  duration 0 s",
        "  venue name binance  symbol BTCUSDT",
        "  missing 1,000,000  state open",
    ]


def test_of_a_verdict_a_zero_is_shown_too() -> None:
    assert "missing 0" in " ".join(printed(40, table(value=0)))


def test_elsewhere_a_table_is_as_wide_as_it_is() -> None:
    assert printed(20, table(), terminal=False) == printed(200, table(), terminal=False)


@given(
    st.integers(30, 200),
    st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12), st.text("abc[]/", max_size=30)), max_size=5),
)
def test_no_value_is_cut_at_any_width(width: int, rows: list[tuple[int, int, str]]) -> None:
    made = plain_table("name", "first of two", "second", words=["name"])
    for first, second, name in rows:
        add_row(made, name, first, second)
    text = " ".join(printed(width, made))

    assert "…" not in text
    for first, second, name in rows:
        assert all(f"{number:,}" in text for number in (first, second) if number)
        assert name in text


@pytest.mark.parametrize("width", [80, 100])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    made = plain_table(*(f"column {n}" for n in range(20)), words=["column 0"])
    add_row(made, "name", *range(1_000_000, 1_000_019))

    assert [line for line in printed(width, made) if len(line) > width] == []
