"""What is drawn of a declaration: boxes, what they compute, and arrows between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...support.errors import Where
from .expressions import Equation


@dataclass(frozen=True)
class State:
    """What a cell carries to its next step. width: units of a row."""

    name: str
    width: str


@dataclass(frozen=True, eq=False)
class Box:
    """One box. kind: ``input``, ``output``, ``loss``, ``layer``, ``driver``, ``stack``, ``wrapper`` or ``cell``.

    titles: lines of its head, the outermost of nested wrappers first. note: the line of the script, or how a driver
    runs. layer: as parameters' names begin. items: equations and boxes in the order in which they are computed. joins:
    by number of a box in ``items`` the type of what it takes from the one before. training, inference: which of the two
    graphs has it. passes: whether inference, which has it not, hands on what goes into it.
    """

    key: str
    kind: str
    titles: tuple[str, ...]
    note: str = ""
    layer: str = ""
    items: tuple[Equation | Box, ...] = ()
    joins: Mapping[int, str] = field(default_factory=dict)
    states: tuple[State, ...] = ()
    wheres: tuple[Where, ...] = ()
    training: bool = True
    inference: bool = True
    passes: bool = False

    def walk(self) -> Iterable[Box]:
        """The box and all in it."""
        pending = [self]
        while pending:
            box = pending.pop()
            yield box
            pending += [item for item in reversed(box.items) if isinstance(item, Box)]


@dataclass(frozen=True)
class Arrow:
    """What one box gives another. label: the type of the value."""

    source: str
    target: str
    label: str
    training: bool
    inference: bool


@dataclass(frozen=True)
class Declaration:
    """All that is drawn of a declaration; boxes in topological order."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    @property
    def differs(self) -> bool:
        """Whether the two graphs are not the same."""
        inner = [box for outer in self.boxes for box in outer.walk()]
        rows = [item for box in inner for item in box.items if isinstance(item, Equation)]
        return any(not box.inference for box in inner) or any(item.training != item.inference for item in rows)
