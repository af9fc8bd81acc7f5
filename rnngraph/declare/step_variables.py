"""Names of a step's values: the local variables to which its author assigned them."""

from __future__ import annotations

import sys
from types import FrameType

from ..ir.graph import Node


class StepVariables:
    """Local variables of one step, by the values that they hold when it returns.

    The source cannot tell them: lines such as ``i, j, f, o = split(gates, 4)`` name several values, and cells of this
    package have the line of the user who created them.
    """

    def __init__(self) -> None:
        self._frame: FrameType | None = None
        self._is_seen = False

    def see(self) -> None:
        """Remember the frame of the innermost running step. It is called while the step builds a value."""
        if self._is_seen:
            return
        self._is_seen, self._frame = True, sys._getframe(1)
        while self._frame is not None and self._frame.f_code.co_name != "step":
            self._frame = self._frame.f_back

    def names(self) -> dict[Node, str]:
        """Return the first variable of each value, once the step has returned."""
        names: dict[Node, str] = {}
        for name, value in ({} if self._frame is None else self._frame.f_locals).items():
            node = getattr(value, "node", None)
            if isinstance(node, Node):
                names.setdefault(node, name)
        return names
