"""What the monitor remembers between two looks, in virtual time."""

from pathlib import Path

from wsadapter.config.model import Config, ServiceConfig, SpoolConfig
from wsadapter.roles.monitor.history import History
from wsadapter.roles.monitor.snapshot import Reading, Snapshot
from wsadapter.times import SECOND


def look(directory: Path, second: float, spool_bytes: int = 0) -> Snapshot:
    config = Config(ServiceConfig("i", str(directory)), spool=SpoolConfig(max_bytes=1_000_000))
    serializer = Reading("serializer", "serializer-0", {"spool_bytes": spool_bytes})
    supervisor = Reading("supervisor", "supervisor", {})
    at = int(second * SECOND)
    return Snapshot(config, 1_000 * SECOND + at, at, 0, supervisor, (serializer,), ())


def test_since_when_it_is_not_ready(tmp_path: Path) -> None:
    history = History()
    history.observe(look(tmp_path, 1), [])
    assert history.not_ready_since_ns == 0
    for second in (2, 3, 4):
        history.observe(look(tmp_path, second), ["kafka: does not answer"])
    assert history.not_ready_since_ns == 1_002 * SECOND
    history.observe(look(tmp_path, 5), [])
    history.observe(look(tmp_path, 6), ["kafka: does not answer"])
    assert history.not_ready_since_ns == 1_006 * SECOND


def test_how_long_the_spool_lasts_at_the_rate_of_the_last_minute(tmp_path: Path) -> None:
    history = History()
    for second in range(100):
        now = look(tmp_path, second, 1_000 * second)
        history.observe(now, [])
    assert history.seconds_left(now) == (1_000_000 - 99_000) / 1_000


def test_a_spool_that_does_not_grow_lasts_for_ever_and_a_moment_says_nothing(tmp_path: Path) -> None:
    history = History()
    history.observe(look(tmp_path, 0, 500), [])
    assert history.seconds_left(look(tmp_path, 1, 5_000)) is None
    assert history.seconds_left(look(tmp_path, 9, 500)) is None
    assert history.seconds_left(look(tmp_path, 9, 1_400)) == (1_000_000 - 1_400) * 9 / 900


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    history = History()
    for second in range(10_000):
        history.observe(look(tmp_path, second / 10, 1), [])
    assert len(history._sizes) <= 62
