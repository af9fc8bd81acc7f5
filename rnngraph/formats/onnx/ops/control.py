"""If nodes. The graph that is taken follows from the file, from sizes, or from what the caller fixed; where only a call
can tell, both are computed, and the truth value chooses of what they give.
"""

from __future__ import annotations

from collections.abc import Callable

from ....declare.functions import basic
from ....ir.types import Size
from ...steps import Value
from ..core.known import Known, Operand, dtype_of, shape_of
from ..core.model import Graph, Node
from ..core.sizes import Undecided, UnreadableError, sign_of, texts
from ..core.table import Call, Outputs, reads
from ..core.tensors import Tensors


@reads("If")
def _if(call: Call) -> Outputs:
    found = [call.branch(graph) for graph in taken(call.node, call.input(0), call.decide, call.tensors)]
    if len(found) == 1:
        return found[0]
    condition = call.tensors.value(call.tensors.reshape(call.input(0), ()))
    return [_chosen(call, condition, then, other) for then, other in zip(*found, strict=True)]


def _chosen(call: Call, condition: Value, then: Operand, other: Operand) -> Operand:
    if then is other:
        return then
    for item in (then, other):
        if not isinstance(item, Operand):
            raise UnreadableError("which graph it takes is computed at run time, and they give sequences")
    if shape_of(then) != shape_of(other) or dtype_of(then) != dtype_of(other):
        given = " or ".join(f"{dtype_of(item)}{texts(shape_of(item))}" for item in (then, other))
        raise UnreadableError(f"which graph it takes is computed at run time, and they give {given}")
    return call.script.call(basic.where, condition, call.tensors.value(then), call.tensors.value(other))


def taken(node: Node, condition: Operand, decide: Callable[[Undecided], bool], tensors: Tensors) -> list[Graph]:
    """The graph that an If node takes, or both where a call chooses. decide: what to take of a condition on sizes that
    only a call can tell.
    """
    if isinstance(condition, Value):
        fed = [name for name in tensors.inputs_behind(condition) if not shape_of(tensors.script.inputs[name])]
        if fed:
            raise UnreadableError(f"which graph it takes is computed at run time; fixed={{{fed[0]!r}: …}} settles it")
        if any(dim != 1 for dim in shape_of(condition)):
            raise UnreadableError(f"its condition {texts(shape_of(condition))} is not one truth value")
        names = ["then_branch", "else_branch"]
    elif not isinstance(condition, Known) or condition.array.size != 1:
        raise UnreadableError("its condition is not one truth value")
    else:
        entry = condition.array.reshape(-1)[0]
        if isinstance(entry, Undecided):
            holds = decide(entry)
        elif isinstance(entry, Size):
            holds = sign_of(entry) is not None
        else:
            holds = bool(entry)
        names = ["then_branch" if holds else "else_branch"]
    found = [graph for name in names if isinstance(graph := node.attributes.get(name), Graph)]
    if len(found) < len(names):
        raise UnreadableError("it lacks a graph")
    return found
