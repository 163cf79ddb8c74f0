"""What a stored row costs on disk, by column and codec.

    python -m bench.codecs [--minutes 60] [--clickhouse URL]

Rows are those of the loopback venue's markets: its frames through the real decoder, as messages through the real
views, with the arrival times and ring positions of one connection. Each table is then copied with one codec for every
column that it can be used for, merged into one part, and weighed column by column (wide parts: a compact part does not
say). Prints bytes per row of each table with our codecs, with the server's default and with the best of each column,
and every column where another codec is better by more than `WORTH` of its row.
"""

import argparse
import itertools
import random
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from bench.services import Services
from wsadapter.clickhouse import catalog as clickhouse
from wsadapter.clickhouse import schema
from wsadapter.clickhouse.client import connect
from wsadapter.clickhouse.inserts import Inserter, statement
from wsadapter.config.model import ClickHouseConfig
from wsadapter.embedded.market.binance_streams import offered
from wsadapter.embedded.market.instruments import DEMO
from wsadapter.embedded.market.market import Market
from wsadapter.events import Event
from wsadapter.events.records import encode
from wsadapter.events.streams import BY_EVENT, BY_STREAM
from wsadapter.exchanges.binance.usdm import BinanceFutures
from wsadapter.exchanges.venue import ConnectionPlan
from wsadapter.kafka.messages import varint

CHANNELS: Final = ("aggTrade", "bookTicker", "depth20@100ms", "markPrice@1s", "ticker", "kline_1m", "forceOrder")
START_MS: Final = 1_790_771_340_000
STEP_MS: Final = 100
ROWS: Final = 20_000
"""Of one insert."""
WORTH: Final = 0.01
FEWEST: Final = 300
"""Rows below which a table's figures would be those of its headers."""
CODECS: Final[Mapping[str, str]] = {
    "default": "LZ4",
    "ZSTD(1)": "ZSTD(1)",
    "ZSTD(3)": "ZSTD(3)",
    "Delta": "Delta, ZSTD(1)",
    "DoubleDelta": "DoubleDelta, ZSTD(1)",
    "T64": "T64, ZSTD(1)",
    "GCD": "GCD, ZSTD(1)",
    "Delta T64": "Delta, T64, ZSTD(1)",
}
OURS: Final = "ours"


def messages(minutes: float) -> Iterator[tuple[str, bytes]]:
    """(stream, message) of one connection, in the order of arrival."""
    rng, epoch, position = random.Random(7), START_MS * 1_000_000, 0
    markets = [Market(made, 7, START_MS, (2_376_473_811, 5_266_583_935)) for made in DEMO]
    for market in markets:
        for channel in CHANNELS:
            stream = offered(f"{market.symbol.lower()}@{channel}")
            assert stream is not None
            market.subscribe(stream)
    plan = ConnectionPlan("binance-market-0", "binance", "", (), tuple(made.symbol for made in DEMO))
    venue = BinanceFutures(plan)
    for now_ms in range(START_MS, START_MS + round(minutes * 60_000), STEP_MS):
        for market in markets:
            for push in market.advance(now_ms):
                frame = f'{{"stream":"{push.stream}","data":{push.data}}}'.encode()
                arrival = now_ms * 1_000_000 + round(rng.lognormvariate(15.5, 0.4))
                for event in venue.receive(memoryview(frame), arrival):
                    if isinstance(event, Event):
                        payload = encode(event)
                        position += 8 + (len(payload) + 7 & -8)
                        head = struct.pack("<BQBQ", 9, epoch, 17, position)
                        yield BY_EVENT[type(event)].name, head + payload[1 + payload[0] :]


def fill(client: Client, settings: ClickHouseConfig, minutes: float) -> None:
    """The tables of ``settings``, as the consumer would."""
    inserter, numbers = Inserter(client), itertools.count()
    waiting: dict[str, list[bytes]] = {name: [] for name in BY_STREAM}

    def insert(name: str) -> None:
        framed, waiting[name] = waiting[name], []
        body = statement(settings.database, BY_STREAM[name]) + b"".join(framed)
        inserter.insert(body, len(framed), f"codecs-{next(numbers)}")

    for name, message in messages(minutes):
        waiting[name].append(varint(len(message)) + message)
        if len(waiting[name]) >= ROWS:
            insert(name)
    for name, framed in waiting.items():
        if framed:
            insert(name)


class Scales:
    """Weighs the tables of one database."""

    def __init__(self, client: Client, settings: ClickHouseConfig) -> None:
        self._client, self._database = client, settings.database

    def query(self, text: str) -> list[Any]:
        answer: Any = self._client.raw_query(f"{text} FORMAT JSONCompactEachRow")
        return list(msgspec.json.Decoder(list[Any]).decode_lines(bytes(answer)))

    def usable(self, kind: str, codec: str) -> bool:
        """Whether the server takes the codec for a column of this type."""
        name = f"{self._database}.try"
        try:
            self._client.command(f"CREATE TABLE {name} (c {kind} CODEC({codec})) ENGINE = MergeTree ORDER BY tuple()")
        except ClickHouseError:
            return False
        self._client.command(f"DROP TABLE {name}")
        return True

    def weigh(self, table: schema.Table, codecs: Mapping[str, str]) -> dict[str, float]:
        """Column -> bytes per row, with these codecs."""
        columns = tuple((name, kind, codecs.get(name, "")) for name, kind, _ in table.columns)
        copy = msgspec.structs.replace(table, name=f"{table.name}_copy", columns=columns)
        name = f"{self._database}.{copy.name}"
        self._client.command(f"{copy.sql(self._database)}, min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0")
        self._client.command(f"INSERT INTO {name} SELECT * FROM {self._database}.{table.name}")
        self._client.command(f"OPTIMIZE TABLE {name} FINAL")
        found = self.query(
            "SELECT column, sum(column_data_compressed_bytes) / sum(rows) FROM system.parts_columns "
            f"WHERE active AND database = '{self._database}' AND table = '{copy.name}' GROUP BY column"
        )
        self._client.command(f"DROP TABLE {name} SYNC")
        return dict(found)


def compare(scales: Scales, table: schema.Table) -> dict[str, dict[str, float]]:
    """Codec -> column -> bytes per row; where a codec cannot be used, nothing."""
    found = {OURS: scales.weigh(table, {name: codec for name, _, codec in table.columns})}
    for word, codec in CODECS.items():
        able = {name for name, kind, _ in table.columns if scales.usable(kind, codec)}
        sizes = scales.weigh(table, {name: codec if name in able else "ZSTD(1)" for name, _, _ in table.columns})
        found[word] = {name: size for name, size in sizes.items() if name in able}
    return found


def show(table: schema.Table, rows: int, found: Mapping[str, Mapping[str, float]]) -> None:
    ours, total = found[OURS], sum(found[OURS].values())
    best = {name: min((found[word][name], word) for word in found if name in found[word]) for name in ours}
    print(
        f"{table.name:14} {rows:>9,} rows {total:>8.2f} bytes a row; the server's default "
        f"{sum(found['default'].values()):.2f}; the best of each column {sum(size for size, _ in best.values()):.2f}"
    )
    for name, kind, codec in table.columns:
        size, word = best[name]
        if ours[name] - size > WORTH * total:
            print(f"    {name:28} {kind:26} {codec:20} {ours[name]:>8.2f}   {word:12} {size:>8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.codecs", description="Bytes per stored row.")
    parser.add_argument("--minutes", type=float, default=60, help="of the market's time")
    parser.add_argument("--clickhouse", default="", help="a ClickHouse URL; without it an engine is started")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wsadapter-bench-") as name:
        services = Services(Path(name), "", options.clickhouse)
        try:
            settings = ClickHouseConfig(url=services.url, database="bench_codecs")
            client = connect(settings)
            for each in (f"{settings.database}_inner", settings.database):
                client.command(f"DROP DATABASE IF EXISTS {each} SYNC")
            clickhouse.create_or_verify(client, settings)
            fill(client, settings, options.minutes)
            scales = Scales(client, settings)
            for spec in BY_STREAM.values():
                table = schema.event_table(spec)
                ((rows,),) = scales.query(f"SELECT toInt32(count()) FROM {settings.database}.{table.name}")
                if rows >= FEWEST:
                    show(table, rows, compare(scales, table))
            for each in (f"{settings.database}_inner", settings.database):
                client.command(f"DROP DATABASE IF EXISTS {each} SYNC")
        finally:
            services.close()


if __name__ == "__main__":
    main()
