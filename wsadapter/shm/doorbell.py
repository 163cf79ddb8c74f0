"""Wake a sleeping reader: an eventfd that is shared by inheriting its number.

The writer publishes, then rings; it rings once per batch, whether or not anyone sleeps (0.3-0.5 us; a "reader sleeps"
flag would need a store-load fence). The reader **clears before it reads the ring, never after**: a ring that comes
between clear and read costs one empty poll, the other order loses a wake-up. Several writers may share one doorbell.

The supervisor creates it, keeps it open and hands it to every new child, so the fd survives either side.
"""

import os


def create() -> int:
    """A new doorbell, silent, non-blocking, not inherited unless passed on by name."""
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def ring(fd: int) -> None:
    try:
        os.eventfd_write(fd, 1)
    except BlockingIOError:
        return  # the counter is full: it has been rung often enough


def clear(fd: int) -> int:
    """Silence it; how often it had been rung since the last time."""
    try:
        return os.eventfd_read(fd)
    except BlockingIOError:
        return 0
