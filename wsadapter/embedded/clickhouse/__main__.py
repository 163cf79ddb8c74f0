"""The role ``clickhouse``: the ClickHouse engine (chDB) at ``clickhouse.url``, for `--embedded` and tests.

Data under ``state_dir/clickhouse``, written by one process at a time: an flock refuses a second one at once and names
the holder. The main loop accepts connections, beats and asks the engine every few seconds, so a hung engine stops the
heartbeat. At the end running requests get their answer, then the engine is closed; kill -9 loses nothing answered.
"""

import contextlib
import os
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from wsadapter import log
from wsadapter.config import secrets
from wsadapter.embedded.clickhouse.connections import Connections
from wsadapter.embedded.clickhouse.engine import Engine
from wsadapter.embedded.clickhouse.http import Handler, HttpEndpoint
from wsadapter.embedded.data_directory import DataDirectory, stays
from wsadapter.embedded.ports import http_address, listen
from wsadapter.errors import ExitCode
from wsadapter.supervision.child import Child, run_child

LOCK_SECONDS: Final = 1.0
CHECK_SECONDS: Final = 5.0
STOP_SECONDS: Final = 4.0
CANCEL_SECONDS: Final = 2.0
"""Before the deadline: what runs then is cancelled."""
BEAT_SECONDS: Final = 0.5


def main(child: Child) -> int:
    settings = child.args.config.clickhouse
    host, port = http_address(settings.url)
    directory = DataDirectory(Path(child.args.config.service.state_dir) / "clickhouse")
    if not directory.lock(child, LOCK_SECONDS):
        return 0
    password = secrets.password(settings.password, settings.password_file, "clickhouse.password_file")
    with listen(host, port, "ClickHouse") as listener:
        engine = Engine(directory.path / "data")
        connections = Connections()
        child.page["service_up"] = 1
        child.ready()
        log.get_logger().info("ClickHouse is up", url=settings.url, version=engine.version)
        _serve(child, listener, HttpEndpoint(engine, connections, password))
    child.page["service_up"] = 0
    if not connections.close(child.deadline - time.monotonic() - CANCEL_SECONDS):
        log.get_logger().warning("requests still running near the deadline are cancelled")
        engine.cancel()
        if not connections.close(child.deadline - time.monotonic() - 0.5):
            log.close()
            os._exit(ExitCode.OK)  # neither engine nor interpreter ends well under a running query; the data is safe
    engine.close()
    return 0


def _serve(child: Child, listener: socket.socket, endpoint: HttpEndpoint) -> None:
    listener.setblocking(False)
    # http.server wants a server of its own kind, of which its handler uses nothing but what ours looks up
    handler = partial(Handler, server=cast(Any, endpoint))
    checked = time.monotonic()
    while stays(child, STOP_SECONDS):
        child.beat()
        if child.wait([listener.fileno()], BEAT_SECONDS):
            with contextlib.suppress(BlockingIOError, ConnectionError):  # a client that changed its mind
                connection, peer = listener.accept()
                endpoint.connections.serve(connection, peer, handler)
        child.page["queries_total"] = endpoint.connections.requests
        if time.monotonic() - checked > CHECK_SECONDS:
            endpoint.engine.check()
            checked = time.monotonic()


if __name__ == "__main__":
    run_child(main)
