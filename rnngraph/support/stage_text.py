"""Text of a compiler stage, with the script line, layer and phase of each line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .display.html import code
from .errors import Where
from .records import NamedTuple


class StageLine(NamedTuple):
    """Line of a stage's text.

    Attributes:
        text: The line without its end.
        origins: Lines of the script that it computes: several for a fused loop, none for a heading.
    """

    text: str
    origins: tuple[Where, ...] = ()


class StageText(str):
    """Text of a stage: a ``str`` whose lines have origins. Slices and concatenations are plain ``str``.

    Attributes:
        lines: The lines with their origins.
    """

    __slots__ = ("lines",)

    lines: tuple[StageLine, ...]

    def __new__(cls, lines: Iterable[StageLine]) -> StageText:
        lines = tuple(lines)
        text = super().__new__(cls, "".join(f"{line.text}\n" for line in lines))
        text.lines = lines
        return text

    def _repr_html_(self) -> str:
        return code(str(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def __getnewargs__(self) -> tuple[tuple[StageLine, ...]]:  # type: ignore[override]
        return (self.lines,)
