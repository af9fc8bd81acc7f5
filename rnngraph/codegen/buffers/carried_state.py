"""Where a scan's carried values lie: in place, alternately in two places, or in one for every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...ir.graph import Node
from ...ir.scan import is_kept, step_condition
from ...ir.types import Dim
from ..loop_ir.nodes import Index
from .views import View

IN_PLACE, DOUBLE_BUFFERED, FULL_HISTORY = "in place", "double-buffered", "full history"


@dataclass(frozen=True)
class State:
    """Where a carried value lies: in one place, which a step overwrites, in two alternately, or in one for every step.

    kind: ``IN_PLACE``, ``DOUBLE_BUFFERED`` or ``FULL_HISTORY``.
    """

    view: View
    kind: str
    length: Dim
    reverse: bool

    def before(self, slot: Index, step: Index) -> View:
        """At the start of a step; ``slot`` is its turn's parity."""
        if self.kind == FULL_HISTORY:
            return self.view.first_axis(step + 1 if self.reverse else step)
        return self.view.first_axis(slot) if self.kind == DOUBLE_BUFFERED else self.view

    def after(self, slot: Index, step: Index) -> View:
        """At its end."""
        if self.kind == FULL_HISTORY:
            return self.view.first_axis(step if self.reverse else step + 1)
        return self.view.first_axis(slot * -1 + 1) if self.kind == DOUBLE_BUFFERED else self.view

    def at(self, position: Index, slot: Index) -> View:
        """Where the value lies once the steps before ``position`` have run, or in reverse the others; ``slot`` is the
        parity of the position. Only of a scan of whose steps some are left out, where places follow from positions.
        """
        if self.kind != DOUBLE_BUFFERED:
            return self.view.first_axis(position) if self.kind == FULL_HISTORY else self.view
        return self.view.first_axis(slot)

    def first(self) -> View:
        return self.before(0, self.length - 1 if self.reverse else 0)

    def last(self, slot: Index) -> View:
        """After all steps; ``slot`` is the parity of their number."""
        return self.before(slot, -1 if self.reverse else self.length)


def full_histories(
    scan: Node, gets: Sequence[Node], whole: Callable[[Node], bool]
) -> list[tuple[int, list[Node], list[Node]]]:
    """Carries whose values are kept: (index, who reads the value before a step, who reads the one after it).

    None of a scan whose steps may not run, as what these emit is not what is carried, or whose blocks begin anew.
    """
    body, carries = scan["body"], scan["carries"]
    found: list[tuple[int, list[Node], list[Node]]] = []
    if step_condition(scan) is not None or scan.get("blocks") is not None:
        return found
    for index, (formal, (_, following)) in enumerate(zip(body.inputs[:carries], body.outputs, strict=False)):
        emits = [
            (user, body.outputs[user["index"]][1]) for user in gets if user["index"] >= carries and not is_kept(user)
        ]
        before = [user for user, value in emits if value is formal]
        after = [user for user, value in emits if value is following]
        if following is not formal and any(map(whole, before)):
            found.append((index, before, after))
    return found
