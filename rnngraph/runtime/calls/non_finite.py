"""Checking mode: a graph run node by node in its own dtypes, up to the first value that is not finite.

What is looked for is where such a value is born: a NaN made of operands without NaN, an infinity made of finite
operands. Infinities that the user wrote, such as a mask of -inf, pass through as long as no NaN comes of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...ir.axes.by_size import NodeAxes
from ...ir.axes.walk import fate
from ...ir.axis_maps import Kept, Spread
from ...ir.graph import Graph, Node, topological
from ...ir.interpreter import interpret
from ...ir.ops import OPS
from ...ir.printer import names_of
from ...ir.types import FLOATS, Dim
from ...passes.gradients.autodiff import PREFIX
from ...support.errors import Where


@dataclass(frozen=True)
class NonFinite:
    """The first value that is not finite; ``str()`` says it in one line.

    node: its name in the printed graph.
    op: what computes it.
    value: ``"nan"``, ``"inf"`` or ``"-inf"``.
    step, row: counted from 0 in the arrays that were fed, whichever way a loop runs; None where the node has none.
    index: of the element in the node's own array.
    phase: ``"feed"``, ``"parameter"``, ``"forward"`` or ``"backward"``.
    where: the user's line.
    name: the feed, the parameter or the output, if it is one.
    """

    node: str
    op: str
    value: str
    step: int | None
    row: int | None
    index: tuple[int, ...]
    phase: str
    where: Where | None
    name: str | None = None

    def __str__(self) -> str:
        pairs = (("step", self.step), ("row", self.row))
        places = [f"{word} {number}" for word, number in pairs if number is not None]
        if self.phase in ("feed", "parameter"):
            places.append(f"index {self.index}")
            what = f"{self.phase} {self.name} holds {self.value}"
        else:
            what = f"{self.op} gives {self.value} in the {self.phase} pass"
        at = f" at {', '.join(places)}" if places else ""
        output = f", output {self.name}" if self.name and self.phase in ("forward", "backward") else ""
        node = f" (node {self.node}{output})" if self.phase in ("forward", "backward") else ""
        return f"{f'{self.where}: ' if self.where else ''}{what}{at}{node}"


def first_non_finite(
    graph: Graph, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int] | None = None
) -> NonFinite | None:
    """Runs ``graph`` up to the first value that is born not finite; None where there is none.

    feeds: an array for every input and parameter, by name. sizes: as for ``interpret``.
    """
    with np.errstate(all="ignore"):
        watch = _Watch(graph, feeds)
        try:
            results = interpret(graph, feeds, seen=watch.see, sizes=sizes)
        except _FoundError as found:
            return found.finding
        return watch.spoiled(results)


class _FoundError(Exception):
    """Ends the run."""

    def __init__(self, finding: NonFinite) -> None:
        super().__init__()
        self.finding = finding


class _Watch:
    """Sees every value, and stops the run at the first that is a finding.

    A value past a row's end is computed and not used. If it is not finite, that is a finding only where it
    reaches a result after all, as 0 · inf does in a derivative.
    """

    def __init__(self, graph: Graph, feeds: Mapping[str, np.ndarray]) -> None:
        self.graph = graph
        self.names = names_of(graph.walk())
        self.forward = _forward_nodes(graph)
        self.scans = {inner: node for node in graph.walk() if node.op == "scan" for inner in node["body"].nodes}
        self.axes = NodeAxes(graph)
        self.lengths = _lengths(graph, feeds)
        self.longest = _longest([node for node in self.forward if node.op == "scan"], self.lengths)
        self.unused: NonFinite | None = None

    def see(self, node: Node, operands: Sequence[np.ndarray], value: np.ndarray, step: int | None) -> None:
        given = node.op in ("input", "parameter")
        if node.dtype not in FLOATS or np.isfinite(value).all():
            return
        born = ~np.isfinite(value) if given else _born(node, operands, value)
        if born is None or not born.any():
            return
        used = born & self._used(node, value.shape, step)
        if used.any():
            raise _FoundError(self._finding(node, value, used, step))
        if self.unused is None:
            self.unused = self._finding(node, value, born, step)

    def spoiled(self, results: Mapping[str, np.ndarray]) -> NonFinite | None:
        """What is to say of results after a run without a finding.

        An infinity in an output may be the user's own; in a loss or a gradient it is always a finding.
        """
        for name, node in self.graph.outputs:
            if node.dtype not in FLOATS:
                continue
            any_counts = name == "loss" or name.startswith(PREFIX) or self.unused is not None
            bad = ~np.isfinite(results[name]) if any_counts else np.isnan(results[name])
            if bad.any():
                return self.unused or self._finding(node, results[name], bad, None, name)
        return None

    def _finding(
        self, node: Node, value: np.ndarray, bad: np.ndarray, step: int | None, name: str | None = None
    ) -> NonFinite:
        row_axis, step_axis = self.axes.of(node, step is not None, node in self.forward)
        index = _earliest(bad, [axis for axis in (step_axis, row_axis) if axis is not None])
        if node.op in ("input", "parameter"):
            phase, name = "feed" if node.op == "input" else "parameter", str(node["label"])
        else:
            phase = "forward" if node in self.forward else "backward"
        return NonFinite(
            node=self.names.get(node, node.op),
            op=node.op,
            value=str(float(value[index])),
            step=index[step_axis] if step_axis is not None else step,
            row=index[row_axis] if row_axis is not None else None,
            index=index,
            phase=phase,
            where=next((item.where for item in reversed(topological([node])) if item.where), None),
            name=name,
        )

    def _used(self, node: Node, shape: tuple[int, ...], step: int | None) -> np.ndarray:
        """Where an element belongs to a step within its row's length."""
        row_axis, step_axis = self.axes.of(node, step is not None, node in self.forward)
        lengths, steps = None, np.asarray(step)
        if step is not None:
            lengths = self.lengths.get(self.scans[node])
        elif step_axis is not None:
            lengths = self.longest.get(node.shape[step_axis])
            steps = _along(np.arange(shape[step_axis]), step_axis, len(shape))
        if lengths is None or row_axis is None or lengths.size != shape[row_axis]:
            return np.ones(shape, bool)
        return np.broadcast_to(steps < _along(lengths, row_axis, len(shape)), shape)


def _forward_nodes(graph: Graph) -> set[Node]:
    """Everything that an output reads which is no gradient, bodies included."""
    outputs = [(name, node) for name, node in graph.outputs if not name.startswith(PREFIX)]
    return {*Graph.of(graph.name, outputs, graph.inputs).walk()}


def _lengths(graph: Graph, feeds: Mapping[str, np.ndarray]) -> dict[Node, np.ndarray]:
    """Each row's length, by the scan that reads it; computed beforehand, as feeds are judged by it."""
    found = [
        (node, actual)
        for node in graph.nodes
        if node.op == "scan"
        for formal, actual in zip(node["body"].inputs, node.operands, strict=True)
        if formal["label"] == "length"
    ]
    outputs = [(str(number), actual) for number, (_, actual) in enumerate(found)]
    results = interpret(Graph.of("lengths", outputs, graph.inputs), feeds)
    return {node: results[str(number)].reshape(-1) for number, (node, _) in enumerate(found)}


def _longest(scans: Sequence[Node], lengths: Mapping[Node, np.ndarray]) -> dict[Dim, np.ndarray]:
    """How far any of the loops of one size reads each row, by that size; a loop without lengths reads all of it."""
    found: dict[Dim, np.ndarray] = {}
    whole = {scan["length"] for scan in scans if scan not in lengths}
    for scan in scans:
        if scan["length"] not in whole:
            before = found.get(scan["length"], lengths[scan])
            if before.shape != lengths[scan].shape:
                whole.add(scan["length"])
            else:
                found[scan["length"]] = np.maximum(before, lengths[scan])
    return {size: array for size, array in found.items() if size not in whole}


def _born(node: Node, operands: Sequence[np.ndarray], value: np.ndarray) -> np.ndarray | None:
    """Where the value is NaN though no operand at play is, or infinite though all of them are finite."""
    if OPS[node.op].kind not in ("elementwise", "contraction", "reduction"):
        return None  # what only moves makes nothing, and a constant is the user's own
    was_nan = _at_play(node, operands, [np.isnan(item) for item in operands], value.shape)
    was_not_finite = _at_play(node, operands, [~np.isfinite(item) for item in operands], value.shape)
    return np.isnan(value) & ~was_nan | np.isinf(value) & ~was_not_finite


def _at_play(
    node: Node, operands: Sequence[np.ndarray], flags: Sequence[np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    """Whether any element that an element of the result, of ``shape``, is made of has its flag set."""
    match node.op:
        case "scatter_add":
            found = np.zeros(shape, bool)
            np.logical_or.at(found, np.clip(operands[0], 0, shape[0] - 1), flags[1])
            return found
        case "overlap_add":
            evaluate = OPS[node.op].evaluate
            assert evaluate is not None
            return evaluate([flags[0].astype(np.float64)], {**dict(node.attributes), "size": shape[node["axis"]]}) > 0
        case "select":
            return np.where(operands[0], flags[1], flags[2])
    result = np.zeros((1,) * len(shape), bool)
    for number, item in enumerate(flags):
        result = result | _placed(node, number, item)
    return result


def _placed(node: Node, number: int, flags: np.ndarray) -> np.ndarray:
    """Flags of an operand on the axes of the result: any along an axis that the result does not keep."""
    fates = [fate(node, number, axis) for axis in range(flags.ndim)]
    places = {axis: item.axis for axis, item in enumerate(fates) if isinstance(item, Kept | Spread)}
    left = np.asarray(flags.any(tuple(axis for axis in range(flags.ndim) if axis not in places)))
    order = np.argsort([*places.values()]).astype(int)
    sizes = dict(zip(places.values(), left.shape, strict=True))
    return left.transpose(order).reshape([sizes.get(axis, 1) for axis in range(node.tensor.rank)])


def _earliest(bad: np.ndarray, first: Sequence[int]) -> tuple[int, ...]:
    """The index of the first set element, axes in ``first`` counted before the others."""
    order = [*first, *(axis for axis in range(bad.ndim) if axis not in first)]
    turned = bad.transpose(order)
    found = np.unravel_index(int(turned.argmax()), turned.shape)
    return tuple(int(found[order.index(axis)]) for axis in range(bad.ndim))


def _along(values: np.ndarray, axis: int, rank: int) -> np.ndarray:
    return values.reshape([-1 if position == axis else 1 for position in range(rank)])
