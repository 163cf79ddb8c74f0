"""The micro benchmarks run, and the frames they use are decoded; no figure is judged."""

import os
import subprocess
import sys
import time

from bench import frames, micro
from bench.accounts import Stopwatch, anon_share, cpu_ns, memory
from bench.ingest import expected_of
from bench.reader import bound, varint
from bench.venue import bare, prepared, stream_of


def test_codec_of_every_kind() -> None:
    found = micro.codec_costs(rounds=1)
    assert found.keys() == {"all", *frames.CHANNELS}
    for costs in found.values():
        assert costs.keys() == {"bare", "receive", "encode", "publish", "build"}
        assert min(costs.values()) > 0


def test_wake_up() -> None:
    assert micro.wake_up(50)["p50_us"] > 0


def test_own_tape_has_the_mix_and_grows() -> None:
    tape = frames.OwnTape()
    made = tape.make(1000, "all", frames.CHANNELS, True)
    assert len(made) == expected_of(1000, "all")
    assert {kind for kind, _ in made} == set(frames.CHANNELS)
    again = tape.make(200, "trades", {"aggTrade": "aggTrade"}, True)
    assert all(stream_of(payload).endswith(b"@aggTrade") for _, payload in again)
    assert tape.make(100, "all", {}, True) == []


def test_stamp_and_bare_frame() -> None:
    kind, payload = frames.OwnTape().make(10, "trades", frames.CHANNELS, True)[0]
    stream, buffer, stamp_at, event_at = prepared(kind, payload)
    assert bytes(buffer[stamp_at : buffer.index(b",", stamp_at)]).isdigit()
    assert bytes(buffer[event_at : event_at + 13]).isdigit()
    assert bare(payload).startswith(b'{"e":"aggTrade"')
    assert stream in {name.encode() for name in frames.streams("trades")}


def test_first_id_of_a_bound_message() -> None:
    message = b"\x08\x96\x01\x1a\x03BTC\x30\xac\x02"  # field 1 = 150, field 3 = "BTC", field 6 = 300
    assert bound(message) == 300
    assert varint(b"\xac\x02", 0) == (300, 2)


def test_cpu_and_memory_of_another_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        watch = Stopwatch({"child": child.pid})
        while cpu_ns(child.pid) < 50_000_000:
            os.sched_yield()
        assert 0 < watch.cpu()["child"] <= time.monotonic_ns() / 1e9
        assert memory(child.pid).rss > memory(child.pid).anon > 0
    finally:
        child.kill()
        child.wait()


FORKED = """
import os, sys
held = bytearray(b"x") * (32 << 20)
if pid := os.fork():
    print(pid, flush=True)
sys.stdin.read()
"""


def test_what_a_forked_process_has_in_common_with_its_parent_counts_once() -> None:
    parent = subprocess.Popen([sys.executable, "-c", FORKED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin is not None
    assert parent.stdout is not None
    pids = parent.pid, int(parent.stdout.readline())
    assert sum(memory(pid).anon for pid in pids) > 64
    assert 32 < sum(map(anon_share, pids)) < 64
    parent.stdin.close()  # the end of both
    parent.wait()
    parent.stdout.close()
