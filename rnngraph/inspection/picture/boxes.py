"""Contents of a declaration's picture: boxes, their computations, and arrows between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...support.errors import Where
from .expressions import Equation


@dataclass(frozen=True)
class State:
    """State of a cell, with ``width`` units in a row."""

    name: str
    width: str


@dataclass(frozen=True, eq=False)
class Box:
    """Box of a picture: a layer, cell, wrapper, driver or stack with its contents, or an input, output or loss.

    Args:
        kind: ``input``, ``output``, ``loss``, ``layer``, ``driver``, ``stack``, ``wrapper`` or ``cell``.
        titles: Lines of the box's head, the outermost of nested wrappers first.
        note: Line of the script, or how a driver runs.
        layer: Prefix of the box's parameter names.
        items: Equations and boxes in order of computation.
        joins: Type of the value that a box reads from the preceding box, by the reader's index in ``items``.
        training, inference: True if the graph has the box.
        passes: True if the inference graph lacks the box and passes its input on.
        is_folded: True if pictures show the box closed at first.
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
    is_folded: bool = False

    def walk(self) -> Iterable[Box]:
        """Yield the box and all boxes inside."""
        pending = [self]
        while pending:
            box = pending.pop()
            yield box
            pending += [item for item in reversed(box.items) if isinstance(item, Box)]


@dataclass(frozen=True)
class Arrow:
    """Value from one box to another, with its type as ``label``."""

    source: str
    target: str
    label: str
    training: bool
    inference: bool


@dataclass(frozen=True)
class Declaration:
    """Contents of a picture; boxes are in topological order."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    @property
    def differs(self) -> bool:
        """True if the training graph and the inference graph differ."""
        inner = [box for outer in self.boxes for box in outer.walk()]
        rows = [item for box in inner for item in box.items if isinstance(item, Equation)]
        return any(not box.inference for box in inner) or any(item.training != item.inference for item in rows)
