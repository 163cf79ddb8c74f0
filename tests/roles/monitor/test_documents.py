"""The pages of docs/ that the monitor serves, with their anchors: no link there or on the status page is dead."""

import re
import sys
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin

import pytest
from documents import pages

import wsadapter
from wsadapter.roles.monitor import __main__ as monitor
from wsadapter.roles.monitor import documents
from wsadapter.roles.monitor.history import History
from wsadapter.roles.monitor.last_hour import LastHour
from wsadapter.roles.monitor.snapshot import Snapshot


def nothing() -> Snapshot:
    raise AssertionError("no page of docs/ looks at a process")


ROUTES = monitor.routes(nothing, History(), LastHour())
PAGES = sorted(path for path in ROUTES if path.startswith("/docs/") and path.endswith(".md"))
LINK = re.compile(r'(?:href|src)="([^"]+)"')


def dead(path: str) -> list[str]:
    """Links that lead to no page of this server, or to no heading of one."""
    found = []
    for link in LINK.findall(ROUTES[path]().body.decode()):
        if re.match(r"https?:", link):
            continue
        target, _, anchor = urljoin(path, link).partition("#")
        if target not in ROUTES or (anchor and f'id="{anchor}"' not in ROUTES[target]().body.decode()):
            found.append(link)
    return found


@pytest.mark.parametrize("path", ["/", "/docs/", *PAGES])
def test_no_link_is_dead(path: str) -> None:
    answer = ROUTES[path]()

    assert (answer.status, answer.content_type) == (HTTPStatus.OK, "text/html; charset=utf-8")
    assert ("Content-Security-Policy", monitor.PAGE_POLICY) in answer.headers
    assert dead(path) == []


def test_every_page_is_there_with_the_anchors_of_its_headings() -> None:
    assert {path.removeprefix("/docs/") for path in PAGES} == {path.name for path in pages.DOCS.glob("*.md")}
    for path in PAGES:
        body = ROUTES[path]().body.decode()
        assert pages.anchors(pages.DOCS / path.removeprefix("/docs/")) <= set(re.findall(r'id="([^"]+)"', body)), path


def test_the_status_page_leads_to_the_runbook() -> None:
    assert "docs/runbook.md" in LINK.findall(ROUTES["/"]().body.decode())


def test_what_a_page_says_is_text(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text("# <b>A</b> & b\n\n<script>alert(1)</script>\n\n[a](javascript:alert(1))\n")
    body = documents.documents(tmp_path)[""][1]().decode()

    assert "<script" not in body
    assert 'href="javascript' not in body
    assert "<title>&lt;b&gt;A&lt;/b&gt; &amp; b</title>" in body


def test_an_installation_has_them_below_its_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsadapter, "__file__", str(tmp_path / "lib/wsadapter/__init__.py"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert documents.directory() is None

    (tmp_path / "share/doc/wsadapter").mkdir(parents=True)
    (tmp_path / "share/doc/wsadapter/index.md").write_text("# Here\n")
    assert documents.directory() == tmp_path / "share/doc/wsadapter"


def test_where_none_was_installed_it_says_so() -> None:
    ((name, (content_type, body)),) = documents.documents(None).items()

    assert (name, content_type) == ("", documents.HTML)
    assert b"not installed" in body()
