"""The optional extension in C, ``wsadapter.native._native``: whether this process uses it.

Everything in it has a twin in Python with the same behaviour (the tests run both), so that the product works where it
was installed without a C compiler; ``WSADAPTER_PURE=1`` makes a process use the twins. docs/performance.md says what it
gives. A build whose C sources are not those that lie here beside the Python (a checkout that was updated and not built
again) is refused: `StaleBuild`.
"""

import importlib
import os
from pathlib import Path
from typing import Any, Final

from wsadapter.errors import StaleBuild
from wsadapter.native.fingerprint import fingerprint

PURE: Final = os.environ.get("WSADAPTER_PURE", "") not in ("", "0")
_NAME: Final = "wsadapter.native._native"


def _load() -> Any:
    if PURE:
        return None
    try:
        found = importlib.import_module(_NAME)
    except ModuleNotFoundError as error:
        if error.name != _NAME:
            raise
        return None
    except (ImportError, SystemError) as error:
        raise StaleBuild(f"the C extension cannot be loaded ({error})") from error
    sources = fingerprint(Path(__file__).parent)
    if sources and sources != found.FINGERPRINT:
        raise StaleBuild(f"the C extension {found.__file__} was built from other sources than this version has")
    return found


extension: Final[Any] = _load()
"""The extension module, or None when it was not built or is not wanted."""
