"""What a strategy gets out of a real broker."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from reader.recorded import NS, Recorder, gap, numbers, quote, trade

from wsadapter.errors import ConfigError, Reason, ServiceUnavailable
from wsadapter.events.gaps import GapCause
from wsadapter.kafka import native_client, record_consumer
from wsadapter.reader import Event, Gap, Position, Reader, Trade

pytestmark = pytest.mark.integration


@pytest.fixture(params=["own", "confluent"])
def recorder(kafka: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Each way to fetch is read with: a client of our own, and confluent-kafka's."""
    if request.param == "confluent":
        monkeypatch.setattr(record_consumer, "AVAILABLE", False)
    elif not native_client.AVAILABLE:
        pytest.skip("the C extension is not built, or not wanted")
    return Recorder(kafka)


def everything(recorder: Recorder, **arguments: object) -> list[Event]:
    with Reader(**recorder.arguments(**{"start": "earliest", "follow": False, **arguments})) as reader:
        return list(reader)


def test_each_event_once_typed_and_filtered(recorder: Recorder) -> None:
    recorder.write(*(trade(number, symbol) for number in range(1, 50) for symbol in ("BTCUSDT", "ETHUSDT")))
    recorder.write(trade(7, exchange="bybit"), quote(3))
    for again in range(40, 50):  # a serializer that began again at its ring's head
        recorder.send(trade(again), recorder.epoch, recorder.position - 64 * (102 - 2 * again))
    recorder.flush()

    with Reader(
        **recorder.arguments(exchange="binance", symbols=["BTCUSDT"], streams="trade", start="earliest", follow=False)
    ) as reader:
        events = list(reader)
        assert reader.redelivered == 10
    assert numbers(events) == list(range(1, 50))
    assert all(type(event) is Trade and event.symbol == "BTCUSDT" for event in events)
    assert len(everything(recorder)) == 100
    assert numbers(everything(recorder, symbols="BTCUSDT", exchange=["binance", "okx"], streams=["book_ticker"])) == [3]


def test_a_gap_stands_before_the_first_event_behind_it(recorder: Recorder) -> None:
    """In the log the gap is later than the events behind it, and in another topic."""
    recorder.write(*(trade(number) for number in range(1, 5)))
    missed = gap(NS + 10)
    recorder.position += 64
    at = recorder.position
    recorder.write(*(trade(number, gap_ns=NS + 10) for number in range(10, 15)))
    with Reader(**recorder.arguments(streams="trade", start="earliest", gap_seconds=60)) as reader:
        batches = iter(reader.batches())
        first = [*next(batches).events]
        while len(first) < 4:
            first += next(batches).events
        assert numbers(first) == [1, 2, 3, 4], "the rest waits for the gap that it names"
        recorder.send(missed, recorder.epoch, at)
        recorder.flush()
        rest: list[Event] = []
        while len(rest) < 6:
            rest += next(batches).events
    assert numbers(rest) == ["sequence", 10, 11, 12, 13, 14]
    assert isinstance(rest[0], Gap)
    assert (rest[0].gap_id, rest[0].ended_ns) == (f"{recorder.epoch}:{at}", NS + 10)


def test_a_gap_that_never_comes_is_told_all_the_same(recorder: Recorder) -> None:
    recorder.write(trade(1), trade(5, gap_ns=NS + 5), trade(6, gap_ns=NS + 5))
    assert numbers(everything(recorder, streams="trade", gap_seconds=0.5)) == [1, "unknown", 5, 6]
    assert numbers(everything(recorder, streams="trade", gaps=False)) == [1, 5, 6]


def test_a_gap_of_the_connection_and_a_restart(recorder: Recorder) -> None:
    recorder.write(trade(1), quote(1), gap(NS + 3, "", "", GapCause.DISCONNECT))
    recorder.write(trade(3, gap_ns=NS + 3), quote(3, gap_ns=NS + 3), gap(NS + 4, symbol="ETHUSDT"))
    recorder.restart()
    recorder.write(gap(NS + 9, "", "", GapCause.RESTART), trade(9, gap_ns=NS + 9), quote(9, gap_ns=NS + 9))
    events = everything(recorder, symbols="BTCUSDT", streams=["trade", "book_ticker"])
    for kind in ("trade", "book_ticker"):
        of_kind = [event for event in events if isinstance(event, Gap) or event.stream_type == kind]
        assert numbers(of_kind) == [1, "disconnect", 3, "restart", 9]


def test_a_gap_behind_the_last_event_is_given_at_the_end(recorder: Recorder) -> None:
    """The venue is down: what was recorded up to now ends with that."""
    recorder.write(trade(1), trade(2), quote(2), gap(NS + 9, "", "", GapCause.DISCONNECT))
    assert numbers(everything(recorder, streams="trade")) == [1, 2, "disconnect"]
    assert sorted(map(str, numbers(everything(recorder)))) == ["1", "2", "2", "disconnect"]
    with Reader(**recorder.arguments(start="earliest", follow=False)) as reader:
        *_, last = reader.batches()
    with Reader(**recorder.arguments(start=last.position, follow=False)) as reader:
        assert list(reader) == [], "once"


def test_it_goes_on_exactly_where_it_was(recorder: Recorder) -> None:
    recorder.write(*(trade(number, symbol) for number in range(1, 200) for symbol in ("BTCUSDT", "ETHUSDT", "X")))
    recorder.write(gap(NS + 300), *(trade(number, gap_ns=NS + 300) for number in range(300, 310)), quote(5))
    whole = everything(recorder)
    seen: list[Event] = []
    position: Position | None = None
    for _ in range(100):
        start = "earliest" if position is None else Position.parse(str(position))
        with Reader(**recorder.arguments(start=start, follow=False)) as reader:
            batch = reader.next_batch()
            if batch is None:
                break
            seen += batch.events
            position = batch.position
        recorder.send(trade(309, gap_ns=NS + 300), recorder.epoch, recorder.position - 64)  # again and again
        recorder.flush()
    assert len(seen) == len(whole) == 3 * 199 + 12
    assert sorted(map(repr, seen)) == sorted(map(repr, whole))
    recorder.write(trade(400))
    assert position is not None
    assert numbers(everything(recorder, start=position)) == [400]


def test_from_now_and_from_a_time(recorder: Recorder) -> None:
    recorder.write(*(trade(number) for number in range(1, 5)))
    with Reader(**recorder.arguments(streams=["trade"])) as reader:
        recorder.write(trade(6))
        assert numbers([next(iter(reader))]) == [6]
    hour = timedelta(hours=1)
    assert numbers(everything(recorder, start=datetime.now(UTC) - hour)) == [1, 2, 3, 4, 6]
    assert everything(recorder, start=datetime.now(UTC) + hour) == []


def test_asyncio_and_a_cancelled_wait_loses_nothing(recorder: Recorder) -> None:
    async def read() -> list[Event]:
        got: list[Event] = []
        async with Reader(**recorder.arguments(start="earliest")) as reader:
            while len(got) < 40:
                try:
                    batch = await asyncio.wait_for(anext(aiter(reader.batches())), 0.01)
                except TimeoutError:
                    recorder.write(trade(len(got) + 1))
                    continue
                got += batch.events
                recorder.write(*(trade(number) for number in range(100 * len(got), 100 * len(got) + 5)))
        return got

    got = asyncio.run(read())
    with Reader(**recorder.arguments(start="earliest", follow=False)) as reader:
        assert [*reader][: len(got)] == got

    async def count() -> int:
        reader, found = Reader(**recorder.arguments(start="earliest", follow=False)), 0
        async for _ in reader:
            found += 1
        await reader.aclose()
        return found

    assert asyncio.run(count()) >= len(got)


def test_what_cannot_be_read_is_a_gap(recorder: Recorder) -> None:
    recorder.write(trade(1))
    recorder.raw("trade", b"not ours")
    recorder.write(trade(2))
    with Reader(**recorder.arguments(start="earliest", follow=False)) as reader:
        events = list(reader)
        assert reader.unreadable == 1
    assert numbers(events) == [1, "decode", 2]
    assert isinstance(events[1], Gap)
    assert (events[1].exchange, events[1].symbol, events[1].stream) == ("binance", "BTCUSDT", "trade")


def test_what_kafka_no_longer_has_is_a_gap(recorder: Recorder) -> None:
    recorder.write(trade(1), trade(2), quote(1))
    with Reader(**recorder.arguments(streams=["trade", "book_ticker"], start="earliest")) as reader:
        batch = reader.next_batch()
    assert batch is not None
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    recorder.write(*(trade(number) for number in range(3, 9)))
    admin = AdminClient({"bootstrap.servers": recorder.config.bootstrap_servers})
    ends = [TopicPartition(recorder.prefix + "trade", number, -1) for number in range(2)]
    for done in admin.delete_records(ends).values():
        done.result(20)
    recorder.write(trade(9))
    events = everything(recorder, streams=["trade", "book_ticker"], start=batch.position)
    assert numbers(event for event in events if not hasattr(event, "update_id")) == ["kafka_retention", 9]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"exchange": "binance-usdm"}, "exchange: unknown word 'binance-usdm'. did you mean binance"),
        ({"streams": ["trades"]}, "streams: unknown word 'trades'. did you mean trade?"),
        ({"streams": ["raw_trade"]}, "aggregated = False"),
        ({"symbols": [""]}, "symbols: an empty symbol"),
        ({"start": "yesterday"}, "start: "),
        ({"start": datetime(2026, 1, 1)}, "start: a time without a zone"),
        ({"security_protocol": "SASL"}, "kafka.security_protocol"),
        ({"sasl_mechanism": "PLAIN"}, "kafka.sasl_mechanism"),
        ({"colour": "red"}, "kafka.colour"),
        ({"bootstrap_servers": "nowhere"}, "kafka.bootstrap_servers"),
    ],
)
def test_what_is_asked_wrongly_is_said(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        Reader(**arguments)  # type: ignore[arg-type]
    assert says in str(error.value)


def test_no_topic_and_no_broker(kafka: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable, match=r"no topic nothing\.gap nothing\.trade") as missing:
        Reader(kafka, topic_prefix="nothing.", streams="trade").next_batch()
    assert missing.value.reason is Reason.MISSING
    with pytest.raises(ServiceUnavailable, match="connection refused"):
        Reader("127.0.0.1:1").next_batch()
    config = tmp_path / "wsadapter.toml"
    config.write_text(f'[kafka]\nbootstrap_servers = "{kafka}"\ntopic_prefix = "nothing."\n')
    with pytest.raises(ServiceUnavailable, match=r"nothing\.kline"):
        Reader.from_config(str(config), streams="kline").next_batch()
