"""Conservation from samples of /status: what is balanced, in flight, set aside, unexplained. No process, no clock."""

from typing import Any

import pytest

from wsadapter.audit.conservation import (
    BALANCED,
    BEFORE,
    DAMAGED,
    IN_FLIGHT,
    MISSED,
    STUCK,
    STUCK_SECONDS,
    UNEXPLAINED,
    balance,
    is_final,
)
from wsadapter.audit.hops import HOPS

SOCKET, DECODER, VENUE, KAFKA, CONSUMER, TABLES = (hop.name for hop in HOPS)
Sample = dict[str, Any]


BY_STREAM = (
    "sent", "events", "repair_records", "dropped", "copies", "twins", "produced", "delivered", "not_sent", "consumed",
    "redelivered",
    "accepted_rows", "rejected_rows", "filtered_rows", "not_inserted", "unsettled_rows",
)  # fmt: skip


def sample(*, lag: int = 0, ring: int = 0, restarts: tuple[str, ...] = (), at: float = 0.0, **totals: Any) -> Sample:
    """A road of one stream, trade, through which 1000 events went; ``totals`` say what is different."""
    same = dict.fromkeys(("events", "produced", "delivered", "consumed", "accepted_rows"), 1000) | totals
    words = {name: {"trade": same[name]} if same.get(name) else {} for name in BY_STREAM}
    decoded = same["events"] + same.get("dropped", 0)
    whole = {
        "decoded": decoded, "too_large": 0, "unencodable": 0, "frames": 1000, "frames_sent": 1000, "spooled": 0,
        "spool_lost": 0,
    }  # fmt: skip
    return {
        "time": at,
        "totals": {
            **{name: totals.get(name, count) for name, count in whole.items()}, **words,
            "decode_errors": {}, "gaps": totals.get("gaps", {}), "dead_letters": 0, "lag": lag,
        },
        "supervisor": {"uptime_seconds": 60.0},
        "children": [{"role": role, "restarts": 1} for role in restarts],
        "consumers": [{"lag": {"trade": lag} if lag else {}}],
        "serializers": [{"outstanding": 0, "spool_records": 0}],
        "rings": [{"used_bytes": ring}],
    }  # fmt: skip


def twice(**totals: Any) -> list[Sample]:
    return [sample(**totals), sample(**totals)]


def verdicts(samples: list[Sample], **more: Any) -> dict[str, str]:
    return {one.hop: one.verdict for one in balance(samples, **more).balances}


def test_all_is_balanced() -> None:
    live = balance(twice(sent=1000))

    hops = SOCKET, DECODER, VENUE, KAFKA, CONSUMER, TABLES
    assert {one.hop: one.verdict for one in live.balances} == dict.fromkeys(hops, BALANCED)
    assert (live.verdict, live.unexplained) == (BALANCED, 0)


def test_a_venue_that_is_not_ours_is_not_asked() -> None:
    assert not {VENUE, SOCKET} & verdicts(twice()).keys()


@pytest.mark.parametrize(
    ("hop", "totals"),
    [
        (SOCKET, {"sent": 1000, "frames_sent": 1007}),
        (DECODER, {"decoded": 1007}),
        (VENUE, {"sent": 1007}),
        (KAFKA, {"delivered": 993, "consumed": 993, "accepted_rows": 993}),
        (CONSUMER, {"consumed": 993, "accepted_rows": 993}),
        (TABLES, {"accepted_rows": 993}),
    ],
)
def test_what_is_gone_on_one_hop_is_unexplained(hop: str, totals: dict[str, int]) -> None:
    live = balance(twice(**totals))

    assert [(one.hop, one.rest) for one in live.balances if one.verdict == UNEXPLAINED] == [(hop, 7)]
    assert (live.verdict, live.unexplained) == (UNEXPLAINED, 7)


def test_what_is_set_aside_is_no_loss() -> None:
    aside = {"rejected_rows": 4, "filtered_rows": 5, "not_inserted": 1, "accepted_rows": 990}
    assert set(verdicts(twice(sent=1010, dropped=10, **aside)).values()) == {BALANCED}
    through = dict.fromkeys((DECODER, KAFKA, CONSUMER, TABLES), BALANCED)
    assert verdicts(twice(consumed=1020, redelivered=20)) == through
    assert verdicts(twice(events=1003, not_sent=3)) == through


def test_a_queue_explains_what_it_holds_and_no_more() -> None:
    behind = {"consumed": 900, "accepted_rows": 900}
    assert verdicts(twice(lag=100, **behind))[CONSUMER] == IN_FLIGHT
    assert verdicts(twice(lag=99, **behind))[CONSUMER] == UNEXPLAINED
    assert verdicts(twice(ring=32 * 100, events=1100))[KAFKA] == IN_FLIGHT


def test_what_is_moving_is_in_flight_until_a_sample_has_nothing_between() -> None:
    moving = [sample(events=2000, delivered=1000), sample(events=2600, delivered=2000)]
    assert verdicts(moving)[KAFKA] == IN_FLIGHT
    assert not is_final(moving)

    assert verdicts([*moving, sample(events=3000, delivered=3000)])[KAFKA] == BALANCED


def test_a_hop_that_is_slow_is_judged_when_it_has_passed_on_what_it_had() -> None:
    slow = [sample(delivered=1000 + n, consumed=900 + n, accepted_rows=900 + n) for n in range(0, 90, 10)]
    assert verdicts(slow)[CONSUMER] == UNEXPLAINED
    assert verdicts([*slow, sample(delivered=1100, consumed=1000, accepted_rows=1000)])[CONSUMER] == IN_FLIGHT


def test_rows_of_which_the_server_has_not_told_are_in_flight() -> None:
    assert verdicts(twice(accepted_rows=900, unsettled_rows=100))[TABLES] == IN_FLIGHT
    assert verdicts(twice(accepted_rows=899, unsettled_rows=100))[TABLES] == UNEXPLAINED


def test_a_restart_explains_nothing() -> None:
    """Counters are exact whatever was killed: so what is missing is missing."""
    for role in ("ingest", "serializer", "consumer"):
        assert verdicts(twice(events=1001, restarts=(role,)))[KAFKA] == UNEXPLAINED


def test_more_out_than_in_is_from_before() -> None:
    assert verdicts(twice(consumed=1200, accepted_rows=1200))[CONSUMER] == BEFORE


def test_gaps_explain_what_the_venue_sent_meanwhile() -> None:
    assert verdicts(twice(sent=1100, gaps={"disconnect": 1}))[VENUE] == MISSED
    assert verdicts(twice(sent=1100, gaps={"connect": 2}))[VENUE] == UNEXPLAINED


def test_what_was_gone_from_kafka_before_it_was_read_is_in_gap_rows() -> None:
    """A topic was deleted with it; of another stream such a gap explains nothing."""
    for about, verdict in (({}, UNEXPLAINED), ({"depth": 1}, UNEXPLAINED), ({"trade": 1}, MISSED)):
        samples = twice(consumed=990, accepted_rows=990)
        for one in samples:
            one["totals"]["kafka_gaps"] = about
        assert verdicts(samples, stream="trade")[CONSUMER] == verdict


@pytest.mark.parametrize("rows", ["kafka_gaps", "letter_gaps"])
def test_gap_rows_that_come_from_no_ring_enter_with_kafka(rows: str) -> None:
    """They are not among what was delivered. One too many would hide one that is lost."""
    for read, verdict in ((3, BALANCED), (2, UNEXPLAINED)):
        samples = twice()
        for one in samples:
            totals = one["totals"]
            totals[rows] = {"trade": 2, "depth": 1}
            for name in ("consumed", "accepted_rows"):
                totals[name]["gap"] = read
        found = {(one.hop, one.stream): one.verdict for one in balance(samples).balances}
        assert found[CONSUMER, "gap"] == verdict
        assert found[CONSUMER, "trade"] == BALANCED


def test_a_damaged_spool_is_said_as_that() -> None:
    assert verdicts(twice(events=1003, spool_lost=3))[KAFKA] == DAMAGED
    assert verdicts(twice(events=1004, spool_lost=3))[KAFKA] == UNEXPLAINED


def test_what_was_sent_again_is_told() -> None:
    live = balance(twice(produced=1100, consumed=1070, redelivered=70))
    assert (live.repeated, live.redelivered, live.verdict) == (100, 70, BALANCED)


def test_one_stream_alone() -> None:
    assert verdicts(twice(), stream="depth") == {DECODER: BALANCED}


def test_two_samples_are_needed() -> None:
    assert not is_final([sample()])
    assert is_final(twice())


def test_what_waits_and_does_not_move_is_stuck() -> None:
    behind: dict[str, Any] = {"lag": 100, "consumed": 900, "accepted_rows": 900}
    early = [sample(**behind), sample(at=STUCK_SECONDS / 2, **behind)]
    assert verdicts(early)[CONSUMER] == IN_FLIGHT
    assert balance(early).is_undecided

    late = [*early, sample(at=STUCK_SECONDS, **behind)]
    assert verdicts(late)[CONSUMER] == STUCK
    live = balance(late)
    assert (live.verdict, live.stuck, live.is_undecided) == (STUCK, {"trade": 100}, False)

    moving = [*early, sample(at=STUCK_SECONDS, **behind | {"consumed": 901})]
    assert verdicts(moving)[CONSUMER] == IN_FLIGHT
    assert not balance(moving).is_undecided


def ours(lag: int, coverage: int, at: float, **totals: Any) -> Sample:
    """The same road, with 100 rows of coverage in Kafka."""
    found = sample(lag=lag, at=at, **totals)
    for name, count in {"events": 100, "delivered": 100, "consumed": coverage, "accepted_rows": coverage}.items():
        found["totals"][name]["coverage"] = count
    found["consumers"][0]["lag"]["coverage"] = 100 - coverage
    return found


def test_what_is_inserted_behind_rows_is_not_stuck_while_they_come() -> None:
    behind: dict[str, Any] = {"consumed": 900, "accepted_rows": 900}
    coming = [ours(100 - n, 40, n * STUCK_SECONDS, consumed=900 + n, accepted_rows=900 + n) for n in range(2)]
    live = balance(coming, stream="coverage")
    assert (live.verdict, live.is_undecided) == (IN_FLIGHT, True)

    still = [ours(100, 40, n * STUCK_SECONDS, **behind) for n in range(2)]
    assert balance(still).stuck == {"trade": 100, "coverage": 60}

    nothing_left = [ours(0, 40, n * STUCK_SECONDS) for n in range(2)]
    assert balance(nothing_left).stuck == {"coverage": 60}


def test_dead_letters_are_counted_by_stream() -> None:
    live = balance(twice(consumed=995, not_sent=5, delivered=995, not_inserted=2, accepted_rows=993))

    assert live.verdict == BALANCED
    assert live.dead_letters == {"trade": 7}


@pytest.mark.parametrize(("uptime", "began_ns"), [(60.0, 40 * 10**9), (None, None)])
def test_the_counters_are_no_younger_than_the_supervisor(uptime: float | None, began_ns: int | None) -> None:
    samples = [sample(at=at) | {"supervisor": {"uptime_seconds": uptime}} for at in (99.0, 100.0)]

    assert balance(samples).began_ns == began_ns
