"""The monitor role: /metrics /livez /readyz /status and the status page over HTTP, from the stats pages alone.

It asks no other process anything and can take nothing down with it: it maps pages read-only, and its server is
bounded. Listens where `monitor.listen` says, loopback by default; an address that is taken ends it with a clear error.
"""

import asyncio
import errno
import time
from collections.abc import Callable
from http import HTTPStatus
from importlib import resources
from typing import Final

import msgspec

from wsadapter import log
from wsadapter.config import types as config_types
from wsadapter.errors import ExitCode, ServiceUnavailable
from wsadapter.roles.monitor import exposition, rings, snapshot, status
from wsadapter.roles.monitor.http_server import HttpServer, Response, Route, text
from wsadapter.roles.monitor.rings import RingProgress
from wsadapter.roles.monitor.snapshot import Snapshot
from wsadapter.roles.orders import MonitorOrder
from wsadapter.supervision.child import Child, run_child

BEAT_SECONDS: Final = 1.0
JSON: Final = "application/json"
PAGE_POLICY: Final = (
    # the page brings everything along and talks to its own origin only
    "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def routes(read: Callable[[], Snapshot]) -> dict[str, Route]:
    render = exposition.exposition(read)
    page = resources.files("wsadapter.roles.monitor").joinpath("status.html").read_bytes()
    html = Response(HTTPStatus.OK, "text/html; charset=utf-8", page, (("Content-Security-Policy", PAGE_POLICY),))

    def ready() -> Response:
        reasons = status.not_ready(read())
        code = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return Response(code, JSON, msgspec.json.encode({"ready": not reasons, "reasons": reasons}))

    return {
        "/": lambda: html,
        "/metrics": lambda: Response(HTTPStatus.OK, exposition.CONTENT_TYPE, render()),
        "/livez": lambda: text(HTTPStatus.OK, "ok"),
        "/readyz": ready,
        "/status": lambda: Response(HTTPStatus.OK, JSON, msgspec.json.encode(status.status(read()))),
    }


async def serve(child: Child) -> None:
    config = child.args.config
    watched = child.order(MonitorOrder)
    host, port = config_types.address(config.monitor.listen)
    progress = RingProgress()
    server = HttpServer(routes(lambda: snapshot.read(config, watched, progress)))
    try:
        await server.start(host, port)
    except OSError as error:
        reason = "the address is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise ServiceUnavailable(f"monitor.listen {config.monitor.listen}: {reason}") from None
    if not config_types.loopback(host):
        log.get_logger().warning("reachable from other machines, without a password", listen=config.monitor.listen)
    log.get_logger().info("serving", listen=config.monitor.listen)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def on_stop() -> None:
        if child.stopping:
            stopped.set()

    loop.add_reader(child.stop_fd, on_stop)
    child.ready()
    while not stopped.is_set():
        child.beat()
        progress.observe(rings.read(watched.rings), time.monotonic_ns())
        child.page["requests_total"] = server.requests
        try:
            async with asyncio.timeout(BEAT_SECONDS):
                await stopped.wait()
        except TimeoutError:
            continue
    loop.remove_reader(child.stop_fd)
    await server.stop()


def main(child: Child) -> int:
    asyncio.run(serve(child))
    return ExitCode.OK


if __name__ == "__main__":
    run_child(main)
