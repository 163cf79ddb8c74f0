"""Every form in which a host announces how long it wants to be left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.announced_wait import MAX_SECONDS, host_clock, of_headers, of_text

NOW = 1_795_000_000.0
"""Wed, 18 Nov 2026 11:06:40 GMT"""
RESET = "x-reset-timestamp"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "Wed, 18 Nov 2026 11:16:40 GMT"}, 600.0),
        ({"retry-after": "Wed, 18 Nov 2026 11:00:00 GMT"}, None),
        ({"retry-after": "999999999"}, MAX_SECONDS),
        ({RESET: "1795000004500"}, 4.5),
        ({RESET: "1794999999000"}, None),
        ({RESET: "soon"}, None),
        ({"retry-after": "7", RESET: "1795000004500"}, 7.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert of_headers(headers, RESET, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (
            '{"code":-1003,"msg":"Way too many requests; IP banned until 1795000600000. Please use the websocket"}',
            600.0,
        ),
        ('{"code":-1003,"msg":"Way too many requests; IP(192.0.2.71) banned until 1795000600000."}', 600.0),
        ('{"error":["EService: Throttled: 1795000030"]}', 30.0),
        ('{"error":{"data":{"serverTime":1794999999000,"retryAfter":1795000010000}}}', 10.0),
        ('{"code":"50011","msg":"Rate limit reached. Please refer to API docs and try again in 2 seconds."}', 2.0),
        ('{"code":"50011","msg":"Too Many Requests"}', None),
        ("access too frequent, please try again after 10 minutes", 600.0),
        ("retry after 500 ms", 0.5),
        ("banned until 1794999000000", None),
        ('{"code":-1121,"msg":"Invalid symbol."}', None),
        ("", None),
    ],
)
def test_texts(text: str, seconds: float | None) -> None:
    assert of_text(text.encode(), NOW) == seconds


@pytest.mark.parametrize(
    ("date", "clock"),
    [("Wed, 18 Nov 2026 11:06:30 GMT", NOW - 10), ("Tue, 17 Nov 2026 11:06:40 GMT", NOW), ("x", NOW), ("", NOW)],
)
def test_a_moment_is_one_of_the_host_s_clock(date: str, clock: float) -> None:
    assert host_clock({"date": date}, NOW) == clock


@given(value=st.text(max_size=40), body=st.binary(max_size=80))
def test_whatever_is_said_is_a_wait_or_nothing(value: str, body: bytes) -> None:
    for seconds in (of_headers({"retry-after": value, RESET: value}, RESET, NOW), of_text(body, NOW)):
        assert seconds is None or 0 <= seconds <= MAX_SECONDS
    host_clock({"date": value}, NOW)
