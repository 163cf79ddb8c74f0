"""docs/queries.md on what the demo does not have: contracts, both kinds of trades, holes of a connection.

What it says of the demo is in `road/test_queries.py`.
"""

import time
from typing import Any

import pytest
from clickhouse.table_bench import TableBench
from msgspec import structs
from road.test_queries import QUERIES
from samples import NS, full

from wsadapter.events import Event, Gap, Liquidation, Trade
from wsadapter.events.gaps import GapCause, RepairState, begin, ended, with_state
from wsadapter.exchanges.rest_api import Filled, Instrument, Series
from wsadapter.roles.repairer.gap_outcomes import streams_of, with_outcome
from wsadapter.roles.repairer.instruments import lines

pytestmark = pytest.mark.integration
SECOND = 10**9
MINUTE = 60 * SECOND
COIN = Instrument(
    "binance", "COIN", NS, "TRADING", None, "BTC", "USDT", None, "1", "BTC", None, None, None, None, None, None, None,
    kind="spot",
)  # fmt: skip
INSTRUMENTS = (
    COIN,
    structs.replace(COIN, symbol="LINEAR", kind="perpetual", margin_asset="USDT", contract_size="0.001"),
    structs.replace(COIN, symbol="INVERSE", kind="perpetual", margin_asset="BTC", quote_asset="USD",
                    contract_size="100", contract_currency="USD"),
    structs.replace(COIN, symbol="UNSAID", kind="perpetual", contract_size=None),
)  # fmt: skip
TRADE, LIQUIDATION = (next(each for each in full() if isinstance(each, kind)) for kind in (Trade, Liquidation))


@pytest.fixture
def listed(bench: TableBench) -> TableBench:
    bench.client.raw_insert(f"{bench.settings.database}.instrument", insert_block=lines(INSTRUMENTS), fmt="JSONEachRow")
    return bench


def ask(bench: TableBench, heading: str, *columns: str, **replaced: str) -> list[list[Any]]:
    text = QUERIES[heading].replace("market.", "{db}.")
    for old, new in replaced.items():
        text = text.replace(f"'{old}'", f"'{new}'")
    return bench.sql(f"SELECT {', '.join(columns)} FROM ({text})")


def minute_ago() -> int:
    """The begin of the last whole minute."""
    return (time.time_ns() // MINUTE - 1) * MINUTE


def trades(symbol: str, aggregated: bool, *of: tuple[int, str, str]) -> list[Event]:
    return [
        structs.replace(
            TRADE, symbol=symbol, event_time_ns=None, transaction_time_ns=at_ns, trade_id=str(number),
            trade_number=number, price=price, quantity=quantity, aggregated=aggregated,
        )
        for number, (at_ns, price, quantity) in enumerate(of, 1)
    ]  # fmt: skip


def test_liquidations_are_worth_what_they_are_in_the_quote_currency(listed: TableBench) -> None:
    for symbol in ("COIN", "LINEAR", "INVERSE", "UNSAID", "UNLISTED"):
        listed.events(
            structs.replace(LIQUIDATION, symbol=symbol, transaction_time_ns=minute_ago(), price="20000", quantity="3")
        )

    found = ask(listed, "Liquidations", "symbol", "currency", "toInt64(orders)", "value")
    assert sorted(found) == [
        ["COIN", "USDT", 1, 60_000], ["INVERSE", "USD", 1, 300], ["LINEAR", "USDT", 1, 60], ["UNLISTED", "", 1, None],
        ["UNSAID", "USDT", 1, None],
    ]  # fmt: skip


def test_a_liquidation_of_bitget_is_worth_its_quantity(listed: TableBench) -> None:
    order = structs.replace(
        LIQUIDATION, exchange="bitget", symbol="APEUSDT", transaction_time_ns=minute_ago(), price="0.5",
        quantity="13.5",
    )  # fmt: skip
    listed.events(order)
    listed.client.raw_insert(
        f"{listed.settings.database}.instrument",
        insert_block=lines([structs.replace(COIN, exchange="bitget", symbol="APEUSDT", kind="perpetual")]),
        fmt="JSONEachRow",
    )

    assert ask(listed, "Liquidations", "symbol", "currency", "value") == [["APEUSDT", "USDT", 13.5]]


def test_over_all_venues_a_trade_counts_once_of_whichever_kind_it_is(listed: TableBench) -> None:
    first, second = minute_ago() - MINUTE, minute_ago()
    listed.events(
        *trades("COIN", True, (first, "100", "3")),
        *trades("COIN", False, (first, "100", "1"), (first, "100", "2"), (second, "110", "5")),
        *trades("INVERSE", True, (first, "50", "2")),
    )

    columns = "canonical", "toString(last_price)", "toString(paid)", "coins"
    found = ask(listed, "One instrument over all venues", *columns)
    assert found == [["BTC/USD:BTC", "50", "200", 4], ["BTC/USDT", "110", "850", 8]]


@pytest.mark.parametrize(("symbol", "vwap"), [("COIN", 175), ("LINEAR", 175), ("INVERSE", 160)])
def test_the_average_price_is_a_price_whatever_is_counted(listed: TableBench, symbol: str, vwap: float) -> None:
    """One at 100 and three at 200; of contracts of 100 dollars they are one coin and one and a half."""
    at_ns = minute_ago()
    listed.events(
        *trades(symbol, True, (at_ns, "100", "1"), (at_ns, "200", "3")), *trades(symbol, False, (at_ns, "900", "1"))
    )

    heading = "The average price by volume"
    assert ask(listed, heading, "vwap", "toFloat64(close)", BTCUSDT=symbol) == [[pytest.approx(vwap), 200]]


def test_a_hole_is_one_row_however_its_streams_fared(bench: TableBench) -> None:
    at_ns = minute_ago()
    outcomes = [
        (Series("trade", "BTCUSDT"), Filled(RepairState.REPAIRED)),
        (Series("trade", "ETHUSDT"), Filled(RepairState.PARTIAL)),
        (Series("ticker", "BTCUSDT"), Filled(RepairState.UNREPAIRABLE)),
    ]
    for gap_id, of in (("1:1", outcomes), ("1:2", outcomes[:1]), ("1:3", [])):
        hole = ended(
            begin(GapCause.DISCONNECT, at_ns, at_ns, exchange="binance", connection="binance-market-0", gap_id=gap_id),
            at_ns + SECOND,
        )
        rows: list[Gap] = [with_outcome(hole, of), *streams_of(hole, of)] if of else [hole]
        bench.events(*rows)
    assert bench.count("gap") > 3

    found = ask(bench, "Which gaps", "stream", "cause", "repair_state")
    assert sorted(found) == [["", "disconnect", "open"], ["", "disconnect", "partial"]]


def test_a_hole_of_which_a_file_filled_the_single_trades_is_still_one(bench: TableBench) -> None:
    at_ns = minute_ago()
    hole = begin(
        GapCause.STALE, at_ns, at_ns, exchange="binance", connection="binance-market-0", stream="trade",
        symbol="BTCUSDT", ended_ns=at_ns + SECOND, gap_id="1:1",
    )  # fmt: skip
    hole = with_state(hole, RepairState.UNREPAIRABLE)
    bench.events(hole, structs.replace(with_state(hole, RepairState.REPAIRED), stream="raw_trade"))

    assert ask(bench, "Which gaps", "stream", "cause", "repair_state") == [["trade", "stale", "unrepairable"]]
