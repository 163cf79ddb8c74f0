"""Conservation from samples of /status: what is balanced, in flight, set aside, unexplained. No process, no clock."""

from typing import Any

import pytest

from wsadapter.audit_balance import (
    BALANCED,
    BEFORE,
    CONSUMER,
    DEAD,
    IN_FLIGHT,
    KAFKA,
    MISSED,
    RESTARTED,
    TABLES,
    UNEXPLAINED,
    VENUE,
    balance,
    settled,
)

Sample = dict[str, Any]


def sample(time: float = 0.0, *, lag: int = 0, ring: int = 0, letters: int = 0, restarts: tuple[str, ...] = (),
           **totals: Any) -> Sample:  # fmt: skip
    """A road of one stream, trade, through which 1000 events went; ``totals`` say what is different."""
    same = dict.fromkeys(("events", "delivered", "consumed", "accepted_rows"), 1000) | totals
    by_stream = (
        "sent",
        "events",
        "dropped",
        "copies",
        "twins",
        "delivered",
        "consumed",
        "redelivered",
        "accepted_rows",
        "rejected_rows",
    )
    words = {name: {"trade": same[name]} if same.get(name) else {} for name in by_stream}
    return {
        "time": time,
        "totals": {
            **words, "frames": 1000, "decode_errors": {}, "gaps": totals.get("gaps", {}), "open_candles": 0,
            "dead_letters": letters, "lag": lag,
        },
        "children": [{"role": role, "restarts": 1} for role in restarts],
        "consumers": [{"lag": {"trade": lag} if lag else {}}],
        "serializers": [{"outstanding": 0, "spool_records": 0, "dead_letters": letters}],
        "rings": [{"used_bytes": ring}],
    }  # fmt: skip


def twice(**totals: Any) -> list[Sample]:
    return [sample(0.0, **totals), sample(1.0, **totals)]


def verdicts(samples: list[Sample], **more: Any) -> dict[str, str]:
    return {one.hop: one.verdict for one in balance(samples, False, **more).balances}


def test_all_is_balanced() -> None:
    live = balance(twice(sent=1000), False)

    assert {one.hop: one.verdict for one in live.balances} == dict.fromkeys((VENUE, KAFKA, CONSUMER, TABLES), BALANCED)
    assert (live.verdict, live.unexplained) == (BALANCED, 0)


def test_a_venue_that_is_not_ours_is_not_asked() -> None:
    assert VENUE not in verdicts(twice())


@pytest.mark.parametrize(
    ("hop", "totals"),
    [
        (VENUE, {"sent": 1007}),
        (KAFKA, {"delivered": 993, "consumed": 993, "accepted_rows": 993}),
        (CONSUMER, {"consumed": 993, "accepted_rows": 993}),
        (TABLES, {"accepted_rows": 993}),
    ],
)
def test_what_is_gone_on_one_hop_is_unexplained(hop: str, totals: dict[str, int]) -> None:
    live = balance(twice(**totals), False)

    assert [(one.hop, one.rest) for one in live.balances if one.verdict == UNEXPLAINED] == [(hop, 7)]
    assert (live.verdict, live.unexplained) == (UNEXPLAINED, 7)


def test_what_is_set_aside_is_no_loss() -> None:
    assert set(verdicts(twice(sent=1010, dropped=10, accepted_rows=990, rejected_rows=10)).values()) == {BALANCED}
    assert verdicts(twice(consumed=1020, redelivered=20)) == dict.fromkeys((KAFKA, CONSUMER, TABLES), BALANCED)


def test_open_candles_are_filtered_unless_they_are_kept() -> None:
    samples = [
        {**one, "totals": {**one["totals"], "consumed": {"kline": 100}, "accepted_rows": {"kline": 10},
                           "events": {}, "delivered": {"kline": 100}, "open_candles": 90}}
        for one in twice()
    ]  # fmt: skip
    assert {o.hop: o.verdict for o in balance(samples, False, "kline").balances}[TABLES] == BALANCED
    assert {o.hop: o.verdict for o in balance(samples, True, "kline").balances}[TABLES] == UNEXPLAINED


def test_a_queue_explains_what_it_holds_and_no_more() -> None:
    behind = {"consumed": 900, "accepted_rows": 900}
    assert verdicts(twice(lag=100, **behind))[CONSUMER] == IN_FLIGHT
    assert verdicts(twice(lag=99, **behind))[CONSUMER] == UNEXPLAINED
    assert verdicts(twice(ring=32 * 100, events=1100))[KAFKA] == IN_FLIGHT


def test_what_is_moving_is_in_flight_until_a_sample_has_nothing_between() -> None:
    moving = [sample(0.0, events=2000, delivered=1000), sample(1.0, events=2600, delivered=2000)]
    assert verdicts(moving)[KAFKA] == IN_FLIGHT
    assert not settled(moving, False)

    assert verdicts([*moving, sample(2.0, events=3000, delivered=3000)])[KAFKA] == BALANCED


def test_a_killed_process_leaves_at_most_a_batch() -> None:
    assert verdicts(twice(events=1300, restarts=("ingest",)))[KAFKA] == RESTARTED
    assert verdicts(twice(events=1300, restarts=("consumer",)))[KAFKA] == UNEXPLAINED
    assert verdicts(twice(events=1_001_000, restarts=("ingest",)))[KAFKA] == UNEXPLAINED


def test_more_out_than_in_is_from_before() -> None:
    assert verdicts(twice(consumed=1200, accepted_rows=1200))[CONSUMER] == BEFORE


def test_gaps_explain_what_the_venue_sent_meanwhile() -> None:
    assert verdicts(twice(sent=1100, gaps={"disconnect": 1}))[VENUE] == MISSED
    assert verdicts(twice(sent=1100, gaps={"connect": 2}))[VENUE] == UNEXPLAINED


def test_dead_letters_are_known() -> None:
    assert verdicts(twice(events=1003, letters=3))[KAFKA] == DEAD
    assert verdicts(twice(events=1004, letters=3))[KAFKA] == UNEXPLAINED


def test_one_stream_alone() -> None:
    assert verdicts(twice(), stream="depth") == {}


def test_two_samples_are_needed() -> None:
    assert not settled([sample()], False)
    assert settled(twice(), False)
