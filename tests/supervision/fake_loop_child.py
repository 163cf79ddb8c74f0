"""A child that lives in uvloop, as ingest does: stop_fd through add_reader, heartbeat from the loop."""

import asyncio
import os

import uvloop

from wsadapter.supervision.child import Child, run_child


async def serve(child: Child) -> int:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def on_stop() -> None:
        if child.stopping:
            stopped.set()

    loop.add_reader(child.stop_fd, on_stop)
    child.ready()
    while not stopped.is_set():
        child.beat()
        try:
            await asyncio.wait_for(stopped.wait(), 0.1)
        except TimeoutError:
            continue
    os.write(2, f"orphaned={child.orphaned}\n".encode())
    loop.remove_reader(child.stop_fd)
    return 0


def main(child: Child) -> int:
    return uvloop.run(serve(child))


if __name__ == "__main__":
    run_child(main)
