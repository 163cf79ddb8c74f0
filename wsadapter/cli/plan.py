"""`plan`: which stream of which symbol goes over which connection, process, ring, serializer and partition, and why.

Starts nothing, and asks nobody but, with ``--live``, the running instance's monitor, and where symbols are rules the
venues what they list. See `wsadapter.cli.placement`.
"""

import textwrap
import time
from collections.abc import Iterator

import click
import msgspec
from msgspec import structs
from rich.cells import cell_len, chop_cells, set_cell_size

from wsadapter.cli import capacity, monitor_client, options
from wsadapter.cli.placement import Measured, Placed, Used, measured, placed
from wsadapter.cli.rules import ResolvedFeed, listed_now, resolved_feeds
from wsadapter.config.model import Config
from wsadapter.config.shards import Shard, owner
from wsadapter.errors import ExitCode, ServiceUnavailable
from wsadapter.metrics import STREAM_WORDS
from wsadapter.roles.supervisor.topology import Assembly, assemble

WIDTH = 80
INDENT = 14
LIVE_SECONDS = 2.0
LIVE = "Also what the running instance measures, over two seconds; rules by what the venue lists now."

CAPACITY = "What all of it is expected to take: cores, memory, network, disks (docs/capacity.md)."


@click.command()
@options.CONFIG
@options.EXCHANGE
@options.SYMBOL
@options.STREAM
@click.option("--live", is_flag=True, help=LIVE)
@click.option("--capacity", "in_all", is_flag=True, help=CAPACITY)
@options.JSON
@click.pass_obj
def plan(
    group_path: str | None,
    config_path: str | None,
    exchange: str,
    symbol: str,
    stream: str,
    live: bool,
    in_all: bool,
    as_json: bool,
) -> int:
    """Show where each stream of the configuration goes, and why."""
    options.one_of("--stream", stream, (*STREAM_WORDS, "raw_trade"))
    config = options.load(config_path or group_path, demo=False)
    assembly = assemble(config)
    found = _measured(config, assembly) if live else {}
    if live and assembly.resolved.sources:
        assembly = assemble(config, listings=listed_now(config, assembly.resolved.sources))
    connections = placed(assembly)
    if in_all:
        _capacity(capacity.capacity(connections, assembly.config), assembly.config, as_json)
        return ExitCode.OK
    shown = [
        structs.replace(
            each, streams=streams, measured=found.get(each.connection),
            expected=capacity.expected(rates) if each.exchange else None,
        )
        for each, rates in capacity.with_expected(connections, assembly.config)
        if exchange in ("", each.exchange)
        and (
            streams := [
                one for one in each.streams if symbol in ("", one.symbol) and stream in ("", one.stream)
            ]
        )
    ]  # fmt: skip
    _show(shown, assembly, as_json)
    return ExitCode.OK


@options.until_enough()
def _show(shown: list[Placed], assembly: Assembly, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
        return
    for feed in resolved_feeds(assembly.resolved):
        for line in _resolved(feed):
            click.echo(line)
    for line in _shares(assembly):
        click.echo(line)
    for one in shown:
        for line in lines(one):
            click.echo(line)
    total = sum(len(one.streams) for one in shown)
    click.echo(f"connections: {len(shown)}, streams: {total}", err=True)


@options.until_enough()
def _capacity(found: capacity.Capacity, config: Config, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    for head, text in capacity.lines(found, config):
        for number, line in enumerate(textwrap.wrap(text, WIDTH - INDENT)):
            click.echo(f"  {'' if number else head:<{INDENT - 2}}{line}")


def _measured(config: Config, assembly: Assembly) -> dict[str, Measured]:
    url = monitor_client.address(config)
    try:
        before = monitor_client.fetch(url)
    except ServiceUnavailable as error:
        if not assembly.resolved.sources:
            raise
        click.echo(f"not measured: {error}", err=True)  # the venues can be asked all the same
        return {}
    time.sleep(LIVE_SECONDS)
    return measured(before, monitor_client.fetch(url))


def lines(one: Placed) -> Iterator[str]:
    """At most `WIDTH` columns; what is longer goes on in the next line."""
    yield one.connection
    told = {"exchange": one.exchange, "url": one.url, "process": one.process, "ring": one.ring,
            "serializer": str(one.serializer), **(_used(one.used) if one.used else {})}  # fmt: skip
    for head, text in told.items():
        if text:
            yield from _wrapped(head, text)
    if one.expected:
        yield from _wrapped("expected", f"{one.expected.events:g} events/s, {one.expected.bytes:g} bytes/s")
    if one.measured:
        states = ", ".join(f"{count} {state}" for state, count in sorted(one.measured.states.items()))
        yield from _wrapped("measured", f"{one.measured.frames:g} frames/s, {one.measured.bytes:g} bytes/s; {states}")
    for reason in one.why:
        yield from _wrapped("why", reason)
    rows = [("symbol", "stream", "topic", "name")]
    for each in one.streams:
        word = f"{each.stream} {each.interval}".rstrip()
        rows.append((each.symbol, word, f"{each.topic}/{each.partition}", each.name))
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield from _row(row, widths)
    yield ""


def _resolved(feed: ResolvedFeed) -> Iterator[str]:
    yield f"feed {feed.feed}"
    yield from _wrapped("exchange", feed.exchange)
    yield from _wrapped("rules", " ".join(feed.rules))
    if feed.waits:
        yield from _wrapped("waits", feed.waits)
    elif feed.listing:
        yield from _wrapped("listing", f"of {feed.listing} UTC, {feed.listing_age_seconds} s old")
    else:
        yield from _wrapped("listing", "none kept: the symbols are those of before")
    for rule in dict.fromkeys(feed.symbols.values()):
        symbols = [symbol for symbol, brought_in_by in feed.symbols.items() if brought_in_by == rule]
        yield from _wrapped("resolved", f"{rule}: {len(symbols)} symbols: {' '.join(symbols)}")
    for reason in dict.fromkeys(feed.left_out.values()):
        symbols = [symbol for symbol, why in feed.left_out.items() if why == reason]
        yield from _wrapped("left out", f"{len(symbols)} symbols, the first one {symbols[0]}: {reason}")
    yield ""


def _shares(assembly: Assembly) -> Iterator[str]:
    """Which instance records what, where there are several."""
    own = Shard.parse(assembly.declared.service.shard)
    if own is None:
        return
    yield f"shard {own.number} of {own.count}"
    for feed in assembly.whole.feed:
        for number in range(1, own.count + 1):
            symbols = [each for each in feed.symbols if owner(feed.exchange, each, own.count) == number]
            here = ", here" if number == own.number else ""
            yield from _wrapped(feed.name, f"{number}/{own.count}{here}: {' '.join(symbols) or 'no symbol'}")
    yield ""


def _row(row: tuple[str, ...], widths: list[int]) -> Iterator[str]:
    line = " "
    for cell, width in zip(row, widths, strict=True):
        if cell_len(line) + cell_len(cell) + 1 > WIDTH:
            yield line.rstrip()
            line = " " * 5
        line += f" {set_cell_size(cell, max(width, cell_len(cell)))} "
    yield line.rstrip()


def _used(used: Used) -> dict[str, str]:
    most = "" if used.most_octets is None else f" of {used.most_octets}"
    together = ""
    if used.messages is not None:
        together = f"; {used.messages} in {used.message_seconds:g} s from this address at most"
    return {
        "streams": f"{used.streams} of {used.most_streams}",
        "names": f"{used.octets} octets{most}",
        "requests": f"{used.requests}, the last one after {used.request_seconds:g} s{together}",
        "attempts": f"{used.attempts} in {used.attempt_seconds:g} s from this address at most",
        "life": f"{used.life_seconds:g} s at most" if used.life_seconds else "as long as it holds",
    }


def _wrapped(head: str, text: str) -> Iterator[str]:
    for number, part in enumerate(chop_cells(text, WIDTH - INDENT)):
        yield f"  {'' if number else head:<{INDENT - 2}}{part}"
