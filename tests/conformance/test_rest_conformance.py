"""What the REST side of every venue must give, against its counterpart's."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from conformance.pair import MS, RATE, Pair
from conformance.test_conformance import EXCHANGES, essence
from exchanges.driving import drive
from messages import message_of
from roles.repairer.driven import Driven

from wsadapter.config.symbol_rules import Rules, Top
from wsadapter.embedded.exchange.rest_server import parameters
from wsadapter.embedded.market.candles import open_ms
from wsadapter.embedded.market.rest_tables import DeclaredRest, Refused
from wsadapter.events import Depth, FundingRate, Kline, Source, Trade
from wsadapter.events.streams import BY_STREAM
from wsadapter.exchanges import load, load_rest
from wsadapter.exchanges.intervals import length_ms
from wsadapter.exchanges.rest_api import BadAnswer, ErrorKind, Fetch, Hole, Request, RestExchange, Turnover
from wsadapter.exchanges.session import VenueSession
from wsadapter.listings.feeds import market_of
from wsadapter.listings.kept import KeptListing, following, refused
from wsadapter.listings.selection import Before, select
from wsadapter.roles.repairer.candle_ends import GRACE_NS, CandleEnd, CandleEnds
from wsadapter.roles.repairer.open_candles import ended_by_others
from wsadapter.roles.repairer.published import Published

HOUR_MS = 3_600_000
WITH_REST = [word for word in EXCHANGES if load_rest(word) is not None]


@pytest.fixture(params=WITH_REST)
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


def rest_of(pair: Pair) -> RestExchange:
    assert pair.rest is not None
    return pair.rest


def answer(pair: Pair) -> Callable[[Request], bytes]:
    def answered(request: Request) -> bytes:
        reply = pair.answers.answer(request.path, {**dict(request.query), **parameters(request.body)})
        assert reply.status == 200, (request, reply)
        assert rest_of(pair).refusal(reply.status, reply.body) is None
        return reply.body

    return answered


def filled(pair: Pair, hole: Hole) -> list[Any]:
    result, events = drive(rest_of(pair).repair(hole), answer(pair), pair.now_ms * MS)
    assert result.published == len(events)
    assert {event.source for event in events} <= {Source.REST}
    return events


def symbols(pair: Pair) -> tuple[str, ...]:
    return pair.lines[0].plan.symbols


def same(ours: Any, theirs: Any, *names: str) -> bool:
    return all(getattr(ours, name) == getattr(theirs, name) for name in names)


def test_trades_of_a_hole_are_the_streamed_ones(pair: Pair) -> None:
    if "trade" not in pair.feed.streams:
        pytest.skip("no trades")
    symbol = symbols(pair)[0]
    pair.open().run(6.0)
    streamed = [e for e in pair.events if isinstance(e, Trade) and e.symbol == symbol]
    missing = streamed[len(streamed) // 3 : len(streamed) // 2]
    if missing[0].trade_number is None and not numbers_of(missing[0]):
        missing = streamed[-4:-1]  # there is but the newest page
    first = missing[0].trade_number or min(map(int, numbers_of(missing[0])), default=None)
    last = missing[-1].trade_number or missing[-1].last_trade_id
    times = [(trade.transaction_time_ns or trade.event_time_ns or 0) for trade in missing]
    hole = Hole("trade", symbol, times[0], times[-1], first, last)
    if rest_of(pair).repair(hole) is None:
        pytest.skip("the venue keeps none")
    found = filled(pair, hole)
    for trade in missing:
        numbers = {trade.trade_id, *numbers_of(trade)}
        parts = [each for each in found if each.trade_id in numbers]
        assert parts, trade
        assert all(same(part, trade, "price", "buyer_is_maker", "aggregated") for part in parts)
        assert sum(Decimal(part.quantity) for part in parts) == Decimal(trade.quantity)
        assert parts[-1].trade_id == trade.trade_id
    if first is not None and not found[0].aggregated and found[0].trade_number is not None:
        assert [each.trade_number for each in found] == list(range(first, (last or 0) + 1))


def numbers_of(trade: Trade) -> set[str]:
    """Those that an aggregated trade stands for, where the venue gives single ones for it."""
    if trade.trade_number is not None or trade.first_trade_id is None or trade.last_trade_id is None:
        return set()
    return {str(number) for number in range(trade.first_trade_id, trade.last_trade_id + 1)}


def test_candles_of_a_hole_are_the_streamed_ones(pair: Pair) -> None:
    symbol, interval = symbols(pair)[0], pair.feed.intervals[0]
    if "kline" not in pair.feed.streams:
        pytest.skip("no candles")
    minutes = length_ms(interval) / 60_000
    pair = Pair(pair.exchange, streams=("kline",), rate=RATE / minutes).open()
    pair.run(200.0 * minutes, step_ms=round(200 * minutes))
    streamed = [
        e for e in pair.events if isinstance(e, Kline) and e.symbol == symbol and e.interval == interval and e.closed
    ]
    wanted = streamed[1:3]
    hole = Hole(
        "kline", symbol, wanted[0].close_time_ns, wanted[-1].close_time_ns, wanted[0].open_time_ns,
        wanted[-1].open_time_ns, interval,
    )  # fmt: skip
    if rest_of(pair).repair(hole) is None:
        pytest.skip("the venue keeps none")
    found = filled(pair, hole)
    assert [candle.open_time_ns for candle in found] == [candle.open_time_ns for candle in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.closed
        assert same(ours, theirs, "open", "high", "low", "close", "volume", "close_time_ns")


def test_a_candle_whose_successor_does_not_come_is_closed_by_its_row(pair: Pair) -> None:
    """Where nothing else says that a candle is over: its symbol falls silent before its end."""
    if "kline" not in pair.feed.streams:
        pytest.skip("no candles")
    pair = Pair(pair.exchange, streams=("kline",))
    if not (series := ended_by_others(line.plan for line in pair.lines)):
        pytest.skip("the venue closes them itself")
    pair.open().run(3.0)
    log = [message_of(BY_STREAM["kline"])(event, 0, 0) for event in pair.events]
    newest = {(each.symbol, each.interval): each for each in log}
    assert {(pair.exchange, *key) for key in newest} <= set(series)
    for line in pair.lines:
        line.changed = lambda told: []
    shortest = [each for each in newest.values() if each.interval == pair.feed.intervals[0]]
    end_ms = max(each.close_time_ns for each in shortest) // MS
    pair.run((end_ms - pair.now_ms) / 1000 + GRACE_NS / 1e9 + 1.0, step_ms=500)
    ends = CandleEnds(series)
    for candle in log:
        ends.add(candle)
    due = ends.due(pair.exchange, pair.now_ms * MS)
    assert {each.open_time_ns for each in shortest} <= {each.open_time_ns for each in due}
    for each in due:
        job = CandleEnd(each, ends, rest_of(pair), lambda: pair.now_ms * MS, Published())
        row = confirmed(job, answer(pair), pair.now_ms * MS)
        assert (row.exchange, row.symbol, row.interval) == (each.exchange, each.symbol, each.interval)
        assert (row.open_time_ns, row.close_time_ns) == (each.open_time_ns, each.close_time_ns)
        assert row.closed
        assert row.source is Source.REST
        assert job.confirmed
    assert ends.due(pair.exchange, pair.now_ms * MS) == []


def test_long_candles_open_where_those_of_rest_do(pair: Pair) -> None:
    """Days at midnight of UTC, weeks on Mondays: else the row of another time would be asked for. A week of few trades
    passes."""
    session = load(pair.exchange)
    assert issubclass(session, VenueSession)
    channels = [channel for each in (session, *session.others) for channel in each.venue.channels]
    codes = {code: length_ms(code) for channel in channels for code in channel.intervals or ()}
    intervals = tuple(code for code, ms in codes.items() if HOUR_MS <= ms <= 7 * 24 * HOUR_MS)
    if not intervals:
        pytest.skip("it has but short ones")
    pair = Pair(pair.exchange, symbols(pair)[:1], ("kline",), rate=0.05, intervals=intervals).open()
    while {e.interval for e in pair.events if isinstance(e, Kline)} != set(intervals):
        pair.run(60.0, step_ms=10_000)
    told = {(e.interval, e.open_time_ns): e for e in pair.events if isinstance(e, Kline)}
    for line in pair.lines:
        line.changed = lambda said: []
    pair.run(max(e.close_time_ns for e in told.values()) / 1e9 - pair.now_ms / 1000 + 60.0, step_ms=1_800_000)
    for (interval, opened), streamed in told.items():
        assert streamed.close_time_ns + MS - opened == codes[interval] * MS
        assert opened // MS == open_ms(interval, opened // MS)
        hole = Hole("kline", streamed.symbol, opened, streamed.close_time_ns, opened, opened, interval)
        (row,) = filled(pair, hole)
        assert (row.open_time_ns, row.close_time_ns, row.closed) == (opened, streamed.close_time_ns, True)


def test_every_interval_of_the_stream_is_kept_over_rest(pair: Pair) -> None:
    """Else its last candle before a silence would stay open."""
    session = load(pair.exchange)
    assert issubclass(session, VenueSession)
    channels = [channel for each in (session, *session.others) for channel in each.venue.channels]
    for code in {code for channel in channels for code in channel.intervals or ()}:
        assert rest_of(pair).repair(Hole("kline", symbols(pair)[0], 0, 1, 0, 0, code)) is not None


def confirmed(job: CandleEnd, answer: Callable[[Request], bytes], now_ns: int) -> Kline:
    """The one row that it publishes."""
    driven = Driven(job)
    while (request := driven.at(0.0)) is not None:
        driven.answer(answer(request), now_ns)
    (row,) = driven.events
    assert isinstance(row, Kline)
    return row


def test_settled_rates_and_the_book(pair: Pair) -> None:
    symbol = symbols(pair)[0]
    pair.open().run(2.0)
    now_ns = pair.now_ms * MS
    rates = Hole("funding_rate", symbol, now_ns - 30 * HOUR_MS * MS, now_ns)
    if rest_of(pair).repair(rates) is not None:
        found = filled(pair, rates)
        assert len(found) >= 3
        assert {(type(each), each.symbol) for each in found} == {(FundingRate, symbol)}
        times = [each.transaction_time_ns or 0 for each in found]
        assert times == sorted(set(times))
    book = Hole("depth", symbol, now_ns - 1000 * MS, now_ns)
    if rest_of(pair).repair(book) is not None:
        (depth,) = filled(pair, book)
        assert (type(depth), depth.symbol) == (Depth, symbol)
        best = pair.floor.open(symbol).instrument.price_text(pair.floor.open(symbol).book.best_bid)
        assert depth.bid_price[0] == best


def test_what_is_traded_is_listed(pair: Pair) -> None:
    steps = rest_of(pair).instruments()
    reply: Any = None
    while True:
        try:
            fetch = steps.send(reply)
        except StopIteration as end:
            listed = {each.symbol: each for each in end.value.instruments}
            break
        assert isinstance(fetch, Fetch)
        reply = fetch.parse(answer(pair)(fetch.request), pair.now_ms * MS)
    for symbol in symbols(pair):
        assert listed[symbol].exchange == pair.exchange
        assert listed[symbol].tick_size or listed[symbol].step_size
        assert listed[symbol].base_asset


def test_open_interest_where_it_is_polled(pair: Pair) -> None:
    if "open_interest" not in rest_of(pair).polled:
        pytest.skip("it is streamed, or there is none")
    symbol = symbols(pair)[0]
    pair.open().run(1.0)
    body = answer(pair)(rest_of(pair).open_interest(symbol))
    event = rest_of(pair).parse_open_interest(symbol, body, pair.now_ms * MS)
    assert essence([event])[0]["symbol"] == symbol
    market = pair.floor.open(symbol)
    assert event.open_interest in (
        market.instrument.quantity_text(market.open_interest()),
        market.instrument.quantity_text(market.open_interest() - market.candles.minute.volume),
    )


@pytest.mark.parametrize("kind", ["symbol", "missing", "parameter", "interval"])
def test_an_error_is_a_refusal(pair: Pair, kind: str) -> None:
    if not isinstance(pair.answers, DeclaredRest):
        pytest.skip("not declared")
    reply = pair.answers.table.error(Refused(kind, "zz"), pair.now_ms)
    refusal = rest_of(pair).refusal(reply.status, reply.body)
    assert refusal is not None
    assert refusal.kind is ErrorKind.FINAL
    assert refusal.message.isprintable()


def test_too_many_requests_are_told_apart(pair: Pair) -> None:
    request = _listing(pair)
    query = {**dict(request.query), **parameters(request.body)}
    replies = [pair.answers.answer(request.path, query) for _ in range(3000)]
    last = replies[-1]
    refusal = rest_of(pair).refusal(last.status, last.body)
    limited = refusal is not None and refusal.kind is ErrorKind.LIMITED
    assert limited or last.status in {429, 418, *rest_of(pair).banned}


def test_everything_listed_can_be_selected_by_rules(pair: Pair) -> None:
    """Its words for what is traded are known, and turnovers rank it, where a list says them."""
    rest, traded = rest_of(pair), symbols(pair)
    pair.open().run(3.0)
    everything, _ = drive(rest.instruments(), answer(pair), pair.now_ms * MS)  # type: ignore[arg-type]
    turnovers: dict[str, Turnover] = {}
    if rest.ranks:
        turnovers, _ = drive(rest.turnovers(), answer(pair), pair.now_ms * MS)  # type: ignore[arg-type, assignment]
        assert all(turnovers[symbol].quote_volume > 0 and turnovers[symbol].last > 0 for symbol in traded)
    listing = following(KeptListing(), "host", everything.instruments, turnovers, 1)  # type: ignore[attr-defined]
    assert refused(KeptListing(), listing, rest.trading, ranked=True) == ""
    market = market_of(pair.exchange, listing)
    assert {*select(Rules(globs=("*",)), market, Before(), lambda symbol: "").symbols} >= {*traded}
    if rest.ranks:
        (first,) = select(Rules(tops=(Top(1),)), market, Before(), lambda symbol: "").symbols
        assert listing.volumes[first] == max(listing.volumes.values()) > 0


def _listing(pair: Pair) -> Request:
    fetch: Fetch = next(rest_of(pair).instruments())
    return fetch.request


@pytest.mark.parametrize("status", [403, 418, 429, 451, 500, 502, 503])
def test_pages_of_what_stands_before_the_api_say_nothing_of_the_request(pair: Pair, status: int) -> None:
    refusal = rest_of(pair).refusal(status, b"<html><body>Access denied</body></html>")
    assert refusal is None or refusal.kind is not ErrorKind.FINAL


@pytest.mark.parametrize(
    "body", [b"", b"null", b"{}", b"[]", b"[null]", b'{"result":null}', b'{"data":null}', b"\xff", b"7"]
)
def test_answers_that_say_nothing_are_bad_and_nothing_else(pair: Pair, body: bytes) -> None:
    symbol, now_ns = symbols(pair)[0], pair.now_ms * MS
    holes = [
        Hole("trade", symbol, now_ns - 1000 * MS, now_ns, 5, 9),
        Hole("kline", symbol, now_ns - HOUR_MS * MS, now_ns, interval=pair.feed.intervals[0]),
        Hole("funding_rate", symbol, now_ns - 30 * HOUR_MS * MS, now_ns),
        Hole("depth", symbol, now_ns, now_ns),
    ]
    for hole in holes:
        if (filling := rest_of(pair).repair(hole)) is not None:
            try:
                _, events = drive(filling, lambda request: body, now_ns)
            except BadAnswer:
                continue
            assert events == []
    try:
        found, _ = drive(rest_of(pair).turnovers(), lambda request: body, now_ns)  # type: ignore[arg-type]
    except BadAnswer:
        return
    assert found == {}  # type: ignore[comparison-overlap]


def test_the_time_of_the_venue_is_read(pair: Pair) -> None:
    asks = rest_of(pair).server_time
    if asks is None:
        pytest.skip("its API says no time, or whole seconds")

    assert asks.read(answer(pair)(asks.request)) == pair.now_ms * MS
