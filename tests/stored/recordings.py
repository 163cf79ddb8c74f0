"""Events of one connection as a recorder of it would have left them."""

from collections.abc import Iterable

from clickhouse.table_bench import TableBench, message

from wsadapter.events import Coverage, Event, Gap, Kline, Source, Trade
from wsadapter.events.gaps import GapCause, begin, ended, with_state
from wsadapter.events.streams import BY_EVENT

SECOND = 10**9
MINUTE = 60 * SECOND
NOON = 1_790_000_040 * SECOND
"""Long ago, on a whole minute."""
CONNECTION = "binance-market-0"


def trade(number: int, at_ns: int, *, price: str = "61800.20", source: Source = Source.WEBSOCKET) -> Trade:
    return Trade(
        "binance",
        "BTCUSDT",
        at_ns,
        at_ns,
        at_ns,
        source,
        CONNECTION,
        None,
        str(number),
        number,
        price,
        "0.001",
        False,
        number,
        number,
        True,
    )


def candle(opened_ns: int, close: str = "61800.20", interval: str = "1m") -> Kline:
    return Kline(
        "binance",
        "BTCUSDT",
        opened_ns + MINUTE,
        None,
        opened_ns + MINUTE,
        Source.WEBSOCKET,
        CONNECTION,
        None,
        interval,
        opened_ns,
        opened_ns + MINUTE - 1_000_000,
        "61800.2",
        "61900",
        "61700.1",
        close,
        "10.5",
        "648902.1",
        42,
        "5",
        "309001.0",
        True,
        100,
        141,
    )


def coverage(
    stream: str, from_ns: int, to_ns: int, interval: str = "", exchange: str = "binance", symbol: str = "BTCUSDT",
    connection: str = CONNECTION,
) -> Coverage:  # fmt: skip
    return Coverage(
        exchange, symbol, None, None, to_ns, Source.WEBSOCKET, connection, None, stream, interval, from_ns, to_ns
    )


def gap(
    started_ns: int,
    ended_ns: int | None,
    state: str = "unrepairable",
    stream: str = "trade",
    gap_id: str = "1:1",
    exchange: str = "binance",
    symbol: str = "BTCUSDT",
    cause: GapCause = GapCause.DISCONNECT,
    connection: str = CONNECTION,
) -> Gap:
    made = begin(
        cause,
        started_ns,
        started_ns,
        exchange=exchange,
        connection=connection,
        stream=stream,
        symbol=symbol,
        gap_id=gap_id,
    )
    return with_state(made if ended_ns is None else ended(made, ended_ns), state)


def rejected_trade(number: int, at_ns: int, symbol: str = "BTCUSDT") -> Trade:
    """Of a coin so cheap that the table's twelve decimals do not hold its price."""
    made = trade(number, at_ns, price="0.00000000000123")
    made.symbol = symbol
    return made


def record(bench: TableBench, events: Iterable[Event]) -> None:
    """One insert a stream."""
    by_stream: dict[str, list[bytes]] = {}
    for position, event in enumerate(events):
        by_stream.setdefault(BY_EVENT[type(event)].name, []).append(message(event, 1, position))
    for stream, messages in by_stream.items():
        bench.insert(stream, messages)
