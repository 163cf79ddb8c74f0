"""The ingest role without the decimal checks: what they cost is the difference to `wsadapter.ingest`.

Only a benchmark starts it. A book's levels are still checked: they are taken apart by the same walk.
"""

from wsadapter import ingest
from wsadapter.exchanges import binance_events
from wsadapter.lifecycle import run_child


def _are_plain(*texts: str) -> bool:
    return True


if __name__ == "__main__":
    if not hasattr(binance_events, "are_plain"):
        raise SystemExit("binance_events has no are_plain any more: bench/unchecked_ingest.py needs a look")
    binance_events.are_plain = _are_plain
    run_child(ingest.main)
