"""Real services for integration tests, started when the first test asks for them, on free ports, data in temporary
directories. `kafka` and `clickhouse` are shared by the whole session: use topics and databases of your own names. A
test that kills or stops a service makes its own with `own_kafka` or `own_clickhouse`."""

import asyncio
import ctypes
import gc
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import file_order
import pytest
from hypothesis import HealthCheck, settings

from wsadapter.embedded.kafka.install import Installation, missing
from wsadapter.embedded.servers import ClickHouseServer, KafkaServer

TESTS: Final = Path(__file__).parent
SECONDS: Final = file_order.read(file_order.TABLE.read_text())
FIRST: Final = (TESTS / "road", TESTS / "roles")
"""The whole pipeline, which computes; roles, of which many wait until a service that was killed is back."""
PR_SET_CHILD_SUBREAPER: Final = 36

# how long an example takes is a property of the machine and of what else it does
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--most-seconds", type=float, help="leave out the files that took longer (tests/file_seconds.txt)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m integration`` each worker reads only the files that say the word: the others are five times as many."""
    most = config.option.most_seconds
    if most is not None and SECONDS.get(str(collection_path.relative_to(file_order.ROOT)), 0.0) > most:
        return True
    if config.option.markexpr != "integration" or not collection_path.match("test_*.py"):
        return None
    return "integration" not in collection_path.read_text() or None


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("WSADAPTER_TIMES") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(file_order.FileTimes())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; by turns what computes and what waits, then the others, which are short."""
    for path in {item.path for item in items if item.get_closest_marker("integration")}:
        if "integration" not in path.read_text():
            raise pytest.UsageError(f"{path}: its tests are integration tests, and `make test` finds them by that word")
    files = {item.nodeid.partition("::")[0]: item.path for item in items}
    seen: Counter[Path | None] = Counter()
    places: dict[Path, tuple[bool, int]] = {}
    for file in file_order.longest_first(files, SECONDS):
        kind = next((each for each in FIRST if each in files[file].parents), None)
        places[files[file]] = (kind is None, seen[kind])
        seen[kind] += 1
    items.sort(key=lambda item: places[item.path])


@pytest.fixture(scope="session", autouse=True)
def host_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests use up of a limit is none of this machine's."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WSADAPTER_HOST_DIR", str(tmp_path_factory.mktemp("host")))
        yield


@pytest.fixture(autouse=True)
def process_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a process has only once is after a test as it was before: else another test of the same worker, a random
    one, fails for it. Integration tests, which do most in processes of their own, are not asked."""
    before = _of_the_process()
    yield
    # a fork server makes its process the reaper of orphans: those of a later test would stay here, as zombies
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    if request.node.get_closest_marker("integration") is not None:
        return
    after = _of_the_process()
    changed = {what for what, _ in before.items() ^ after.items()}
    assert {what: (before.get(what), after.get(what)) for what in changed} == {}


def _of_the_process() -> dict[str, object]:
    umask = os.umask(0o77)
    os.umask(umask)
    told = {
        "umask": umask,
        "directory": os.getcwd(),
        "time zone": time.tzname,
        "niceness": os.nice(0),
        "processors": frozenset(os.sched_getaffinity(0)),
        "descriptors allowed": resource.getrlimit(resource.RLIMIT_NOFILE),
        "blocked signals": frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "running loop": asyncio.events._get_running_loop(),
        "garbage collection": (gc.isenabled(), gc.get_threshold()),
    }
    told |= {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    # the alarm is that of the test's own time limit
    return told | {one.name: signal.getsignal(one) for one in signal.Signals if one != signal.SIGALRM}


@pytest.fixture(scope="session")
def java() -> None:
    """The real Kafka can run here; in CI it must."""
    if reason := missing(os.environ, Installation(os.environ)):
        if os.environ.get("CI"):
            pytest.fail(f"the real Kafka cannot run: {reason}")
        pytest.skip(f"the real Kafka cannot run: {reason}")


@pytest.fixture(scope="session")
def installed_kafka(java: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The jars are in the cache: what starts from now on needs no network."""
    if not Installation(os.environ).jars.is_dir():
        with KafkaServer(tmp_path_factory.mktemp("install")):
            pass


@pytest.fixture(scope="session")
def kafka(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a real broker."""
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server.bootstrap


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a ClickHouse engine."""
    with ClickHouseServer(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server.url


@pytest.fixture
def own_kafka(java: None, tmp_path: Path) -> Iterator[Callable[[], KafkaServer]]:
    """Makes brokers (not started yet) that the test may kill, all gone at its end."""
    servers: list[KafkaServer] = []

    def make() -> KafkaServer:
        servers.append(KafkaServer(tmp_path / f"kafka-{len(servers)}"))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def own_clickhouse(tmp_path: Path) -> Iterator[Callable[[], ClickHouseServer]]:
    """Makes ClickHouse engines (not started yet) that the test may kill, all gone at its end."""
    servers: list[ClickHouseServer] = []

    def make() -> ClickHouseServer:
        servers.append(ClickHouseServer(tmp_path / f"clickhouse-{len(servers)}"))
        return servers[-1]

    yield make
    for server in servers:
        server.close()
