"""Mutation: the serializer takes every flush for done, so heads move over what nobody acknowledged."""

import sys

if {"wsadapter.roles.serializer", "wsadapter.supervision.fork_server"} & set(sys.orig_argv):
    import confluent_kafka

    from wsadapter.kafka import record_producer

    class Hasty(confluent_kafka.Producer):
        def flush(self, timeout: float = -1.0) -> int:
            super().poll(0)
            return 0

    class HastyToo(record_producer.RecordProducer):
        def flush(self, seconds: float) -> int:
            super().poll(0)
            return 0

    confluent_kafka.Producer = Hasty  # type: ignore[misc]
    record_producer.RecordProducer = HastyToo  # type: ignore[misc]
