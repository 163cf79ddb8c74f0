"""Runs one of the peers' clients as it is, with the producer settings of the product.

    python -m bench.yardstick SETTINGS SCRIPT [the client's own arguments]

The yardsticks would otherwise run with librdkafka's defaults: not idempotent, which is cheaper than what we promise.
SETTINGS (JSON) are laid over what the client gives to `confluent_kafka.Producer`; nothing else of it is touched.
"""

import json
import runpy
import sys
from importlib.util import find_spec
from typing import Any


def main() -> None:
    settings, script = json.loads(sys.argv[1]), sys.argv[2]
    if settings and find_spec("confluent_kafka") is not None:  # a client may have another library, and its settings
        import confluent_kafka

        class SameSettings(confluent_kafka.Producer):
            def __init__(self, config: dict[str, Any]) -> None:
                super().__init__({**config, **settings})

        confluent_kafka.Producer = SameSettings  # type: ignore[assignment,misc]
    sys.argv = sys.argv[2:]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
