"""The moments at which exactly once could break: a kill before, amid and after an insert, an answer that got lost (the
client library sends the body again by itself), inserts slower than the group allows, a rebalance meanwhile."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from eventually import eventually
from roles.consumer.consumer_rig import Rig, message
from roles.consumer.faulty_proxy import faulty
from samples import trade

from wsadapter.embedded.servers import ClickHouseServer
from wsadapter.roles.consumer.commit_metadata import CommitMetadata
from wsadapter.roles.consumer.consumer import ROOM_STEP
from wsadapter.roles.consumer.insert_pool import MEMORY_ATTEMPTS

pytestmark = pytest.mark.integration
ROWS = 3000
MUTATIONS = Path(__file__).parents[2] / "mutations"


def send(rig: Rig, first: int = 0, count: int = ROWS, epochs: tuple[int, int] = (5, 5)) -> None:
    for partition in (0, 1):
        epoch = epochs[partition]
        rig.send("trade", [message(trade(2 * n + partition), epoch, n) for n in range(first, first + count)], partition)


def assert_each_once(rig: Rig, rows: int = 2 * ROWS) -> None:
    numbers = rig.sql(
        "SELECT toInt64(count()), toInt64(uniqExact(trade_number)), toInt64(max(trade_number)) FROM {db}.trade"
    )
    assert numbers == [[rows, rows, rows - 1]]
    assert rig.count("trade", final=True) == rows
    assert rig.counted() == {
        "consumed_total": rows, "redelivered_total": 0, "accepted_rows_total": rows, "rejected_rows_total": 0,
        "unsettled_rows": 0,
    }  # fmt: skip


@pytest.mark.parametrize("moment", ["before", "amid", "after"])
def test_killed_around_an_insert(rig: Rig, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaths = tmp_path / "deaths"
    monkeypatch.setenv("PYTHONPATH", str(MUTATIONS / "dies_around_insert"))
    monkeypatch.setenv("WSADAPTER_DIE", moment)
    monkeypatch.setenv("WSADAPTER_DIE_FILE", str(deaths))
    send(rig)
    for _ in range(3):
        rig.process.start(until=None)
        eventually(lambda: rig.process.returncode is not None, 60, "it kills itself")
        assert rig.process.returncode == -9
    assert len(deaths.read_bytes()) == 3
    rig.process.start()
    rig.wait_rows("trade", 2 * ROWS, 60)

    assert rig.process.stop() == 0
    assert_each_once(rig)


def test_an_answer_that_is_lost(kafka: str, clickhouse: str, tmp_path: Path) -> None:
    """The engine has the rows, the client library sends the same body again: one token, one block."""
    with faulty(clickhouse) as proxy:
        rig = Rig(kafka, proxy.url, tmp_path)
        try:
            send(rig, count=ROWS // 2)
            rig.process.start()
            rig.wait_rows("trade", ROWS)
            proxy.drop = 3
            send(rig, first=ROWS // 2, count=ROWS // 2)
            rig.wait_rows("trade", 2 * ROWS)
            eventually(lambda: proxy.dropped == 3 or rig.committed("trade")[0][0] == ROWS, 60, "answers were lost")
            assert rig.process.stop() == 0
            assert proxy.dropped
            assert proxy.inserts > proxy.dropped
            assert_each_once(rig)
        finally:
            rig.close()


def test_inserts_slower_than_the_group_allows(kafka: str, clickhouse: str, tmp_path: Path) -> None:
    with faulty(clickhouse) as proxy:
        rig = Rig(kafka, proxy.url, tmp_path, poll_seconds=6)
        try:
            rig.process.start()
            eventually(lambda: rig.page["rebalances_total"] >= 1, 30)
            before = rig.page["rebalances_total"]
            proxy.delay = 10.0
            send(rig)
            eventually(lambda: rig.page["inserts_total"] > 0, 60, "an insert that took longer")
            proxy.delay = 0.0
            assert rig.process.stop(60) == 0
            assert rig.page["rebalances_total"] == before, "the heart beats and polling goes on meanwhile"
            assert_each_once(rig)
        finally:
            rig.close()


def test_a_rebalance_while_inserts_are_under_way(kafka: str, clickhouse: str, tmp_path: Path) -> None:
    """The one who leaves does not get to the end of its inserts: the next owner repeats them, under the same token."""
    with faulty(clickhouse) as proxy:
        rig = Rig(kafka, proxy.url, tmp_path, count=2, drain_seconds=30.0)
        second = rig.another("consumer-1")
        try:
            rig.process.start()
            eventually(lambda: rig.page["rebalances_total"] >= 1, 30)
            proxy.delay = 8.0
            send(rig)
            eventually(lambda: proxy.inserts > 0, 30, "inserts are under way")
            second.start(until=None)
            eventually(lambda: second.page["rebalances_total"] >= 1, 90, "the second one has its share")
            proxy.delay = 0.0
            rig.wait_rows("trade", 2 * ROWS, 60)
            eventually(lambda: rig.counted(rig.process, second)["consumed_total"] >= 2 * ROWS, 60, "counted")
            assert second.stop(60) == 0
            assert rig.process.stop(60) == 0
            assert rig.count("trade") == rig.count("trade", final=True) == 2 * ROWS
            assert rig.counted(rig.process, second) == {
                "consumed_total": 2 * ROWS, "redelivered_total": 0, "accepted_rows_total": 2 * ROWS,
                "rejected_rows_total": 0, "unsettled_rows": 0,
            }  # fmt: skip
        finally:
            second.close()
            rig.close()


def test_a_topic_made_anew_while_nobody_looks(rig: Rig, make_rig: Callable[..., Rig]) -> None:
    """Its offsets begin again: tokens carry a hash of the bytes, so what is new is no repeat."""
    send(rig, count=ROWS // 2)
    rig.process.start()
    rig.wait_rows("trade", ROWS)
    assert rig.process.stop() == 0
    rig.recreate("trade")
    send(rig, first=ROWS // 2, count=ROWS // 2)
    rig.process.start()
    rig.wait_rows("trade", 2 * ROWS, 60)

    assert rig.process.stop() == 0
    numbers = rig.sql("SELECT toInt64(count()), toInt64(uniqExact(trade_number)) FROM {db}.trade")
    assert numbers == [[2 * ROWS, 2 * ROWS]]


@pytest.mark.parametrize("stopped", [False, True])
def test_a_topic_that_is_deleted_with_what_nobody_has_read(
    kafka: str, clickhouse: str, tmp_path: Path, stopped: bool
) -> None:
    """Kafka forgets the committed offsets with it: the new one looks like one that nobody has read yet. What the old
    one had is missing, and a gap says so, from our last message on."""
    with faulty(clickhouse) as proxy:
        rig = Rig(kafka, proxy.url, tmp_path)
        try:
            send(rig, count=ROWS // 2)
            rig.process.start()
            rig.wait_rows("trade", ROWS, 60)
            eventually(
                lambda: {offset for offset, _ in rig.committed("trade").values()} == {ROWS // 2}, 60, "committed"
            )
            before_ns = time.time_ns()
            if stopped:
                assert rig.process.stop() == 0
            rig.recreate("trade")
            send(rig, first=ROWS // 2, count=ROWS // 4)
            if stopped:
                rig.process.start()
            rig.wait_rows("trade", ROWS + ROWS // 2, 120)
            rig.wait_rows("gap", 1, 120)

            assert rig.process.stop() == 0
            holes = rig.sql("SELECT stream, cause, missing_count, toUnixTimestamp64Nano(started) FROM {db}.gap")
            assert holes
            for stream, cause, missing, started_ns in holes:
                assert (stream, cause, missing) == ("trade", "kafka_retention", None)
                assert int(started_ns) < before_ns
        finally:
            rig.close()


def test_a_server_without_memory_for_large_batches(
    kafka: str, clickhouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses large bodies and takes smaller ones (code 241): the range goes in in parts, also over a kill. What
    passed is known after a restart, and what is read during an insert makes no larger batch."""
    monkeypatch.setenv("PYTHONPATH", str(MUTATIONS / "quick_retries"))
    with faulty(clickhouse) as proxy:
        rig = Rig(kafka, proxy.url, tmp_path)
        try:
            proxy.limit = 60_000
            send(rig, count=ROWS // 2)
            rig.process.start()
            eventually(lambda: proxy.refused and rig.count("trade"), 60, "the first part is in")
            rig.process.kill()
            rig.process.start()
            rig.wait_rows("trade", ROWS, 120)

            assert rig.process.stop() == 0
            assert proxy.refused
            assert_each_once(rig, ROWS)

            passed = [CommitMetadata.decode(metadata).most_rows for _, metadata in rig.committed("trade").values()]
            assert all(passed), "each partition's commit says what passed"
            send(rig, first=ROWS // 2, count=ROWS // 2)
            proxy.delay = 1.0  # all the rest can be read meanwhile
            before = len(proxy.bodies)
            rig.process.start()
            eventually(lambda: len(proxy.bodies) > before + 2, 60, "some were inserted")
            proxy.delay = 0.0
            rig.wait_rows("trade", 2 * ROWS, 60)
            assert rig.process.stop() == 0
            assert_each_once(rig)
            # it asks now and then whether there is more room: a little more with each full batch, whatever its answer
            tried = proxy.bodies[before:]
            most = min(passed)
            for _ in tried:
                most += max(1, most // ROOM_STEP)
            row, head = len(message(trade(2 * ROWS), 5, ROWS)) + 2, 1000
            assert max(tried) <= head + (most + most // 4) * row, "as if what passed were not known"
        finally:
            rig.close()


def test_what_may_be_in_stays_whole_over_a_kill(kafka: str, clickhouse: str, tmp_path: Path) -> None:
    """Its answer was lost and the process killed; then the server has no memory for as much for a while. Halves would
    have tokens of their own, and all of it would be there twice."""
    with faulty(clickhouse) as proxy:
        rig = Rig(kafka, proxy.url, tmp_path)
        try:
            proxy.drop = 1_000_000
            send(rig, count=ROWS // 2)
            rig.process.start()
            eventually(lambda: rig.count("trade") == ROWS, 60, "it is in, and nobody knows")
            rig.process.kill()
            rig.command("SYSTEM STOP MERGES {db}.trade")  # which make one row of two
            proxy.drop, proxy.limit = 0, 60_000
            often = rig.page["insert_retries_total"] + 2 * MEMORY_ATTEMPTS + 2
            rig.process.start()
            eventually(lambda: rig.page["insert_retries_total"] > often, 60, "refused so often that it would be halved")
            proxy.limit = 0
            eventually(lambda: rig.committed("trade")[0][0] == ROWS // 2, 60, "done")
            assert rig.process.stop() == 0
            assert_each_once(rig, ROWS)
        finally:
            rig.close()


@pytest.mark.parametrize("ours_too", [False, True])
def test_a_server_killed_between_an_inserts_token_and_its_part(
    kafka: str, own_clickhouse: Callable[[], ClickHouseServer], tmp_path: Path, ours_too: bool
) -> None:
    """What it leaves on its disk then is made by hand: the token is in its log, the part has no final name."""
    engine = own_clickhouse().start()
    with faulty(engine.url) as proxy:
        rig = Rig(kafka, proxy.url, tmp_path / "state")
        try:
            proxy.drop = 1_000_000
            send(rig, count=ROWS // 2, epochs=(5, 6))  # a record is told by its identity, which no other has
            rig.process.start()
            eventually(lambda: rig.count_or_zero("trade") == ROWS, 60, "they are in, and nobody knows")
            ((uuid,),) = rig.sql("SELECT toString(uuid) FROM system.tables WHERE database = '{db}' AND name = 'trade'")
            if ours_too:
                rig.process.kill()
            engine.kill()
            parts = [part for part in tmp_path.glob(f"**/store/*/{uuid}/2*_*_*_*") if part.is_dir()]
            assert parts
            for part in parts:
                part.rename(part.with_name(f"tmp_insert_{part.name}"))
            proxy.drop = 0
            engine.start()
            if ours_too:
                rig.process.start()
            rig.wait_rows("trade", ROWS, 120)
            assert rig.process.stop() == 0
            assert_each_once(rig, ROWS)
        finally:
            rig.close()
