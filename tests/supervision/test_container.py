"""The image: what goes into it, and what it says of its health."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from wsadapter.embedded.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


class Answering(BaseHTTPRequestHandler):
    """200 to whatever is asked, as a proxy also would that answers with a page of its own."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def health(monitor: int, proxy: int) -> int:
    """The exit code of the image's HEALTHCHECK, with the monitor's port and a proxy in the environment."""
    text = (ROOT / "deploy/Dockerfile").read_text().replace("\\\n", "")
    found = re.search(r"^HEALTHCHECK .*?CMD (\[.*\])$", text, re.MULTILINE)
    assert found is not None
    _, *arguments = ast.literal_eval(found[1])
    arguments = [argument.replace(":9464/", f":{monitor}/") for argument in arguments]
    away = {f"{scheme}_proxy": f"http://127.0.0.1:{proxy}" for scheme in ("http", "HTTP", "all")}
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **away, "no_proxy": ""}, capture_output=True, timeout=60
    ).returncode


def test_a_proxy_of_the_environment_says_nothing_of_its_health(answering: int) -> None:
    assert health(monitor=answering, proxy=free_port()) == 0
    assert health(monitor=free_port(), proxy=answering) != 0


def test_what_git_leaves_out_stays_out_of_the_image() -> None:
    """Passwords (.env) with it."""
    left_out = {line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")}
    git = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line]

    assert ".env" in git
    assert {name if "/" in name else f"**/{name}" for name in git} <= left_out
