"""Bybit's URL, what a client may ask on its WebSocket, and the answers: one connection's subscriptions, sans-I/O.

One topic that nobody handles voids its whole request. ``req_id`` comes back as text. The first data of new topics goes
out before the ack, as the venue often does.
"""

from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec

from wsadapter.embedded.exchange.requests import SubscriptionReply, Target
from wsadapter.embedded.market.bybit_streams import offered

PATH: Final = "/v5/public/linear"
MOST_CHARACTERS: Final = 21_000
"""Of all topics of a connection together."""


def target(path: str) -> Target | None:
    return Target("", False, ()) if urlsplit(path).path.rstrip("/") == PATH else None


class TopicSubscriptions:
    """``combined`` is never true: the frames are whole as they are."""

    combined = False

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self._connection_id = str(uuid4())

    def answer(self, request: bytes) -> SubscriptionReply:
        """Never raises, whatever the client sent."""
        try:
            fields = msgspec.json.decode(request)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            return self._refusal("", "", "error:request is not a JSON object")
        op, number = fields.get("op"), fields.get("req_id", "")
        number = str(number) if isinstance(number, str | int) else ""
        if op == "ping":
            return SubscriptionReply(self._reply(True, "pong", number, op))
        if op not in ("subscribe", "unsubscribe"):
            return self._refusal(op if isinstance(op, str) else "", number, "error:unknown op")
        topics = fields.get("args")
        if not isinstance(topics, list) or not topics or not all(isinstance(topic, str) for topic in topics):
            return self._refusal(op, number, "error:args must be a list of topics")
        return self._subscribe(topics, number) if op == "subscribe" else self._unsubscribe(topics, number)

    def _subscribe(self, topics: list[str], number: str) -> SubscriptionReply:
        unknown = next((topic for topic in topics if offered(topic) is None), None)
        if unknown is not None:
            return self._refusal("subscribe", number, f"error:handler not found,topic:{unknown}")
        wanted = self.names | dict.fromkeys(topics)
        if sum(map(len, wanted)) > MOST_CHARACTERS:
            return self._refusal("subscribe", number, f"error:args of more than {MOST_CHARACTERS} characters")
        added = tuple(topic for topic in wanted if topic not in self.names)
        self.names = wanted
        return SubscriptionReply(self._reply(True, "", number, "subscribe"), True, added, data_first=True)

    def _unsubscribe(self, topics: list[str], number: str) -> SubscriptionReply:
        removed = tuple(topic for topic in dict.fromkeys(topics) if topic in self.names)
        for topic in removed:
            del self.names[topic]
        return SubscriptionReply(self._reply(True, "", number, "unsubscribe"), True, removed=removed)

    def _refusal(self, op: str, number: str, message: str) -> SubscriptionReply:
        return SubscriptionReply(self._reply(False, message, number, op))

    def _reply(self, success: bool, message: str, number: str, op: str) -> bytes:
        fields: dict[str, Any] = {
            "success": success, "ret_msg": message, "conn_id": self._connection_id, "req_id": number, "op": op,
        }  # fmt: skip
        return msgspec.json.encode(fields)
