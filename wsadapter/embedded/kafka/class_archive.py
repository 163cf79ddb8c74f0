"""Make the JVM's class data archive: run a broker once in a scratch directory and let it write down what it loaded.

Costs about ten seconds after the jars were fetched, then saves a third of every start. Nothing depends on it: when it
fails, an empty archive says so and the broker starts without.
"""

import os
import shutil
import time
from pathlib import Path
from typing import Final

from wsadapter import log
from wsadapter.embedded.kafka.broker import KafkaBroker
from wsadapter.embedded.kafka.install import Installation
from wsadapter.embedded.ports import LOOPBACK, free_port
from wsadapter.supervision.child import Child

START_SECONDS: Final = 60.0
DUMP_SECONDS: Final = 60.0
PROBE_SECONDS: Final = 0.1


def make_archive(child: Child, installation: Installation, java: str) -> None:
    """Write ``installation.archive``; the caller holds the installation's lock."""
    unfinished = installation.archive.with_suffix(".unfinished")
    scratch = installation.directory / "training"
    shutil.rmtree(scratch, ignore_errors=True)  # of one that was killed
    scratch.mkdir(mode=0o700)
    started = time.monotonic()
    try:
        made = _train(child, KafkaBroker(installation, java, scratch, LOOPBACK, free_port()), unfinished)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if child.stopping:
        return  # the next start tries again
    if not made:
        unfinished.write_bytes(b"")
    os.rename(unfinished, installation.archive)
    log.get_logger().info("class data archive", made=made, seconds=round(time.monotonic() - started, 1))


def _train(child: Child, broker: KafkaBroker, archive: Path) -> bool:
    archive.unlink(missing_ok=True)
    if not broker.format(child):
        return False
    program = broker.start(jvm=(f"-XX:ArchiveClassesAtExit={archive}",))
    deadline = time.monotonic() + START_SECONDS
    while not child.stopping and time.monotonic() < deadline:
        child.beat()
        if child.wait([program.fd], PROBE_SECONDS) or broker.answers():
            break
    program.stop(child, 0.0 if child.stopping else DUMP_SECONDS)
    return archive.exists() and not child.stopping
