"""SQL of least-privileged users: one that records, one that reads. Text only, no connection.

The recorder makes its database, tables and views, inserts, looks whether they are as they were, and gives views of its
own another text. It drops no table: what ``ddl --migrate`` needs more is granted for that time. Passwords are not here.
"""

from typing import Final

from wsadapter.clickhouse.cluster import on
from wsadapter.clickhouse.conversion import quoted

RECORDER: Final = (
    "CREATE DATABASE",
    "CREATE TABLE",
    "CREATE VIEW",
    "DROP VIEW",  # CREATE OR REPLACE VIEW is both
    "ALTER VIEW MODIFY QUERY",
    "ALTER MODIFY COMMENT",
    "SELECT",
    "INSERT",
)
MIGRATION: Final = (
    "DROP TABLE",
    "DROP VIEW",
    "ALTER ADD COLUMN",
    "ALTER DROP COLUMN",
    "ALTER DELETE",
    "ALTER MODIFY COMMENT",
    "ALTER COMMENT COLUMN",
)
"""Beside those of the recorder; ALTER DELETE is what dropping a partition is called."""
SYSTEM_TABLES: Final = ("columns", "databases", "parts", "processes", "replicas", "settings", "tables")
"""What is asked of the server itself; each user may, unless access_control_improvements wants a grant for it."""


CLUSTER: Final = ("CLUSTER", "REMOTE")
"""On a cluster: ON CLUSTER, and tables of engine Distributed."""


def grants(database: str, user: str, reader: str, cluster: str = "") -> str:
    """Statements for an administrator, with comments."""
    here = on(cluster)
    databases = [database, f"{database}_inner"]
    recorder, reads = quoted(user), quoted(reader)
    lines = [
        f"-- who records: clickhouse.user = \"{user}\". Give it a password (ALTER USER ... IDENTIFIED BY '...'), and",
        "-- clickhouse.password_file the same",
        f"CREATE USER IF NOT EXISTS {recorder}{here};",
        *(f"GRANT{here} {', '.join(RECORDER)} ON {quoted(one)}.* TO {recorder};" for one in databases),
        *([f"GRANT{here} {', '.join(CLUSTER)} ON *.* TO {recorder};"] if cluster else []),
        *(f"GRANT{here} SELECT ON system.{table} TO {recorder};" for table in SYSTEM_TABLES),
        "",
        "-- for `wsadapter-supervisor ddl --migrate` only; take it back afterwards: REVOKE ... FROM ...",
        *(f"-- GRANT{here} {', '.join(MIGRATION)} ON {quoted(one)}.* TO {recorder};" for one in databases),
        "",
        "-- who reads: `audit` and `gaps` need no more, and neither do the people who ask",
        f"CREATE USER IF NOT EXISTS {reads}{here};",
        f"GRANT{here} SELECT ON {quoted(database)}.* TO {reads};",
        # a shard asks for the right to what the face stands for
        *([f"GRANT{here} SELECT ON {quoted(inner)}.* TO {reads};" for inner in databases[1:]] if cluster else []),
    ]
    return "\n".join(lines) + "\n"
