"""One Apache Kafka broker and controller in one JVM (KRaft), on loopback, with its data in one directory; alone, or one
of several (`wsadapter.embedded.kafka.cluster`).

Knows how to format the directory, start the JVM and ask whether the broker answers. Small on purpose: heap at most
384 MiB (of several 256 each), few threads, the quick compiler only, the serial collector.
"""

import base64
import os
import shutil
import socket
import struct
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wsadapter import files
from wsadapter.embedded.kafka.cluster import IDENTITY, BrokerOrder
from wsadapter.embedded.kafka.install import Installation
from wsadapter.embedded.kafka.program import Program
from wsadapter.embedded.ports import free_port
from wsadapter.errors import ServiceUnavailable
from wsadapter.supervision.child import Child

HEAP: Final = ("-Xms128m", "-Xmx384m")
HEAP_OF_SEVERAL: Final = ("-Xms64m", "-Xmx256m")
JVM: Final = (
    "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError",
    "-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr", "-Djava.awt.headless=true",
)  # fmt: skip

GROUP: Final = "wsadapter"
PROPERTIES: Final = """\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor={replicas}
offsets.topic.segment.bytes=16777216
# the shorter a read of the group's log, the sooner one ends that is of a lead which is over: see LOST_SECONDS
offsets.load.buffer.size=65536
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
default.replication.factor={replicas}
min.insync.replicas={in_sync}
# the others may start beside it, on a machine that is busy
initial.broker.registration.timeout.ms=240000
group.initial.rebalance.delay.ms=0
metadata.max.idle.interval.ms=5000
# what a start after kill -9 has to read again is one segment a partition at most
log.segment.bytes=134217728
log.index.size.max.bytes=1048576
# compaction of committed offsets only, so a small buffer; off, that topic would grow for ever
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=2
background.threads=2
num.replica.fetchers=1
num.recovery.threads.per.data.dir=1
"""
# A killed broker may register again when its last session is over: the default of 9 s is the whole restart. Of several
# the others take over then, and one that is slow must not count as dead.
ALONE: Final = """\
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
"""

# Every start warns of its own controller activation, and refuses one early request of its own.
LOGGING: Final = """\
status=error
appender.stderr.type=Console
appender.stderr.name=stderr
appender.stderr.target=SYSTEM_ERR
appender.stderr.layout.type=PatternLayout
appender.stderr.layout.pattern=kafka %p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.stderr.ref=stderr
logger.quorum.name=org.apache.kafka.controller.QuorumController
logger.quorum.level=error
logger.apis.name=kafka.server.ControllerApis
logger.apis.level=off
"""
# Of several, one that is away is told of by each of the others several times a second, and each request that is refused
# for want of replicas with a stack; two make the group's topic.
LOGGING_OF_SEVERAL: Final = """\
logger.network.name=org.apache.kafka.clients.NetworkClient
logger.network.level=error
logger.fetcher.name=kafka.server.ReplicaFetcherThread
logger.fetcher.level=error
logger.replicas.name=kafka.server.ReplicaManager
logger.replicas.level=off
logger.topics.name=kafka.server.DefaultAutoTopicCreationManager
logger.topics.level=error
"""

NOT_COORDINATOR: Final = 16
API_VERSIONS, FIND_COORDINATOR, DESCRIBE_GROUPS, INIT_PRODUCER_ID = 18, 10, 15, 22
_CORRELATION: Final = 1
_GROUP: Final = struct.pack(">h", len(GROUP)) + GROUP.encode()
_MOST_BYTES: Final = 65_536
"""Of an answer."""
NOT_RESTARTED: Final = "WSADAPTER_SERVICE_IS_NOT_RESTARTED"
"""In the environment of a service that no supervisor starts again (`wsadapter.embedded.servers`): to end because the
broker hangs would mend nothing."""


class KafkaBroker:
    """A broker over ``directory``; formatted at the first start, its cluster id kept."""

    def __init__(
        self,
        installation: Installation,
        java: str,
        directory: Path,
        host: str,
        port: int,
        order: BrokerOrder | None = None,
    ) -> None:
        """``order``: where it is one of several."""
        self._order = order or BrokerOrder(1, (f"{host}:{port}",), (free_port(),), _new_id())
        self._installation = installation
        self._java = java
        self._directory = directory
        self._properties = directory / "server.properties"
        self._data = directory / "data"
        self.host = host
        self.port = port

    def format(self, child: Child) -> bool:
        """Prepare a new data directory; False when the child is to stop first. Kafka's own tool does it once: what it
        made is kept beside the jars, and others begin with a copy under ids of their own."""
        self._properties.write_text(self.properties())
        (self._directory / "log4j2.properties").write_text(self.logging())
        if (self._data / IDENTITY).exists():
            return True
        if self._installation.formatted.is_dir():
            shutil.copytree(self._installation.formatted, self._data, dirs_exist_ok=True)
            self._write_identity()
            return True
        argv = self._java_argv(
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={self._order.cluster_id}",
            f"--config={self._properties}",
        )
        with open(self._directory / "format.log", "w+b") as output:
            code = Program.start(argv, cwd=self._installation.directory, output=output).watch(child)
            output.seek(0)
            text = output.read(65536).decode(errors="replace").strip()
        if code:
            raise ServiceUnavailable(f"Kafka cannot format {self._data}: {text[-1500:]}")
        if code is None:
            return False
        self._keep_formatted()
        return True

    def properties(self) -> str:
        """Of its ``server.properties``; what comes later counts."""
        order = self._order
        host = f"[{self.host}]" if ":" in self.host else self.host
        voters = ",".join(f"{number}@{host}:{port}" for number, port in enumerate(order.controllers, 1))
        text = PROPERTIES.format(
            host=host, port=self.port, controller=order.controllers[order.number - 1], data=self._data,
            number=order.number, voters=voters, replicas=order.replicas, in_sync=order.in_sync,
        )  # fmt: skip
        text += ALONE if order.replicas == 1 else ""
        return text + "".join(f"{name}={value}\n" for name, value in order.settings.items())

    def logging(self) -> str:
        return LOGGING if self._order.replicas == 1 else LOGGING + LOGGING_OF_SEVERAL

    def _write_identity(self) -> None:
        """Last, for without this file the directory counts as not formatted."""
        ids = f"cluster.id={self._order.cluster_id}\ndirectory.id={_new_id()}\nnode.id={self._order.number}"
        files.replace(self._data / IDENTITY, f"version=1\n{ids}\n".encode())

    def _keep_formatted(self) -> None:
        kept = self._installation.formatted
        unfinished = kept.with_name(f"{kept.name}.{os.getpid()}")
        try:
            shutil.copytree(self._data, unfinished, ignore=shutil.ignore_patterns(IDENTITY))
            os.rename(unfinished, kept)
        except OSError:  # another process was quicker, or the cache takes nothing: the next one formats, too
            shutil.rmtree(unfinished, ignore_errors=True)

    def start(self, inherited: Sequence[int] = (), jvm: tuple[str, ...] = ()) -> Program:
        """``inherited``: the lock of the directory, which the JVM then holds until it is gone."""
        argv = self._java_argv("kafka.Kafka", str(self._properties), jvm=jvm)
        return Program.start(argv, cwd=self._installation.directory, pass_fds=inherited)

    @property
    def is_alone(self) -> bool:
        return self._order.replicas == 1

    def answers(self, timeout: float = 1.0) -> bool:
        """Whether the broker replies to a request of Kafka's protocol."""
        return self._ask(API_VERSIONS, b"", timeout)[:2] == b"\0\0"

    def is_settled(self, timeout: float = 1.0) -> bool:
        """Whether groups have a coordinator that has read what it knows of them, and producers get their ids. A new
        broker begins with both when it is asked for the first time, and refuses until then: librdkafka would come back
        a second later."""
        found = self._ask(FIND_COORDINATOR, _GROUP, timeout)[:2] == b"\0\0"
        given = self._ask(INIT_PRODUCER_ID, struct.pack(">hi", -1, 60_000), timeout)[4:6] == b"\0\0"
        return found and self.group_error(timeout) == 0 and given

    def group_error(self, timeout: float = 1.0) -> int:
        """Why its group coordinator, the only one where it is alone, does not say what it knows of a group: Kafka's
        error code, 0 where it does, -1 where nobody answers."""
        code = self._ask(DESCRIBE_GROUPS, struct.pack(">i", 1) + _GROUP, timeout)[4:6]
        return int.from_bytes(code, "big", signed=True) if len(code) == 2 else -1

    def _ask(self, api: int, body: bytes, timeout: float) -> bytes:
        """The answer to a request of version 0, behind its correlation id; empty when there is none."""
        request = struct.pack(">hhih", api, 0, _CORRELATION, -1) + body
        try:
            with socket.create_connection((self.host, self.port), timeout) as connection:
                connection.sendall(struct.pack(">i", len(request)) + request)
                head = connection.recv(8, socket.MSG_WAITALL)
                if len(head) < 8 or head[4:] != struct.pack(">i", _CORRELATION):
                    return b""
                rest = int.from_bytes(head[:4], "big") - 4
                return connection.recv(max(0, min(rest, _MOST_BYTES)), socket.MSG_WAITALL)
        except OSError:
            return b""

    def _java_argv(self, main: str, *arguments: str, jvm: tuple[str, ...] = ()) -> list[str]:
        # An archive fits one class path, to the letter and in its order: relative to the installation, sorted.
        jars = sorted(name for name in os.listdir(self._installation.jars) if name.endswith(".jar"))
        archive = self._installation.archive
        if not jvm and archive.exists() and archive.stat().st_size:
            jvm = (f"-XX:SharedArchiveFile={archive}",)
        logging = f"-Dlog4j2.configurationFile={self._directory / 'log4j2.properties'}"
        path = ":".join(f"lib/{jar}" for jar in jars)
        heap = HEAP if self._order.replicas == 1 else HEAP_OF_SEVERAL
        return [self._java, *heap, *JVM, *jvm, logging, "-cp", path, main, *arguments]


def _new_id() -> str:
    """As Kafka writes its ids; one that begins with a dash would be an option to its tools."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text
