"""A tap keeps a copy of each message, no more bytes than it may, and changes nothing for the decoder."""

from wsadapter.client.tap import OVERHEAD, FrameTap
from wsadapter.exchanges.venue import Item
from wsadapter.recordings import Frame


def nothing(payload: bytes | memoryview, at_ns: int) -> list[Item]:
    return []


def test_sockets_are_numbered_by_connection_and_payloads_copied() -> None:
    tap, seen = FrameTap(10_000), list[tuple[bytes, int]]()

    def receive(payload: bytes | memoryview, at_ns: int) -> list[Item]:
        seen.append((bytes(payload), at_ns))
        return []

    public, market = tap.of("public"), tap.of("market")
    first, other, second = public(receive), market(receive), public(receive)
    buffer = bytearray(b"abc")
    first(memoryview(buffer), 1)
    buffer[:] = b"xyz"
    other(b"def", 2)
    second(b"ghi", 3)
    frames, _ = tap.take()
    assert frames == [Frame(1, "1.1", b"abc"), Frame(2, "2.1", b"def"), Frame(3, "1.2", b"ghi")]
    assert seen == [(b"abc", 1), (b"def", 2), (b"ghi", 3)]
    assert tap.take() == ([], 0)


def test_what_is_held_is_bounded_until_it_is_released() -> None:
    size = 100 + OVERHEAD
    tap = FrameTap(3 * size)
    received = tap.of("a")(nothing)
    for number in range(5):
        received(bytes(100), number)
    frames, held = tap.take()
    assert (len(frames), held, tap.dropped, tap.taken) == (3, 3 * size, 2, 3)

    received(bytes(100), 5)  # nothing was released yet
    assert (tap.take(), tap.dropped) == (([], 0), 3)

    tap.release(held)
    tap.take()
    received(bytes(100), 6)
    frames, held = tap.take()
    assert [at_ns for at_ns, _, _ in frames] == [6]
    assert held == size
