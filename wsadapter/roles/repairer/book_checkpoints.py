"""Books of venues whose REST answers do not join their changes, made of what was recorded and kept in ClickHouse.

Each symbol is due each ``every`` seconds, spread over them; the first round begins at any of them, as it may take
longer than the process lives. One at a time, in a thread of its own that rests `REST` times as long as it worked: it
takes a quarter of a core at most, and many symbols are less often due. What is made is of `SETTLED` seconds ago, is
proved, and is ours (`wsadapter.stored.book_checkpoints`); while ClickHouse is away nothing is missing but a shorter
way.
"""

import heapq
import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Final

from wsadapter.config.model import ClickHouseConfig
from wsadapter.executor import DaemonExecutor
from wsadapter.log import OUTAGE, Repeated, get_logger
from wsadapter.roles.orders import Checkpoints
from wsadapter.roles.repairer.book_snapshots import from_anywhere

SETTLED: Final = 30.0
"""Seconds after which what was received is in the table as a rule; where it is not, nothing is made."""
REST: Final = 3.0

log = get_logger()


class BookCheckpoints:
    """``made`` and ``failures`` count."""

    def __init__(
        self, settings: ClickHouseConfig, asked: Iterable[Checkpoints], now: float,
        dice: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self.made = self.failures = 0
        self._settings = settings
        self._due = [
            (now + (turn + 1) * each.every / len(each.symbols), each.every, each.exchange, symbol)
            for each in asked
            for turn, symbol in enumerate(from_anywhere(each.symbols, dice))
        ]
        heapq.heapify(self._due)
        self._thread = DaemonExecutor(1, "books")
        self._began = self._not_before = now
        self._under_way: Future[bool] | None = None
        self._repeated = Repeated(*OUTAGE)

    def step(self, now: float, now_ns: int) -> None:
        """Look what became of the one under way; begin the next one. Never waits, never raises."""
        if self._under_way is not None:
            if not self._under_way.done():
                return
            future, self._under_way = self._under_way, None
            self._not_before = now + REST * (now - self._began)
            self._over(future)
        if self._due and now >= max(self._due[0][0], self._not_before):
            due, every, exchange, symbol = self._due[0]
            # what was missed is not caught up
            heapq.heapreplace(self._due, (max(due + every, now), every, exchange, symbol))
            settings, until_ns = self._settings, now_ns - int(SETTLED * 1e9)
            self._began = now
            self._under_way = self._thread.call(lambda: make(settings, exchange, symbol, until_ns))

    def _over(self, future: Future[bool]) -> None:
        error = future.exception()
        if error is None:
            self.made += future.result()
            return
        self.failures += 1
        if (kept_back := self._repeated(type(error).__name__)) is not None:
            log.info("no book was made of recorded changes", reason=str(error)[:300], repeated=kept_back)


def make(settings: ClickHouseConfig, exchange: str, symbol: str, until_ns: int) -> bool:
    """Whether there was one to make."""
    # half a second and some MB, for those who record books as changes
    from wsadapter.clickhouse.client import connect
    from wsadapter.clickhouse.conversion import quoted
    from wsadapter.clickhouse.schema import BOOK_CHECKPOINT
    from wsadapter.stored import Stored
    from wsadapter.stored.book_checkpoints import checkpoint_line

    with Stored.of(settings) as stored:
        checkpoint = stored.book_checkpoint(exchange, symbol, until_ns)
    if checkpoint is None:
        return False
    line = checkpoint_line(exchange, symbol, checkpoint, time.time_ns())
    client = connect(settings)
    try:
        table = f"{quoted(settings.database)}.{quoted(BOOK_CHECKPOINT)}"
        client.raw_insert(table, insert_block=line, fmt="JSONEachRow")
    finally:
        client.close()
    return True
