"""The jars of the embedded Kafka, fetched once with Maven into a cache that all projects directories share.

    $WSADAPTER_CACHE (default ~/.cache/wsadapter)/kafka-<version>/     lib/*.jar, classes.jsa, formatted/
                                                 /kafka-<version>.lock

The directory appears complete (filled under a temporary name, then renamed); an flock lets one process fetch while
others wait. ``classes.jsa`` is a class data archive of the JVM, made by `wsadapter.embedded.kafka.class_archive` when a
broker is up: it takes a third off every later start. An empty one says that the JVM could not make it. ``formatted`` is
what a data directory begins with, kept from the first one that was formatted.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from wsadapter import log
from wsadapter.embedded.data_directory import RETRY_SECONDS
from wsadapter.embedded.kafka.program import Program
from wsadapter.errors import ServiceUnavailable
from wsadapter.supervision.child import Child

VERSION: Final = "4.2.0"
LOGGING_VERSION: Final = "2.25.3"
MIN_JAVA: Final = 17
JARS: Final = 46
"""Of this version, all together."""
MAVEN_JARS: Final = 62
"""What Maven fetches beside them where it has never copied anything."""
MAVEN_OPTIONS: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""It runs for seconds: half of them would go to the compiler that is for long runs."""
_STEPS: Final = re.compile(rb"^(?:\[INFO\] )?(Downloaded from|Copying) \S.*\.jar\b", re.MULTILINE)

# Kafka's own artifact names no logging backend: without one its errors would go nowhere.
_POM: Final = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>wsadapter</groupId>
  <artifactId>embedded-kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOGGING_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


class Installation:
    """Where the jars are. Complete when `jars` is there."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        cache = environ.get("WSADAPTER_CACHE") or os.path.join(os.path.expanduser("~"), ".cache", "wsadapter")
        self._cache = Path(cache).absolute()
        self.directory = self._cache / f"kafka-{VERSION}"
        self.jars = self.directory / "lib"
        self.archive = self.directory / "classes.jsa"
        self.formatted = self.directory / "formatted"

    def lock(self, child: Child) -> int:
        """The fetching lock, as a descriptor to close; -1 when the child is to stop first."""
        while not child.stopping:
            if (fd := self.try_lock()) >= 0:
                return fd
            child.beat()
            child.wait([], RETRY_SECONDS)
        return -1

    def try_lock(self) -> int:
        """The lock, as a descriptor to close; -1 while another has it."""
        self._cache.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._cache / f"kafka-{VERSION}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return -1
        return fd

    def fetch(self, child: Child, maven: str, report: Callable[[int], object]) -> None:
        """Let Maven copy the jars; the caller holds the lock. ``report``: is told the percentage that is there."""
        fetching = self._cache / f".kafka-{VERSION}.fetching"
        shutil.rmtree(fetching, ignore_errors=True)  # of a fetch that was killed
        fetching.mkdir()
        (fetching / "pom.xml").write_text(_POM)
        log.get_logger().info("fetching Kafka with Maven, once", version=VERSION, to=str(self.directory))
        argv = [maven, "-B", "dependency:copy-dependencies", f"-DoutputDirectory={fetching / 'lib'}"]
        with open(fetching / "maven.log", "w+b") as output:
            environ = {"MAVEN_OPTS": MAVEN_OPTIONS, **os.environ}
            program = Program.start(argv, cwd=fetching, output=output, environ=environ)
            code = program.watch(child, lambda: report(_percent(os.pread(output.fileno(), 1 << 20, 0))))
            if code is None:
                return
            output.seek(0)
            text = _complaint(output.read())
        if code != 0 or not list(fetching.glob("lib/kafka_2.13-*.jar")):
            raise ServiceUnavailable(f"Maven could not fetch Kafka {VERSION} (exit code {code}): {text[:1500]}")
        os.rename(fetching, self.directory)


def _percent(log_of_maven: bytes) -> int:
    """How much is done, by the jars that Maven says it has downloaded and copied."""
    words = _STEPS.findall(log_of_maven)
    total = JARS if b"Downloaded from" not in words else 2 * JARS + MAVEN_JARS
    return min(100, 100 * len(words) // total)


def _complaint(log_of_maven: bytes) -> str:
    """Of what Maven says the errors; its end where it names none."""
    lines = [line for line in log_of_maven.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join([line for line in lines if line.startswith("[ERROR]")][:10] or lines[-10:])


def missing(environ: Mapping[str, str], installation: Installation) -> str:
    """What keeps the real Kafka from running here; empty when nothing does."""
    java = find_java(environ)
    if java is None:
        return "java not found"
    if not _recent(java):
        return f"java is older than {MIN_JAVA}"
    if not installation.jars.is_dir() and find_maven() is None:
        return "mvn not found"
    return ""


def find_java(environ: Mapping[str, str]) -> str | None:
    home = environ.get("JAVA_HOME", "")
    if home and os.access(os.path.join(home, "bin", "java"), os.X_OK):
        return os.path.join(home, "bin", "java")
    return shutil.which("java")


def find_maven() -> str | None:
    return shutil.which("mvn")


def _recent(java: str) -> bool:
    """By the file ``release`` beside the JVM; where there is none, the JVM itself will say."""
    release = Path(os.path.realpath(java)).parent.parent / "release"
    try:
        version = re.search(r'JAVA_VERSION="(\d+)', release.read_text())
    except OSError:
        return True
    return version is None or int(version[1]) >= MIN_JAVA
