"""Which lines of a recorded file of Binance spot are frames."""

import pytest

from wsadapter.embedded.venues.binance_spot import SPOT


@pytest.mark.parametrize(
    ("line", "is_frame"),
    [
        (b'{"stream":"bnbusdt@depth5@100ms","data":{"lastUpdateId":13,"bids":[],"asks":[]}}', True),
        (b'{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT"}}', True), (b'{"result":null,"id":1}', True),
        (b"{broken", True), (b'{"lastUpdateId":13,"bids":[],"asks":[]}', False),
    ],
)  # fmt: skip
def test_the_book_of_rest_is_no_frame(line: bytes, is_frame: bool) -> None:
    assert (SPOT.recogniser(line, 5) is not None) == is_frame
