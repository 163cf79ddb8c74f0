"""`reload`: refused before it is sent, refused by the supervisor, done, or nobody there; the exit code says which."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.command import run
from supervision.supervised_site import Site

from wsadapter.errors import ExitCode

CONFIG = """
[service]
state_dir = "{state}"
[[feed]]
exchange = "binance"
symbols = ["BTCUSDT"]
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    (tmp_path / "c.toml").write_text(CONFIG.format(state=made.state_dir))
    yield made
    made.close()


def test_what_came_of_it_is_said(site: Site) -> None:
    supervisor = site.start({"name": "ingest-a"})
    site.wait("supervisor", "ready")

    done = run(site.path, "--config", "c.toml", "reload")
    assert (done.returncode, done.stderr) == (ExitCode.OK, "reloaded; the log says what changed\n")
    assert len(site.happened("supervisor", "reload-end")) == 1

    (site.path / "scenario.json.bad").touch()
    done = run(site.path, "reload", "--config", "c.toml")
    assert done.returncode == ExitCode.CONFIG
    assert "refused, the old configuration stays:\nfeed[0].name: is bad" in done.stderr

    (site.path / "c.toml").write_text("[service]\nno_such_key = 1\n")
    done = run(site.path, "--config", "c.toml", "reload", STATE_DIRECTORY=str(site.state_dir))
    assert done.returncode == ExitCode.CONFIG
    assert "service.no_such_key" in done.stderr
    assert len(site.happened("supervisor", "reload-begin")) == 2, "it was not sent"
    assert supervisor.poll() is None


def test_where_the_state_directory_takes_no_file_the_counters_say_it(site: Site) -> None:
    config = (site.path / "c.toml").read_text()
    (site.path / "c.toml").write_text(config.replace("[service]", f'[service]\ninstance = "{site.instance}"'))
    (site.state_dir / "reload.json.new").mkdir(parents=True)  # what is written first cannot be
    site.start({"name": "ingest-a"})
    site.wait("supervisor", "ready")
    assert run(site.path, "--config", "c.toml", "reload").returncode == ExitCode.OK
    (site.path / "scenario.json.bad").touch()
    done = run(site.path, "--config", "c.toml", "reload")
    assert done.returncode == ExitCode.CONFIG
    assert "its log says why" in done.stderr


def test_nobody_is_there(site: Site) -> None:
    done = run(site.path, "--config", "c.toml", "reload")
    assert done.returncode == ExitCode.UNAVAILABLE
    assert f"no supervisor runs on {site.state_dir}" in done.stderr

    supervisor = site.start({"name": "ingest-a"})
    site.wait("supervisor", "ready")
    supervisor.terminate()
    supervisor.wait(60)
    done = run(site.path, "--config", "c.toml", "reload")
    assert done.returncode == ExitCode.UNAVAILABLE
    assert f"no supervisor runs on {site.state_dir}" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="as root only")
def test_from_another_user_namespace(site: Site) -> None:
    """As ExecReload= of a unit with PrivateUsers= is: it may not look at the supervisor's descriptors."""
    site.start({"name": "ingest-a"})
    site.wait("supervisor", "ready")
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-m", "wsadapter.cli.main", "--config", "c.toml"]
    done = subprocess.run([*command, "reload"], capture_output=True, text=True, cwd=site.path)
    if "unshare:" in done.stderr:
        pytest.skip(done.stderr)
    assert (done.returncode, done.stderr) == (ExitCode.OK, "reloaded; the log says what changed\n")
