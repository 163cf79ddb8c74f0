"""The consumer's path: length-delimited Protobuf with an inline schema into a Null table with two views, by token."""

import lz4.frame  # type: ignore[import-untyped]  # has no stubs
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from trade_road import insert, make_tables, message

pytestmark = pytest.mark.integration


def test_a_token_stores_a_batch_once_in_both_targets(clickhouse: str) -> None:
    client = make_tables(clickhouse, "tokens")
    batch = b"".join(message(n, "abc" if n in (10, 20) else "57000.10") for n in range(1000))
    for _ in range(3):
        insert(client, batch, "t:0:0-999")
    assert client.command("SELECT count() FROM trade") == 998
    assert client.command("SELECT sum(price) = toDecimal128('57000.1', 12) * 998 FROM trade") == 1
    assert client.query("SELECT * FROM rejected ORDER BY trade_id").result_rows == [("10", "abc"), ("20", "abc")]
    # another token: the same rows once more
    insert(client, batch, "t:0:1000-1999")
    assert client.command("SELECT count() FROM trade") == 2 * 998
    # the mutation: a reused token loses other rows without a word, so a test that counts rows can see a reuse
    insert(client, message(5000), "t:0:0-999")
    assert client.command("SELECT count() FROM trade WHERE trade_id = '5000'") == 0


def test_a_large_batch_is_one_block_and_so_one_part(clickhouse: str) -> None:
    client = make_tables(clickhouse, "blocks")
    client.command("SYSTEM STOP MERGES blocks.trade")
    batch = b"".join(message(n) for n in range(150_000))
    for compressed in (False, True):
        block = lz4.frame.compress(batch) if compressed else batch
        insert(client, block, "one", compression="lz4" if compressed else None)
    query = "SELECT count(), sum(rows) FROM system.parts WHERE database = 'blocks' AND table = 'trade' AND active"
    assert client.query(query).result_rows == [(1, 150_000)]


@pytest.mark.parametrize(
    ("broken", "codes"),
    [
        (message(1) * 100 + b"\xff\xff\xff\xff" + message(2) * 100, {444, 32, 69, 6}),
        ((message(1) * 100)[:-3], {444, 32, 69, 6}),
        (b"\n;\xff\x00", {444, 32, 69, 6}),
    ],
)
def test_a_bad_message_rejects_the_batch_with_a_code(clickhouse: str, broken: bytes, codes: set[int]) -> None:
    client = make_tables(clickhouse, f"bad_{abs(hash(broken))}")
    with pytest.raises(DatabaseError) as refused:
        insert(client, broken, "bad")
    assert refused.value.code in codes
    assert client.command("SELECT count() FROM trade") == 0
    insert(client, message(1), "good")
    assert client.command("SELECT count() FROM trade") == 1


def test_what_the_consumer_tells_apart_by_code(clickhouse: str) -> None:
    client = make_tables(clickhouse, "codes")
    client.command("DROP TABLE trade_in")
    with pytest.raises(DatabaseError) as refused:
        insert(client, message(1), "x")
    assert refused.value.code == 60
