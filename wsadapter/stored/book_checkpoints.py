"""Books that are kept beside their changes, in table ``book_checkpoint``: rows out, rows in.

Ours, made of the venue's snapshot and every change up to their moment, and proved when they were made. No venue said
them, and they are in no topic: table ``depth`` has what venues say, and nothing else.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from wsadapter.clickhouse.client import Ask, Query, decode_rows
from wsadapter.clickhouse.conversion import quoted
from wsadapter.clickhouse.schema import BOOK_CHECKPOINT
from wsadapter.stored.book import SNAPSHOT, Checkpoint, Row

SIDES: Final = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
DELTA: Final = "DELTA"


class _Kept(Struct, frozen=True):
    """A row of the table; times in ns."""

    at: int
    level_limit: int
    base_time: int
    base_receive_time: int
    base_update_id: int | None
    change_time: int
    change_receive_time: int
    first_update_id: int | None
    last_update_id: int | None
    previous_update_id: int | None
    source: str
    bid_price: list[str]
    bid_quantity: list[str]
    ask_price: list[str]
    ask_quantity: list[str]


def newest_checkpoint(
    ask: Ask, database: str, exchange: str, symbol: str, since_ns: int, at_ns: int
) -> Checkpoint | None:
    """The newest one later than ``since_ns`` and not later than ``at_ns``."""
    times = ", ".join(
        f"toUnixTimestamp64Nano({name}) AS {alias}"
        for name, alias in (
            ("time", "at"), ("base_time", "base_time"), ("base_receive_time", "base_receive_time"),
            ("change_time", "change_time"), ("change_receive_time", "change_receive_time"),
        )
    )  # fmt: skip
    sides = ", ".join(f"arrayMap(x -> toString(x), {side}) AS {side}" for side in SIDES)
    sql = (
        f"SELECT {times}, level_limit, base_update_id, first_update_id, last_update_id, previous_update_id, source, "
        f"{sides} FROM {quoted(database)}.{quoted(BOOK_CHECKPOINT)} AS kept "
        "WHERE exchange = {exchange:String} AND symbol = {symbol:String} "
        "AND kept.time > fromUnixTimestamp64Nano({since:Int64}, 'UTC') "
        "AND kept.time <= fromUnixTimestamp64Nano({at:Int64}, 'UTC') ORDER BY kept.time DESC, version DESC LIMIT 1"
    )
    found = decode_rows(
        ask(Query(sql, {"exchange": exchange, "symbol": symbol, "since": since_ns, "at": at_ns})), _Kept
    )
    return _read(found[0]) if found else None


def _read(kept: _Kept) -> Checkpoint:
    base = Row(
        SNAPSHOT, kept.level_limit, None, kept.base_update_id, None, kept.base_time, kept.base_receive_time,
        kept.source, [], [], [], [],
    )  # fmt: skip
    newest = Row(
        DELTA, 0, kept.first_update_id, kept.last_update_id, kept.previous_update_id, kept.change_time,
        kept.change_receive_time, kept.source, [], [], [], [],
    )  # fmt: skip
    return Checkpoint(
        kept.at, base, newest, kept.bid_price, kept.bid_quantity, kept.ask_price, kept.ask_quantity
    )  # fmt: skip


def checkpoint_line(exchange: str, symbol: str, checkpoint: Checkpoint, version: int) -> bytes:
    """As JSON for the table; decimals as text."""
    base, newest = checkpoint.base, checkpoint.newest
    row: dict[str, Any] = {
        "exchange": exchange, "symbol": symbol, "time": _time(checkpoint.at_ns), "source": base.source,
        "level_limit": base.level_limit, "base_time": _time(base.time_ns),
        "base_receive_time": _time(base.receive_ns), "base_update_id": base.last_update_id,
        "change_time": _time(newest.time_ns), "change_receive_time": _time(newest.receive_ns),
        "first_update_id": newest.first_update_id, "last_update_id": newest.last_update_id,
        "previous_update_id": newest.previous_update_id, "version": version,
        **{side: getattr(checkpoint, side) for side in SIDES},
    }  # fmt: skip
    return msgspec.json.encode(row)


def _time(ns: int) -> str:
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{seconds}.{rest:09}"
