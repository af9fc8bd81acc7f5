"""Memory of a scan's carries: overwritten in place, double-buffered, or with a full history."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ir.graph import Node
from ...ir.scan import is_kept, step_condition
from ...ir.types import Dim
from ...support.records import dataclass
from ..loop_ir.nodes import Index
from .views import View

IN_PLACE, DOUBLE_BUFFERED, FULL_HISTORY = "in place", "double-buffered", "full history"


@dataclass(frozen=True)
class State:
    """Memory of a carry, whose ``kind`` is ``IN_PLACE``, ``DOUBLE_BUFFERED`` or ``FULL_HISTORY``.

    A history may have the steps of one chunk only. Its view is then local: positions count from the chunk's start.
    """

    view: View
    kind: str
    length: Dim
    reverse: bool

    def before(self, slot: Index, step: Index) -> View:
        """Return the location of the carry before a step. ``slot`` is the index of that location, if there are two."""
        if self.kind == FULL_HISTORY:
            return self.view.first_axis(step + 1 if self.reverse else step)
        return self.view.first_axis(slot) if self.kind == DOUBLE_BUFFERED else self.view

    def after(self, slot: Index, step: Index) -> View:
        """Return the location of the carry after a step. ``slot`` is the index of the location before it."""
        if self.kind == FULL_HISTORY:
            return self.view.first_axis(step if self.reverse else step + 1)
        return self.view.first_axis(slot * -1 + 1) if self.kind == DOUBLE_BUFFERED else self.view

    def at(self, position: Index, slot: Index) -> View:
        """Return the location of the carry between the steps ``position - 1`` and ``position``.

        Scans that skip steps need it, because the number of steps that they ran does not determine the location.
        ``slot`` is the parity of the position.
        """
        if self.kind != DOUBLE_BUFFERED:
            return self.view.first_axis(position) if self.kind == FULL_HISTORY else self.view
        return self.view.first_axis(slot)

    def first(self) -> View:
        """Return the location of the carry before the first step."""
        return self.before(0, self.length - 1 if self.reverse else 0)

    def last(self, slot: Index) -> View:
        """Return the location of the carry after all steps. ``slot`` is the parity of the number of steps."""
        return self.before(slot, -1 if self.reverse else self.length)


def full_histories(
    scan: Node, gets: Sequence[Node], whole: Callable[[Node], bool]
) -> list[tuple[int, list[Node], list[Node]]]:
    """Return (index, results before steps, results after steps) of each carry that needs memory for a full history.

    A scan that may skip steps has no history, because a skipped step returns zeros, not its carries. A carry that never
    changes has none either.

    Args:
        scan: The scan.
        gets: Results of the scan that need memory.
        whole: Function that is True for results whose values at all steps are read later.

    Returns:
        For each carry: its index, the results that are its values before steps, and those after steps.
    """
    body, carries = scan["body"], scan["carries"]
    histories: list[tuple[int, list[Node], list[Node]]] = []
    if step_condition(scan) is not None:
        return histories
    for index, (param, (_, following)) in enumerate(zip(body.inputs[:carries], body.outputs, strict=False)):
        emits = [
            (user, body.outputs[user["index"]][1]) for user in gets if user["index"] >= carries and not is_kept(user)
        ]
        before = [user for user, value in emits if value is param]
        after = [user for user, value in emits if value is following]
        if following is not param and any(map(whole, before)):
            histories.append((index, before, after))
    return histories
