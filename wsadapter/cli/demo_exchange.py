"""`demo-exchange`: a venue on 127.0.0.1 for whoever writes a client, without anything else of the pipeline.

Standard output says where it listens and what a client may send, a line each; it serves until Ctrl-C. With
``--archive`` it writes the files that the venue publishes of a day instead, and says which. Exit 0.
"""

import asyncio
import logging
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import uvloop
from msgspec import structs

from wsadapter.embedded.exchange import DEFAULT, STAND_INS
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.market import binance_archive, bybit_archive
from wsadapter.errors import ExitCode, ServiceUnavailable
from wsadapter.exchanges import REGISTRY, load

ARCHIVES: Final = {name: made for made in (binance_archive, bybit_archive) for name in made.EXCHANGES}
PORT = click.IntRange(0, 65_535)


@click.command()
@click.option(
    "--exchange", type=click.Choice(list(STAND_INS)), default=DEFAULT, show_default=True, metavar="NAME",
    help="Which venue it speaks like.",
)  # fmt: skip
@click.option("--port", type=PORT, default=0, metavar="N", help="Of the WebSocket; 0 = a free one.")
@click.option("--rest-port", type=PORT, default=0, metavar="N", help="Of REST; 0 = a free one.")
@click.option("--symbol", "symbols", multiple=True, help="Exists from the start; several times for several.")
@click.option("--rate", type=click.FloatRange(min=1), default=400.0, show_default=True, help="Frames a second.")
@click.option(
    "--archive", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Write the files that it publishes of a day to there, and exit.",
)  # fmt: skip
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Which day; yesterday if left out.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random walk.")
def demo_exchange(
    exchange: str, port: int, rest_port: int, symbols: tuple[str, ...], rate: float, archive: Path | None,
    day: datetime | None, seed: int,
) -> ExitCode:  # fmt: skip
    """Serve a loopback venue to a client of your own until Ctrl-C."""
    if archive is not None:
        return _write_archive(exchange, symbols, archive, day or datetime.now(UTC) - timedelta(days=1), seed)
    if day is not None:
        raise click.UsageError("--day goes with --archive")
    logging.getLogger("picows").setLevel(logging.WARNING)
    options = Options(exchange=exchange, ws_port=port, rest_port=rest_port, rate=rate, seed=seed, symbols=symbols)
    try:
        uvloop.run(_serve(options))
    except OSError as error:
        raise ServiceUnavailable(f"the venue cannot start: {error}") from error
    return ExitCode.OK


def _write_archive(exchange: str, symbols: tuple[str, ...], archive: Path, day: datetime, seed: int) -> ExitCode:
    if exchange not in ARCHIVES:
        raise click.UsageError(f"--archive: {exchange} has no files here, only: {' '.join(ARCHIVES)}")
    for symbol in symbols or STAND_INS[exchange].feed.symbols:
        for path in ARCHIVES[exchange].write_day(archive, exchange, symbol, f"{day:%Y-%m-%d}", seed):
            click.echo(path)
    return ExitCode.OK


async def _serve(options: Options) -> None:
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    venue = LoopbackVenue(options)
    venue.on_failure = over.set
    await venue.start()
    for line in _where(venue):
        click.echo(line)
    await over.wait()
    await venue.stop()
    told = " ".join(f"{word}={count}" for word, count in sorted(venue.sent.items())) or "nothing"
    click.echo(f"sent {told}", err=True)
    if venue.failed is not None:
        raise venue.failed


def _where(venue: LoopbackVenue) -> Iterator[str]:
    """Each address, and a request that its connections understand."""
    exchange = venue.options.exchange
    if exchange in REGISTRY:
        feed = structs.replace(STAND_INS[exchange].feed, ws_url=venue.url)
        if venue.options.symbols:
            feed = structs.replace(feed, symbols=venue.options.symbols)
        for plan in load(exchange).plan(feed):
            yield f"ws    {plan.url}"
            for request in load(exchange)(plan).open()[:1]:
                yield f"send  {request.decode()}"
    else:
        yield f"ws    {venue.url}"
    yield f"rest  {venue.rest_url}"
