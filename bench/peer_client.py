"""The product as a client of the peers' contract, for their run.py: one JSON line, then the end.

    peer_client.py --url ws://host:port --frames N [--mix all|trades] [--kafka host:port] [--variant NAME]

Without ``--kafka``: one ingest process, socket -> published in the ring, its CPU (variant ``unchecked``: without the
decimal checks). With it: the whole product, supervisor, ingests, serializer and monitor, socket -> acknowledged, the
CPU of all of them; ClickHouse is left out, so the consumer waits. To add it, put an absolute path in the peers' table:

    "wsadapter": ("base", "<repository>/bench/peer_client.py", "", 1.0)

and make an environment ``base`` that has the project's packages.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    # a script's own directory is where its imports begin; the package begins one above
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    os.chdir(ROOT)
    os.execve(sys.executable, [sys.executable, "-m", "bench.contract", *sys.argv[1:]], environ)
