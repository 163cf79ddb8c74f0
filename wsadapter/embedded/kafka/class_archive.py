"""Make the JVM's class data archive: run a broker once in a scratch directory and let it write down what it loaded.

It saves a third of every later start and costs ten seconds of a processor, so it waits until the broker that a run
needs is up, runs beside it with the least priority, and is given up when the run ends: then the next one makes it.
Nothing depends on it: where the JVM cannot make it, an empty archive says so and brokers start without.
"""

import os
import shutil
import time
from typing import Final

from wsadapter import log
from wsadapter.embedded.kafka.broker import KafkaBroker
from wsadapter.embedded.kafka.install import Installation
from wsadapter.embedded.kafka.program import Program
from wsadapter.embedded.ports import LOOPBACK, free_port
from wsadapter.errors import ServiceUnavailable
from wsadapter.supervision.child import Child

BEGIN_SECONDS: Final = 15.0
"""After the broker that is needed: until then a run has enough to do."""
LIMIT_SECONDS: Final = 300.0
NICE: Final = 19
PROBE_SECONDS: Final = 0.2


class ArchiveTraining:
    """What is to be done about the archive, a step at a time; `step` never waits for more than an answer."""

    def __init__(self, installation: Installation, java: str, begin_seconds: float = BEGIN_SECONDS) -> None:
        self._installation, self._java = installation, java
        self._begin_at = time.monotonic() + begin_seconds
        self._scratch = installation.directory / "training"
        self._unfinished = installation.archive.with_suffix(".unfinished")
        self._lock = -1
        self._program: Program | None = None
        self._broker: KafkaBroker
        self._is_told = False
        self._is_over = False

    @property
    def is_under_way(self) -> bool:
        return self._program is not None and not self._is_over

    def step(self, child: Child) -> None:
        if self._is_over:
            return
        try:
            self._step(child)
        except (OSError, ServiceUnavailable) as error:  # a full disk, a cache that only others may write to
            log.get_logger().warning("no class data archive", reason=str(error))
            self.give_up(child)

    def _step(self, child: Child) -> None:
        now = time.monotonic()
        if self._program is None:
            if now >= self._begin_at and not self._begin(child):
                self._release()
        elif self._program.ended:
            self._finish()
        elif now > self._begin_at + LIMIT_SECONDS:
            self.give_up(child)
        elif not self._is_told and self._broker.answers(PROBE_SECONDS):
            self._is_told = True
            self._program.terminate()  # it writes the archive at its end

    def give_up(self, child: Child) -> None:
        """The run ends: a later one makes the archive."""
        if self._program is not None:
            self._program.stop(child, 0.0)
        self._release()

    def _begin(self, child: Child) -> bool:
        """False: it is there, or another process makes it."""
        if self._installation.archive.exists() or (lock := self._installation.try_lock()) < 0:
            return False
        self._lock = lock
        shutil.rmtree(self._scratch, ignore_errors=True)  # of one that was killed
        self._unfinished.unlink(missing_ok=True)
        self._scratch.mkdir(mode=0o700)
        self._broker = KafkaBroker(self._installation, self._java, self._scratch, LOOPBACK, free_port())
        if not self._broker.format(child):
            return False
        self._program = self._broker.start(jvm=(f"-XX:ArchiveClassesAtExit={self._unfinished}",))
        os.setpriority(os.PRIO_PROCESS, self._program.pid, NICE)
        return True

    def _finish(self) -> None:
        """It has ended: with an archive, without one where the JVM cannot make it; of one that failed before it was
        told to end nothing is known."""
        made = self._unfinished.exists()
        if self._is_told:
            if not made:
                self._unfinished.write_bytes(b"")
            os.rename(self._unfinished, self._installation.archive)
        log.get_logger().info("class data archive", made=made, seconds=round(time.monotonic() - self._begin_at, 1))
        self._release()

    def _release(self) -> None:
        self._is_over = True
        if self._lock >= 0:
            shutil.rmtree(self._scratch, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1
