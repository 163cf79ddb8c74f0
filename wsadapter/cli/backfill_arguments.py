"""What `backfill` was asked for, as wishes; `click.UsageError` for what cannot be meant."""

import time
from collections.abc import Sequence
from typing import Final

import click
from msgspec import structs

from wsadapter.config.load import Config, Feed
from wsadapter.config.types import INTERVALS
from wsadapter.config.venues import in_upper_case
from wsadapter.embedded.exchange import DEMO_FEED
from wsadapter.kafka.backfill import STREAMS, BackfillRequest, wishes

MOST_SERIES: Final = 1_000
DEMO: Final = structs.replace(DEMO_FEED, streams=("kline", "trade"))
"""Of a configuration without a feed, as `--demo` runs it."""


def wishes_of(
    config: Config, exchange: str, feed: str, symbols: Sequence[str], streams: Sequence[str],
    intervals: Sequence[str], since_ns: int | None, until_ns: int | None,
) -> list[BackfillRequest]:  # fmt: skip
    now_ns = time.time_ns()
    if since_ns is None:
        raise click.UsageError("--since is needed: from when on?")
    until_ns = now_ns if until_ns is None else min(until_ns, now_ns)
    if since_ns >= until_ns:
        raise click.UsageError("--since must be before --until, and both in the past")
    for option, words, known in (("--stream", streams, STREAMS), ("--interval", intervals, INTERVALS)):
        if unknown := [word for word in words if word not in known]:
            raise click.UsageError(f"{option} {unknown[0]!a}: must be one of: {' '.join(known)}")
    if intervals and streams and "kline" not in streams:
        raise click.UsageError("--interval goes with --stream kline")
    feeds = [each for each in config.feed or (DEMO,) if exchange in ("", each.exchange) and feed in ("", each.name)]
    if not feeds:
        raise click.UsageError("no feed of the configuration is of that --exchange and --feed")
    found = wishes(feeds, [_symbol(feeds, each) for each in symbols], streams, intervals, since_ns, until_ns)
    if not found:
        raise click.UsageError(f"the feed records nothing that has a history ({' '.join(STREAMS)}): name a --stream")
    if len(found) > MOST_SERIES:
        raise click.UsageError(f"{len(found)} series, the most is {MOST_SERIES}: name a --symbol or a --stream")
    return found


def _symbol(feeds: Sequence[Feed], text: str) -> str:
    if not text.isascii() or not text.isprintable() or not text or len(text) > 64 or set(text) & set(" :/@*"):
        raise click.UsageError(f"--symbol {text[:64]!a} is no symbol")
    return text.upper() if all(in_upper_case(feed.exchange) for feed in feeds) else text
