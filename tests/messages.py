"""An event as its protobuf message, built the slow way."""

from collections.abc import Callable
from typing import Any

from wsadapter.events import Event
from wsadapter.events.streams import StreamSpec
from wsadapter.pb import market_pb2


def message_of(spec: StreamSpec) -> Callable[[Event, int, int], Any]:
    """(event, epoch, position) -> message; ``None`` fields stay absent."""
    message = getattr(market_pb2, spec.message)

    def build(event: Event, epoch: int, position: int) -> Any:
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        return message(epoch=epoch, position=position, **fields)

    return build
