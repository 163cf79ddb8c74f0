"""Subjects of a Confluent schema registry, one a topic: the one message that the topic's values are, with its enums.

Text only. Our messages are bare protobuf, without the five bytes and more that a registry's own serializers put before
them: a registry shows them and checks that a later version reads what an earlier one wrote; what reads by them is told
which topic has which message.
"""

import shlex

import msgspec

from wsadapter.clickhouse.inserts import message_schema
from wsadapter.config.model import KafkaConfig
from wsadapter.events.streams import SPECS
from wsadapter.kafka.topics import topic
from wsadapter.pb import market_pb2


def subjects(kafka: KafkaConfig) -> dict[str, bytes]:
    """Subject, named by its topic as is usual -> the body of the request that registers it."""
    package = market_pb2.DESCRIPTOR.package
    return {
        f"{topic(kafka, spec)}-value": msgspec.json.encode(
            {"schemaType": "PROTOBUF", "schema": message_schema(spec, package)}
        )
        for spec in SPECS
    }


def script(kafka: KafkaConfig, url: str) -> str:
    """Registers each; a subject that has the same schema already stays as it is. Ends at the first that is refused."""
    lines = ["#!/bin/sh", "# the message of each topic; again after an upgrade", "set -e"]
    for subject, body in subjects(kafka).items():
        where = shlex.quote(f"{url.rstrip('/')}/subjects/{subject}/versions")
        lines.append(
            f"curl -fsS -X POST -H 'Content-Type: application/vnd.schemaregistry.v1+json' --data-binary @- {where} "
            f"<<'SCHEMA'\n{body.decode()}\nSCHEMA\necho ' {subject}'"
        )
    return "\n".join(lines) + "\n"
