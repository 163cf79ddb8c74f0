"""A book out of a snapshot and the changes after it, by the venue's own numbers; pure.

Guarantees: a book that is called whole is the venue's. A change whose predecessor is missing breaks it, and it stays
broken until the next snapshot; a snapshot that was asked for is joined to exactly the changes that are not in it, by
their numbers, never by times. Levels that a snapshot was too short for are not made up: of a book that begins with so
many levels of more, nothing is told beyond them.
"""

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import Struct, structs

from wsadapter.exchanges.checked_book import CheckedBook

ALL: Final = 1 << 30
"""Levels of a book that the venue sends whole."""
RECENT: Final = 4_096
"""Changes that are kept for a snapshot that comes after those that it does not have."""
SNAPSHOT: Final = "SNAPSHOT"
REST: Final = "REST"


class Row(Struct, frozen=True):
    """Of table ``depth``; prices and quantities as text."""

    update_type: str
    level_limit: int
    first_update_id: int | None
    last_update_id: int | None
    previous_update_id: int | None
    time_ns: int
    receive_ns: int
    source: str
    bid_price: list[str]
    bid_quantity: list[str]
    ask_price: list[str]
    ask_quantity: list[str]

    @property
    def before(self) -> int | None:
        """The number that this change goes on from; None where the venue does not number its changes."""
        if self.previous_update_id is not None:
            return self.previous_update_id
        return None if self.first_update_id is None else self.first_update_id - 1

    @property
    def moment_ns(self) -> int:
        """When it came: what gaps are compared with."""
        return self.time_ns if self.source == REST else self.receive_ns


class Checkpoint(Struct, frozen=True):
    """A builder as it was after all changes up to a moment, to go on from as if it had been fed with them: ours, not a
    word of the venue's. ``base``, ``newest``: the venue's snapshot that it began with and the last change, without
    levels. Those are here, best first, as many as the venue's book has."""

    at_ns: int
    base: Row
    newest: Row
    bid_price: list[str]
    bid_quantity: list[str]
    ask_price: list[str]
    ask_quantity: list[str]

    @property
    def time_ns(self) -> int:
        return self.at_ns

    @property
    def moment_ns(self) -> int:
        """Since when nothing may be missing where changes have no numbers: what is found later counts, too."""
        return self.base.moment_ns


class Level(NamedTuple):
    price: Decimal
    quantity: Decimal


class Book(Struct, frozen=True):
    """A book at a moment, best levels first. ``complete``: it is the venue's; else ``reason`` says what is missing,
    and ``missing_since_ns`` since when. ``time_ns``: what was asked for, ``changed_ns``: of its last change by the
    venue's clock, ``base_ns``: of the snapshot that it began with."""

    exchange: str
    symbol: str
    time_ns: int
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    last_update_id: int | None = None
    changed_ns: int | None = None
    base_ns: int | None = None
    complete: bool = False
    missing_since_ns: int | None = None
    reason: str = ""


class BookBuilder:
    """Fed with the snapshots and changes of one series in the order of their times."""

    def __init__(self) -> None:
        self._book = CheckedBook(ALL)
        self._bounds: tuple[Decimal | None, Decimal | None] = (None, None)
        """Beyond them the snapshot that it began with said nothing."""
        self._base: Row | None = None
        self._waiting: Row | None = None
        """A snapshot whose number no change has reached yet."""
        self._recent: deque[Row] = deque(maxlen=RECENT)
        self._number: int | None = None
        self.newest: Row | None = None
        """The last one that it is made of."""
        self.broken: Row | None = None
        """The change before which something is missing."""
        self.broken_since_ns: int | None = None

    @property
    def base(self) -> Row | None:
        return self._base

    @property
    def number(self) -> int | None:
        return self._number

    @property
    def waits(self) -> bool:
        """Whether the last snapshot has no change behind it yet."""
        return self._waiting is not None

    def add(self, row: Row) -> None:
        if row.update_type != SNAPSHOT:
            self._change(row)
        elif row.source != REST or row.last_update_id is None:
            self._begin(row)
        else:
            self._join(row)

    def settle(self) -> None:
        """No change follows the snapshot that waits: it is the book."""
        if self._waiting is not None and (self._base is None or self.broken is not None):
            self._begin(self._waiting)

    def checkpoint(self, at_ns: int) -> Checkpoint | None:
        """All that is needed to go on from here; None where there is nothing to go on from but the base itself, or a
        snapshot that was asked for: what is beyond its levels is not known."""
        base, newest = self._base, self.newest
        if base is None or newest is None or newest is base or self.broken is not None or base.source == REST:
            return None
        if newest.last_update_id != self._number:
            return None
        bids, asks = self._book.bids.best(ALL), self._book.asks.best(ALL)
        return Checkpoint(
            at_ns, _without_levels(base), _without_levels(newest), [price for price, _ in bids],
            [quantity for _, quantity in bids], [price for price, _ in asks], [quantity for _, quantity in asks],
        )  # fmt: skip

    def resume(self, checkpoint: Checkpoint) -> None:
        """To be fed with what is later than it."""
        self._begin(checkpoint.base)
        self._book.change(
            zip(checkpoint.bid_price, checkpoint.bid_quantity, strict=True),
            zip(checkpoint.ask_price, checkpoint.ask_quantity, strict=True),
        )
        self.newest, self._number = checkpoint.newest, checkpoint.newest.last_update_id

    def levels(self, most: int | None) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Bids and asks."""
        floor, ceiling = self._bounds
        count = ALL if most is None else most
        bids = (Level(Decimal(price), Decimal(quantity)) for price, quantity in self._book.bids.best(count))
        asks = (Level(Decimal(price), Decimal(quantity)) for price, quantity in self._book.asks.best(count))
        return (
            tuple(level for level in bids if floor is None or level.price >= floor),
            tuple(level for level in asks if ceiling is None or level.price <= ceiling),
        )

    def _change(self, row: Row) -> None:
        before, last = row.before, row.last_update_id
        self._recent.append(row)
        if self._waiting is not None and last is not None and last > (self._waiting.last_update_id or 0):
            waiting, self._waiting = self._waiting, None
            if before is None or before <= (waiting.last_update_id or 0):
                self._begin(waiting)
                self._recent.append(row)
        if self._base is None:
            return
        if last is not None and self._number is not None and before != self._number:
            is_first = self.newest is self._base
            if last <= self._number and (last == self._number or is_first or not self._is_later(row)):
                return  # it is in the book
            follows = last > self._number and (before is None or (is_first and before <= self._number))
            if self.broken is None and not follows:
                self.broken = row
                self.broken_since_ns = self.newest.moment_ns if self.newest is not None else row.moment_ns
        if self.broken is not None:
            return
        if last is not None:
            self._number = last
        self._apply(row)

    def _is_later(self, row: Row) -> bool:
        """An older number at a later time: the venue numbers anew, and nobody knows what that goes on from."""
        return self.newest is not None and row.time_ns > self.newest.time_ns

    def _apply(self, row: Row) -> None:
        self._book.change(
            zip(row.bid_price, row.bid_quantity, strict=True), zip(row.ask_price, row.ask_quantity, strict=True)
        )
        self.newest = row

    def _begin(self, snapshot: Row) -> None:
        """Of a stream that sends so many best levels, those are kept; of one that sends all, all that were told."""
        self._waiting = None
        is_window = snapshot.source != REST and snapshot.level_limit > 0
        self._book = CheckedBook(snapshot.level_limit if is_window else ALL)
        self._base, self._number = snapshot, snapshot.last_update_id
        self.broken = self.broken_since_ns = None
        cut = snapshot.source == REST and snapshot.level_limit > 0
        self._bounds = (
            _worst(snapshot.bid_price) if cut and len(snapshot.bid_price) >= snapshot.level_limit else None,
            _worst(snapshot.ask_price) if cut and len(snapshot.ask_price) >= snapshot.level_limit else None,
        )
        self._recent.clear()
        self._apply(snapshot)

    def _join(self, snapshot: Row) -> None:
        number = snapshot.last_update_id or 0
        later = [row for row in self._recent if (row.last_update_id or 0) > number]
        if not later:
            self._waiting = snapshot
            return
        first = later[0].before
        if first is not None and first > number:
            return  # what is between the two is not here
        self._begin(snapshot)
        for row in later:
            self._change(row)


def _without_levels(row: Row) -> Row:
    return structs.replace(row, bid_price=[], bid_quantity=[], ask_price=[], ask_quantity=[])


def _worst(prices: Sequence[str]) -> Decimal | None:
    return Decimal(prices[-1]) if prices else None
