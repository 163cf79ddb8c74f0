"""Market time and ids only grow, over clean stops and over kills."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from wsadapter.embedded.market.clock import RESERVE_IDS, RESERVE_MS, MarketClock, MarketState
from wsadapter.errors import WsadapterError


class Ids(Struct):
    symbol: str
    next_aggregate_id: int
    next_trade_id: int


def test_it_starts_at_the_later_of_wall_and_kept_time() -> None:
    assert MarketClock(5_000, wall_ms=lambda: 9_000, monotonic=lambda: 0.0).now_ms() == 9_000
    assert MarketClock(9_000, wall_ms=lambda: 5_000, monotonic=lambda: 0.0).now_ms() == 9_000


def test_it_follows_monotonic_time_and_jumps_forward_only() -> None:
    now = [100.0]
    clock = MarketClock(0, wall_ms=lambda: 1_000, monotonic=lambda: now[0])
    now[0] += 1.5
    assert clock.now_ms() == 2_500
    clock.jump(60_000)
    assert clock.now_ms() == 62_500
    with pytest.raises(ValueError, match="backwards"):
        clock.jump(-1)


@given(st.integers(1_700_000_000_000, 1_900_000_000_000), st.sampled_from([0.5, 1.0, 8.0, 59.0]))
def test_a_minute_ends_when_asked(wall_ms: int, seconds: float) -> None:
    clock = MarketClock(0, wall_ms=lambda: wall_ms, monotonic=lambda: 0.0)
    clock.end_minute_in(seconds)
    assert wall_ms <= clock.now_ms() < wall_ms + 60_000
    assert (clock.now_ms() + seconds * 1000) % 60_000 == 0


@given(
    steps=st.lists(st.tuples(st.integers(0, 9_000), st.integers(0, 3_000), st.booleans()), max_size=40),
)
def test_no_run_uses_what_an_earlier_one_may_have_used(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bool]]
) -> None:
    """Each step: time passes, ids are used, and perhaps the venue is killed and starts again."""
    path = tmp_path_factory.mktemp("ledger") / "exchange.json"
    ledger, now_ms = MarketState(path), 1_000_000
    ids = Ids("BTCUSDT", *ledger.first_ids("BTCUSDT"))
    for milliseconds, used, killed in steps:
        now_ms += milliseconds
        ids.next_aggregate_id += used
        ids.next_trade_id += 2 * used
        ledger.cover(now_ms, [ids])
        seen = now_ms, ids.next_aggregate_id, ids.next_trade_id
        if killed:
            ledger = MarketState(path)
            now_ms, (ids.next_aggregate_id, ids.next_trade_id) = ledger.market_ms, ledger.first_ids("BTCUSDT")
            assert seen[0] < now_ms <= seen[0] + RESERVE_MS
            assert seen[1] <= ids.next_aggregate_id <= seen[1] + RESERVE_IDS
            assert seen[2] <= ids.next_trade_id <= seen[2] + 2 * RESERVE_IDS


def test_a_clean_stop_leaves_no_hole(tmp_path: Path) -> None:
    path = tmp_path / "exchange.json"
    ledger = MarketState(path)
    ledger.cover(1_000, [Ids("A", 10, 20)])
    ledger.settle(1_500, [Ids("A", 11, 23), Ids("A", 3, 3)])
    assert (MarketState(path).market_ms, MarketState(path).first_ids("A")) == (1_501, (11, 23))
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"market_ms":"x"}', b'{"other":1}', b"\xff"])
def test_a_foreign_file_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "exchange.json"
    path.write_bytes(content)
    with pytest.raises(WsadapterError, match=r"exchange\.json"):
        MarketState(path)
    assert path.read_bytes() == content
