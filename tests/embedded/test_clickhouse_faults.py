"""The embedded ClickHouse under kill -9, SIGTERM, rude clients and a second process on its directory."""

import itertools
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import Error
from eventually import eventually
from trade_road import connect, insert, make_tables, message

from wsadapter.embedded.clickhouse.connections import MAX_CONNECTIONS
from wsadapter.embedded.servers import ClickHouseServer
from wsadapter.errors import ServiceUnavailable

pytestmark = pytest.mark.integration
ROWS = 500
KILLS = int(os.environ.get("WSADAPTER_ENGINE_KILLS", "3"))


def test_kill_during_inserts_loses_nothing_answered_and_a_replay_adds_nothing(
    own_clickhouse: Callable[[], ClickHouseServer],
) -> None:
    server = own_clickhouse().start()
    make_tables(server.url, "road")
    answered = 0
    batches = itertools.count()
    batch = next(batches)
    for kill in range(KILLS):
        # kill it in the middle of a stream of inserts, each time a little later
        timer = threading.Timer(0.15 + 0.05 * (kill % 8), os.kill, (server.pid, signal.SIGKILL))
        client = connect(server.url, "road")
        try:
            while True:
                rows = b"".join(message(batch * ROWS + n) for n in range(ROWS))
                insert(client, rows, f"t:0:{batch}")
                answered += 1
                batch = next(batches)
                if timer.ident is None:  # one is answered, however slow the machine is
                    timer.start()
        except Error:
            pass  # this batch has no answer: it is sent again under the same token
        timer.join()
        server.kill()
        server.start()
        # the last answered one too, as a consumer does that died before its commit
        client = connect(server.url, "road")
        for again in range(max(0, batch - 1), batch + 1):
            rows = b"".join(message(again * ROWS + n) for n in range(ROWS))
            insert(client, rows, f"t:0:{again}")
        of_it = (
            f"SELECT count() FROM trade WHERE toUInt64(trade_id) BETWEEN {batch * ROWS} AND {(batch + 1) * ROWS - 1}"
        )
        if client.command(of_it) == 0:
            # the engine's one moment (docs/operations.md): a consumer looks, too, and does this
            print(f"kill {kill}: batch {batch} is known and not there")
            insert(client, rows, f"t:0:{batch}:again")
        answered += 1
        batch = next(batches)
        assert client.command("SELECT count() FROM trade") == answered * ROWS
        assert client.command("SELECT uniqExact(trade_id) FROM trade") == answered * ROWS
        assert client.command("CHECK TABLE trade SETTINGS check_query_single_value_result = 1") == 1
    assert answered >= 2 * KILLS


def test_a_second_process_is_refused_and_told_who_holds_the_directory(tmp_path: Path) -> None:
    with ClickHouseServer(tmp_path / "first") as first:
        (tmp_path / "second").mkdir()
        (tmp_path / "second" / "clickhouse").symlink_to(tmp_path / "first" / "clickhouse")
        second = ClickHouseServer(tmp_path / "second")
        with pytest.raises(ServiceUnavailable, match=f"in use by process {first.pid}"):
            second.start()
        second.close()
        assert connect(first.url).command("SELECT 1") == 1


def test_sigterm_answers_what_runs_and_ends_cleanly(own_clickhouse: Callable[[], ClickHouseServer]) -> None:
    server = own_clickhouse().start()
    connect(server.url).command("CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
    results: list[int] = []

    def slow_insert() -> None:
        client = connect(server.url, autogenerate_session_id=False)
        client.command("INSERT INTO kept SELECT number + sleepEachRow(0.5) FROM numbers(8) SETTINGS max_block_size = 1")
        results.append(1)

    idle = socket.create_connection(("127.0.0.1", server.port))
    thread = threading.Thread(target=slow_insert)
    thread.start()
    reader = connect(server.url, autogenerate_session_id=False)
    eventually(
        lambda: reader.command("SELECT count() FROM system.processes WHERE query ILIKE 'INSERT%sleepEachRow%'") == 1
    )
    assert server.stop() == 0
    thread.join()
    assert results == [1]
    assert idle.recv(1) == b""
    idle.close()
    server.start()
    assert connect(server.url).command("SELECT count() FROM kept") == 8


def test_what_runs_at_the_deadline_is_cancelled_and_the_end_is_clean(tmp_path: Path) -> None:
    errors: list[int | None] = []

    def endless() -> None:
        with pytest.raises(Error) as cancelled:
            connect(server.url).query("SELECT max(cityHash64(number)) FROM system.numbers SETTINGS max_threads = 1")
        errors.append(cancelled.value.code)

    with ClickHouseServer(tmp_path, drain_seconds=3) as server:
        thread = threading.Thread(target=endless)
        thread.start()
        reader = connect(server.url, autogenerate_session_id=False)
        running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT max(cityHash64%'"
        eventually(lambda: reader.command(running) == 1)
        assert server.stop() == 0
        thread.join()
        assert errors == [394]
        server.start()


def test_a_slow_query_holds_up_neither_inserts_nor_the_heartbeat(clickhouse: str) -> None:
    client = make_tables(clickhouse, "busy")
    done = threading.Event()

    def run() -> None:
        with pytest.raises(Error):
            connect(clickhouse).query("SELECT sleepEachRow(1) FROM numbers(600) SETTINGS max_block_size = 1")
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    running = "FROM system.processes WHERE query LIKE 'SELECT sleepEachRow(1) FROM numbers(600)%'"
    eventually(lambda: client.command(f"SELECT count() {running}") == 1)
    for n in range(5):
        insert(client, message(n), f"n{n}")
    assert not done.is_set()
    client.command(f"KILL QUERY WHERE query_id IN (SELECT query_id {running}) ASYNC")
    thread.join(60)
    assert done.is_set()
    assert client.command("SELECT count() FROM trade") == 5


def test_rude_clients_cost_the_others_nothing(own_clickhouse: Callable[[], ClickHouseServer]) -> None:
    server = own_clickhouse().start()
    address = ("127.0.0.1", server.port)
    rude = [
        b"\x16\x03\x01 this is no HTTP\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /?query=INSERT+INTO+t+FORMAT+CSV HTTP/1.1\r\nContent-Length: 1000\r\n\r\nonly this",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n",
        b"GET /?" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    ]
    for request in rude:
        with socket.create_connection(address) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    crowd = [socket.create_connection(address) for _ in range(MAX_CONNECTIONS)]
    extra = socket.create_connection(address)
    extra.settimeout(60)
    assert b"Code: 202." in b"".join(iter(lambda: extra.recv(65536), b""))
    for connection in (*crowd, extra):
        connection.close()

    def answers() -> bool:
        with urllib.request.urlopen(f"{server.url}/?query=SELECT+1") as response:
            return bool(response.read() == b"1\n")

    eventually(answers)
    assert server.running
    assert server.page["service_up"] == 1
    eventually(lambda: server.page["queries_total"] > 0)


def test_an_idle_engine_has_no_log_tables_and_beats(own_clickhouse: Callable[[], ClickHouseServer]) -> None:
    server = own_clickhouse().start()
    client = connect(server.url)
    query = "SELECT count() FROM system.tables WHERE database = 'system' AND engine LIKE '%MergeTree'"
    assert client.command(query) == 0, "a log table would be written all the time"
    beat = server.page["heartbeat_ns"]
    eventually(lambda: server.page["heartbeat_ns"] > beat)
