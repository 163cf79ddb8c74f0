"""The pages that are made from the code: what each must be. `make reference` writes them.

Commands with their options come from click, messages from their descriptors and the comments of the .proto, tables from
the schema, keys and metrics from their registries; the words for fields from `wsadapter.events.descriptions`.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import click
import msgspec
from documents.pages import DOCS, ROOT
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from wsadapter.cli import main as cli
from wsadapter.cli import metrics_reference
from wsadapter.cli.dashboard import dashboard
from wsadapter.cli.options import PROGRAM
from wsadapter.clickhouse import schema
from wsadapter.clickhouse.conversion import table_columns
from wsadapter.config import reference as configuration
from wsadapter.config.model import ClickHouseConfig
from wsadapter.errors import MEANINGS
from wsadapter.events import descriptions
from wsadapter.events.streams import SPECS, StreamSpec
from wsadapter.exchanges import OURS
from wsadapter.pb import market_pb2
from wsadapter.supervision.supervisor import SIGNALS

MADE: Final = "This page is made from the code by `make reference`.\n"
PROTO: Final = ROOT / "proto/wsadapter/v1/market.proto"
TYPES: Final = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def commands() -> str:
    """Each command with its usage, its text and its options; exit codes and signals behind them."""
    head = f"# Commands, exit codes, signals\n\n{MADE}\n`-h` and `--help` print the same of each command.\n"
    codes = table(("code", "when"), ((code(str(int(exit))), text) for exit, text in MEANINGS.items()))
    signals = table(("signal", "what the supervisor does"), ((code(name.name), text) for name, text in SIGNALS.items()))
    sections = [head, *_command(cli.command, PROGRAM, None)]
    sections += [f"## Exit codes\n\n{codes}", f"## Signals\n\n{signals}"]
    return "\n".join(sections)


def _command(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=path.rpartition(" ")[2])
    usage = " ".join((path, *command.collect_usage_pieces(context)))
    text = re.sub(r"\s*\n\s*", " ", inspect.cleandoc(command.help or "").replace("\n\n", "\0")).replace("\0", "\n\n")
    records = [record for given in command.params if (record := given.get_help_record(context)) is not None]
    options = table(("option", "what it does"), ((code(names), text) for names, text in records))
    heading = path.removeprefix(f"{PROGRAM} ")
    yield (
        "\n".join((f"## {heading}\n", f"```text\n{usage}\n```\n", f"{text}\n", options if records else "")).rstrip()
        + "\n"
    )
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _command(found, f"{path} {name}", context)


def messages() -> str:
    """Each message with its topic, its fields and what they mean; those of all messages first."""
    comments = proto_comments(PROTO.read_text())
    specs = {spec.message: spec for spec in SPECS}
    rows = {name: _fields(specs[name], found) for name, found in market_pb2.DESCRIPTOR.message_types_by_name.items()}
    first, *others = rows.values()
    common = [row for row in first if all(row in other for other in others)]
    head = ("no.", "field", "type", "what it means")
    sections = [f"# Messages\n\n{MADE}\nThe source is `proto/wsadapter/v1/market.proto`. {comments['']}\n"]
    sections.append(f"## In every message\n\n{table(head, common)}")
    for name, own in rows.items():
        about = f"Topic `websocket.{specs[name].name}`: {descriptions.of_stream(specs[name])}.\n"
        more = f"\n{comments[name]}\n" if name in comments else ""
        sections.append(f"## {name}\n\n{about}{more}\n{table(head, (row for row in own if row not in common))}")
    sections.append("## Enumerations\n")
    for name, enum in market_pb2.DESCRIPTOR.enum_types_by_name.items():
        values = ", ".join(f"`{value.name}` {value.number}" for value in enum.values)
        sections.append(f"* `{name}`: {values}")
    return "\n".join(sections) + "\n"


def _fields(spec: StreamSpec, message: Descriptor) -> list[tuple[str, ...]]:
    names = {column.field: column.name for column in table_columns(spec)}
    return [
        (str(field.number), code(field.name), kind(field), descriptions.of_field(spec.name, names[field.name]))
        for field in message.fields
    ]


def kind(field: FieldDescriptor) -> str:
    named = field.enum_type.name if field.enum_type else TYPES[field.type]
    if field.is_repeated:
        return f"repeated {named}"
    return f"optional {named}" if field.has_presence else named


def proto_comments(text: str) -> Mapping[str, str]:
    """Name of a message -> the comment before it or first in it; '' -> that of the file."""
    found = {"": "\n\n".join(_words(part) for part in text.partition("syntax")[0].split("//\n"))}
    for before, name, within in re.findall(r"((?:^//.*\n)*)^message (\w+) \{\n((?: *//.*\n)*)", text, re.MULTILINE):
        if words := _words(before + within):
            found[name] = words
    return found


def _words(comment: str) -> str:
    words = " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines()).strip()
    return words.replace("<", "&lt;")


def tables() -> str:
    """Each table with its key and columns, then the views that are asked."""
    settings = ClickHouseConfig()
    streams = {spec.name: spec for spec in SPECS}
    inner = {name(spec) for spec in SPECS for name in (schema.inbox_name, schema.archive_name)}
    sections = [
        f"# Tables, columns, views\n\n{MADE}\nOf database `{settings.database}` (`clickhouse.database`); "
        "`wsadapter-supervisor ddl` prints the SQL, comments in the server say the same. What "
        f"rows go through on their way is in `{schema.inner(settings.database)}` and not for readers. Prices and "
        "quantities are decimals, exact; times are UTC, to the nanosecond. A row with the key of another replaces it: "
        "`FINAL` shows the newest.\n"
    ]
    for one in schema.tables(settings):
        if one.name in inner:
            continue
        key = f"Key: {', '.join(code(part.strip('`')) for part in one.order_by)}.\n"
        rows = ((code(name), code(kind), one.texts.get(name, "")) for name, kind, _ in one.columns)
        about = descriptions.of_stream(streams[one.name]) if one.name in streams else one.about
        sections.append(f"## {one.name}\n\n{_sentence(about)} {key}\n{table(('column', 'type', 'what it is'), rows)}")
    asked = schema.query_views(settings.database)
    views = ((code(view.name), view.about) for view in asked)
    sections.append(f"## Views\n\n{table(('view', 'what it is'), views)}")
    for view in (view for view in asked if view.parameters):
        rows = ((code(column.name), code(column.type), column.about) for column in view.columns)
        called = f"`SELECT * FROM {view.name}({view.parameters})`"
        sections.append(f"### {view.name}\n\n{called}\n\n{table(('column', 'type', 'what it is'), rows)}")
    return "\n".join(sections)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def provisioned_dashboard() -> str:
    """Of the compose file's Grafana, with the uid of its data source."""
    text = (ROOT / "deploy/compose/grafana-datasources.yml").read_text()
    uid = re.search(r"(?m)^    uid: (\S+)$", text)
    assert uid is not None
    return msgspec.json.format(msgspec.json.encode(dashboard(uid[1])), indent=1).decode() + "\n"


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "../deploy/compose/grafana-dashboard.json": provisioned_dashboard,
    "commands.md": commands,
    "configuration.md": lambda: configuration.page(tuple(OURS)),
    "messages.md": messages,
    "metrics.md": metrics_reference.reference,
    "tables.md": tables,
}


def main() -> None:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
