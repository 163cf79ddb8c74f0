"""`make docs`: the site is built without a warning and asks no other host for anything."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import pages

pytest.importorskip("mkdocs", reason="mkdocs-material is not installed: extra docs")
LOADED = re.compile(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"?(https?:[^\" >]*)|<link\b[^>]*\bhref=\"?(https?:[^\" >]*)")


def built(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(
        [*command, "--config-file", str(root / "mkdocs.yml")], capture_output=True, text=True, check=False
    )


def test_it_is_built_without_a_warning_and_asks_no_other_host(tmp_path: Path) -> None:
    ran = built(pages.ROOT, tmp_path / "site")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    made = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert made >= {path.stem for path in pages.DOCS.glob("*.md")}
    for path in (tmp_path / "site").rglob("*.html"):
        assert LOADED.findall(path.read_text()) == [], path.name
    assert (tmp_path / "site/search/search_index.js").stat().st_size > 100_000, "the search works from files, too"


def test_a_link_to_nowhere_fails(tmp_path: Path) -> None:
    (tmp_path / "docs/vendored").mkdir(parents=True)
    (tmp_path / "docs/vendored/iframe-worker.js").write_text("")
    (tmp_path / "docs/index.md").write_text("# A\n\n[nowhere](#no-heading)\n")
    configuration = (pages.ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[0]
    (tmp_path / "mkdocs.yml").write_text(f"{configuration}\nnav: [index.md]\n")

    assert built(tmp_path, tmp_path / "site").returncode != 0


def test_the_makefile_builds_it_the_same_way() -> None:
    assert shutil.which("make") is not None
    printed = subprocess.run(
        ["make", "--dry-run", "docs"], cwd=pages.ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "mkdocs build --strict" in printed
