"""Open a WebSocket: one deadline over DNS, TCP, TLS and upgrade, and one word for why it failed. The `Dialer` of a
connection makes its sockets: each dial granted by the venue's limit and none before the time that the venue asked for,
each life told by how it ended.

TLS certificates are always verified, TLS 1.2 is the least, redirects and extensions that nobody asked for are refused.
The picows handshake alone has no limit over TLS (a ``wss://`` URL of a plain port took 60 s), hence the deadline here.
"""

import asyncio
import logging
import socket
import ssl
import time
from typing import Any, Final

from picows import (
    WSCloseCode,
    WSError,
    WSHandshakeError,
    WSInvalidStatusError,
    WSListener,
    WSProtocolError,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    ws_connect,
)

from wsadapter import announced_wait
from wsadapter.client.config import ConnectionConfig
from wsadapter.client.connect_limit import BUSY_SECONDS, ConnectLimiter
from wsadapter.client.session import Lost, Session
from wsadapter.errors import WsadapterError
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.text import printable

TLS_SHUTDOWN_SECONDS: Final = 1.0
NEXT_ADDRESS_SECONDS: Final = 0.25
"""A host's address that has not answered by then is not waited for alone: the next one is tried beside it, as RFC 8305
recommends."""

REREAD_SECONDS: Final = 60.0
"""The CA certificates are not read more often."""

logger = logging.getLogger(__name__)


class DialFailed(WsadapterError):
    """``reason``: dns connect tls handshake http_403 http_418 http_429 http_5xx http_other. ``retry_after``: seconds
    that the venue asks us to stay away, if it does."""

    def __init__(self, reason: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.retry_after = reason, printable(detail, 200), retry_after


def tls_context() -> ssl.SSLContext:
    """Verifies certificate and host name; honours SSL_CERT_FILE like everything built on OpenSSL."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class TrustStore:
    """The context of a client's dials. It has the CA certificates that were there when it was made, and a client may
    outlive an authority: `doubt` reads them again."""

    def __init__(self) -> None:
        self.context = tls_context()
        self._read_at = time.monotonic()

    async def doubt(self) -> None:
        """A dial failed for TLS: the next one has the certificates of now. Reading them takes a third of a second, for
        which no other socket waits. OpenSSL says nothing of a file that is not there or not whole: while there are none
        the ones of before are kept, and read again at the next failure."""
        now, read_at = time.monotonic(), self._read_at
        if now - read_at < REREAD_SECONDS:
            return
        self._read_at = now
        try:
            context = await asyncio.to_thread(tls_context)
        except (OSError, RuntimeError) as error:
            logger.warning("the CA certificates could not be read again: %s", error)
            self._read_at = read_at
            return
        if self.context.cert_store_stats()["x509_ca"] and not context.cert_store_stats()["x509_ca"]:
            logger.warning("there are no CA certificates any more: those of before are kept")
            self._read_at = read_at
        else:
            self.context = context


async def dial(
    url: str,
    config: ConnectionConfig,
    listener: WSListener,
    tls: ssl.SSLContext | None,
    headers: tuple[tuple[str, str], ...] = (),
) -> WSTransport:
    """An upgraded connection whose frames go to ``listener`` (already while this returns); raises `DialFailed`. Without
    ``tls`` a ``wss://`` URL gets a context of its own, which verifies as well. ``headers``: beside those of any
    handshake."""
    abandoned = False

    def admit(request: WSUpgradeRequest, response: WSUpgradeResponse) -> WSListener:
        if abandoned:  # the answer came after the deadline: picows still listens, nobody else does
            raise WSHandshakeError("too late")
        for header in ("Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"):
            if header in response.headers:
                raise WSHandshakeError(f"the server chose a {header} that nobody offered")
        return listener

    secure: dict[str, Any] = {
        "ssl_handshake_timeout": config.connect_timeout,
        "ssl_shutdown_timeout": TLS_SHUTDOWN_SECONDS,
    }
    deadline = asyncio.timeout(config.connect_timeout)
    try:
        async with deadline:
            transport, admitted = await ws_connect(
                admit,
                url,
                ssl_context=tls,
                websocket_handshake_timeout=config.connect_timeout / 2,
                # we answer pings ourselves: picows' own pong would swallow the end of a socket read
                enable_auto_pong=False,
                max_frame_size=config.max_message_size,
                max_redirects=0,
                extra_headers=headers,
                read_buffer_init_size=config.read_buffer_size,
                happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
                **(secure if url.startswith("wss:") else {}),
            )
    except (OSError, WSError, ValueError) as error:  # TimeoutError is an OSError; a host that is no name a ValueError
        raise _failure(error, deadline.expired()) from error
    finally:
        abandoned = True
    if admitted is None:  # the server hung up instead of answering, which picows does not call an error
        raise DialFailed("handshake", "the server closed the connection before the upgrade")
    return transport


class Dialer:
    """``attempts`` grants every dial; ``stop`` ends them. ``dials`` and ``delayed`` (those that had to wait for the
    venue's limit) only grow. ``requests`` grants every request of its sockets, where the venue counts those of all."""

    def __init__(
        self,
        plan: ConnectionPlan,
        config: ConnectionConfig,
        trust: TrustStore | None,
        attempts: ConnectLimiter,
        stop: asyncio.Event,
    ) -> None:
        self.dials = self.delayed = 0
        self.certificate_expiry_ns = 0
        """Of the certificate that the venue showed last; 0 without TLS."""
        self.config = config
        self.requests: ConnectLimiter | None = None
        self._name, self._trust, self._attempts, self._stop = plan.connection, trust, attempts, stop
        self._url, self._headers = plan.url, plan.headers
        self._not_before = float("-inf")
        """Until when (monotonic) the venue wants us to stay away, whichever socket it told."""

    async def live(self, session: Session) -> Lost:
        """A socket for ``session``, from its dial to its end."""
        session.granted = self.requests
        try:
            transport = await self._dial(session)
        except DialFailed as error:
            lost = Lost(error.reason, error.detail, error.retry_after)
            self._not_before = max(self._not_before, time.monotonic() + lost.asked_to_wait)
            if self._trust is not None and lost.reason == "tls":
                await self._trust.doubt()
            return lost
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
        """None when told to stop meanwhile. Unless it returns a socket there is none."""
        dialing = asyncio.ensure_future(self._dial_when_granted(session))
        stopping = asyncio.ensure_future(self._stop.wait())
        transport = None
        try:
            await asyncio.wait((dialing, stopping), return_when=asyncio.FIRST_COMPLETED)
            if dialing.done():
                transport = dialing.result()
            return transport
        finally:
            stopping.cancel()
            if not dialing.done():
                dialing.cancel()
                await asyncio.wait((dialing,))
            if transport is None:
                session.abort()  # the venue's answer may have come just before the dial ended

    async def _dial_when_granted(self, session: Session) -> WSTransport:
        if (wait := self._not_before - time.monotonic()) > BUSY_SECONDS:
            logger.warning("%s: connecting waits %.1f s, as the venue asks", self._name, wait)
        while (wait := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        waits = False
        while wait := self._attempts.acquire():
            if wait > BUSY_SECONDS and not waits:
                waits = True
                self.delayed += 1
                logger.warning("%s: connecting waits %.1f s for the venue's limit of attempts", self._name, wait)
            await asyncio.sleep(wait)
        self.dials += 1
        tls = None if self._trust is None else self._trust.context
        transport = await dial(self._url, self.config, session, tls, self._headers)
        self.certificate_expiry_ns = _certificate_expiry_ns(transport)
        return transport


def _certificate_expiry_ns(transport: WSTransport) -> int:
    """Of the other side's, verified; 0 where there is none."""
    shown = transport.underlying_transport.get_extra_info("peercert") or {}
    return ssl.cert_time_to_seconds(shown["notAfter"]) * 10**9 if "notAfter" in shown else 0


def _broken(error: WSProtocolError) -> Lost:
    """What picows itself found wrong with a frame."""
    if error.code == WSCloseCode.MESSAGE_TOO_BIG:
        return Lost("oversize", str(error))
    return Lost("protocol", str(error))


def _failure(error: OSError | WSError | ValueError, expired: bool) -> DialFailed:
    detail = f"{type(error).__name__}: {error}"
    if isinstance(error, WSInvalidStatusError) and error.response is not None:
        status = int(error.response.status)
        reason = f"http_{status}" if status in (403, 418, 429) else "http_5xx" if status >= 500 else "http_other"
        return DialFailed(reason, f"HTTP status {status}", _announced_wait(error.response, error.raw_body))
    if isinstance(error, WSError):
        return DialFailed("handshake", detail)
    if isinstance(error, TimeoutError):
        # within the deadline it is picows' own timeout, which runs when TCP and TLS stand
        return DialFailed("connect" if expired else "handshake", "timed out")
    if isinstance(error, socket.gaierror | UnicodeError):
        return DialFailed("dns", detail)
    # once TCP stands, and before the protocol does, there is only TLS that a reset can interrupt
    if isinstance(error, ssl.SSLError | ConnectionResetError | ConnectionAbortedError):
        return DialFailed("tls", detail)
    return DialFailed("connect", detail)


def _announced_wait(response: WSUpgradeResponse, body: bytes | None) -> float | None:
    """The longest wait (seconds) that the answer announces, in its headers or in what of its body came with them."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    wall = announced_wait.host_clock(headers, time.time())
    waits = announced_wait.of_headers(headers, "", wall), announced_wait.of_text(body or b"", wall)
    return max((wait for wait in waits if wait is not None), default=None)
