"""Reads If nodes.

The branch follows from the file, from sizes, or from the caller's fixed values. If the condition is a run-time value,
both branches are computed, and the condition selects between the results.
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
    branches = [call.branch(graph) for graph in possible_branches(call.node, call.input(0), call.decide, call.tensors)]
    if len(branches) == 1:
        return branches[0]
    condition = call.tensors.value(call.tensors.reshape(call.input(0), ()))
    return [_selected(call, condition, then, other) for then, other in zip(*branches, strict=True)]


def _selected(call: Call, condition: Value, then: Operand, other: Operand) -> Operand:
    """Declare the selection of one output of both branches. Raises ``UnreadableError`` unless the types are equal."""
    if then is other:
        return then
    for item in (then, other):
        if not isinstance(item, Operand):
            raise UnreadableError(
                "its condition is computed at run time, and its branches return sequences, which is not supported; "
                "return tensors, or make the condition constant"
            )
    if shape_of(then) != shape_of(other) or dtype_of(then) != dtype_of(other):
        types = " or ".join(f"{dtype_of(item)}{texts(shape_of(item))}" for item in (then, other))
        raise UnreadableError(
            f"its condition is computed at run time, and its branches return {types}; give both one dtype and shape, "
            "or make the condition constant"
        )
    return call.script.call(basic.where, condition, call.tensors.value(then), call.tensors.value(other))


def possible_branches(
    node: Node, condition: Operand, decide: Callable[[Undecided], bool], tensors: Tensors
) -> list[Graph]:
    """Return the branches that an If node may take: one, or two if the condition is a run-time value.

    Args:
        node: The node.
        condition: The node's condition.
        decide: Function that returns the assumed value of a condition on sizes.
        tensors: Object that declares values.
    """
    if isinstance(condition, Value):
        fed = [name for name in tensors.input_names_of(condition) if not shape_of(tensors.script.inputs[name])]
        if fed:
            raise UnreadableError(f"its condition is computed at run time; pass fixed={{{fed[0]!r}: …}}")
        if any(dim != 1 for dim in shape_of(condition)):
            raise UnreadableError(f"its condition {texts(shape_of(condition))} must be a single bool")
        names = ["then_branch", "else_branch"]
    elif not isinstance(condition, Known) or condition.array.size != 1:
        raise UnreadableError("its condition must be a single bool")
    else:
        entry = condition.array.reshape(-1)[0]
        if isinstance(entry, Undecided):
            holds = decide(entry)
        elif isinstance(entry, Size):
            holds = sign_of(entry) is not None
        else:
            holds = bool(entry)
        names = ["then_branch" if holds else "else_branch"]
    graphs = [graph for name in names if isinstance(graph := node.attributes.get(name), Graph)]
    if len(graphs) < len(names):
        raise UnreadableError(f"its attribute {' or '.join(names)} must be a graph")
    return graphs
