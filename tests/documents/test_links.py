"""Every link of a page leads to a file and a heading that are there; each page of docs/ is in the navigation."""

import re
from pathlib import Path

import pytest
from documents import pages


def broken(page: Path) -> list[str]:
    found = []
    for link in pages.links(page):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in pages.anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


@pytest.mark.parametrize("page", sorted(pages.DOCS.glob("*.md")), ids=pages.name)
def test_a_page_of_the_site_links_to_nothing_outside_of_it(page: Path) -> None:
    assert [link for link in pages.links(page) if link.startswith("../")] == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A `heading` of it: two\n\n```sh\n# no heading\n```\n## Twice\n## Twice\n")
    page = tmp_path / "page.md"
    good = "[a](there.md) [b](there.md#a-heading-of-it-two) [c](there.md#twice-1) [d](https://example.com) `[e](not)`"
    bad = "[a](nowhere.md) [b](there.md#no-heading) [c](#here)"
    page.write_text(f"{good}\n{bad}\n")

    assert broken(page) == ["nowhere.md", "there.md#no-heading", "#here"]


def test_every_page_is_in_the_navigation_once() -> None:
    """`make docs` refuses one that is not; this needs no generator."""
    navigation = (pages.ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = re.findall(r"[\w-]+\.md$", navigation, re.MULTILINE)

    assert sorted(listed) == sorted(path.name for path in pages.DOCS.glob("*.md")), "mkdocs.yml, nav"
