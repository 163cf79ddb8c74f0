"""The account of a run as it is printed."""

import io

import pytest
from rich.console import Console

from wsadapter.audit.account import Account, Summary, show


def test_what_is_asked_for_nobody_sent() -> None:
    accounts = (
        Account("trade", 10, 10, 0, 0, 0, 0, 0, 0, 10, 10, 0),
        Account("open_interest", None, 4, 0, 0, 0, 0, 0, 0, 4, 4, 0),
    )
    text = io.StringIO()
    show(Summary(accounts, {}, 0, 0, 0, 0, 1.0), Console(width=160, file=text))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.getvalue().splitlines() if "│" in line]
    lines = {row[0]: row for row in rows}
    assert lines["trade"][1:4] == ["10", "10", "10"]
    assert lines["open_interest"][1:4] == ["-", "4", "4"]
    assert all(len(line) == 6 for line in lines.values()), "what counts nothing has no column"
    assert Summary(accounts, {}, 0, 0, 0, 0, 1.0).lost == 0


@pytest.mark.parametrize("width", [40, 80, 100])
def test_no_column_is_cut_on_a_narrow_terminal(width: int) -> None:
    account = Account("open_interest", 10_000_000, 9_000_000, 1, 2, 3, 4, 5, 6, 8_000_000, 7_000_000, 9)
    text = io.StringIO()
    console = Console(width=width, file=text, force_terminal=True, color_system=None)
    show(Summary((account,), {}, 0, 0, 0, 0, 1.0), console)

    heads = ("venue sent", "in the ring", "rows (FINAL)", "open candles", "copies", "dropped", "rejected", "missed",
             "repaired", "waiting", "lost", "duplicates")  # fmt: skip
    assert [head for head in heads if head not in text.getvalue()] == []
    assert f"{account.lost:,}" in text.getvalue()
    assert "…" not in text.getvalue()
    assert console.width == width
