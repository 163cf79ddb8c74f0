"""The class data archive: made beside a run, by one process, left to a later run when this one ends. The JVM is a
script that answers as a broker does and writes its archive at its end, so that no test waits for a real one."""

import os
import sys
from pathlib import Path
from typing import cast

import pytest
from eventually import eventually

from wsadapter.embedded.kafka.class_archive import ArchiveTraining
from wsadapter.embedded.kafka.install import Installation
from wsadapter.supervision.child import Child

JVM = f"""#!{sys.executable}
import pathlib, re, signal, socket, sys
options = " ".join(sys.argv)
archive = pathlib.Path(re.search("ArchiveClassesAtExit=([^ ]+)", options)[1])
properties = pathlib.Path(re.search("[^ ]+server.properties", options)[0]).read_text()
port = int(re.search("listeners=PLAINTEXT://[^:]+:([0-9]+)", properties)[1])

def end(*_):
    MAKES and archive.write_bytes(b"archive")
    sys.exit(143)

signal.signal(signal.SIGTERM, end)
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            if connection.recv(4096):
                connection.sendall(b"\\0\\0\\0\\6" + b"\\0\\0\\0\\1" + b"\\0\\0")
"""


class Stopped:
    """A child of which nothing is asked but to wait."""

    stopping = False

    def beat(self) -> None:
        pass


CHILD = cast(Child, Stopped())


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation({"WSADAPTER_CACHE": str(tmp_path)})
    made.jars.mkdir(parents=True)
    made.formatted.mkdir()
    return made


def java(directory: Path, makes: bool = True) -> str:
    path = directory / "java"
    path.write_text(JVM.replace("MAKES", str(makes)))
    path.chmod(0o700)
    return str(path)


def trained(training: ArchiveTraining, installation: Installation) -> bool:
    training.step(CHILD)
    return installation.archive.exists()


@pytest.mark.parametrize(("makes", "content"), [(True, b"archive"), (False, b"")])
def test_it_is_written_down_once_and_an_empty_one_says_that_it_cannot_be_made(
    tmp_path: Path, installation: Installation, makes: bool, content: bytes
) -> None:
    training = ArchiveTraining(installation, java(tmp_path, makes), 0.0)
    eventually(lambda: trained(training, installation))

    assert installation.archive.read_bytes() == content
    assert sorted(os.listdir(installation.directory)) == ["classes.jsa", "formatted", "lib"]
    again = ArchiveTraining(installation, str(tmp_path / "no java"), 0.0)
    again.step(CHILD)  # there is nothing to do, so nothing is started


def test_one_process_makes_it_and_the_end_of_its_run_leaves_it_to_the_next(
    tmp_path: Path, installation: Installation
) -> None:
    first, second = (ArchiveTraining(installation, java(tmp_path), 0.0) for _ in range(2))
    first.step(CHILD)
    second.step(CHILD)
    assert not second.is_under_way
    assert first.is_under_way
    first.give_up(CHILD)
    assert not installation.archive.exists()

    third = ArchiveTraining(installation, java(tmp_path), 0.0)
    eventually(lambda: trained(third, installation))


def test_what_the_cache_refuses_is_borne(tmp_path: Path, installation: Installation) -> None:
    (installation.directory / "training").write_text("where the scratch directory would be")
    training = ArchiveTraining(installation, java(tmp_path), 0.0)
    training.step(CHILD)

    assert not training.is_under_way
