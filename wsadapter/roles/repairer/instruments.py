"""Table ``instrument``: what each symbol of a venue is, asked for at the start and then every hour. With it the venue
says what it allows: the host's budget goes by that.

`InstrumentPoll` is a `wsadapter.roles.repairer.host_queue.Job` without an end; `InstrumentTable` inserts what it read,
straight into ClickHouse: it is no event, and a later row of a symbol replaces the one before (by version, the receive
time), so that to insert twice does no harm. ClickHouse may be away for as long as it likes: the newest rows of each
venue are kept.
"""

import random
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final

import msgspec

from wsadapter.backoff import Backoff
from wsadapter.config.model import ClickHouseConfig
from wsadapter.exchanges.rest_api import (
    Instrument,
    Limit,
    RequestRefused,
    RestError,
    RestExchange,
    Turnover,
    canonical_name,
)
from wsadapter.executor import DaemonExecutor
from wsadapter.log import Repeated, get_logger
from wsadapter.roles.repairer.host_queue import Job, Pause, Steps

EVERY_SECONDS: Final = 3600.0
AGAIN: Final = Backoff(2.0, 120.0)
WHOLE_DIGITS, DECIMALS = 26, 12
"""Of the table's steps."""

log = get_logger()


class InstrumentPoll(Job):
    """``result``: what the last answer said, until somebody takes it from here, and ``turnovers`` with it if it is to
    be ``ranked``. ``allow`` is told what the host allows, while nothing is under way to it. ``every``: seconds."""

    punctual = True

    def __init__(
        self,
        exchange: str,
        rest: RestExchange,
        allow: Callable[[Limit], None],
        every: float = EVERY_SECONDS,
        ranked: bool = False,
    ) -> None:
        super().__init__()
        self._every, self._ranked = every, ranked
        self._allow = allow
        self.lane = f"instruments:{exchange}"
        self.exchange = exchange
        self.errors = 0
        self.result: list[Instrument] | None = None
        self.turnovers: dict[str, Turnover] = {}
        self._rest = rest
        self._repeated = Repeated()

    def run(self) -> Steps:
        failures = 0
        until = self.not_before
        while True:
            now = yield Pause(until)
            try:
                traded = yield from self._rest.instruments()
                turnovers = (yield from self._rest.turnovers()) if self._ranked else {}
            except RequestRefused as error:
                self._failed(error)
                until = now + self._every
            except RestError as error:
                self._failed(error)
                until = now + min(AGAIN.bound(failures), self._every)
                failures += 1
            else:
                failures = 0
                until = now + self._every
                self.result, self.turnovers = traded.instruments, turnovers
                if traded.weights is not None:
                    self._allow(traded.weights)

    def _failed(self, error: RestError) -> None:
        self.errors += 1
        if (kept_back := self._repeated(type(error).__name__)) is not None:
            log.warning("listing not fetched", exchange=self.exchange, reason=str(error), repeated=kept_back)


class InstrumentTable:
    """The inserts, one at a time in a thread of its own. ``rows`` and ``failures`` count."""

    def __init__(self, settings: ClickHouseConfig) -> None:
        self.rows = self.failures = 0
        self._settings = settings
        self._threads = DaemonExecutor(1, "instruments")
        self._waiting: dict[str, dict[str, Instrument]] = {}
        self._under_way: tuple[str, dict[str, Instrument], Future[None]] | None = None
        self._not_before = 0.0
        self._failed = 0
        self._repeated = Repeated()

    def put(self, exchange: str, rows: Iterable[Instrument]) -> None:
        """A newer row of a symbol takes the place of one that waits; of symbols that are not in it the old ones stay:
        one that is listed no more has its last row once."""
        self._waiting.setdefault(exchange, {}).update({row.symbol: row for row in rows})

    def step(self, now: float) -> None:
        """Look what became of the insert under way; begin the next one. Never waits, never raises."""
        if self._under_way is not None:
            exchange, rows, future = self._under_way
            if not future.done():
                return
            self._under_way = None
            self._over(exchange, rows, future.exception(), now)
        if self._waiting and now >= self._not_before:
            exchange, rows = self._waiting.popitem()
            text = lines(rows.values())
            self._under_way = exchange, rows, self._threads.call(lambda: _insert(self._settings, text))

    def _over(self, exchange: str, rows: dict[str, Instrument], error: BaseException | None, now: float) -> None:
        if error is None:
            self.rows += len(rows)
            self._failed = 0
            return
        self.failures += 1
        self._not_before = now + AGAIN.minimum + AGAIN.delay(self._failed, random.random)
        self._failed += 1
        self._waiting[exchange] = rows | self._waiting.get(exchange, {})  # newer ones may have come meanwhile
        if (kept_back := self._repeated(type(error).__name__)) is not None:
            log.info("instruments wait for ClickHouse", reason=str(error)[:300], repeated=kept_back)


def lines(rows: Iterable[Instrument]) -> bytes:
    """The rows as JSON lines for the table."""
    return b"\n".join(map(msgspec.json.encode, map(_row, rows)))


def _row(row: Instrument) -> dict[str, Any]:
    seconds, rest = divmod(row.receive_time_ns, 1_000_000_000)
    return {
        "exchange": row.exchange,
        "symbol": row.symbol,
        "status": row.status,
        "base_currency": row.base_asset,
        "quote_currency": row.quote_asset,
        "settle_currency": row.margin_asset or "",
        "contract_size": _kept(row.contract_size),
        "contract_currency": row.contract_currency or "",
        "tick_size": _kept(row.tick_size),
        "step_size": _kept(row.step_size),
        "canonical": canonical_name(row),
        "kind": row.kind,
        "multiplier": _kept(row.multiplier),
        "funding_interval": row.funding_interval,
        "open_interest_sides": row.open_interest_sides,
        "time": f"{seconds}.{rest:09}",
        "version": row.receive_time_ns,
    }


def _kept(text: str | None) -> str | None:
    """None where the column cannot hold it exactly: one such symbol must not keep the others out."""
    whole, _, decimals = (text or "").partition(".")
    fits = len(whole.lstrip("-0")) <= WHOLE_DIGITS and len(decimals.rstrip("0")) <= DECIMALS
    return text if text and fits else None


def _insert(settings: ClickHouseConfig, text: bytes) -> None:
    from wsadapter.clickhouse.client import connect  # half a second and some MB, for one insert an hour
    from wsadapter.clickhouse.conversion import quoted
    from wsadapter.clickhouse.schema import INSTRUMENT

    client = connect(settings)
    try:
        table = f"{quoted(settings.database)}.{quoted(INSTRUMENT)}"
        client.raw_insert(table, insert_block=text, fmt="JSONEachRow")
    finally:
        client.close()
