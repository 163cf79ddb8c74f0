"""Where the recorded frames are: beside the project, never in it."""

from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "frames"
FRAMES: Path | None = _BESIDE if _BESIDE.is_dir() else None


def frames(name: str) -> Path:
    """The recorded file, e.g. ``binance_usdm/kline_1m_cf2021.jsonl``; skips the test where it is absent."""
    if FRAMES is None:
        pytest.skip("the recorded frames (../shared/frames) are not here")
    return FRAMES / name
