"""A venue's REST side as tables: one `Page` a kind of answer, one `RestTables` for all of them; what it trades says a
`wsadapter.exchanges.listing.Listing`. Pure.

    KLINES = Page("bybit", "/v5/market/kline", {"symbol": "{symbol}", "interval": "{code}", "end": "{last_ms}", ...},
                  CandleRow, CANDLE, listed, key="open_time_ns", wire_key="opened", most=1000)

A page says what is asked, where in the body its rows are, what a row is on the wire and which event it becomes, in the
mapping language of the streams. Guarantees: `BadAnswer` is all that reading raises. A row that cannot be read costs
itself: it is named (`Rows.bad`) and the others are read; an answer of which no row can be read is bad as a whole, and
so is one whose rows are out of order or more than were asked for.
"""

import re
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial
from string import Formatter
from typing import Any, Final
from urllib.parse import quote

from msgspec import Raw, Struct, defstruct
from msgspec.json import Decoder, encode

from wsadapter.events import Event, OpenInterest, Source
from wsadapter.exchanges.conversion import compiled
from wsadapter.exchanges.listing import Listing, everything
from wsadapter.exchanges.mapping import Emit, constant, emit
from wsadapter.exchanges.planning import stream_type
from wsadapter.exchanges.rest_api import (
    CONNECTION,
    BadAnswer,
    BookRule,
    Errors,
    Fetch,
    Filling,
    Hole,
    Limit,
    Refusal,
    Request,
    Rows,
    Series,
    ServerTime,
    Traded,
    Turnover,
    checked,
)
from wsadapter.exchanges.second_look import FAILURES
from wsadapter.exchanges.slips import of_emit, refuse_unknown_fields
from wsadapter.exchanges.turnover import Tickers, turnovers
from wsadapter.exchanges.values import DAY_MS, MOST, MS
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.text import printable

SURELY_CLOSED_NS: Final = 2_000_000_000
"""So long after its end by our clock, which may be ahead, a candle that no other follows counts as closed."""

Listed = Callable[[bytes], tuple[list[Raw], int | None]]
"""Body -> its rows, and the venue's time (ms) where it says it; raises `FAILURES` and `BadAnswer`."""


GIVEN: Final = frozenset((
    "symbol", "interval", "code", "limit", "first", "behind", "offset", "cursor", "number", "since_ns", "from_ns",
    *(f"{name}_{unit}" for name in ("first", "last", "until", "since", "before") for unit in ("ms", "s")),
))  # fmt: skip
"""What a request may be made of; which walker (`wsadapter.exchanges.history`) gives which of it says each."""


class NoEvent(ValueError):
    """A row of the right form that is none: a page that names the next one may have nothing but these."""


class PageRequest(Struct, frozen=True):
    """What a request was about; the ``sub`` of the mapping."""

    symbol: str
    limit: int
    interval: str = ""


def row(event: type[Event], **fields: Any) -> Emit:
    """The event that a row becomes, see `wsadapter.exchanges.mapping.emit`."""
    return emit(event, source=constant(Source.REST), **fields)


class Page:
    """See the module docstring.

    ``path`` and ``query``: templates over symbol, interval, ``code`` (the venue's word for it), limit and what the
    repair gives (times in ms as ``..._ms``, in seconds as ``..._s``; ``before_...`` is the one before the first,
    ``until_...`` the one behind the last); what is empty then is not asked; ``post``: the same of what is asked in a
    body, where a value that is nothing but
    ``{name}`` is that itself, a number say. ``key``: the event's field by which rows are in order (``strict``: none
    twice), in the wire Struct ``wire_key`` times ``unit``; ``end_key``: the next one begins behind it. ``symbol``: the
    wire's field that must be what was asked for. ``newest_first``: so they come, and ``keeps_newest``: of a range
    with more rows than a page the oldest are left out, which is so with the former, too. ``fills_up``: its rows end
    before a time, and older ones than were meant make it full. ``sorts``: which of both is not known. ``whole``:
    the venue knows no limit, and may give all that it has. ``finds``: its rows tell only where those of another page
    begin. ``quiet``: of candles, an interval without trades has none. ``kept``: interval -> so many of them back are
    there (not said: all). ``kept_ms``: of trades, so far back they are there for sure; left out it is the least that a
    venue documents. ``cursor``: body -> what asks for the rows that follow. ``lax``: numbers may be texts.
    ``most``: rows of a page; ``window_ms``: the longest time of one request; ``step_ms``: of trades, what the venue's
    times count in; ``mosts``: interval -> ``most`` of its candles, where they have another one; ``backwards``: of
    candles, it counts ``limit`` of them back from a range's end, and where they would begin before those that are
    there it gives none: no more are asked for than the range has."""

    def __init__(
        self, exchange: str, path: str, query: Mapping[str, str], wire: type[Struct], emitted: Emit, listed: Listed, *,
        key: str, wire_key: str, most: int, unit: int = MS, end_key: str = "", strict: bool = True,
        newest_first: bool = False, keeps_newest: bool = False, fills_up: bool = False, sorts: bool = False,
        lax: bool = False, symbol: str = "", codes: Mapping[str, str] | None = None,
        window_ms: int = 1 << 62, whole: bool = False, cursor: Callable[[bytes], str] | None = None,
        weight: Callable[[int], int] = lambda limit: 1, pool: str = "", post: Mapping[str, Any] | None = None,
        finds: bool = False, quiet: bool = False, kept: Mapping[str, int] | None = None, kept_ms: int = DAY_MS,
        step_ms: int = 1, mosts: Mapping[str, int] | None = None, backwards: bool = False,
    ) -> None:  # fmt: skip
        asked, is_array = _placeholders((path, query, post)), wire.__struct_config__.array_like
        _refuse_slips(f"{exchange}: {path}", asked, wire, emitted, {key, end_key or key}, wire_key, symbol)
        self.path, self.most, self.window_ms, self.finds = path, most, window_ms, finds
        self.quiet, self.kept, self.kept_ms, self.step_ms = quiet, kept or {}, kept_ms, step_ms
        self._mosts, self.backwards = mosts or {}, backwards
        self.fills_up, self._sorts = fills_up, sorts
        self.newest_first, self.keeps_newest = newest_first, newest_first or keeps_newest
        self._name = path.rpartition("/")[2]
        self._query, self._codes, self._weight, self._pool, self._post = query, codes or {}, weight, pool, post
        self._listed, self._symbol, self.whole, self._cursor = listed, symbol, whole, cursor
        self._key, self._end_key, self._strict, self._unit = key, end_key or key, strict, unit
        self._refuse = emitted.refuse
        self._convert, self._given = compiled(exchange, wire, emitted)
        self._decode = Decoder(wire, strict=not lax).decode
        before = wire.__struct_fields__[: wire.__struct_fields__.index(wire_key)] if is_array else ()
        fields: list[tuple[str, type]] = [*((name, Raw) for name in before), (wire_key, int)]
        self._key_of = Decoder(defstruct("RowKey", fields, array_like=is_array), strict=False).decode
        self._wire_key = wire_key

    def most_of(self, interval: str) -> int:
        """Rows of a page of these candles."""
        return self._mosts.get(interval, self.most)

    def fetch(self, hole: Hole, limit: int = 0, **values: Any) -> Fetch:
        """The request for a part of a hole; ``limit`` 0: a whole page."""
        most = self.most_of(hole.interval)
        limit = min(max(limit, 1), most) if limit and not self.whole else most
        in_seconds = {f"{name[:-3]}_s": at // 1000 for name, at in values.items() if name[-3:] == "_ms"}
        if "last_ms" in values:
            values["until_ms"], in_seconds["until_s"] = values["last_ms"] + 1, in_seconds["last_s"] + 1
        in_seconds["before_s"] = in_seconds.get("first_s", 0) - 1
        in_seconds["before_ms"] = values.get("first_ms", 0) - 1
        given = {"symbol": hole.symbol, "interval": hole.interval, "code": self._codes.get(hole.interval, ""),
                 "limit": limit, **values, **in_seconds}  # fmt: skip
        query = tuple((name, said) for name, text in self._query.items() if (said := text.format(**given)))
        path = self.path.format(**{name: quote(str(value), safe="") for name, value in given.items()})
        wanted = PageRequest(hole.symbol, limit, hole.interval)
        body = encode(_filled(self._post, given)) if self._post else b""
        return Fetch(Request(path, query, self._weight(limit), self._pool, body), partial(self.parse, wanted))

    def parse(self, wanted: PageRequest, body: bytes, received_ns: int) -> Rows:
        """Raises `BadAnswer` and nothing else."""
        raws, venue_ms = checked(self._listed, body)
        if len(raws) > wanted.limit:
            raise BadAnswer(f"{self._name}: more rows than were asked for")
        events: list[Any] = []
        bad: list[int | None] = []
        reason = ""
        end: int | None = None
        goes_on = False
        for raw in self._in_order(raws):
            try:
                event = self._event(raw, wanted, received_ns)
            except FAILURES as error:
                goes_on |= self._cursor is not None and type(error) is NoEvent
                bad.append(self._number(raw))
                reason = reason or f"{type(error).__name__}: {printable(str(error))}"
                continue
            key = getattr(event, self._key)
            if end is not None and (key < end or (key == end and self._strict)):
                raise BadAnswer(f"{self._name}: not in order")
            end = getattr(event, self._end_key)
            events.append(event)
        if bad and not (events or goes_on):
            raise BadAnswer(f"{self._name}: {reason}")
        venue_ns = received_ns - SURELY_CLOSED_NS if venue_ms is None else venue_ms * MS
        cursor = checked(self._cursor, body) if self._cursor else ""
        return Rows(events, len(raws), venue_ns, tuple(bad), reason, cursor, by_our_clock=venue_ms is None)

    def _in_order(self, raws: list[Raw]) -> Iterable[Raw]:
        """Oldest first."""
        if self._sorts:
            return sorted(raws, key=lambda raw: self._number(raw) or 0)
        return reversed(raws) if self.newest_first else raws

    def _event(self, raw: Raw, wanted: PageRequest, received_ns: int) -> Any:
        element = self._decode(raw)
        if self._symbol and getattr(element, self._symbol) != wanted.symbol:
            raise ValueError("of another symbol")
        if self._refuse is not None and (reason := self._refuse(element)):
            raise NoEvent(reason)
        given = () if self._given is None else self._given(element, None, wanted, ())
        return self._convert(element, received_ns, CONNECTION, None, *given)

    def _number(self, raw: Raw) -> int | None:
        """Of a row that cannot be read otherwise."""
        try:
            number: int = getattr(self._key_of(raw), self._wire_key) * self._unit
        except FAILURES:
            return None
        return number if 0 <= number <= MOST else None


def _refuse_slips(
    where: str, asked: set[str], wire: type[Struct], emitted: Emit, keys: set[str], wire_key: str, symbol: str
) -> None:
    for name in asked - GIVEN:
        raise TypeError(f"{where}: no walker gives {{{name}}}, only: {' '.join(sorted(GIVEN))}")
    for name in keys - {*emitted.event.__struct_fields__}:
        raise TypeError(f"{where}: key: {emitted.event.__name__} has no field {name!r}")
    if wire_key not in (*wire.__struct_fields__, *wire.__struct_encode_fields__):
        raise TypeError(f"{where}: wire_key: {wire.__name__} has no field {wire_key!r}")
    refuse_unknown_fields(where, wire, [*([("symbol", symbol)] if symbol else []), *of_emit(emitted)])


def _placeholders(template: Any) -> set[str]:
    """Of a text, or of all texts in something."""
    if isinstance(template, str):
        return {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    parts = template.values() if isinstance(template, Mapping) else template if isinstance(template, tuple) else ()
    return set[str]().union(*map(_placeholders, parts))


def _filled(template: Any, given: Mapping[str, Any]) -> Any:
    if isinstance(template, Mapping):
        return {name: _filled(value, given) for name, value in template.items()}
    if not isinstance(template, str):
        return template
    name = _only_name(template)
    return given[name[1]] if name else template.format(**given)


_only_name: Final = re.compile(r"\{(\w+)\}").fullmatch
Repairs = Mapping[str, Callable[[Hole], Filling]]
"""Stream word -> how its holes are filled; words without a history are not there."""


class RestTables:
    """The REST side of a venue: its tables; see `wsadapter.exchanges.rest_api.RestExchange`."""

    live: str
    testnet: str
    """Scheme and host."""
    weights: Limit
    weight_header: str = ""
    reset_header: str = ""
    headers: Mapping[str, str] = {}
    testnet_headers: Mapping[str, str] = {}
    server_time: ServerTime | None = None
    pools: Mapping[str, Limit] = {}
    banned: frozenset[int] = frozenset()
    variants: Mapping[str, Any] = {}
    polled: frozenset[str] = frozenset()
    book_rule: BookRule = BookRule()
    errors: Errors
    repairs: Repairs
    intervals: frozenset[str]
    """Of the candles that it keeps."""
    interest: Page | None = None
    listings: tuple[Listing, ...]
    """Everything that the venue trades."""
    trading: frozenset[str] = frozenset()
    halted: frozenset[str] = frozenset()
    tickers: tuple[Tickers, ...] = ()
    """What all of it turned over."""

    def __init_subclass__(cls) -> None:
        repairs = getattr(cls, "repairs", {})
        for word in repairs:
            stream_type(word)
        if "kline" in repairs and not hasattr(cls, "intervals"):
            raise TypeError(f"{cls.__name__}: candles are repaired, and `intervals` does not say which")

    @property
    def ranks(self) -> bool:
        return bool(self.tickers)

    def base(self, testnet: bool) -> str:
        return self.testnet if testnet else self.live

    def levels(self, name: str) -> int:
        """Of the book of this stream, see `wsadapter.exchanges.rest_api.Series`."""
        return 0

    def series(self, plan: ConnectionPlan) -> list[Series]:
        return [
            Series(word, symbol, each.interval, self.levels(each.name) if word == "depth" else 0)
            for each in plan.subscriptions
            for symbol in ((each.symbol,) if each.symbol else plan.symbols)
            for word in each.feeds or (each.stream.value,)
        ]

    def refusal(self, status: int, body: bytes) -> Refusal | None:
        return self.errors.refusal(status, body)

    def repair(self, hole: Hole) -> Filling | None:
        fill = self.repairs.get(hole.stream)
        if fill is None or (hole.stream == "kline" and hole.interval not in self.intervals):
            return None
        return fill(hole)

    def open_interest(self, symbol: str) -> Request:
        if self.interest is None:
            raise LookupError("no open interest over REST")
        return self.interest.fetch(Hole("open_interest", symbol, 0, 0)).request

    def parse_open_interest(self, symbol: str, body: bytes, received_ns: int) -> OpenInterest:
        if self.interest is None:
            raise LookupError("no open interest over REST")
        rows = self.interest.parse(PageRequest(symbol, 1), body, received_ns)
        if not rows.events:
            raise BadAnswer("no open interest")
        interest: OpenInterest = rows.events[0]
        return interest

    def instruments(self) -> Generator[Fetch, Any, Traded]:
        return everything(self.listings)

    def turnovers(self) -> Generator[Fetch, Any, dict[str, Turnover]]:
        return turnovers(self.tickers)
