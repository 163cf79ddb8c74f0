"""Inserts of raw messages: length-delimited protobuf in, one block, one token.

Guarantees: a token stands for exactly these bytes (their hash is a part of it), so that a repeat is dropped by the
server and another batch never is; the whole insert is one block, so that one token covers it; it is done when the call
returns. Nothing is decoded on this side. The client may send a body twice by itself (HAZARDS): the token covers that.

What is the same for every insert of a stream, the message's schema above all, stands in the statement: as parameters of
the request it would be escaped for the URL letter by letter, 0.4 ms each time.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from wsadapter.clickhouse.conversion import literal, quoted
from wsadapter.clickhouse.schema import archive_name, inbox_name, placed
from wsadapter.events import Event
from wsadapter.events.streams import StreamSpec
from wsadapter.pb import market_pb2

PARTITIONS_PER_INSERT: Final = 50
"""Of the table, not of Kafka. More are refused by the server (252), and the batch is inserted in halves: to know the
months of a batch beforehand, every message of every batch would have to be decoded, for a case that only a back-fill of
years brings about. Halves of a range in time order span half as many."""

_SETTINGS: Final = {
    # the token is per block: one insert must stay one block, parsed and pushed at once
    "input_format_parallel_parsing": 0,
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "materialized_views_ignore_errors": 0,
    # a server's profile must not make bad messages vanish
    "input_format_allow_errors_num": 0,
    "input_format_allow_errors_ratio": 0,
    "max_partitions_per_insert_block": PARTITIONS_PER_INSERT,
    "throw_on_max_partitions_per_insert_block": 1,
}
"""Of the statement, as SQL."""

_SCALARS: Final = {
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_FIXED64: "fixed64",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BOOL: "bool",
}


def message_schema(spec: StreamSpec, package: str = "") -> str:
    """The proto text of the one message and its enums, from the compiled descriptor."""
    message = getattr(market_pb2, spec.message).DESCRIPTOR
    enums: dict[str, EnumDescriptor] = {f.enum_type.name: f.enum_type for f in message.fields if f.enum_type}
    lines = ['syntax = "proto3";', *([f"package {package};"] if package else [])]
    for name, enum in enums.items():
        lines.append(f"enum {name} {{ {' '.join(f'{v.name} = {v.number};' for v in enum.values)} }}")
    fields = []
    for field in message.fields:
        label = "repeated " if field.is_repeated else "optional " if field.has_presence else ""
        kind = field.enum_type.name if field.enum_type else _SCALARS[field.type]
        fields.append(f"{label}{kind} {field.name} = {field.number};")
    lines.append(f"message {message.name} {{ {' '.join(fields)} }}")
    return "\n".join(lines)


def statement(database: str, spec: StreamSpec) -> bytes:
    """What an insert's body begins with."""
    table = placed(database, inbox_name(spec))
    settings = {
        **_SETTINGS,
        "format_schema_source": "'string'",
        "format_schema": literal(message_schema(spec)),
        "format_schema_message_name": literal(spec.message),
    }
    return f"INSERT INTO {table} SETTINGS {_written(settings)} FORMAT Protobuf\n".encode()


def text_statement(database: str, spec: StreamSpec, fields: Sequence[str], form: str) -> bytes:
    """The same for rows that are text of a ClickHouse format, in these fields of the message; others are absent."""
    table, names = placed(database, inbox_name(spec)), ", ".join(map(quoted, fields))
    return f"INSERT INTO {table} ({names}) SETTINGS {_written(_SETTINGS)} FORMAT {form}\n".encode()


def archive_statement(database: str, spec: StreamSpec, fields: Sequence[str]) -> bytes:
    """The same for rows that were checked on this side, in blocks of format Native."""
    table, names = placed(database, archive_name(spec)), ", ".join(map(quoted, fields))
    return f"INSERT INTO {table} ({names}) SETTINGS {_written(_SETTINGS)} FORMAT Native\n".encode()


def event_rows(database: str, spec: StreamSpec, events: Sequence[Event]) -> tuple[bytes, bytes]:
    """Statement and rows of a few events that come from no ring."""
    rows = b"\n".join(msgspec.json.encode(msgspec.structs.asdict(event)) for event in events)
    return text_statement(database, spec, spec.event.__struct_fields__, "JSONEachRow"), rows


def _written(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in settings.items())


def token(topic: str, partition: int, first: int, last: int, messages: bytes | bytearray | memoryview) -> str:
    """``topic:partition:first-last:hash``. Offsets begin again when a topic is made anew: without the hash, other rows
    under an old token would be dropped without an error."""
    digest = hashlib.sha1(messages, usedforsecurity=False).hexdigest()[:16]
    return f"{topic}:{partition}:{first}-{last}:{digest}"


class Inserter:
    """Sends batches of one client; may be used by several threads at once."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def insert(self, body: bytes | bytearray, rows: int, dedup_token: str) -> int:
        """Insert ``body`` (statement and messages). Returns the rows written as the server counts them (the Null
        table's and each view's), 0 when it does not say."""
        settings: dict[str, Any] = {
            "insert_deduplication_token": dedup_token,
            "log_comment": dedup_token,  # the view of rejected rows stores it
            "max_insert_block_size": max(rows, 65_536),
            # the answer comes when all is done, with the right status
            "wait_end_of_query": 1,
        }
        # without a table the block is sent as it stands: with one, a copy of it would be made
        summary = self._client.raw_insert(None, insert_block=body, settings=settings)  # type: ignore[arg-type]  # bytearray
        return int(summary.summary.get("written_rows", 0) or 0)
