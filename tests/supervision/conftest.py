"""`site`: see supervised_site."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from supervision.supervised_site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()
