"""The script of docs/reading-clickhouse.md, as it stands there."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reading-clickhouse.md"


def quant_script(url: str) -> str:
    """With another address, and nothing else changed."""
    (script,) = re.findall(r"```python\n(from wsadapter\.stored import Stored\n.*?)```", PAGE.read_text(), re.DOTALL)[
        :1
    ]
    assert "http://127.0.0.1:8123" in script
    return str(script).replace("http://127.0.0.1:8123", url)
