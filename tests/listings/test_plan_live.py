"""`plan --live` asks the venue what it lists, without an instance, and keeps nothing."""

from pathlib import Path

import pytest
from cli.command import run

from wsadapter.embedded.exchange.server import LoopbackVenue, Options
from wsadapter.embedded.ports import free_port
from wsadapter.embedded.servers import VenueThread

FILE = """[service]
state_dir = "{state}"
[monitor]
listen = "127.0.0.1:{port}"
[[feed]]
exchange = "binance_spot"
symbols = ["top:2", "!SOL*"]
streams = ["trade"]
ws_url = "{ws}"
rest_url = "{rest}"
"""
CHINESE = "币安人生USDT"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def test_what_the_venue_lists_now(tmp_path: Path, state: Path) -> None:
    file = tmp_path / "wsadapter.toml"
    with VenueThread(lambda: LoopbackVenue(Options("binance_spot", symbols=("SOLUSDT", CHINESE)))) as venue:
        text = FILE.format(state=state, port=free_port(), ws=venue.venue.url, rest=venue.venue.rest_url)
        file.write_text(text)
        environ = {"WSADAPTER_HOST_DIR": str(tmp_path)}
        shown = run(tmp_path, "plan", "--live", "--config", str(file), **environ)
        assert f"resolved    top:2: 1 symbols: {CHINESE}" in shown.stdout, shown.stderr
        assert "not measured:" in shown.stderr
        assert shown.returncode == 0
        venue.call(lambda made: made.refuse(503, times=100, on="rest"))
        silent = run(tmp_path, "plan", "--live", "--config", str(file), **environ)
    assert (silent.returncode, silent.stdout) == (69, "")
    assert f"{venue.venue.rest_url} does not say what is traded" in silent.stderr
    assert not [*state.glob("listing-*"), *state.glob("symbols.json")]
