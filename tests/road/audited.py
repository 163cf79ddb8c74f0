"""`audit --live` of a running site, as its operator would call it."""

import json
import subprocess
import sys
from typing import Any

from road_site import Site


def audit(site: Site, *arguments: str) -> dict[str, Any]:
    """What it found; fails where it finds anything unexplained."""
    command = [sys.executable, "-m", "wsadapter.cli.main", "audit", "--live", "--json", "--config", str(site.config)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300, check=False)
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    odd = [one for one in found.get("live", {}).get("hops", []) if one["verdict"] == "unexplained"]
    holes = [hole for hole in found.get("holes", []) if not hole["explained_by"]]
    balance = json.dumps({name: part for name, part in found.items() if name != "holes"}, indent=1)[-20_000:]
    said = f"audit exits {done.returncode}\n{balance}\nunexplained: {odd}\nholes: {holes[:5]}\n{done.stderr}"
    assert done.returncode == 0, said
    return found
