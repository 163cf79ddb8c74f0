"""Batches whose insert fails: repeated, divided, paused; nothing is finished before all of it is somewhere."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import wait

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from confluent_kafka import KafkaError, Message

from wsadapter.clickhouse.inserts import token
from wsadapter.clickhouse.lost_inserts import AGAIN, LACKING_SECONDS
from wsadapter.config.model import KafkaConfig
from wsadapter.errors import SchemaMismatch, ServiceUnavailable
from wsadapter.events.streams import BY_STREAM, StreamSpec
from wsadapter.kafka.messages import identify_as, varint
from wsadapter.pb import market_pb2
from wsadapter.roles.consumer import dead_letters
from wsadapter.roles.consumer.batches import BatchState, Partition
from wsadapter.roles.consumer.commit_metadata import CommitMetadata
from wsadapter.roles.consumer.dead_letters import DeadLetterProducer
from wsadapter.roles.consumer.insert_pool import (
    MEMORY_ATTEMPTS,
    PATIENT_ATTEMPTS,
    PAUSE_SECONDS,
    RETRY,
    InsertFailure,
    InsertPool,
    InsertTask,
)

SPEC = BY_STREAM["trade"]
HEAD = b"INSERT\n"
Row = bytes


def trade(number: int, symbol: str = "BTCUSDT") -> bytes:
    return market_pb2.Trade(epoch=1, position=number, symbol=symbol, receive_time_ns=1).SerializeToString()


class Server:
    """Stands for the table: refuses what ``refuses`` names an error for, drops a token it knows."""

    def __init__(self) -> None:
        self.rows: Counter[Row] = Counter()
        self.tokens: list[str] = []
        self.calls = 0
        self.looks = 0
        self.refuses: Callable[[list[Row]], Exception | None] = lambda rows: None
        self.dies: Callable[[str], bool] = lambda dedup_token: False
        """It is killed when it knows the token and has not the rows."""

    def lacking(self, spec: StreamSpec, messages: Iterable[bytes]) -> list[int]:
        self.looks += 1
        return [number for number, message in enumerate(messages) if not self.rows[message]]

    def insert(self, body: bytes | bytearray, rows: int, dedup_token: str) -> int:
        self.calls += 1
        messages = list(split(bytes(body[len(HEAD) :])))
        assert len(messages) == rows
        if error := self.refuses(messages):
            raise error
        if dedup_token not in self.tokens:
            self.tokens.append(dedup_token)
            if self.dies(dedup_token):
                raise OSError("connection reset")
            self.rows.update(messages)
        return 2 * rows


class Mailbox:
    """Stands for the dead-letter topic."""

    def __init__(self) -> None:
        self.letters: list[tuple[int, bytes, str, str]] = []
        self.error: Exception | None = None

    def dead_letters(
        self, source: str, partition: int, letters: Sequence[tuple[int, bytes, str, str]], taken: set[bytes]
    ) -> None:
        if self.error is not None:
            raise self.error
        self.letters += letters

    def letter_gaps(self, spec: StreamSpec, letters: Sequence[tuple[int, bytes, str, str]], taken: set[bytes]) -> int:
        return len(letters)


def split(body: bytes) -> Iterable[bytes]:
    at = 0
    while at < len(body):
        length, shift = 0, 0
        while True:
            length |= (body[at] & 127) << shift
            shift += 7
            at += 1
            if not body[at - 1] & 128:
                break
        yield body[at : at + length]
        at += length


class Bench:
    """``producer``: in place of the mailbox."""

    def __init__(self, producer: DeadLetterProducer | None = None) -> None:
        self.server, self.mailbox = Server(), Mailbox()
        self.mismatch = ""
        self.verified = 0
        heads = {"trade": HEAD, "kline": HEAD}
        look = lambda spec, messages: self.server.lacking(spec, messages)  # noqa: E731
        letters = producer or self.mailbox
        self.pool = InsertPool(self.server, letters, heads, self.verify, look)  # type: ignore[arg-type]  # stand-ins
        self.now = 0.0

    def verify(self, spec: StreamSpec) -> None:
        self.verified += 1
        if self.mismatch:
            raise SchemaMismatch(self.mismatch)

    def send(self, values: list[bytes], stream: str = "trade", number: int = 0) -> Partition:
        spec = BY_STREAM[stream]
        partition = Partition(spec, f"t.{stream}", number, 0, CommitMetadata(1), HEAD, identify_as(spec))
        for offset, value in enumerate(values):
            partition.add(offset, value, 0.0)
        self.add(partition)
        return partition

    def add(self, partition: Partition) -> None:
        """Cut it, unless a range that is replayed has been cut, and let its intent be confirmed."""
        batch = partition.cut or partition.cut_open()
        if batch.rows:
            batch.advance(BatchState.INTENDED)
        self.pool.add(partition)

    def attempt(self) -> list[InsertTask]:
        """One attempt of whatever is due."""
        self.pool.start(self.now)
        wait([task.future for task in self.pool.tasks if task.future is not None], 10)
        return self.pool.collect(self.now)

    def until_inserted(self) -> list[InsertTask]:
        done: list[InsertTask] = []
        for _ in range(100):
            done += self.attempt()
            if not self.pool.tasks:
                return done
            self.now += max(RETRY.maximum, PAUSE_SECONDS)
        raise AssertionError("still not landed")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def parse_error(bad: Callable[[Row], bool]) -> Callable[[list[Row]], Exception | None]:
    def refuses(rows: list[Row]) -> Exception | None:
        return DatabaseError("cannot parse", code=444) if any(map(bad, rows)) else None

    return refuses


def test_a_batch_is_one_insert_under_the_token_of_its_range(bench: Bench) -> None:
    values = [trade(n) for n in range(5)]
    partition = bench.send(values)
    (task,) = bench.attempt()

    assert task.partition is partition
    assert bench.server.rows == Counter(values)
    assert bench.server.tokens == [token("t.trade", 0, 0, 4, b"".join(varint(len(v)) + v for v in values))]
    assert (task.sent_rows, task.written_rows, task.dead) == (5, 10, [])


@pytest.mark.parametrize(
    "error",
    [
        *(OperationalError("gone"), DatabaseError("", code=159)),
        *(DatabaseError("read-only", code=164), DatabaseError("Too many parts", code=252)),
    ],
)
def test_a_failure_that_passes_is_repeated_with_the_same_token(bench: Bench, error: Exception) -> None:
    failures = [error] * 4
    bench.server.refuses = lambda rows: failures.pop() if failures else None
    values = [trade(n) for n in range(9)]
    bench.send(values)
    bench.until_inserted()

    assert bench.server.calls == 5
    assert bench.server.rows == Counter(values)
    assert len(bench.server.tokens) == 1
    assert bench.mailbox.letters == []


def test_what_the_server_cannot_read_is_found_and_the_rest_is_inserted(bench: Bench) -> None:
    values = [trade(n) for n in range(100)]
    bad = {values[3], values[4], values[77]}
    bench.server.refuses = parse_error(lambda row: row in bad)
    bench.send(values)
    (task,) = bench.until_inserted()

    assert bench.server.rows == Counter(v for v in values if v not in bad)
    assert sorted(offset for offset, _, _, _ in bench.mailbox.letters) == [3, 4, 77]
    assert task.dead == ["parse"] * 3
    assert task.sent_rows == 97
    assert bench.verified


def test_what_is_no_protobuf_is_taken_out_at_once(bench: Bench) -> None:
    garbage = [trade(n)[:18] + b"\xff\xff" for n in range(1000, 1500)]
    values = [v for pair in zip((trade(n) for n in range(500)), garbage, strict=True) for v in pair]
    # ring order: positions only count up
    values.sort(key=lambda v: int.from_bytes(v[10:18], "little"))
    bench.server.refuses = parse_error(lambda row: row in set(garbage))
    bench.send(values)
    bench.until_inserted()

    assert bench.server.calls == 2
    assert sum(bench.server.rows.values()) == 500
    assert [value for _, value, _, _ in bench.mailbox.letters] == garbage


def test_a_claimed_length_that_costs_the_server_its_memory_is_found(bench: Bench) -> None:
    poison = trade(50)[:18] + b"\x22\x80\x80\x80\x80\x80\x20aa"
    values = [trade(n) for n in range(10)] + [poison]
    bench.server.refuses = lambda rows: DatabaseError("memory", code=241) if poison in rows else None
    bench.send(values)
    bench.until_inserted()

    assert sum(bench.server.rows.values()) == 10
    assert [value for _, value, _, _ in bench.mailbox.letters] == [poison]


def test_a_batch_that_costs_too_much_memory_is_given_back_to_be_halved(bench: Bench) -> None:
    """The server may be short of memory for a moment: it is asked again before the batch is called too large."""
    bench.server.refuses = lambda rows: DatabaseError("memory", code=241) if len(rows) > 4 else None
    partition = bench.send([trade(n) for n in range(9)])
    for _ in range(MEMORY_ATTEMPTS):
        assert bench.pool.oversized() == []
        bench.attempt()
        bench.now += RETRY.maximum
    (task,) = bench.pool.oversized()

    assert bench.pool.tasks == []
    assert task.partition is partition
    assert bench.server.calls == MEMORY_ATTEMPTS
    assert partition.halve() == 4
    for offset in range(9):
        partition.add(offset, trade(offset), 0.0)
    bench.add(partition)
    bench.until_inserted()
    assert bench.server.rows == Counter(trade(n) for n in range(4))
    assert partition.open is not None
    assert partition.open.first == 4


def test_what_may_be_in_is_repeated_as_a_whole_for_long(bench: Bench) -> None:
    """Its answer was lost, then memory is short: halves would have tokens of their own, and their rows come twice."""
    answers: list[Exception] = [OSError("connection reset"), *[DatabaseError("memory", code=241)] * 20]
    bench.server.refuses = lambda rows: answers.pop(0) if answers else None
    bench.send([trade(n) for n in range(9)])
    for _ in range(20):
        assert bench.pool.oversized() == []
        bench.attempt()
        bench.now += RETRY.maximum
    bench.until_inserted()
    assert bench.server.rows == Counter(trade(n) for n in range(9))
    assert len(set(bench.server.tokens)) == 1

    # but not for ever
    answers.append(OSError("connection reset"))
    bench.server.refuses = lambda rows: answers.pop(0) if answers else DatabaseError("memory", code=241)
    bench.send([trade(n) for n in range(20, 29)])
    for _ in range(PATIENT_ATTEMPTS):
        bench.attempt()
        bench.now += RETRY.maximum
    assert len(bench.pool.oversized()) == 1


def test_what_an_earlier_owner_may_have_inserted_is_repeated_as_a_whole_for_long(bench: Bench) -> None:
    """Killed amid an insert: it is in, and memory is short when the next owner repeats it."""
    values = [trade(n) for n in range(9)]
    bench.server.insert(HEAD + b"".join(varint(len(v)) + v for v in values), 9, "")
    bench.server.tokens[:] = [token("t.trade", 0, 0, 8, b"".join(varint(len(v)) + v for v in values))]
    answers: list[Exception] = [DatabaseError("memory", code=241)] * 20
    bench.server.refuses = lambda rows: answers.pop(0) if answers else None
    partition = Partition(SPEC, "t.trade", 0, 0, CommitMetadata(1, 8), HEAD, identify_as(SPEC))
    for offset, value in enumerate(values):
        partition.add(offset, value, 0.0)
    bench.add(partition)
    for _ in range(20):
        assert bench.pool.oversized() == []
        bench.attempt()
        bench.now += RETRY.maximum
        assert not partition.untouched
    bench.until_inserted()
    assert bench.server.rows == Counter(values)


def test_a_batch_is_untouched_when_every_attempt_was_refused(bench: Bench) -> None:
    answers: list[Exception] = [DatabaseError("memory", code=241)]
    bench.server.refuses = lambda rows: answers.pop(0) if answers else None
    partition = bench.send([trade(n) for n in range(9)])
    assert partition.untouched
    bench.attempt()
    assert partition.untouched
    answers.append(OSError("connection reset"))
    bench.now += RETRY.maximum
    bench.attempt()
    assert not partition.untouched


def test_a_request_that_a_proxy_calls_too_large_is_halved_at_once(bench: Bench) -> None:
    refusal = DatabaseError("HTTP driver received HTTP status 413, server response: Request Entity Too Large")
    bench.server.refuses = lambda rows: refusal if len(rows) > 1 else None
    bench.send([trade(n) for n in range(2)])
    bench.attempt()

    assert len(bench.pool.oversized()) == 1


def test_one_row_without_memory_is_tried_again(bench: Bench) -> None:
    failures = [DatabaseError("memory", code=241)] * 5
    bench.server.refuses = lambda rows: failures.pop() if failures else None
    bench.send([trade(1)])
    bench.until_inserted()

    assert bench.server.rows == Counter([trade(1)])


def test_too_many_partitions_are_inserted_in_parts(bench: Bench) -> None:
    too_many = DatabaseError("Too many partitions for single INSERT block (more than 50)", code=252)
    bench.server.refuses = lambda rows: too_many if len(rows) > 10 else None
    values = [trade(n) for n in range(100)]
    bench.send(values)
    bench.until_inserted()

    assert bench.server.rows == Counter(values)
    assert len(set(bench.server.tokens)) == len(bench.server.tokens) == 16


def test_parts_that_are_in_are_not_sent_again(bench: Bench) -> None:
    values = [trade(n) for n in range(64)]
    bad = values[40]
    failures = iter([False, False, True, False, True] + [False] * 100)

    def refuses(rows: list[Row]) -> Exception | None:
        if bad in rows:
            return DatabaseError("cannot parse", code=444)
        return OperationalError("gone") if next(failures) else None

    bench.server.refuses = refuses
    bench.send(values)
    bench.until_inserted()

    assert bench.server.rows == Counter(v for v in values if v != bad)
    assert [offset for offset, _, _, _ in bench.mailbox.letters] == [40]


def test_a_damaged_table_makes_no_dead_letters(bench: Bench) -> None:
    bench.server.refuses = parse_error(lambda row: True)
    bench.mismatch = "table market.trade_in: column price is missing"
    bench.send([trade(n) for n in range(8)])
    for _ in range(5):
        assert bench.attempt() == []
        bench.now += PAUSE_SECONDS
    assert bench.pool.tasks[0].failure is InsertFailure.ALARM
    assert bench.mailbox.letters == []

    bench.mismatch, bench.server.refuses = "", lambda rows: None
    bench.until_inserted()
    assert sum(bench.server.rows.values()) == 8


@pytest.mark.parametrize("code", [60, 16, 47, 4711])
def test_what_needs_the_operator_waits_and_goes_on_by_itself_when_it_is_repaired(bench: Bench, code: int) -> None:
    bench.server.refuses = lambda rows: DatabaseError("schema", code=code)
    bench.send([trade(1)])
    bench.attempt()
    assert bench.pool.tasks[0].failure is InsertFailure.ALARM
    bench.now += PAUSE_SECONDS / 2
    bench.attempt()
    assert bench.server.calls == 1

    bench.server.refuses = lambda rows: None
    bench.until_inserted()
    assert len(bench.server.tokens) == 1


def test_a_table_that_waits_holds_up_no_other(bench: Bench) -> None:
    bench.server.refuses = lambda rows: OperationalError("gone") if any(b"SLOW" in row for row in rows) else None
    bench.send([trade(1, "SLOW")])
    bench.send([market_pb2.Kline(epoch=1, position=1, receive_time_ns=1).SerializeToString()], "kline")
    done = bench.attempt()

    assert [task.partition.spec.name for task in done] == ["kline"]
    assert [task.partition.spec.name for task in bench.pool.tasks] == ["trade"]


def test_one_insert_of_a_table_at_a_time(bench: Bench) -> None:
    for number in range(3):
        bench.send([trade(number)], number=number)
    bench.pool.start(bench.now)

    assert sum(task.future is not None for task in bench.pool.tasks) == 1
    assert len(bench.until_inserted()) == 3


def test_a_blocked_stream_is_not_begun(bench: Bench) -> None:
    bench.send([trade(1)])
    bench.pool.start(bench.now, {"trade"})

    assert bench.pool.tasks[0].future is None


def test_a_batch_is_not_finished_before_its_letters_are_delivered(bench: Bench) -> None:
    bench.mailbox.error = ServiceUnavailable("no broker")
    bench.send([trade(1), b"garbage"])
    assert bench.attempt() == []
    assert bench.server.calls == 1

    bench.mailbox.error = None
    (task,) = bench.until_inserted()
    assert bench.server.calls == 1
    assert task.dead == ["foreign"]
    assert [value for _, value, _, _ in bench.mailbox.letters] == [b"garbage"]


class Topics:
    """Stands for the client and the broker; topics whose name ends with ``refused`` take nothing."""

    def __init__(self) -> None:
        self.refused = ""
        self.without_leader: bytes | None = None
        """How the keys of a partition end, of each topic, that takes nothing."""
        self.taken: Counter[str] = Counter()
        """By the last word of the topic's name."""
        self._queued: list[tuple[str, bytes, Callable[..., None]]] = []

    def produce(
        self, topic: str, value: bytes, key: bytes, on_delivery: Callable[..., None], headers: object = None
    ) -> None:
        self._queued.append((topic.rpartition(".")[2], key, on_delivery))

    def flush(self, seconds: float) -> int:
        queued, self._queued = self._queued, []
        for word, key, on_delivery in queued:
            if word == self.refused or (self.without_leader and key.endswith(self.without_leader)):
                on_delivery(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), Message(topic=word, key=key))
            else:
                self.taken[word] += 1
                on_delivery(None, Message(topic=word, key=key))
        return 0


@pytest.mark.parametrize("refused", ["dead_letter", "gap"])
def test_what_a_topic_has_taken_is_not_sent_again_while_the_other_refuses(
    monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """A letter never stays without its gap, nor does a gap come for each attempt: a thousand rows would make millions
    of them a day. Who is killed between the two begins with the batch again, and sends both."""
    topics = Topics()
    topics.refused = refused
    monkeypatch.setattr(dead_letters, "Producer", lambda settings: topics)
    bad = {trade(3), trade(4)}

    def begin() -> Bench:
        bench = Bench(DeadLetterProducer(KafkaConfig()))
        bench.server.refuses = parse_error(lambda row: row in bad)
        bench.send([trade(n) for n in range(8)])
        return bench

    for life in range(2):
        bench = begin()
        for _ in range(5):
            assert bench.attempt() == []
            bench.now += RETRY.maximum
        assert topics.taken == ({} if refused == "dead_letter" else {"dead_letter": 2 * (life + 1)})
    topics.refused = ""
    topics.taken.clear()

    (task,) = bench.until_inserted()

    assert (task.dead, task.gaps) == (["parse", "parse"], 2)
    assert topics.taken == ({"dead_letter": 2, "gap": 2} if refused == "dead_letter" else {"gap": 2})


def test_what_one_partition_of_a_topic_has_taken_is_not_sent_again_while_another_has_no_leader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topics = Topics()
    monkeypatch.setattr(dead_letters, "Producer", lambda settings: topics)
    bench = Bench(DeadLetterProducer(KafkaConfig()))
    values = [trade(1), trade(2, "ETHUSDT"), trade(3, "ETHUSDT"), trade(4)]
    bench.server.refuses = parse_error(lambda row: row in values[1:])
    bench.send(values)
    for word, without_leader, taken in (("dead_letter", b":2", 2), ("gap", b":BTCUSDT", 2)):
        topics.without_leader = without_leader
        for _ in range(5):
            assert bench.attempt() == []
            bench.now += RETRY.maximum
        assert topics.taken[word] == taken
    topics.without_leader = None

    (task,) = bench.until_inserted()
    assert (task.dead, task.gaps) == (["parse"] * 3, 3)
    assert topics.taken == {"dead_letter": 3, "gap": 3}


def test_what_was_dropped_is_not_reported(bench: Bench) -> None:
    partition = bench.send([trade(1)])
    bench.pool.drop([partition])

    assert bench.attempt() == []
    assert bench.pool.tasks == []


def test_a_defect_of_ours_is_not_swallowed(bench: Bench) -> None:
    bench.server.refuses = lambda rows: AssertionError("a bug")
    bench.send([trade(1)])

    with pytest.raises(AssertionError, match="a bug"):
        bench.attempt()


def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    script = (
        "import time\nfrom wsadapter.executor import DaemonExecutor\n"
        "DaemonExecutor(1, 't').call(lambda: time.sleep(3600))\n"
    )

    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


def replayed(values: list[bytes]) -> Partition:
    """After a restart of ours: the range was intended."""
    partition = Partition(SPEC, "t.trade", 0, 0, CommitMetadata(1, len(values) - 1), HEAD, identify_as(SPEC))
    for offset, value in enumerate(values):
        partition.add(offset, value, 0.0)
    return partition


def test_a_healthy_insert_asks_nothing_more(bench: Bench) -> None:
    for number in range(10):
        bench.send([trade(number)], number=number)
    bench.until_inserted()
    assert bench.server.looks == 0


@pytest.mark.parametrize("deaths", [1, 2])
def test_rows_whose_token_alone_a_killed_server_kept_are_inserted_again(bench: Bench, deaths: int) -> None:
    """Also where the next insert of them ends the same way."""
    bench.server.dies = lambda dedup_token: len(bench.server.tokens) <= deaths
    values = [trade(n) for n in range(9)]
    bench.send(values)
    (task,) = bench.until_inserted()

    assert bench.server.rows == Counter(values)
    base = bench.server.tokens[0]
    assert bench.server.tokens == [base, *(f"{base}:{number}" for number in range(1, deaths + 1))]
    assert task.sent_rows == 9


@pytest.mark.parametrize("deaths", [1, 2])
def test_so_they_are_by_who_comes_after_us(bench: Bench, deaths: int) -> None:
    """The server was killed, then we: the range is replayed, and each token known before is tried in turn."""
    values = [trade(n) for n in range(9)]
    bench.server.dies = lambda dedup_token: True
    for _ in range(deaths):
        bench.add(partition := replayed(values))
        for _ in range(4):
            bench.attempt()
            bench.now += LACKING_SECONDS
            if len(bench.server.tokens) == deaths:
                break
        bench.pool.drop([partition])
    assert not bench.server.rows
    bench.server.dies = lambda dedup_token: False
    bench.add(replayed(values))
    bench.until_inserted()
    bench.add(replayed(values))
    bench.until_inserted()
    assert bench.server.rows == Counter(values)


def test_only_what_lacks_is_inserted_again(bench: Bench) -> None:
    """An insert is as many parts as it has months; one was in place when the server was killed."""
    values = [trade(n) for n in range(9)]
    bench.server.dies = lambda dedup_token: len(bench.server.tokens) == 1
    bench.server.rows.update(values[:4])
    bench.send(values)
    bench.until_inserted()
    assert bench.server.rows == Counter(values)


def test_rows_that_come_a_moment_later_are_not_inserted_again(bench: Bench) -> None:
    """The insert whose answer was lost goes on in a server that lives."""
    bench.server.dies = lambda dedup_token: True
    values = [trade(n) for n in range(9)]
    bench.send(values)
    bench.attempt()
    bench.now += RETRY.maximum
    bench.attempt()
    assert bench.pool.tasks[0].failure is InsertFailure.REFUSED
    bench.now += LACKING_SECONDS / 2
    bench.attempt()
    assert bench.server.looks == 1
    bench.server.rows.update(values)
    bench.until_inserted()
    assert bench.server.rows == Counter(values)
    assert len(bench.server.tokens) == 1


@pytest.mark.parametrize("error", [OSError("reset"), DatabaseError("memory", code=241), DatabaseError("no", code=497)])
def test_a_look_that_fails_is_made_again_and_nothing_is_finished(bench: Bench, error: Exception) -> None:
    """Nor halved, whatever the reason: it may be in."""
    failures = [error] * 80
    look = bench.server.lacking

    def failing(spec: StreamSpec, messages: Iterable[bytes]) -> list[int]:
        if failures:
            raise failures.pop()
        return look(spec, messages)

    bench.server.lacking = failing  # type: ignore[method-assign]
    bench.server.dies = lambda dedup_token: len(bench.server.tokens) == 1
    values = [trade(n) for n in range(9)]
    bench.send(values)
    for _ in range(80):
        assert bench.attempt() == []
        assert bench.pool.oversized() == []
        bench.now += max(RETRY.maximum, PAUSE_SECONDS)
    bench.until_inserted()
    assert bench.server.rows == Counter(values)


def test_what_was_sent_twice_below_us_is_looked_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver and the choice of endpoints repeat an insert by themselves: it seems to be the first."""
    unanswered = iter([0, 1, *[1] * 100])
    monkeypatch.setattr("wsadapter.clickhouse.endpoints.unanswered", lambda: next(unanswered))
    values = [trade(n) for n in range(9)]
    bench.server.tokens.append(token("t.trade", 0, 0, 8, b"".join(varint(len(v)) + v for v in values)))
    bench.send(values)
    bench.until_inserted()
    assert bench.server.rows == Counter(values)


def test_of_a_batch_in_parts_the_part_that_lacks_is_inserted_again(bench: Bench) -> None:
    values = [trade(n) for n in range(8)]
    bad = values[5]
    bench.server.refuses = parse_error(lambda row: row == bad)
    bench.server.dies = lambda dedup_token: len(bench.server.tokens) == 2
    bench.send(values)
    bench.until_inserted()
    assert bench.server.rows == Counter(v for v in values if v != bad)
    assert [value for _, value, _, _ in bench.mailbox.letters] == [bad]


def test_what_something_takes_away_again_holds_nothing_up(bench: Bench) -> None:
    bench.server.lacking = lambda spec, messages: [*range(len([*messages]))]  # type: ignore[method-assign]
    bench.add(replayed([trade(n) for n in range(9)]))
    (task,) = bench.until_inserted()
    assert len(bench.server.tokens) == 1 + AGAIN
    assert task.sent_rows == 9
