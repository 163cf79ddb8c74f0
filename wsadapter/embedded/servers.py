"""Embedded services without a supervisor, for tests and benchmarks: the same children, started and killed at will.

    with KafkaServer(directory) as kafka:
        Producer({"bootstrap.servers": kafka.bootstrap})

A server keeps its port and its data from start to start. `start` returns when the service answers. The caller's
process is the child's supervisor: when it ends, so does the service. Nobody starts one again that ends by itself, so a
broker that is stopped, or slow on a machine that has too much to do, is waited for.
"""

import asyncio
import hashlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ClassVar, Final, Self, TypeVar

import msgspec
from msgspec import Raw, Struct, structs

from wsadapter.config.model import ClickHouseConfig, Config, KafkaConfig, ServiceConfig
from wsadapter.embedded.exchange.server import LoopbackVenue
from wsadapter.embedded.kafka.broker import NOT_RESTARTED
from wsadapter.embedded.kafka.cluster import SEVERAL, BrokerOrder, orders
from wsadapter.embedded.ports import LOOPBACK, free_port, free_ports
from wsadapter.errors import ServiceUnavailable
from wsadapter.metrics import SERVICE
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import ChildArgs, ChildState, arguments_fd

STOP_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = 20.0


T = TypeVar("T")


class ServiceProcess:
    """One embedded service as a child of this process."""

    start_seconds: ClassVar[float]

    def __init__(self, role: str, config: Config, order: Struct | None = None) -> None:
        self._role = role
        instance = config.service.instance
        page = f"wsadapter-{instance}-stats-{role}"
        Segment.unlink(page)  # of a caller that was killed
        self.page = StatsPage.create(page, SERVICE)
        self._notify = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._last_words = os.memfd_create("last words")
        self._args = ChildArgs(
            role, role, instance, config, page, order=Raw(msgspec.json.encode(order)),
            notify_fd=self._notify, last_words_fd=self._last_words,
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ValueError(f"{self._role} was not started")
        return self._process.pid

    @property
    def lifeline(self) -> IO[bytes] | None:
        """To be closed by a test that plays a supervisor's death."""
        return None if self._process is None else self._process.stdin

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, timeout: float = 0) -> Self:
        """Start and wait until it serves; `ServiceUnavailable` with its own reason when it does not."""
        return self.launch().await_running(timeout)

    def launch(self) -> Self:
        """Start, and do not wait."""
        self.page["state"] = ChildState.STARTING
        os.ftruncate(self._last_words, 0)
        arguments = arguments_fd(self._args)
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"wsadapter.embedded.{self._role}", str(arguments)],
            stdin=subprocess.PIPE,
            pass_fds=(self._notify, self._last_words, arguments),
            env={**os.environ, NOT_RESTARTED: "1"},
        )
        os.close(arguments)
        return self

    def await_running(self, timeout: float = 0) -> Self:
        self._wait_running(time.monotonic() + (timeout or self.start_seconds))
        return self

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Kill it if it runs, and take its stats page away."""
        self._end(signal.SIGKILL)
        self.page.release()
        Segment.unlink(self._args.page)
        os.close(self._notify)
        os.close(self._last_words)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _wait_running(self, deadline: float) -> None:
        ended = os.pidfd_open(self.pid)
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(self._notify, select.POLLIN)
        try:
            while self.page["state"] != ChildState.RUNNING:
                readable = [fd for fd, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)]
                if self._notify in readable:
                    os.eventfd_read(self._notify)
                elif ended in readable:
                    raise ServiceUnavailable(f"embedded {self._role} ended at its start: {self._reason()}")
                else:
                    self.kill()
                    raise ServiceUnavailable(f"embedded {self._role} was not ready in time")
        finally:
            os.close(ended)

    def _reason(self) -> str:
        reason = os.pread(self._last_words, 4096, 0).decode(errors="replace")
        return reason or f"exit code {self._end(signal.SIGKILL)}"

    def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            if process.stdin is not None:
                process.stdin.close()


class KafkaServer(ServiceProcess):
    """A broker over ``directory`` at `bootstrap`. `kill` ends the wrapper; the JVM dies with it."""

    start_seconds = 600.0
    """The first start on a machine fetches it."""

    def __init__(self, directory: Path, port: int | None = None, order: BrokerOrder | None = None) -> None:
        """``order``: where it is one of several (`KafkaCluster`)."""
        self.directory = directory
        self.bootstrap = order.brokers[order.number - 1] if order else f"{LOOPBACK}:{port or free_port()}"
        service = _service(directory, f"kafka-{order.number}" if order else "kafka", DRAIN_SECONDS)
        super().__init__("kafka", Config(service, kafka=KafkaConfig(bootstrap_servers=self.bootstrap)), order)


class KafkaCluster:
    """Three brokers over ``directory``, each a `KafkaServer` to be killed and started at will. ``settings``: further
    lines of the ``server.properties`` of a broker."""

    def __init__(self, directory: Path, settings: Callable[[BrokerOrder], dict[str, str]] = lambda order: {}) -> None:
        ports = free_ports(2 * SEVERAL)
        self.addresses = tuple(f"{LOOPBACK}:{port}" for port in ports[:SEVERAL])
        self.bootstrap = ",".join(self.addresses)
        self.brokers = {
            order.number: KafkaServer(directory, order=structs.replace(order, settings=settings(order)))
            for order in orders(self.bootstrap, ports[SEVERAL:], directory)
        }
        """By the number that Kafka knows them by, too."""

    def start(self) -> Self:
        """All at once: one alone is none."""
        for broker in self.brokers.values():
            broker.launch()
        for broker in self.brokers.values():
            broker.await_running()
        return self

    def close(self) -> None:
        for broker in self.brokers.values():
            broker.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class ClickHouseServer(ServiceProcess):
    """A ClickHouse engine over ``directory`` at `url`."""

    start_seconds = 60.0

    def __init__(
        self, directory: Path, port: int | None = None, drain_seconds: float = DRAIN_SECONDS, **settings: Any
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        service = _service(directory, "clickhouse", drain_seconds)
        super().__init__("clickhouse", Config(service, clickhouse=ClickHouseConfig(url=self.url, **settings)))


class VenueThread:
    """``with VenueThread(lambda: LoopbackVenue(Options(...))) as venue: ...``. Read plain attributes of
    ``venue.venue`` from anywhere; change things through `call`, which runs on the venue's loop."""

    def __init__(self, make: Callable[[], LoopbackVenue] = LoopbackVenue) -> None:
        self._make = make
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="venue", daemon=True)
        self._failed: BaseException | None = None
        self.venue: LoopbackVenue

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def call(self, ask: Callable[[LoopbackVenue], T]) -> T:
        """``ask(venue)`` on the venue's loop; its result."""

        async def request() -> T:
            return ask(self.venue)

        return asyncio.run_coroutine_threadsafe(request(), self._loop).result(10)

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            self.venue = self._make()
            await self.venue.start()
        except BaseException as error:
            self._failed = error
            raise
        finally:
            self._ready.set()
        await self._over.wait()
        await self.venue.stop()


def _service(directory: Path, role: str, drain_seconds: float) -> ServiceConfig:
    """An instance name that no other directory, role or test session has."""
    name = hashlib.sha1(f"{directory.resolve()}-{role}-{os.getpid()}".encode()).hexdigest()[:8]
    return ServiceConfig(name, str(directory.resolve()), "console", "warning", drain_seconds)
