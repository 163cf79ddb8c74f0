"""A gap of which a file filled a part has a row about that part, beside its own: what is said of all else then."""

import pytest

from wsadapter.audit.explanations import Explained, Explanations, SeriesHole
from wsadapter.audit.recorded_holes import holes
from wsadapter.audit.rows import GapRow

SECOND = 10**9
START, END = 1_790_000_040 * SECOND, 1_790_000_100 * SECOND
CONNECTION = "binance-public-0"


def row(state: str, stream: str = "", symbol: str = "", interval: str = "", cause: str = "disconnect") -> GapRow:
    return GapRow(
        "binance", symbol, stream, interval, CONNECTION, cause, "1:1", START, END, None, None, None, state
    )  # fmt: skip


def explained(gaps: list[GapRow], stream: str, symbol: str, kind: str = "") -> tuple[str, bool]:
    hole = SeriesHole(
        "binance", stream, symbol, kind, 5, 9, START, END, START, END, 6, 9, 4, frozenset({CONNECTION})
    )  # fmt: skip
    (found,) = Explanations(gaps, 0).explain([hole])
    assert isinstance(found, Explained)
    return found.by, found.claimed


PARTS = [row("repaired", "raw_trade", "BTCUSDT"), row("repaired", "kline", "BTCUSDT", "1m")]


@pytest.mark.parametrize("part", PARTS, ids=["raw_trade", "kline"])
@pytest.mark.parametrize(
    ("stream", "symbol", "kind"),
    [("trade", "ETHUSDT", "aggregated"), ("trade", "BTCUSDT", "aggregated"), ("depth", "BTCUSDT", ""),
     ("kline", "BTCUSDT", "5m")],
)  # fmt: skip
def test_a_gap_that_waits_explains_what_its_part_is_not_about(
    part: GapRow, stream: str, symbol: str, kind: str
) -> None:
    for gaps in ([row("open")], [part, row("open")], [row("open"), part]):
        assert explained(gaps, stream, symbol, kind) == ("disconnect", False)
    assert explained([part, row("partial")], stream, symbol, kind) == ("", False), "its rows say all of it"


def test_what_a_part_is_about_is_as_that_says() -> None:
    assert explained([row("open"), *PARTS], "kline", "BTCUSDT", "1m") == ("", True)


@pytest.mark.parametrize(
    ("own", "parts", "state"),
    [
        (row("open"), PARTS[1:], "partial"),
        (row("open"), [row("open", "kline", "BTCUSDT", "1m")], "open"),
        (row("unrepairable", "trade", "BTCUSDT", cause="stale"), PARTS[:1], "partial"),
        (row("partial"), [row("repaired", "trade")], "repaired"),
        (row("partial"), [row("repaired", "trade"), row("unrepairable", "ticker")], "partial"),
    ],
    ids=["open", "open part", "stream", "one stream", "streams"],
)
def test_a_hole_is_not_repaired_because_one_part_is(own: GapRow, parts: list[GapRow], state: str) -> None:
    (hole,) = holes([*parts, own])
    assert hole.row is own
    assert (hole.state(narrowed=True), hole.state(narrowed=False)) == (state, own.repair_state)
