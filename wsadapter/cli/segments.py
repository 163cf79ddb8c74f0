"""`segments`: the shared memory of all instances on this machine; `remove` gives back what no process uses."""

import sys

import click
import msgspec
from rich.console import Console

from wsadapter.audit.sheet import add_row, plain_table, print_whole
from wsadapter.cli import completion, options
from wsadapter.errors import ExitCode, SegmentError
from wsadapter.roles.supervisor import segments as shared
from wsadapter.roles.supervisor.segments import FoundSegment

_HEADS = ("segment", "kind", "instance", "owner", "KiB", "unread", "state", "used by")


@click.group()
def segments() -> None:
    """List the shared memory of all instances on this machine, or remove what no process uses."""


@segments.command("list")
@options.JSON
@options.until_enough()
def list_(as_json: bool) -> int:
    """Each segment: whose, how large, what is unread in it, who uses it.

    live: a process has it, or its instance beats. kept: nobody has it, and the next start of its instance delivers what
    is unread in it. orphan: nobody has it, and nothing is unread. unknown: processes of its owner cannot be looked at
    (root can).
    """
    found = shared.survey()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)))
        return ExitCode.OK
    table = plain_table(*_HEADS, words=[head for head in _HEADS if head not in ("KiB", "unread")])
    for one in found:
        unread = "?" if one.unread is None else f"{one.unread:,}" if one.kind == "ring" else ""
        add_row(
            table, one.name, one.kind, one.instance, one.owner, f"{one.size / 1024:,.0f}", unread, one.state,
            " ".join(map(str, one.pids)),
        )  # fmt: skip
    if found:
        print_whole(Console(file=sys.stdout, highlight=False), table)
    click.echo(f"{len(found)} segments, {sum(one.size for one in found) / 2**20:,.1f} MiB", err=True)
    return ExitCode.OK


@segments.command()
@click.argument("names", nargs=-1, metavar="[SEGMENT]...", shell_complete=completion.segments)
@click.option("--instance", default="", help="All segments of this instance.")
@click.option("--orphans", is_flag=True, help="All that nobody uses and that hold nothing unread.")
@click.option("--discard-unread", is_flag=True, help="Also those that hold unread records, which are lost then.")
def remove(names: tuple[str, ...], instance: str, orphans: bool, discard_unread: bool) -> int:
    """Remove segments that no process uses.

    Refused, and nothing is removed, when one of them is in use (exit 73), or holds unread records that are not given
    up (exit 75).
    """
    if sum(map(bool, (names, instance, orphans))) != 1:
        raise click.UsageError("give SEGMENT names, or --instance, or --orphans")
    found = shared.survey()
    chosen = _chosen(found, names, instance, orphans)
    for state, why in (
        ("live", "in use"),
        ("unknown", "perhaps in use (its owner's processes cannot be looked at: ask as root)"),
    ):
        if refused := [one for one in chosen if one.state == state]:
            for one in refused:
                users = f" by pid {' '.join(map(str, one.pids))}" if one.pids else ""
                click.echo(f"refused: {one.name} is {why}{users}", err=True)
            return ExitCode.ALREADY_RUNNING
    unread = [one for one in chosen if one.holds_unread]
    if unread and not discard_unread:
        for one in unread:
            click.echo(f"refused: {one.name} holds {shared.lost_with(one)}", err=True)
        click.echo("the next start of its instance delivers them; --discard-unread gives them up", err=True)
        return ExitCode.LOSS
    return _remove(chosen)


def _chosen(found: list[FoundSegment], names: tuple[str, ...], instance: str, orphans: bool) -> list[FoundSegment]:
    if orphans:
        return [one for one in found if one.state == "orphan"]
    if instance:
        return [one for one in found if one.instance == instance]
    if missing := set(names) - {one.name for one in found}:
        raise click.UsageError(f"no such segment: {' '.join(sorted(missing))}")
    return [one for one in found if one.name in names]


def _remove(chosen: list[FoundSegment]) -> int:
    for one in chosen:
        try:
            shared.remove(one)
        except SegmentError as error:
            click.echo(f"refused: {error}", err=True)
            return ExitCode.ALREADY_RUNNING
        lost = shared.lost_with(one)
        click.echo(f"removed {one.name}, {one.size:,} bytes" + (f"; lost: {lost}" if lost else ""))
    click.echo(f"{len(chosen)} segments removed, {sum(one.size for one in chosen) / 2**20:,.1f} MiB", err=True)
    return ExitCode.OK
