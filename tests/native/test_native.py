"""The C extension is optional and is never one of another version: with it, without it, and with a stale one."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsadapter import native
from wsadapter.errors import ExitCode

ROOT = Path(__file__).parents[2]
COMPILER = str(sysconfig.get_config_var("CC") or "cc").split()[0]
built = pytest.mark.skipif(native.extension is None, reason="the C extension is not built, or not wanted")

USE = """
from samples import full
from wsadapter import native
from wsadapter.events.decimals import split_book
from wsadapter.events.records import encode
from wsadapter.shm.ring import Appender

book = split_book(b'[["1.0","2"]]', b"[]")
print(native.extension is not None, Appender.__module__, book == (["1.0"], ["2"], [], []))
print(*(encode(event).hex() for event in full()))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A copy of the package, its build included, whose files a test may change."""
    shutil.copytree(ROOT / "wsadapter", tmp_path / "wsadapter", ignore=shutil.ignore_patterns("__pycache__"))
    yield tmp_path
    shutil.rmtree(tmp_path)


def python(checkout: Path, *arguments: str, pure: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], cwd=checkout, capture_output=True, text=True, timeout=60,
        env=os.environ | {"WSADAPTER_PURE": pure, "PYTHONPATH": f"{checkout}:{ROOT / 'tests'}"},
    )  # fmt: skip


def used(checkout: Path, pure: str = "") -> list[str]:
    """What a process says of itself, and the records that it makes."""
    done = python(checkout, "-c", USE, pure=pure)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def remove(checkout: Path, pattern: str) -> None:
    found = list((checkout / "wsadapter" / "native").glob(pattern))
    assert found
    for file in found:
        file.unlink()


@pytest.mark.skipif(native.PURE, reason="the twins in Python are wanted")
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no C compiler ({COMPILER}): the twins do the work")
def test_the_extension_is_built() -> None:
    """`make setup` built it where there is a compiler: a silent fall-back would be a silent loss of speed."""
    assert native.extension is not None


@built
def test_the_extension_is_used_where_it_is_built_and_the_twins_where_it_is_not_or_where_they_are_wanted(
    checkout: Path,
) -> None:
    said, records = used(checkout)
    assert said == "True wsadapter.native._native True"
    twins = ["False wsadapter.shm.ring True", records]
    assert used(checkout, pure="1") == twins
    remove(checkout, "*.so")
    assert used(checkout) == twins


@built
def test_a_build_of_other_sources_is_refused_with_one_sentence_and_exit_code_78(checkout: Path) -> None:
    with (checkout / "wsadapter" / "native" / "ring.c").open("a") as source:
        source.write("/* newer */\n")
    done = python(checkout, "-m", "wsadapter.cli.main", "validate")
    assert done.returncode == ExitCode.CONFIG
    (sentence,) = done.stderr.splitlines()
    assert str(checkout) in sentence
    assert "was built from other sources" in sentence
    assert "`make setup`" in sentence
    assert "WSADAPTER_PURE=1" in sentence
    assert used(checkout, pure="1")[0].startswith("False")


@built
def test_a_file_that_cannot_be_loaded_is_refused_likewise(checkout: Path) -> None:
    (file,) = (checkout / "wsadapter" / "native").glob("*.so")
    file.write_bytes(b"no shared object")
    done = python(checkout, "-m", "wsadapter.cli.main", "validate")
    assert done.returncode == ExitCode.CONFIG
    (sentence,) = done.stderr.splitlines()
    assert "cannot be loaded" in sentence
    assert "`make setup`" in sentence


@built
def test_without_the_sources_there_is_nothing_to_compare_with(checkout: Path) -> None:
    remove(checkout, "*.[ch]")
    assert used(checkout)[0] == "True wsadapter.native._native True"


@pytest.mark.parametrize("compiler", [None, "/bin/false"], ids=["compiler", "no compiler"])
def test_the_build_succeeds_and_makes_the_extension_where_it_can(tmp_path: Path, compiler: str | None) -> None:
    if compiler is None and shutil.which(COMPILER) is None:
        pytest.skip(f"no C compiler ({COMPILER})")
    where = ["--build-lib", str(tmp_path / "lib"), "--build-temp", str(tmp_path / "temp")]
    environment = os.environ | ({"CC": compiler} if compiler else {}) | {"CFLAGS": "-Wall -Werror"}
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", *where],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = [file.name.split(".")[0] for file in tmp_path.rglob("*.so")]
    assert made == ([] if compiler else ["_native"]), done.stderr
