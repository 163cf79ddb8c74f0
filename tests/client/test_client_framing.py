"""What picows does not check: fragments, reserved bits, sizes, control frames in between."""

import asyncio
from collections.abc import Callable

import pytest
from client.loopback_ws import (
    AGG,
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    Loopback,
    Peer,
    Script,
    behave,
    frame,
    run,
    trade,
    until,
)
from client.recording import Recording, config
from hypothesis import given
from hypothesis import strategies as st

from wsadapter.client.client import Client
from wsadapter.client.protocol import Fragments, Violation

WHOLE = (AGG % 7).encode()
KIB = 1024


def sends(*octets: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        peer.send(*octets)
        await peer.serve()

    return script


def after(script: Script, done: Callable[[Recording], object], **changes: int) -> tuple[Recording, Client, Peer]:
    """The state after ``script`` had its client (which a good venue takes next) until ``done``."""
    handler = Recording()
    found: list[tuple[Client, Peer]] = []

    async def body() -> None:
        async with Loopback(script, behave) as venue:
            client = Client(config(venue, **changes), handler)
            task = asyncio.create_task(client.start())
            await until(lambda: done(handler))
            await client.stop()
            await task
            found.append((client, venue.peers[0]))

    run(body())
    return handler, *found[0]


def test_fragments_are_joined_around_control_frames() -> None:
    script = sends(
        frame(TEXT, WHOLE[:10], fin=False),
        frame(PING, b"1"),
        frame(CONTINUATION, WHOLE[10:60], fin=False),
        frame(CONTINUATION, b"", fin=False),
        frame(PING, b"2"),
        frame(CONTINUATION, WHOLE[60:]),
        trade(8),
    )
    # both trades may come before the subscription is even sent: its answer is the third message
    handler, client, peer = after(script, lambda h: len(h.trades) == 2 and h.subscribed)

    assert handler.numbers == [7, 8]
    assert peer.pongs == [b"1", b"2"]
    assert handler.lost == ["stopped"]
    assert client.get_stats().messages_received == 3


@pytest.mark.parametrize(
    "octets",
    [
        *(frame(TEXT, WHOLE, rsv=4), frame(TEXT, WHOLE, rsv=2), frame(TEXT, WHOLE, rsv=1), frame(PING, b"", rsv=4)),
        frame(CONTINUATION, WHOLE),
        frame(TEXT, WHOLE, fin=False) + frame(TEXT, WHOLE),
        frame(TEXT, WHOLE, fin=False) + frame(BINARY, WHOLE),
        frame(TEXT, WHOLE, fin=False) + frame(CONTINUATION, WHOLE, rsv=4),
        *(frame(3, WHOLE), frame(PING, b"x", fin=False), frame(PING, b"x" * 126), b"\x81\x80\x00\x00\x00\x00"),
    ],
    ids=lambda octets: octets[:2].hex(),
)
def test_a_broken_protocol_ends_the_session(octets: bytes) -> None:
    handler, _, peer = after(sends(trade(1), octets, trade(2)), lambda h: h.subscribed == 1)

    assert handler.lost == ["protocol", "stopped"]
    assert 2 not in handler.numbers
    assert peer.close_code == 1002


@pytest.mark.parametrize(
    "octets",
    [
        frame(TEXT, size=64 * KIB * KIB),
        frame(TEXT, size=2**62),
        frame(TEXT, b"[" * 40 * KIB, fin=False) + frame(CONTINUATION, b"]" * 40 * KIB),
        frame(TEXT, b"", fin=False) + b"".join(frame(CONTINUATION, b"x" * KIB, fin=False) for _ in range(65)),
    ],
    ids=["header of 64 MiB", "header of 2^62", "two fragments", "many fragments"],
)
def test_a_message_has_a_size_limit(octets: bytes) -> None:
    handler, client, peer = after(sends(trade(1), octets), lambda h: h.subscribed == 1, max_message_size=64 * KIB)

    assert handler.lost == ["oversize", "stopped"]
    assert [kind for kind, _ in handler.errors] == ["oversize"]
    assert client.connections[0].decode_errors == {"oversize": 1}
    assert peer.close_code == 1009


def test_bad_messages_cost_only_themselves() -> None:
    script = sends(
        trade(1),
        frame(BINARY, WHOLE),
        frame(BINARY, WHOLE[:5], fin=False) + frame(CONTINUATION, WHOLE[5:]),
        frame(TEXT, WHOLE.replace(b"BTC", b"\xff\xfe\xfd")),
        frame(TEXT, b""),
        trade(2),
    )
    handler, client, _ = after(script, lambda h: len(h.trades) == 2)

    assert handler.numbers == [1, 2]
    assert client.connections[0].decode_errors == {"binary": 2, "utf8": 1, "json": 1}
    assert [kind for kind, _ in handler.errors] == ["binary", "binary", "utf8", "json"]
    assert handler.lost == ["stopped"]


def test_a_ping_flood_does_not_fill_our_memory() -> None:
    """The venue pings and does not read what comes back."""

    async def flood(peer: Peer) -> None:
        await peer.upgrade()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(1000):
            peer.send(frame(PING, b"x" * 125) * 100)
            await peer.writer.drain()
        peer.send(trade(9))
        await peer.serve()

    class Watching(Recording):
        most = 0

        def on_read_end(self) -> None:
            session = clients[0].connections[0].current.session
            assert session._transport is not None
            self.most = max(self.most, session._transport.underlying_transport.get_write_buffer_size())

    async def body() -> None:
        async with Loopback(flood) as venue:
            clients.append(Client(config(venue, write_buffer_size=4096), handler))
            task = asyncio.create_task(clients[0].start())
            await until(lambda: handler.trades)
            task.cancel()
            await asyncio.wait([task])

    handler = Watching()
    clients: list[Client] = []
    run(body())
    # the mark, and what one more read can add before the transport says so
    assert 0 < handler.most < 128 * KIB


pieces = st.lists(st.binary(max_size=30), min_size=1, max_size=6)


@given(pieces, st.booleans())
def test_joined_fragments_are_the_message(parts: list[bytes], is_text: bool) -> None:
    fragments = Fragments(1000)
    *rest, last = parts
    results = []
    for index, part in enumerate(rest):
        given_part = (lambda part=part: part) if part is not None else bytes
        results.append(
            fragments.next(False, len(part), given_part) if index else fragments.first(is_text, False, given_part)
        )
    end = fragments.next(True, len(last), lambda: last) if rest else fragments.first(is_text, True, lambda: last)

    assert not any(results)
    assert end == (b"".join(parts), is_text)
    assert not fragments.unfinished


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20))
def test_no_message_is_larger_than_the_limit(sizes: list[int]) -> None:
    fragments, total = Fragments(100), 0
    fragments.first(True, False, bytes)
    for size in sizes:
        total += size
        if total > 100:
            with pytest.raises(Violation, match="oversize"):
                fragments.next(False, size, lambda: pytest.fail("copied before it was judged"))
            return
        assert fragments.next(False, size, lambda size=size: bytes(size)) is None  # type: ignore[misc]
