"""Runs a real `Supervisor` over fake children, as the scenario file in argv[1] says. The process under test."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from wsadapter import log
from wsadapter.config.model import Config, RestartConfig, ServiceConfig
from wsadapter.errors import ConfigError, WsadapterError
from wsadapter.metrics import CHILD
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.instance import Instance
from wsadapter.supervision.process import ChildSpec
from wsadapter.supervision.spawn import ForkServer
from wsadapter.supervision.supervisor import Application, Children, Supervisor


class FakeChild(Struct, frozen=True):
    name: str
    group: int = 10
    options: dict[str, Any] = {}
    restart: str = "permanent"
    essential: bool = True
    drains: bool = False
    start_deadline: float = 20.0
    heartbeat_deadline: float = 10.0
    pass_fds: tuple[int, ...] = ()
    takes_orders: bool = False


class Scenario(Struct, frozen=True):
    state_dir: str
    instance: str
    events: str
    children: tuple[FakeChild, ...]
    drain: float = 10.0
    restart: RestartConfig = RestartConfig(backoff_min=0.05, backoff_max=0.5, intensity=50, period=60.0)
    loss: bool = False
    old_children_seconds: float = 15.0
    run_for: float | None = None
    forked: bool = True


def specs(scenario: Scenario) -> Children:
    return tuple(
        ChildSpec(
            name=fake.name,
            role=fake.name.partition("-")[0],
            module="fake_child",
            page_fields=(*CHILD, "done", f"done_{fake.options['number']}") if fake.takes_orders else CHILD,
            takes_orders=fake.takes_orders,
            stop_group=fake.group,
            restart=fake.restart,  # type: ignore[arg-type]  # a StrEnum, compared by value
            essential=fake.essential,
            drains=fake.drains,
            start_deadline=fake.start_deadline,
            heartbeat_deadline=fake.heartbeat_deadline,
            pass_fds=fake.pass_fds,
            order={"events": scenario.events, **fake.options},
        )
        for fake in scenario.children
    )


def read(path: str) -> Scenario:
    with open(path, "rb") as file:
        return msgspec.json.decode(file.read(), type=Scenario)


def config_of(scenario: Scenario) -> Config:
    service = ServiceConfig(instance=scenario.instance, state_dir=scenario.state_dir, drain_seconds=scenario.drain)
    return Config(service=service, restart=scenario.restart)


class Fake(Application):
    def __init__(self, path: str, scenario: Scenario) -> None:
        self._path, self._scenario = path, scenario
        self.ask: Callable[[Config], None] = lambda config: None

    def note(self, event: str) -> None:
        fd = os.open(self._scenario.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, f"supervisor {event} {os.getpid()}\n".encode())
        os.close(fd)

    def on_ready(self, stop: Callable[[], None]) -> None:
        self.note("ready")

    def on_beat(self, pages: Iterable[tuple[ChildSpec, StatsPage]]) -> None:
        """A file `.apply` has the children of the scenario applied, without a reload; one with text comes with one."""
        with contextlib.suppress(FileNotFoundError), open(self._path + ".apply") as file:
            os.unlink(self._path + ".apply")
            self.ask(config_of(self._scenario))
            if file.read():
                os.kill(os.getpid(), signal.SIGHUP)

    def apply(self, config: Config) -> tuple[Config, Children]:
        self.note("applied")
        return config, specs(read(self._path))

    def on_drained(self, deadline: float) -> None:
        self.note("drained")

    def has_lost(self) -> bool:
        return self._scenario.loss

    def reload(self) -> tuple[Config, Children]:
        self.note("reload-begin")
        with contextlib.suppress(FileNotFoundError), open(self._path + ".bad"):
            raise ConfigError([("feed[0].name", "is bad")])
        with contextlib.suppress(FileNotFoundError), open(self._path + ".broken"):
            raise IndexError("a defect of ours")
        changed = read(self._path)
        time.sleep(0.05)
        self.note("reload-end")
        return config_of(changed), specs(changed)


def main(path: str) -> int:
    scenario = read(path)
    config = config_of(scenario)
    log.setup("json", "info", role="supervisor", name="supervisor")
    try:
        instance = Instance.claim(scenario.state_dir, scenario.old_children_seconds)
    except WsadapterError as error:
        log.get_logger().critical("refused", reason=str(error))
        return int(error.exit_code)
    fake = Fake(path, scenario)
    fake.note("claimed")
    with contextlib.closing(ForkServer(())) as fork_server:
        supervisor = Supervisor(
            config, specs(scenario), instance, fake, run_for=scenario.run_for,
            fork_server=fork_server if scenario.forked else None,
        )  # fmt: skip
        fake.ask = supervisor.apply
        return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
