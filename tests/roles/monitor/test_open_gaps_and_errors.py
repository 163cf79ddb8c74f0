"""What /status says of gaps that last and of the last errors, in virtual time."""

from pathlib import Path

from wsadapter.config.model import Config, ServiceConfig
from wsadapter.metrics import GAP_CAUSES
from wsadapter.roles.monitor.history import History
from wsadapter.roles.monitor.open_gaps import MAX_GAPS, open_gaps
from wsadapter.roles.monitor.recent_errors import MAX_ERRORS, RecentErrors
from wsadapter.roles.monitor.snapshot import Reading, Snapshot
from wsadapter.roles.orders import WatchedStream
from wsadapter.times import SECOND


def look(directory: Path, *children: Reading, second: int = 0) -> Snapshot:
    at = second * SECOND
    supervisor = Reading("supervisor", "supervisor", {})
    config = Config(ServiceConfig("i", str(directory)))
    return Snapshot(config, 1_000 * SECOND + at, at, 0, supervisor, children, ())


def ingest(**cells: int) -> Reading:
    return Reading("ingest", "binance-0", cells, exchange="binance")


def test_gaps_that_last_of_a_connection_a_stream_and_a_polled_symbol(tmp_path: Path) -> None:
    name = "btcusdt@trade"
    connection = Reading(
        "ingest",
        "binance-0",
        {
            "gap_position": 5,
            "gap_started_ns": 30 * SECOND,
            "gap_cause": GAP_CAUSES.index("disconnect"),
            f'gap_position{{stream="{name}"}}': 9,
            f'gap_started_ns{{stream="{name}"}}': 20 * SECOND,
            'gap_position{stream="other"}': 0,
            'gap_started_ns{stream="other"}': 10 * SECOND,
        },
        exchange="binance",
        streams={(name, "binance"): WatchedStream(name, "trade", "BTCUSDT", "binance")},
    )
    labels = '{stream="ethusdt@openInterest",exchange="bybit"}'
    repairer = Reading(
        "repairer",
        "repairer",
        {
            "gaps_open": 3,
            f"silence_position{labels}": 1,
            f"silence_started_ns{labels}": 40 * SECOND,
            f"silence_cause{labels}": GAP_CAUSES.index("restart"),
        },
    )

    found = open_gaps(look(tmp_path, connection, repairer))

    assert (found["count"], found["to_repair"]) == (3, 3)
    assert [(gap["since"], gap["exchange"], gap["symbol"], gap["stream"], gap["cause"]) for gap in found["gaps"]] == [
        (20.0, "binance", "BTCUSDT", "trade", "stale"),
        (30.0, "binance", "", "", "disconnect"),
        (40.0, "bybit", "", "", "restart"),
    ]


def test_more_gaps_than_are_listed_are_counted(tmp_path: Path) -> None:
    cells = {f'gap_position{{stream="s{number}"}}': 1 for number in range(MAX_GAPS + 7)}
    found = open_gaps(look(tmp_path, ingest(**cells)))
    assert (found["count"], len(found["gaps"])) == (MAX_GAPS + 7, MAX_GAPS)


def test_an_error_is_told_with_the_time_of_the_look_that_saw_it(tmp_path: Path) -> None:
    errors = RecentErrors()
    errors.observe(look(tmp_path, ingest(**{'decode_errors_total{kind="json"}': 4}), second=1))
    assert errors.newest_first() == []  # when that was nobody knows
    errors.observe(look(tmp_path, ingest(**{'decode_errors_total{kind="json"}': 6}), second=2))
    errors.observe(look(tmp_path, ingest(**{'decode_errors_total{kind="json"}': 6}), second=3))

    (error,) = errors.newest_first()
    assert (error["time"], error["name"], error["labels"], error["count"]) == (1_002.0, "binance-0", "json", 2)
    assert error["what"] == "Frames or events that the decoder refused"


def test_a_page_that_was_made_anew_counts_from_0_and_the_newest_comes_first(tmp_path: Path) -> None:
    errors = RecentErrors()
    errors.observe(look(tmp_path, ingest(error_count=9), second=1))
    errors.observe(look(tmp_path, ingest(error_count=2), second=2))
    errors.observe(look(tmp_path, ingest(error_count=2, **{'ring_dropped_total{stream="trade"}': 5}), second=3))
    assert [(error["metric"], error["count"]) for error in errors.newest_first()] == [
        ("ring_dropped_total", 5),
        ("connection_errors_total", 2),
    ]


def test_a_child_that_was_started_again_is_named_once(tmp_path: Path) -> None:
    errors = RecentErrors()
    for count in (0, 1):
        cells = {'child_restarts_total{role="kafka",name="kafka",reason="hung"}': count}
        errors.observe(look(tmp_path, Reading("supervisor", "supervisor", cells), second=count))
    (error,) = errors.newest_first()
    assert (error["labels"], error["count"]) == ("kafka, hung", 1)


def test_no_more_errors_are_kept_than_that(tmp_path: Path) -> None:
    errors = RecentErrors()
    for number in range(3 * MAX_ERRORS):
        reading = Reading("ingest", f"binance-{number}", {"error_count": 1})
        errors.observe(look(tmp_path, reading, second=number))
    assert len(errors.newest_first()) == MAX_ERRORS


def test_since_when_it_is_ready_and_how_long_the_lag_takes(tmp_path: Path) -> None:
    history = History()

    def consumer(consumed: int, lag: int) -> Reading:
        return Reading(
            "consumer",
            "consumer-0",
            {
                'consumed_total{stream="trade"}': consumed,
                'consumer_lag{stream="trade"}': lag,
            },
        )

    for second in range(20):
        now = look(tmp_path, consumer(100 * second, 250), second=second)
        history.observe(now, [] if second >= 7 else ["kafka: starting"])
    assert (history.ready_since_ns, history.not_ready_since_ns) == (1_007 * SECOND, 0)
    assert history.lag_seconds(now) == 2.5
    assert history.lag_seconds(look(tmp_path, consumer(1_900, 0), second=20)) == 0
    for service in ("broker_up", "clickhouse_up"):
        cut = Reading("consumer", "consumer-0", {**consumer(1_900, 250).cells, service: 0})
        assert history.lag_seconds(look(tmp_path, cut, second=20)) is None

    for second in range(20, 60):
        now = look(tmp_path, consumer(1_900, 250 + second), second=second)
        history.observe(now, [])
    assert history.lag_seconds(now) is None  # nothing is consumed: no number of seconds is true
