"""``pytest <checkout>/tests/conformance --exchange WORD``: one venue alone, of whichever package has it."""

import pytest
from conformance.test_conformance import EXCHANGES


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exchange", metavar="WORD", help="only what is said of this venue")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    word = config.getoption("--exchange", None)
    if word is None:
        return
    if word not in EXCHANGES:
        raise pytest.UsageError(f"--exchange {word}: no venue that has a stand-in, only: {' '.join(EXCHANGES)}")
    items[:] = [item for item in items if word in _parameters(item)]


def _parameters(item: pytest.Item) -> list[object]:
    called = getattr(item, "callspec", None)
    return [*called.params.values()] if called else []
