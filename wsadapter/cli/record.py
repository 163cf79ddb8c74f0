"""`record`: a sample file of what a venue sends, without anything else of the pipeline.

One client of our own, as any program has it, with a tap before its decoder ([recording.md](../../docs/recording.md)).
The file is taken back by `replay`. Ends after ``--for``, at ``--max-bytes`` or on Ctrl-C, exit 0; 69 when nothing came,
75 when the disk was too slow for all of it (how many frames are missing stands in the file, too).
"""

import asyncio
import signal
import time
from pathlib import Path

import click
import uvloop
from msgspec import structs

from wsadapter.cli import options
from wsadapter.client.client import Client, ConnectionConfig
from wsadapter.client.tap import FrameTap
from wsadapter.config.model import DEFAULT_STREAMS
from wsadapter.config.types import INTERVALS
from wsadapter.errors import ConfigError, ExitCode, ServiceUnavailable, WsadapterError
from wsadapter.exchanges import REGISTRY, load
from wsadapter.exchanges.venue import FeedSettings
from wsadapter.metrics import STREAM_WORDS
from wsadapter.recordings import Header, RecordingWriter, note

WRITE_SECONDS = 0.5
HELD_BYTES = 256 * 1024 * 1024
"""Of memory, for frames that the disk has not taken yet."""
WORDS = (*STREAM_WORDS, "raw_trade")


@click.command()
@click.option("--exchange", type=click.Choice(sorted(REGISTRY)), metavar="NAME", required=True, help="Whose frames.")
@click.option(
    "--symbol", "symbols", multiple=True, required=True, help="In the venue's text; several times for several."
)
@click.option(
    "--stream", "streams", multiple=True, type=click.Choice(WORDS), metavar="WORD",
    help="Several times for several; left out: what a feed records by default, as far as the venue offers it.",
)  # fmt: skip
@click.option(
    "--interval", "intervals", multiple=True, default=("1m",), type=click.Choice(INTERVALS), metavar="CODE",
    help="Of candles.",
)  # fmt: skip
@click.option("--depth-levels", type=int, default=20, show_default=True, help="Of books; 0 = diffs.")
@click.option("--out", "path", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A new file.")
@click.option("--for", "duration", callback=options.seconds, metavar="DURATION", help="Stop after this time.")
@click.option(
    "--max-bytes", type=click.IntRange(min=1), default=1 << 30, show_default=True, help="Stop when the file has them.",
)  # fmt: skip
@click.option("--ws-url", default="", metavar="URL", help="Instead of the venue's own address.")
def record(
    exchange: str, symbols: tuple[str, ...], streams: tuple[str, ...], intervals: tuple[str, ...], depth_levels: int,
    path: Path, duration: float | None, max_bytes: int, ws_url: str,
) -> ExitCode:  # fmt: skip
    """Write the raw frames of a venue to a file that `replay` takes back."""
    config = ConnectionConfig(
        symbols=symbols, exchange=exchange, streams=streams or DEFAULT_STREAMS, intervals=intervals,
        depth_levels=depth_levels, ws_url=ws_url,
    )  # fmt: skip
    config = config if streams else structs.replace(config, streams=_offered(config))
    client = Client(config, object())
    feed = config.feed()
    try:
        writer = RecordingWriter(path, _header(feed, client))
    except OSError as error:
        raise WsadapterError(f"{path} cannot be written: {error.strerror}") from error
    recording = _Recording(client, writer, max_bytes)
    try:
        uvloop.run(recording.run(duration))
    except OSError as error:
        raise WsadapterError(f"{path}: {error.strerror or error}") from error
    said = f"{recording.tap.taken} frames in {writer.octets} bytes of {path}"
    if recording.tap.dropped:
        click.echo(f"{said}; {recording.tap.dropped} more are missing: the disk was too slow", err=True)
        return ExitCode.LOSS
    if not recording.tap.taken:
        raise ServiceUnavailable(f"no frame came; {path} holds none")
    click.echo(said, err=True)
    return ExitCode.OK


def _offered(config: ConnectionConfig) -> tuple[str, ...]:
    """Of the default's words those that the venue has a stream for."""
    words = []
    for word in DEFAULT_STREAMS:
        try:
            plans = load(config.exchange).plan(structs.replace(config, streams=(word,)).feed())
        except ConfigError:
            continue
        if any(plan.subscriptions for plan in plans):
            words.append(word)
    return tuple(words) or DEFAULT_STREAMS


def _header(feed: FeedSettings, client: Client) -> Header:
    return Header(
        exchange=feed.exchange, connection=" ".join(each.plan.connection for each in client.connections),
        url=client.connections[0].plan.url, started_ns=time.time_ns(), symbols=tuple(feed.symbols),
        streams=tuple(feed.streams), intervals=tuple(feed.intervals), depth_levels=feed.depth_levels,
        depth_speed=feed.depth_speed,
    )  # fmt: skip


class _Recording:
    """A client, and the file that its tap runs into."""

    def __init__(self, client: Client, writer: RecordingWriter, max_bytes: int) -> None:
        self.tap = FrameTap(HELD_BYTES)
        self._client, self._writer, self._max_bytes = client, writer, max_bytes
        self._dropped = 0
        for connection in client.connections:
            connection.tap = self.tap.of(connection.plan.connection)

    async def run(self, duration: float | None) -> None:
        """Until it is over; the file is closed whatever happens."""
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, over.set)
        if duration is not None:
            loop.call_later(duration, over.set)
        running = asyncio.create_task(self._client.start())
        running.add_done_callback(lambda task: over.set())
        try:
            while not over.is_set() and self._writer.octets < self._max_bytes:
                try:
                    async with asyncio.timeout(WRITE_SECONDS):
                        await over.wait()
                except TimeoutError:
                    await self._write()
            await self._client.stop()
            await self._write()
            await running
        finally:
            running.cancel()
            self._writer.close()

    async def _write(self) -> None:
        frames, held = self.tap.take()
        if missing := self.tap.dropped - self._dropped:
            self._dropped += missing
            frames.append(note(time.time_ns(), dropped=missing))
        if frames:
            await asyncio.to_thread(self._writer.write, frames)
        self.tap.release(held)
