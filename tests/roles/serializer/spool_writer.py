"""A process that appends to a spool until it is killed, and says how many records are stored."""

import random
import sys

from wsadapter.roles.serializer.spool import Spool


def main(directory: str) -> None:
    spool = Spool(directory, 1 << 30, 1 << 20)
    number = spool.records
    print(number, flush=True)
    while True:
        count = random.Random(number).randint(1, 200)
        stored = [(7, n * 8, 1, random.Random(n).randbytes(n % 300)) for n in range(number, number + count)]
        number += spool.append(stored)
        print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
