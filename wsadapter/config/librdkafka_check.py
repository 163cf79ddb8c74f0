"""Asks librdkafka itself about the settings passed through to it, in a process of its own.

A misspelt key would else be found by a child, after the start. The other process keeps librdkafka's threads and memory
out of the supervisor, and costs nothing where nothing is passed through. Its program is `librdkafka_settings`.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from wsadapter.config.convert import Errors
from wsadapter.config.librdkafka import refusal

TIMEOUT_SECONDS: Final = 20.0


def ask(tables: Mapping[str, Mapping[str, Any]], errors: Errors) -> None:
    """``tables``: producer and consumer. Notes what librdkafka refuses, with its own words. What we refuse ourselves is
    left out: it may be a secret, and librdkafka quotes values."""
    tables = {side: {k: v for k, v in table.items() if not refusal(side, k)} for side, table in tables.items()}
    if not any(tables.values()):
        return
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "wsadapter.config.librdkafka_probe"],
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
