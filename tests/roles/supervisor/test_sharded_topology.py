"""Several instances with one configuration: together they record what it asks for, each symbol once."""

from pathlib import Path

import pytest

from wsadapter.config import load as configuration
from wsadapter.config.model import Config
from wsadapter.errors import ConfigError
from wsadapter.roles.supervisor import topology
from wsadapter.roles.supervisor.run import _require_reloadable

FEEDS = """
[[feed]]
exchange = "binance"
symbols = ["btcusdt", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT"]
redundancy = 2
[[feed]]
exchange = "bybit"
symbols = ["BTCUSDT"]
"""


def loaded(directory: Path, shard: str) -> Config:
    path = directory / "wsadapter.toml"
    path.write_text(f'[service]\nstate_dir = "{directory}"\nshard = "{shard}"\n{FEEDS}')
    return configuration.load(str(path), {}, dotenv=None)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_together_they_record_each_series_once(tmp_path: Path, count: int) -> None:
    whole = {
        (plan.exchange, each.name)
        for plan in topology.assemble(loaded(tmp_path, "")).plans
        for each in plan.subscriptions
    }
    parts, connections = [], []
    for number in range(1, count + 1):
        plans = topology.assemble(loaded(tmp_path, f"{number}/{count}")).plans
        parts += sorted({(plan.exchange, each.name) for plan in plans for each in plan.subscriptions})
        connections += [plan.connection for plan in plans]
    assert sorted(parts) == sorted(whole)
    assert len(connections) == len(set(connections)), "no two instances have a connection of one name"


def test_instance_without_a_symbol_of_a_feed_does_without_the_feed(tmp_path: Path) -> None:
    feeds = [
        [feed.exchange for feed in topology.assemble(loaded(tmp_path, f"{number}/3")).config.feed]
        for number in (1, 2, 3)
    ]
    assert sum("bybit" in each for each in feeds) == 1


def test_reload_may_change_how_many_there_are_and_not_which_one_it_is(tmp_path: Path) -> None:
    before = loaded(tmp_path, "1/3")
    _require_reloadable(before, loaded(tmp_path, "1/2"))
    for other in ("2/3", ""):
        with pytest.raises(ConfigError) as refused:
            _require_reloadable(before, loaded(tmp_path, other))
        assert [path for path, _ in refused.value.errors] == ["service.shard"]


def test_bad_shard_is_refused_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, "4/3")
    assert [path for path, _ in refused.value.errors] == ["service.shard"]
