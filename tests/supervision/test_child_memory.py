"""How many arenas of the C library a child has, whatever threads it starts."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from wsadapter.supervision.heap import ARENAS

THREADS: Final = """
import ctypes, sys, threading
from wsadapter.config.model import ProcessConfig
from wsadapter.supervision.child import place

place(ProcessConfig())
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
library.malloc.restype = ctypes.c_void_p
together = threading.Barrier(12)


def allocate():
    together.wait()
    library.malloc(100_000)
    together.wait()


threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = ctypes.c_void_p(library.fopen(sys.argv[1].encode(), b"w"))
library.malloc_info(0, file)
library.fclose(file)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no arenas")
@pytest.mark.parametrize(("wanted", "most"), [("", ARENAS), ("7", 7)])
def test_a_child_has_few_arenas_unless_its_environment_says_otherwise(wanted: str, most: int, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    environment |= {"MALLOC_ARENA_MAX": wanted} if wanted else {}
    path = tmp_path / "info.xml"
    subprocess.run([sys.executable, "-c", THREADS, str(path)], env=environment, check=True)
    assert path.read_text().count("<heap nr") == most
