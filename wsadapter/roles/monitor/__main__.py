"""The monitor role: /metrics /livez /readyz /status and the status page over HTTP, from the stats pages alone; /docs/.

It asks no other process anything and can take nothing down with it: it maps pages read-only, and its server is
bounded. Only the page of stored candles has it ask ClickHouse (`wsadapter.roles.monitor.stored_charts`). Listens where
`monitor.listen` says, loopback by default. An address that cannot be had (another process has it, its interface is not
up) is said, counted and tried again until it can: WAITING, and nothing else waits for it.
"""

import asyncio
import errno
import time
from collections.abc import Callable
from http import HTTPStatus
from importlib import resources
from typing import Any, Final

import msgspec

from wsadapter import log
from wsadapter.config import types as config_types
from wsadapter.errors import ExitCode
from wsadapter.roles.monitor import documents, exposition, page, rings, snapshot, status
from wsadapter.roles.monitor.history import History
from wsadapter.roles.monitor.http_server import HttpServer, Response, Route, text
from wsadapter.roles.monitor.last_hour import LastHour
from wsadapter.roles.monitor.mapped import Mapped
from wsadapter.roles.monitor.rings import RingProgress
from wsadapter.roles.monitor.snapshot import Snapshot
from wsadapter.roles.monitor.stored_charts import StoredCharts
from wsadapter.roles.orders import MonitorOrder
from wsadapter.supervision.child import Child, ChildState, run_child

BEAT_SECONDS: Final = 1.0
OBSERVE_SECONDS: Final = 5.0
"""Between two looks that nobody asked for: somebody will ask since when it is not ready."""
LISTEN_AGAIN_SECONDS: Final = 2.0
SAY_AGAIN_SECONDS: Final = 60.0
JSON: Final = "application/json"
ICON: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1a7f37"/>'
    b'<path d="M2 9h3l2-5 3 9 2-4h2" fill="none" stroke="#fff" stroke-width="1.5"/></svg>'
)
PAGE_POLICY: Final = (
    # the page brings everything along and talks to its own origin only
    "default-src 'none'; connect-src 'self'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ASSETS: Final = {
    "/": ("status.html", "text/html; charset=utf-8"),
    "/status.css": ("status.css", "text/css; charset=utf-8"),
    "/status.js": ("status.js", "text/javascript; charset=utf-8"),
    "/stored": ("stored.html", "text/html; charset=utf-8"),
    "/stored.js": ("stored.js", "text/javascript; charset=utf-8"),
    "/uPlot.js": ("vendored/uPlot-1.6.32.iife.min.js", "text/javascript; charset=utf-8"),
    "/uPlot.css": ("vendored/uPlot-1.6.32.min.css", "text/css; charset=utf-8"),
}
"""The status page, and the page of stored candles."""


def routes(read: Callable[[], Snapshot], history: History, last_hour: LastHour) -> dict[str, Route]:
    render = exposition.exposition(read)

    def answer(content: Callable[[], Any]) -> Route:
        return lambda: Response(HTTPStatus.OK, JSON, msgspec.json.encode(content()))

    def ready() -> Response:
        found = read()
        reasons = status.not_ready(found)
        history.observe(found, reasons)
        code = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return Response(code, JSON, msgspec.json.encode({"ready": not reasons, "reasons": reasons}))

    return {
        **{path: _asset(name, content_type) for path, (name, content_type) in ASSETS.items()},
        **{f"/docs/{name}": _document(*made) for name, made in documents.documents(documents.directory()).items()},
        "/metrics": lambda: Response(HTTPStatus.OK, exposition.CONTENT_TYPE, render()),
        "/livez": lambda: text(HTTPStatus.OK, "ok"),
        "/healthz": lambda: text(HTTPStatus.OK, "ok"),
        "/favicon.ico": lambda: Response(HTTPStatus.OK, "image/svg+xml", ICON),
        "/readyz": ready,
        "/status": answer(lambda: status.status(read(), history)),
        "/status/now": answer(lambda: page.now(read(), history)),
        "/status/subscriptions": answer(lambda: page.subscriptions(read())),
        "/status/hour": answer(last_hour.told),
    }


def _asset(name: str, content_type: str) -> Route:
    body = resources.files("wsadapter.roles.monitor").joinpath(name).read_bytes()
    response = Response(HTTPStatus.OK, content_type, body, (("Content-Security-Policy", PAGE_POLICY),))
    return lambda: response


def _document(content_type: str, body: Callable[[], bytes]) -> Route:
    return lambda: Response(HTTPStatus.OK, content_type, body(), (("Content-Security-Policy", PAGE_POLICY),))


class Listener:
    """Takes the address as soon as it can be had."""

    def __init__(self, server: HttpServer, child: Child) -> None:
        self._server, self._child = server, child
        self._said = log.Repeated(SAY_AGAIN_SECONDS)
        self._again_at = 0.0
        self._listening = False

    async def listen(self) -> None:
        """To be called once a beat."""
        if self._listening or time.monotonic() < self._again_at:
            return
        listen = self._child.args.config.monitor.listen
        host, port = config_types.address(listen)
        try:
            await self._server.start(host, port)
        except OSError as error:
            self._again_at = time.monotonic() + LISTEN_AGAIN_SECONDS
            self._child.set_state(ChildState.WAITING)
            self._child.page["listen_failures_total"] += 1
            if (repeated := self._said(error.errno)) is not None:
                reason = "another process has the address" if error.errno == errno.EADDRINUSE else error.strerror
                log.get_logger().error(
                    "monitor.listen cannot be had, trying again; what is recorded does not wait for it",
                    listen=listen, reason=reason, again_seconds=LISTEN_AGAIN_SECONDS, repeated=repeated,
                )  # fmt: skip
            return
        self._listening = True
        if not config_types.loopback(host):
            log.get_logger().warning("reachable from other machines, without a password", listen=listen)
        log.get_logger().info("serving", listen=listen)
        self._child.ready()


async def serve(child: Child) -> None:
    config = child.args.config
    watched = child.order(MonitorOrder)
    progress, history, last_hour, mapped = RingProgress(), History(), LastHour(), Mapped()

    def read() -> Snapshot:
        return snapshot.read(config, watched, progress, mapped)

    server = HttpServer(routes(read, history, last_hour), questions=StoredCharts(config.clickhouse).questions())
    listener = Listener(server, child)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def on_stop() -> None:
        if child.stopping:
            stopped.set()

    loop.add_reader(child.stop_fd, on_stop)
    observe_at = 0.0
    while not stopped.is_set():
        await listener.listen()
        child.beat()
        if time.monotonic() >= observe_at:
            observe_at = time.monotonic() + OBSERVE_SECONDS
            found = read()
            history.observe(found, status.not_ready(found))
            last_hour.observe(found)
        else:
            progress.observe(rings.read(watched.rings, mapped), time.monotonic_ns())
        child.page["requests_total"] = server.requests
        try:
            async with asyncio.timeout(BEAT_SECONDS):
                await stopped.wait()
        except TimeoutError:
            continue
    loop.remove_reader(child.stop_fd)
    await server.stop()
    mapped.release()


def main(child: Child) -> int:
    asyncio.run(serve(child))
    return ExitCode.OK


if __name__ == "__main__":
    run_child(main)
