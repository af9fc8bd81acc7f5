"""Finds ops that change variables or tensor arrays before outputs read them, but whose own results nothing reads.

Such an op, for instance ``Assign``, runs by a control dependency. It is an error, because a net keeps no state between
calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..operators.errors import UnreadableError
from .order import is_state, needed
from .source import Node, Ref, array_of
from .translation import PASSING, TABLE, Translation

VARIABLES = ("VariableV2", "Variable", "VarHandleOp")
CHANGES = ("Assign", "Scatter", "ResourceScatter", "ResourceStridedSliceAssign", "StridedSliceAssign", "CountUpTo")
"""Beginnings of the names of ops that change their first operand, a variable."""
UPDATES = ("Apply", "SparseApply", "ResourceApply", "ResourceSparseApply")
"""Beginnings of the names of ops that may change any of their operands that is a variable."""
PURE = (
    "ScatterNd",
    "ScatterNdNonAliasingAdd",
    "ResourceGather",
    "ResourceGatherNd",
    "IsVariableInitialized",
    "SaveV2",
    "Save",
    "SaveSlices",
    "VariableShape",
)
"""Ops whose names begin like those above, or that take variables, but that change nothing that a node reads."""
ARRAY_WRITES = ("TensorArrayWriteV3", "TensorArrayScatterV3", "TensorArraySplitV3", "TensorArrayGradV3")
REMEDY = (
    "a net has no variables that change in inference: pass the variable's value as a placeholder and fetch its next "
    "value, close the branch of training with fixed=, or name outputs= that do not depend on it"
)
_RESOURCE = 20
"""TensorFlow's ``DataType`` of handles of variables and other resources."""
_SWITCHES, _MERGES = ("Switch", "RefSwitch"), ("Merge", "RefMerge")


def is_change(node: Node) -> bool:
    """True if a node changes a variable, by the name of its op."""
    return node.op.startswith((*CHANGES, *UPDATES)) and node.op not in PURE


def unread_changes(t: Translation, outputs: Iterable[Ref]) -> list[str]:
    """Return an error text for each node that changes what outputs read, but runs by a control dependency only.

    Args:
        t: The translated graph. Its constants decide which branches run.
        outputs: Outputs of nodes that are fetched.
    """
    outputs = list(outputs)
    skipped = _Skipped(t, [name for name, _ in outputs])
    values = _reached(t, outputs, skipped, controls=False)
    problems = []
    for node, waiting in _reached(t, outputs, skipped, controls=True).items():
        state = next((name for name in _changed(t, node) if t.source.nodes[name] in values), None)
        if node not in values and state is not None:
            by = f", before {waiting} by a control dependency" if waiting else ""
            problems.append(f"{node} changes {t.source.nodes[state]}, which outputs read{by}; {REMEDY}")
    return problems


def _reached(t: Translation, outputs: Iterable[Ref], skipped: _Skipped, controls: bool) -> dict[Node, Node | None]:
    """Return {node on which outputs depend: node whose control dependency runs it, or None}.

    Args:
        t: The translated graph.
        outputs: Outputs of nodes.
        skipped: Branches that are not followed.
        controls: Also follow control dependencies. Without them, all values are None.
    """
    reached = dict[Node, Node | None]()
    pending: list[tuple[str, Node | None]] = [(name, None) for name, _ in outputs]
    while pending:
        name, waiting = pending.pop()
        node = t.source.nodes[name]
        if node in reached or name in skipped.nodes:
            continue
        reached[node] = waiting
        if name in t.fixed:
            continue
        if controls:
            pending += [(other, waiting or node) for other in node.controls]
        pending += [(ref[0], waiting) for ref in node.inputs if not skipped.covers(ref)]
    return reached


def _changed(t: Translation, node: Node) -> Iterator[str]:
    """Yield the names of variables and tensor arrays that a node changes, or may change."""
    if is_change(node):
        operands = node.inputs if node.op.startswith(UPDATES) else node.inputs[:1]
        yield from (name for ref in operands for name in _owners(t, ref, (*VARIABLES, "Const"), any_type=True))
    elif node.op in ARRAY_WRITES:
        yield from (name for ref in node.inputs[:1] for name in _owners(t, ref, ("TensorArrayV3",)))
    elif node.op not in TABLE and node.op not in PURE:  # An unknown op may change any variable that it takes.
        yield from (name for ref in node.inputs for name in _owners(t, ref, VARIABLES))


def _owners(t: Translation, start: Ref, ops: tuple[str, ...], any_type: bool = False) -> Iterator[str]:
    """Yield the names of the variables or tensor arrays to which an operand refers.

    Args:
        t: The translated graph.
        start: The operand.
        ops: Ops that create a variable or tensor array.
        any_type: Also follow operands that are values rather than references, as variables of frozen graphs are
            constants.
    """
    pending, seen = [start[0]], set[str]()
    while pending:
        name = pending.pop()
        node = t.source.nodes[name]
        if name in seen:
            continue
        seen.add(name)
        if node.op in ops:
            yield name
        kind = node.attributes.get("T")
        refers = node.op.startswith("Ref") or (kind is not None and kind.type == _RESOURCE)
        if node.op in (*PASSING, "Enter", *_MERGES, "RefSelect") and (refers or any_type):
            pending += [ref[0] for ref in node.inputs]


class _Skipped:
    """Nodes of branches that constant conditions do not take.

    Attributes:
        nodes: Names of the nodes.
    """

    def __init__(self, t: Translation, outputs: Iterable[str]) -> None:
        self.nodes = set[str]()
        self._ends = set[Ref]()
        self._t = t
        readers: dict[str, list[Node]] = {}
        nodes = needed(t.source.name, t.source.nodes, outputs, t.fixed, controls=True)
        for node in nodes:
            for name in [] if node.name in t.fixed else [*(ref[0] for ref in node.inputs), *node.controls]:
                readers.setdefault(name, []).append(node)
        changed = [reader for node in nodes if self._closes(node) for reader in readers.get(node.name, [])]
        while changed:
            node = changed.pop()
            if node.name not in self.nodes and self._is_skipped(node):
                self.nodes.add(node.name)
                changed += readers.get(node.name, [])

    def covers(self, ref: Ref) -> bool:
        """True if an output of a node is never computed, because its branch is not taken."""
        return ref in self._ends or ref[0] in self.nodes

    def _closes(self, node: Node) -> bool:
        """Record the output of a Switch that its constant condition does not take. Return True if there is one."""
        if node.op not in _SWITCHES or node.name in self._t.fixed:
            return False
        if self._t.source.nodes[node.inputs[1][0]].op == "LoopCond":
            return False
        condition = _constant(self._t, node.inputs[1])
        if condition is None or condition.size != 1:
            return False
        self._ends.add((node.name, 0 if condition.reshape(-1)[0] else 1))
        return True

    def _is_skipped(self, node: Node) -> bool:
        if node.op in _MERGES:
            nodes = self._t.source.nodes
            is_loop = is_state(node, nodes)
            inputs = [ref for ref in node.inputs if not (is_loop and nodes[ref[0]].op.endswith("NextIteration"))]
            return all(self.covers(ref) for ref in inputs)
        return any(self.covers(ref) for ref in node.inputs) or any(name in self.nodes for name in node.controls)


def _constant(t: Translation, ref: Ref, negated: bool = False) -> np.ndarray | None:
    """Return the value of a constant condition; None if the condition is computed from inputs or variables."""
    known = t.arrays.get(t.names.get(ref, ""))
    while known is None:
        try:
            node = t.source.nodes[t.resolved(ref)[0]]
        except UnreadableError:  # A cycle of nodes, which has no value.
            return None
        if node.name in t.fixed:
            known = t.fixed[node.name]
        elif node.op == "Const":
            known = array_of(t.source.name, node)
        elif node.op in ("LogicalNot", "PlaceholderWithDefault") and node.inputs:
            ref, negated = node.inputs[0], negated != (node.op == "LogicalNot")
        else:
            return None
    return np.logical_not(known) if negated else known


def remedy(node: Node) -> str:
    """Return a remedy for a node that changes a variable, and whose result is read; ``""`` for other nodes."""
    return f": it changes a variable; {REMEDY}" if is_change(node) else ""
