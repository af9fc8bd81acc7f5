"""If nodes: the graph that is taken follows from the file, from sizes, or from what the caller fixed."""

from __future__ import annotations

from collections.abc import Callable

from ....ir.types import Size
from ...steps import Value
from ..core.known import Known, Operand, shape_of
from ..core.model import Graph, Node
from ..core.sizes import Undecided, UnreadableError, sign_of
from ..core.table import Call, Outputs, reads
from ..core.tensors import Tensors


@reads("If")
def _if(call: Call) -> Outputs:
    return call.branch(taken(call.node, call.input(0), call.decide, call.tensors))


def taken(node: Node, condition: Operand, decide: Callable[[Undecided], bool], tensors: Tensors) -> Graph:
    """The graph that an If node takes. decide: what to take of a condition that only a call can tell."""
    if isinstance(condition, Value):
        fed = [name for name in tensors.inputs_behind(condition) if not shape_of(tensors.script.inputs[name])]
        remedy = f"fixed={{{fed[0]!r}: …}} settles it" if fed else "it hangs on more than a number"
        raise UnreadableError(f"which graph it takes is computed at run time; {remedy}")
    if not isinstance(condition, Known) or condition.array.size != 1:
        raise UnreadableError("its condition is not one truth value")
    entry = condition.array.reshape(-1)[0]
    if isinstance(entry, Undecided):
        holds = decide(entry)
    elif isinstance(entry, Size):
        holds = sign_of(entry) is not None
    else:
        holds = bool(entry)
    found = node.attributes.get("then_branch" if holds else "else_branch")
    if not isinstance(found, Graph):
        raise UnreadableError("it lacks a graph")
    return found
