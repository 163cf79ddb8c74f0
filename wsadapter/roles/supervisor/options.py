"""What the command asks of a run: the one value that crosses from `wsadapter.cli.main` to
`wsadapter.roles.supervisor.run`."""

from dataclasses import dataclass

from wsadapter.config.load import Config


@dataclass(frozen=True)
class RunOptions:
    """``duration``: seconds after which to drain, None = until a signal. ``replay``: a frame file to play through the
    loopback venue, at ``speed`` ``"max"`` or ``"recorded"``; ``demo`` is True then. ``config_path`` is what a HUP
    reads again. ``rate``: frames a second of the demo venue, None = its own."""

    config: Config
    embedded: bool = False
    demo: bool = False
    duration: float | None = None
    replay: str | None = None
    speed: str = "max"
    config_path: str | None = None
    rate: int | None = None
