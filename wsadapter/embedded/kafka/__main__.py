"""The role ``kafka``: a real Apache Kafka at ``kafka.bootstrap_servers``, for `--embedded` and tests; alone, or one of
three brokers (its order is a `BrokerOrder` then).

This process is the JVM's parent: it fetches the jars, formats the data directory (``state_dir/kafka``; of several
``kafka-1`` and so on), starts the JVM and watches it. The JVM never outlives it; when the JVM ends, so does this
process, with an error. Without Java or Maven librdkafka's in-memory mock broker takes the place of a single broker and
says so (`wsadapter.embedded.kafka.mock_broker`); several need the real one.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wsadapter import log
from wsadapter.embedded.data_directory import DataDirectory, stays
from wsadapter.embedded.kafka.broker import NOT_RESTARTED, KafkaBroker
from wsadapter.embedded.kafka.class_archive import ArchiveTraining
from wsadapter.embedded.kafka.cluster import BrokerOrder, directory_name
from wsadapter.embedded.kafka.install import Installation, find_java, find_maven, missing
from wsadapter.embedded.kafka.program import BEAT_SECONDS, Program
from wsadapter.embedded.ports import bootstrap_address, listen
from wsadapter.errors import ServiceUnavailable
from wsadapter.metrics import SERVICE_STAGES
from wsadapter.supervision.child import Child, run_child

LOCK_SECONDS: Final = 15.0
"""A killed wrapper's JVM is gone within milliseconds; what holds the directory longer is another instance."""
START_SECONDS: Final = 90.0
LONGER_START_SECONDS: Final = 240.0
"""One of several, which waits for another that starts beside it, is not to blame; nor is one on a machine that has too
much to do, where nobody would start it again."""
PROBE_SECONDS: Final = 0.05
SETTLE_SECONDS: Final = 3.0
"""A broker that answers is asked for so long until groups and producers are served, too."""
STOP_SECONDS: Final = 5.0
WATCH_SECONDS: Final = 2.0
SILENT_SECONDS: Final = 30.0
"""A broker that answers nothing for so long is hung: end, and be started again."""
GROUPS_SECONDS: Final = 10.0
"""Between two questions to the group coordinator of a broker that is alone."""
UNSERVED_SECONDS: Final = 90.0
"""One that refuses for so long has lost its state, which Kafka 4.2 may do when it was killed under load ("the state
machine of the coordinator is out of sync with the underlying log"): nothing is committed until it starts again."""


def main(child: Child) -> int:
    order = child.order(BrokerOrder | None)  # type: ignore[arg-type]  # a union is no type
    number, brokers = (order.number, order.brokers) if order else (1, (child.args.config.kafka.bootstrap_servers,))
    host, port = bootstrap_address(brokers[number - 1])
    installation = Installation(os.environ)
    if reason := missing(os.environ, installation):
        if order:
            raise ServiceUnavailable(f"{len(brokers)} brokers need the real Kafka, which cannot run here: {reason}")
        # imported only here: the client library costs 0.3 s and 30 MB, and the real broker needs none of it
        from wsadapter.embedded.kafka import mock_broker as kafka_mock

        return kafka_mock.serve(child, host, port, reason)
    java = find_java(os.environ) or ""
    if not _install(child, installation):
        return 0
    name = directory_name(number, len(brokers))
    directory = DataDirectory(Path(child.args.config.service.state_dir) / name)
    if not directory.lock(child, LOCK_SECONDS):
        return 0
    listen(host, port, "Kafka").close()  # a port that is taken: said here in one line, not by the JVM in forty
    broker = KafkaBroker(installation, java, directory.path, host, port, order)
    _tell(child, "preparing")
    if not broker.format(child):
        return 0
    _tell(child, "starting")
    program = broker.start([directory.lock_fd])
    is_patient = order is not None or NOT_RESTARTED in os.environ
    if _wait_ready(child, broker, program, LONGER_START_SECONDS if is_patient else START_SECONDS):
        child.page["service_up"] = 1
        _tell(child, "")
        child.ready()
        log.get_logger().info("Kafka is up", address=f"{host}:{port}", jvm=program.pid)
        _settle(child, broker, program)
        training = ArchiveTraining(installation, java)
        _watch(child, broker, program, training)
        training.give_up(child)
    child.page["service_up"] = 0
    grace = min(STOP_SECONDS, child.deadline - time.monotonic() - 1.0)
    program.stop(child, max(0.0, grace))
    return 0


def _install(child: Child, installation: Installation) -> bool:
    if installation.jars.is_dir():
        return not child.stopping
    _tell(child, "fetching")
    lock = installation.lock(child)
    if lock < 0:
        return False
    try:
        if not installation.jars.is_dir():
            installation.fetch(child, find_maven() or "", lambda percent: _tell(child, "fetching", percent))
    finally:
        os.close(lock)
    return not child.stopping


def _tell(child: Child, stage: str, percent: int = 0) -> None:
    """What it does before it serves, for those who wait."""
    child.page["stage"] = SERVICE_STAGES.index(stage)
    child.page["stage_percent"] = percent


def _wait_ready(child: Child, broker: KafkaBroker, program: Program, patience: float) -> bool:
    """Ask until the broker answers; False when the child is to stop first."""
    deadline = time.monotonic() + patience
    while not broker.answers():
        child.beat()
        if program.fd in child.wait([program.fd], PROBE_SECONDS):
            raise ServiceUnavailable(f"Kafka did not start: {program.describe()}")
        if child.stopping:
            return False
        if time.monotonic() > deadline:
            raise ServiceUnavailable(f"Kafka does not answer {patience:.0f} s after its start")
    return not child.stopping


def _settle(child: Child, broker: KafkaBroker, program: Program) -> None:
    """Ask for what a new broker makes when it is asked for the first time, beside the topics that its clients make."""
    settled_by = time.monotonic() + SETTLE_SECONDS
    while not broker.is_settled() and time.monotonic() < settled_by and not child.stopping:
        child.beat()
        child.wait([program.fd], PROBE_SECONDS)


def _watch(child: Child, broker: KafkaBroker, program: Program, training: ArchiveTraining) -> None:
    """Until the child is to stop; an ended or hung JVM is an error."""
    answered = probed = served = asked = time.monotonic()
    while stays(child, STOP_SECONDS):
        child.beat()
        if program.fd in child.wait([program.fd], BEAT_SECONDS):
            raise ServiceUnavailable(f"Kafka ended: {program.describe()}")
        training.step(child)
        now = time.monotonic()
        if now - probed < WATCH_SECONDS:
            continue
        up = broker.answers()
        child.page["service_up"] = int(up)
        probed = time.monotonic()
        answered = probed if up else answered
        if not up or not broker.is_alone:
            served = asked = probed
        elif probed - asked > GROUPS_SECONDS:
            asked = probed
            served = asked if broker.serves_groups() else served
        if reason := given_up(probed - answered, asked - served, os.environ):
            raise ServiceUnavailable(reason)


def given_up(silent_seconds: float, unserved_seconds: float, environ: Mapping[str, str]) -> str:
    """Why a broker that has not answered, or served groups, for so long is given up; empty: it is not."""
    if NOT_RESTARTED in environ:
        return ""
    if silent_seconds > SILENT_SECONDS:
        return f"Kafka has not answered for {SILENT_SECONDS:.0f} s"
    if unserved_seconds > UNSERVED_SECONDS:
        return f"Kafka's group coordinator has refused for {UNSERVED_SECONDS:.0f} s: no offset can be committed"
    return ""


if __name__ == "__main__":
    run_child(main)
