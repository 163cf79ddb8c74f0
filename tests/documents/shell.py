"""The command lines of a page, as a shell would see them, and what can be said of each without running it."""

import re
import shlex
from pathlib import Path
from typing import Final, NamedTuple

import click
from documents import pages

from wsadapter.cli import main as cli
from wsadapter.cli.options import PROGRAM

ELSEWHERE: Final = {
    "systemctl": "wants systemd as process 1",
    "journalctl": "wants the journal of systemd",
    "systemd-sysusers": "makes users of the machine",
    "systemd-tmpfiles": "makes directories of the machine",
    "useradd": "makes users of the machine",
    "install": "makes directories of the machine",
    "docker": "wants a Docker daemon and images from a registry",
    "supervisord": "tests/roles/supervisor/ and tests/cli/ have the file that it reads; here its options are not ours",
    "supervisorctl": "as supervisord",
    "python3": "makes /opt/wsadapter",
    "pip": "installs into /opt/wsadapter from a registry",
    "kill": "wants a process id",
    "ln": "in /usr/local/bin",
    "mv": "in /opt",
    "rm": "in /opt and /etc",
    "sed": "in /opt",
}
"""Programs whose lines are not run and why. A program that is neither here nor checked fails."""


class Line(NamedTuple):
    """One command: where it stands, its text without comment and redirection, its words without variables before it."""

    page: Path
    number: int
    text: str
    words: list[str]

    @property
    def program(self) -> str:
        return Path(self.words[0]).name

    def __str__(self) -> str:
        return f"{pages.name(self.page)}:{self.number} {self.text}"


def lines(page: Path) -> list[Line]:
    found = []
    for block in pages.blocks(page):
        if block.language != "sh":
            continue
        for number, line in enumerate(re.sub(r"\\\n", "  ", block.text).splitlines(), block.line):
            found += [command(page, number, part) for part in split(line)]
    return found


def split(line: str) -> list[str]:
    """The commands of a line: without its comment, between && and |."""
    lexer = shlex.shlex(line, posix=False, punctuation_chars="&|")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if word in ("&&", "|"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [" ".join(part) for part in parts if part]


def command(page: Path, number: int, text: str) -> Line:
    text = re.sub(r" 2?>>? ?\S+", "", text)
    words = shlex.split(text)
    while re.fullmatch(r"\w+=.*", words[0]):
        words.pop(0)
    if words[0] == "runuser":
        text = text.partition(" -- ")[2]
        words = words[words.index("--") + 1 :]
    return Line(page, number, text, words)


def parse(words: list[str]) -> str:
    """Ours, as the program itself reads it, down to the last subcommand, without running it: that one's name."""
    found: click.Command = cli.command
    arguments = [__file__ if word == "FILE" else word for word in words]
    path: list[str] = []
    parent: click.Context | None = None
    while True:
        try:
            context = found.make_context(found.name, arguments, parent=parent)
        except click.exceptions.Exit:  # --help, --version
            return " ".join(path)
        if not isinstance(found, click.Group) or not [*context._protected_args, *context.args]:
            return " ".join(path)
        name, below, arguments = found.resolve_command(context, [*context._protected_args, *context.args])
        assert below is not None
        found, parent = below, context
        path.append(str(name))


def reads_configuration(words: list[str]) -> bool:
    found: click.Command | None = cli.command
    for name in parse(words).split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), name)
    assert found is not None
    return any(given.name == "config_path" for given in found.params) and not {"--help", "--version"} & {*words}


def inline(page: Path) -> list[str]:
    """Our commands in the prose: `wsadapter-supervisor ...` and `make ...`, those with a gap to fill in left out."""
    found = re.findall(rf"`({PROGRAM} [a-z-][^`\n]*|make [a-z][^`\n]*)`", pages.prose(page))
    return [text for text in found if not re.search(r"\.\.\.|[|\[]", text)]
