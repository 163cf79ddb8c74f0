"""What a venue trades, as tables: one `Listing` a kind of list, each element a row of table ``instrument``. Pure.

    SYMBOLS = Listing("venue", Request("/v1/symbols"), SymbolRow, rows_of, instrument(
        symbol="name", status="state", tick_size=decimal_or_none("priceFilter.tick"), contract_size=constant("1"), ...))

A row is declared field by field in the mapping language of the streams. Guarantees: `BadAnswer` is all that reading
raises. An element that cannot be read, or whose sizes are no plain decimals, is left out; an answer of which none can
be read is bad as a whole. A list that comes in pages is asked for to its end, or to `MOST_PAGES`.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from wsadapter.events.decimals import NotPlain, are_plain
from wsadapter.exchanges.conversion import converting, given_of
from wsadapter.exchanges.mapping import NONE, Op, Step, constant, defaults, ordered, refuse_incomplete
from wsadapter.exchanges.rest_api import BadAnswer, Fetch, Instrument, Limit, Listed, Request, Traded, checked, elements
from wsadapter.exchanges.second_look import FAILURES
from wsadapter.exchanges.slips import of_fields, refuse_unknown_fields

MOST_PAGES: Final = 100
MADE_HERE: Final = ("exchange", "receive_time_ns")
DECIMALS: Final = (
    "contract_size",
    "multiplier",
    "tick_size",
    "step_size",
    "min_quantity",
    "max_quantity",
    "min_notional",
)
Fields = Mapping[str, str | Step]


class ListingPage(Struct, frozen=True):
    """``following``: what asks for the next page, None after the last one."""

    instruments: list[Instrument]
    weights: Limit | None
    following: Request | None


def instrument(*, absent: Iterable[str] = (), **fields: str | Step) -> Fields:
    """Every column of an `Instrument` that has no default is named, or named as ``absent``: `TypeError` for one that is
    forgotten."""
    complete = {**defaults(Instrument), **fields, **dict.fromkeys(absent, NONE)}
    refuse_incomplete(Instrument, {*complete, *MADE_HERE})
    return complete


class Listing:
    """See the module docstring.

    ``listed``: see `wsadapter.exchanges.rest_api.Listed`. ``wanted``: whether an element is of what the exchange word
    stands for. ``cursor``: body -> what parameter ``cursor_name`` of the next page's request says, empty after the last
    page. ``weights``: what the answer says that the host allows in all. ``lax``: numbers may be texts."""

    def __init__(
        self, exchange: str, request: Request, wire: type[Struct], listed: Listed,
        fields: Fields, *, lax: bool = False, wanted: Callable[[Any], bool] | None = None,
        cursor: Callable[[bytes], str] | None = None, cursor_name: str = "cursor",
        weights: Callable[[bytes], Limit | None] = lambda body: None,
    ) -> None:  # fmt: skip
        refuse_unknown_fields(f"{exchange}: {request.path}", wire, of_fields(Instrument, fields))
        self.request = request
        self._listed, self._wanted, self._weights = listed, wanted, weights
        self._cursor, self._cursor_name = cursor, cursor_name
        self._decode = Decoder(wire, strict=not lax).decode
        made = {"exchange": constant(exchange), "receive_time_ns": Step(Op.GIVEN, "receive_time_ns")}
        steps = ordered(Instrument, {**made, **fields})
        as_steps = {name: Step(Op.SAME, step) if isinstance(step, str) else step for name, step in steps.items()}
        computed = {name: step for name, step in as_steps.items() if step.op is Op.GIVEN and name not in made}
        self._given = given_of(computed.values())
        self._convert = converting(wire, Instrument, as_steps, tuple(computed))

    def fetch(self, request: Request) -> Fetch:
        return Fetch(request, lambda body, received_ns: self.parse(body, received_ns, request))

    def parse(self, body: bytes, received_ns: int, request: Request | None = None) -> ListingPage:
        """Raises `BadAnswer` and nothing else."""
        rows = elements(self._listed, body)
        instruments, unread = [], 0
        for element in rows:
            try:
                if (row := self._instrument(element, received_ns)) is not None:
                    instruments.append(row)
            except FAILURES:
                unread += 1
        if rows and unread == len(rows):
            raise BadAnswer("no instrument that can be read")
        cursor = checked(self._cursor, body) if self._cursor and rows else ""
        return ListingPage(instruments, self._weights(body), self._following(request or self.request, cursor))

    def _instrument(self, element: Raw, received_ns: int) -> Instrument | None:
        d = self._decode(element)
        if self._wanted is not None and not self._wanted(d):
            return None
        given = self._given(d, None, None, ()) if self._given else ()
        row: Instrument = self._convert(d, received_ns, "", None, *given)
        if not are_plain(*(getattr(row, name) or "0" for name in DECIMALS)):
            raise NotPlain("instrument")
        return row

    def _following(self, request: Request, cursor: str) -> Request | None:
        if not cursor:
            return None
        query = {**dict(self.request.query), self._cursor_name: cursor}
        following = replace(request, query=tuple(query.items()))
        return None if following == request else following


def everything(listings: Iterable[Listing]) -> Generator[Fetch, ListingPage, Traded]:
    """All pages of all lists."""
    traded = Traded([], None)
    for listing in listings:
        request: Request | None = listing.request
        for _ in range(MOST_PAGES):
            if request is None:
                break
            page = yield listing.fetch(request)
            traded.instruments += page.instruments
            traded.weights = page.weights or traded.weights
            request = page.following
    return traded
