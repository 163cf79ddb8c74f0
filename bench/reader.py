"""Latency as somebody else sees it: from the venue's write to a consumer of the broker that holds the trade.

    python -m bench.reader BOOTSTRAP TOPIC ours|bound COUNT SECONDS

The venue stamps each trade with the monotonic clock, this process looks at the same clock when the record arrives. That
is later than the broker's acknowledgement to the producer by what a fetch takes: an upper bound of it, for every
producer alike, and nothing in the product has to be believed. Says ``ready`` when it reads, then one line of JSON when
COUNT trades came, or SECONDS passed. The first tenth is warm-up and left out.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from bench.accounts import percentile
from bench.frames import STAMP
from wsadapter.pb.market_pb2 import Trade

BOUND_FIRST_ID: Final = 6
"""Field number in the message that the peers' bound.py makes of a trade."""


def ours(value: bytes) -> int:
    return int(Trade.FromString(value).first_trade_id)


def bound(value: bytes) -> int:
    """The field, found by hand: bound.py defines its messages itself."""
    at = 0
    while at < len(value):
        tag, at = varint(value, at)
        if tag & 7 == 0:
            number, at = varint(value, at)
            if tag >> 3 == BOUND_FIRST_ID:
                return number
        else:
            length, at = varint(value, at)
            at += length
    return 0


def varint(value: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = value[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7


LAYOUTS: Final[dict[str, Callable[[bytes], int]]] = {"ours": ours, "bound": bound}


def main() -> None:
    bootstrap, topic, layout, count, seconds = *sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5])
    first_id = LAYOUTS[layout]
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench-reader", "fetch.wait.max.ms": 500,
                         "fetch.queue.backoff.ms": 1, "enable.auto.commit": False})  # fmt: skip
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    ends = {n: consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1] for n in partitions}
    consumer.assign([TopicPartition(topic, number, end) for number, end in ends.items()])
    consumer.poll(1.0)  # connections stand, first fetches wait at the broker
    print("ready", flush=True)
    took: list[float] = []
    deadline = time.monotonic() + seconds
    while len(took) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        now = time.monotonic_ns()
        if message is None or message.error() or not (value := message.value()):
            continue
        stamp = first_id(value) - STAMP
        if stamp > 0:
            took.append((now - stamp) / 1e6)
    ordered = sorted(took[len(took) // 10 :])
    figures = {name: round(percentile(ordered, share), 3) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1))}
    print(json.dumps({"trades": len(took), **figures}), flush=True)
    consumer.close()


if __name__ == "__main__":
    main()
