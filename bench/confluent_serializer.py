"""The serializer with confluent-kafka's client, as it is without the extension's own; all else in C as usual.

python -m bench.confluent_serializer ARGUMENTS      as wsadapter.roles.serializer
"""

from wsadapter.kafka import native_client
from wsadapter.roles.serializer import producer

producer.AVAILABLE = native_client.AVAILABLE = False  # type: ignore[misc, attr-defined]

from wsadapter.roles.serializer.__main__ import main  # noqa: E402
from wsadapter.supervision.child import run_child  # noqa: E402

if __name__ == "__main__":
    run_child(main)
