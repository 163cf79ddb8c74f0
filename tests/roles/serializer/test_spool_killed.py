"""kill -9 of the writing process: what was reported as stored is there, whole and in order."""

import random
import subprocess
import sys
from pathlib import Path

from wsadapter.roles.serializer.spool import Spool

WRITER = Path(__file__).with_name("spool_writer.py")


def test_killed_in_mid_write(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    directory = str(tmp_path / "spool")
    for _ in range(4):
        with subprocess.Popen([sys.executable, str(WRITER), directory], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(rng.randint(2, 60)):
                writer.stdout.readline()
            writer.kill()
            said = [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
            stored = max(said, default=0)
        spool = Spool(directory, 1 << 30, 1 << 20)
        assert spool.records >= stored
        got = spool.poll(10_000_000)
        assert [position for _, position, _, _ in got] == [n * 8 for n in range(spool.records)]
        assert all(payload == random.Random(n).randbytes(n % 300) for n, (*_, payload) in enumerate(got))
        assert spool.lost_records == 0
        spool.close()
