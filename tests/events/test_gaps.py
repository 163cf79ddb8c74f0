"""A gap from its begin to its repair."""

from functools import partial

from wsadapter.events import Gap, Source, gaps
from wsadapter.events.gaps import GapCause, RepairState, ended, of_connection, with_state
from wsadapter.events.records import encode
from wsadapter.kafka.messages import gap_of, message_of
from wsadapter.metrics import GAP_CAUSES, REPAIR_STATES

begin = partial(gaps.begin, exchange="binance", connection="binance-market-0")


def test_each_record_is_the_next_version_and_leaves_the_one_before_as_it_was() -> None:
    first = begin(GapCause.STALE, 5, 7, stream="trade", symbol="BTCUSDT")
    second = ended(first, 9, (3, 4, 2))
    third = with_state(second, RepairState.PARTIAL)

    assert (first.version, first.started_ns, first.receive_time_ns, first.ended_ns) == (1, 5, 7, None)
    assert (second.version, second.started_ns, second.receive_time_ns, second.ended_ns) == (2, 5, 9, 9)
    assert (second.first_missing, second.last_missing, second.missing_count) == (3, 4, 2)
    assert (third.version, third.receive_time_ns, third.repair_state) == (3, 9, "partial")
    assert (first.repair_state, second.repair_state) == ("open", "open")
    assert of_connection(begin(GapCause.CONNECT, 5, 7))
    assert not of_connection(first)


def test_words_in_a_record_are_plain_text() -> None:
    # the encoder in C, protobuf and msgpack take no other
    gap = with_state(begin(GapCause.RESTART, 5, 7), RepairState.REPAIRED)

    assert type(gap.cause) is type(gap.repair_state) is str
    assert b"restart" in encode(gap)


def test_a_gap_survives_its_message() -> None:
    gap = begin(
        GapCause.CONNECT, 5, 7, stream="kline", symbol="BTCUSDT", interval="1m", ended_ns=8,
        missing=(1, 2, None), source=Source.REST, gap_id="here:1",
    )  # fmt: skip
    message = message_of(gap)

    assert not message.HasField("epoch")
    assert gap_of(message.SerializeToString()) == gap


def test_the_metrics_name_every_cause_and_every_outcome() -> None:
    # stats pages keep a cause by its place
    assert GAP_CAUSES == (
        "connect", "disconnect", "sequence", "ring_full", "decode", "stale", "restart", "kafka_retention",
        "filler", "checksum", "notice", "reload",
    )  # fmt: skip
    assert REPAIR_STATES == ("repaired", "partial", "unrepairable")
    assert "Causes: " + " ".join(GAP_CAUSES) in (Gap.__doc__ or "")
