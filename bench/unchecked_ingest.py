"""The ingest role without the decimal checks: what they cost is the difference to `wsadapter.ingest`.

Only a benchmark starts it. The text that a check looks at is still put together by its caller (about 0.2 us).
"""

from msgspec.json import Decoder

from wsadapter import ingest
from wsadapter.exchanges import binance_events
from wsadapter.lifecycle import run_child

_levels = Decoder(list[tuple[str, str]]).decode


def _is_plain(array: str, bare: bytes) -> bool:
    return True


def _split_book(bids: bytes, asks: bytes) -> tuple[list[str], list[str], list[str], list[str]]:
    texts = (b"%b,%b" % (bids, asks)).translate(None, b'"[]').decode().split(",")
    middle = 2 * bids.count(b"],[") + 2
    return texts[:middle:2], texts[1:middle:2], texts[middle::2], texts[middle + 1 :: 2]


if __name__ == "__main__":
    for name, replacement in (("is_plain", _is_plain), ("split_book", _split_book)):
        if not hasattr(binance_events, name):
            raise SystemExit(f"binance_events has no {name} any more: bench/unchecked_ingest.py needs a look")
        setattr(binance_events, name, replacement)
    run_child(ingest.main)
