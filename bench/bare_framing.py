"""What is left of a consumer that inserts nothing: librdkafka and the framing, which nobody on librdkafka gets below.

    python -m bench.bare_framing CONFIG_JSON EXPECTED

Takes runs of messages with the settings of the consumer role and by its client, writes their rows behind each other in
C, and forgets them: no batch, no commit, no hash, no insert. One line of JSON: CPU from the first message to the last.
"""

import json
import sys
import time
from typing import Final

import msgspec
from confluent_kafka import TopicPartition

from wsadapter.config.model import Config
from wsadapter.events.streams import SPECS
from wsadapter.kafka.framing import NO_STOP, frame
from wsadapter.kafka.record_consumer import new_consumer
from wsadapter.kafka.settings import consumer_config
from wsadapter.kafka.topics import partition_counts, topic

CHUNK: Final = 2_000


def main() -> None:
    config, expected = msgspec.json.decode(sys.argv[1], type=Config), int(sys.argv[2])
    source = new_consumer(consumer_config(config.kafka, "bench-framing"))
    there = partition_counts(config.kafka, 20)
    names = [topic(config.kafka, spec) for spec in SPECS]
    source.assign([TopicPartition(name, number, 0) for name in names for number in range(there[name])])
    seen: dict[tuple[str, int], dict[int, int]] = {}
    body, (runs, _) = bytearray(), source.take(1, 20)
    began, cpu, count = time.monotonic(), time.process_time(), 0
    while True:
        for name, number, messages, *_ in runs:
            marks = seen.setdefault((name, number), {})
            body.clear()
            taken, *_ = frame(messages.values, messages.offsets, 0, 0, NO_STOP, marks, body)
            if taken != len(messages):
                raise SystemExit(f"{name}: a message that is not ours")
            count += taken
        if count >= expected:
            break
        runs, _ = source.take(CHUNK, 0.1)
    cpu, took = time.process_time() - cpu, time.monotonic() - began
    print(json.dumps({"rows": count, "cpu_us": cpu / count * 1e6, "per_s": count / took}), flush=True)


if __name__ == "__main__":
    main()
