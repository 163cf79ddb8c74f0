"""The serializer process: rings -> Kafka, cycle by cycle (`wsadapter.roles.serializer.serializer`)."""

import time

from wsadapter.kafka.settings import LIMIT
from wsadapter.roles.orders import SerializerOrder
from wsadapter.roles.serializer.producer import KafkaProducer
from wsadapter.roles.serializer.redundant_reader import RedundantReader, attach
from wsadapter.roles.serializer.serializer import SPOOL_WAIT, Serializer
from wsadapter.roles.serializer.spool_generations import SpoolGenerations
from wsadapter.roles.serializer.spooling import Mode
from wsadapter.shm import doorbell
from wsadapter.supervision.child import Child, ChildState, run_child


def main(child: Child) -> int:
    config, order = child.args.config, child.order(SerializerOrder)
    readers = attach(child.args.rings, child.page)
    doorbells = sorted({ring.doorbell_fd for ring in child.args.rings})
    spools = SpoolGenerations(
        config.spool.path,
        order.generation,
        child.args.name,
        config.spool.max_bytes,
        first=order.number == 0,
        serializers=config.process_of("serializer").count,
    )
    LIMIT.is_awaited = lambda: child.is_awaited("kafka")
    producer = KafkaProducer(config, child.page)
    serializer = Serializer(child, producer, readers, spools)
    child.set_state(ChildState.WAITING)
    waiting = True
    while True:
        stopping = child.stopping  # before reading: the writers were gone when the order came
        child.beat()
        for fd in doorbells:
            doorbell.clear(fd)  # before reading: a record published after this rings again
        moved = serializer.cycle()
        direct = serializer.spooling.mode is Mode.DIRECT
        if waiting and serializer.is_ready():
            waiting = False
            child.page["broker_up"] = 1
            child.ready()
        is_late = time.monotonic() > child.deadline - 1.0
        if stopping and (serializer.drained() or serializer.is_locked_out or is_late):
            break
        if not moved:
            if direct and not stopping:
                producer.probe(0.5)
            holding = any(isinstance(reader, RedundantReader) and reader.holding for reader in readers)
            child.wait(doorbells, 1.0 if direct and not stopping and not holding else SPOOL_WAIT)
    serializer.keep()
    for reader in readers:
        reader.release()
    return 0


if __name__ == "__main__":
    run_child(main)
