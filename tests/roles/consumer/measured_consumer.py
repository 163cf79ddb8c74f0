"""The consumer role, which also writes the most bytes of messages that it ever held into WSADAPTER_TEST_PEAK."""

import os
from pathlib import Path

from wsadapter.roles.consumer.__main__ import main
from wsadapter.roles.consumer.group import CHUNK, GroupMember
from wsadapter.supervision.child import run_child

PEAK = Path(os.environ["WSADAPTER_TEST_PEAK"])
poll = GroupMember.poll
peak = 0


def measured(group: GroupMember, timeout: float, limit: int = CHUNK) -> int:
    global peak
    came = poll(group, timeout, limit)
    held = sum(partition.buffered for partition in group.partitions.values())
    if held > peak:
        peak = held
        PEAK.write_text(str(peak))
    return came


GroupMember.poll = measured  # type: ignore[method-assign,assignment]

if __name__ == "__main__":
    run_child(main)
