"""A plain WebSocket client of the loopback venue, for tests: keeps everything that it was sent."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

PATIENCE = 60.0


class VenueClient(WSListener):
    """``texts``: data and replies as received; ``parsed`` the same, decoded. Answers pings unless told not to."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[bytes] = []
        self.pings = 0
        self.close_code: int | None = None
        self.gone = False
        self._arrived = asyncio.Event()

    @classmethod
    async def connect(cls, url: str, pong: bool = True) -> "VenueClient":
        _, client = await ws_connect(cls, url, enable_auto_pong=False, max_frame_size=64 << 20)
        assert isinstance(client, cls)
        client._pong = pong
        return client

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._pong = True
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.texts.append(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.PING:
            self.pings += 1
            if self._pong:
                transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            self.close_code = int.from_bytes(payload[:2], "big")
            transport.send_close(WSCloseCode.OK)
        self._arrived.set()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone = True
        self._arrived.set()

    @property
    def parsed(self) -> list[Any]:
        return [msgspec.json.decode(text) for text in self.texts]

    @property
    def replies(self) -> list[Any]:
        return [one for one in self.parsed if isinstance(one, dict) and ("id" in one or "error" in one)]

    def data(self, stream: str = "") -> list[Any]:
        """Payloads of the combined frames, of one stream or of all."""
        return [one["data"] for one in self.parsed if "stream" in one and stream in ("", one["stream"])]

    def ask(self, method: str, params: list[Any] | None = None, number: Any = 1) -> None:
        request = {"method": method, "id": number} | ({} if params is None else {"params": params})
        self.transport.send(WSMsgType.TEXT, msgspec.json.encode(request))

    async def until(self, predicate: Callable[[], object], patience: float = PATIENCE) -> None:
        """Until ``predicate()`` holds; looked at whenever something arrives."""
        async with asyncio.timeout(patience):
            while not predicate():
                self._arrived.clear()
                await self._arrived.wait()

    async def goodbye(self) -> None:
        """The CLOSE handshake: afterwards everything that the venue counted as sent is in ``texts``."""
        self.transport.send_close(WSCloseCode.OK)
        await self.until(lambda: self.close_code is not None)
        self.transport.disconnect()
        await self.until(lambda: self.gone)


async def settled(predicate: Callable[[], object], patience: float = PATIENCE) -> None:
    """Until ``predicate()`` holds, where nothing arrives that would say so."""
    async with asyncio.timeout(patience):
        while not predicate():
            await asyncio.sleep(0.01)
