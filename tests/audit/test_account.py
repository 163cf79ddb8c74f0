"""The account of a run as it is printed."""

import io

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
    assert all(len(line) == 12 for line in lines.values())
    assert Summary(accounts, {}, 0, 0, 0, 0, 1.0).lost == 0
