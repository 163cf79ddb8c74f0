"""What a gap of a whole connection says of each stream once it is worked off."""

import pytest
from roles.repairer.test_gap_repair import carried, gap

from wsadapter.events import Gap
from wsadapter.events.gaps import RepairState
from wsadapter.exchanges.rest_api import Filled, Series
from wsadapter.roles.repairer.gap_outcomes import RECEIVED, streams_of, streams_of_unknown, summed, with_outcome

HISTORY = {"kline": "repaired", "trade": "repaired", "funding_rate": "repaired", "depth": "partial"}


def said(rows: list[Gap]) -> dict[tuple[str, str, str], str]:
    found = {(row.stream, row.symbol, row.interval): row.repair_state for row in rows}
    assert len(found) == len(rows)
    return found


def filled(state: str, *missing: tuple[int, int]) -> Filled:
    return Filled(RepairState(state), 0, missing)


def outcomes(route: str) -> list[tuple[Series, Filled]]:
    return [(series, filled(HISTORY.get(series.stream, "unrepairable"))) for series in carried()[route]]


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
    assert summed([RepairState(each) for each in states]) == state


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
        (Series("trade", "A"), filled("repaired")), (Series("trade", "B"), filled("unrepairable")),
        (Series("kline", "A", "1m"), filled("repaired")), (Series("kline", "A", "1h"), filled("partial")),
        (Series("kline", "B", "1m"), filled("partial")), (Series("kline", "B", "1h"), filled("partial")),
    ]  # fmt: skip
    assert said(streams_of(gap(), rows)) == {
        ("trade", "A", ""): "repaired", ("trade", "B", ""): "unrepairable", ("kline", "A", "1m"): "repaired",
        ("kline", "A", "1h"): "partial", ("kline", "B", ""): "partial",
    }  # fmt: skip
    both = [(Series("trade", "A"), filled("repaired")), (Series("raw_trade", "A"), filled("unrepairable"))]
    assert said(streams_of(gap(), both)) == {("trade", "A", ""): "partial"}


def test_what_says_all_by_itself_has_none() -> None:
    assert (
        streams_of(
            gap("trade"), [(Series("trade", "A"), filled("repaired")), (Series("trade", "B"), filled("partial"))]
        )
        == []
    )
    assert (
        streams_of(
            gap(), [(Series("trade", "A"), filled("repaired")), (Series("kline", "A", "1m"), filled("repaired"))]
        )
        == []
    )
    assert streams_of_unknown(gap("depth")) == []


def test_of_an_unknown_connection_every_stream_is_lost() -> None:
    assert said(streams_of_unknown(gap())) == {(word, "", ""): "unrepairable" for word in RECEIVED}
    assert said(streams_of_unknown(gap(symbol="A"))) == {(word, "A", ""): "unrepairable" for word in RECEIVED}


def test_a_series_has_one_row_at_most_and_no_count_twice() -> None:
    whole = gap()
    whole.missing_count, whole.first_missing, whole.last_missing = 9, 1, 9
    for row in streams_of(whole, outcomes("market")):
        assert (row.missing_count, row.first_missing, row.last_missing) == (None, None, None)


def test_ids_that_the_venue_did_not_give_are_named() -> None:
    rows = [
        (Series("trade", "A"), filled("partial", (5, 5), (7, 9))),
        (Series("trade", "B"), filled("partial", (1, 1))),
        (Series("ticker", "A"), filled("unrepairable")),
    ]
    named = {
        row.symbol: (row.first_missing, row.last_missing, row.missing_count)
        for row in streams_of(gap(), rows)
        if row.stream == "trade"
    }
    assert named == {"A": (5, 9, 4), "B": (1, 1, 1)}
    alone = with_outcome(gap("trade", "A"), rows[:1])
    assert (alone.repair_state, alone.first_missing, alone.last_missing, alone.missing_count) == ("partial", 5, 9, 4)
