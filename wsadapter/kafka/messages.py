"""The ring identity of a message in Kafka: (epoch, position). Nearly every message begins with it and is not decoded;
this is the slow way, for the others."""

from collections.abc import Callable

from google.protobuf.message import DecodeError

from wsadapter.events.streams import StreamSpec
from wsadapter.pb import market_pb2

Identity = tuple[int, int]
Identify = Callable[[bytes], Identity | None]
"""The ring identity of a message that does not begin with it, None when it has none; `ValueError`: not our message."""


def identify_as(spec: StreamSpec) -> Identify:
    parse = getattr(market_pb2, spec.message).FromString

    def identify(value: bytes) -> Identity | None:
        try:
            message = parse(value)
        except DecodeError:
            raise ValueError(f"no protobuf of {spec.message}") from None
        if not message.receive_time_ns:
            raise ValueError(f"no {spec.message} of ours: no receive time")
        if message.HasField("epoch") and message.HasField("position"):
            return message.epoch, message.position
        return None

    return identify
