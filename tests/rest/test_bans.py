"""A ban outlives the process, and a broken file does not silence it."""

import stat
from pathlib import Path

import pytest

from wsadapter.files import StateDirectory
from wsadapter.rest.budget import BAN
from wsadapter.rest.host import Bans

HOST = "https://fapi.example"


def test_a_ban_is_found_again(tmp_path: Path) -> None:
    Bans(StateDirectory(tmp_path), HOST).save(1_000.0, "HTTP 418")
    assert Bans(StateDirectory(tmp_path), HOST).remaining(400.0) == 600.0
    assert Bans(StateDirectory(tmp_path), HOST).remaining(1_000.0) == 0
    assert Bans(StateDirectory(tmp_path), "https://other.example").remaining(0.0) == 0
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"host":"x"}', b'{"host":"x","until":"soon","reason":""}'])
def test_a_file_that_says_nothing(tmp_path: Path, content: bytes) -> None:
    Bans(StateDirectory(tmp_path), HOST).save(1_000.0, "")
    next(tmp_path.iterdir()).write_bytes(content)
    assert Bans(StateDirectory(tmp_path), HOST).remaining(0.0) == 0
    (aside,) = tmp_path.iterdir()
    assert ".damaged-" in aside.name
    assert aside.read_bytes() == content


def test_a_clock_that_was_wrong(tmp_path: Path) -> None:
    Bans(StateDirectory(tmp_path), HOST).save(1e12, "HTTP 418")
    assert Bans(StateDirectory(tmp_path), HOST).remaining(0.0) == BAN.maximum
