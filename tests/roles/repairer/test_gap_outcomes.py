"""What a gap of a whole connection says of each stream once it is worked off."""

import pytest
from roles.repairer.test_gap_repair import carried, gap

from wsadapter.events import Gap
from wsadapter.exchanges.rest_api import Series
from wsadapter.roles.repairer.gap_outcomes import RECEIVED, streams_of, streams_of_unknown, summed

HISTORY = {"kline": "repaired", "trade": "repaired", "funding_rate": "repaired", "depth": "partial"}


def said(rows: list[Gap]) -> dict[tuple[str, str, str], str]:
    found = {(row.stream, row.symbol, row.interval): row.repair_state for row in rows}
    assert len(found) == len(rows)
    return found


def outcomes(route: str) -> list[tuple[Series, str]]:
    return [(series, HISTORY.get(series.stream, "unrepairable")) for series in carried()[route]]


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["repaired", "repaired"], "repaired"),
        (["repaired", "unrepairable"], "partial"),
        (["unrepairable"], "unrepairable"),
        (["partial"], "partial"),
        ([], "unrepairable"),
    ],
)
def test_several_states_as_one(states: list[str], state: str) -> None:
    assert summed(states) == state


def test_each_stream_has_a_row() -> None:
    rows = streams_of(gap(), outcomes("market"))
    assert said(rows) == {
        ("kline", "", ""): "repaired", ("trade", "", ""): "repaired", ("funding_rate", "", ""): "repaired",
        ("ticker", "", ""): "unrepairable", ("mark_price", "", ""): "unrepairable",
        ("liquidation", "", ""): "unrepairable",
    }  # fmt: skip
    assert {(row.gap_id, row.version, row.connection, row.started_ns, row.ended_ns) for row in rows} == {
        ("1:2", 3, "fut-market-0", 5, 7)
    }
    rows = streams_of(gap(), outcomes("public"))  # raw trades are trades
    assert said(rows) == {
        ("depth", "", ""): "partial", ("book_ticker", "", ""): "unrepairable", ("trade", "", ""): "unrepairable"
    }  # fmt: skip


def test_symbols_and_intervals_where_they_differ() -> None:
    rows = [
        (Series("trade", "A"), "repaired"), (Series("trade", "B"), "unrepairable"),
        (Series("kline", "A", "1m"), "repaired"), (Series("kline", "A", "1h"), "partial"),
        (Series("kline", "B", "1m"), "partial"), (Series("kline", "B", "1h"), "partial"),
    ]  # fmt: skip
    assert said(streams_of(gap(), rows)) == {
        ("trade", "A", ""): "repaired", ("trade", "B", ""): "unrepairable", ("kline", "A", "1m"): "repaired",
        ("kline", "A", "1h"): "partial", ("kline", "B", ""): "partial",
    }  # fmt: skip
    both = [(Series("trade", "A"), "repaired"), (Series("raw_trade", "A"), "unrepairable")]
    assert said(streams_of(gap(), both)) == {("trade", "A", ""): "partial"}


def test_what_says_all_by_itself_has_none() -> None:
    assert streams_of(gap("trade"), [(Series("trade", "A"), "repaired"), (Series("trade", "B"), "partial")]) == []
    assert streams_of(gap(), [(Series("trade", "A"), "repaired"), (Series("kline", "A", "1m"), "repaired")]) == []
    assert streams_of_unknown(gap("depth")) == []


def test_of_an_unknown_connection_every_stream_is_lost() -> None:
    assert said(streams_of_unknown(gap())) == {(word, "", ""): "unrepairable" for word in RECEIVED}
    assert said(streams_of_unknown(gap(symbol="A"))) == {(word, "A", ""): "unrepairable" for word in RECEIVED}


def test_a_series_has_one_row_at_most_and_no_count_twice() -> None:
    whole = gap()
    whole.missing_count, whole.first_missing, whole.last_missing = 9, 1, 9
    for row in streams_of(whole, outcomes("market")):
        assert (row.missing_count, row.first_missing, row.last_missing) == (None, None, None)
