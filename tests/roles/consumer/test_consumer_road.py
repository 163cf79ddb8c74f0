"""Messages to rows on the real broker and the real engine, nothing being killed."""

import random
import time
from collections.abc import Callable

import pytest
from eventually import eventually
from msgspec import structs
from roles.consumer.consumer_rig import Rig, message
from samples import NS, full, sparse, trade

from wsadapter.audit import tail
from wsadapter.audit.rows import Scope
from wsadapter.events import Coverage, Event, Source
from wsadapter.events.streams import SPECS
from wsadapter.metrics import INSERTED, MEASURED_WORDS, latency_labels
from wsadapter.pb import market_pb2
from wsadapter.roles.consumer.commit_metadata import CommitMetadata

pytestmark = pytest.mark.integration
KEPT = {"kline": 1}
"""Of two candles one is open."""


def covered() -> list[Event]:
    """Of candles and of trades."""
    return [
        Coverage("binance", "BTCUSDT", None, None, NS + 9, Source.WEBSOCKET, "a", None, stream, interval, NS, NS + 9)
        for stream, interval in (("kline", "1m"), ("trade", ""))
    ]


def test_every_stream_reaches_its_table(rig: Rig) -> None:
    rig.events(full() + sparse() + covered())
    rig.process.start()
    for spec in SPECS:
        rig.wait_rows(spec.name, KEPT.get(spec.name, 2))

    assert rig.process.stop() == 0
    for spec in SPECS:
        kept = KEPT.get(spec.name, 2)
        assert rig.count(spec.name) == rig.count(spec.name, final=True) == kept
        assert rig.page[f'consumed_total{{stream="{spec.name}"}}'] == 2
        assert rig.page[f'accepted_rows_total{{stream="{spec.name}"}}'] == kept
        assert rig.page[f'consumer_lag{{stream="{spec.name}"}}'] == 0
    for word in MEASURED_WORDS:
        assert rig.page[f"latency_seconds_count{{{latency_labels(word, INSERTED)}}}"] >= 1, word


def test_a_stop_inserts_all_that_was_in_kafka_and_commits_it(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(drain_seconds=100.0)  # however long it takes here
    rig.process.start()
    rig.send("trade", [message(trade(n), 1, n) for n in range(30_000)], partition=0)
    rig.send("trade", [message(trade(n), 1, n) for n in range(30_000, 30_050)], partition=1)

    assert rig.process.stop() == 0
    assert rig.count("trade") == rig.count("trade", final=True) == 30_050
    assert rig.page['consumer_lag{stream="trade"}'] == 0
    assert {n: offset for n, (offset, _) in rig.committed("trade").items()} == {0: 30_000, 1: 50}
    assert {n: CommitMetadata.decode(text).intent for n, (_, text) in rig.committed("trade").items()} == {
        0: None,
        1: None,
    }


def test_ring_records_written_again_are_dropped_even_after_a_restart(rig: Rig) -> None:
    values = [message(trade(n), 5, 64 * n) for n in range(1, 1001)]
    rig.process.start()
    rig.send("trade", values)
    rig.wait_rows("trade", 1000)
    rig.send("trade", values[400:])
    assert rig.process.stop() == 0
    rig.process.start()
    rig.send("trade", values[300:])
    rig.send("trade", [message(trade(2000), 5, 64 * 2000)])
    rig.wait_rows("trade", 1001)

    assert rig.process.stop() == 0
    assert rig.count("trade") == rig.count("trade", final=True) == 1001
    assert rig.page['redelivered_total{stream="trade"}'] == 600 + 700


def test_the_same_ring_record_in_another_partition_is_another_matter(rig: Rig) -> None:
    """Watermarks are per partition: a lower position in another one is new."""
    rig.process.start()
    rig.send("trade", [message(trade(2), 5, 128)], partition=0)
    rig.send("trade", [message(trade(1), 5, 64)], partition=1)
    rig.wait_rows("trade", 2)

    assert rig.process.stop() == 0


def test_rejected_rows_are_counted_and_the_rest_is_kept(rig: Rig) -> None:
    prices = ["1.5", "abc", "1.1234567890123", "2.5"]
    rig.process.start()
    rig.send("trade", [message(structs.replace(trade(n), price=p), 1, n) for n, p in enumerate(prices)])
    rig.wait_rows("rejected", 2)
    eventually(lambda: rig.page['rejected_rows_total{stream="trade"}'] == 2, 20, "counted")

    eventually(lambda: rig.page['accepted_rows_total{stream="trade"}'] == 2, 20, "those, too")
    assert rig.sql("SELECT toString(price) FROM {db}.trade ORDER BY price") == [["1.5"], ["2.5"]]
    (batch,) = rig.sql("SELECT DISTINCT batch FROM {db}.rejected")[0]
    assert batch.startswith(f"{rig.topic('trade')}:0:0-")
    assert rig.process.stop() == 0


def test_what_cannot_be_read_goes_to_the_dead_letters_and_the_rest_into_the_table(rig: Rig) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    good = [message(trade(n), 1, n) for n in range(300)]
    truncated = message(trade(300), 1, 300)[:60]
    wrong_type = message(trade(301), 1, 301)[:18] + b"\x18\x01" + message(trade(301), 1, 301)[18:]
    greedy = message(trade(302), 1, 302)[:18] + b"\x22\x80\x80\x80\x80\x80\x20aa"
    ours_and_bad = {truncated: "parse", wrong_type: "parse", greedy: "parse"}
    strangers = {b"": "foreign", b"hello": "foreign", rng.randbytes(17): "foreign"}
    values = [*good, *ours_and_bad, *strangers]
    # strangers may stand anywhere; ours come in ring order
    for stranger in strangers:
        values.remove(stranger)
        values.insert(rng.randrange(300), stranger)
    rig.send("trade", values)
    rig.process.start()
    rig.wait_rows("trade", 300)
    # of the one that can be read it is known what lacks it
    rig.wait_rows("gap", 1)

    assert rig.process.stop() == 0
    assert rig.count("trade") == 300
    assert rig.sql("SELECT symbol, stream, cause, repair_state FROM {db}.gap") == [
        ["BTCUSDT", "trade", "decode", "unrepairable"]
    ]
    assert rig.page['letter_gaps_total{stream="trade"}'] == 1
    letters = rig.dead_letters()
    assert {value: headers["reason"] for value, headers in letters} == {**ours_and_bad, **strangers}
    assert len(letters) == len(ours_and_bad) + len(strangers)
    for value, headers in letters:
        assert headers["topic"] == rig.topic("trade")
        assert headers["partition"] == "0"
        assert values[int(headers["offset"])] == value
        assert headers["detail"]
    assert rig.page['dead_letters_total{reason="parse",topic="trade"}'] == 3
    assert rig.page['dead_letters_total{reason="foreign",topic="trade"}'] == 3
    assert rig.committed("trade")[0][0] == len(values)
    kafka, now_ns = rig.config.kafka, time.time_ns()
    assert tail.dead_letters(kafka, now_ns - 3600 * 10**9, now_ns) == {"trade": 6}
    assert tail.dead_letters(kafka, now_ns - 7200 * 10**9, now_ns - 3600 * 10**9) == {}
    assert tail.find(kafka, Scope(now_ns), None) == tail.Tail({"trade": 6}, {})
    rig.send("trade", [message(trade(400), 1, 400)])
    assert tail.find(kafka, Scope(now_ns), None) == tail.Tail({"trade": 6}, {"trade": 1})


def test_a_topic_of_nothing_but_rubbish_is_passed(rig: Rig) -> None:
    rubbish = [bytes([n]) * 40 for n in range(256)]
    rig.send("ticker", rubbish)
    rig.process.start()
    eventually(lambda: len(rig.dead_letters()) + rig.count("rejected") >= 256, 30)

    assert rig.process.stop() == 0
    assert rig.count("ticker") == 0
    # 0x38 is the tag of the receive time: 40 of them are a message of ours, and one that cannot be kept
    assert {value for value, _ in rig.dead_letters()} == set(rubbish) - {b"\x38" * 40}
    assert rig.count("rejected") == 1


def test_a_batch_of_many_months_is_inserted_in_parts(rig: Rig) -> None:
    month = 31 * 86_400 * 10**9
    events = [structs.replace(trade(n), transaction_time_ns=n * month) for n in range(1, 181)]
    rig.send("trade", [message(e, 1, n) for n, e in enumerate(events)])
    rig.process.start()
    rig.wait_rows("trade", 180)

    assert rig.process.stop() == 0
    assert rig.count("trade") == rig.count("trade", final=True) == 180
    assert rig.page["inserts_total"] >= 4


def test_a_message_of_another_version_with_unknown_fields_is_a_row(rig: Rig) -> None:
    rig.send("trade", [message(trade(1), 1, 1) + b"\xfa\x3f\x03new"])
    rig.process.start()
    rig.wait_rows("trade", 1)

    assert rig.process.stop() == 0
    assert market_pb2.Trade.FromString(message(trade(1), 1, 1)).trade_number == 1
