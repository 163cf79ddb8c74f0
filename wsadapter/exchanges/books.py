"""Books that a snapshot begins, and that only another snapshot mends: by their numbers, or by their checksums.

Changes that come while none has begun, or after one was lost or could not be read, give no event; the stream is asked
for anew, and the gap ends with the snapshot. For the session, see `wsadapter.exchanges.session`.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from wsadapter.events import Depth, UpdateType
from wsadapter.events.gaps import GapCause
from wsadapter.exchanges.checked_book import CheckedBook
from wsadapter.exchanges.continuity import NONE, SeriesState
from wsadapter.exchanges.conversion import Convert, Given
from wsadapter.exchanges.venue import Bad, Channel, Checked, Follows, Item, Reply, Subscription

if TYPE_CHECKING:
    from wsadapter.exchanges.accepting import Accept
    from wsadapter.exchanges.session import VenueSession

UNBEGUN: Final = Bad("other", "change before its snapshot")
MOST_LEVELS: Final = 5_000
"""Of either side in one event: a broker takes messages up to a megabyte."""
BEGUN: Final = CheckedBook(0)
"""The state of a book that nothing proves."""


def accept_renewed(
    session: "VenueSession", channel: Channel, convert: Convert, given: Given | None, by_symbol: dict[str, SeriesState]
) -> "Accept":
    """A book that a snapshot begins, and that has to be asked for anew after a gap."""
    numbering = channel.numbering
    assert isinstance(numbering, Follows)
    number, previous = (
        attrgetter(numbering.number),
        attrgetter(numbering.previous or numbering.first or numbering.number),
    )
    back = 0 if numbering.previous else 1

    def accept(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        series = by_symbol[symbol]
        extra = given(d, e, sub, None) if given else ()
        book = convert(d, received, session.connection, series.gap_ns, *extra)
        last = number(d)
        if last is None:
            return [book]
        before = NONE if book.update_type is UpdateType.SNAPSHOT else previous(d) - back
        if book.update_type is UpdateType.SNAPSHOT:
            gap = session.sequences.renewed(series, last, received)
        elif series.waiting:
            session.outages.failed(series.word, symbol, stream, received, GapCause.SEQUENCE)
            return [UNBEGUN]
        elif series.next == NONE:
            return [UNBEGUN]
        elif last == before == series.next:
            series.at_ns = received
            return []
        elif before == series.next or (
            numbering.overlaps and 0 < before <= series.next <= last and series.next == series.begun
        ):
            series.next, series.at_ns, series.begun = last, received, NONE
            return [book]
        elif before == numbering.unnamed:
            return _broken(session, series, stream, received)
        elif last <= series.next and not session.sequences.goes_on_behind(series, before, last):
            return [book]
        else:
            return _broken(session, series, stream, received)
        if gap is None:
            return [book]
        book.last_gap_ns = series.gap_ns
        return [gap, book]

    return accept


def _broken(
    session: "VenueSession", series: SeriesState, stream: str, received: int, cause: GapCause = GapCause.SEQUENCE
) -> list[Item]:
    """A change is missing: nothing but a snapshot mends that, and it is asked for."""
    session.outages.failed(series.word, series.symbol, stream, received, cause)
    return [UNBEGUN, *_renewed(session, ((stream, series),))]


def _renewed(session: "VenueSession", books: Iterable[tuple[str, SeriesState]]) -> list[Item]:
    """What asks for these, by stream, once."""
    names = []
    for stream, series in books:
        if not series.waiting:
            names.append(stream)
        series.waiting = True
    return [Reply(payload) for payload in session.requests.renew(names)]


def lost(session: "VenueSession", channel: Channel, streams: Iterable[tuple[str, str]]) -> list[Item]:
    """An element of one of these (stream, symbol) gave no event. Where nothing numbers the changes of a book that has
    begun, nothing would tell that one is missing. One that has not begun waits for its snapshot anyway."""
    if not isinstance(channel.numbering, Checked):
        return []
    by_symbol, key = session.series(channel.emits[0]), channel.name
    begun = [each for each in streams if session.states.pop((key, each[0]), None) is not None]
    return _renewed(session, ((stream, by_symbol[symbol]) for stream, symbol in begun))


def accept_checked(
    session: "VenueSession", channel: Channel, convert: Convert, given: Given | None, by_symbol: dict[str, SeriesState]
) -> "Accept":
    """A book that its checksum proves. A snapshot that is wrong asks for no other one: `Cadence` will."""
    rule = channel.numbering
    assert isinstance(rule, Checked)
    checksum_of = rule.checksum

    def accept(d: Any, e: Any, sub: Subscription | None, stream: str, symbol: str, received: int) -> list[Item]:
        series, key = by_symbol[symbol], (channel.name, stream)
        extra = given(d, e, sub, None) if given else ()
        event = convert(d, received, session.connection, series.gap_ns, *extra)
        kept = session.states.get(key)
        if event.update_type is UpdateType.SNAPSHOT:
            kept = session.states[key] = CheckedBook(rule.levels(stream)) if checksum_of else BEGUN
        elif series.waiting:
            session.outages.failed(series.word, symbol, stream, received, GapCause.SEQUENCE)
            return [UNBEGUN]
        elif kept is None:
            return [UNBEGUN]
        elif session.outages.pending and session.outages.is_wrong(series.word, symbol):
            del session.states[key]  # right, but the last socket's was recorded, and the snapshot of this one a copy
            return _broken(session, series, stream, received, GapCause.CHECKSUM)
        if checksum_of is None:
            series.waiting = False
            return parted(event)
        kept.change(
            zip(event.bid_price, event.bid_quantity, strict=True),
            zip(event.ask_price, event.ask_quantity, strict=True),
        )
        checksum = checksum_of(d)
        if checksum is not None and checksum != rule.compute(kept):
            del session.states[key]
            return _broken(session, series, stream, received, GapCause.CHECKSUM)
        series.waiting = False
        return [event]

    return accept


def parted(book: Depth) -> list[Item]:
    """A book of very many levels as several events that together say the same: the first levels, then changes that
    bring the others."""
    sides = book.bid_price, book.bid_quantity, book.ask_price, book.ask_quantity
    longest = max(map(len, sides))
    if longest <= MOST_LEVELS:
        return [book]
    parts: list[Item] = []
    for begin in range(0, longest, MOST_LEVELS):
        bid_price, bid_quantity, ask_price, ask_quantity = (list(side)[begin : begin + MOST_LEVELS] for side in sides)
        parts.append(
            structs.replace(
                book, update_type=UpdateType.DELTA if begin else book.update_type,
                level_limit=0 if begin else book.level_limit, bid_price=bid_price, bid_quantity=bid_quantity,
                ask_price=ask_price, ask_quantity=ask_quantity,
            )
        )  # fmt: skip
    return parts
