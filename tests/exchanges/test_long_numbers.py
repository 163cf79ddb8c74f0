"""Numbers that are longer as plain decimals than as the venue writes them, in a book that just fits into the memory
that is there: in a process whose allocator looks at the octets behind each block."""

import os
import subprocess
import sys
from typing import Final

import pytest

from wsadapter import native

BOOKS: Final = """
import itertools, json
from wsadapter.config.model import Feed
from wsadapter.events import Depth
from wsadapter.exchanges.deribit import Deribit

SYMBOL = "BTC-PERPETUAL"
(plan,) = Deribit.plan(Feed("d", "deribit", (SYMBOL,), ("depth",), depth_levels=20))
channel = plan.subscriptions[0].name
numbers = itertools.count(100)


def opened():
    session = Deribit(plan)
    for payload in session.open()[1:-1]:
        request = json.loads(payload)
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": [channel], "usIn": 1, "usOut": 2, "usDiff": 1}
        session.receive(json.dumps(answer).encode(), 1)
    return session


def read(session, *bids):
    data = '"timestamp":1790133841369,"change_id":%d,"instrument_name":"%s"' % (next(numbers), SYMBOL)
    params = '{"channel":"%s","data":{%s,"asks":[],"bids":[%s]}}' % (channel, data, ",".join(bids))
    frame = '{"jsonrpc":"2.0","method":"subscription","params":%s}' % params
    (event,) = session.receive(frame.encode(), 1_795_000_000_000_000_000)
    assert isinstance(event, Depth), event
    return list(event.bid_price)


long = ["[1e-60,1e-60]"] * 50 + ["[1,1]"] * 1000
half = len(",".join(long)) // 2
for octets in range(half - 96, half + 16, 8):  # the memory that is there is twice what the book before needed
    session = opened()
    read(session, "[1,%s]" % ("1" * (12 + octets % 6)), *["[1,1]"] * (octets // 6 - 3))
    assert read(session, *long) == ["0." + "0" * 59 + "1"] * 50 + ["1"] * 1000
    read(session, *["[1,1]"] * 3000)
print("read")
"""


@pytest.mark.skipif(native.extension is None, reason="only the C part keeps levels in memory of its own")
def test_numbers_that_grow_stay_within_the_memory() -> None:
    run = subprocess.run(
        [sys.executable, "-c", BOOKS], env={**os.environ, "PYTHONMALLOC": "debug"}, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (0, "read\n"), run.stderr[-1500:]
