"""A view that is asked, and that nothing is written through: its text, its comment and those of its columns.

A view whose text or comments are of another version of ours is replaced in place; one that is somebody else's is left
alone. The views are no part of the way of an event: one that is missing stops nothing.

The server keeps no columns of a view with parameters, and so no comments of them: its own comment has them all.
"""

from collections.abc import Sequence

from msgspec import Struct

from wsadapter.clickhouse.cluster import on
from wsadapter.clickhouse.conversion import FINGERPRINT, fingerprint, literal, quoted


class ViewColumn(Struct, frozen=True):
    """One column of a view: its SQL, its type as a server says it, what it is."""

    name: str
    value: str
    type: str
    about: str


class QueryView(Struct, frozen=True):
    """``columns``: what the select has, in its order. ``parameters``: how it is called, where it takes any."""

    name: str
    select: str
    about: str
    columns: Sequence[ViewColumn] = ()
    parameters: str = ""

    @property
    def comment(self) -> str:
        columns = "".join(f"{c.name}: {c.about}\n" for c in self.columns) if self.parameters else ""
        called = f"SELECT * FROM {self.name}({self.parameters})" if self.parameters else ""
        about = "\n".join(text for text in (self.about, called, columns.rstrip("\n")) if text)
        return f"{fingerprint(self.select + self._declared + about)}: {about}"

    def sql(self, database: str, cluster: str = "") -> str:
        return self._made(database, "CREATE VIEW IF NOT EXISTS", cluster)

    def replacing(self, database: str, cluster: str = "") -> str:
        return self._made(database, "CREATE OR REPLACE VIEW", cluster)

    def is_outdated(self, comment: str) -> bool:
        """Whether one of this name with this comment is ours and has another text."""
        return comment.startswith(FINGERPRINT) and comment != self.comment

    @property
    def _declared(self) -> str:
        if self.parameters or not self.columns:
            return ""
        columns = (f"    {quoted(c.name)} {c.type} COMMENT {literal(c.about)}" for c in self.columns)
        return "\n(\n" + ",\n".join(columns) + "\n)"

    def _made(self, database: str, verb: str, cluster: str) -> str:
        head = f"{verb} {quoted(database)}.{quoted(self.name)}{on(cluster)}{self._declared}"
        return f"{head}\nAS {self.select}\nCOMMENT {literal(self.comment)}"


def selected(columns: Sequence[ViewColumn]) -> str:
    """The head of a select that gives them."""
    return "SELECT\n" + ",\n".join(f"    {c.value} AS {quoted(c.name)}" for c in columns)
