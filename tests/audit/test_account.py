"""The account of a run as it is printed."""

import io

import pytest
from rich.console import Console

from wsadapter.audit.account import Account, Summary, show
from wsadapter.metrics import STREAM_WORDS


def test_what_is_asked_for_nobody_sent() -> None:
    accounts = (
        Account("trade", 10, 10, 0, 0, 0, 0, 0, 0, 10, 10, 0),
        Account("open_interest", None, 4, 0, 0, 0, 0, 0, 0, 4, 4, 0),
    )
    text = io.StringIO()
    show(Summary(accounts, {}, 0, 0, 0, 0, 1.0), Console(width=160, file=text))
    lines = {row[0]: row for line in text.getvalue().splitlines() if len(row := line.split()) > 2}
    assert lines["trade"][1:4] == ["10", "10", "10"]
    assert lines["open_interest"][1:4] == ["-", "4", "4"]
    assert len(lines["trade"]) == len(lines["open_interest"]) == 6, "what counts nothing has no column"
    assert Summary(accounts, {}, 0, 0, 0, 0, 1.0).lost == 0


def test_a_candle_that_rest_gave_another_row_for_is_neither_lost_nor_twice() -> None:
    """Before its rows are merged and after; one that is really lost is still seen."""
    for rows in (21, 20):
        account = Account("kline", None, 23, 2, 0, 0, 0, 2, 0, rows, 20, 0, replaced=1)
        assert (account.lost, account.duplicates) == (0, 0)
    account = Account("kline", None, 24, 2, 0, 0, 0, 2, 0, 22, 20, 0, replaced=1)
    assert (account.lost, account.duplicates) == (1, 1)
    assert Account("kline", None, 22, 2, 0, 0, 0, 2, 0, 20, 20, 0, replaced=1).lost == 0, "its other row is of before"


def test_what_was_read_again_of_a_topic_made_anew_is_no_duplicate() -> None:
    """One that is lost is still seen, and so are more rows than were read again."""
    account = Account("trade", None, 20, 0, 0, 0, 0, 0, 0, 23, 20, 0, read_again=3)
    assert (account.lost, account.duplicates) == (0, 0)
    account = Account("trade", None, 21, 0, 0, 0, 0, 0, 0, 24, 20, 0, read_again=3)
    assert (account.lost, account.duplicates) == (1, 1)


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


@pytest.mark.parametrize("width", [80, 100])
def test_the_account_of_a_demo_is_a_table_on_an_ordinary_terminal(width: int) -> None:
    accounts = [Account(word, 21_844, 21_851, 7, 0, 0, 0, 20_102, 0, 21_844, 21_844, 0) for word in STREAM_WORDS]
    text = io.StringIO()
    console = Console(width=width, file=text, force_terminal=True, color_system=None)
    show(Summary(tuple(accounts), {"connect": 7}, 0, 0, 0, 0, 1.0), console)
    lines = text.getvalue().splitlines()
    rows = [line.split() for line in lines if line.startswith("open_interest")]

    assert [line for line in lines[:-1] if len(line.rstrip()) > width] == []
    assert rows == [["open_interest", "21,844", "21,851", "21,844", "20,102", "7", "-20,095", "0"]]
    assert "lost" in text.getvalue()
