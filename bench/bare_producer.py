"""The least that delivery costs: messages that are there already, `produce_batch`, flush. For the hop table only.

    python -m bench.bare_producer KAFKA_JSON TOPIC COUNT SIZE

The settings are the product's; a message is SIZE bytes of what an average message holds. One line of JSON.
"""

import json
import os
import sys
import time

import msgspec
from confluent_kafka import Producer

from bench.frames import SYMBOLS
from wsadapter.config.model import KafkaConfig
from wsadapter.kafka.settings import producer_config

BATCH = 4096


def main() -> None:
    kafka, topic, count, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    settings = producer_config(msgspec.json.decode(kafka, type=KafkaConfig))
    producer = Producer({**settings, "queue.buffering.max.messages": 2_000_000, "delivery.report.only.error": True})
    keys = [f"binance:{symbol}".encode() for symbol in SYMBOLS]
    half = os.urandom(size // 4).hex().encode()  # compresses by half, as text and numbers do
    messages = [{"key": keys[i % len(keys)], "value": i.to_bytes(8, "big") + half} for i in range(BATCH)]
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count // BATCH):
        producer.produce_batch(topic, [dict(message) for message in messages])
    producer.flush(60)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sent = count // BATCH * BATCH
    print(json.dumps({"messages": sent, "cpu_us": cpu / sent * 1e6, "per_s": sent / wall}), flush=True)


if __name__ == "__main__":
    main()
