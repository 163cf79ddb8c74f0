"""How the name of a stream is made of what its messages say. Pure."""

from collections.abc import Callable, Iterable
from typing import Any


class Spelled:
    """How a name is made of the fields of a Struct: ``{arg.channel}:{arg.instId}``. Called with the envelope of a
    message; empty where the first field is none of ``among``, if that is told, or is empty; ``with_data``: or where the
    envelope has no ``data``."""

    def __init__(self, template: str, among: Iterable[str] = (), with_data: bool = False) -> None:
        self.parts: list[tuple[str, str]] = []
        """Text, and the path of the field behind it; the last one: none."""
        for piece in template.split("{"):
            path, closed, text = piece.partition("}")
            if closed:
                self.parts[-1] = self.parts[-1][0], path
            self.parts.append((text if closed else piece, ""))
        names: dict[str, Any] = {"among": frozenset(among)}
        joined = "".join(text + (f"{{e.{path}}}" if path else "") for text, path in self.parts)
        given = f"e.{self.parts[0][1]}" + (" in among" if among else "")
        given = f"bytes(e.data) and {given}" if with_data else given
        exec(f"def spell(e):\n  return f{joined!r} if {given} else ''", names)
        self._spell: Callable[[Any], str] = names["spell"]

    def __call__(self, envelope: Any) -> str:
        return self._spell(envelope)
