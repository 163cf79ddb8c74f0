"""`complete(...)` says that a series is complete when its rows are in the table, not when Kafka has them."""

from collections.abc import Callable

import pytest
from eventually import eventually
from roles.consumer.consumer_rig import Rig, message
from samples import NS, full, sparse, trade

from wsadapter.events import Coverage, Source, Ticker

pytestmark = pytest.mark.integration
TICKERS = [event for event in full() + sparse() if isinstance(event, Ticker)]


def coverage(number: int) -> bytes:
    begin = NS + number * 10**9
    made = Coverage("binance", "BTCUSDT", None, None, NS, Source.WEBSOCKET, "a", None, "trade", "", begin, begin)
    return message(made, 3, 5000 + number)


def trades(first: int, last: int) -> list[bytes]:
    return [message(trade(n), 3, n) for n in range(first, last)]


def watch_coverage(rig: Rig) -> None:
    """Table ``seen``: how many trades were in their table when a row of coverage came into its own."""
    rig.command("CREATE TABLE {db}.seen (trades UInt64) ENGINE = MergeTree ORDER BY tuple()")
    rig.command(
        "CREATE MATERIALIZED VIEW {db}.seen_mv TO {db}.seen AS SELECT (SELECT count() FROM {db}.trade) AS trades "
        "FROM {db}.coverage"
    )


def test_a_table_that_takes_nothing_is_not_called_complete_whatever_is_killed(rig: Rig) -> None:
    rig.process.start()
    rig.send("trade", trades(0, 100))
    rig.wait_rows("trade", 100)
    watch_coverage(rig)
    rig.command("SYSTEM STOP MERGES {db}.trade")
    rig.command("ALTER TABLE {db}.trade MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1")
    rig.send("trade", trades(100, 200))
    retries = rig.page["insert_retries_total"]
    eventually(lambda: rig.page["insert_retries_total"] > retries, 60, "the trades are refused")
    rig.send("coverage", [coverage(0)])
    eventually(lambda: rig.page['consumer_lag{stream="coverage"}'] == 1, 60, "it is there and not done")
    rig.send("ticker", [message(one, 3, n) for n, one in enumerate(TICKERS)])
    rig.wait_rows("ticker", len(TICKERS), 60)
    rig.process.kill()
    rig.process.start(until=None)
    retries = rig.page["insert_retries_total"]
    eventually(lambda: rig.page["insert_retries_total"] > retries, 60, "they are refused again")
    assert rig.count("coverage") == 0

    rig.command("ALTER TABLE {db}.trade RESET SETTING parts_to_delay_insert, parts_to_throw_insert")

    rig.wait_rows("coverage", 1, 60)
    assert rig.sql("SELECT toInt64(trades) FROM {db}.seen") == [[200]], "behind the rows that it is about"
    assert rig.process.stop() == 0
    assert rig.count("coverage") == rig.count("coverage", final=True) == 1


def test_of_two_consumers_each_waits_for_the_other(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(partitions=4, count=2)
    second = rig.another("consumer-1")
    try:
        rig.process.start()
        second.start()
        for partition in range(4):
            rig.send("trade", trades(100 * partition, 100 * partition + 100), partition)
        rig.wait_rows("trade", 400)
        watch_coverage(rig)
        for number in range(3):
            for partition in range(4):
                begin = 1000 + 400 * number + 100 * partition
                rig.send("trade", trades(begin, begin + 100), partition)
            rig.send("coverage", [coverage(number)])
            rig.wait_rows("coverage", number + 1, 90)
            seen = rig.sql("SELECT toInt64(max(trades)) FROM {db}.seen")
            assert seen == [[400 * (number + 2)]]
        assert {rig.process.stop(), second.stop()} == {0}
    finally:
        second.close()
