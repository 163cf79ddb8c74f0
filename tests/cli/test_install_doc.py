"""docs/install.md: its configuration is one, and what an installation needs is pinned, complete and small."""

import importlib
import json
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from documents import pages

from wsadapter.config import load as configuration

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = 120_000_000
yaml: Any = importlib.import_module("yaml")  # it has no types, and comes with what makes the site


def test_the_configurations_are_taken(tmp_path: Path) -> None:
    written = [block.text for block in pages.blocks(pages.DOCS / "install.md") if block.language == "toml"]
    files = [*written, (ROOT / "deploy/compose/wsadapter.toml").read_text()]
    assert len(files) == 2
    for number, text in enumerate(files):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        config = configuration.load(str(path), {"STATE_DIRECTORY": str(tmp_path)}, dotenv=None)
        assert config.feed[0].exchange == "binance"


def pins(path: str) -> dict[str, str]:
    """Distribution -> all that is said of it."""
    text = (ROOT / path).read_text()
    found = re.findall(
        r"(?m)^([a-z0-9-]+)==(\S+(?: ; [^\\\n]+)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text
    )
    assert len(found) == len(re.findall(r"(?m)^\S+==", text)), "each one has hashes"
    return dict(found)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: list[str]) -> set[str]:
    """With all that they need on this machine, as it is installed here."""
    found: set[str] = set()
    while names:
        name = names.pop()
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            requirement, _, marker = text.partition(";")
            if "extra" in marker or "platform" in marker or "python_version" in marker:
                continue
            match = re.match(r"[A-Za-z0-9._-]+", requirement)
            assert match is not None
            names.append(normal(match[0]))
    return found


def test_an_installation_is_pinned_as_a_clone_is_and_complete_and_small() -> None:
    clone, installation = pins("constraints.txt"), pins("deploy/constraints.txt")
    assert {name: clone.get(name) for name in installation} == installation
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = [normal(re.split(r"[<>=!~ \[;]", text)[0]) for text in project["dependencies"]]
    needed = closure(direct)
    assert needed <= installation.keys(), "make constraints"
    assert not {"chdb", "pytest", "mypy", "supervisor"} & installation.keys()
    files = [file for name in needed for file in metadata.files(name) or ()]
    total = sum(path.stat().st_size for file in files if (path := Path(str(file.locate()))).is_file())
    assert total < MAX_BYTES - 30_000_000, "pip, setuptools and the package itself take some 30 MB"


def test_the_container_is_made_from_what_is_here() -> None:
    """Docker itself is not asked: the paths that its files name are there, and compose gives settings that exist."""
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    for source in re.findall(r"(?m)^COPY (?!--from)(\S+) ", dockerfile):
        assert (ROOT / source).exists(), source
    setuptools = re.search(r"sed -n '(.*?)' constraints\.txt", dockerfile)
    assert setuptools is not None
    assert setuptools[1] == r"/^setuptools==/,/[^\\]$/p"
    compose = (ROOT / "deploy/compose.yaml").read_text()
    mounted = re.findall(r'"\./(compose/\S+?):', compose)
    assert len(mounted) == 5
    for path in mounted:
        assert (ROOT / "deploy" / path).is_file()
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "CLICKHOUSE_URL", "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"):
        value = re.search(rf'(?m)^      {name}: "(.*)"$', compose)
        assert value is not None
        environ = {name: re.sub(r"\$\{.*\}", "secret", value[1]), "WEBSOCKET_SYMBOLS": "BTCUSDT"}
        configuration.load(None, {**environ, "STATE_DIRECTORY": "/tmp"}, dotenv=None)
    published = re.findall(r'- "([\d.]+):\d+:\d+"', compose)
    assert set(published) == {"127.0.0.1"}, "what has no password is not for the network"


def test_grafana_of_the_compose_file_has_its_data_source_and_the_dashboard() -> None:
    """As Grafana reads them: the file of each mount, where its own settings look for it."""
    deploy = ROOT / "deploy"
    services = yaml.safe_load((deploy / "compose.yaml").read_text())["services"]
    mounts = dict(each.split(":")[1::-1] for each in services["grafana"]["volumes"])
    under = "/etc/grafana/provisioning"
    (source,) = yaml.safe_load((deploy / mounts[f"{under}/datasources/wsadapter.yml"]).read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
    (provider,) = yaml.safe_load((deploy / mounts[f"{under}/dashboards/wsadapter.yml"]).read_text())["providers"]
    assert provider["type"] == "file"
    dashboard = json.loads((deploy / mounts[f"{provider['options']['path']}/wsadapter.json"]).read_text())
    panels = [each for panel in dashboard["panels"] for each in (panel, *panel.get("panels", ()))]
    used = {json.dumps(each.get("datasource")) for each in panels if each["type"] != "row"}
    used |= {json.dumps(target["datasource"]) for each in panels for target in each.get("targets", ())}
    assert used == {json.dumps({"type": source["type"], "uid": source["uid"]})}
    assert dashboard["templating"]["list"] == []


def test_the_compose_file_is_one() -> None:
    """What Compose would refuse: services, volumes and keys that nothing declares, ports that two have."""
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    assert compose.keys() == {"name", "services", "volumes"}
    known = {
        "build", "image", "environment", "volumes", "shm_size", "init", "stop_grace_period", "restart", "ports",
        "read_only", "tmpfs", "cap_drop", "security_opt", "ulimits", "depends_on", "command", "healthcheck",
    }  # fmt: skip
    published: list[str] = []
    for name, service in compose["services"].items():
        assert service.keys() <= known, name
        assert ("image" in service) != ("build" in service), name
        assert all(isinstance(value, str) for value in service.get("environment", {}).values()), name
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            there = (ROOT / "deploy" / source).is_file() if source.startswith(".") else source in compose["volumes"]
            assert there, volume
        published += [port.split(":")[1] for port in service.get("ports", ())]
    assert len(published) == len(set(published))
    build = compose["services"]["wsadapter"]["build"]
    assert (ROOT / "deploy" / build["context"] / build["dockerfile"]).resolve() == ROOT / "deploy/Dockerfile"
    prometheus = yaml.safe_load((ROOT / "deploy/compose/prometheus.yml").read_text())
    (job,) = prometheus["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    assert target.split(":")[0] in compose["services"]
    mounted = {volume.split(":")[1] for volume in compose["services"]["prometheus"]["volumes"]}
    assert {f"/etc/prometheus/{name}" for name in prometheus["rule_files"]} <= mounted
