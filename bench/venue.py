"""The loopback venue of the benchmarks: prepared frames, so that it costs little, to whoever subscribed.

    python -m bench.venue --port P --frames N [--mix all] [--rate R] [--manual]

By itself it makes ``--frames`` frames and sends them 0.5 s after the last subscription (what the peers' clients
expect): as fast as TCP takes them, or ``--rate`` a second (Poisson arrivals, one write a frame, trades stamped, see
`bench.frames.STAMP`). With ``--manual`` it waits for orders on standard input, any number of them: ``blast N`` or
``pace RATE N``. It says ``ready``, then for each order ``begin`` (a moment before the first frame) and ``end COUNT``.
``trickle`` once: from then on every mark price stream gets a frame every few seconds between the orders, because a
client that watches for silence would renew a connection where nothing comes. A frame goes to every connection
that has its stream at that moment, so a client that returns gets what comes from then on. Standard input at its end
ends it. REST for the peers is on the next port.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench import frames

SETTLE: Final = 0.5
CHUNK: Final = 1 << 16
LONGEST_SLEEP: Final = 0.001
BEGIN_SECONDS: Final = 0.05
TRICKLE_SECONDS: Final = 3.0


def framed(payload: bytes) -> bytes:
    size = len(payload)
    return (bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")) + payload


class Feed(WSListener):
    """One connection."""

    def __init__(self, venue: "Venue", path: str) -> None:
        super().__init__()
        self.streams = set(filter(None, parse_qs(urlsplit(path).query).get("streams", [""])[0].split("/")))
        self.envelope = "/ws" not in urlsplit(path).path
        self.writable = asyncio.Event()
        self.writable.set()
        self._venue = venue

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.write = transport.underlying_transport.write
        self._venue.feeds.append(self)
        self._venue.settle()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.writable.set()
        self._venue.feeds.remove(self)
        self._venue.changes += 1

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            request = json.loads(frame.get_payload_as_bytes())
            if request.get("method") == "SUBSCRIBE":
                self.streams.update(request["params"])
                self._venue.settle()
            transport.send(WSMsgType.TEXT, json.dumps({"result": None, "id": request.get("id")}).encode())


class Venue:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.tape: Any = frames.tape()
        self.feeds: list[Feed] = []
        self.changes = 0
        """Of connections and of what they subscribed to."""
        self.busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._started = options.manual

    def settle(self) -> None:
        """Something subscribed; the automatic order starts when that has been a moment ago."""
        self.changes += 1
        if self._started:
            return
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(SETTLE, self._start)

    def _start(self) -> None:
        if any(feed.streams for feed in self.feeds):
            self._started = True
            self._job = asyncio.ensure_future(self.send(self.options.rate, self.options.frames))

    async def send(self, rate: float, count: int) -> None:
        suffix = frames.suffixes(stream for feed in self.feeds for stream in feed.streams)
        made = self.tape.make(count, self.options.mix, suffix, True)
        say("begin")
        await asyncio.sleep(BEGIN_SECONDS)
        sent = await (self._pace(made, rate) if rate else self._blast(made))
        say(f"end {sent}")

    async def trickle(self) -> None:
        while True:
            await asyncio.sleep(TRICKLE_SECONDS)
            now_ms = time.time_ns() // 1_000_000
            for feed in () if self.busy else self.feeds:
                for stream in feed.streams:
                    if frames.kind_of(stream) == "markPriceUpdate":
                        data = f'"E":{now_ms},"s":"{stream.partition("@")[0].upper()}","p":"1.5","r":"","T":0'
                        frame = f'{{"stream":"{stream}","data":{{"e":"markPriceUpdate",{data}}}}}'
                        feed.write(framed(frame.encode()))

    async def _blast(self, made: list[tuple[str, bytes]]) -> int:
        """Every connection gets its frames as fast as it reads."""
        split: dict[int, list[bytes]] = {}
        takers = {id(feed): feed for feed in self.feeds}
        by_stream = self._takers()
        for _, payload in made:
            for feed in by_stream.get(stream_of(payload), ()):
                split.setdefault(id(feed), []).append(payload if feed.envelope else bare(payload))
        await asyncio.gather(*(self._pour(takers[key], payloads) for key, payloads in split.items()))
        return sum(map(len, split.values()))

    async def _pour(self, feed: Feed, payloads: list[bytes]) -> None:
        chunk: list[bytes] = []
        size = 0
        for payload in payloads:
            chunk.append(framed(payload))
            size += len(payload)
            if size >= CHUNK:
                feed.write(b"".join(chunk))
                chunk, size = [], 0
                await feed.writable.wait()
                await asyncio.sleep(0)
        feed.write(b"".join(chunk))

    async def _pace(self, made: list[tuple[str, bytes]], rate: float) -> int:
        """Sleeps between frames, so that it leaves the core to others (at most 1 ms at a time: the loop must turn)."""
        rng, sent = random.Random(11), 0
        ready = [prepared(kind, payload) for kind, payload in made]
        by_stream, known = self._takers(), self.changes
        due = time.monotonic()
        for stream, payload, stamp_at, event_at in ready:
            due += rng.expovariate(rate)
            while (left := due - time.monotonic()) > 0:
                time.sleep(min(left, LONGEST_SLEEP))
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            if self.changes != known:
                by_stream, known = self._takers(), self.changes
            payload[event_at : event_at + 13] = b"%d" % (time.time_ns() // 1_000_000)
            if stamp_at:
                end = payload.index(b",", stamp_at)
                payload[stamp_at:end] = b"%d" % (frames.STAMP + time.monotonic_ns())
            for feed in by_stream.get(stream, ()):
                sent += 1
                feed.write(framed(bytes(payload) if feed.envelope else bare(bytes(payload))))
        return sent

    def _takers(self) -> dict[bytes, list[Feed]]:
        found: dict[bytes, list[Feed]] = {}
        for feed in self.feeds:
            for stream in feed.streams:
                found.setdefault(stream.encode(), []).append(feed)
        return found

    async def rest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """exchangeInfo, depth snapshots and time, for peers that ask."""
        while request := await reader.readline():
            while (await reader.readline()).strip():
                pass
            url = urlsplit(request.split()[1].decode())
            body = "{}"
            if url.path.endswith("/exchangeInfo"):
                body = json.dumps(self.tape.exchange_info())
            elif url.path.endswith("/depth"):
                body = self.tape.snapshot(parse_qs(url.query)["symbol"][0])
            elif url.path.endswith("/time"):
                body = json.dumps({"serverTime": int(time.time() * 1000)})
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write((head + body).encode())
            await writer.drain()


def stream_of(payload: bytes) -> bytes:
    return payload[11 : payload.index(b'"', 11)]


def bare(payload: bytes) -> bytes:
    return payload[payload.index(b'"data":') + 7 : -1]


def prepared(kind: str, payload: bytes) -> tuple[bytes, bytearray, int, int]:
    """Stream, payload, where a trade's stamp goes (0: nowhere), where the event time is."""
    stamp_at = payload.index(b'"f":') + 4 if kind == "aggTrade" and b'"f":' in payload else 0
    return stream_of(payload), bytearray(payload), stamp_at, payload.index(b'"E":') + 4


def say(line: str) -> None:
    print(line, flush=True)


async def serve(options: argparse.Namespace) -> None:
    venue = Venue(options)
    server = await ws_create_server(admit(venue), "127.0.0.1", options.port)
    rest = await asyncio.start_server(venue.rest, "127.0.0.1", options.port + 1)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    say("ready")
    background: list[asyncio.Task[None]] = []
    while line := (await orders.readline()).decode().split():
        if line[0] == "trickle":
            background.append(asyncio.ensure_future(venue.trickle()))
            continue
        venue.busy = True
        await venue.send(float(line[1]) if line[0] == "pace" else 0.0, int(line[-1]))
        venue.busy = False
    server.close()
    rest.close()


def admit(venue: Venue) -> Any:
    def listener(request: WSUpgradeRequest) -> WSListener:
        return Feed(venue, request.path.decode())

    return listener


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--frames", type=int, default=0)
    parser.add_argument("--mix", choices=frames.MIXES, default="all")
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--manual", action="store_true")
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
