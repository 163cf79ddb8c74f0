"""ClickHouse or Kafka away, broken tables, a log that was cut or wiped: waited for, said, nothing lost."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from eventually import eventually
from roles.consumer.consumer_rig import Rig, message
from samples import full, sparse, trade

from wsadapter.clickhouse import schema
from wsadapter.clickhouse.client import connect
from wsadapter.clickhouse.migration import migrate
from wsadapter.embedded.servers import ClickHouseServer, KafkaServer
from wsadapter.errors import Reason
from wsadapter.events import Ticker
from wsadapter.events.streams import BY_STREAM
from wsadapter.supervision.child import ChildState

pytestmark = pytest.mark.integration


FIRST = Path(__file__).parents[2] / "clickhouse" / "schema_1.sql"
TICKERS = [event for event in full() + sparse() if isinstance(event, Ticker)]


def trades(first: int, last: int) -> list[bytes]:
    return [message(trade(n), 3, n) for n in range(first, last)]


@pytest.fixture
def with_own_engine(kafka: str, own_clickhouse: Callable[[], ClickHouseServer], tmp_path: Path) -> Any:
    server = own_clickhouse()
    rig = Rig(kafka, server.url, tmp_path, drain_seconds=6.0)
    yield rig, server
    rig.close()


@pytest.fixture
def with_own_broker(own_kafka: Callable[[], KafkaServer], clickhouse: str, tmp_path: Path) -> Any:
    server = own_kafka()
    rig = Rig(server.bootstrap, clickhouse, tmp_path)
    yield rig, server
    rig.close()


def test_clickhouse_away_at_the_start_is_waited_for(with_own_engine: tuple[Rig, ClickHouseServer]) -> None:
    rig, server = with_own_engine
    rig.send("trade", trades(0, 100))
    rig.page["clickhouse_up"] = rig.page["broker_up"] = 1  # an earlier process said so
    rig.process.start(until=ChildState.WAITING)
    beat = rig.page["heartbeat_ns"]
    eventually(lambda: rig.page["heartbeat_ns"] > beat + 2_000_000_000, 20, "the heart beats while it waits")
    assert rig.page["clickhouse_reason"] == Reason.REFUSED
    assert rig.page["broker_reason"] == Reason.NOT_ASKED, "Kafka is not to blame"
    assert (rig.page["clickhouse_up"], rig.page["broker_up"]) == (0, 0)
    server.start()
    eventually(lambda: rig.page["state"] == ChildState.RUNNING, 30)
    rig.wait_rows("trade", 100)

    assert rig.process.stop() == 0
    assert rig.count("trade") == 100


def test_a_stop_while_clickhouse_was_never_there_is_clean(with_own_engine: tuple[Rig, ClickHouseServer]) -> None:
    rig, _ = with_own_engine
    rig.process.start(until=ChildState.WAITING)

    assert rig.process.stop() == 0


def test_clickhouse_killed_under_load_loses_and_doubles_nothing(with_own_engine: tuple[Rig, ClickHouseServer]) -> None:
    rig, server = with_own_engine
    server.start()
    rig.process.start()
    for round_ in range(3):
        rig.send("trade", trades(round_ * 4000, round_ * 4000 + 2000), partition=0)
        server.kill()
        rig.send("trade", trades(round_ * 4000 + 2000, round_ * 4000 + 4000), partition=1)
        eventually(lambda: (rig.page["state"], rig.page["clickhouse_up"]) == (ChildState.WAITING, 0), 30)
        server.start()
        eventually(lambda: rig.page["state"] == ChildState.RUNNING, 30)
        rig.wait_rows("trade", (round_ + 1) * 4000)

    assert rig.process.stop() == 0
    assert rig.count("trade") == rig.count("trade", final=True) == 12_000
    assert rig.page["insert_retries_total"] > 0


def test_a_stop_while_clickhouse_is_away_ends_in_time_and_the_next_start_goes_on(
    with_own_engine: tuple[Rig, ClickHouseServer],
) -> None:
    rig, server = with_own_engine
    server.start()
    rig.process.start()
    rig.send("trade", trades(0, 500))
    rig.wait_rows("trade", 500)
    server.kill()
    rig.send("trade", trades(500, 900))
    eventually(lambda: rig.page["clickhouse_up"] == 0, 30)

    assert rig.process.stop() == 0
    server.start()
    rig.process.start()
    rig.wait_rows("trade", 900)
    assert rig.process.stop() == 0
    assert rig.count("trade") == rig.count("trade", final=True) == 900


def test_a_frozen_clickhouse_stops_neither_the_heart_nor_the_end(
    with_own_engine: tuple[Rig, ClickHouseServer],
) -> None:
    rig, server = with_own_engine
    server.start()
    rig.process.start()
    rig.send("trade", trades(0, 500))
    eventually(lambda: rig.committed("trade")[0][0] == 500, 30)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        rig.send("trade", trades(500, 900))
        eventually(lambda: rig.committed("trade")[0][1].split(":")[2], 30, "an insert is intended")
        beat = rig.page["heartbeat_ns"]
        eventually(lambda: rig.page["heartbeat_ns"] > beat + 2_000_000_000, 20, "the heart beats while an insert hangs")
        assert rig.process.stop() == 0
    finally:
        os.kill(server.pid, signal.SIGCONT)
    rig.process.start()
    rig.wait_rows("trade", 900)
    assert rig.process.stop() == 0
    # the insert that hung may have been carried out when the engine went on: it and its replay have one token
    assert rig.count("trade") == rig.count("trade", final=True) == 900


def test_kafka_away_at_the_start_and_later_is_waited_for(with_own_broker: tuple[Rig, KafkaServer]) -> None:
    rig, server = with_own_broker
    rig.process.start(until=ChildState.WAITING)
    server.start()
    eventually(lambda: rig.page["state"] == ChildState.RUNNING, 60)
    rig.send("trade", trades(0, 100))
    rig.wait_rows("trade", 100)
    server.kill()
    eventually(lambda: (rig.page["broker_up"], rig.page["state"]) == (0, ChildState.WAITING), 60)
    server.start()
    eventually(lambda: rig.page["broker_up"] == 1, 60)
    rig.send("trade", trades(100, 200))
    rig.wait_rows("trade", 200)

    assert rig.process.stop() == 0
    assert rig.count("trade") == rig.count("trade", final=True) == 200


def test_a_stop_while_kafka_is_away_ends_in_time(with_own_broker: tuple[Rig, KafkaServer]) -> None:
    rig, server = with_own_broker
    server.start()
    rig.process.start()
    server.kill()
    eventually(lambda: rig.page["broker_up"] == 0, 60)

    assert rig.process.stop() == 0


def test_a_wiped_kafka_loses_nothing_of_the_next_run(with_own_broker: tuple[Rig, KafkaServer], tmp_path: Path) -> None:
    """Offsets begin again at 0, the group is unknown, the tables and their tokens are kept."""
    rig, server = with_own_broker
    port = int(server.bootstrap.rpartition(":")[2])
    server.start()
    for first in (0, 1000):
        rig.send("trade", trades(first, first + 1000))
        rig.process.start()
        rig.wait_rows("trade", first + 1000)
        assert rig.process.stop() == 0
        server.stop()
        server = KafkaServer(tmp_path / f"wiped-{first}", port).start()
        rig.forget_kafka()
    server.close()

    assert rig.count("trade") == rig.count("trade", final=True) == 2000


def test_a_cut_log_is_a_gap_and_the_rest_is_read(rig: Rig) -> None:
    rig.send("trade", trades(0, 100))
    rig.process.start()
    rig.wait_rows("trade", 100)
    assert rig.process.stop() == 0
    rig.send("trade", trades(100, 300))
    admin = AdminClient({"bootstrap.servers": rig.config.kafka.bootstrap_servers})
    for deleted in admin.delete_records([TopicPartition(rig.topic("trade"), 0, 250)]).values():
        deleted.result(60)
    rig.process.start()
    rig.wait_rows("trade", 150)
    rig.wait_rows("gap", 1)

    assert rig.process.stop() == 0
    assert rig.count("trade") == rig.count("trade", final=True) == 150
    rows = rig.sql("SELECT stream, cause, missing_count, gap_id, repair_state FROM {db}.gap")
    assert rows == [["trade", "kafka_retention", 150, f"{rig.topic('trade')}:0:100-250", "open"]]


def test_no_committed_offset_is_the_earliest_and_no_gap(rig: Rig) -> None:
    rig.send("trade", trades(0, 100))
    admin = AdminClient({"bootstrap.servers": rig.config.kafka.bootstrap_servers})
    for deleted in admin.delete_records([TopicPartition(rig.topic("trade"), 0, 40)]).values():
        deleted.result(60)
    rig.process.start()
    rig.wait_rows("trade", 60)

    assert rig.process.stop() == 0
    assert rig.count("gap") == 0


def test_a_topic_deleted_and_made_anew_is_read_from_its_beginning(rig: Rig) -> None:
    rig.send("trade", trades(0, 100))
    rig.process.start()
    rig.wait_rows("trade", 100)
    admin = AdminClient({"bootstrap.servers": rig.config.kafka.bootstrap_servers})
    admin.delete_topics([rig.topic("trade")])[rig.topic("trade")].result(20)

    def there_again() -> bool:
        try:
            rig.forget_kafka()
            rig.send("trade", trades(100, 150))
        except (KafkaException, AssertionError):
            return False
        return True

    eventually(there_again, 60)
    rig.wait_rows("trade", 150, 60)

    assert rig.process.stop() == 0
    assert rig.count("trade", final=True) == 150


def test_a_topic_made_anew_beyond_the_old_position_is_read_from_its_beginning(rig: Rig) -> None:
    """While the consumer stands still: its offset is valid in the new log by chance. What it read there before it
    noticed comes a second time."""
    rig.send("trade", trades(0, 100))
    rig.process.start()
    rig.wait_rows("trade", 100)
    os.kill(rig.process.pid, signal.SIGSTOP)
    try:
        rig.recreate("trade")
        rig.send("trade", trades(100, 300))
    finally:
        os.kill(rig.process.pid, signal.SIGCONT)
    eventually(lambda: rig.count("trade", final=True) >= 300, 60, "all of the new log")
    rig.wait_rows("gap", 1)

    assert rig.process.stop() == 0
    assert rig.count("trade", final=True) == 300
    rows = rig.sql("SELECT DISTINCT stream, cause, missing_count FROM {db}.gap")
    assert rows == [["trade", "kafka_retention", None]]
    published = rig.page['kafka_gaps_total{stream="trade"}']
    assert published == rig.counted(stream="gap")["consumed_total"] >= 1, "each of these rows is in the balance"


def test_a_schema_that_differs_at_the_start_is_refused_by_name(rig: Rig) -> None:
    rig.process.start()
    assert rig.process.stop() == 0
    rig.command("ALTER TABLE {db}.trade DROP COLUMN quantity")
    rig.process.start(until=None)
    eventually(lambda: rig.process.returncode is not None, 30)

    assert rig.process.returncode == 78


def test_tables_of_an_earlier_version_are_refused_until_they_are_migrated(rig: Rig) -> None:
    settings, tickers = rig.config.clickhouse, [message(one, 3, n) for n, one in enumerate(TICKERS)]
    rig.send("ticker", tickers)
    client = connect(settings)
    for statement in FIRST.read_text().replace("`market`", f"`{settings.database}`").split(";\n\n")[:-1]:
        client.command(statement, use_database=False)
    rig.process.start(until=None)
    eventually(lambda: rig.process.returncode is not None, 60)
    assert rig.process.returncode == 78

    migrate(client, settings, lambda text: None)
    rig.process.start()
    rig.wait_rows("ticker", len(tickers))
    assert rig.process.stop() == 0
    client.close()


def test_what_comes_while_a_table_is_migrated_is_kept_until_it_is_through(rig: Rig) -> None:
    rig.process.start()
    database, spec = rig.config.clickhouse.database, BY_STREAM["ticker"]
    rig.command(schema.gate_sql(spec, database))
    rig.send("ticker", [message(one, 3, n) for n, one in enumerate(TICKERS)])
    rig.send("trade", trades(0, 100))
    rig.wait_rows("trade", 100)
    eventually(lambda: rig.page['paused{stream="ticker"}'] > 0, 60)
    rig.command(f"DROP VIEW {{db}}_inner.{schema.gate_name(spec)}")
    eventually(lambda: rig.count("ticker", final=True) == len(TICKERS), 60)

    assert rig.process.stop() == 0


def test_a_schema_that_differs_later_pauses_its_table_only_until_it_is_repaired(rig: Rig) -> None:
    rig.process.start()
    rig.send("trade", trades(0, 10))
    rig.wait_rows("trade", 10)
    rig.command("RENAME TABLE {db}_inner.trade_in TO {db}_inner.trade_away")
    rig.send("trade", trades(10, 20))
    eventually(lambda: rig.page['paused{stream="trade"}'] == 1, 30)
    assert rig.page["state"] == ChildState.PAUSED
    rig.send("ticker", [message(ticker, 3, n) for n, ticker in enumerate(TICKERS)])
    rig.wait_rows("ticker", len(TICKERS))
    assert rig.count("trade") == 10

    rig.command("RENAME TABLE {db}_inner.trade_away TO {db}_inner.trade_in")
    rig.wait_rows("trade", 20, 60)
    eventually(lambda: rig.page["state"] == ChildState.RUNNING, 30)
    assert rig.page['paused{stream="trade"}'] == 0
    assert rig.process.stop() == 0
    assert rig.count("trade") == rig.count("trade", final=True) == 20


def test_too_many_parts_is_waited_for(rig: Rig) -> None:
    """Code 252 of the real engine: the same bytes under the same token until merges, or the operator, made room."""
    rig.send("trade", [message(trade(n), 1, n) for n in range(100)])
    rig.process.start()
    rig.wait_rows("trade", 100)
    rig.command("SYSTEM STOP MERGES {db}.trade")
    rig.command("ALTER TABLE {db}.trade MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1")
    before = rig.page["insert_retries_total"]
    rig.send("trade", [message(trade(n), 1, n) for n in range(100, 200)])
    eventually(lambda: rig.page["insert_retries_total"] >= before + 2, 60, "refused and tried again")
    eventually(lambda: rig.page["state"] == ChildState.WAITING, 60, "and it does not say that all is well")
    assert rig.count("trade") == 100
    assert rig.committed("trade")[0][0] <= 100, "what is not in is not committed"
    rig.command("ALTER TABLE {db}.trade RESET SETTING parts_to_delay_insert, parts_to_throw_insert")

    rig.wait_rows("trade", 200, 60)
    eventually(lambda: rig.page["state"] == ChildState.RUNNING, 30)
    assert rig.process.stop() == 0
    assert rig.count("trade") == rig.count("trade", final=True) == 200


def test_a_view_that_somebody_dropped_is_noticed(rig: Rig) -> None:
    """Inserts go on without an error then; the rows would be nowhere."""
    rig.process.start()
    rig.command("DROP VIEW {db}_inner.trade_mv")
    eventually(lambda: (rig.page['paused{stream="trade"}'], rig.page["state"]) == (1, ChildState.PAUSED), 30)
    assert rig.process.stop() == 0
