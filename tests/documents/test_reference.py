"""The pages that are made from the code are what the code says, and they leave nothing out."""

import signal

import pytest
from documents import pages, reference

from wsadapter.cli.main import COMMANDS
from wsadapter.errors import MEANINGS, ExitCode
from wsadapter.events.streams import SPECS
from wsadapter.supervision.supervisor import SIGNALS


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (pages.DOCS / name).read_text() == reference.PAGES[name](), "stale: make reference"


def test_every_command_code_and_signal_is_there() -> None:
    page = (pages.DOCS / "commands.md").read_text()
    headings = pages.anchors(pages.DOCS / "commands.md")

    assert COMMANDS.keys() <= headings
    assert "segments-remove" in headings, "commands of a command, too"
    assert MEANINGS.keys() == set(ExitCode)
    assert all(f"| `{int(exit)}` |" in page for exit in ExitCode)
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1} == SIGNALS.keys()


def test_every_stream_has_its_message_and_its_table() -> None:
    assert {spec.message.lower() for spec in SPECS} <= pages.anchors(pages.DOCS / "messages.md")
    assert {spec.name for spec in SPECS} <= pages.anchors(pages.DOCS / "tables.md")


def test_comments_of_a_proto_are_read_before_and_within_a_message() -> None:
    head = "// Of the file\n// <all>.\nsyntax = 3;\n"
    text = f"{head}\nmessage A {{\n  string a = 1;\n}}\n\n// Of B.\nmessage B {{\n  // Within.\n}}\n"

    assert reference.proto_comments(text) == {"": "Of the file &lt;all>.", "B": "Of B. Within."}
