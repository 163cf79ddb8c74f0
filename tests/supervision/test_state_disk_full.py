"""The disk of the state directory is full: whatever runs goes on, what ends is started again, and a start works."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import eventually
from supervision.supervised_site import Site

CHILDREN = ({"name": "ingest-a"}, {"name": "serializer-0", "group": 20})


class SmallDisk:
    """A file system of 64 KiB under the state directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700)
        options = "size=64k,mode=0700"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], capture_output=True)
        if mounted.returncode:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
        self._filler = path / "filler"

    def fill(self) -> None:
        with open(self._filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 512)
            except OSError:
                pass

    def free(self) -> None:
        self._filler.unlink()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


@pytest.fixture
def disk(site: Site) -> Iterator[SmallDisk]:
    try:
        disk = SmallDisk(site.state_dir)
    except FileNotFoundError:
        pytest.skip("no mount(8) here")
    yield disk
    for process in site.processes:
        process.kill()
        process.wait()
    eventually(lambda: not site.living(), 20)
    disk.close()


def listed(site: Site) -> set[str]:
    return {child["name"] for child in json.loads((site.state_dir / "children.json").read_bytes())}


def test_a_full_disk_ends_neither_supervisor_nor_children(site: Site, disk: SmallDisk) -> None:
    supervisor = site.start(*CHILDREN)
    site.wait("supervisor", "ready")
    disk.fill()
    os.kill(site.wait("ingest-a", "running")[0], signal.SIGKILL)
    site.wait("ingest-a", "running", 2)
    site.write(*CHILDREN, {"name": "ingest-b"})
    supervisor.send_signal(signal.SIGHUP)
    site.wait("ingest-b", "running")
    assert len(site.happened("serializer-0", "started")) == 1
    eventually(lambda: site.page("supervisor")["state_write_failures_total"] > 0)

    def said() -> list[str]:
        records = [record for record in site.records() if record["event"].startswith("state file not written")]
        return sorted(Path(record["file"]).name for record in records)

    eventually(lambda: said() == ["children.json", "reload.json"], message=lambda: f"once each: {said()}")

    disk.free()
    eventually(lambda: listed(site) == {"ingest-a", "ingest-b", "serializer-0"})
    supervisor.terminate()
    assert supervisor.wait(60) == 0


def test_a_supervisor_starts_on_a_full_disk(site: Site, disk: SmallDisk) -> None:
    first = site.start(*CHILDREN)
    site.wait("supervisor", "ready")
    disk.fill()
    first.kill()
    first.wait()
    second = site.start_again()

    site.wait("ingest-a", "running", 2)
    site.wait("serializer-0", "running", 2)
    second.terminate()
    assert second.wait(60) == 0


def test_a_first_start_on_a_full_disk(site: Site, disk: SmallDisk) -> None:
    disk.fill()
    supervisor = site.start(*CHILDREN)
    site.wait("supervisor", "ready")
    supervisor.terminate()
    assert supervisor.wait(60) == 0
