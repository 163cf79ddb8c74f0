"""What ``clickhouse.cluster`` adds to the statements. Text only.

Every statement is ON CLUSTER. A table that keeps rows is two: ``<table>_local`` in the inner database, replicated and a
shard of it on each server, and the Distributed face of the table's own name, through which rows are written and asked
for. Rows are of the shard that exchange and symbol say, so that all versions of a row meet (FINAL is exact) and a batch
that is sent again, by whichever endpoint, comes in the same parts to the same shards under its token. Small tables that
views join with are replicated on every server as a whole, without a face.
"""

from typing import Final

from wsadapter.clickhouse.conversion import literal, quoted

LOCAL: Final = "_local"
SHARDED_BY: Final = "cityHash64(`exchange`, `symbol`)"
WINDOW_SECONDS: Final = 7 * 86_400
"""How long a replicated table remembers an insert token; newer servers' default is an hour, and a batch may wait for
longer until it is sent again."""
SETTINGS: Final = {
    # the insert is done when every shard has its part, and says so
    "distributed_foreground_insert": 1,
    # a subquery of a Distributed table beside another one is asked once, for all shards
    "distributed_product_mode": "global",
    # a server that is away takes the statement from the queue when it is back
    "distributed_ddl_task_timeout": 30,
}
"""Of every request."""
_PATH: Final = "/clickhouse/tables/{uuid}/"


def on(cluster: str) -> str:
    """What follows a name in CREATE, ALTER, DROP."""
    return f" ON CLUSTER {quoted(cluster)}" if cluster else ""


def replicated(engine: str, everywhere: bool) -> str:
    """``ReplacingMergeTree(version)`` of a cluster. ``everywhere``: one table over all shards, not one of each."""
    name, _, arguments = engine.removesuffix(")").partition("(")
    path, replica = (f"{_PATH}all", "{shard}-{replica}") if everywhere else (f"{_PATH}{{shard}}", "{replica}")
    return f"Replicated{name}({', '.join(filter(None, (literal(path), literal(replica), arguments)))})"


def face(cluster: str, database: str, table: str) -> str:
    """The engine of a table that is this one of all shards."""
    return f"Distributed({literal(cluster)}, {literal(database)}, {literal(table)}, {SHARDED_BY})"
