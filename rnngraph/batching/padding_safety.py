"""Proof that a graph's results do not depend on padding.

An abstract interpretation walks the graph once per clock. Its facts are: a value does not depend on padding, or it has
one time axis and is valid at each row's own steps. An op without a rule gives an unknown value, and then batches are
not padded. A missing rule therefore costs time, never correctness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from ..ir.axes.walk import fate, kept_at
from ..ir.axis_maps import Reduced
from ..ir.graph import Graph, Node, implied, topological
from ..ir.ops import OPS
from ..ir.scan import ScanParts, split_inputs
from ..ir.types import Dim, Shape, product, symbols_of
from ..passes.simplify import is_number
from ..support.records import dataclass
from .clocks import clock_of

ZERO, LOW, TRUE = "zero", "low", "true"
BELOW = -1e20
"""Upper bound of masked scores, which never win a maximum."""


@dataclass(frozen=True)
class Known:
    """Facts about a value at and after each row's end.

    Attributes:
        axis: Time axis; None for a value without one.
        past: Content beyond a row's end: ``ZERO`` (also False), ``TRUE``, ``LOW``, or "" for anything. For a value
            without time axis, its content everywhere.
        merged: Sizes whose product is the axis, if time is merged with other axes.
    """

    axis: int | None = None
    past: str = ""
    merged: Shape = ()


RIGHT = Known()
Value = Known | None
"""Abstract value of a node; None if unknown."""


def shows_padding(graph: Graph, outputs: Sequence[str], clock: str, counts: Mapping[str, Dim]) -> bool:
    """True if an output may depend on the padding of rows that have fewer steps than ``clock``.

    ``counts`` has, by placeholder of row lengths, the symbolic number of steps that bounds the lengths.
    """
    return bool(unproven(graph, outputs, clock, counts))


def unproven(
    graph: Graph, outputs: Sequence[str], clock: str, counts: Mapping[str, Dim], nonempty: bool = False
) -> list[Node]:
    """Return the nodes by which ``outputs`` may depend on the padding of short rows; [] if none can.

    Args:
        graph: The graph.
        outputs: Names of the outputs to prove.
        clock: Name of the padded size of time.
        counts: By placeholder of row lengths, the symbolic number of steps that bounds the lengths.
        nonempty: Every row has at least one step, so that ``length - 1`` is a valid index.
    """
    lengths = {label: dim for label, dim in counts.items() if clock_of(dim).name == clock}
    values = _Walk(clock, lengths if len(lengths) == 1 else {}, nonempty).values(graph, {})
    ends = [graph.output(name) for name in outputs]
    reached = topological([node for node in ends if values[node] is None])
    merged = [node for node in ends if values[node] is not None and values[node].merged]
    return [*merged, *(node for node in reached if _breaks_off(node, values))]


def _breaks_off(node: Node, values: Mapping[Node, Any]) -> bool:
    """True if a node may depend on padding although none of its operands does."""
    if node.op == "scan" or values[node] is not None:
        return False
    if node.op == "get":
        return all(values[operand] is not None for operand in node.operands[0].operands)
    return all(values[operand] is not None for operand in node.operands)


class _Walk:
    """Abstract interpretation of a graph and its scan bodies.

    ``lengths`` has, by placeholder of row lengths in the clock, the symbolic number of steps that bounds the lengths.
    """

    def __init__(self, clock: str, lengths: Mapping[str, Dim], nonempty: bool) -> None:
        self.clock, self.lengths, self.nonempty = clock, lengths, nonempty
        self._outside: dict[Node, Node] = {}
        """Operands of scans, by the corresponding input of the body."""

    def values(self, graph: Graph, inputs: Mapping[Node, Value]) -> dict[Node, Any]:
        """Return {node: its time axis and its content past each row's end; None if the node may depend on padding}."""
        values: dict[Node, Any] = {}
        for node in graph.nodes:
            if node in inputs:
                values[node] = inputs[node]
                continue
            operands = [values[operand] for operand in node.operands]
            if node.op == "scan":
                values[node] = self._scan(node, operands)
            elif node.op == "get":
                values[node] = self._sound(node, operands[0][node["index"]])
            elif inputs and node.op == "select" and operands[0] == RIGHT and self._is_live(node.operands[0]):
                values[node] = self._sound(node, operands[1])  # in a body, only a row's own steps matter
            elif node.op == "select" and self._last_step_size(node) is not None:
                values[node] = self._sound(node, RIGHT)
            else:
                values[node] = self._sound(node, self._value(node, operands))
        return values

    def _sound(self, node: Node, value: Value) -> Value:
        """Return ``value`` if its time axis is the node's only axis whose size depends on the clock; else None."""
        if value is None:
            return None
        timed = [axis for axis, dim in enumerate(node.shape) if self.clock in symbols_of(dim)]
        if timed != ([] if value.axis is None else [value.axis]):
            return None
        if value.merged:
            return value if all(product(value.merged) == node.shape[axis] for axis in timed) else None
        return value if all(self._is_steps(node.shape[axis]) for axis in timed) else None

    def _is_steps(self, dim: Dim) -> bool:
        return len(symbols_of(dim)) == 1 and clock_of(dim).name == self.clock

    def _value(self, node: Node, operands: Sequence[Value]) -> Value:
        """Return what is known of a node past each row's end, by the op's rule; None if nothing."""
        if any(value is None for value in operands):
            return None
        known = [value for value in operands if value is not None]
        rule = getattr(self, f"_of_{node.op}", None)
        if rule is not None:
            value: Value = rule(node, known)
            return value
        return self._facts_keeping_time(
            node, known, self._past(node, known) if OPS[node.op].kind == "elementwise" else ""
        )

    def _facts_keeping_time(self, node: Node, operands: Sequence[Known], past: str) -> Value:
        """Return what is known of an op that leaves each step in place, with content ``past`` rows' ends; else None."""
        timed = [(number, value.axis) for number, value in enumerate(operands) if value.axis is not None]
        axes = {kept_at(node, number, axis) for number, axis in timed}
        merged = {value.merged for value in operands if value.axis is not None}
        if len(axes) > 1 or None in axes or len(merged) > 1:
            return None
        return Known(axes.pop(), past, merged.pop()) if axes else Known(None, past)

    def _past(self, node: Node, operands: Sequence[Known]) -> str:
        """Return what an elementwise op's result contains past a row's end: ``zero``, ``low``, ``true`` or ""."""
        past, op = [value.past for value in operands], node.op
        if op in ("less", "equal") and self._is_mask(node):
            return ZERO
        if op == "less_equal" and self._is_live(node, turned=True):
            return TRUE
        if op == "not":
            return {ZERO: TRUE, TRUE: ZERO}.get(past[0], "")
        if op == "select":
            chosen = {ZERO: past[2], TRUE: past[1]}
            return chosen.get(past[0], past[1] if past[1] == past[2] else "")
        if op == "and":
            return ZERO if ZERO in past else ""
        if op == "mul":  # 0 * inf is NaN, and values computed from padding may be infinite
            known = all(value.past == ZERO or value.axis is None for value in operands)
            return ZERO if ZERO in past and known else ""
        if all(value == ZERO for value in past) and OPS[op].keeps_zero:
            return ZERO
        if op == "div" and operands[1].axis is None:
            return ZERO if past[0] == ZERO else ""
        if op in ("add", "sub") and past[0] == LOW:
            return LOW if operands[1].axis is None or past[1] == ZERO else ""
        return ZERO if op == "exp" and past == [LOW] else ""

    # Lengths -------------------------------------------------------------------------------------

    def _source(self, node: Node) -> Node:
        """Return the node below reshapes, broadcasts and casts, also if it is an operand of the enclosing scan."""
        while node in self._outside or node.op in ("reshape", "broadcast", "cast"):
            node = self._outside[node] if node in self._outside else node.operands[0]
        return node

    def _counted_size(self, node: Node) -> Dim | None:
        """Return the number of steps that bounds ``node``, a vector of row lengths; None for other nodes."""
        source = self._source(node)
        return self.lengths.get(str(source["label"])) if source.op == "input" else None

    def _is_mask(self, node: Node) -> bool:
        """True for a comparison of steps with row lengths that is false past a row's end."""
        if node.op == "equal":  # ``gather_last``'s mask of the last step, or a comparison with ``length - 1``
            if node.get("within") == "lengths":
                return self._counted_size(node.operands[0]) is not None
            a, b = node.operands
            sides = ((self._last_step_size(x), self._source(y)) for x, y in ((a, b), (b, a)))
            return any(counted is not None and step.op == "iota" and step["size"] == counted for counted, step in sides)
        return self._is_live(node)

    def _last_step_size(self, node: Node) -> Dim | None:
        """Return the number of steps that bounds ``length`` if a value is the index ``length - 1``; None otherwise."""
        node = self._source(node)
        if node.op == "select" and node.operands[0].get("within") in ("entries", "rows"):
            node = self._source(node.operands[2 if node.operands[0]["within"] == "entries" else 1])
        is_last = self.nonempty and node.op == "sub" and is_number(self._source(node.operands[1]), 1)
        return self._counted_size(node.operands[0]) if is_last else None

    def _is_live(self, node: Node, turned: bool = False) -> bool:
        """True for a condition ``step < length``; with ``turned`` for ``length <= step``."""
        node = self._outside.get(node, node)
        if node.op == "reshape":
            return self._is_live(node.operands[0], turned)
        if node.op != ("less_equal" if turned else "less"):
            return False
        first, second = reversed(node.operands) if turned else node.operands
        step, counted = self._source(first), self._counted_size(second)
        return counted is not None and step.op == "iota" and step["size"] == counted

    def _ends(self, node: Node) -> bool:
        """True if a condition is false after a row's end."""
        return any(map(self._is_live, implied(node, self._source)))

    # Ops -----------------------------------------------------------------------------------------

    def _of_input(self, node: Node, operands: Sequence[Known]) -> Value:
        timed = [axis for axis, dim in enumerate(node.shape) if self.clock in symbols_of(dim)]
        return Known(timed[0] if timed else None)

    def _of_constant(self, node: Node, operands: Sequence[Known]) -> Value:
        value = np.asarray(node["value"])
        return Known(None, ZERO if not value.any() else LOW if (value <= BELOW).all() else "")

    def _of_iota(self, node: Node, operands: Sequence[Known]) -> Value:
        return Known(0) if self.clock in symbols_of(node["size"]) else RIGHT

    def _of_dimension(self, node: Node, operands: Sequence[Known]) -> Value:
        return None if self.clock in symbols_of(node["size"]) else RIGHT

    def _of_matmul(self, node: Node, operands: Sequence[Known]) -> Value:
        """Return what is known of a product, which may keep time, or sum over steps that are 0 past a row's end."""
        left, right, *more = operands
        contracted = [
            value.axis is not None and self._is_reduced(node, n, value.axis) for n, value in enumerate((left, right))
        ]
        if any(contracted):
            zeros = left.merged == right.merged and left.past == right.past == ZERO
            summed = all(contracted) and zeros and all(item.axis is None for item in more)
            return RIGHT if summed else None
        zero = ZERO in (left.past, right.past) and None in (left.axis, right.axis) and not more
        return self._facts_keeping_time(node, operands, ZERO if zero else "")

    def _of_reduce_sum(self, node: Node, operands: Sequence[Known]) -> Value:
        return self._reduction_facts(node, operands[0], ZERO)

    def _of_reduce_max(self, node: Node, operands: Sequence[Known]) -> Value:
        return self._reduction_facts(node, operands[0], LOW)

    def _of_reduce_min(self, node: Node, operands: Sequence[Known]) -> Value:
        return self._reduction_facts(node, operands[0], "")

    def _reduction_facts(self, node: Node, value: Known, neutral: str) -> Value:
        """Return what is known of a reduction; if over time, only values ``neutral`` may be past a row's end."""
        if value.axis is None or self._is_reduced(node, 0, value.axis):
            return RIGHT if value.axis is None or (neutral and value.past == neutral) else None
        return self._facts_keeping_time(node, [value], ZERO if value.past == ZERO else "")

    def _is_reduced(self, node: Node, number: int, axis: int) -> bool:
        return isinstance(fate(node, number, axis), Reduced)

    def _of_slice(self, node: Node, operands: Sequence[Known]) -> Value:
        """Return what is known of a slice, which may select the first step or drop steps at the ends."""
        (value,) = operands
        if value.axis is None:
            return value
        start, stop, step = (node[name][value.axis] for name in ("start", "stop", "step"))
        if (start, stop, step) == (0, 1, 1) and not value.merged:
            return RIGHT  # every row has a first step
        end = node.operands[0].shape[value.axis] - stop
        if value.merged:
            return value if (start, end, step) == (0, 0, 1) else None
        if step != 1 or not isinstance(start, int) or not isinstance(end, int):
            return None
        return Known(value.axis, value.past if not end else "")

    def _of_windows(self, node: Node, operands: Sequence[Known]) -> Value:
        """Return what is known of windows, which may run along time."""
        (value,) = operands
        if value.axis == node["axis"]:
            if node["step"] != 1 or value.merged:
                return None
            return Known(value.axis)  # the windows of a row's own steps come first
        return self._of_movement(node, operands)

    def _of_movement(self, node: Node, operands: Sequence[Known]) -> Value:
        (value,) = operands
        return self._facts_keeping_time(node, operands, value.past)

    _of_reverse = _of_transpose = _of_movement

    def _of_reshape(self, node: Node, operands: Sequence[Known]) -> Value:
        (value,) = operands
        return self._of_movement(node, operands) or self._reshape_facts(node, value)

    def _reshape_facts(self, node: Node, value: Known) -> Value:
        """Return what is known of a reshape that merges time with other axes or splits them; else None."""
        before, after = list(node.operands[0].shape), node.shape
        places = [axis for axis, dim in enumerate(after) if self.clock in symbols_of(dim)]
        if value.axis is None or len(places) != 1:
            return None
        (place,) = places
        before[value.axis : value.axis + 1] = value.merged or before[value.axis : value.axis + 1]
        for first, last in combinations(range(len(before) + 1), 2):
            parts = before[:first], before[first:last], before[last:]
            wanted = product(after[:place]), after[place], product(after[place + 1 :])
            if tuple(map(product, parts)) == wanted:
                group = tuple(dim for dim in parts[1] if dim != 1)
                return Known(place, value.past, group if len(group) > 1 else ())
        return None

    def _of_broadcast(self, node: Node, operands: Sequence[Known]) -> Value:
        (value,) = operands
        timed = [axis for axis, dim in enumerate(node.shape) if self.clock in symbols_of(dim)]
        if value.axis is None and len(timed) == 1:
            return Known(timed[0], value.past)  # equal at all steps
        return self._facts_keeping_time(node, operands, value.past)

    def _of_concat(self, node: Node, operands: Sequence[Known]) -> Value:
        """Return what is known of a concatenation, which may add entries before a row's steps, or zeros after them."""
        along = [place for place, value in enumerate(operands) if value.axis == node["axis"]]
        zero = all(value.past == ZERO for value in operands)
        if not along:
            return self._facts_keeping_time(node, operands, ZERO if zero else "")
        (place, *others) = along
        if operands[place].merged:
            return None
        after = operands[place:]
        zero = all(value.past == ZERO for value in after)
        if others or (len(after) > 1 and not zero):
            return None  # in a padded row, the padding would separate the row's steps from the next operand
        return Known(node["axis"], ZERO if zero else "")

    # Scans ---------------------------------------------------------------------------------------

    def _scan(self, node: Node, operands: Sequence[Value]) -> tuple[Value, ...]:
        """Return what is known of each result of a scan: final states, then sequences."""
        body: Graph = node["body"]
        unknown = (None,) * len(body.outputs)
        own = self.clock in symbols_of(node["length"])
        known = [value for value in operands if value is not None]
        if len(known) < len(operands) or (own and not self._is_steps(node["length"])):
            return unknown
        scan, (initial, sequences, fixed) = ScanParts.of(node), split_inputs(node, known)
        if any(value.axis is not None for value in initial) or (own and node.get("when") is not None):
            return unknown
        self._outside.update(zip(body.inputs, node.operands, strict=True))
        steps = [replace(value, axis=value.axis - 1) if value.axis else RIGHT for value in sequences]
        inner = dict(zip(body.inputs, [*initial, *steps, *fixed], strict=True))
        # A carry changes, so the content of its initial value says nothing about it.
        inner |= {carry.inside: RIGHT for carry in scan.carries}
        values = self.values(body, inner)
        is_constant = [carry.next is carry.inside or self._holds(carry.next, carry.inside) for carry in scan.carries]
        if any((end := values[carry.next]) is None or end.axis is not None for carry in scan.carries):
            return unknown
        if own and node["reverse"] and not all(is_constant):
            return unknown
        finals: list[Value] = [RIGHT if not own or is_held else None for is_held in is_constant]
        return (*finals, *(self._emitted(item, values[item], own) for _, item in scan.emits))

    def _holds(self, end: Node, carry: Node) -> bool:
        """True if a scan's state stays unchanged after a row's end."""
        return end.op == "select" and end.operands[2] is carry and self._ends(end.operands[0])

    def _emitted(self, item: Node, value: Value, own: bool) -> Value:
        """Return what is known of a scan's output sequence. ``own`` is True if the scan runs over the padded steps."""
        if value is None or (own and value.axis is not None):
            return None
        if not own:
            return RIGHT if value.axis is None else replace(value, axis=value.axis + 1)
        masked = item.op == "select" and self._ends(item.operands[0])
        zero = masked and self._is_zero(item.operands[2])
        return Known(0, ZERO if zero else "")

    def _is_zero(self, node: Node) -> bool:
        source = self._source(node)
        return source.op == "constant" and not np.asarray(source["value"]).any()
