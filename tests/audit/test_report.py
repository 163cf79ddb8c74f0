"""What a report says of series whose last rows are right and whose tail is not in the tables. No process, no clock."""

import io

import pytest
from rich.console import Console

from wsadapter.audit.rows import Scope
from wsadapter.audit.tables import COMPLETE, DEAD_LETTERS, EMPTY, FAILED, STUCK, AuditedSeries, Report
from wsadapter.audit.tail import Tail
from wsadapter.audit.view import show, to_json


def series(stream: str = "trade") -> AuditedSeries:
    return AuditedSeries("binance", stream, "BTCUSDT", "", 10, 10, 0, 1, "sequence", 0, 0, 0, None)


@pytest.mark.parametrize(
    ("dead_letters", "stuck", "verdict"),
    [
        ({"trade": 3}, {}, DEAD_LETTERS),
        ({}, {"trade": 5}, STUCK),
        ({"trade": 3}, {"trade": 5}, DEAD_LETTERS),
    ],
)
def test_a_tail_that_is_in_no_table_is_not_complete(
    dead_letters: dict[str, int], stuck: dict[str, int], verdict: str
) -> None:
    complete = Report((series(), series("depth")), (), ())
    assert complete.verdict == COMPLETE

    report = complete.with_tail(Tail(dead_letters, stuck))

    assert report.verdict == verdict
    assert verdict in FAILED
    assert [one.verdict for one in report.series] == [verdict, COMPLETE]
    trade, depth = to_json(Scope(0), report, None, True)["series"]
    assert (trade["dead_letters"], trade["stuck"]) == (dead_letters.get("trade", 0), stuck.get("trade", 0))
    assert (depth["dead_letters"], depth["stuck"], depth["verdict"]) == (0, 0, COMPLETE)


def test_a_stream_of_which_nothing_reached_the_tables_is_not_complete() -> None:
    report = Report((series("depth"),), (), ()).with_tail(Tail({"trade": 4000}, {}))

    assert report.verdict == DEAD_LETTERS
    assert to_json(Scope(0), report, None, True)["dead_letters"] == {"trade": 4000}


def test_nothing_recorded_is_not_complete() -> None:
    assert Report((), (), ()).verdict == EMPTY
    assert EMPTY in FAILED
    assert to_json(Scope(0), Report((), (), ()), None, True)["verdict"] == "empty"


def test_a_tail_that_nobody_knows_is_said() -> None:
    output = io.StringIO()
    show(Console(file=output, width=200), Scope(0), Report((series(),), (), ()), None)

    assert "Kafka does not answer: dead letters and what waits there are not counted" in output.getvalue()
    assert to_json(Scope(0), Report((series(),), (), ()), None, False)["dead_letters"] is None


def test_an_audit_of_one_stream_has_its_tail_alone() -> None:
    tail = Tail({"trade": 1, "depth": 2}, {"kline": 3})

    assert tail.of("trade") == Tail({"trade": 1}, {})
    assert tail.of("") == tail
