"""What the tables say of one series beside its rows: when it was covered, and its gaps. Queries, and their rows.

Of several rows of one gap the narrowest counts: it says most about the series (as in the view ``complete``).
"""

from typing import Final, NamedTuple

from clickhouse_connect.driver.client import Client
from msgspec import Struct

from wsadapter.clickhouse.client import Parameters, decode_rows
from wsadapter.clickhouse.completeness import ROWS_OF
from wsadapter.clickhouse.conversion import quoted
from wsadapter.events.streams import RAW_TRADE

Span = tuple[int, int]
_SERIES: Final = (
    "exchange = {exchange:String} AND symbol = {symbol:String} AND stream = {stream:String} "
    "AND interval = {interval:String}"
)


class Series(NamedTuple):
    exchange: str
    symbol: str
    stream: str
    interval: str = ""


class Covered(Struct, frozen=True):
    connection: str
    from_ns: int
    to_ns: int


class GapRecord(Struct, frozen=True):
    symbol: str
    stream: str
    interval: str
    connection: str
    cause: str
    gap_id: str
    version: int
    started_ns: int
    ended_ns: int | None
    receive_ns: int
    first_missing: int | None
    last_missing: int | None
    missing_count: int | None
    repair_state: str

    @property
    def named(self) -> int:
        """How narrow it is."""
        return sum((self.symbol != "", self.stream != "", self.stream == RAW_TRADE, self.interval != ""))


class SeriesTables:
    """Asks about one series. Errors are the driver's own."""

    def __init__(self, client: Client, database: str, series: Series) -> None:
        self._client, self.database, self.series = client, quoted(database), series

    def ask(self, sql: str, **more: int | str) -> bytes:
        """JSON lines."""
        parameters: Parameters = {**self.series._asdict(), **more}
        return bytes(self._client.raw_query(f"{sql} FORMAT JSONEachRow", parameters=parameters, use_database=False))

    def covered(self) -> list[Covered]:
        return decode_rows(
            self.ask(
                "SELECT connection, toUnixTimestamp64Nano(`from`) AS from_ns, toUnixTimestamp64Nano(`to`) AS to_ns "
                f"FROM {self.database}.coverage FINAL WHERE {_SERIES} ORDER BY from_ns, connection"
            ),
            Covered,
        )

    def gaps(self, first_ns: int, last_ns: int) -> list[GapRecord]:
        """That lasted into this time, oldest first; of each the narrowest row."""
        times = "toUnixTimestamp64Nano({})".format
        records = decode_rows(
            self.ask(
                "SELECT symbol, stream, interval, connection, cause, gap_id, version, first_missing, last_missing, "
                f"missing_count, repair_state, {times('started')} AS started_ns, {times('ended')} AS ended_ns, "
                f"{times('receive_time')} AS receive_ns FROM {self.database}.gap FINAL "
                "WHERE exchange = {exchange:String} AND symbol IN ('', {symbol:String}) "
                f"AND stream IN ('', {{stream:String}}, {ROWS_OF.format('{stream:String}')}) "
                "AND interval IN ('', {interval:String}) AND cause != 'filler' "
                "AND started < fromUnixTimestamp64Nano({last:Int64}, 'UTC') "
                "AND ifNull(ended > fromUnixTimestamp64Nano({first:Int64}, 'UTC'), true) ORDER BY started, gap_id",
                first=first_ns,
                last=last_ns,
            ),
            GapRecord,
        )
        narrowest: dict[str, GapRecord] = {}
        for record in records:
            known = narrowest.get(record.gap_id)
            if known is None or record.named > known.named:
                narrowest[record.gap_id] = record
        return list(narrowest.values())


def merged(spans: list[Span]) -> list[Span]:
    """As runs that do not touch."""
    runs: list[Span] = []
    for first, last in sorted(spans):
        if runs and first <= runs[-1][1]:
            runs[-1] = runs[-1][0], max(runs[-1][1], last)
        else:
            runs.append((first, last))
    return runs
