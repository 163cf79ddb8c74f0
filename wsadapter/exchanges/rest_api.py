"""What the REST side of an exchange is: which requests fill a hole, what their answers say. Sans-I/O like `venue`.

A repair is a generator of steps (`Filling`): it yields a `Fetch`, is sent what the answer says, yields the events to be
published, and returns `Filled`. Whoever sends (within the host's limits, see `wsadapter.rest.budget`) knows no venue.
Events come back with ``source=REST`` and the natural keys of their WebSocket twins, so that a table keeps one row of
both.

Guarantee: answers are hostile input. `BadAnswer` is all that parsing raises, and a repair ends after a bounded number
of requests whatever the venue answers.
"""

import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar

from msgspec import Raw, Struct

from wsadapter.errors import WsadapterError
from wsadapter.events import MarketEvent, OpenInterest
from wsadapter.events.gaps import RepairState
from wsadapter.exchanges.second_look import FAILURES
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.text import printable

T = TypeVar("T")
CONNECTION: Final = "repair"
"""What events that came by REST name as theirs."""


class RestError(WsadapterError):
    """Why a `Fetch` has no rows; thrown into the generator that yielded it. The message is bounded and printable."""


class BadAnswer(RestError):
    """An answer that cannot be what was asked for."""


def checked(read: Callable[[bytes], T], body: bytes) -> T:
    """What ``read`` makes of an answer; raises `BadAnswer` and nothing else."""
    try:
        return read(body)
    except BadAnswer:
        raise
    except FAILURES as error:
        raise BadAnswer(f"{type(error).__name__}: {printable(str(error))}") from None


Listed = Callable[[bytes], Iterable[Raw] | tuple[list[Raw], int | None]]
"""Body -> its elements, or as a `wsadapter.exchanges.pages.Page` has them, with the venue's time; may raise
`FAILURES`."""


def elements(listed: Listed, body: bytes) -> list[Raw]:
    """Those of an answer; raises `BadAnswer` and nothing else."""
    found = checked(listed, body)
    return list(found[0] if isinstance(found, tuple) else found)


class RequestRefused(RestError):
    """The API itself says that it will never answer this request."""


class TooOld(RequestRefused):
    """Of a time that it no longer answers for; what is newer it does."""


class Unanswered(RestError):
    """Something else than the API answered, or it had no time: that says nothing about the request."""


class Request(Struct, frozen=True):
    """One GET, with a ``body`` (JSON) one POST. ``weight`` counts against the host's minute, ``pool`` names a limit of
    its own beside it (empty: none)."""

    path: str
    query: tuple[tuple[str, str], ...] = ()
    weight: int = 1
    pool: str = ""
    body: bytes = b""


class Limit(Struct, frozen=True):
    """So many units (weight, requests) in so many seconds, for the whole address that we come from."""

    units: int
    seconds: float


class ServerTime(Struct, frozen=True):
    """Where the API says what time it is: ``key`` names the number in the answer, seconds with decimals, ms, us or
    ns."""

    path: str
    key: str

    @property
    def request(self) -> Request:
        return Request(self.path)

    def read(self, body: bytes) -> int:
        """In ns; raises `BadAnswer`."""
        number = rb"(\d{10}\.\d{1,9}|\d{13}(?:\d{3}){0,2})(?![\d.])"
        found = re.search(rb'"%b"\s*:\s*"?%b' % (self.key.encode(), number), body[:4096])
        if found is None:
            raise BadAnswer(f"no time: {printable(body[:100].decode(errors='replace'))}")
        digits = found[1].replace(b".", b"")
        return int(digits.ljust(19, b"0"))


class ErrorKind(StrEnum):
    """What an error of the API is about."""

    FINAL = "final"
    """The request: it will never be answered."""
    TOO_OLD = "too_old"
    """The request, as it reaches back too far: the same of later is answered."""
    AGAIN = "again"
    """The moment: the API is overloaded, restarts, had no time."""
    LIMITED = "limited"
    """Us: too many requests."""


class Refusal(Struct, frozen=True):
    """An error in the API's own shape: its code, and its text, bounded and printable. ``seconds``: how long it wants to
    be left alone, where the venue means a time that it does not name."""

    code: int | str
    message: str
    kind: ErrorKind = ErrorKind.FINAL
    seconds: float | None = None


class Frontage(Struct, frozen=True):
    """What stands before the API refuses us with a page of its own: by its status, and what it says in small letters.
    ``seconds``: how long it wants to be left alone."""

    status: int
    says: bytes
    seconds: float


class Errors(Struct, frozen=True):
    """How the API says that it will not. ``read``: status and body -> code and text, None for an answer that is no
    error; may raise `FAILURES`, where something else than the API answered. Codes that are about us (``limited``),
    about the moment (``again``) or about how far back a request reaches (``too_old``); all others are about the
    request, of status 5xx only those that are known to be (``final``)."""

    read: Callable[[int, bytes], tuple[int | str, str] | None]
    limited: frozenset[int | str] = frozenset()
    again: frozenset[int | str] = frozenset()
    final: frozenset[int | str] = frozenset()
    too_old: frozenset[int | str] = frozenset()
    frontages: tuple[Frontage, ...] = ()

    def refusal(self, status: int, body: bytes) -> Refusal | None:
        """See `RestExchange.refusal`."""
        try:
            error = self.read(status, body)
        except FAILURES:
            page = body[:4096].lower()
            for each in self.frontages:
                if each.status == status and each.says in page:
                    return Refusal(status, each.says.decode(), ErrorKind.LIMITED, each.seconds)
            return None
        if error is None:
            return None
        code, message = error
        return Refusal(code, printable(message), self._kind(status, code))

    def _kind(self, status: int, code: int | str) -> ErrorKind:
        if code in self.limited:
            return ErrorKind.LIMITED
        if code in self.again or (status >= 500 and code not in self.final):
            return ErrorKind.AGAIN
        return ErrorKind.TOO_OLD if code in self.too_old else ErrorKind.FINAL


class Series(Struct, frozen=True):
    """One stream of one symbol that a connection carries, by the words of the configuration (``raw_trade`` beside
    ``trade``). ``levels``: of a book, 0 = diffs."""

    stream: str
    symbol: str
    interval: str = ""
    levels: int = 0


class Hole(Struct, frozen=True):
    """What is missing of one series. ``first`` and ``last`` missing: trade ids, or open times of candles (ns); where
    one is not known the time says it, by the venue's clock. ``levels``: of the book, 0 = all that the venue gives."""

    stream: str
    symbol: str
    started_ns: int
    ended_ns: int
    first: int | None = None
    last: int | None = None
    interval: str = ""
    levels: int = 0


DATE_MARGIN_NS: Final = 1_000_000_000
"""An answer may be of a moment before it is dated."""


class Rows(Struct):
    """What an answer says: its events, oldest first. ``bad``: rows that could not be read, each by its number or time
    (as in the event), None where not even that could be, and ``reason`` why the first could not; ``rows``: all of them.
    ``venue_ns``: by the venue's clock; what ended before has ended. ``by_our_clock``: it says no time in its body, so
    that is made of ours. ``cursor``: what asks for the following ones."""

    events: list[Any]
    rows: int
    venue_ns: int
    bad: tuple[int | None, ...] = ()
    reason: str = ""
    cursor: str = ""
    by_our_clock: bool = False

    def date(self, dated_ns: int) -> None:
        """The host made it then by its own clock, which our own may be ahead of."""
        if self.by_our_clock and dated_ns:
            self.venue_ns = min(self.venue_ns, dated_ns - DATE_MARGIN_NS)


class Fetch(Struct, frozen=True):
    """One request, and what reads its answer (body, receive time): raises `BadAnswer` and nothing else."""

    request: Request
    parse: Callable[[bytes, int], Any]


Runs = tuple[tuple[int, int], ...]
"""First and last number of each, both included."""


class Filled(Struct):
    """What became of a hole. ``published``: events that the venue gave; ``missing``: what it did not give, as far as
    numbers say it; ``reason``: why, where something failed."""

    state: RepairState
    published: int = 0
    missing: Runs = ()
    reason: str = ""


Filling = Generator[Fetch | Sequence[MarketEvent], Any, Filled]
"""How one hole is filled. Is sent the `Rows` of a `Fetch`, nothing for events; a `RestError` is thrown in. With a
`BadAnswer` or `Unanswered` it ends and may be begun anew."""


class Instrument(Struct, frozen=True):
    """What a symbol is; a row of table ``instrument``. Decimal texts and times as in the events; None: not said."""

    exchange: str
    symbol: str
    receive_time_ns: int
    status: str
    contract_type: str | None
    base_asset: str
    quote_asset: str
    margin_asset: str | None
    contract_size: str | None
    """Units of ``contract_currency`` in one of what quantities count: coins (1), or contracts."""
    contract_currency: str | None
    tick_size: str | None
    step_size: str | None
    min_quantity: str | None
    max_quantity: str | None
    min_notional: str | None
    onboard_time_ns: int | None
    delivery_time_ns: int | None
    kind: str = ""
    """spot, perpetual, future or option; empty: not said."""
    multiplier: str | None = None
    """What ``contract_size`` is multiplied by, where the venue has two numbers for it."""
    funding_interval: int | None = None
    """Seconds."""
    open_interest_sides: int | None = None
    """1: the venue counts each open contract once; 2: longs and shorts."""
    canonical: str = ""
    """One name over all venues, see `canonical_name`, where it is not made of the fields above (options)."""


def canonical_name(one: Instrument) -> str:
    """``BTC/USDT`` (spot), ``BTC/USDT:USDT`` (what it is settled in), ``BTC/USD:BTC-261225`` (when); empty where the
    venue does not say enough."""
    if one.canonical or not (one.base_asset and one.quote_asset):
        return one.canonical
    pair = f"{one.base_asset}/{one.quote_asset}"
    if one.kind == "spot":
        return pair
    if one.kind == "perpetual" and one.margin_asset:
        return f"{pair}:{one.margin_asset}"
    if one.kind == "future" and one.margin_asset and one.delivery_time_ns:
        return f"{pair}:{one.margin_asset}-{datetime.fromtimestamp(one.delivery_time_ns // 10**9, UTC):%y%m%d}"
    return ""


class Traded(Struct):
    """Everything that the venue trades. ``weights``: what it says that the host allows in all, None where it does
    not."""

    instruments: list[Instrument]
    weights: Limit | None


class Turnover(Struct, frozen=True):
    """Of a symbol within 24 hours, in its quote currency, and its last price."""

    quote_volume: Decimal
    last: Decimal


class BookRule(Struct, frozen=True):
    """How a book is made of what is recorded. ``whole``: levels of the streams whose books come whole each time;
    changes go on from none of those. ``joins``: a book that is asked for has a number of the changes' own sequence, so
    that they go on from it."""

    whole: frozenset[int] = frozenset()
    joins: bool = False


class RestExchange(Protocol):
    """The REST side of one venue. One instance serves a host; it holds no state of requests."""

    weights: Limit
    """What the host allows in all, as long as it has not said itself (`Traded.weights`)."""
    weight_header: str
    """Response header (lower case) that says how much of ``weights`` is used; empty: none."""
    reset_header: str
    """Response header (lower case) that says when a limit that was exceeded ends, ms since the epoch; empty: none."""
    pools: Mapping[str, Limit]
    """Limits of single groups of requests."""
    banned: frozenset[int]
    """Statuses that mean: come back when the ban is over."""
    headers: Mapping[str, str]
    """Of every request, beside our own."""
    testnet_headers: Mapping[str, str]
    """Of every request to the testnet, beside those."""
    server_time: ServerTime | None
    """None where the API does not say it, or in whole seconds."""

    variants: Mapping[str, Any]
    """Fields that tell the series of a stream apart -> their values in what `repair` gives (``aggregated``)."""
    polled: frozenset[str]
    """Stream words that are asked for over REST because no stream has them."""
    book_rule: BookRule

    trading: frozenset[str]
    """Words of `Instrument.status` that mean: it is traded. Empty: whatever the words are."""
    halted: frozenset[str]
    """Words that mean: not for the moment. What was traded before is not gone."""

    @property
    def ranks(self) -> bool:
        """Whether `turnovers` has anything to ask."""

    def base(self, testnet: bool) -> str:
        """Where it lives, unless the configuration says otherwise: scheme and host."""

    def series(self, plan: ConnectionPlan) -> list[Series]:
        """What a connection carries; a subscription may feed several."""

    def repair(self, hole: Hole) -> Filling | None:
        """How a hole is filled; None for what the venue keeps no history of."""

    def refusal(self, status: int, body: bytes) -> Refusal | None:
        """The error that the API says itself; None for an answer that is none, and for the pages of whatever stands
        before the API, which say nothing about the request. Never raises."""

    def open_interest(self, symbol: str) -> Request: ...

    def parse_open_interest(self, symbol: str, body: bytes, received_ns: int) -> OpenInterest: ...

    def instruments(self) -> Generator[Fetch, Any, Traded]:
        """Asks for everything that the venue trades. Entries that cannot be read are left out."""

    def turnovers(self) -> Generator[Fetch, Any, dict[str, Turnover]]:
        """Asks what each symbol turned over. Entries that cannot be read are left out."""
