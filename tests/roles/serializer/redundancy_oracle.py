"""The oracle for redundant connections: what reached any of their rings, by the venue's numbers, against the tables.

Two records are the same event when the venue's numbers are: so the sets of both sides are compared, and the tables are
counted without FINAL where a watermark stands before them.
"""

import threading
from collections import Counter
from typing import Any

from eventually import eventually
from oracle import query

from wsadapter.events.records import message_of
from wsadapter.events.sequence import ORDINAL_BITS, PLACES_BY_KIND
from wsadapter.events.streams import BY_STREAM
from wsadapter.shm.ring import RingReader

Identity = tuple[Any, ...]

DATED = f"toString(toUInt128(toUnixTimestamp64Nano(event_time)) * {2**ORDINAL_BITS} + ordinal)"
NUMBERED = {
    "trade": "symbol, aggregated, trade_number",
    "book_ticker": "symbol, update_id",
    "depth": "symbol, level_limit, last_update_id",
    "kline": "symbol, interval, toUnixTimestamp64Nano(open_time)",
    "ticker": f"symbol, {DATED}",
    "mark_price": f"symbol, {DATED}",
}
"""Table -> the columns that make an event of it one."""


class Rings(threading.Thread):
    """Follows rings from now on; `seen` has what was published in any of them, open candles left out."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(daemon=True)
        self._readers = [RingReader.attach(name, writable=False) for name in names]
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.seen: set[Identity] = set()
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.05):
            self.catch_up()

    def catch_up(self) -> None:
        with self._lock:
            for reader in self._readers:
                for record in reader.poll(1_000_000):
                    if record[1] in _WORDS and (found := _identity(record, reader.epoch)) is not None:
                        self.seen.add(found)

    def wait_for(self, count: int) -> None:
        target = len(self.seen) + count
        eventually(lambda: len(self.seen) >= target, 60, f"{count} more events in the rings")

    def stop(self) -> None:
        self._over.set()
        self.join()
        self.catch_up()
        for reader in self._readers:
            reader.release()


_WORDS = {BY_STREAM[word].kind: word for word in NUMBERED}


def _identity(record: tuple[int, int, bytes], epoch: int) -> Identity | None:
    message = message_of(record, epoch)
    word = _WORDS[record[1]]
    if word == "kline" and not message.closed:
        return None
    place = PLACES_BY_KIND[record[1]](message)
    assert place is not None
    rest = [str(int(part)) if isinstance(part, bool | int) else str(part) for part in place.key[1:]]
    if word == "kline":
        rest = rest[:2]
    return (word, *rest, str(place.number))


def stored(url: str) -> Counter[Identity]:
    """Rows without FINAL."""
    found: Counter[Identity] = Counter()
    for word, columns in NUMBERED.items():
        for row in query(url, f"SELECT {columns} FROM market.{word}"):
            found[(word, *({"true": "1", "false": "0"}.get(cell, cell) for cell in row))] += 1
    return found


def holes(url: str) -> dict[str, int]:
    """Symbol -> trade numbers that are missing between its first and its last."""
    sql = (
        "SELECT symbol, toInt64(max(trade_number) - min(trade_number)) + 1 - toInt64(uniqExact(trade_number)) "
        "FROM market.trade WHERE aggregated GROUP BY symbol"
    )
    return {symbol: int(missing) for symbol, missing in query(url, sql)}
