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
from wsadapter.embedded.kafka.broker import NOT_COORDINATOR, NOT_RESTARTED, KafkaBroker
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
GROUPS_SECONDS: Final = 5.0
"""Between two questions to the group coordinator of a broker that is alone."""
UNSERVED_SECONDS: Final = 90.0
"""One that refuses for so long, loading, say, is started again; one that is no coordinator, where there is no other,
for `LOST_SECONDS`. Kafka (seen with 4.2.0; the code of 4.4.0 is the same there) may lose its coordinator when it was
killed: it leads, is fenced when the session of its former life is over, and leads again; what it then takes for the
end of the second reading of the group's log is that of the first ("the state machine of the coordinator is out of sync
with the underlying log"). Nothing is committed until it starts again, ended by SIGTERM this time: then there is no
former life."""
LOST_SECONDS: Final = 20.0


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
    is_patient = order is not None or NOT_RESTARTED in os.environ
    patience = LONGER_START_SECONDS if is_patient else START_SECONDS
    training = ArchiveTraining(installation, java)
    while lost := _run(child, broker, directory.lock_fd, training, patience):
        log.get_logger().error("Kafka is started again", reason=lost)
    training.give_up(child)
    return 0


def _run(child: Child, broker: KafkaBroker, lock_fd: int, training: ArchiveTraining, patience: float) -> str:
    """One life of the JVM; why there is to be another one, empty where the child is to stop."""
    _tell(child, "starting")
    program, lost = broker.start([lock_fd]), ""
    if _wait_ready(child, broker, program, patience):
        child.page["service_up"] = 1
        _tell(child, "")
        child.ready()
        log.get_logger().info("Kafka is up", address=f"{broker.host}:{broker.port}", jvm=program.pid)
        _settle(child, broker, program)
        lost = _watch(child, broker, program, training)
    child.page["service_up"] = 0
    grace = STOP_SECONDS if lost else min(STOP_SECONDS, child.deadline - time.monotonic() - 1.0)
    program.stop(child, max(0.0, grace))
    return "" if child.stopping else lost


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


def _watch(child: Child, broker: KafkaBroker, program: Program, training: ArchiveTraining) -> str:
    """Until the child is to stop, or the JVM has lost its group coordinator: why. An ended or hung one is an error."""
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
            error = broker.group_error()
            if error and broker.is_settled():  # of one that has had no group yet, it makes the group's topic
                error = 0
            asked = time.monotonic()
            served = asked if error == 0 else served
            if reason := lost_groups(error, asked - served):
                return reason
        if is_hung(probed - answered, os.environ):
            raise ServiceUnavailable(f"Kafka has not answered for {SILENT_SECONDS:.0f} s")
    return ""


def is_hung(silent_seconds: float, environ: Mapping[str, str]) -> bool:
    """Whether a broker that has not answered for so long is given up: not where nobody starts it again."""
    return silent_seconds > SILENT_SECONDS and NOT_RESTARTED not in environ


def lost_groups(error: int, unserved_seconds: float) -> str:
    """Why a broker that answers is started again when its group coordinator has refused, now with this error; empty:
    it is not."""
    patience = LOST_SECONDS if error == NOT_COORDINATOR else UNSERVED_SECONDS
    if unserved_seconds <= patience:
        return ""
    return f"its group coordinator has refused for {unserved_seconds:.0f} s (error {error}): no offset can be committed"


if __name__ == "__main__":
    run_child(main)
