"""Venues are named where they are: their modules, their stand-ins, one registry. Everything else serves all of them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import wsadapter
from wsadapter.exchanges import OURS

PACKAGE = Path(wsadapter.__file__).parent
FAMILIES = {word.partition("_")[0] for word in OURS} - {"gate"}
"""Without a word that rows of a table pass, too."""
ALLOWED = {
    "exchanges/__init__.py": "the registry",
    "config/model.py": "the default of an environment that names symbols only",
    "config/reference.py": "an example",
    "cli/demo_exchange.py": "the stand-ins that serve archives",
}
SOURCES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    for where in [path.relative_to(PACKAGE)]
    if where.parts[0] not in ("embedded", "pb")
    and not (where.parts[0] == "exchanges" and where.parts[1].removesuffix(".py").split("_")[0] in {*FAMILIES, "gate"})
]


def words(tree: ast.Module) -> Iterator[str]:
    """Names, and texts that are no docstring and stand for themselves: an example in a longer text is none."""
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in texts and " " not in text:
                yield text
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name
            case ast.ImportFrom(module=str(module), names=names):
                yield from (module, *(each.name for each in names))


def is_venue(word: str) -> bool:
    return not FAMILIES.isdisjoint(word.lower().replace(".", "_").replace(":", "_").split("_"))


def test_no_other_module_names_a_venue() -> None:
    naming = {
        str(path.relative_to(PACKAGE)): named
        for path in SOURCES
        if (named := sorted(set(filter(is_venue, words(ast.parse(path.read_text()))))))
    }
    assert naming.keys() == ALLOWED.keys(), naming


def test_the_c_extension_names_none() -> None:
    for path in sorted((PACKAGE / "native").glob("*.[ch]")):
        assert not [family for family in FAMILIES if family in path.read_text().lower()], path.name
