"""What a test can do to the machine around the processes of one site: their wall clock, and the disk of the state
directory. Each says by `possible` whether this machine lets it."""

import errno
import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path

SHIM = Path(__file__).with_name("clock_shim.c")
NUMBER = struct.Struct("<q")
BLOCK = bytes(4096)


class SteppedClock:
    """The wall clock of all processes that are started with `environ`; needs a C compiler."""

    possible = bool(shutil.which("cc"))

    def __init__(self, directory: Path) -> None:
        library, offset = directory / "clock_shim.so", directory / "clock"
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(SHIM), "-ldl"], check=True)
        offset.write_bytes(NUMBER.pack(0))
        with offset.open("r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), NUMBER.size)
        self.environ = {"LD_PRELOAD": str(library), "WSADAPTER_CLOCK": str(offset)}

    def step(self, seconds: float) -> None:
        """From now on the processes' wall clock differs from ours by so much."""
        NUMBER.pack_into(self._mapped, 0, round(seconds * 1e9))


class SmallDisk:
    """A file system of its own at ``directory``, which can be filled to the last byte; needs root."""

    possible = os.geteuid() == 0 and bool(shutil.which("mount"))

    def __init__(self, directory: Path, megabytes: int) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(directory)], check=True)

    @property
    def _filler(self) -> Path:
        return self._directory / "filler"

    def fill(self) -> None:
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(BLOCK)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self._directory)], check=True)
