"""Completion as a shell asks for it: commands, options and values, without a message on any configuration."""

from pathlib import Path

import pytest
from cli.command import run

CONFIG = """
[[feed]]
name = "fut"
exchange = "binance"
symbols = ["BTCUSDT", "BNBUSDT", "ETHUSDT"]
[[feed]]
name = "spot"
exchange = "kraken"
symbols = ["BTC/USD"]
"""


def complete(directory: Path, *words: str) -> list[str]:
    """What bash is told for the last word."""
    done = run(
        directory,
        COMP_WORDS=" ".join(("wsadapter-supervisor", *words)),
        COMP_CWORD=str(len(words)),
        _WSADAPTER_SUPERVISOR_COMPLETE="bash_complete",
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("re",), ["record", "reload", "replay"]),
        (("segments", ""), ["list", "remove"]),
        (("--config", "c.toml", "audit", "--stream", "mark"), ["mark_price"]),
        (("--config", "c.toml", "audit", "--symbol", "B"), ["BNBUSDT", "BTC/USD", "BTCUSDT"]),
        (("gaps", "--config", "c.toml", "--exchange", "kraken", "--symbol", ""), ["BTC/USD"]),
        (("--config", "c.toml", "plan", "--exchange", ""), ["binance", "kraken"]),
        (("audit", "--exchange", "bitget"), ["bitget", "bitget_spot"]),
        (("--config", "c.toml", "backfill", "--feed", ""), ["fut", "spot"]),
        (("backfill", "--interval", "1"), ["1s", "1m", "15m", "1h", "12h", "1d", "1w", "1M"]),
        (("tap", "dead"), ["dead_letter"]),
        (("--config", "broken.toml", "audit", "--symbol", ""), []),
        (("--config", "none.toml", "audit", "--symbol", ""), []),
        (("audit", "--jso"), ["--json"]),
    ],
)
def test_values(tmp_path: Path, words: tuple[str, ...], expected: list[str]) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    (tmp_path / "broken.toml").write_text("[[feed")

    assert complete(tmp_path, *words) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(tmp_path: Path, shell: str) -> None:
    done = run(tmp_path, _WSADAPTER_SUPERVISOR_COMPLETE=f"{shell}_source")

    assert done.returncode == 0, done.stderr
    assert "_WSADAPTER_SUPERVISOR_COMPLETE" in done.stdout
