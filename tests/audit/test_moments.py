"""Times as operators write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.times import SECOND, iso, moment, span

NOW = 1_790_000_000_123_456_789
MIDNIGHT = 1_789_948_800 * SECOND


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90s", NOW - 90 * SECOND),
        ("1.5h", NOW - 5400 * SECOND),
        ("2d", NOW - 172_800 * SECOND),
        ("1w", NOW - 604_800 * SECOND),
        ("60", NOW - 60 * SECOND),
        ("999999.5", NOW - 999_999_500_000_000),
        ("2026-09-21", MIDNIGHT),
        ("2026-09-21T00:00:01.000000007Z", MIDNIGHT + SECOND + 7),
        ("2026-09-21 00:00:00.5", MIDNIGHT + SECOND // 2),
        ("2026-09-21T00:00:00,5Z", MIDNIGHT + SECOND // 2),
        ("2026-09-21T02:00:00+02:00", MIDNIGHT),
    ],
)
def test_a_moment(text: str, found: int) -> None:
    assert moment(text, NOW) == found


@pytest.mark.parametrize("text", ["", "soon", "1 h", "-5s", "2026-13-01", "1e3", "9d9", "2300-01-01", "1960-01-01",
                                  "20261122", "1795899000", "1795899000.5", "1234567", "²", "٣"])  # fmt: skip
def test_no_moment(text: str) -> None:
    """Also what is a date or a time to whoever writes it and would be seconds back from now."""
    with pytest.raises(ValueError, match="is not"):
        moment(text, NOW)


@given(st.integers(0, 2**63 - 1))
def test_what_is_shown_can_be_given(at_ns: int) -> None:
    text = iso(at_ns)
    assert text is not None
    assert moment(text, NOW) == at_ns


@given(st.text(max_size=30))
def test_no_text_is_a_crash(text: str) -> None:
    try:
        moment(text, NOW)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(1.5, "1.500 s"), (90, "1 m 30 s"), (3600, "1 h 00 m"), (90_000, "1 d 01 h"), (59.9999, "60.000 s")],
)
def test_a_span(seconds: float, shown: str) -> None:
    assert span(round(seconds * SECOND)) == shown
