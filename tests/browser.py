"""A headless Chromium that a test drives: the W3C WebDriver protocol of chromedriver, as far as tests need it.

`CHROMIUM` is empty where chromium or chromedriver is not installed; tests skip by its name then. Nothing leaves the
machine: the flags keep Chromium from asking for updates, and all profiles are new and empty.
"""

import base64
import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eventually import eventually

from wsadapter.embedded.ports import free_port

CHROMIUM = shutil.which("chromium") if shutil.which("chromedriver") else None
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
TIMEOUT_SECONDS = 120
"""Of one command, on a machine with other things to do."""


class Browser:
    def __init__(self, port: int) -> None:
        self._port, self._session = port, ""

    def open(self, profile: Path, width: int, height: int) -> None:
        arguments = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        options = {"binary": CHROMIUM, "args": arguments}
        capabilities = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]

    def close(self) -> None:
        self._command("DELETE", "")

    def go(self, url: str) -> None:
        self._command("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What the script returns."""
        return self._command("POST", "/execute/sync", {"script": script, "args": arguments})

    def text(self, selector: str) -> str:
        found: str = self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        return found

    def keys(self, text: str) -> None:
        """To whatever has the focus."""
        strokes = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self._command("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def emulate(self, scheme: str, width: int, height: int) -> None:
        """A colour scheme and a size of the viewport that a window cannot have."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._devtools("Emulation.setEmulatedMedia", features=features)
        self._devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def accessibility(self) -> list[dict[str, Any]]:
        """What a screen reader gets: role and name of each node that is not ignored."""
        nodes = self._devtools("Accessibility.getFullAXTree")["nodes"]
        return [
            {"role": node["role"]["value"], "name": node.get("name", {}).get("value", "")}
            for node in nodes
            if not node["ignored"]
        ]

    def screenshot(self) -> bytes:
        return base64.b64decode(self._command("GET", "/screenshot"))

    def complaints(self) -> list[str]:
        """Errors of the console: scripts that failed, what the policy refused."""
        return [entry["message"] for entry in self._command("POST", "/se/log", {"type": "browser"})]

    def _devtools(self, command: str, **parameters: Any) -> Any:
        return self._command("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _command(self, method: str, path: str, body: Any = None) -> Any:
        return self._ask(method, f"/session/{self._session}{path}", body)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer


@contextmanager
def browser(profile: Path, width: int = 1280, height: int = 900) -> Iterator[Browser]:
    port = free_port()
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}", "--silent"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: _listens(port) or driver.poll() is not None, 60, "chromedriver listens")
        made = Browser(port)
        made.open(profile, width, height)
        try:
            yield made
        finally:
            made.close()
    finally:
        driver.terminate()
        driver.wait(timeout=60)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
