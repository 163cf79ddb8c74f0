"""Each symbol has one owner, whoever asks; a change of their number moves few of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.config.shards import MOST, Shard, owner

SYMBOLS = [f"{base}{quote}" for base in (f"C{number}" for number in range(200)) for quote in ("USDT", "USDC")]


@given(st.text(max_size=20), st.text(max_size=20), st.integers(1, MOST))
def test_exactly_one_instance_owns_a_symbol(exchange: str, symbol: str, count: int) -> None:
    owners = [n for n in range(1, count + 1) if Shard(n, count).owns(exchange, symbol)]
    assert owners == [owner(exchange, symbol, count)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_one_more_instance_takes_its_share_and_moves_nothing_else(count: int) -> None:
    moved = [s for s in SYMBOLS if owner("binance", s, count) != owner("binance", s, count + 1)]
    assert all(owner("binance", s, count + 1) == count + 1 for s in moved)
    assert 0.5 < len(moved) * (count + 1) / len(SYMBOLS) < 1.6


def test_owner_does_not_depend_on_the_spelling() -> None:
    assert all(owner("binance", s, 5) == owner("binance", s.lower(), 5) for s in SYMBOLS)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/65", "1", "a/b", "01/3", "1/3 ", "-1/3", "1/0"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="i-th of n"):
        Shard.parse(text)


def test_no_shard_is_everything() -> None:
    assert Shard.parse("") is None
    assert Shard.parse("2/3") == Shard(2, 3)


@pytest.mark.parametrize(
    ("connection", "number"),
    [
        ("binance-s2-market-0", 2),
        ("binance-s2-market-0-r2", 2),
        ("my-s1-feed-s3-public-12", 3),
        ("binance-s5-market-0", 2),  # of a fifth instance, which is no more
    ],
)
def test_what_is_said_of_a_connection_is_one_instances_business(connection: str, number: int) -> None:
    assert [n for n in (1, 2, 3) if Shard(n, 3).owns_connection(connection)] == [number]


@given(st.text(max_size=40), st.integers(1, MOST))
def test_connection_of_no_shard_is_exactly_one_instances_business(connection: str, count: int) -> None:
    assert sum(Shard(n, count).owns_connection(connection) for n in range(1, count + 1)) == 1


def test_connections_of_no_shard_are_shared_out() -> None:
    """Of a log, or of before there were shards."""
    names = [f"kafka:websocket.trade:{number}" for number in range(50)] + ["binance-market-0", "repair"]
    owned = [[name for name in names if Shard(n, 3).owns_connection(name)] for n in (1, 2, 3)]
    assert all(owned)
    assert sorted(name for of in owned for name in of) == sorted(names)
