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
    found = []
    left = dict(settings)
    while said := _refusal(side, left):
        # by name; else (librdkafka names an alias) the one without which it says something else
        named = [key for key in sorted(left, key=len, reverse=True) if key in said]
        named += [key for key in left if _refusal(side, {k: v for k, v in left.items() if k != key}) != said]
        if not named:
            found.append((f"kafka.{side}", said))
            break
        del left[named[0]]
        found.append((f"kafka.{side}.{named[0]}", said))
    return found


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
    asked = json.load(sys.stdin)
    json.dump([said for side in ("producer", "consumer") for said in refusals(side, asked[side])], sys.stdout)
