"""Drift: each new thing counted and said once, a sample kept; a small share of the messages is looked at."""

from pathlib import Path

from eventually import eventually
from samples import trade

from wsadapter.events import StreamType
from wsadapter.exchanges.venue import Cadence, Subscription
from wsadapter.roles.ingest.drift import MOST, MOST_BYTES, SHARE, SOONEST, WINDOW, Drift, Paces

KNOWN = {"trade": frozenset({"p", "q"})}


def watch(path: Path) -> Drift:
    return Drift("binance", KNOWN, path / "drift")


def test_a_new_field_is_counted_once_and_one_message_is_kept(tmp_path: Path) -> None:
    drift = watch(tmp_path)
    for number in range(3):
        drift.look(b'{"p":"1","q":"2","zz":%d}' % number, [trade(number)])
        drift.look(b'{"p":"1","q":"2"}', [trade(number)])
    eventually(lambda: drift.counts["field"] == 1)
    (file,) = (tmp_path / "drift").iterdir()
    assert (file.name, file.read_bytes()) == ("binance-field-trade_zz.txt", b'{"p":"1","q":"2","zz":0}')


def test_what_an_earlier_process_found_is_not_new(tmp_path: Path) -> None:
    first, second = watch(tmp_path), watch(tmp_path)
    first.unknown_event('{"e":"somethingNew","E":1}')
    eventually(lambda: first.counts["event"] == 1)
    assert [file.name for file in (tmp_path / "drift").iterdir()] == ["binance-event-somethingNew.txt"]
    second.unknown_event('{"e":"somethingNew","E":2}')
    second.unknown_event('{"e":"another","E":2}')
    eventually(lambda: second.counts["event"] == 1)
    assert second.counts.total() == 1


def test_it_is_bounded_whatever_a_venue_sends(tmp_path: Path) -> None:
    drift = watch(tmp_path)
    for number in range(3 * MOST):
        drift.look(b'{"../x%d":"%b"}' % (number, b"y" * 2 * MOST_BYTES), [trade(1)])
    eventually(lambda: drift.counts["field"] == MOST)
    files = list((tmp_path / "drift").iterdir())
    assert len(files) == MOST
    assert all(file.stat().st_size == MOST_BYTES for file in files)


def test_a_disk_that_refuses_keeps_nothing_from_being_counted(tmp_path: Path) -> None:
    (tmp_path / "drift").write_text("in the way")
    drift = watch(tmp_path)
    drift.unknown_event("{}")
    eventually(lambda: drift.counts["event"] == 1)


def test_how_many_messages_are_looked_at(tmp_path: Path) -> None:
    drift = watch(tmp_path)
    assert drift.share(0, 0.0) == 0
    assert drift.share(5, 1.0) == 1  # the first ones
    assert drift.share(5 + SHARE - 1, 2.0) == 0
    assert drift.share(5 + 3 * SHARE, 2.5) == 3
    assert drift.share(6 + 3 * SHARE, 2.5 + SOONEST) == 1
    assert drift.share(6 + 3 * SHARE, 99.0) == 0
    assert Drift("another", None, tmp_path).share(10_000, 100.0) == 0


def paced(paces: Paces, seconds: float, windows: int, begin: float) -> list[tuple[str, float, float]]:
    """A message each so many seconds, looked at as often."""
    found = []
    for number in range(round(windows * WINDOW / seconds) + 1):
        now = begin + number * seconds
        found += paces.look({"a": round(now * 1e9) + 1, "b": 0}, now)
    return found


def test_another_pace_of_a_stream_that_keeps_time_is_told_once() -> None:
    mark = Subscription("a", StreamType.MARK_PRICE, "BTCUSDT")
    market = Subscription("b", StreamType.TRADE, "BTCUSDT")
    paces = Paces([mark, market], {"a": Cadence(silence=60, first=60), "b": Cadence(silence=60, first=60, rhythm=20)})
    assert paced(paces, 1.0, 3, 0.0) == []
    changed = paced(paces, 3.0, 4, 10_000.0)
    assert [word for word, _, _ in changed] == ["mark_price"]
    assert paced(paces, 3.0, 3, 20_000.0) == []


def test_a_connection_that_was_away_is_no_other_pace() -> None:
    paces = Paces([Subscription("a", StreamType.MARK_PRICE, "BTCUSDT")], {"a": Cadence(silence=60, first=60)})
    paced(paces, 1.0, 2, 0.0)
    for number in range(10):
        paces.broken()
        assert paces.look({"a": number}, 10_000.0 + number * WINDOW) == []
