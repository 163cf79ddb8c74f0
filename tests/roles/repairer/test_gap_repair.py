"""Which series a gap is about, and how a gap is said again."""

import pytest

from wsadapter.client.config import ConnectionConfig
from wsadapter.events import Gap, Source
from wsadapter.events.gaps import with_state
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.binance.usdm_rest import BinanceFuturesRest
from wsadapter.exchanges.rest_api import Series
from wsadapter.kafka.messages import gap_of
from wsadapter.pb import market_pb2
from wsadapter.roles.repairer.carriers import series_of

WORDS = ("kline", "ticker", "depth", "trade", "raw_trade", "mark_price", "funding_rate", "liquidation", "book_ticker")


def carried() -> dict[str, list[Series]]:
    """Route -> what that connection carries."""
    config = ConnectionConfig(symbols=("BTCUSDT", "ETHUSDT"), streams=WORDS, intervals=("1m", "1h"), name="fut")
    plans = BinanceFutures.plan(config.feed())
    return {plan.connection.split("-")[1]: BinanceFuturesRest().series(plan) for plan in plans}


def gap(stream: str = "", symbol: str = "", interval: str = "") -> Gap:
    return Gap(
        "binance", symbol, None, None, 9, Source.WEBSOCKET, "fut-market-0", 3, "1:2", 2, stream, interval,
        "disconnect", 5, 7, None, None, None, "open",
    )  # fmt: skip


def test_what_the_connections_carry() -> None:
    found = carried()
    assert {(s.stream, s.interval, s.levels) for s in found["market"]} == {
        ("kline", "1m", 0), ("kline", "1h", 0), ("ticker", "", 0), ("trade", "", 0), ("mark_price", "", 0),
        ("funding_rate", "", 0), ("liquidation", "", 0),
    }  # fmt: skip
    assert {(s.stream, s.levels) for s in found["public"]} == {("depth", 20), ("book_ticker", 0), ("raw_trade", 0)}
    assert {s.symbol for s in (*found["market"], *found["public"])} == {"BTCUSDT", "ETHUSDT"}


@pytest.mark.parametrize(
    ("about", "count"),
    [
        (gap(), 14),
        (gap("trade"), 2),
        (gap("trade", "ETHUSDT"), 1),
        (gap("kline", "BTCUSDT"), 2),
        (gap("kline", "BTCUSDT", "1h"), 1),
        (gap("depth"), 0),
        (gap("trade", "XRPUSDT"), 1),  # a reload has taken it out
        (gap("", "XRPUSDT"), 0),
    ],
)
def test_a_gap_is_about_these(about: Gap, count: int) -> None:
    assert len(series_of(about, carried()["market"])) == count


def test_a_gap_of_trades_may_be_about_raw_ones() -> None:
    assert [s.stream for s in series_of(gap("trade", "BTCUSDT"), carried()["public"])] == ["raw_trade"]


def test_raw_trades_of_a_symbol_that_a_reload_has_taken_out_are_not_taken_for_aggregated_ones() -> None:
    assert [s.stream for s in series_of(gap("trade", "XRPUSDT"), carried()["public"])] == ["raw_trade"]
    assert [s.stream for s in series_of(gap("trade", "XRPUSDT"), carried()["market"])] == ["trade"]
    both = [*carried()["market"], *carried()["public"]]
    assert [s.stream for s in series_of(gap("trade", "XRPUSDT"), both)] == ["raw_trade", "trade"]


def test_a_gap_is_said_again() -> None:
    before = gap("trade", "BTCUSDT")
    after = with_state(before, "partial")
    changed = {name for name in Gap.__struct_fields__ if getattr(before, name) != getattr(after, name)}
    assert changed == {"version", "repair_state"}
    assert (after.version, after.repair_state) == (3, "partial")


def test_a_gap_is_read_from_its_message() -> None:
    event = gap("kline", "BTCUSDT", "1m")
    message = market_pb2.Gap(epoch=1, position=2)
    for name in Gap.__struct_fields__:
        if (value := getattr(event, name)) is not None:
            setattr(message, name, value)
    assert gap_of(message.SerializeToString()) == event
    for value in (b"\xff", b"\x0a\xff\xff\xff\xff\x7f"):
        assert gap_of(value) is None
    empty = gap_of(b"")
    assert empty is None or empty.gap_id == ""
