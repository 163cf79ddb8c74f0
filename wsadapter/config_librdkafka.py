"""Asks librdkafka itself about the settings passed through to it, in a process of its own.

A misspelt key would else be found by a child, after the start. The other process keeps librdkafka's threads and memory
out of the supervisor, and costs nothing where nothing is passed through. It makes clients without any broker address
and throws them away: nothing is contacted.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from wsadapter.config_kafka import refusal
from wsadapter.config_tables import Errors

TIMEOUT_SECONDS: Final = 20.0


def ask(tables: Mapping[str, Mapping[str, Any]], errors: Errors) -> None:
    """``tables``: producer and consumer. Notes what librdkafka refuses, with its own words. What we refuse ourselves is
    left out: it may be a secret, and librdkafka quotes values."""
    tables = {side: {k: v for k, v in table.items() if not refusal(side, k)} for side, table in tables.items()}
    if not any(tables.values()):
        return
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "wsadapter.config_librdkafka"],
            input=json.dumps(tables).encode(),
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        errors.add("kafka", "librdkafka could not be asked about [kafka.producer] and [kafka.consumer]")
        return
    for path, message in json.loads(answer.stdout):
        errors.add(path, message)


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
    from confluent_kafka import Consumer, KafkaException, Producer

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
