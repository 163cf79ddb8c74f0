"""The monitor's pages over HTTP, from a real process over hand-made stats pages."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from roles.monitor.monitor_process import (
    CHILDREN,
    CONNECTION,
    SUBSCRIPTIONS,
    Road,
    answers,
    get,
    get_json,
    monitor,
    road,
    start,
)

from wsadapter.errors import Reason
from wsadapter.roles.monitor.exposition import exposition
from wsadapter.roles.monitor.history import History
from wsadapter.roles.monitor.page import now
from wsadapter.roles.monitor.snapshot import read
from wsadapter.roles.monitor.status import status as all_of
from wsadapter.shm import ring
from wsadapter.shm.segment import Segment
from wsadapter.shm.stats_page import StatsPage
from wsadapter.supervision.child import ChildState

MUTATIONS = Path(__file__).parents[2] / "mutations"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    with road(tmp_path_factory.mktemp("state")) as made, monitor(made):
        yield made


@pytest.fixture(autouse=True)
def _everything_up(watched: Road) -> None:
    watched.everything_up()


def reasons(watched: Road) -> list[str]:
    status, answer = get_json(watched.port, "/readyz")
    assert (status == 200) == (answer["reasons"] == []) == answer["ready"]
    found: list[str] = answer["reasons"]
    return found


def test_ready_when_everything_is_up(watched: Road) -> None:
    assert get(watched.port, "/livez")[0] == 200
    assert reasons(watched) == []


@pytest.mark.parametrize(
    ("page", "field", "value", "expected"),
    [
        (CONNECTION, "connection_up", 0, f"{CONNECTION}: not connected"),
        (CONNECTION, f'stream_state{{stream="{SUBSCRIPTIONS[0]}"}}', 0, f"{CONNECTION}: not acked: {SUBSCRIPTIONS[0]}"),
        (CONNECTION, f'stream_state{{stream="{SUBSCRIPTIONS[1]}"}}', 4, f"{CONNECTION}: refused: {SUBSCRIPTIONS[1]}"),
        ("serializer-0", "broker_up", 0, "serializer-0: Kafka does not answer"),
        (
            "serializer-0",
            "broker_refusal",
            29,
            "serializer-0: Kafka refuses: Broker: Topic authorization failed (TOPIC_AUTHORIZATION_FAILED)",
        ),
        ("consumer-0", "broker_up", 0, "consumer-0: Kafka does not answer"),
        ("consumer-0", "clickhouse_up", 0, "consumer-0: ClickHouse does not answer"),
        ("consumer-0", "broker_refusal", 29, "consumer-0: Kafka refuses: Broker: Topic authorization failed"),
        ("serializer-0", "state", 1, "serializer-0: waiting"),
        ("consumer-0", "state", 4, "consumer-0: paused"),
        ("exchange", "state", 0, "exchange: starting"),
        ("exchange", "heartbeat_ns", 1, "exchange: no heartbeat for"),
    ],
)
def test_not_ready_says_why(watched: Road, page: str, field: str, value: int, expected: str) -> None:
    watched.pages[page][field] = value

    (reason,) = reasons(watched)
    assert reason.startswith(expected)


def test_the_kind_of_cause_is_said_and_what_was_not_asked_is_not_blamed(watched: Road) -> None:
    """A consumer asks Kafka when ClickHouse has answered."""
    watched.pages["consumer-0"]["clickhouse_up"] = watched.pages["consumer-0"]["broker_up"] = 0
    watched.pages["consumer-0"]["clickhouse_reason"] = Reason.AUTHENTICATION
    watched.pages["consumer-0"]["broker_reason"] = Reason.NOT_ASKED
    assert reasons(watched) == ["consumer-0: ClickHouse refuses: authentication failed"]

    watched.everything_up()
    watched.pages["serializer-0"]["broker_up"] = 0
    watched.pages["serializer-0"]["broker_reason"] = Reason.NAME
    assert reasons(watched) == ["serializer-0: Kafka does not answer: name not known"]


def test_each_endpoint_of_clickhouse_has_its_reason_where_none_answers(watched: Road) -> None:
    """One that fails while another one is in use is no reason: it is told beside the consumer."""
    page = watched.pages["consumer-0"]
    page['clickhouse_endpoint_up{endpoint="ch-1:8123"}'] = 0
    page['clickhouse_endpoint_reason{endpoint="ch-1:8123"}'] = Reason.REFUSED
    page['clickhouse_endpoint_in_use{endpoint="ch-1:8123"}'] = 0
    page['clickhouse_endpoint_in_use{endpoint="ch-2:8123"}'] = 1
    assert reasons(watched) == []
    (consumer,) = get_json(watched.port, "/status")[1]["consumers"]
    assert consumer["clickhouse_endpoints"] == [
        {"endpoint": "ch-1:8123", "in_use": False, "up": False,
         "reason": "ClickHouse at ch-1:8123 does not answer: connection refused"},
        {"endpoint": "ch-2:8123", "in_use": True, "up": True, "reason": ""},
    ]  # fmt: skip

    page["clickhouse_up"] = 0
    page['clickhouse_endpoint_up{endpoint="ch-2:8123"}'] = 0
    page['clickhouse_endpoint_reason{endpoint="ch-2:8123"}'] = Reason.FOREIGN
    assert reasons(watched) == [
        "consumer-0: ClickHouse at ch-1:8123 does not answer: connection refused",
        "consumer-0: ClickHouse at ch-2:8123 is not used, it does not share the tables of the other endpoints",
    ]


def test_a_child_that_is_down_counts_as_down_whatever_its_page_says(watched: Road) -> None:
    watched.supervisor['child_up{role="serializer",name="serializer-0"}'] = 0
    watched.supervisor['child_restarts_total{role="serializer",name="serializer-0",reason="signal"}'] = 2

    assert reasons(watched) == ["serializer-0: down"]
    children = {child["name"]: child for child in get_json(watched.port, "/status")[1]["children"]}
    assert children["serializer-0"]["state"] == "down"
    assert children["serializer-0"]["restarts"] == 2


@pytest.mark.parametrize(
    ("up", "state", "pid", "shown"),
    [(0, ChildState.STARTING, 0, "down"), (0, ChildState.STARTING, 1, "starting"), (0, ChildState.RUNNING, 1, "down")],
)
def test_what_a_process_said_of_others_ends_with_it(
    watched: Road, up: int, state: ChildState, pid: int, shown: str
) -> None:
    """As its page stands between its death and the next one's first refresh."""
    names = {CONNECTION: "ingest", "serializer-0": "serializer", "consumer-0": "consumer"}
    for name, role in names.items():
        watched.supervisor[f'child_up{{role="{role}",name="{name}"}}'] = up
        page = watched.pages[name]
        page["state"], page["pid"] = state, pid * os.getpid()
        for cell in {"connected_since_ns", "broker_refusal", "commit_failed_since_ns"} & set(page.fields):
            page[cell] = 7
    for subscription in SUBSCRIPTIONS:
        watched.pages[CONNECTION][f'stream_state{{stream="{subscription}"}}'] = 2
    seen = read(watched.config, watched.order())

    told = exposition(lambda: seen)().decode()
    families = ("connection_up", "connected_since_timestamp_seconds", "stream_state", "broker_up", "clickhouse_up")
    samples = re.findall(rf"^wsadapter_({'|'.join(families)}){{.*}} (.+)$", told, re.MULTILINE)
    assert {family for family, _ in samples} == set(families)
    assert {value for _, value in samples} == {"0.0"}
    everything = all_of(seen)
    assert {stream["state"] for stream in everything["streams"]} == {"requested"}
    assert [(each["up"], each["connected_since"]) for each in everything["connections"]] == [(False, None)]
    kafka = [each["broker_up"] for each in (*everything["serializers"], *everything["consumers"])]
    assert (kafka, everything["consumers"][0]["clickhouse_up"]) == ([False, False], False)
    assert now(seen, History())["states"] == "00"
    assert everything["reasons"] == [f"{CONNECTION}, serializer-0, consumer-0: {shown}"]
    for page in watched.pages.values():
        if "commit_failed_since_ns" in page:
            page["commit_failed_since_ns"] = 0


def test_a_page_that_vanishes_and_comes_back(watched: Road) -> None:
    fields = watched.pages["exchange"].fields
    Segment.unlink(watched.page_name("exchange"))
    status = get_json(watched.port, "/status")[1]
    assert [child["name"] for child in status["children"]].count("exchange") == 1

    watched.pages["exchange"].release()
    watched.pages["exchange"] = StatsPage.create(watched.page_name("exchange"), fields)
    watched.everything_up()
    watched.pages["exchange"]['sent_total{stream="trade"}'] = 5
    assert get_json(watched.port, "/status")[1]["totals"]["sent"] == {"trade": 5}


def test_status_has_the_words_of_the_design(watched: Road) -> None:
    writer = ring.RingWriter.attach(watched.ring)
    writer.try_write(4, b"x" * 100)
    writer.publish()
    used = writer.used()
    writer.add_dropped(3)
    writer.release()
    ingest = watched.pages[CONNECTION]
    ingest["frames_total"], ingest['events_total{stream="trade"}'] = 12, 10
    watched.pages["consumer-0"]['accepted_rows_total{stream="trade"}'] = 9
    watched.pages["consumer-0"]['consumer_lag{stream="trade"}'] = 1

    _, status = get_json(watched.port, "/status")

    assert [child["role"] for child in status["children"]] == ["supervisor", *(role for role, _, _ in CHILDREN)]
    for child in status["children"]:
        assert {"role", "name", "pid", "state", "restarts"} <= child.keys()
    assert status["children"][0]["pid"] == os.getpid() == status["supervisor"]["pid"]
    (connection,) = status["connections"]
    assert (connection["connection"], connection["exchange"], connection["up"]) == (CONNECTION, "binance", True)
    assert (connection["frames"], connection["events"]) == (12, 10)
    assert [(s["stream"], s["state"], s["age_seconds"]) for s in status["streams"]] == [
        (name, "acked", None) for name in SUBSCRIPTIONS
    ]
    (found,) = status["rings"]
    assert (found["capacity_bytes"], found["used_bytes"], found["dropped"], found["epoch"]) == (65536, used, 3, "7")
    (consumer,) = status["consumers"]
    assert (consumer["accepted_rows"], consumer["lag"], consumer["paused"]) == ({"trade": 9}, {"trade": 1}, [])
    assert status["totals"]["events"] == {"trade": 10}


def test_status_page_brings_everything_along(watched: Road) -> None:
    status, headers, body = get(watched.port, "/")
    page = body.decode()

    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    links = set(re.findall(r'\b(?:src|href)="([a-z]\S*)"', page))
    assert {link for link in links if not link.startswith("docs/")} <= {
        "favicon.ico", "status.css", "status.js", "stored", "status", "readyz", "metrics", "livez",
    }  # fmt: skip
    for asset, content_type in (("/status.css", "text/css"), ("/status.js", "text/javascript")):
        status, headers, body = get(watched.port, asset)
        assert (status, headers["Content-Type"].partition(";")[0]) == (200, content_type)
        page += body.decode()
    assert get(watched.port, "/docs/runbook.md")[0] == 200
    assert get(watched.port, "/docs/../pyproject.toml")[0] == 404
    assert re.findall(r"https?://|@import|url\(|innerHTML|unsafe", page + headers["Content-Security-Policy"]) == []
    # every key that the page asks for is there, and what /status/now has besides its streams /status has, too
    answer = get_json(watched.port, "/status/now")[1]
    assert answer.keys() - get_json(watched.port, "/status")[1].keys() == {"layout", "states", "ages"}
    assert set(re.findall(r"\bs\.([a-z_]+)", page)) <= answer.keys()
    assert set(re.findall(r"\bt\.([a-z_]+)", page)) <= answer["totals"].keys()


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/", 405),
        ("GET", "/livez?x=1", 200),
        ("HEAD", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/favicon.ico", 200),
    ],
)
def test_what_is_not_there_and_what_is_not_done(watched: Road, method: str, path: str, expected: int) -> None:
    status, headers, body = get(watched.port, path, method)

    assert status == expected
    assert headers.get("Allow") == ("GET, HEAD" if expected == 405 else None)
    assert (body == b"") == (method == "HEAD")


def test_listens_on_loopback_only(watched: Road) -> None:
    tables = Path("/proc/net/tcp").read_text().splitlines()[1:] + Path("/proc/net/tcp6").read_text().splitlines()[1:]
    listening = [line.split()[1] for line in tables if line.split()[3] == "0A"]
    addresses = [address.rpartition(":")[0] for address in listening if address.endswith(f":{watched.port:04X}")]

    assert addresses == ["0100007F"]


def test_memory_is_small(watched: Road) -> None:
    for _ in range(50):
        get(watched.port, "/metrics")
        get(watched.port, "/status")
    (child,) = (c for c in get_json(watched.port, "/status")[1]["children"] if c["role"] == "monitor")

    assert child["rss_bytes"] < 50 * 1024 * 1024


def test_an_address_that_another_process_has_is_waited_for(tmp_path: Path) -> None:
    with road(tmp_path) as made, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", made.port))
        other.listen()
        process = start(made)
        try:
            page = made.pages["monitor"]
            eventually(lambda: page["listen_failures_total"] >= 1 or process.poll() is not None)
            assert process.poll() is None
            assert page["state"] == ChildState.WAITING
            other.close()
            eventually(lambda: answers(made.port), 20, "it takes the address when it is free")
            assert page["state"] == ChildState.RUNNING
            assert b"wsadapter_listen_failures_total" in get(made.port, "/metrics")[2]
        finally:
            process.terminate()
            _, said = process.communicate(timeout=60)
    (line,) = [json.loads(line) for line in said.splitlines() if b"monitor.listen cannot be had" in line]
    assert (line["level"], line["listen"]) == ("error", made.config.monitor.listen)
    assert line["reason"] == "another process has the address"
    assert process.returncode == 0


def test_what_comes_after_its_work_does_not_change_how_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second signal, or a supervisor that goes: the interpreter gives its handlers back before it ends."""
    monkeypatch.setenv("PYTHONPATH", str(MUTATIONS / "told_again"))
    with road(tmp_path) as made, monitor(made) as process:
        process.terminate()
        assert process.wait(60) == 0


def test_ends_with_its_supervisor_and_when_told(tmp_path: Path) -> None:
    with road(tmp_path) as made:
        for end in (subprocess.Popen.terminate, lambda process: process.stdin.close()):
            with monitor(made) as process:
                end(process)
                assert eventually(lambda p=process: p.poll() is not None)  # type: ignore[misc]
                assert process.returncode == 0
