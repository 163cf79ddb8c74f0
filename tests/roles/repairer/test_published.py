"""What is remembered of what was published: as long as it is needed, and no longer."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from wsadapter.events import Kline, Source
from wsadapter.events.streams import STEP_NS
from wsadapter.exchanges.kraken_rest import TRADES
from wsadapter.exchanges.pages import PageRequest
from wsadapter.exchanges.rest_api import Series
from wsadapter.roles.repairer.missing_range import MissingRange
from wsadapter.roles.repairer.published import KEPT_SECONDS, Published

MINUTE, MINUTE_NS = 60.0, 60_000_000_000
KEY = "kline", "BTCUSDT", "1m"


def candle(minute: int) -> Kline:
    opened_ns = minute * MINUTE_NS
    return Kline(
        "kraken", "BTCUSDT", None, None, 1, Source.REST, "repair", None, "1m", opened_ns,
        opened_ns + MINUTE_NS - STEP_NS, "1", "1", "1", "1", "5", None, None, None, None, True, None, None,
    )  # fmt: skip


class Site:
    def __init__(self) -> None:
        self.now = 0.0
        self.published = Published(lambda: self.now)

    def publish(self, minute: int) -> None:
        self.published.note("kraken", KEY, [candle(minute)])

    def knows(self, minute: int) -> bool:
        return not self.published.unknown("kraken", KEY, [candle(minute)])

    def remembered(self) -> int:
        return sum(len(present.runs) for present in self.published.of("kraken", *KEY))


@given(st.lists(st.integers(1, 900), min_size=20, max_size=150))
def test_over_days_it_is_bounded_and_what_is_recent_is_known(pauses: list[int]) -> None:
    """Candles that nothing closed, of a symbol that is traded now and then: no two follow one another."""
    site = Site()
    minutes: list[int] = []
    for pause in pauses:
        minute = (minutes[-1] if minutes else 0) + 1 + pause
        site.now = minute * MINUTE
        site.publish(minute)
        minutes.append(minute)
        ages = {each: site.now - each * MINUTE for each in minutes}
        assert all(site.knows(each) for each, age in ages.items() if age < KEPT_SECONDS)
        longest = 2 * (KEPT_SECONDS + 901 * MINUTE)  # it forgets when it is told something
        assert site.remembered() <= sum(age <= longest for age in ages.values())


def test_a_numbered_trade_is_known_by_its_number_whatever_its_time() -> None:
    """Kraken's times over REST are a microsecond later now and then."""
    body = b'{"error":[],"result":{"BTC/USD":[["1.0","2.0",1762796304.127987,"s","l","",7]],"last":"1"}}'
    (trade,) = TRADES.parse(PageRequest("BTC/USD", 1), body, 1).events
    site, key = Site(), ("trade", "BTC/USD", "")
    site.published.note("kraken", key, [replace(trade, transaction_time_ns=trade.transaction_time_ns - 1000)])

    assert site.published.unknown("kraken", key, [trade]) == []
    other = replace(trade, trade_number=8, trade_id="8")
    assert site.published.unknown("kraken", key, [other]) == [other]


def test_a_job_that_lasts_for_days_finds_all_that_was_published_meanwhile() -> None:
    site = Site()
    site.publish(0)
    job = object()
    site.published.begun(job)
    around = MissingRange(Series(*KEY), 0, 2 * MINUTE_NS)
    around.include(site.published.of("kraken", *KEY))
    for minute in range(10, 5_000, 10):
        site.now = minute * MINUTE
        site.publish(minute)
        site.published.begun(job)  # anew
    assert all(site.knows(minute) for minute in range(10, 5_000, 10))
    assert candle(0) in around
    site.published.ended(job)
    for minute in range(5_000, 9_000, 10):
        site.now = minute * MINUTE
        site.publish(minute)
    assert not any(site.knows(minute) for minute in range(0, 5_000, 10))


def test_who_publishes_again_knows_only_what_came_since() -> None:
    site = Site()
    site.publish(1)
    since = site.published.from_now_on()
    site.publish(2)
    assert [each.open_time_ns for each in since.unknown("kraken", KEY, [candle(1), candle(2)])] == [MINUTE_NS]


@given(
    there=st.lists(st.tuples(st.integers(1, 19), st.integers(0, 2)), max_size=30),
    begin=st.integers(0, 9),
    stop=st.integers(10, 20),
)
def test_a_hole_is_cut_by_all_that_is_there_whoever_says_so(
    there: list[tuple[int, int]], begin: int, stop: int
) -> None:
    """In the log, or published since in one of two times of remembering."""
    around, one = (MissingRange(Series(*KEY), 1_000, 2_000) for _ in range(2))
    others = Published(), Published()
    for number, place in there:
        one.add(number * MINUTE_NS, (number + 1) * MINUTE_NS, True, True, 9_000)
        if place == 2:
            around.add(number * MINUTE_NS, (number + 1) * MINUTE_NS, True, True, 9_000)
        else:
            others[place].note("kraken", KEY, [candle(number)])
    for each in (around, one):
        each.add(begin * MINUTE_NS, (begin + 1) * MINUTE_NS, True, False, 900)
        each.add(stop * MINUTE_NS, (stop + 1) * MINUTE_NS, True, False, 2_500)
    for other in others:
        around.include(other.of("kraken", *KEY))
    assert around.hole() == one.hole()
