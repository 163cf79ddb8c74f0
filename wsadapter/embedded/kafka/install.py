"""The jars of the embedded Kafka, fetched once with Maven into a cache that all projects directories share.

    $WSADAPTER_CACHE (default ~/.cache/wsadapter)/kafka-<version>/     lib/*.jar, classes.jsa
                                                 /kafka-<version>.lock

The directory appears complete (filled under a temporary name, then renamed); an flock lets one process fetch while
others wait. ``classes.jsa`` is a class data archive of the JVM, made once by
`wsadapter.embedded.kafka.class_archive`: it takes a third off every later start. An empty one says that the JVM could
not make it.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Mapping
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

    def lock(self, child: Child) -> int:
        """The fetching lock, as a descriptor to close; -1 when the child is to stop first."""
        self._cache.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._cache / f"kafka-{VERSION}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while not child.stopping:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            except BlockingIOError:
                child.beat()
                child.wait([], RETRY_SECONDS)
        os.close(fd)
        return -1

    def fetch(self, child: Child, maven: str) -> None:
        """Let Maven copy the jars; the caller holds the lock."""
        fetching = self._cache / f".kafka-{VERSION}.fetching"
        shutil.rmtree(fetching, ignore_errors=True)  # of a fetch that was killed
        fetching.mkdir()
        (fetching / "pom.xml").write_text(_POM)
        log.get_logger().info("fetching Kafka with Maven, once", version=VERSION, to=str(self.directory))
        argv = [maven, "-B", "-q", "dependency:copy-dependencies", f"-DoutputDirectory={fetching / 'lib'}"]
        with open(fetching / "maven.log", "w+b") as output:
            code = Program.start(argv, cwd=fetching, output=output).watch(child)
            if code is None:
                return
            output.seek(0)
            text = output.read(65536).decode(errors="replace").strip()
        if code != 0 or not list(fetching.glob("lib/kafka_2.13-*.jar")):
            raise ServiceUnavailable(f"Maven could not fetch Kafka {VERSION} (exit code {code}): {text[-1500:]}")
        os.rename(fetching, self.directory)


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
