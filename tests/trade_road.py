"""The consumer's way into ClickHouse in miniature: Null table, strict view, view of the rejected, schema, token."""

from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

SCHEMA = """syntax = "proto3";
message Trade {
  optional fixed64 epoch = 1;
  optional fixed64 position = 2;
  string symbol = 4;
  string trade_id = 16;
  string price = 18;
}
"""
TABLES = (
    "CREATE TABLE trade_in (epoch UInt64, position UInt64, symbol String, trade_id String, price String) ENGINE = Null",
    "CREATE TABLE trade (epoch UInt64, position UInt64, symbol LowCardinality(String), trade_id String, "
    "price Decimal(38, 12)) ENGINE = ReplacingMergeTree ORDER BY (symbol, trade_id) "
    "SETTINGS non_replicated_deduplication_window = 1000",
    "CREATE TABLE rejected (trade_id String, price String) ENGINE = MergeTree ORDER BY trade_id "
    "SETTINGS non_replicated_deduplication_window = 1000",
    "CREATE MATERIALIZED VIEW trade_accepted TO trade AS SELECT epoch, position, symbol, trade_id, "
    "toDecimal128(i.price, 12) AS price FROM trade_in AS i WHERE isNotNull(toDecimal128OrNull(i.price, 12))",
    "CREATE MATERIALIZED VIEW trade_rejected TO rejected AS SELECT trade_id, i.price AS price FROM trade_in AS i "
    "WHERE isNull(toDecimal128OrNull(i.price, 12))",
)


def connect(url: str, database: str = "default", **options: Any) -> Client:
    return clickhouse_connect.get_client(dsn=url, database=database, **options)


def make_tables(url: str, database: str) -> Client:
    """A fresh database with the tables; the client that uses it."""
    connect(url).command(f"CREATE DATABASE {database}")
    client = connect(url, database)
    for statement in TABLES:
        client.command(statement)
    return client


def message(position: int, price: str = "57000.10") -> bytes:
    """One length-delimited Trade, built by hand: the endpoint's tests depend on no protobuf library."""
    fields = b"\x09" + (7).to_bytes(8, "little") + b"\x11" + position.to_bytes(8, "little")
    for tag, text in ((0x22, "BTCUSDT"), (0x8201, str(position)), (0x9201, price)):
        fields += tag.to_bytes(1 if tag < 256 else 2, "big") + bytes([len(text)]) + text.encode()
    assert len(fields) < 128
    return bytes([len(fields)]) + fields


def insert(client: Client, messages: bytes, token: str, **options: Any) -> Any:
    settings = {
        "format_schema_source": "string",
        "format_schema": SCHEMA,
        "format_schema_message_name": "Trade",
        "insert_deduplication_token": token,
        "deduplicate_blocks_in_dependent_materialized_views": 1,
        "async_insert": 0,
    }
    return client.raw_insert("trade_in", insert_block=messages, settings=settings, fmt="Protobuf", **options)
