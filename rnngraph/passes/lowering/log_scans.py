"""Linear recurrences that a declaration computes from scans of logarithms (Heinsen 2023).

With A = cumsum(a), the two scans of

    exp(A + logcumsumexp(v - A))

compute the recurrence h_t = exp(a_t) h_t-1 + exp(v_t). One scan computes it with a multiply-add for each step, and
without the rounding of A, which grows with the length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...declare.cell import Cell, Scope
from ...declare.driver import Driver
from ...declare.functions.cumulative import Running
from ...declare.parameters import ScopeName
from ...declare.running.drivers import run_steps
from ...declare.tensor import Tensor
from ...ir.graph import Node, make, remake, topological
from ...ir.types import Shape, unify_declared
from ...support.errors import Where, read_from
from ...support.records import dataclass

VIEWS = ("reshape", "transpose", "slice", "broadcast")
"""Ops whose result has entries of their operand only."""


def in_linear_space(outputs: Sequence[tuple[str, Node]]) -> list[tuple[str, Node]]:
    """Replace scans of logarithms whose exponential is taken by linear recurrences.

    The decays exp(a) and the inputs exp(v) must be known without logarithms, and decays must be at most 1. Then the
    result overflows only where the scans of logarithms do.

    Args:
        outputs: Names and declared nodes.
    """
    changed: dict[Node, Node] = {}
    for node in topological(node for _, node in outputs):
        operands = tuple(changed.get(operand, operand) for operand in node.operands)
        new = node if operands == node.operands else remake(node, operands, unify_declared)
        new = _recurrence(new) or new
        if new is not node:
            changed[node] = new
    return [(name, changed.get(node, node)) for name, node in outputs]


@dataclass(frozen=True)
class _Scan:
    """Result of a cumulative function.

    Attributes:
        driver: Node of the loop.
        before: Views from the entries to the loop's sequence, the outermost first.
        after: Views from the loop's outputs to the result, the outermost first.
        entries: Operand of the cumulative function.
    """

    driver: Node
    before: tuple[Node, ...]
    after: tuple[Node, ...]
    entries: Node

    def is_laid_out_as(self, other: _Scan) -> bool:
        """True if both run over the same axis of their entries, in one direction."""
        pairs = (self.before, other.before), (self.after, other.after)
        same = (len(mine) == len(its) and all(map(_same_view, mine, its)) for mine, its in pairs)
        return all(same) and self.driver["driver"].iteration.reverse == other.driver["driver"].iteration.reverse


def _same_view(one: Node, other: Node) -> bool:
    if one.op == other.op == "reshape":
        return _may_be_equal(one["shape"], other["shape"])
    return (one.op, one.attributes) == (other.op, other.attributes)


def _may_be_equal(one: Shape, other: Shape) -> bool:
    """True unless the shapes differ in a fixed size. Equal symbolic sizes may still have several names."""
    if len(one) != len(other):
        return False
    return all(a == b or not (isinstance(a, int) and isinstance(b, int)) for a, b in zip(one, other, strict=True))


def _is_fold(node: Node, name: str) -> bool:
    cell = node["driver"].cell
    return isinstance(cell, Running) and cell.fold.name == name and not cell.exclusive


def _views(node: Node, limit: int | None = None) -> tuple[tuple[Node, ...], Node]:
    """Return the chain of views that ends with ``node``, the outermost first, and the chain's source.

    ``limit`` is the maximum number of views; None for all. If ``node`` is no view, it is the source itself.
    """
    views: list[Node] = []
    while node.op in VIEWS and (limit is None or len(views) < limit):
        views.append(node)
        node = node.operands[0]
    return tuple(views), node


def _scan(node: Node, name: str, limit: int | None = None) -> _Scan | None:
    """Return ``node`` as the result of a loop for ``name``, ``cumsum`` or ``logcumsumexp``; None for other nodes.

    ``limit`` is the maximum number of views between its entries and the loop; None for all.
    """
    after, source = _views(node)
    if source.op != "get" or source["index"] != 1 or source.operands[0].op != "driver":
        return None
    driver = source.operands[0]
    if not _is_fold(driver, name):
        return None
    before, entries = _views(driver.operands[0], limit)
    return _Scan(driver, before, after, entries)


def _recurrence(node: Node) -> Node | None:
    """Return h = decay * h + input with the value of ``node``, an exp of scans of logarithms; None for others."""
    if node.op != "exp" or node.operands[0].op != "add":
        return None
    one, other = node.operands[0].operands
    for total, logs in ((one, other), (other, one)):
        scan = _scan(logs, "logcumsumexp")
        sums = scan and _scan(total, "cumsum", len(scan.before))
        if not scan or not sums or scan.entries.op != "sub" or not scan.is_laid_out_as(sums):
            continue
        values, subtracted = scan.entries.operands
        if subtracted is not total or not _is_decay(sums.entries):
            continue
        with read_from(node.where):
            gates: dict[Node, Node] = {}
            value = _exponential(values, gates)
            decay = _exponential(sums.entries, gates)
            if decay is not None and value is not None:
                return _linear(node, scan, decay, value)
    return None


def _linear(node: Node, scan: _Scan, decay: Node, value: Node) -> Node | None:
    """Return a loop h = decay * h + value, reshaped as ``scan`` is; None if its shape is not that of ``node``."""
    driver: Driver = scan.driver["driver"]
    decays, inputs = (Tensor(_viewed(scan.before, source)) for source in (decay, value))
    scope = ScopeName("linear", False, node.where)
    outputs, _ = run_steps(Linear(inputs.width), (decays, inputs), scope, driver.iteration.reverse, node.where)
    result = _viewed(scan.after, outputs.node)
    return result if _may_be_equal(result.shape, node.shape) else None


def _viewed(views: Sequence[Node], source: Node) -> Node:
    """Apply views to ``source``. The first of ``views`` is applied last."""
    for view in reversed(views):
        if view.op == "reshape" and _may_be_equal(view["shape"], source.shape):
            continue  # its sizes may have other names
        source = remake(view, (source,), unify_declared)
    return source


class Linear(Cell):
    """Recurrence h = decay * h + input, elementwise."""

    def __init__(self, width: int) -> None:
        self.width = width

    def state(self) -> Any:
        return {"h": self.width}

    def step(self, p: Scope, x: Any, state: Any) -> tuple[Tensor, Any]:
        decay, value = x
        h = decay * state["h"] + value
        return h, {"h": h}


# Logarithms -------------------------------------------------------------------------------------------


def _exponential(node: Node, gates: dict[Node, Node]) -> Node | None:
    """Return exp(node) without an exponential of a logarithm.

    Return None if ``node`` is not built from logarithms of values that are known to be nonnegative.

    Args:
        gates: Sigmoids that have been built, by their argument.
    """
    if node.op == "log":
        return node.operands[0] if _is_nonnegative(node.operands[0]) else None
    if (x := _log_sigmoid_of(node)) is not None:
        if x.op == "neg" and x.operands[0] in gates:
            one = make("constant", value=np.ones((), x.dtype))
            return _op("sub", node.where, one, gates[x.operands[0]])
        return gates.setdefault(x, _sigmoid(x, node.where))
    if node.op in (*VIEWS, "add", "select"):
        kept = node.operands[:1] if node.op == "select" else ()
        new = [_exponential(operand, gates) for operand in node.operands[len(kept) :]]
        operands = [operand for operand in new if operand is not None]
        if len(operands) < len(new):
            return None
        if node.op == "add":
            return _op("mul", node.where, *operands)
        return remake(node, (*kept, *operands), unify_declared)
    return None


def _sigmoid(x: Node, where: Where | None) -> Node:
    """Return sigmoid(x).

    If x is softplus(u) - softplus(w), it is (1 + exp(u)) / (2 + exp(u) + exp(w)), with all terms times exp(-m). Their
    maximum m = max(u, w, 0) prevents overflow.
    """
    is_negative = x.op == "neg"
    difference = x.operands[0] if is_negative else x
    powers = [_softplus_of(item) for item in difference.operands] if difference.op == "sub" else []
    u, w = powers or (None, None)
    if u is None or w is None:
        return _op("sigmoid", where, x)
    zero = make("constant", value=np.zeros((), x.dtype))
    largest = _op("stop_gradient", where, _op("maximum", where, zero, _op("maximum", where, u, w)))
    unit = _op("exp", where, _op("neg", where, largest))
    terms = [_op("add", where, unit, _op("exp", where, _op("sub", where, item, largest))) for item in (u, w)]
    return _op("div", where, terms[is_negative], _op("add", where, *terms))


def _op(op: str, where: Where | None, *operands: Node) -> Node:
    return make(op, *operands, where=where, unify=unify_declared)


def _log_sigmoid_of(node: Node) -> Node | None:
    """Return x if ``node`` is log(sigmoid(x)): ``log_sigmoid(x)`` or ``-softplus(-x)``; else None."""
    if node.op == "sub":
        return _with_log_of_sum(node, "minimum")
    x = _softplus_of(node.operands[0]) if node.op == "neg" else None
    if x is None:
        return None
    return x.operands[0] if x.op == "neg" else _op("neg", node.where, x)


def _softplus_of(node: Node) -> Node | None:
    """Return x if ``node`` is softplus(x); else None."""
    return _with_log_of_sum(node, "maximum") if node.op == "add" else None


def _with_log_of_sum(node: Node, op: str) -> Node | None:
    """Return x if the operands are ``op(0, x)`` and ``log1p(exp(minimum(x, -x)))``; else None."""
    extreme, log_of_sum = node.operands
    if extreme.op != op or not _is_number(extreme.operands[0], 0) or log_of_sum.op != "log1p":
        return None
    x, exponential = extreme.operands[1], log_of_sum.operands[0]
    if exponential.op != "exp" or exponential.operands[0].op != "minimum":
        return None
    one, other = exponential.operands[0].operands
    negated = other if one is x else one if other is x else None
    return x if negated is not None and negated.op == "neg" and negated.operands[0] is x else None


def _is_number(node: Node, number: float) -> bool:
    return node.op == "constant" and not node.tensor.rank and bool(node["value"] == number)


def _is_decay(node: Node) -> bool:
    """True if no entry exceeds 0."""
    if node.op == "log":
        return _is_in_unit_interval(node.operands[0])
    if node.op in (*VIEWS, "add", "select"):
        return all(map(_is_decay, node.operands[node.op == "select" :]))
    return _log_sigmoid_of(node) is not None


def _is_in_unit_interval(node: Node) -> bool:
    if node.op in (*VIEWS, "mul"):
        return all(map(_is_in_unit_interval, node.operands))
    if node.op == "sub":
        return _is_number(node.operands[0], 1) and _is_in_unit_interval(node.operands[1])
    return node.op == "sigmoid" or _constants(node, lambda value: (value >= 0) & (value <= 1))


def _is_nonnegative(node: Node) -> bool:
    if node.op in ("exp", "abs") or (node.op == "mul" and node.operands[0] is node.operands[1]):
        return True
    if node.op == "straight_through":
        return _is_nonnegative(node.operands[1])
    if node.op == "maximum":
        return any(map(_is_nonnegative, node.operands))
    if node.op in (*VIEWS, "add", "mul", "select"):
        return all(map(_is_nonnegative, node.operands[node.op == "select" :]))
    return _is_in_unit_interval(node) or _constants(node, lambda value: value >= 0)


def _constants(node: Node, condition: Callable[[np.ndarray], Any]) -> bool:
    return node.op == "constant" and bool(np.all(condition(node["value"])))
