"""Who is asked for what history, whose ring it comes through, and how it is switched off."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from wsadapter import metrics as stats_fields
from wsadapter.config import load as configuration
from wsadapter.config.model import Config
from wsadapter.config.warnings import warnings
from wsadapter.roles.orders import RepairerOrder
from wsadapter.roles.supervisor import topology
from wsadapter.supervision.child import RingRef
from wsadapter.supervision.process import ChildSpec

HEAD = '[[feed]]\nname = "fut"\nexchange = "binance"\nsymbols = ["BTCUSDT"]\n'


class Rings:
    """Those that a run would have made."""

    generation = 1

    def __init__(self, names: list[str]) -> None:
        self.refs = {name: RingRef(name, f"ring-{name}", 1, 9) for name in names}

    def of_serializer(self, number: int) -> tuple[RingRef, ...]:
        return tuple(self.refs.values())

    def names(self) -> list[tuple[str, str]]:
        return [(ref.connection, ref.name) for ref in self.refs.values()]


def loaded(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "wsadapter.toml"
    path.write_text(text)
    return configuration.load(str(path), {}, dotenv=None)


def repairers(config: Config) -> list[ChildSpec]:
    assembly = topology.assemble(config)
    rings: Any = Rings(assembly.rings)
    return [s for s in topology.specs(assembly, rings, (), 1) if s.role == "repairer"]


def order(spec: ChildSpec) -> RepairerOrder:
    """As the child gets it."""
    return msgspec.json.decode(msgspec.json.encode(spec.order), type=RepairerOrder)


@pytest.mark.parametrize(
    ("extra", "host"),
    [
        ("", "https://fapi.binance.com"),
        ("testnet = true\n", "https://demo-fapi.binance.com"),
        ('rest_url = "http://127.0.0.1:7"\n', "http://127.0.0.1:7"),
        ('ws_url = "ws://127.0.0.1:7"\n', None),
        ('ws_url = "ws://127.0.0.1:7"\nrest_url = "http://127.0.0.1:8"\n', "http://127.0.0.1:8"),
    ],
)
def test_where_history_is_asked_for(tmp_path: Path, extra: str, host: str | None) -> None:
    config = loaded(tmp_path, HEAD + extra)
    (spec,) = repairers(config)
    assert spec.ring is not None
    assert (spec.name, spec.ring.connection, spec.ring.name) == ("repairer", "repair", "ring-repair")
    assert {each.host for each in order(spec).assignments} == ({host} if host else set())
    assert spec.page_fields == stats_fields.repairer(
        *(([stats_fields.host_label(host)], (), ["binance"]) if host else ([],))
    )
    assert topology.INGEST < spec.stop_group < topology.SERIALIZER
    warned = [line for line in warnings(config, {}, None) if "rest_url" in line]
    assert bool(warned) == (host is None)
    assert order(spec) == spec.order


def test_open_interest_is_asked_for_once(tmp_path: Path) -> None:
    interest = HEAD + 'streams = ["open_interest"]\n'
    more = interest.replace('"fut"', '"more"').replace('["BTCUSDT"]', '["BTCUSDT", "ETHUSDT"]')
    config = loaded(tmp_path, interest + more)
    assert topology.assemble(config).plans == []
    (spec,) = repairers(config)
    asked = [(each.host, *each.symbols) for each in order(spec).polls]
    assert asked == [("https://fapi.binance.com", "BTCUSDT", "ETHUSDT")]
    polled = [("binance", "BTCUSDT"), ("binance", "ETHUSDT")]
    assert spec.page_fields == stats_fields.repairer(["fapi.binance.com"], polled, ["binance"])
    assert not [line for line in warnings(config, {}, None) if "open_interest" in line]


def test_open_interest_of_an_address_of_ones_own(tmp_path: Path) -> None:
    config = loaded(tmp_path, HEAD + 'streams = ["open_interest"]\nws_url = "ws://127.0.0.1:7"\n')
    (spec,) = repairers(config)
    assert order(spec).polls == ()
    assert [line for line in warnings(config, {}, None) if "open_interest" in line]


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    config = loaded(tmp_path, HEAD + "[process.repairer]\ncount = 0\n")
    assert repairers(config) == []
    assert topology.REPAIR not in topology.assemble(config).rings


def test_two_feeds_of_one_host_share_its_budget(tmp_path: Path) -> None:
    config = loaded(tmp_path, HEAD + HEAD.replace('"fut"', '"more"'))
    (spec,) = repairers(config)
    assert len(order(spec).assignments) == 4
    assert {each.host for each in order(spec).assignments} == {"https://fapi.binance.com"}
