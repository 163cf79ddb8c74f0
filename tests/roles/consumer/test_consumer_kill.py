"""kill -9 of the consumer at random instants under load: every record once, nothing missing."""

import random
import threading
import time
from collections.abc import Callable

import pytest
from eventually import eventually
from roles.consumer.consumer_rig import Rig, message
from samples import trade

from wsadapter.supervision.child import ChildState

pytestmark = pytest.mark.integration

CONSUMED = 'consumed_total{stream="trade"}'
KILLS = 8
RECORDS = 40_000


class Load:
    """Trades at a few thousand a second over all partitions, with stretches written again as a serializer would."""

    def __init__(self, rig: Rig, rng: random.Random, partitions: int) -> None:
        self._rig, self._rng, self._partitions = rig, rng, partitions
        self.sent = 0
        self.repeated = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        number = 0
        last: dict[int, list[bytes]] = {}
        while number < RECORDS and not self.done.is_set():
            size = self._rng.randrange(50, 700)
            partition = self._rng.randrange(self._partitions)
            # a serializer that was killed begins again at its ring's head: at what it last wrote into this partition
            again = last.get(partition, [])[-self._rng.randrange(1, 60) :] if self._rng.random() < 0.3 else []
            new = [message(trade(n), 9, n) for n in range(number, number + size)]
            self._rig.send("trade", again + new, partition)
            self.repeated += len(again)
            last[partition] = new
            number += size
            self.done.wait(0.05)
        self.sent = number
        self.done.set()


def test_killed_at_random_under_load(make_rig: Callable[..., Rig]) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    rig = make_rig(partitions=4, batch_seconds=0.1)
    rig.process.start()
    load = Load(rig, rng, 4)
    load.thread.start()
    for kill in range(KILLS):
        before = rig.page[CONSUMED]
        # from the very first moment of a start to well into its work
        if kill % 2:
            eventually(lambda before=before: load.done.is_set() or rig.page[CONSUMED] > before, 30)  # type: ignore[misc]
        time.sleep(rng.uniform(0.0, 0.8))
        rig.process.kill()
        rig.process.start(until=None)
    load.thread.join()
    eventually(lambda: rig.page["state"] == ChildState.RUNNING, 60)
    rig.wait_rows("trade", load.sent, 60)

    assert rig.process.stop() == 0
    assert load.sent >= RECORDS
    numbers = rig.sql("SELECT toInt64(count()), toInt64(uniqExact(trade_number)) FROM {db}.trade")
    assert numbers == [[load.sent, load.sent]]
    assert rig.count("trade", final=True) == load.sent
    assert load.repeated
    assert rig.counted() == {
        "consumed_total": load.sent + load.repeated, "redelivered_total": load.repeated,
        "accepted_rows_total": load.sent, "rejected_rows_total": 0, "unsettled_rows": 0,
    }  # fmt: skip


def test_killed_between_insert_and_commit_again_and_again(rig: Rig) -> None:
    """A process that never lives to commit what it inserted replays the same range under the same token."""
    rig.send("trade", [message(trade(n), 1, n) for n in range(5000)])
    for _ in range(4):
        rig.process.start(until=None)
        before = rig.page["inserts_total"]
        eventually(lambda before=before: rig.page["inserts_total"] > before or rig.count_or_zero("trade") >= 5000, 30)  # type: ignore[misc]
        rig.process.kill()
    rig.process.start()
    rig.wait_rows("trade", 5000)

    assert rig.process.stop() == 0
    assert rig.count("trade") == rig.count("trade", final=True) == 5000
    assert rig.counted()["consumed_total"] == rig.counted()["accepted_rows_total"] == 5000, "counted once"
