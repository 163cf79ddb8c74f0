"""A password file with new content: a reload starts the processes that use it again, and no other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from roles.supervisor.test_reload import INSTANCE, Site

from wsadapter.errors import ConfigError
from wsadapter.shm.segment import Segment, listing

SERVICES = """
[kafka]
security_protocol = "SASL_PLAINTEXT"
sasl_mechanism = "PLAIN"
sasl_username = "u"
sasl_password_file = "{0}/kafka"
[clickhouse]
password_file = "{0}/clickhouse"
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.run.rings.close()
    site.instance.release()
    for name in listing(f"wsadapter-{INSTANCE}-"):
        Segment.unlink(name)


def test_only_who_uses_it_is_started_again(site: Site, tmp_path: Path) -> None:
    for name in ("kafka", "clickhouse"):
        (tmp_path / name).write_text("one")
    site.configure(more=SERVICES.format(tmp_path))
    assert site.run.reload() is not None

    assert changed(site) == set(), "nothing was rotated"
    (tmp_path / "clickhouse").write_text("two")
    assert changed(site) == {"consumer-0", "monitor"}
    (tmp_path / "kafka").write_text("two")
    assert changed(site) == {"serializer-0", "consumer-0", "repairer", "monitor"}
    (tmp_path / "kafka").unlink()
    with pytest.raises(ConfigError, match=r"kafka\.sasl_password_file: cannot be read"):
        site.run.reload()
    assert {spec.name for spec in site.run.specs} >= {"serializer-0", "consumer-0"}


def changed(site: Site) -> set[str]:
    """The children that a reload starts again."""
    before = {spec.name: spec for spec in site.run.specs}
    site.run.reload()
    return {spec.name for spec in site.run.specs if before[spec.name] != spec}
