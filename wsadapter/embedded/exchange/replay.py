"""Recorded frame files through the venue: every frame verbatim, once, to a connection of the class that carries it.

`FrameFile` reads a recording (`wsadapter.recordings`), or lines of one frame each, plain, gzip or zstd, lazily, and
says of each frame what it is; lines that never were a frame of a push connection (a REST answer, a client's request,
nothing) are skipped and counted. Where a connection had two sockets, while one took over from the other, a recording
has all of that twice: of the next socket only what came behind the last frame of the one before is played.
`Replay` hands the frames out in file order: it waits for the expected connections, respects back-pressure, waits for a
class whose connection went away, and never sends a frame twice.
"""

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final, Protocol, cast

from msgspec import Struct

from wsadapter.embedded.exchange.connection import VenueConnection
from wsadapter.embedded.exchange.recorded_events import Asked, Told
from wsadapter.embedded.market.streams import Push
from wsadapter.recordings import NOTE, Recording, compressed_lines, is_compressed, is_recording

CHUNK: Final = 64 * 1024
"""Bytes written before the loop gets its turn."""


class FrameEvents(Protocol):
    """Which events a recorded frame is."""

    def count(self, told: Told, asked: Asked, is_asked: bool) -> Mapping[str, int]:
        """By stream word, for a connection that was told so much; see `Readings.events`."""

    def is_carried(self, by: str) -> bool:
        """Whether a subscription of this name brings them."""


class Recorded(Struct, frozen=True):
    """One line: ``frame`` as on the wire, its class (empty: any), the symbol's stream name if it has one, when it was
    received (ns; 0: not known), and its events, if it may be any."""

    frame: bytes
    route: str
    push: Push
    at_ns: int
    events: FrameEvents | None = None


Recogniser = Callable[[bytes, int], Recorded | None]
"""A dialect's: the frame in a line that was received then (ns); ``None`` for what a push connection never carries."""


class FrameFile:
    """``skipped``: lines of the last reading that were no frames. Receive times: the file's ``.recv.txt[.gz]``."""

    def __init__(self, path: Path, recognised: Recogniser) -> None:
        self._path, self._recognised = path, recognised
        self.skipped = 0
        # a wrong name is an error now, not when the first client comes
        self._recording = Recording(path) if is_recording(path) else None

    @property
    def damage(self) -> str:
        """Why the last reading ended before the file's end; empty: it did not."""
        return self._recording.damage if self._recording is not None else ""

    def __iter__(self) -> Iterator[Recorded]:
        self.skipped = 0
        for payload, at_ns in self._lines() if self._recording is None else self._frames(self._recording):
            recorded = self._recognised(payload, at_ns)
            if recorded is None:
                self.skipped += 1
            else:
                yield recorded

    def _lines(self) -> Iterator[tuple[bytes, int]]:
        times = self._times()
        with lines_of(self._path) as lines:
            for line in lines:
                if payload := line.strip():
                    yield payload, next(times, 0)

    def _frames(self, recording: Recording) -> Iterator[tuple[bytes, int]]:
        ends = {frame.socket: frame.at_ns for frame in recording}  # the last one of each socket
        for frame in recording:
            connection, _, number = frame.socket.partition(".")
            if frame.socket == NOTE:
                continue
            before = f"{connection}.{int(number) - 1}" if number.isdigit() else ""
            if frame.at_ns <= ends.get(before, 0):
                self.skipped += 1
            else:
                yield frame.payload, frame.at_ns

    def _times(self) -> Iterator[int]:
        stem = self._path.name.removesuffix(".gz").removesuffix(".jsonl")
        for name in (f"{stem}.recv.txt.gz", f"{stem}.recv.txt"):
            beside = self._path.with_name(name)
            if beside.exists():
                with lines_of(beside) as lines:
                    yield from (_nanoseconds(line.strip()) for line in lines if line.strip())


def symbols(path: Path, symbols_in: Callable[[bytes], Sequence[bytes]]) -> tuple[str, ...]:
    """The symbols that a frame file names, the most frequent first. ``symbols_in``: the dialect's, those of a line."""
    counts: Counter[bytes] = Counter()
    with lines_of(path) as lines:
        for line in lines:
            counts.update(symbols_in(line))
    return tuple(symbol.decode(errors="replace") for symbol, _ in counts.most_common())


@contextmanager
def lines_of(path: Path) -> Iterator[Iterable[bytes]]:
    """The lines of a file, compressed or not."""
    if is_compressed(path):
        yield compressed_lines(path)
        return
    with cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb") as lines:
        yield lines


def _nanoseconds(stamp: bytes) -> int:
    """Nanoseconds as they are, or seconds with decimals."""
    return int(stamp) if stamp.isdigit() and len(stamp) > 12 else int(Decimal(stamp.decode()) * 1_000_000_000)


class ReplayClients:
    """The venue's connections as a replay sees them; `changed` wakes it when they or their subscriptions change."""

    def __init__(self, quiet: float = 0.5) -> None:
        self.connections: list[VenueConnection] = []
        self._quiet = quiet
        self.version = 0
        self._changed = asyncio.Event()

    def changed(self) -> None:
        self.version += 1
        self._changed.set()

    def subscribed(self, route: str = "") -> list[VenueConnection]:
        """Open connections with at least one subscription, of one class or of all."""
        return [c for c in self.connections if c.takes and c.subscriptions.names and route in ("", c.route)]

    async def quiet(self, count: int, route: str = "") -> None:
        """Until ``count`` connections have subscribed and nothing has changed for the quiet time."""
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._quiet if len(self.subscribed(route)) >= count else None):
                    await self._changed.wait()
            except TimeoutError:
                return


class Replay:
    """``speed``: ``max``, ``recorded``, or so many times the recorded pace (``10x``). ``count``: connections to wait
    for. ``asked``: what is recorded of the file; nothing else counts as sent."""

    def __init__(
        self, file: FrameFile, clients: ReplayClients, speed: str = "max", count: int = 1, repeat: int = 1,
        asked: Asked = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self.done = asyncio.Event()
        self._file, self._clients, self._count, self._repeat = file, clients, count, repeat
        self._asked = asked
        self._pace = 0.0 if speed == "max" else 1.0 if speed == "recorded" else float(speed.removesuffix("x"))
        self._classes: set[str] = set()
        self._chosen: dict[tuple[str, str], VenueConnection] = {}
        self._carried: dict[tuple[VenueConnection, str], bool] = {}
        self._version = -1
        self._written = 0

    @property
    def damage(self) -> str:
        """Of the file, where it was not read to its end."""
        return self._file.damage

    async def run(self) -> None:
        await self._clients.quiet(self._count)
        self._classes = {connection.route for connection in self._clients.subscribed()}
        for _ in range(self._repeat):
            async for recorded in self._paced():
                connection = await self._connection(recorded)
                connection.deliver(recorded.frame, self._counted(recorded, connection))
                await self._breathe(connection, len(recorded.frame))
        for connection in list(self._clients.connections):
            await connection.flushed()
        self.done.set()

    async def _paced(self) -> AsyncIterator[Recorded]:
        started, first_ns = time.monotonic(), 0
        for recorded in self._file:
            if self._pace and recorded.at_ns:
                first_ns = first_ns or recorded.at_ns
                ahead = started + (recorded.at_ns - first_ns) / 1e9 / self._pace - time.monotonic()
                if ahead > 0.001:
                    await asyncio.sleep(ahead)
            yield recorded

    async def _connection(self, recorded: Recorded) -> VenueConnection:
        """One that carries the class of the frame; waits for it if it has gone away."""
        key = recorded.route, recorded.push.stream
        if self._version != self._clients.version:
            self._version = self._clients.version
            self._chosen.clear()
            self._carried.clear()
        chosen = self._chosen.get(key)
        while chosen is None or not chosen.takes:
            route = recorded.route if recorded.route in self._classes else ""
            present = self._clients.subscribed(route)
            if not present:
                await self._clients.quiet(1, route)
                continue
            chosen = self._chosen[key] = _best(present, recorded)
        return chosen

    def _counted(self, recorded: Recorded, connection: VenueConnection) -> Push:
        """With the events that this connection is owed for it."""
        push, events = recorded.push, recorded.events
        if events is None:
            return push
        is_asked = self._carried.get((connection, push.stream))
        if is_asked is None:
            is_asked = any(map(events.is_carried, connection.subscriptions.names))
            self._carried[connection, push.stream] = is_asked
        return push._replace(events=tuple(events.count(connection.told, self._asked, is_asked).items()))

    async def _breathe(self, connection: VenueConnection, size: int) -> None:
        """Let the loop write and the reader read: nothing piles up here."""
        self._written += size
        if self._written >= CHUNK or not connection.writable.is_set():
            self._written = 0
            await asyncio.sleep(0)
            await connection.writable.wait()


def _best(connections: list[VenueConnection], recorded: Recorded) -> VenueConnection:
    """One that has asked for the stream, or for one like it, or for another one of its symbol, or any."""
    stream, events = recorded.push.stream, recorded.events
    symbol = stream.partition("@")[0] + "@"
    asked = [one for one in connections if stream in one.subscriptions.names]
    if not asked and events is not None:
        asked = [one for one in connections if any(map(events.is_carried, one.subscriptions.names))]
    return (asked or [one for one in connections if _names(one, symbol)] or connections)[0]


def _names(connection: VenueConnection, beginning: str) -> bool:
    return any(name.startswith(beginning) for name in connection.subscriptions.names)


def inventory(path: Path, recognised: Recogniser) -> dict[str, Any]:
    """What is in a file: frames, events by word, skipped lines. For those who plan or check a replay."""
    file, words, frames, told = FrameFile(path, recognised), Counter[str](), 0, Told()
    for recorded in file:
        frames += 1
        if recorded.events is not None:
            words.update(recorded.events.count(told, {}, False))
    return {"frames": frames, "skipped": file.skipped, "events": words}
