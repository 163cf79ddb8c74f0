"""What a recorded message counts as, by the stand-in's tables: as many events as a session of the product makes of it,
of which it shares no code."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conformance.sessions import in_one_session
from frames_path import FRAMES, frames
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.config.model import Config, ServiceConfig
from wsadapter.embedded.demo import asked_of
from wsadapter.embedded.exchange import STAND_INS
from wsadapter.embedded.exchange.dialects import dialect
from wsadapter.embedded.exchange.recorded_events import Reading, Readings, one
from wsadapter.embedded.exchange.recording import MessageEvents
from wsadapter.embedded.exchange.replay import FrameFile
from wsadapter.errors import ConfigError
from wsadapter.exchanges import load
from wsadapter.roles.supervisor.replayed import feeds

FOLDERS = {
    "binance": ("binance_usdm",), "binance_spot": ("binance_spot",), "binance_coinm": ("binance_coinm",),
    "bybit": ("bybit_linear",), "bybit_inverse": ("bybit_inverse",), "bybit_spot": ("bybit_spot",), "okx": ("okx",),
    "kraken": ("kraken",), "coinbase": ("coinbase_exchange", "coinbase_advanced"), "deribit": ("deribit",),
    "gate": ("gateio_futures",), "bitget": ("bitget", "bitget_v3"), "bitget_spot": ("bitget_spot", "bitget_v3"),
    "hyperliquid": ("hyperliquid",), "kraken_futures": ("kraken_futures",),
}  # fmt: skip
NO_SESSION = {
    # frames of different days beside each other: changes of books that follow upon nothing, which the product refuses
    "bybit_linear/docs_examples.jsonl", "deribit/examples_depth_delta.jsonl", "kraken_futures/examples_book.jsonl",
    # mark prices of what the file itself calls spot
    "okx/jkorf_okx_fixtures.jsonl",
}  # fmt: skip


def files() -> list[tuple[str, str]]:
    found = []
    for exchange, folders in FOLDERS.items():
        for folder in folders:
            names = sorted((FRAMES / folder).glob("*.jsonl*")) if FRAMES else [Path("absent.jsonl")]
            found += [(exchange, f"{folder}/{path.name}") for path in names]
    return found


def counted(exchange: str, path: Path) -> tuple[Counter[str], Counter[str]]:
    """As the venue counts what it sends, and as a session counts what it makes of it."""
    recording = feeds(exchange, path)
    spoken, asked = dialect(exchange), asked_of(Config(ServiceConfig("i", "/"), feed=recording), exchange)
    of = {spoken.spelled(symbol): frozenset(words) for symbol, words in asked.items()}
    names = [each.name for feed in recording for plan in load(exchange).plan(feed) for each in plan.subscriptions]
    sent, told = Counter[str](), dict[Any, Any]()
    for recorded in FrameFile(path, spoken.recogniser):
        if recorded.events is not None:
            sent.update(recorded.events.count(told, of, any(map(recorded.events.is_carried, names))))
    made = Counter(event.stream_type.value for feed in recording for event in in_one_session(feed, path))
    return sent, made


def test_every_venue_has_its_tables() -> None:
    assert FOLDERS.keys() == STAND_INS.keys()


@pytest.mark.parametrize(("exchange", "name"), files())
def test_of_every_recorded_file_as_many_as_a_session_makes(exchange: str, name: str) -> None:
    try:
        sent, made = counted(exchange, frames(name))
    except ConfigError:
        pytest.skip("names no symbol of this market")
    if name in NO_SESSION:
        assert sent > made
    else:
        assert sent == made


TRADES = Reading(name="trade:{symbol}", rows="data", words={"trade": one}, identity="id", number="n",
                 again=lambda message: message["type"] == "snapshot")  # fmt: skip
BOOK = Reading(name="book:{symbol}:{levels}", rows="data", words=("depth",), alive=("seq", "before"),
               begins=lambda message, row: message["type"] == "snapshot")  # fmt: skip
CANDLES = Reading(name="candle:{interval}:{symbol}", rows="data", words=("kline",), codes=("1m",), opens="t",
                  closed="x")  # fmt: skip
STATE = Reading(name="state:{symbol}", rows="data", changes={"ticker": ("last", "high"), "open_interest": ("oi",)},
                needs={"open_interest": "oi"}, once={"funding_rate": lambda row: row.get("rate")})  # fmt: skip
ALL = Readings((TRADES, BOOK, CANDLES, STATE))


def count(name: str, *messages: Any, asked: Any = None, is_asked: bool = True) -> Counter[str]:
    told, found = dict[Any, Any](), Counter[str]()
    for message in messages:
        found.update(ALL.events(name, message, told, asked or {}, is_asked))
    return found


def said(*rows: Any, kind: str = "update") -> dict[str, Any]:
    return {"type": kind, "data": list(rows)}


def test_a_change_before_its_snapshot_and_a_sign_of_life_are_no_events() -> None:
    change, snapshot = said({"seq": 2, "before": 1}), said({"seq": 1}, kind="snapshot")
    alive = said({"seq": 2, "before": 2})
    assert count("book:X:10", change, snapshot, change, alive) == {"depth": 2}


def test_a_trade_that_is_told_again_counts_once() -> None:
    trade, snapshot = said({"id": "a", "n": 5}), said({"id": "z", "n": 4}, {"id": "a", "n": 5}, kind="snapshot")
    assert count("trade:X", trade, snapshot) == {"trade": 1}
    assert count("trade:X", snapshot, trade) == {"trade": 3}, "only in messages that repeat"


def test_a_candle_is_closed_by_the_next_one_unless_it_said_so() -> None:
    def candle(opened: int, closed: bool = False) -> dict[str, Any]:
        return said({"t": opened, "x": closed})

    assert count("candle:1m:X", candle(60), candle(60), candle(120)) == {"kline": 4}
    assert count("candle:1m:X", candle(60, closed=True), candle(120)) == {"kline": 2}
    assert count("candle:1m:X", candle(120), candle(60)) == {"kline": 2}, "an old one closes none"
    assert count("candle:7m:X", candle(60)) == {}, "the venue has none"


def test_a_state_counts_where_something_of_it_changed() -> None:
    assert count("state:X", said({"last": "1", "oi": "", "rate": "5"}), said({"oi": "3", "rate": "5"})) == {
        "ticker": 1,
        "open_interest": 1,
        "funding_rate": 1,
    }


def test_only_what_is_recorded_counts() -> None:
    state = said({"last": "1", "oi": "3", "rate": "5"})
    assert count("state:X", state, asked={"X": {"ticker"}}) == {"ticker": 1}
    assert count("state:Y", state, asked={"X": {"ticker"}}) == {}
    whole = {"ticker": 1, "open_interest": 1, "funding_rate": 1}
    assert count("state:X", state, asked={"X": {"depth"}}, is_asked=False) == whole, (
        "nobody asked, it came all the same"
    )


def test_a_stream_is_carried_by_one_of_other_levels() -> None:
    assert ALL.is_carried("book:X:10", "book:X:25")
    assert not ALL.is_carried("book:X:10", "book:Y:10")
    assert not ALL.is_carried("book:X:10", "trade:X")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "data", "id", "n", "t", "seq", "last"]), inner, max_size=4)
    ),
)


@given(message=JSON, name=st.sampled_from(["trade:X", "book:X:1", "candle:1m:X", "state:X", "", "none"]))
def test_no_message_is_refused(message: Any, name: str) -> None:
    MessageEvents(ALL, name, message).count({}, {}, True)
