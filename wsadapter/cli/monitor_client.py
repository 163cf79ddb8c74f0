"""The asking side of /status: where a configuration's monitor is, and what it says."""

import json
import urllib.request
from typing import Final

from wsadapter.audit.conservation import Status
from wsadapter.config import types as config_types
from wsadapter.config.model import Config
from wsadapter.errors import ServiceUnavailable

TIMEOUT_SECONDS: Final = 5.0
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024


def address(config: Config) -> str:
    """The monitor's URL; one that listens everywhere is asked on loopback."""
    host, port = config_types.address(config.monitor.listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def fetch(url: str) -> Status:
    """The answer of /status; `ServiceUnavailable` when there is none."""
    try:
        # an empty handler: a proxy of the environment has no business with a monitor
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/status", timeout=TIMEOUT_SECONDS) as answer:
            status = json.loads(answer.read(MAX_ANSWER_BYTES))
    except (OSError, ValueError) as error:  # URLError is an OSError, JSONDecodeError a ValueError
        reason = getattr(error, "reason", None) or error
        raise ServiceUnavailable(f"no monitor answers at {url} (is it running?): {reason}") from None
    if not isinstance(status, dict) or not {"children", "totals", "flow"} <= status.keys():
        raise ServiceUnavailable(f"what answers at {url} is no monitor of this version of wsadapter")
    return status
