"""Checking mode: interpret a graph node by node up to the origin of the first non-finite value.

The origin is a node that computes NaN from operands without NaN, or infinity from finite operands. Non-finite
feeds and parameters are reported. Infinite constants, such as a mask of -inf, are accepted unless they lead to NaN, or
reach the loss or a gradient.
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
    """First non-finite value of a run. ``str()`` describes it in one line.

    Attributes:
        node: Name of the node in the printed graph.
        op: Op of the node.
        value: ``"nan"``, ``"inf"`` or ``"-inf"``.
        step: Step in the fed arrays, from 0, for loops of either direction; None for a node without time.
        row: Row in the fed arrays, from 0; None for a node without rows.
        index: Index of the element in the node's array.
        phase: ``"feed"``, ``"parameter"``, ``"forward"`` or ``"backward"``.
        where: The user's line.
        name: Name of the feed or parameter, if the node is one; of an output if no node introduced the value.
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
    """Return the first non-finite value of a graph, which is interpreted up to its origin; None if there is none.

    Infinite constants do not count, unless they lead to NaN, or reach the loss or a gradient.

    Args:
        graph: The graph.
        feeds: Arrays of all inputs and parameters, by name.
        sizes: Named sizes, as for ``interpret``.
    """
    with np.errstate(all="ignore"):
        watch = _Watch(graph, feeds)
        try:
            results = interpret(graph, feeds, seen=watch.see, sizes=sizes)
        except _FindingError as stop:
            return stop.finding
        return watch.first_in_results(results)


class _FindingError(Exception):
    """Exception that ends the interpretation and carries the non-finite value."""

    def __init__(self, finding: NonFinite) -> None:
        super().__init__()
        self.finding = finding


class _Watch:
    """Observer of an interpreter run, which stops the run at the first non-finite value.

    Values at steps after a row's end are computed but not used. A non-finite value there is reported only if it makes a
    result non-finite, as 0 · inf does in a derivative.
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
        """Stop the run if a node introduces a non-finite value that is used."""
        is_fed = node.op in ("input", "parameter")
        if node.dtype not in FLOATS or np.isfinite(value).all():
            return
        introduced = ~np.isfinite(value) if is_fed else _introduced_non_finite(node, operands, value)
        if introduced is None or not introduced.any():
            return
        used = introduced & self._belongs_to_a_row(node, value.shape, step)
        if used.any():
            raise _FindingError(self._finding(node, value, used, step))
        if self.unused is None:
            self.unused = self._finding(node, value, introduced, step)

    def first_in_results(self, results: Mapping[str, np.ndarray]) -> NonFinite | None:
        """Return the first non-finite value in the results of a finished run; None if there is none.

        An infinity in an output may come from a constant. In a loss or gradient, infinities are always reported.
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

    def _belongs_to_a_row(self, node: Node, shape: tuple[int, ...], step: int | None) -> np.ndarray:
        """Return a mask of the elements at steps before the end of their row; all are, if no lengths are known."""
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
    """Return all nodes on which outputs other than gradients depend, including nodes in loop bodies."""
    outputs = [(name, node) for name, node in graph.outputs if not name.startswith(PREFIX)]
    return {*Graph.of(graph.name, outputs, graph.inputs).walk()}


def _lengths(graph: Graph, feeds: Mapping[str, np.ndarray]) -> dict[Node, np.ndarray]:
    """Return the row lengths that scans read, by scan."""
    masks = [
        (node, actual)
        for node in graph.nodes
        if node.op == "scan"
        for param, actual in zip(node["body"].inputs, node.operands, strict=True)
        if param["label"] == "length"
    ]
    outputs = [(str(number), actual) for number, (_, actual) in enumerate(masks)]
    results = interpret(Graph.of("lengths", outputs, graph.inputs), feeds)
    return {node: results[str(number)].reshape(-1) for number, (node, _) in enumerate(masks)}


def _longest(scans: Sequence[Node], lengths: Mapping[Node, np.ndarray]) -> dict[Dim, np.ndarray]:
    """Return {number of steps: row lengths [rows] of the scans with this number of steps}.

    If several scans have this number of steps, each row gets the maximum of its lengths. A number of steps is left out
    if one of its scans reads no row lengths, or if the scans have different numbers of rows.
    """
    longest: dict[Dim, np.ndarray] = {}
    whole = {scan["length"] for scan in scans if scan not in lengths}
    for scan in scans:
        if scan["length"] not in whole:
            before = longest.get(scan["length"], lengths[scan])
            if before.shape != lengths[scan].shape:
                whole.add(scan["length"])
            else:
                longest[scan["length"]] = np.maximum(before, lengths[scan])
    return {size: array for size, array in longest.items() if size not in whole}


def _introduced_non_finite(node: Node, operands: Sequence[np.ndarray], value: np.ndarray) -> np.ndarray | None:
    """Return a mask of NaNs and infinities that a node itself introduces; None if it cannot introduce any."""
    if OPS[node.op].kind not in ("elementwise", "contraction", "reduction"):
        return None  # data movement computes nothing, and constants are values of the user
    was_nan = _depends_on_flagged(node, operands, [np.isnan(item) for item in operands], value.shape)
    was_not_finite = _depends_on_flagged(node, operands, [~np.isfinite(item) for item in operands], value.shape)
    return np.isnan(value) & ~was_nan | np.isinf(value) & ~was_not_finite


def _depends_on_flagged(
    node: Node, operands: Sequence[np.ndarray], flags: Sequence[np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    """Return a mask of the elements of a result that depend on a flagged element of an operand."""
    match node.op:
        case "scatter_add":
            read = np.zeros(shape, bool)
            np.logical_or.at(read, np.clip(operands[0], 0, shape[0] - 1), flags[1])
            return read
        case "overlap_add":
            evaluate = OPS[node.op].evaluate
            assert evaluate is not None
            return evaluate([flags[0].astype(np.float64)], {**dict(node.attributes), "size": shape[node["axis"]]}) > 0
        case "select":
            return np.where(operands[0], flags[1], flags[2])
    result = np.zeros((1,) * len(shape), bool)
    for number, item in enumerate(flags):
        result = result | _flags_on_result_axes(node, number, item)
    return result


def _flags_on_result_axes(node: Node, number: int, flags: np.ndarray) -> np.ndarray:
    """Return an operand's flags along the axes of the result; ``any`` reduces the other axes."""
    fates = [fate(node, number, axis) for axis in range(flags.ndim)]
    places = {axis: item.axis for axis, item in enumerate(fates) if isinstance(item, Kept | Spread)}
    left = np.asarray(flags.any(tuple(axis for axis in range(flags.ndim) if axis not in places)))
    order = np.argsort([*places.values()]).astype(int)
    sizes = dict(zip(places.values(), left.shape, strict=True))
    return left.transpose(order).reshape([sizes.get(axis, 1) for axis in range(node.tensor.rank)])


def _earliest(bad: np.ndarray, first: Sequence[int]) -> tuple[int, ...]:
    """Return the index of the first set element. The axes ``first`` vary slowest."""
    order = [*first, *(axis for axis in range(bad.ndim) if axis not in first)]
    transposed = bad.transpose(order)
    place = np.unravel_index(int(transposed.argmax()), transposed.shape)
    return tuple(int(place[order.index(axis)]) for axis in range(bad.ndim))


def _along(values: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Return a vector as an array of a rank, along one axis."""
    return values.reshape([-1 if position == axis else 1 for position in range(rank)])
