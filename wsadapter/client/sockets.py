"""Makes the sockets of one connection: each dial granted by the venue's limit and stopped with the connection, each
life told by how it ended."""

import asyncio
import logging
import ssl

from picows import WSCloseCode, WSProtocolError, WSTransport

from wsadapter.client.config import ConnectionConfig
from wsadapter.client.connect_limit import BUSY_SECONDS, ConnectLimiter
from wsadapter.client.dial import DialFailed, Endpoint, dial
from wsadapter.client.session import Lost, Session
from wsadapter.exchanges.venue import ConnectionPlan

logger = logging.getLogger(__name__)


class Dialer:
    """``attempts`` grants every dial; ``stop`` ends them. ``dials`` and ``delayed`` (those that had to wait for the
    venue's limit) only grow."""

    def __init__(
        self,
        plan: ConnectionPlan,
        config: ConnectionConfig,
        tls: ssl.SSLContext | None,
        attempts: ConnectLimiter,
        stop: asyncio.Event,
    ) -> None:
        self.dials = self.delayed = 0
        self._name, self._tls, self._attempts, self._stop = plan.connection, tls, attempts, stop
        self._endpoint = Endpoint(plan.url, config.connect_timeout, config.max_message_size, config.read_buffer_size)

    async def live(self, session: Session) -> Lost:
        """A socket for ``session``, from its dial to its end."""
        try:
            transport = await self._dial(session)
        except DialFailed as error:
            return Lost(error.reason, error.detail, error.retry_after)
        if transport is None:
            return Lost("stopped")
        if self._stop.is_set():
            session.close()
        try:
            await transport.wait_disconnected()
        except WSProtocolError as error:
            return _broken(error)
        return session.lost or Lost("reset", "the TCP connection ended without a CLOSE")

    async def _dial(self, session: Session) -> WSTransport | None:
        """None when told to stop meanwhile."""
        dialing = asyncio.ensure_future(self._dial_when_granted(session))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((dialing, stopping), return_when=asyncio.FIRST_COMPLETED)
            return dialing.result() if dialing.done() else None
        finally:
            stopping.cancel()
            if not dialing.done():
                dialing.cancel()
                await asyncio.wait((dialing,))

    async def _dial_when_granted(self, session: Session) -> WSTransport:
        waits = False
        while wait := self._attempts.take():
            if wait > BUSY_SECONDS and not waits:
                waits = True
                self.delayed += 1
                logger.warning("%s: the venue's limit of attempts is reached, %.1f s to wait", self._name, wait)
            await asyncio.sleep(wait)
        self.dials += 1
        return await dial(self._endpoint, session, self._tls)


def _broken(error: WSProtocolError) -> Lost:
    """What picows itself found wrong with a frame."""
    if error.code == WSCloseCode.MESSAGE_TOO_BIG:
        return Lost("oversize", str(error))
    return Lost("protocol", str(error))
