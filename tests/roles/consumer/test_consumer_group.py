"""Several consumers are one group: partitions move in good order, a killed one is replaced, nothing is doubled."""

import random
import threading
from collections.abc import Callable

import pytest
from eventually import eventually
from roles.consumer.consumer_rig import Rig, message
from samples import trade

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
