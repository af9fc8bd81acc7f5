"""Splits an affine recurrence into the operands of ONNX's LinearAttention.

The operator computes ``S' = a S + b k (v - k a S)``, or ``S' = a S + k v``, and returns ``q S'``. Its operands are the
logarithm of the decay a, one number for each head or key, and the rate b, one number for each head.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .....ir.graph import Node, dependents, make, remake
from .....ir.scan import ScanParts
from .....passes.affine.linear_forms import Linear, LinearForms, Probe, constant, product_of
from .....passes.affine.recurrences import ChunkPlan, Column, Recurrence
from .....passes.affine.views import UnknownAxisError, View, spans
from .patterns import in_order, is_filled

MOVES = ("reshape", "transpose", "broadcast", "ensure_shape")


@dataclass(frozen=True)
class LinearTerms:
    """Operands of LinearAttention at one step, with one axis for each axis of the state.

    Attributes:
        readout: The body's value q S', and the order of its axes relative to the state's axes.
        decay: Logarithms of decays; None if nothing decays.
        rate: Rates of the delta rule; None for a rule without rates.
    """

    readout: tuple[Node, View]
    query: Node
    key: Node
    value: Node
    decay: Node | None
    rate: Node | None


def linear_terms(recurrence: Recurrence) -> LinearTerms | None:
    """Return the operands with which LinearAttention computes a recurrence; None if it does not compute it."""
    plan = recurrence.plan
    if plan is None or recurrence.scan["reverse"] or recurrence.carry.dtype != "float32" or not plan.batch:
        return None
    if len(plan.boundary) != 1 or len(plan.columns) != 1 or len(plan.decay) != 1:
        return None
    sizes = [plan.forms.axes[axis] for axis in (*plan.batch[1:], *plan.keys, *plan.values)]
    if plan.batch[0] != 0 or not all(isinstance(size, int) for size in sizes):
        return None
    outside = dict(ScanParts.of(recurrence.scan).invariants)
    logs = [log_of(factor, outside) for factor in plan.decay[0]]
    update = _update(plan, plan.columns[0])
    query = _query(recurrence, plan)
    if None in logs or update is None or query is None:
        return None
    decay = _sum(item for item in logs if item is not None) if logs else None
    key, (value, rate) = product_of(plan.columns[0].keys, "float32"), update
    readout, weights = query
    return LinearTerms(readout, weights, key, value, decay, rate)


def log_of(node: Node, outside: Mapping[Node, Node]) -> Node | None:
    """Return the logarithm of an exponential, a sigmoid, a positive constant, or their product; None for other nodes.

    Args:
        node: The value, in the body of a loop.
        outside: Values from outside of the loop, by the inputs of its body.
    """
    if node.op == "input" and node in outside and outside[node].op == "constant":
        node = outside[node]
    match node.op:
        case "exp":
            return node.operands[0]
        case "sigmoid":
            return make("log", node, where=node.where)
        case "constant" if (node["value"] > 0).all():
            return make("constant", value=np.log(node["value"]))
        case "mul":
            logs = [log_of(item, outside) for item in node.operands]
            return None if None in logs else _sum(item for item in logs if item is not None)
        case op if op in MOVES:
            inner = log_of(node.operands[0], outside)
            return None if inner is None else remake(node, [inner])
    return None


def _sum(items: Iterable[Node]) -> Node:
    first, *others = items
    for item in others:
        first = make("add", first, item, where=item.where)
    return first


# The update ---------------------------------------------------------------------------------------------


def _update(plan: ChunkPlan, column: Column) -> tuple[Node, Node | None] | None:
    """Return (values v that the update adds along the keys, rate b of the delta rule or None); None for other updates.

    The rate is factored out of the values.
    """
    if not column.free:
        return None
    if not column.read:
        return _sum(product_of(factors, "float32") for factors in column.free), None
    if len(column.read) > 1 or plan.readouts[0] not in column.read:
        return None
    ((probe, scales),) = column.read.items()
    if len(scales) != 1 or probe.axes != frozenset(plan.keys):
        return None
    removed = _remove_factors([*scales[0], *probe.weights], [*column.keys, *plan.decay[0]])
    if removed is None:
        return None
    number, rates = _numbers(removed)
    along = frozenset(plan.batch)
    if any(spans(item) - along for item in rates):
        return None
    rows: list[Node] = []
    for factors in column.free:
        rest = _remove_factors(factors, rates)
        if rest is None:
            return None
        scale, others = _numbers(rest)
        rows.append(product_of([*others, constant(scale / -number, "float32")], "float32"))
    return _sum(rows), product_of([*rates, constant(-number, "float32")], "float32")


def _remove_factors(factors: Sequence[Node], others: Sequence[Node]) -> list[Node] | None:
    """Return ``factors`` without ``others``; None if one of ``others`` is not among the factors."""
    rest = list(factors)
    for other in others:
        place = next((place for place, item in enumerate(rest) if _are_equal(item, other)), None)
        if place is None:
            return None
        del rest[place]
    return rest


def _are_equal(one: Node, other: Node) -> bool:
    """True if two values are equal computations, up to moves that keep the order of entries."""
    if one is other:
        return True
    if one.shape != other.shape:
        return False
    one, other = in_order(one), in_order(other)
    if one is other:
        return True
    if one.op == "constant" and other.op == "constant":
        return bool(np.array_equal(one["value"], other["value"]))
    equal = one.op == other.op and one.op != "input" and one.attributes == other.attributes and bool(one.operands)
    return equal and all(_are_equal(a, b) for a, b in zip(one.operands, other.operands, strict=True))


def _numbers(factors: Sequence[Node]) -> tuple[float, list[Node]]:
    """Return (product of scalar constants, other factors)."""
    numbers = [float(item["value"]) for item in factors if _is_number(item)]
    return float(np.prod(numbers)), [item for item in factors if not _is_number(item)]


def _is_number(node: Node) -> bool:
    return node.op == "constant" and not node.tensor.rank and not is_filled(node, 0)


# The readout --------------------------------------------------------------------------------------------


def _query(recurrence: Recurrence, plan: ChunkPlan) -> tuple[tuple[Node, View], Node] | None:
    """Return ((readout, its view), query) if a readout is the product of a query and the updated state; else None."""
    (readout,), body = plan.boundary, recurrence.scan["body"]
    state = body.outputs[recurrence.index][1]
    if plan.updates is not None:
        state = state.operands[1]
    while state.op == "reshape":
        state = state.operands[0]
    reached = dependents([state], body.nodes)
    if readout not in reached or _reads_before(readout, recurrence.carry, state):
        return None
    try:
        forms = LinearForms(state, plan.forms.axes, reached, set())
    except UnknownAxisError:
        return None
    for node in body.nodes:
        if node in reached and node not in forms.forms:
            forms.add(node)
    form = forms.forms[readout]
    if not isinstance(form, Linear) or len(form.terms) != 1:
        return None
    (term,) = form.terms
    if not isinstance(term.read, Probe) or term.read.axes != frozenset(plan.keys):
        return None
    query = product_of([*term.read.weights, *term.factors], "float32")
    return None if spans(query) & frozenset(plan.values) else ((readout, form.view), query)


def _reads_before(node: Node, carry: Node, state: Node) -> bool:
    """True if a value reads the state ``carry`` from before the update, and not through the new ``state``."""
    pending, visited = [node], {state}
    while pending:
        current = pending.pop()
        if current is carry:
            return True
        if current not in visited:
            visited.add(current)
            pending += current.operands
    return False
