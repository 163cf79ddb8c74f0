"""Ring record -> Kafka key and value, one compiled builder per registry row.

A builder decodes the msgpack record into its Struct and fills the protobuf message field by field; ``epoch`` and
``position`` go first, so they are the first 18 bytes of every value. The lambdas are generated from the Struct's field
list, so a field cannot be forgotten, and cost what hand-written calls cost.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from wsadapter.events import Event, Gap
from wsadapter.pb import market_pb2
from wsadapter.streams import SPECS, StreamSpec

Builder = Callable[[bytes, int, int], tuple[bytes, bytes]]
"""(record payload, ring epoch, record position) -> (key, value)."""

BAD_RECORD: Final = (msgspec.MsgspecError, ValueError, TypeError, UnicodeError, RecursionError)
"""What a builder raises for a record that can never become a message."""


def message_of(spec: StreamSpec) -> Callable[[Event, int, int], Any]:
    """(event, epoch, position) -> its protobuf message; ``None`` fields stay absent."""
    fields = ", ".join(f"{field}=e.{field}" for field in spec.event.__struct_fields__)
    source = f"lambda e, epoch, position: message(epoch=epoch, position=position, {fields})"
    made: Callable[[Event, int, int], Any] = eval(source, {"message": getattr(market_pb2, spec.message)})
    return made


def builder(spec: StreamSpec) -> Builder:
    decode = msgspec.msgpack.Decoder(spec.event).decode
    message = message_of(spec)
    named = spec.event is Gap

    def build(payload: bytes, epoch: int, position: int) -> tuple[bytes, bytes]:
        event = decode(payload)
        if named and not event.gap_id:  # type: ignore[attr-defined]  # only a Gap comes here
            event.gap_id = f"{epoch}:{position}"  # type: ignore[attr-defined]
        key = f"{event.exchange}:{event.symbol}".encode()
        return key, message(event, epoch, position).SerializeToString()

    return build


BUILDERS: Final[dict[int, Builder]] = {spec.kind: builder(spec) for spec in SPECS}
"""By ring record kind."""
