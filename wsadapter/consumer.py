"""The consumer role: Kafka -> ClickHouse, each message once.

One cycle: take messages, cut the batches that are due, commit their ranges as intents (one commit for all partitions,
which also says what is done), insert when the broker has confirmed, finish. `wsadapter.batches` has the rules of exactly
once, `wsadapter.membership` the group, `wsadapter.landing` the inserts. This file is the order of things, the bounds of
memory, and what the operator sees.

Guarantees: nothing is decoded, and nothing held that Kafka does not have; at most about twice `clickhouse.batch_bytes`
are in memory. A table that waits holds only its own partitions; ClickHouse or Kafka away is waited for without end, the
heart beating. A stop reads to where the logs ended when it came, inserts that, commits and leaves.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Final, TypeVar

from wsadapter import log as logs
from wsadapter.batches import Identify, Partition, Progress
from wsadapter.clickhouse import Server
from wsadapter.config import Config
from wsadapter.errors import ServiceUnavailable
from wsadapter.inserts import Inserter, statement
from wsadapter.landing import Landed, Landing, Trouble
from wsadapter.letters import Outgoing
from wsadapter.lifecycle import Child, ChildState, run_child
from wsadapter.membership import Key, Membership
from wsadapter.pb import market_pb2
from wsadapter.streams import SPECS, StreamSpec
from wsadapter.tally import Tally
from wsadapter.topics import ensure_topics, topic

T = TypeVar("T")
