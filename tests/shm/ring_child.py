"""The other process of the ring tests, and the records both sides know.

Run as ``python ring_child.py COMMAND NAME ...``; every command announces itself with a line on stdout before its work.
"""

import ctypes
import os
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

from wsadapter.shm import doorbell
from wsadapter.shm.ring import RingReader, RingWriter
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage

KIND = 7
PATTERNS = 0x1111111122222222, 0xEEEEEEEEDDDDDDDD
"""Neither half is zero or shared: 0 must not be legal in a tear test."""
WORD = 16
ENTRY = struct.Struct("<QQ")
FILLER = bytes(i * 31 & 255 for i in range(512))


def payload(run: int, sequence: int) -> bytes:
    """Sequence ``sequence`` of writer ``run``: a length that depends on both, and a checksum over all of it."""
    body = ENTRY.pack(run, sequence) + FILLER[sequence % 251 :][: sequence * 7919 % 200]
    return crc32(body).to_bytes(4, "little") + body


def identify(record: bytes) -> tuple[int, int]:
    """(run, sequence) of an undamaged payload."""
    assert crc32(record[4:]) == int.from_bytes(record[:4], "little"), "torn record"
    run, sequence = ENTRY.unpack_from(record, 4)
    return run, sequence


def start(*arguments: str | int | Path, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    """Start a child and return once it has announced itself."""
    command = [sys.executable, __file__, *map(str, arguments)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=pass_fds)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    """SIGKILL it and reap it."""
    child.kill()
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def ready() -> None:
    print("ready", flush=True)


def hold() -> None:
    """Until the parent kills us."""
    ready()
    select.poll().poll()


def flip(name: str, how: str) -> None:
    """Store the two patterns in turn, for ever: through the aligned cast, or as nobody may do it."""
    segment = Segment.attach(name)
    words = segment.buf.cast("Q")
    store = struct.Struct("Q").pack_into
    first, second = PATTERNS
    words[WORD] = first
    ready()
    while how == "cast":
        words[WORD] = first
        words[WORD] = second
    while how == "pack_into":
        store(segment.buf, WORD * 8, first)
        store(segment.buf, WORD * 8, second)


def attach(name: str, ending: str) -> None:
    """Attach like an unrelated program and end in one of three ways."""
    segment = Segment.attach(name)
    if ending == "close":
        segment.close()
    ready()
    if ending == "kill":
        os.kill(os.getpid(), 9)


def create(name: str, size: int) -> None:
    Segment.create(name, size)
    hold()


def half(name: str, published: int, unpublished: int) -> None:
    """Write and publish some records, write more without publishing, wait for the kill."""
    writer = RingWriter.attach(name)
    for sequence in range(published + unpublished):
        if sequence == published:
            writer.publish()
        assert writer.try_write(KIND, payload(1, sequence))
    hold()


def read(name: str, count: int, committed: int) -> None:
    """Poll ``count`` records, commit the first ``committed``, wait for the kill."""
    reader = RingReader.attach(name)
    records = reader.poll(count)
    assert len(records) == count
    reader.commit(records[committed][0] if committed < count else reader.position)
    hold()


def write(name: str, page_name: str, bell: int, run: int, count: int) -> None:
    """Write ``count`` records of ``run`` (0 = for ever) in batches; note in the page how many are published."""
    writer = RingWriter.attach(name)
    page = StatsPage.attach(page_name, writable=True)
    ready()
    sequence = 0
    while not count or sequence < count:
        full = not writer.try_write(KIND, payload(run, sequence))
        if not full:
            sequence += 1
        if full or not sequence % 16 or sequence == count:
            writer.publish()
            page[f"published{run}"] = sequence
            doorbell.ring(bell)
        if full:
            os.sched_yield()


def deliver(name: str, bell: int, log: str) -> None:
    """The serializer's order: poll, deliver (append to a file, which a SIGKILL does not take back), commit."""
    reader = RingReader.attach(name)
    fd = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    size = os.fstat(fd).st_size
    os.ftruncate(fd, size - size % ENTRY.size)  # a kill may cut a long write short
    waiter = select.poll()
    waiter.register(bell, select.POLLIN)
    ready()
    while True:
        doorbell.clear(bell)
        while records := reader.poll(64):
            os.write(fd, b"".join(ENTRY.pack(*identify(record)) for _, _, record in records))
            reader.commit(reader.position)
        waiter.poll()


COMMANDS: dict[str, Callable[..., None]] = {
    command.__name__: command for command in (flip, attach, create, half, read, write, deliver)
}


def main(command: str, *arguments: str) -> None:
    COMMANDS[command](*(int(argument) if argument.isdigit() else argument for argument in arguments))


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nothing outlives a killed test run
    sys.path.pop(0)  # this folder holds no product code
    main(*sys.argv[1:])
