"""Join the fragments of WebSocket messages: picows passes each frame up as it comes, checks no order and joins nothing.

Guarantee: what comes out is one whole message of at most ``max_size`` bytes, or `Violation`.
"""

from collections.abc import Callable


class Violation(Exception):
    """The server broke the protocol; ``reason`` is protocol or oversize. The session cannot be trusted any further."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Fragments:
    """At most one unfinished message."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._parts = bytearray()
        self._is_text = True
        self.unfinished = False
        """A plain attribute: it is read for every frame."""

    def first(self, is_text: bool, fin: bool, payload: Callable[[], bytes]) -> tuple[bytes, bool] | None:
        """A TEXT or BINARY frame: (message, is it text) when it is whole."""
        if self.unfinished:
            raise Violation("protocol", "a message begins inside another")
        if fin:
            return payload(), is_text
        self._parts, self._is_text, self.unfinished = bytearray(payload()), is_text, True
        return None

    def next(self, fin: bool, size: int, payload: Callable[[], bytes]) -> tuple[bytes, bool] | None:
        """A CONTINUATION frame; ``size`` is judged before ``payload`` is copied."""
        if not self.unfinished:
            raise Violation("protocol", "a continuation of nothing")
        if len(self._parts) + size > self._max_size:
            raise Violation("oversize", "the fragments of one message exceed the limit")
        self._parts += payload()
        if not fin:
            return None
        whole, self._parts, self.unfinished = bytes(self._parts), bytearray(), False
        return whole, self._is_text
