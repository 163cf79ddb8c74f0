"""What is in Kafka, message by message, against what was in the rings."""

from collections.abc import Iterator, Set
from zlib import crc32

from confluent_kafka import Consumer, TopicPartition
from oracle import Identity, RingWatcher

from wsadapter.events.streams import SPECS
from wsadapter.pb import market_pb2

IDENTITY_BYTES = 18


def read(bootstrap: str, prefix: str) -> Iterator[tuple[str, int, bytes]]:
    """(stream, partition, value) of every message, each partition in its order."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "oracle", "enable.auto.commit": False})
    try:
        topics = reader.list_topics(timeout=20).topics
        for spec in SPECS:
            name = f"{prefix}{spec.name}"
            for partition in topics[name].partitions if name in topics else ():
                low, high = reader.get_watermark_offsets(TopicPartition(name, partition), timeout=20)
                reader.assign([TopicPartition(name, partition, low)])
                while low < high:
                    for message in reader.consume(10_000, 5.0):
                        assert message.error() is None, message.error()
                        low = (message.offset() or 0) + 1
                        yield spec.name, partition, message.value() or b""
    finally:
        reader.close()


def check(bootstrap: str, prefix: str, watcher: RingWatcher, deleted: Set[Identity] = frozenset()) -> int:
    """I1, I2, I4: everything of the rings is in the log, undamaged, nothing else is, and a reader with a watermark per
    ring takes all of it, so order held. How many came twice. ``deleted``: may have been in a topic that is gone."""
    contents, taken = watcher.contents, set[Identity]()
    seen: dict[tuple[str, int, int], int] = {}
    repeated = 0
    for stream, partition, value in read(bootstrap, prefix):
        spec = next(spec for spec in SPECS if spec.name == stream)
        message = getattr(market_pb2, spec.message).FromString(value)
        if stream == "gap" and not message.HasField("epoch"):
            continue  # a gap that a consumer found was in no ring
        identity = (stream, message.epoch, message.position)
        if message.position < watcher.begins.get(message.epoch, 0):
            continue  # of before we looked
        assert identity in contents, f"a message that was in no ring: {identity}"
        if stream != "gap":  # a serializer gives a gap its name
            assert crc32(value[IDENTITY_BYTES:]) == contents[identity], f"damaged on the way: {identity}"
        if message.position <= seen.get((stream, partition, message.epoch), -1):
            assert identity in taken, f"out of order, so it would be dropped: {identity}"
            repeated += 1
            continue
        seen[stream, partition, message.epoch] = message.position
        taken.add(identity)
    missing = contents.keys() - taken - deleted
    assert not missing, f"{len(missing)} of {len(contents)} never reached Kafka, first {sorted(missing)[:3]}"
    return repeated
