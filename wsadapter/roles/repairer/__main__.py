"""The repairer process: gaps in, their events over REST out (`wsadapter.roles.repairer.repairer`)."""

import os

from wsadapter.roles.orders import RepairerOrder
from wsadapter.roles.repairer.repairer import Repairer
from wsadapter.shm import doorbell
from wsadapter.supervision.child import Child, run_child


def main(child: Child) -> int:
    bell = doorbell.create()
    try:
        return Repairer(child, child.order(RepairerOrder), bell).run()
    finally:
        os.close(bell)


if __name__ == "__main__":
    run_child(main)
