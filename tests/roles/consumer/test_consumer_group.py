"""Several consumers are one group: partitions move in good order, a killed one is replaced, nothing is doubled; who is
fenced ends, and another installation's members are refused."""

import random
import threading
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from eventually import eventually
from msgspec.structs import replace
from role_process import RoleProcess
from roles.consumer.consumer_rig import Rig, message
from samples import trade

from wsadapter import metrics
from wsadapter.errors import ExitCode
from wsadapter.kafka.members import instance_id
from wsadapter.kafka.settings import consumer_config
from wsadapter.supervision.child import ChildState

pytestmark = pytest.mark.integration


def test_consumers_come_and_go_under_load(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(partitions=4, batch_seconds=0.1, count=2)
    second = rig.another("consumer-1")
    stop = threading.Event()
    sent = [0]

    def load() -> None:
        rng = random.Random(1)
        while not stop.is_set():
            rig.send("trade", [message(trade(n), 9, n) for n in range(sent[0], sent[0] + 200)], rng.randrange(4))
            sent[0] += 200
            stop.wait(0.05)

    thread = threading.Thread(target=load, daemon=True)
    try:
        rig.process.start()
        thread.start()
        eventually(lambda: rig.page['consumed_total{stream="trade"}'] > 1000, 30)
        second.start()
        eventually(lambda: second.page['consumed_total{stream="trade"}'] > 1000, 60, "the second one has partitions")
        second.kill()
        second.start()
        before = second.page['consumed_total{stream="trade"}']
        eventually(lambda: second.page['consumed_total{stream="trade"}'] > before + 500, 60, "as the same member")
        stop.set()
        thread.join()
        assert second.stop() == 0
        assert rig.process.stop() == 0
        # what came between the two stops waits for the next start
        rig.process.start()
        eventually(lambda: rig.count("trade") >= sent[0], 90, "all rows")
        assert rig.process.stop() == 0
        counted = rig.counted(rig.process, second)
    finally:
        stop.set()
        second.close()

    assert rig.count("trade") == rig.count("trade", final=True) == sent[0]
    assert counted == {
        "consumed_total": sent[0], "redelivered_total": 0, "accepted_rows_total": sent[0], "rejected_rows_total": 0,
        "unsettled_rows": 0,
    }, "counted once, by whichever"  # fmt: skip


def trades(first: int, last: int) -> list[bytes]:
    return [message(trade(n), 3, n) for n in range(first, last)]


def test_a_fenced_consumer_ends_and_its_successor_goes_on(rig: Rig) -> None:
    """Another process with its ``group.instance.id`` joins for a moment: a second host with a copy of the directory."""
    rig.send("trade", trades(0, 100))
    rig.process.start()
    rig.wait_rows("trade", 100)
    other = Consumer(consumer_config(rig.config.kafka, instance_id(rig.config.service, "consumer-0")))
    other.subscribe([rig.topic("trade")])

    def fenced() -> bool:
        other.poll(0.1)
        return rig.process.returncode is not None

    try:
        eventually(fenced, 60, "the fenced process ends")
    finally:
        other.close()
    assert rig.process.returncode == ExitCode.INTERNAL
    rig.send("trade", trades(100, 200))
    rig.process.start(timeout=60)
    rig.wait_rows("trade", 200, 60)

    assert rig.process.stop() == 0
    assert rig.count("trade") == 200


def test_partitions_that_are_added_are_read_soon(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(partitions=1)
    rig.process.start()
    admin = AdminClient({"bootstrap.servers": rig.config.kafka.bootstrap_servers})
    admin.create_partitions([NewPartitions(rig.topic("trade"), 3)])[rig.topic("trade")].result(60)
    rig.send("trade", trades(0, 100), partition=2)
    rig.wait_rows("trade", 100, 60)

    assert rig.process.stop() == 0


def test_a_second_installation_with_the_same_prefix_is_refused(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(poll_seconds=6)
    rig.process.start()
    config = replace(rig.config, service=replace(rig.config.service, instance=f"{rig.config.service.instance}-b"))
    second = RoleProcess(
        "wsadapter.roles.consumer", "consumer", config, metrics.consumer(2, [config.clickhouse.url]), name="consumer-0"
    )
    try:
        second.start(until=ChildState.WAITING)
        eventually(lambda: second.returncode is not None, 60, "it is refused")
        assert second.returncode == ExitCode.CONFIG
    finally:
        second.close()
    rig.send("trade", trades(0, 50))
    rig.wait_rows("trade", 50)
    assert rig.process.stop() == 0
