"""The name of an instance that nobody named: its own on each machine, and the same over all its runs."""

import errno
import os
from pathlib import Path

import pytest

from wsadapter import files
from wsadapter.config.instance import FILE, name_of, name_of_path
from wsadapter.config.load import load
from wsadapter.files import StateDirectory
from wsadapter.roles.supervisor.run import keep_name
from wsadapter.supervision.instance import Instance


def first_run(directory: Path) -> str:
    used = Instance.was_claimed(str(directory))
    instance = Instance.claim(str(directory), 1.0)
    keep_name(instance.state, used)
    instance.release()
    return name_of(str(directory))


def test_two_machines_with_the_same_path_have_two_names(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    one = first_run(directory)
    assert first_run(directory) == one
    assert (directory / FILE).stat().st_mode & 0o777 == 0o600

    directory.rename(tmp_path / "elsewhere")
    assert name_of(str(tmp_path / "elsewhere")) == one
    assert first_run(directory) not in (one, name_of_path(str(directory)))


def test_the_configuration_reads_it_and_writes_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    environ = {"STATE_DIRECTORY": str(directory), "WEBSOCKET_SYMBOLS": "X"}
    assert load(None, environ, dotenv=None).service.instance == name_of_path(str(directory))
    assert not directory.exists()
    name = first_run(directory)
    assert load(None, environ, dotenv=None).service.instance == name
    file = tmp_path / "c.toml"
    file.write_text(f'[service]\nstate_dir = "{directory}"\ninstance = "mine"\n')
    assert load(str(file), environ, dotenv=None).service.instance == "mine"


def test_a_directory_of_an_earlier_version_keeps_its_name(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    Instance.claim(str(directory), 1.0).release()
    former = name_of_path(str(directory))
    assert name_of(str(directory)) == former
    assert first_run(directory) == former
    directory.rename(tmp_path / "elsewhere")
    assert name_of(str(tmp_path / "elsewhere")) == former, "it is written down"


def test_a_name_that_cannot_be_kept_is_that_of_the_path_also_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(files, "replace", full)
        assert first_run(tmp_path) == name_of_path(str(tmp_path))
    assert "set service.instance" in capsys.readouterr().out
    assert first_run(tmp_path) == name_of_path(str(tmp_path))
    assert (tmp_path / FILE).exists()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b'"../x"', b"5", b'"' + b"x" * 5000 + b'"'])
def test_a_damaged_name_is_set_aside_and_another_one_drawn(tmp_path: Path, content: bytes) -> None:
    Instance.claim(str(tmp_path), 1.0).release()
    (tmp_path / FILE).write_bytes(content)
    assert name_of(str(tmp_path)) == name_of_path(str(tmp_path)), "until a run draws one"
    state = StateDirectory(tmp_path)
    keep_name(state, used=True)
    assert state.damaged == 1
    assert name_of(str(tmp_path)) != name_of_path(str(tmp_path))
    assert [path.read_bytes() for path in tmp_path.glob(f"{FILE}.damaged-*")] == [content]
