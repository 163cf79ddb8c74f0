"""Logs: one record = one line, whatever is in it; never blocks; drops are counted; repeats are limited."""

import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import structlog
from eventually import eventually
from hypothesis import given
from hypothesis import strategies as st

from wsadapter import log

NASTY = "a\nb\r\x1b[31mred\x00\u2028\u202e\x9b\ud800 end"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    handlers, level = logging.root.handlers[:], logging.root.level
    out, into = os.pipe()
    yield out, into
    # the reader first: what a sink still has to write fails, and its thread ends before the number of its end is free
    os.close(out)
    for thread in [each for each in threading.enumerate() if each.name == "log"]:
        thread.join(60)
        assert not thread.is_alive()
    os.close(into)
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def end(pipe: tuple[int, int], side: int) -> None:
    """Close one end; its number stays taken."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, pipe[side])
    os.close(null)


def lines_of(sink: log.Sink, pipe: tuple[int, int]) -> list[str]:
    sink.close()
    end(pipe, 1)
    with open(pipe[0], encoding="utf-8", newline="", closefd=False) as reader:
        return reader.read().splitlines()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_one_record_is_one_line(pipe: tuple[int, int], log_format: str) -> None:
    sink = log.setup(log_format, "info", pipe[1], role="ingest", name="a")
    log.get_logger().info("connected " + NASTY, symbol=NASTY, raw=NASTY.encode("utf-8", "replace"), nested=[NASTY])
    try:
        raise ValueError(NASTY)
    except ValueError:
        log.get_logger().exception("failed")
    log.get_logger().debug("not shown")

    lines = lines_of(sink, pipe)
    assert len(lines) == 2
    assert not any(character in line for line in lines for character in "\x1b\r\x00\u2028\u202e\x9b")


def test_json_fields(pipe: tuple[int, int]) -> None:
    sink = log.setup("json", "info", pipe[1], role="ingest", name="a")
    log.get_logger().warning("closed", reason='say "no"', count=3, ratio=0.5, at=None, values=(1, 2))

    (line,) = lines_of(sink, pipe)
    record = json.loads(line)
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "level": "warning", "role": "ingest", "name": "a", "event": "closed", "reason": 'say "no"', "count": 3,
        "ratio": 0.5, "at": None, "values": [1, 2],
    }  # fmt: skip
    assert list(json.loads(line))[:5] == ["timestamp", "level", "role", "name", "event"]


def test_libraries_come_out_the_same_way(pipe: tuple[int, int]) -> None:
    sink = log.setup("json", "info", pipe[1], role="consumer", name="c")
    logging.getLogger("clickhouse_connect").warning("slow %s", "insert\nx")
    logging.getLogger("other").warning("bad %d", "format")
    logging.getLogger("picows").info("redirect to ws://x?listenKey=secret")
    logging.getLogger("urllib3.connectionpool").warning("Retrying after connection broken")

    records = [json.loads(line) for line in lines_of(sink, pipe)]
    assert [(r["logger"], r["event"], r["level"]) for r in records] == [
        ("clickhouse_connect", "slow insert\nx", "warning"),
        ("other", "bad %d", "warning"),
    ]


def test_long_values_are_cut(pipe: tuple[int, int]) -> None:
    sink = log.setup("json", "info", pipe[1])
    log.get_logger().info("frame", payload="x" * 100_000)

    (line,) = lines_of(sink, pipe)
    assert len(line) < 5_000
    assert "(100000 characters)" in line


def test_stalled_reader_blocks_nobody_and_drops_are_counted(pipe: tuple[int, int]) -> None:
    sink = log.setup("json", "info", pipe[1])
    total = 20_000
    done = threading.Event()

    def flood() -> None:
        for number in range(total):
            log.get_logger().info("flood", number=number, filler="x" * 100)
        done.set()

    threading.Thread(target=flood, daemon=True).start()
    assert done.wait(60)  # nobody reads, and yet it came to its end
    dropped = sink.dropped
    assert dropped > 0

    received = io.BytesIO()

    def drain() -> None:
        while chunk := os.read(pipe[0], 65536):
            received.write(chunk)

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    eventually(lambda: received.getvalue().count(b'"flood"') == total - dropped)
    log.get_logger().info("after")
    eventually(lambda: b'"after"' in received.getvalue())
    records = [json.loads(line) for line in received.getvalue().splitlines()]
    assert sum(r["count"] for r in records if r["event"] == "log records dropped") == dropped
    sink.close()
    end(pipe, 1)
    reader.join(60)


def test_reader_gone_is_survived(pipe: tuple[int, int]) -> None:
    sink = log.setup("json", "info", pipe[1])
    end(pipe, 0)
    log.get_logger().info("into the void")
    log.get_logger().info("into the void")
    eventually(lambda: sink.dropped >= 2)
    sink.close()


def test_non_blocking_end_is_waited_for(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    sink = log.setup("json", "info", pipe[1])
    for number in range(1_500):
        log.get_logger().info("line", number=number, filler="x" * 100)
    received = bytearray()
    while received.count(b"\n") < 1_500:
        received += os.read(pipe[0], 65536)
    assert [json.loads(line)["number"] for line in received.splitlines()] == list(range(1_500))
    sink.close()


def test_stalled_reader_does_not_keep_the_process_from_ending(pipe: tuple[int, int]) -> None:
    sink = log.setup("json", "info", pipe[1])
    for _ in range(1_900):
        log.get_logger().info("line", filler="x" * 100)
    sink.close()  # for ever, if it waited for the reader


@given(st.text(), st.text())
def test_no_text_makes_a_second_line(event: str, value: str) -> None:
    for render in (log.as_json, log.as_text):
        line = render({"timestamp": "2026-01-01T00:00:00.000000Z", "level": "info", "event": event, "value": value})
        assert len(line.splitlines()) <= 1
        assert line.isprintable() or all(ord(character) >= 0xA0 for character in line if not character.isprintable())


def test_what_goes_on_is_said_less_and_less_often() -> None:
    now = [0.0]
    repeated = log.Repeated(10.0, clock=lambda: now[0], most=40.0)
    said = []
    for second in range(200):
        now[0] = float(second)
        if repeated("away") is not None:
            said.append(second)
    assert said == [0, 10, 30, 70, 110, 150, 190]
    now[0] = 1000.0
    assert [repeated("away"), repeated("away")] == [9, None]
    now[0] = 2000.0
    repeated("away")
    now[0] = 2100.0
    assert repeated("away") == 0, "it was over in between"


def test_repeats_are_limited_and_counted() -> None:
    now = [0.0]
    repeated = log.Repeated(10.0, clock=lambda: now[0], keys=2)
    assert [repeated("a"), repeated("a"), repeated("b"), repeated("a")] == [0, None, 0, None]
    now[0] = 10.0
    assert [repeated("a"), repeated("a"), repeated("b")] == [2, None, 0]
    assert [repeated("c"), repeated("a")] == [0, 0]  # "a" was the oldest of more than two keys


@pytest.mark.parametrize(("log_format", "expected"), [("auto", "text"), ("console", "text"), ("json", "json")])
def test_a_line_in_the_journal_begins_with_its_priority(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, log_format: str, expected: str
) -> None:
    status = os.fstat(pipe[1])
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    sink = log.setup(log_format, "debug", pipe[1], role="ingest", name="a")
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log.get_logger(), level)("said", symbol="X")
    logging.getLogger("other").warning("theirs")

    lines = lines_of(sink, pipe)

    assert [line[:3] for line in lines] == ["<7>", "<6>", "<4>", "<3>", "<2>", "<4>"]
    if expected == "json":
        assert json.loads(lines[2][3:])["level"] == "warning"
    else:
        assert lines[2].split() == ["<4>warning", "ingest/a", "said", "symbol=X"], "the journal has its own time"


def test_a_stream_that_is_not_the_journals_has_no_priorities(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was redirected: JOURNAL_STREAM is inherited and speaks of another one."""
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    sink = log.setup("auto", "info", pipe[1], role="ingest", name="a")
    log.get_logger().warning("said")

    (line,) = lines_of(sink, pipe)
    assert json.loads(line)["event"] == "said"


def test_auto_is_text_on_a_terminal() -> None:
    ours, terminal = os.openpty()
    try:
        assert log.renderer("auto", terminal) is log.as_text
        assert log.renderer("json", terminal) is log.as_json
    finally:
        os.close(ours)
        os.close(terminal)


def test_it_imports_nothing_to_draw_with_and_keeps_nobody_from_it() -> None:
    code = (
        "import sys, wsadapter.log; print(sorted({'rich', 'pygments', 'markdown_it'} & set(sys.modules)))\n"
        "from rich.console import Console; Console().print('drawn')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\ndrawn\n"
