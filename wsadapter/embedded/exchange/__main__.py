"""The role ``exchange``: the loopback venue as a supervised child.

The order is `wsadapter.embedded.exchange.server.Options`. Market time and ids are kept in
``<child>.json`` in the state directory (``exchange.json``); the counters on the stats page count on over restarts.
"""

import asyncio
import logging
from pathlib import Path

import msgspec
import uvloop

from wsadapter import log
from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.errors import ConfigError, WsadapterError
from wsadapter.supervision.child import Child, run_child


def main(child: Child) -> int:
    logging.getLogger("picows").setLevel(logging.WARNING)
    try:
        options = child.order(Options)
    except msgspec.ValidationError as error:
        raise ConfigError([("exchange.options", str(error))]) from error
    uvloop.run(_serve(child, options))
    return 0


async def _serve(child: Child, options: Options) -> None:
    state = Path(child.args.config.service.state_dir)
    state.mkdir(parents=True, exist_ok=True)
    try:
        venue = LoopbackVenue(options, page=child.page, ledger=state / f"{child.args.name}.json")
        venue.beat = child.beat
        await venue.start()
    except OSError as error:
        raise WsadapterError(f"the venue cannot start: {error}") from error
    child.ready()
    log.get_logger().info("venue open", ws=venue.url, rest=venue.rest_url, replay=options.replay, rate=options.rate)
    await _until_stop(child, venue)
    await venue.stop()
    log.get_logger().info("venue closed", sent=dict(venue.sent))
    if venue.failed is not None:
        raise venue.failed


async def _until_stop(child: Child, venue: LoopbackVenue) -> None:
    """Until this child is told to stop, or the venue's own work has ended with an error."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def check() -> None:
        if child.stopping:
            loop.remove_reader(child.stop_fd)
            over.set()

    loop.add_reader(child.stop_fd, check)
    venue.on_failure = over.set
    check()
    await over.wait()


if __name__ == "__main__":
    run_child(main)
