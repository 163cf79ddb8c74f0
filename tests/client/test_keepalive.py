"""The ping policy, in virtual time."""

from hypothesis import given
from hypothesis import strategies as st

from wsadapter.client.protocol import GRACE_SECONDS, Action, Keepalive

INTERVAL, TIMEOUT = 10.0, 4.0


def verdict(reads: list[float], until: float, timeout: float = TIMEOUT) -> tuple[list[float], float | None]:
    """Times of the pings, and of the verdict (None = alive at the end) when frames come at ``reads``."""
    policy, now = Keepalive(INTERVAL, timeout), 0.0
    pings: list[float] = []
    while now <= until:
        action, again = policy.check(now, max([0.0, *(read for read in reads if read <= now)]))
        if action is Action.DEAD:
            return pings, now
        if action is Action.PING:
            pings.append(now)
        assert again > 0
        now += again
    return pings, None


def test_silence_is_pinged_once_and_then_the_end() -> None:
    assert verdict([], 100) == ([10], 10 + TIMEOUT + GRACE_SECONDS)


def test_frames_need_no_ping() -> None:
    assert verdict([n * 9.0 for n in range(20)], 170) == ([], None)


def test_an_answer_is_life_and_the_next_silence_is_pinged_again() -> None:
    assert verdict([10.1, 20.2], 29) == ([10, 20.1], None)


def test_an_answer_to_a_patient_ping_does_not_delay_the_next() -> None:
    assert verdict([10.1], 60, timeout=30.0) == ([10, 20.1], 20.1 + 30 + GRACE_SECONDS)


def test_what_arrived_while_this_process_slept_counts() -> None:
    policy = Keepalive(INTERVAL, TIMEOUT)
    assert policy.check(10, 0) == (Action.PING, TIMEOUT)
    # asleep until 50; timers run before the socket is read
    assert policy.check(50, 0) == (Action.WAIT, GRACE_SECONDS)
    assert policy.check(50.1, 50.05) == (Action.WAIT, 50.05 + INTERVAL - 50.1)


@given(st.lists(st.floats(0, 300, allow_nan=False), max_size=30), st.floats(0.5, 30))
def test_it_is_never_late_and_never_wrong(reads: list[float], timeout: float) -> None:
    _, dead = verdict(reads, 400, timeout)
    assert dead is not None
    last = max([0.0, *(read for read in reads if read <= dead)])

    late = 0 if timeout <= INTERVAL else INTERVAL / 4
    assert dead - last <= INTERVAL + timeout + late + GRACE_SECONDS + 0.01
    assert dead - last >= timeout
