"""A monitor process over hand-made stats pages and a ring: what the supervisor would have made."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from eventually import eventually
from msgspec import Raw

from wsadapter import metrics
from wsadapter.config.model import Config, Feed, MonitorConfig, ServiceConfig
from wsadapter.embedded.ports import free_port
from wsadapter.roles.orders import MonitorOrder, WatchedChild, WatchedRing, WatchedStream
from wsadapter.shm import ring
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import ChildArgs, arguments_fd

RUNNING = 2
ENDPOINTS = ("http://ch-1:8123", "http://ch-2:8123")
SUBSCRIPTIONS = ("btcusdt@aggTrade", "btcusdt@kline_1m")
CONNECTION = "binance-market-0"
CHILDREN = (
    ("ingest", CONNECTION, metrics.ingest(SUBSCRIPTIONS)),
    ("serializer", "serializer-0", metrics.serializer(["binance"])),
    ("consumer", "consumer-0", metrics.consumer(4, ENDPOINTS)),
    ("monitor", "monitor", metrics.MONITOR),
    ("exchange", "exchange", metrics.EXCHANGE),
)
SUPERVISOR = (
    *metrics.CHILD,
    *(f'child_up{{role="{role}",name="{name}"}}' for role, name, _ in CHILDREN),
    *(
        f'child_restarts_total{{role="{role}",name="{name}",reason="{reason}"}}'
        for role, name, _ in CHILDREN
        for reason in ("exit", "signal")
    ),
)


class Road:
    """The pages of a whole instance; everything is up unless a test says otherwise."""

    def __init__(self, state_dir: Path, subscriptions: Sequence[str] = SUBSCRIPTIONS) -> None:
        self.subscriptions = subscriptions
        self.instance = f"t{os.getpid()}x{time.monotonic_ns() % 10**9}"
        self.port = free_port()
        self.config = Config(
            service=ServiceConfig(self.instance, str(state_dir)),
            feed=(Feed("binance", "binance", ("BTCUSDT",)),),
            monitor=MonitorConfig(f"127.0.0.1:{self.port}"),
        )
        self.pages = {
            name: self._page(name, metrics.ingest(subscriptions) if role == "ingest" else fields)
            for role, name, fields in CHILDREN
        }
        self.supervisor = self._page("supervisor", SUPERVISOR)
        self.ring = f"wsadapter-{self.instance}-{CONNECTION}"
        ring.create(self.ring, 65_536, 7)
        self.everything_up()

    def page_name(self, name: str) -> str:
        return f"wsadapter-{self.instance}-stats-{name}"

    def _page(self, name: str, fields: Sequence[str]) -> StatsPage:
        return StatsPage.create(self.page_name(name), fields)

    def everything_up(self) -> None:
        for role, name, _ in CHILDREN:
            self.supervisor[f'child_up{{role="{role}",name="{name}"}}'] = 1
            self.pages[name]["pid"] = self.pages[name]["pid"] or os.getpid()  # the monitor's own stays
            self.pages[name]["state"] = RUNNING
            self.pages[name]["heartbeat_ns"] = time.monotonic_ns()
        ingest = self.pages[CONNECTION]
        ingest["connection_up"] = 1
        for name in self.subscriptions:
            ingest[f'stream_state{{stream="{name}"}}'] = 1
        self.pages["serializer-0"]["broker_up"] = 1
        self.pages["serializer-0"]["broker_refusal"] = self.pages["serializer-0"]["broker_reason"] = 0
        self.pages["consumer-0"]["broker_up"] = 1
        self.pages["consumer-0"]["clickhouse_up"] = 1
        self.pages["consumer-0"]["broker_refusal"] = 0
        for number, url in enumerate(ENDPOINTS):
            labels = f'{{endpoint="{metrics.host_label(url)}"}}'
            self.pages["consumer-0"][f"clickhouse_endpoint_in_use{labels}"] = int(number == 0)
            self.pages["consumer-0"][f"clickhouse_endpoint_up{labels}"] = 1
            self.pages["consumer-0"][f"clickhouse_endpoint_reason{labels}"] = 0
        self.pages["consumer-0"]["broker_reason"] = self.pages["consumer-0"]["clickhouse_reason"] = 0

    def order(self) -> MonitorOrder:
        children = tuple(
            WatchedChild(role, name, self.page_name(name), "binance", tuple(map(_about, self.subscriptions)))
            if role == "ingest"
            else WatchedChild(role, name, self.page_name(name))
            for role, name, _ in CHILDREN
        )
        return MonitorOrder(os.getpid(), children, (WatchedRing(CONNECTION, self.ring),))

    def args(self) -> ChildArgs:
        args = ChildArgs("monitor", "monitor", self.instance, self.config, self.page_name("monitor"))
        return msgspec.structs.replace(args, order=Raw(msgspec.json.encode(self.order())))

    def remove(self) -> None:
        for page in (*self.pages.values(), self.supervisor):
            page.release()
            Segment.unlink(page.name)
        Segment.unlink(self.ring)


def _about(subscription: str) -> WatchedStream:
    symbol, _, channel = subscription.partition("@")
    return WatchedStream(subscription, channel, symbol.upper(), "binance")


@contextmanager
def road(state_dir: Path, subscriptions: Sequence[str] = SUBSCRIPTIONS) -> Iterator[Road]:
    made = Road(state_dir, subscriptions)
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def monitor(made: Road) -> Iterator[subprocess.Popen[bytes]]:
    """The monitor as the supervisor starts it, answering."""
    process = start(made)
    try:
        eventually(lambda: answers(made.port) or process.poll() is not None, message="the monitor answers")
        yield process
    finally:
        stop(process)


def start(made: Road) -> subprocess.Popen[bytes]:
    arguments = arguments_fd(made.args())
    process = subprocess.Popen(
        [sys.executable, "-m", "wsadapter.roles.monitor", str(arguments)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[arguments],
    )
    os.close(arguments)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """Close the lifeline, as a supervisor that dies does."""
    assert process.stdin is not None
    assert process.stderr is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(timeout=60)
    finally:
        process.kill()
        process.stderr.close()


def answers(port: int) -> bool:
    with suppress(OSError):
        return get(port, "/livez")[0] == 200
    return False


def get(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def get_json(port: int, path: str) -> tuple[int, Any]:
    status, _, body = get(port, path)
    return status, json.loads(body)
