"""Which symbols rules stand for: properties over random markets, and ranks that flap over days of virtual time."""

import random
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from wsadapter.config.symbol_rules import Rules, Top, matcher
from wsadapter.listings.selection import NAMED, Before, Market, Selection, margin, select

NAMES = [f"{coin}{quote}" for coin in ("A", "B", "C", "D", "E", "F", "G", "H") for quote in ("USDT", "USDC")]
names = st.sets(st.sampled_from(NAMES))
globs = st.sampled_from(["*", "*USDT", "?USDC", "A*", "NONE*"])
MARKETS = st.builds(
    lambda trading, halted, volumes: Market(trading, halted - trading, dict(zip(NAMES, volumes, strict=True))),
    names, names, st.lists(st.integers(0, 5).map(Decimal), min_size=len(NAMES), max_size=len(NAMES)),
)  # fmt: skip
RULES = st.builds(
    Rules,
    st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(tuple), st.lists(globs, max_size=2).map(tuple),
    st.lists(st.builds(Top, st.integers(1, 6), globs), max_size=2).map(tuple), st.lists(globs, max_size=1).map(tuple),
)  # fmt: skip


def standing(symbols: list[str], ranked: list[str]) -> Before:
    return Before(tuple(symbols), {f"top:{count}": tuple(ranked) for count in range(1, 7)})


ORDERED = st.lists(st.sampled_from(NAMES), unique=True)
BEFORE = st.builds(standing, ORDERED, ORDERED)


def offered(symbol: str) -> str:
    return ""


def after(selection: Selection) -> Before:
    return Before(tuple(selection.symbols), selection.ranked)


@settings(deadline=None)
@given(RULES, MARKETS, BEFORE)
def test_it_is_what_the_rules_say(rules: Rules, market: Market, before: Before) -> None:
    symbols = select(rules, market, before, offered).symbols

    assert symbols.keys() >= set(rules.named)
    known = {*before.symbols, *(symbol for some in before.ranked.values() for symbol in some)}
    traded, alive = (
        {symbol for symbol in some if not any(matcher(glob)(symbol) for glob in rules.excludes)}
        for some in (set(market.trading), set(market.trading) | (set(market.halted) & known))
    )
    by_rule = symbols.keys() - set(rules.named)
    assert by_rule <= alive, "traded, and not left out"
    for glob in rules.globs:
        assert symbols.keys() >= {symbol for symbol in traded if matcher(glob)(symbol)}
    for top in rules.tops:
        assert len(symbols) >= min(top.count, sum(map(matcher(top.glob), traded)))
    kept = [symbol for symbol in before.symbols if symbol in by_rule]
    assert [symbol for symbol in symbols if symbol in kept] == kept, "what stays keeps its place"


@settings(deadline=None)
@given(RULES, MARKETS, BEFORE)
def test_the_same_listing_again_changes_nothing(rules: Rules, market: Market, before: Before) -> None:
    once = select(rules, market, before, offered)
    again = select(rules, market, after(once), offered)
    assert list(again.symbols) == [*once.symbols]


@settings(deadline=None)
@given(st.integers(1, 10), MARKETS)
def test_a_top_has_exactly_so_many(count: int, market: Market) -> None:
    rules = Rules(tops=(Top(count),))
    symbols = select(rules, market, Before(), offered).symbols
    assert len(symbols) == min(count, len(set(market.trading)))
    least = min((market.volumes[symbol] for symbol in symbols), default=Decimal(0))
    assert all(market.volumes[symbol] <= least for symbol in set(market.trading) - symbols.keys())


def test_ranks_that_flap_change_nothing() -> None:
    """Two days of ten-minute listings in which every turnover is off by up to a tenth: neighbours change places all the
    time. Without the margin every listing would change the symbols."""
    seed = 20261127
    print(f"seed {seed}")
    rng = random.Random(seed)
    names = [f"S{number:03}" for number in range(200)]
    rules, before, plain = Rules(tops=(Top(50),)), Before(), set[str]()
    changes = plain_changes = 0
    for _ in range(2 * 24 * 6):
        volumes = {name: Decimal(rng.randrange(900, 1_101)) / (rank + 1) for rank, name in enumerate(names)}
        selection = select(rules, Market(names, (), volumes), before, offered)
        exact = set(sorted(names, key=lambda name: -volumes[name])[:50])
        assert len(selection.symbols) == 50
        changes += len(selection.symbols.keys() - set(before.symbols)) if before.symbols else 0
        plain_changes += len(exact - plain) if plain else 0
        before, plain = after(selection), exact
    assert (changes <= 10, plain_changes > 288) == (True, True), (changes, plain_changes)


def test_who_rises_far_enough_comes_in_at_once() -> None:
    names = [f"S{number:03}" for number in range(100)]
    ranked = {name: Decimal(100 - rank) for rank, name in enumerate(names)}
    rules = Rules(tops=(Top(50),))
    before = after(select(rules, Market(names, (), ranked), Before(), offered))
    assert ([*before.symbols], margin(50)) == (names[:50], 10)

    def with_rank(name: str, rank: Decimal) -> set[str]:
        return {*select(rules, Market(names, (), ranked | {name: 100 - rank}), before, offered).symbols}

    assert with_rank("S060", Decimal("40.5")) == {*names[:50]}, "rank 42 does not displace"
    assert with_rank("S060", Decimal("38.5")) == {*names[:49], "S060"}, "rank 40 does"
    assert with_rank("S010", Decimal("59.5")) == {*names[:50]}, "rank 60 stays"
    assert with_rank("S010", Decimal("60.5")) == {*names[:51]} - {"S010"}, "rank 61 goes"


def test_what_is_halted_stays_and_does_not_come() -> None:
    market = Market(["AUSDT"], ["BUSDT"])
    rules = Rules(globs=("*",))
    assert [*select(rules, market, Before(), offered).symbols] == ["AUSDT"]
    assert [*select(rules, market, Before(("BUSDT",)), offered).symbols] == ["BUSDT", "AUSDT"]


def test_what_the_venue_does_not_offer_is_left_out_and_said() -> None:
    rules = Rules(named=("X",), globs=("*",), tops=(Top(2),))
    market = Market(["A", "B", "C"], (), {"A": Decimal(3), "B": Decimal(2), "C": Decimal(1)})
    selection = select(rules, market, Before(), lambda symbol: "no ticker of it" if symbol == "B" else "")
    assert selection.symbols == {"X": NAMED, "A": "*", "C": "*"}
    assert selection.unoffered == {"B": "no ticker of it"}
