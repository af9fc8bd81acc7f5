"""The text of a stage, which knows for each of its lines from which lines of the script, layers and phases it comes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .display.html import code
from .errors import Where


class StageLine(NamedTuple):
    """A line of text, and what it comes from: several lines where a loop computes for several, none of a heading."""

    text: str
    origins: tuple[Where, ...] = ()


class StageText(str):
    """What ``show(stage)`` gives: a text, and ``lines`` with their origins. Joined and cut it is a plain ``str``."""

    __slots__ = ("lines",)

    lines: tuple[StageLine, ...]

    def __new__(cls, lines: Iterable[StageLine]) -> StageText:
        given = tuple(lines)
        made = super().__new__(cls, "".join(f"{line.text}\n" for line in given))
        made.lines = given
        return made

    def _repr_html_(self) -> str:
        return code(str(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def __getnewargs__(self) -> tuple[tuple[StageLine, ...]]:  # type: ignore[override]
        return (self.lines,)
