"""The broker and the ClickHouse engine of a benchmark run: the embedded ones, or addresses that were given."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.processes import PREFIX, BenchFailed
from wsadapter.config.model import Config, KafkaConfig, ServiceConfig, SpoolConfig
from wsadapter.embedded.servers import ClickHouseServer, KafkaServer
from wsadapter.errors import WsadapterError
from wsadapter.kafka.topics import ensure_topics

PARTITIONS: Final = 4


class Services:
    """``kafka`` is a bootstrap address, ``clickhouse`` a URL; empty: start one in ``directory`` when first asked."""

    def __init__(self, directory: Path, kafka: str, clickhouse: str) -> None:
        self._directory, self._bootstrap, self._url = directory, kafka, clickhouse
        self._servers: list[KafkaServer | ClickHouseServer] = []
        self._prefixes = 0

    @property
    def bootstrap(self) -> str:
        if not self._bootstrap:
            server = KafkaServer(self._directory / "kafka")
            self._servers.append(server)
            self._bootstrap = self._start(server).bootstrap
        return self._bootstrap

    @property
    def url(self) -> str:
        if not self._url:
            server = ClickHouseServer(self._directory / "clickhouse")
            self._servers.append(server)
            self._url = self._start(server).url
        return self._url

    def start(self, say: Callable[[str], None]) -> None:
        """Both of them, if they are not there yet; before that nothing of them disturbs a measurement."""
        if not (self._bootstrap and self._url):
            say("broker and ClickHouse start ...")
            say(f"broker: {self.bootstrap}, ClickHouse: {self.url}")

    def prefix(self) -> str:
        """A topic prefix (and database name) that nobody had before."""
        self._prefixes += 1
        return f"{PREFIX}x{self._prefixes}"

    def topics(self, prefix: str) -> KafkaConfig:
        """The product's topics under a prefix, made now: nobody waits for them later."""
        kafka = KafkaConfig(self.bootstrap, f"{prefix}.", PARTITIONS)
        ensure_topics(kafka, 20.0)
        return kafka

    def plain_topics(self, names: Iterable[str]) -> None:
        """Topics of the yardsticks, which rely on a broker that makes them."""
        admin = self._admin()
        there = admin.list_topics(timeout=20).topics
        wanted = [NewTopic(name, PARTITIONS, 1) for name in names if name not in there]
        for future in (admin.create_topics(wanted) if wanted else {}).values():
            future.result(20)

    def drop_topics(self, prefix: str) -> None:
        """Keep the disk small; the broker takes its time for it."""
        admin = self._admin()
        names = [name for name in admin.list_topics(timeout=20).topics if name.startswith(prefix)]
        for future in (admin.delete_topics(names) if names else {}).values():
            future.result(20)

    def close(self) -> None:
        for server in self._servers:
            server.close()

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap})

    def _start(self, server: Any) -> Any:
        try:
            return server.start()
        except WsadapterError as error:
            raise BenchFailed(str(error)) from None


def config(name: str, directory: Path, kafka: KafkaConfig, **sections: Any) -> Config:
    """The configuration of one role alone, with a spool that nobody had before."""
    service = ServiceConfig(f"{PREFIX}-{name}", str(directory), "console", "warning")
    spool = SpoolConfig(str(directory / f"spool-{name}-{time.monotonic_ns()}"))
    return Config(service, kafka=kafka, spool=spool, **sections)
