"""`mcp`: an MCP server over stdio for agents that read what was recorded ([agents.md](../../docs/agents.md)).

It reads ClickHouse and nothing else, in sessions that cannot write (``readonly``), and takes no SQL. Each tool is one
question of `wsadapter.stored.answers`; what cannot be asked is an error of the tool with its reason, and so is a
ClickHouse that does not answer: the server lives on, and the next call tries again. Needs the extra ``mcp``.
"""

from typing import Annotated, Any, Final

import click

from wsadapter.cli import options
from wsadapter.errors import ExitCode, ServiceUnavailable, WsadapterError

INSTRUCTIONS: Final = """\
Market data that was recorded from crypto exchanges: candles, trades, quotes, books, funding, and every hole in them.
Ask `recorded` first for the exchanges, symbols and streams there are; names are the venue's own. Every answer has
`completeness`: verdict `complete` means that nothing is missing of its `range`; `incomplete` lists what is, with times
and causes; `missing` means that nobody recorded it, so that no rows say nothing of the market. Do not call data
complete that is not, and do not draw conclusions across a hole. In rows, `after_gap` is true where something is
missing before the row. Prices and quantities are exact decimals as text. Times are UTC; `start` is included, `end` is
not; both take an ISO time or a duration back from now (90s, 2h, 7d). When `more` is not null, ask again with what it
says."""
CANDLES: Final = ("open_time", "open", "high", "low", "close", "volume", "quote_volume", "trade_count", "closed")
TRADES: Final = ("time", "trade_id", "price", "quantity", "buyer_is_maker")
QUOTES: Final = ("time", "bid_price", "bid_quantity", "ask_price", "ask_quantity")
FUNDING: Final = ("time", "funding_rate", "next_funding_time", "mark_price", "settled")
EVENTS: Final = {
    "ticker": ("time", "last_price", "open", "high", "low", "volume", "quote_volume", "price_change_percent"),
    "mark_price": ("time", "mark_price", "index_price", "funding_rate", "next_funding_time"),
    "open_interest": ("time", "open_interest", "open_interest_value"),
    "liquidation": ("time", "side", "price", "average_price", "quantity", "status"),
}


@click.command()
@options.CONFIG
@click.pass_obj
@options.until_enough()
def mcp(group_path: str | None, config_path: str | None) -> ExitCode:
    """Serve what was recorded to an agent: an MCP server, which only reads."""
    config = options.load(config_path or group_path, demo=True)
    from wsadapter.stored import Stored
    from wsadapter.stored.answers import Answers

    with Stored.of(config.clickhouse) as stored:
        server(Answers(stored, config.clickhouse.database)).run("stdio")
    return ExitCode.OK


def server(answers: Any) -> Any:
    """With its tools; ``answers``: a `wsadapter.stored.answers.Answers`."""
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp.types import ToolAnnotations
        from pydantic import Field
    except ImportError:
        raise ServiceUnavailable("the MCP SDK is not installed: pip install 'wsadapter[mcp]'") from None
    from wsadapter import __version__
    from wsadapter.stored.answers import MOST_LEVELS, MOST_ROWS, Answer

    made = MCPServer("wsadapter", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING")
    reads = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    tool = made.tool(annotations=reads)
    exchange_ = Annotated[str, Field(description="As `recorded` names it, e.g. binance.")]
    symbol_ = Annotated[str, Field(description="The venue's own text, e.g. BTCUSDT.")]
    start_ = Annotated[str, Field(description="ISO time, or a duration back from now (2h).")]
    end_ = Annotated[str | None, Field(description="The same; not included. Left out: now.")]
    limit_ = Annotated[int, Field(ge=1, le=MOST_ROWS, description="Rows of this answer; `more` says how to go on.")]

    def asked(question: Any, *arguments: Any) -> Answer:
        try:
            answer: Answer = question(*arguments)
        except WsadapterError as error:
            raise ToolError(str(error)) from error
        return answer

    @tool
    def recorded(exchange: str = "", symbol: str = "", offset: int = 0) -> dict[str, Any]:
        """Which series were recorded, each from its first to its last moment; empty: of all exchanges, all symbols."""
        return asked(answers.recorded, exchange, symbol, max(0, offset))

    @tool
    def candles(
        exchange: exchange_, symbol: symbol_, start: start_, end: end_ = None, interval: str = "1m",
        limit: limit_ = 500,
    ) -> dict[str, Any]:  # fmt: skip
        """Candles that open in the range; interval as recorded (1m, 5m, 1h, 1d)."""
        where = {"interval": interval}
        return asked(answers.rows, "kline", exchange, symbol, start, end, CANDLES, limit, where)

    @tool
    def trades(
        exchange: exchange_, symbol: symbol_, start: start_, end: end_ = None, raw: bool = False, limit: limit_ = 500
    ) -> dict[str, Any]:
        """Trades, as the venue's stream has them (aggregated where it is); raw: the single ones, where it has both."""
        where = answers.kind_of_trades(exchange, raw)
        return asked(answers.rows, "trade", exchange, symbol, start, end, TRADES, limit, where)

    @tool
    def quotes(
        exchange: exchange_, symbol: symbol_, start: start_, end: end_ = None, limit: limit_ = 500
    ) -> dict[str, Any]:
        """Best bid and ask, each time they changed."""
        return asked(answers.rows, "book_ticker", exchange, symbol, start, end, QUOTES, limit, {})

    @tool
    def book(
        exchange: exchange_, symbol: symbol_,
        time: Annotated[str, Field(description="ISO time, or a duration back from now (2h).")],
        levels: Annotated[int, Field(ge=1, le=MOST_LEVELS, description="Of each side, the best first.")] = 20,
    ) -> dict[str, Any]:  # fmt: skip
        """The order book at a time, after its last change that is not later. Do not use one that is not complete."""
        return asked(answers.book, exchange, symbol, time, levels)

    @tool
    def funding(
        exchange: exchange_, symbol: symbol_, start: start_, end: end_ = None, settled: bool = True,
        limit: limit_ = 500,
    ) -> dict[str, Any]:  # fmt: skip
        """Funding rates that were paid, at the time they were; settled=false: what the venue predicted meanwhile."""
        where = {"settled": settled}
        return asked(answers.rows, "funding_rate", exchange, symbol, start, end, FUNDING, limit, where)

    @tool
    def events(
        stream: Annotated[str, Field(description=" ".join(EVENTS))],
        exchange: exchange_, symbol: symbol_, start: start_, end: end_ = None, limit: limit_ = 500,
    ) -> dict[str, Any]:  # fmt: skip
        """Tickers, mark prices, open interest or liquidations."""
        if stream not in EVENTS:
            raise ToolError(f"stream must be one of: {' '.join(EVENTS)}; other streams have tools of their own")
        return asked(answers.rows, stream, exchange, symbol, start, end, EVENTS[stream], limit, {})

    @tool
    def completeness(
        stream: str, exchange: exchange_, symbol: symbol_, start: start_, end: end_ = None, interval: str = ""
    ) -> dict[str, Any]:
        """What is missing of a series (stream as in `recorded`; of kline with its interval), without its rows."""
        return asked(answers.completeness, stream, exchange, symbol, start, end, interval, False)

    @tool
    def gaps(
        stream: str, exchange: exchange_, symbol: symbol_, start: start_, end: end_ = None, interval: str = "",
        offset: int = 0,
    ) -> dict[str, Any]:  # fmt: skip
        """Every gap of a series, those that were fetched again (repaired) as well, with cause and state."""
        return asked(answers.completeness, stream, exchange, symbol, start, end, interval, True, max(0, offset))

    return made
