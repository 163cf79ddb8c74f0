"""What a venue trades, over a stub's list: columns, pages, elements that are none of ours or cannot be read."""

import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Raw, Struct, structs
from msgspec.json import Decoder

from wsadapter.exchanges.listing import Listing, everything, instrument
from wsadapter.exchanges.mapping import computed, constant, defaults, ms_text, number_or_none, or_none
from wsadapter.exchanges.rest_api import (
    BadAnswer,
    ErrorKind,
    Errors,
    Fetch,
    Frontage,
    Instrument,
    Limit,
    Refusal,
    Request,
    Traded,
    Turnover,
    canonical_name,
)
from wsadapter.exchanges.turnover import Tickers

NOW = 1_790_000_000_000_000_000
NAMES = ("symbol", "status", "base_asset", "quote_asset", "contract_size", "tick_size", "onboard_time_ns")


class Filter(Struct, frozen=True):
    step: str = ""


class Row(Struct):
    name: str
    state: str
    kind: str = "spot"
    tick: Raw = Raw()
    size: Filter = Filter()
    since: str | None = None


class Body(Struct):
    list: list[Raw]
    cursor: str = ""
    most: int = 0


read = Decoder(Body).decode
ABSENT = sorted({*Instrument.__struct_fields__} - {
    *("exchange", "receive_time_ns", "step_size", "contract_currency"), *NAMES, *defaults(Instrument),
})  # fmt: skip
FIELDS: dict[str, Any] = {
    "symbol": "name", "status": "state", "base_asset": computed(lambda d, e: d.name.split("/")[0]),
    "quote_asset": computed(lambda d, e: d.name.split("/")[1]), "contract_size": constant("1"),
    "contract_currency": constant(None), "tick_size": number_or_none("tick"), "step_size": or_none("size.step"),
    "onboard_time_ns": ms_text("since"),
}  # fmt: skip
LISTING = Listing(
    "stub", Request("/list", (("limit", "2"),)), Row, lambda body: read(body).list, instrument(absent=ABSENT, **FIELDS),
    wanted=lambda d: d.kind == "spot", cursor=lambda body: read(body).cursor, cursor_name="after",
    weights=lambda body: Limit(read(body).most, 60.0) if read(body).most else None,
)  # fmt: skip


def element(name: str, **changes: object) -> dict[str, object]:
    return {"name": name, "state": "online"} | changes


def body(*elements: object, **fields: object) -> bytes:
    return json.dumps({"list": elements} | fields).encode()


def test_a_row_is_declared_field_by_field() -> None:
    raw = b'{"list":[{"name":"A/B","state":"online","tick":5e-05,"size":{"step":"0.10"},"since":"1598252400000"}]}'
    (row,) = LISTING.parse(raw, NOW).instruments

    assert (row.exchange, row.symbol, row.receive_time_ns) == ("stub", "A/B", NOW)
    assert (row.base_asset, row.quote_asset, row.tick_size, row.step_size) == ("A", "B", "0.00005", "0.10")
    assert (row.onboard_time_ns, row.delivery_time_ns) == (1_598_252_400_000_000_000, None)


def test_rows_may_come_as_those_of_a_page() -> None:
    """With the venue's time beside them."""

    def rows_of(body: bytes) -> tuple[list[Raw], int]:
        return read(body).list, 5

    listing = Listing("stub", Request("/list"), Row, rows_of, instrument(absent=ABSENT, **FIELDS))
    assert [row.symbol for row in listing.parse(body(element("A/B")), NOW).instruments] == ["A/B"]
    tickers = Tickers(Request("/tickers"), rows_of, symbol="name", volume="sold", price="last")
    found = tickers.parse(body({"name": "A/B", "sold": "7", "last": "2"}), NOW)
    assert found == {"A/B": Turnover(Decimal(7), Decimal(2))}


def test_one_name_over_all_venues() -> None:
    (row,) = LISTING.parse(body(element("BTC/USD")), NOW).instruments
    friday = 1_798_200_000 * 10**9

    def name(**changes: Any) -> str:
        return canonical_name(structs.replace(row, **changes))

    assert name(kind="spot") == "BTC/USD"
    assert name(kind="perpetual", margin_asset="USDC") == "BTC/USD:USDC"
    assert name(kind="future", margin_asset="BTC", delivery_time_ns=friday) == "BTC/USD:BTC-261225"
    assert name(kind="option", canonical="BTC/USD:BTC-261225-90000-C") == "BTC/USD:BTC-261225-90000-C"
    for unsaid in ({}, {"kind": "perpetual"}, {"kind": "future", "margin_asset": "BTC"}, {"kind": "option"}):
        assert name(**unsaid) == "", "nothing is made up"
    assert name(kind="spot", quote_asset="") == ""


@pytest.mark.parametrize("since", [None, "", "0", "-1", "never", "9" * 30])
def test_a_time_that_is_none(since: str | None) -> None:
    (row,) = LISTING.parse(body(element("A/B", since=since)), NOW).instruments

    assert row.onboard_time_ns is None


def test_a_column_that_is_forgotten_or_unknown_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="tick_size"):
        instrument(absent=ABSENT, **{name: step for name, step in FIELDS.items() if name != "tick_size"})
    with pytest.raises(TypeError, match="tack_size"):
        instrument(absent=ABSENT, tack_size="name", **FIELDS)


@pytest.mark.parametrize(
    "bad", [5, {"name": "A/B"}, element("A"), element("A/B", size={"step": "1e5"}), element("A/B", tick="NaN"),
            element("A/B", size={"step": "-1"})],
)  # fmt: skip
def test_an_element_that_cannot_be_read_costs_only_itself(bad: object) -> None:
    page = LISTING.parse(body(bad, element("C/D"), bad), NOW)

    assert [row.symbol for row in page.instruments] == ["C/D"]
    with pytest.raises(BadAnswer):
        LISTING.parse(body(bad), NOW)


def test_what_the_word_does_not_stand_for_is_no_instrument_and_no_fault() -> None:
    assert LISTING.parse(body(element("A/B", kind="demo")), NOW).instruments == []
    assert LISTING.parse(body(), NOW).instruments == []


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"list":5}'])
def test_bad_answers_raise_nothing_else(raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        LISTING.parse(raw, NOW)


def asked(answers: list[bytes], *listings: Listing) -> tuple[Traded, list[Request]]:
    steps, requests = everything(listings), []
    fetch: Fetch = next(steps)
    while True:
        requests.append(fetch.request)
        try:
            fetch = steps.send(fetch.parse(answers.pop(0), NOW))
        except StopIteration as end:
            return end.value, requests


def test_pages_are_followed_to_the_end_list_by_list() -> None:
    answers = [
        body(element("A/B"), element("C/D"), cursor="x", most=7), body(element("E/F"), cursor=""), body(element("G/H")),
    ]  # fmt: skip
    traded, requests = asked(answers, LISTING, LISTING)

    assert [row.symbol for row in traded.instruments] == ["A/B", "C/D", "E/F", "G/H"]
    assert [request.query for request in requests] == [
        (("limit", "2"),), (("limit", "2"), ("after", "x")), (("limit", "2"),),
    ]  # fmt: skip
    assert traded.weights == Limit(7, 60.0)


def test_a_cursor_that_leads_nowhere_or_has_no_end_ends() -> None:
    same = body(element("A/B"), cursor="x")
    traded, requests = asked([same, same], LISTING)
    assert (len(traded.instruments), len(requests)) == (2, 2)
    endless = [body(element("A/B"), cursor=str(number)) for number in range(200)]
    traded, requests = asked(endless, LISTING)
    assert len(requests) == 100
    traded, requests = asked([body(cursor="x")], LISTING)
    assert len(requests) == 1, "an empty page is the last one"


class ErrorBody(Struct):
    code: str
    msg: str = ""


def error(status: int, body: bytes) -> tuple[str, str] | None:
    answer = Decoder(ErrorBody).decode(body)
    return None if answer.code == "0" else (answer.code, answer.msg)


ERRORS = Errors(
    error, limited=frozenset(("429",)), again=frozenset(("500",)), final=frozenset(("404",)),
    frontages=(Frontage(403, b"too frequent", 60.0),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "raw", "expected"),
    [
        (200, b'{"code":"0"}', None),
        (200, b'{"code":"51001","msg":"\\u001b[31mno"}', Refusal("51001", "?[31mno")),
        (200, b'{"code":"429"}', Refusal("429", "", ErrorKind.LIMITED)),
        (200, b'{"code":"500"}', Refusal("500", "", ErrorKind.AGAIN)),
        (500, b'{"code":"51001"}', Refusal("51001", "", ErrorKind.AGAIN)),
        (500, b'{"code":"404"}', Refusal("404", "")),
        (500, b'{"code":"429"}', Refusal("429", "", ErrorKind.LIMITED)),
        (400, b"<html>", None),
        (403, b"<html>Too Frequent</html>", Refusal(403, "too frequent", ErrorKind.LIMITED, 60.0)),
        (404, b"<html>Too Frequent</html>", None),
    ],
)  # fmt: skip
def test_errors_are_classified_by_their_codes(status: int, raw: bytes, expected: Refusal | None) -> None:
    found = ERRORS.refusal(status, raw)

    if expected is None or found is None:
        assert found is expected
    else:
        assert (found.code, found.kind, found.seconds) == (expected.code, expected.kind, expected.seconds)
        assert found.message.isprintable()
