"""The repairer process: gaps in, their events over REST out (`wsadapter.roles.repairer.repairer`)."""

import os

import msgspec

from wsadapter.roles.orders import Poll
from wsadapter.roles.repairer.repairer import Assignment, HistorySource, Repairer
from wsadapter.shm import doorbell
from wsadapter.supervision.child import Child, run_child


def main(child: Child) -> int:
    assignments = msgspec.convert(child.args.options["assignments"], tuple[Assignment, ...])
    polls = msgspec.convert(child.args.options.get("polls", ()), tuple[Poll, ...])
    histories = msgspec.convert(child.args.options.get("feeds", ()), tuple[HistorySource, ...])
    bell = doorbell.create()
    try:
        return Repairer(child, assignments, polls, histories, bell).run()
    finally:
        os.close(bell)


if __name__ == "__main__":
    run_child(main)
