"""Recorded frames through the whole road: one row an event, every price, quantity and id as the frame has it."""

import gzip
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from conformance.sessions import in_one_session
from expected import rows
from frames_path import frames
from fresh import fresh
from oracle import query, unique
from road_site import Site

from wsadapter.events import Kline
from wsadapter.events.streams import BY_STREAM, SPECS, columns
from wsadapter.pb import market_pb2
from wsadapter.roles.supervisor.replayed import feeds

pytestmark = pytest.mark.integration
MUTATIONS = Path(__file__).parents[1] / "mutations"


@pytest.fixture
def site(kafka: str, clickhouse: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, kafka, clickhouse, database=fresh("replay"))
    yield made
    made.close()


def in_kafka(site: Site, stream: str) -> list[Any]:
    """Every record of a topic, decoded. One whose acknowledgement came late was sent again, over the spool: the same
    record, at the same place of the same ring."""
    topic = f"{site.database}.{stream}"
    consumer = Consumer({"bootstrap.servers": site.kafka, "group.id": "check"})
    partitions = consumer.list_topics(topic, timeout=60).topics[topic].partitions
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=60) for p in partitions}
    consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in ends.items()])
    wanted = sum(high - low for low, high in ends.values())
    message = getattr(market_pb2, BY_STREAM[stream].message)
    got: list[Any] = []
    while len(got) < wanted:
        got += [message.FromString(m.value()) for m in consumer.consume(10_000, 1.0)]
    consumer.close()
    records: dict[tuple[int, int], Any] = {}
    for each in got:
        assert records.setdefault((each.epoch, each.position), each) == each
    return list(records.values())


def key_of(stream: str, m: Any) -> tuple[Any, ...]:
    if stream == "trade":
        return (m.symbol, m.aggregated, m.trade_number)
    if stream == "book_ticker":
        return (m.symbol, m.update_id)
    if stream == "depth":
        return (m.symbol, m.level_limit, m.last_update_id)
    return (m.symbol, m.interval, m.open_time_ns // 1_000_000, m.event_time_ns // 1_000_000)


def field(m: Any, name: str) -> Any:
    value = getattr(m, name)
    if isinstance(value, str | int | bool):
        return None if m.DESCRIPTOR.fields_by_name[name].has_presence and not m.HasField(name) else value
    return list(value)


def compare_kafka(site: Site, expected: dict[str, dict[tuple[Any, ...], dict[str, Any]]]) -> None:
    for stream, wanted in expected.items():
        messages = in_kafka(site, stream)
        assert len(messages) == len(wanted), stream
        for message in messages:
            fields = wanted[key_of(stream, message)]
            assert {name: field(message, name) for name in fields} == fields


def compare_tables(site: Site, expected: dict[str, dict[tuple[Any, ...], dict[str, Any]]]) -> None:
    """As numbers: a Decimal column gives 57000.10 back as 57000.1."""
    for stream, wanted in expected.items():
        kept = {key: f for key, f in wanted.items() if f.get("closed", True)}
        known = {c.field: c for c in columns(BY_STREAM[stream].event)}
        names = list(next(iter(wanted.values())))
        selected = ", ".join(
            f"toUnixTimestamp64Nano({known[n].name})" if known[n].time else f"{known[n].name}" for n in names
        )
        key = {
            "trade": "symbol, aggregated, trade_number",
            "book_ticker": "symbol, update_id",
            "depth": "symbol, level_limit, last_update_id",
            "kline": "symbol, interval, toUnixTimestamp64Milli(open_time), toUnixTimestamp64Milli(event_time)",
        }[stream]
        width = key.count(", ") + 1
        table = query(site.clickhouse, f"SELECT {key}, {selected} FROM {site.database}.{stream}")
        assert len(table) == len(kept), stream
        seen = set()
        for cells in table:
            identity = tuple(_value(text) for text in cells[:width])
            fields = kept[identity]
            seen.add(identity)
            for name, text in zip(names, cells[width:], strict=True):
                assert _equal(fields[name], text), (stream, identity, name, fields[name], text)
        assert len(seen) == len(kept)


def _value(text: str) -> Any:
    return text == "true" if text in ("true", "false") else int(text) if text.lstrip("-").isdigit() else text


def _equal(wanted: Any, text: str) -> bool:
    if wanted is None:
        return text == "\\N"
    if isinstance(wanted, bool):
        return text == str(wanted).lower()
    if isinstance(wanted, list):
        levels = [level.strip("'") for level in text[1:-1].split(",")] if text != "[]" else []
        return [Decimal(level) for level in levels] == [Decimal(level) for level in wanted]
    if isinstance(wanted, int):
        names = {"SNAPSHOT": 1, "DELTA": 2}
        return names.get(text) == wanted if text in names else int(text) == wanted
    return text == wanted or Decimal(text) == Decimal(wanted)


def test_twenty_thousand_recorded_frames(site: Site) -> None:
    path = frames("binance_usdm/mixed_btcusdt_20240808.jsonl.gz")
    with gzip.open(path, "rt") as lines:
        expected = rows(lines)
    assert {stream: len(found) for stream, found in expected.items()} == {
        "depth": 1598, "book_ticker": 15377, "trade": 3024,
    }  # fmt: skip
    site.start("replay", str(path))
    assert site.wait(180) == 0, site.said()

    assert "lost 0  duplicates 0" in site.said()
    compare_kafka(site, expected)
    compare_tables(site, expected)
    for table, (plain, final) in unique(site.clickhouse, site.database).items():
        assert plain == final or table == "gap", table


def test_recorded_candles_trades_quotes_and_books_of_many_symbols(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    names = ("kline_1m_cf2021", "aggTrade_cf2021", "bookTicker_cf2021", "depth_diff_cf2021", "trade_cmp", "bbo_cmp")
    text = "".join(frames(f"binance_usdm/{name}.jsonl").read_text() for name in names)
    path.write_text(text)
    expected = rows(line for line in text.splitlines() if line.strip())
    site.start("replay", str(path))
    assert site.wait(180) == 0, site.said()

    compare_kafka(site, expected)
    compare_tables(site, expected)


@pytest.mark.parametrize(
    ("exchange", "name"),
    [
        ("binance", "binance_usdm/kline_1m_cf2021.jsonl"),
        ("binance_spot", "binance_spot/mixed_cf2021.jsonl"),
        ("binance_coinm", "binance_coinm/mixed_cf2021_first.jsonl.gz"),
        ("bybit", "bybit_linear/examples_ticker_mark_funding_oi.jsonl"),
        ("bybit_inverse", "bybit_inverse/examples_ticker_mark_funding_oi.jsonl"),
        ("bybit_spot", "bybit_spot/examples_trade.jsonl"),
        ("okx", "okx/books_cf2022.jsonl"),
        ("kraken", "kraken/examples_ohlc.jsonl"),
        ("coinbase", "coinbase_exchange/mixed_cf2021_first.jsonl.gz"),
        ("deribit", "deribit/mixed_cf2021_first.jsonl"),
        ("gate", "gateio_futures/mixed_cf2023_first.jsonl"),
        ("bitget", "bitget_v3/examples_ticker_mark_funding_oi.jsonl"),
        ("bitget_spot", "bitget_spot/examples_ticker.jsonl"),
        ("hyperliquid", "hyperliquid/mixed_btc_20250126_first.jsonl"),
        ("kraken_futures", "kraken_futures/mixed_cf2021_first.jsonl.gz"),
    ],
)
def test_a_recording_of_each_venue(site: Site, exchange: str, name: str) -> None:
    """Every event that the venue counted by its own tables reached the ring; each is one row, or rejected with its
    text: an index price of Bitget has more decimals than the column."""
    path = frames(name)
    made = Counter(
        event.stream_type.value
        for feed in feeds(exchange, path)
        for event in in_one_session(feed, path)
        if not (isinstance(event, Kline) and not event.closed)
    )
    site.start("replay", str(path), "--exchange", exchange)
    assert site.wait(180) == 0, site.said()
    assert "lost 0  duplicates 0" in site.said()
    assert_balanced(site.said())
    tables = unique(site.clickhouse, site.database)
    kept = Counter({table: final for table, (_, final) in tables.items() if final and table != "gap"})
    refused = query(site.clickhouse, f"SELECT stream FROM {site.database}.rejected FINAL")
    assert kept + Counter(stream for (stream,) in refused) == made


def assert_balanced(said: str) -> None:
    account = said.partition("What became of every event")[2].splitlines()[1:]
    words = {"kline", *(spec.name for spec in SPECS)}
    rows = [row.replace(",", "").split() for row in account if row.split()[:1] and row.split()[0] in words]
    assert rows, said
    assert all(sent == in_the_ring != "0" for _, sent, in_the_ring, *_ in rows), said


def test_a_frame_that_the_venue_counts_and_nobody_receives_is_lost(site: Site) -> None:
    path = frames("gateio_futures/mixed_cf2023_first.jsonl")
    site.start("replay", str(path), "--exchange", "gate", environ={"PYTHONPATH": str(MUTATIONS / "withheld_frame")})
    site.wait(180)
    assert "lost 1  duplicates 0" in site.said()


def test_what_a_file_tells_again_is_no_loss(site: Site, tmp_path: Path) -> None:
    """Samples are put together of parts that have the same events; a table has each once, and the account says so."""
    path = tmp_path / "frames.jsonl"
    text = frames("binance_usdm/trade_cmp.jsonl").read_text() + frames("binance_usdm/docs_examples.jsonl").read_text()
    path.write_text(f"{text}\n{text}")
    site.start("replay", str(path))
    assert site.wait(180) == 0, site.said()
    assert "lost 0  duplicates 0" in site.said()
    assert "copies" in site.said()
