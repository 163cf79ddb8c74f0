"""One day of one series -> a Parquet file, and beside it what is known of its completeness.

    <out>/binance/trade/BTCUSDT/2026-03-10.parquet     <out>/binance/kline/BTCUSDT/1m/2026-03-10.parquet
    <out>/binance/trade/BTCUSDT/2026-03-10.json        the same day: rows, checksum, coverage, gaps, verdict

ClickHouse writes the Parquet; it goes to the disk as it comes, in bounded memory. Guarantees: each event once (FINAL),
exact decimals, in order of time; a file and its manifest appear whole or not at all, the manifest last; the number of
rows is that of the file. A day is taken when its last rows are in the tables, one that lasts up to where they are.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

import msgspec
from clickhouse_connect.driver.client import Client
from msgspec import Struct

from wsadapter import __version__
from wsadapter.archives.series import Covered, GapRecord, Series, SeriesTables
from wsadapter.clickhouse.client import REQUEST_ERRORS, Parameters, decode_rows, unavailable
from wsadapter.clickhouse.completeness import ALIVE_SECONDS, COMPLETE
from wsadapter.clickhouse.conversion import quoted, table_columns
from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import ServiceUnavailable, WsadapterError
from wsadapter.events.gaps import may_concern
from wsadapter.events.streams import BY_STREAM, IDENTITY, RAW_TRADE, StreamSpec
from wsadapter.times import iso

DAY_NS: Final = 86_400 * 10**9
READ_BYTES: Final = 1 << 20
ATTEMPTS: Final = 3
MAGIC: Final = b"PAR1"
SETTINGS: Final = {
    "output_format_parquet_string_as_string": 1,
    "output_format_parquet_compression_method": "zstd",
    "do_not_merge_across_partitions_select_final": 1,  # the time of a partition is in the key
}


class Unfinished(ServiceUnavailable):
    """Another time it may succeed; nothing is left of it."""


class CannotWrite(WsadapterError):
    """The disk refuses."""


class Counted(Struct, frozen=True):
    rows: int
    first_ns: int
    last_ns: int


class Verdict(Struct, frozen=True):
    interval: str
    covered_seconds: float
    unrecorded_seconds: float
    rejected: int
    verdict: str


class Known(Struct, frozen=True):
    """What the tables say of a day beside its rows."""

    verdict: Verdict
    covered: tuple[Covered, ...]
    gaps: tuple[GapRecord, ...]


class Part(Struct, frozen=True):
    connection: str
    begin: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")


class ManifestGap(Struct, frozen=True):
    """A gap in the day, repaired ones included."""

    gap_id: str
    cause: str
    started: str | None
    ended: str | None
    repair_state: str
    first_missing: int | None
    last_missing: int | None
    missing_count: int | None


class Manifest(Struct, frozen=True):
    """What is known of a day of a series. ``end`` is earlier than the day's where that lasted. ``rejected``: rows
    that its table cannot keep, which are not in the file."""

    exchange: str
    symbol: str
    stream: str
    interval: str
    day: str
    begin: str | None = msgspec.field(name="from")
    end: str | None = msgspec.field(name="to")
    verdict: str
    covered_seconds: float
    unrecorded_seconds: float
    rejected: int
    file: str
    rows: int
    bytes: int
    sha256: str
    first: str | None
    last: str | None
    coverage: tuple[Part, ...]
    gaps: tuple[ManifestGap, ...]
    exported: str | None
    version: str

    @property
    def is_complete(self) -> bool:
        return self.verdict == COMPLETE


class Exporter:
    """Of one database; uses its client alone."""

    def __init__(self, client: Client, settings: ClickHouseConfig, out: Path) -> None:
        self._client, self._settings, self._out = client, settings, out

    def intervals(self, series: Series, from_ns: int, to_ns: int) -> list[str]:
        """Of candles: those that there are rows or coverage of."""
        tables = SeriesTables(self._client, self._settings.database, series)
        where = _where(BY_STREAM["kline"], all_intervals=True)
        covered = (
            f"SELECT DISTINCT interval FROM {tables.database}.coverage WHERE exchange = {{exchange:String}} "
            "AND symbol = {symbol:String} AND stream = 'kline'"
        )
        with self._errors():
            answer = tables.ask(
                f"SELECT interval FROM (SELECT DISTINCT interval FROM {tables.database}.kline WHERE {where} "
                f"UNION DISTINCT {covered} AND `from` < fromUnixTimestamp64Nano({{to:Int64}}, 'UTC') "
                "AND `to` > fromUnixTimestamp64Nano({from:Int64}, 'UTC')) ORDER BY interval",
                **{"from": from_ns, "to": to_ns},
            )
        return [row["interval"] for row in msgspec.json.Decoder(dict[str, str]).decode_lines(answer)]

    def run(self, series: Series, day_ns: int) -> Manifest:
        """`ServiceUnavailable` where ClickHouse fails; nothing is written then."""
        day = f"{datetime.fromtimestamp(day_ns // 10**9, UTC):%Y-%m-%d}"
        places = (series.exchange, series.stream, series.symbol, series.interval)
        directory = self._out.joinpath(*(quote(place, safe="") for place in places if place))
        with _disk(directory):
            directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{day}.parquet"
        end_ns = settled_end(day_ns)
        parameters: Parameters = {**series._asdict(), "from": day_ns, "to": end_ns}
        with self._errors():
            # before the rows: they are inserted before what says that they are there
            known = self._known(series, day_ns, end_ns)
            counted, size, digest = self._write(series, parameters, path)
        manifest = _manifest(series, day_ns, end_ns, day, path.name, counted, size, digest, known)
        _write_whole(path.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        return manifest

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except REQUEST_ERRORS as error:
            raise unavailable(self._settings, error) from None

    def _write(self, series: Series, parameters: Parameters, path: Path) -> tuple[Counted, int, str]:
        """Again where rows came in meanwhile."""
        spec = BY_STREAM[series.stream]
        query = _rows(spec, self._settings.database)
        counted = self._count(spec, parameters)
        with _whole(path) as file:
            for _ in range(ATTEMPTS):
                size, digest = self._stream(query, parameters, file)
                before, counted = counted, self._count(spec, parameters)
                if before == counted:
                    return counted, size, digest
                file.seek(0)
                file.truncate()
            raise Unfinished(f"{path}: rows of that day come in while it is exported; do it when they are there")

    def _stream(self, query: str, parameters: Parameters, file: IO[bytes]) -> tuple[int, str]:
        stream: Any = self._client.raw_stream(
            query, parameters=parameters, settings=SETTINGS, fmt="Parquet", use_database=False
        )
        digest, size, end = hashlib.sha256(), 0, b""
        try:
            while read := stream.read(READ_BYTES):
                _put(file, read)
                digest.update(read)
                size, end = size + len(read), (end + read)[-len(MAGIC) :]
        finally:
            stream.close()
        if end != MAGIC:  # an error in the middle of an answer comes as its text
            raise Unfinished("ClickHouse ended its answer early: no whole Parquet file")
        return size, digest.hexdigest()

    def _count(self, spec: StreamSpec, parameters: Parameters) -> Counted:
        column = quoted(spec.partition_time)
        sql = (
            f"SELECT count() AS rows, toUnixTimestamp64Nano(min({column})) AS first_ns, "
            f"toUnixTimestamp64Nano(max({column})) AS last_ns "
            f"FROM {quoted(self._settings.database)}.{quoted(spec.name)} FINAL WHERE {_where(spec)} FORMAT JSONEachRow"
        )
        answer = self._client.raw_query(sql, parameters=parameters, use_database=False)
        (counted,) = decode_rows(bytes(answer), Counted)
        return counted

    def _known(self, series: Series, from_ns: int, to_ns: int) -> Known:
        """A file of trades has both kinds: of those that were recorded the one of which more is missing."""
        words = (series.stream, RAW_TRADE) if series.stream == "trade" else (series.stream,)
        known = [self._known_of(series._replace(stream=word), from_ns, to_ns) for word in words]
        recorded = [each for each in known if each.verdict.verdict != "missing"] or known[:1]
        return min(recorded, key=lambda each: each.verdict.verdict == COMPLETE)

    def _known_of(self, series: Series, from_ns: int, to_ns: int) -> Known:
        tables = SeriesTables(self._client, self._settings.database, series)
        verdict = self._verdict(tables, from_ns, to_ns)
        covered = tuple(one for one in tables.covered() if one.from_ns < to_ns and one.to_ns > from_ns)
        carried = {one.connection for one in covered}
        gaps = tuple(one for one in tables.gaps(from_ns, to_ns) if may_concern(one, carried))
        return Known(verdict, covered, gaps)

    def _verdict(self, tables: SeriesTables, from_ns: int, to_ns: int) -> Verdict:
        answer = tables.ask(
            "SELECT interval, covered_seconds, unrecorded_seconds, toInt32(rejected) AS rejected, verdict "
            f"FROM {tables.database}.complete("
            "exchange={exchange:String}, symbol={symbol:String}, stream={stream:String}, "
            "from=fromUnixTimestamp64Nano({from:Int64}, 'UTC'), to=fromUnixTimestamp64Nano({to:Int64}, 'UTC'))",
            **{"from": from_ns, "to": to_ns},
        )
        rows = [row for row in decode_rows(answer, Verdict) if row.interval == tables.series.interval]
        return rows[0] if rows else Verdict(tables.series.interval, 0.0, (to_ns - from_ns) / 10**9, 0, "missing")


def settled_end(day_ns: int) -> int:
    """Up to where of a day rows are in the tables if coverage says so: what it said `ALIVE_SECONDS` ago does not count
    to now, and it is inserted behind the rows that it is about. Waits so long for a day that is just over."""
    end_ns, under_way_ns = day_ns + DAY_NS, ALIVE_SECONDS * 10**9
    if end_ns > (now_ns := time.time_ns()):
        return max(day_ns, now_ns - under_way_ns)
    if end_ns > now_ns - under_way_ns:
        time.sleep((end_ns + under_way_ns - now_ns) / 10**9)
    return end_ns


def _manifest(
    series: Series, day_ns: int, end_ns: int, day: str, file: str, counted: Counted, size: int, digest: str,
    known: Known,
) -> Manifest:  # fmt: skip
    verdict = known.verdict
    return Manifest(
        *series, day, iso(day_ns), iso(end_ns), verdict.verdict, verdict.covered_seconds,
        verdict.unrecorded_seconds, verdict.rejected, file, counted.rows, size, digest,
        iso(counted.first_ns) if counted.rows else None, iso(counted.last_ns) if counted.rows else None,
        tuple(Part(one.connection, iso(one.from_ns) or "", iso(one.to_ns) or "") for one in known.covered),
        tuple(
            ManifestGap(
                one.gap_id, one.cause, iso(one.started_ns), iso(one.ended_ns), one.repair_state,
                one.first_missing, one.last_missing, one.missing_count,
            )
            for one in known.gaps
        ),
        iso(time.time_ns()), __version__,
    )  # fmt: skip


def _where(spec: StreamSpec, all_intervals: bool = False) -> str:
    interval = "" if all_intervals or spec.name != "kline" else "AND interval = {interval:String} "
    column = quoted(spec.partition_time)
    return (
        f"exchange = {{exchange:String}} AND symbol = {{symbol:String}} {interval}"
        f"AND {column} >= fromUnixTimestamp64Nano({{from:Int64}}, 'UTC') "
        f"AND {column} < fromUnixTimestamp64Nano({{to:Int64}}, 'UTC')"
    )


def _rows(spec: StreamSpec, database: str) -> str:
    """All that is known of an event; not the ring's number of it, which is only of use to the tables."""
    own = {column.name for column in IDENTITY}
    names = [quoted(column.name) for column in table_columns(spec) if column.name not in own]
    order = ", ".join(dict.fromkeys((quoted(spec.partition_time), *spec.order_by)))
    return (
        f"SELECT {', '.join(names)}, `time` FROM {quoted(database)}.{quoted(spec.name)} FINAL "
        f"WHERE {_where(spec)} ORDER BY {order}"
    )


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """It is there when all is written and on the disk, or not at all."""
    with _disk(path):
        file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False)  # noqa: SIM115
    try:
        with file:
            yield file
            with _disk(path):
                file.flush()
                os.fsync(file.fileno())
                os.chmod(file.name, 0o644)
                os.replace(file.name, path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise


def _write_whole(path: Path, content: bytes) -> None:
    with _whole(path) as file:
        _put(file, content)


def _put(file: IO[bytes], content: bytes) -> None:
    with _disk(Path(file.name)):
        file.write(content)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written: {error.strerror or error}") from None
