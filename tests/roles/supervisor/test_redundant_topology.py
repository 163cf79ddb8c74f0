"""Which connections, rings, pages and serializers a redundant feed has, over starts, reloads and kills."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsadapter.config import load as configuration
from wsadapter.config.model import Config
from wsadapter.config.warnings import warnings
from wsadapter.files import StateDirectory
from wsadapter.roles.supervisor import topology
from wsadapter.roles.supervisor.rings import Rings, member, name_of
from wsadapter.shm import ring
from wsadapter.shm.ring import RingWriter
from wsadapter.shm.segment import Segment, listing

CAPACITY = 65_536


@pytest.fixture
def instance() -> Iterator[str]:
    name = f"red{os.getpid()}"
    yield name
    for segment in listing(f"wsadapter-{name}-"):
        Segment.unlink(segment)


def made(instance: str, state: Path, serializers: int = 1) -> Rings:
    epochs = itertools.count(1000)
    return Rings(instance, CAPACITY, lambda: next(epochs), serializers, StateDirectory(state))


def configured(directory: Path, redundancy: int) -> Config:
    path = directory / "config.toml"
    path.write_text(
        f'[service]\nstate_dir = "{directory}"\n[[feed]]\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n'
        f'streams = ["trade", "depth"]\nredundancy = {redundancy}\n'
    )
    return configuration.load(str(path), {})


def test_names_of_a_group() -> None:
    assert [name_of("binance-market-0", n) for n in range(3)] == [
        "binance-market-0", "binance-market-0-r2", "binance-market-0-r3",
    ]  # fmt: skip
    assert member("binance-market-0-r2") == ("binance-market-0", 1)
    assert member("binance-market-0") == ("binance-market-0", 0)


def test_every_connection_is_there_twice(tmp_path: Path) -> None:
    config = configured(tmp_path, 2)
    assembly = topology.assemble(config)
    plans = assembly.plans

    assert [plan.connection for plan in plans] == [
        "binance-public-0", "binance-public-0-r2", "binance-market-0", "binance-market-0-r2",
    ]  # fmt: skip
    assert plans[0].subscriptions == plans[1].subscriptions
    assert assembly.redundant.keys() == {"binance-public-0", "binance-market-0"}
    assert topology.assemble(configured(tmp_path, 1)).redundant == {}
    assert warnings(config, {}, None) == []


def test_the_rings_of_a_group_have_one_serializer_and_one_page(instance: str, tmp_path: Path) -> None:
    rings = made(instance, tmp_path, serializers=2)
    assembly = topology.assemble(configured(tmp_path, 2))
    plans = assembly.plans
    rings.open([plan.connection for plan in plans], assembly.redundant)

    public, public_2, market, market_2 = (rings.refs[plan.connection] for plan in plans)
    assert (public.marks, public.member) == (public_2.marks, 0) != ("", 0)
    assert (market.marks, market_2.member) == (market_2.marks, 1)
    assert public.marks != market.marks
    assert public.doorbell_fd == public_2.doorbell_fd
    assert market.doorbell_fd == market_2.doorbell_fd
    assert sorted(len(rings.of_serializer(n)) for n in (0, 1)) in ([2, 2], [0, 4])
    assert rings.close() == 0
    assert listing(f"wsadapter-{instance}-") == []


def test_the_page_lives_as_long_as_a_record_is_unread(instance: str, tmp_path: Path) -> None:
    groups = {"a": 100}
    first = made(instance, tmp_path)
    first.open(["a", "a-r2"], groups)
    writer = RingWriter.attach(f"wsadapter-{instance}-a-r2")
    writer.try_write(1, b"one")
    writer.publish()
    writer.release()
    assert first.close() == 1
    assert listing(f"wsadapter-{instance}-") == [f"wsadapter-{instance}-a-r2", f"wsadapter-{instance}-marks-a"]

    second = made(instance, tmp_path)
    second.open(["a", "a-r2"], groups)
    assert second.refs["a-r2"].epoch == first.refs["a-r2"].epoch
    assert second.adopted == 1
    second.close()
    third = made(instance, tmp_path)
    third.open(["a"])
    assert not Segment.exists(f"wsadapter-{instance}-marks-a"), "no redundancy any more"
    assert [ref.connection.partition(".")[0] for ref in third.aside] == ["a-r2"]
    assert third.refs["a"].marks == ""


def test_a_reload_may_add_and_end_redundancy(instance: str, tmp_path: Path) -> None:
    rings = made(instance, tmp_path, serializers=2)
    rings.open(["a", "b"])
    assert rings.refs["a"].doorbell_fd != rings.refs["b"].doorbell_fd
    rings.open(["a", "b", "b-r2"], {"b": 100})
    assert rings.refs["b"].marks == rings.refs["b-r2"].marks != ""
    assert rings.refs["b"].doorbell_fd == rings.refs["b-r2"].doorbell_fd
    assert rings.refs["a"].marks == ""
    rings.close()


def test_a_ring_set_aside_is_read_with_its_group(instance: str, tmp_path: Path) -> None:
    ring.create(f"wsadapter-{instance}-a", CAPACITY * 2, 77)
    writer = RingWriter.attach(f"wsadapter-{instance}-a")
    writer.try_write(1, b"one")
    writer.publish()
    writer.release()
    rings = made(instance, tmp_path)
    rings.open(["a", "a-r2"], {"a": 100})

    (aside,) = rings.aside
    assert (aside.marks, aside.member > 1) == (rings.refs["a"].marks, True)
