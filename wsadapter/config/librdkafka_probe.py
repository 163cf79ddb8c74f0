"""A program: standard input are settings as JSON, standard output what librdkafka says against them, key by key.

It makes clients without any broker address and throws them away: nothing is contacted. Asked by `config.librdkafka`.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer


def refusals(side: str, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Key by key: what is refused is noted, left out, and the rest tried again."""
    refused = []
    remaining = dict(settings)
    while refusal := _refusal(side, remaining):
        # by name; else (librdkafka names an alias) the one without which it says something else
        named = [key for key in sorted(remaining, key=len, reverse=True) if key in refusal]
        named += [
            key for key in remaining if _refusal(side, {k: v for k, v in remaining.items() if k != key}) != refusal
        ]
        if not named:
            refused.append((f"kafka.{side}", refusal))
            break
        del remaining[named[0]]
        refused.append((f"kafka.{side}.{named[0]}", refusal))
    return refused


def _refusal(side: str, settings: Mapping[str, Any]) -> str:
    """What librdkafka says against these settings, on one line; empty when it takes them."""
    client = Producer if side == "producer" else Consumer
    try:
        # a password comes by file, and without any librdkafka would refuse the mechanism
        client({"group.id": "check", "log_level": 0, "sasl.password": "-", **settings})
    except KafkaException as error:
        return " ".join(error.args[0].str().split())
    return ""


if __name__ == "__main__":
    settings = json.load(sys.stdin)
    json.dump([refusal for side in ("producer", "consumer") for refusal in refusals(side, settings[side])], sys.stdout)
