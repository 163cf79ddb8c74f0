"""The optional parts in C: which of them this process uses.

Each has a twin in Python with the same behaviour (the tests run both), so that the product works where it was installed
without a C compiler; ``WSADAPTER_PURE=1`` makes a process use the twins. docs/performance.md says what they give.
"""

import importlib
import os
from typing import Any, Final

PURE: Final = os.environ.get("WSADAPTER_PURE", "") not in ("", "0")


def load(name: str) -> Any:
    """The extension module ``wsadapter.<name>``, or None when it was not built or is not wanted."""
    if PURE:
        return None
    try:
        return importlib.import_module(f"wsadapter.native.{name}")
    except ImportError:
        return None
