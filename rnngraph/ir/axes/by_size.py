"""Inference of the time axis and the row axis of values from symbolic sizes.

A symbolic size has the same meaning everywhere in a graph. A fixed number may equal an unrelated size by coincidence.
Therefore each function documents whether it considers numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from ..graph import Graph, Node
from ..node import MATRIX_PRODUCTS
from ..scan import ScanParts
from ..types import Dim, Shape, Size, size, symbols_of

# Sizes ----------------------------------------------------------------------------------------------


def lengths_of(graph: Graph) -> set[str]:
    """Return the symbols in the lengths of scans. They may stay symbolic in compiled code."""
    return {name for node in _scans(graph) for name in symbols_of(node["length"])}


def time_sizes(graph: Graph) -> set[str]:
    """Return the symbols that count time steps: those in the lengths of scans.

    Without a scan, they are those in the second axis of each input, as in [batch, time, …].
    """
    if _scans(graph):
        return lengths_of(graph)
    fed = [node.shape for node in graph.inputs if node.op == "input"]
    return {name for shape in fed if len(shape) > 1 for name in symbols_of(shape[1])}


def attended_sizes(graph: Graph) -> set[str]:
    """Return the symbols in the last axis of a matmul, such as the key length of attention scores.

    Symbols that count rows of states are excluded.
    """
    columns = [node.shape[-1] for node in graph.walk() if node.op in MATRIX_PRODUCTS]
    return set().union(*map(symbols_of, columns)).difference(*map(symbols_of, state_rows(graph)))


def declared_lengths(graph: Graph) -> set[Dim]:
    """Return the lengths of scans that are fixed numbers."""
    return {node["length"] for node in _scans(graph) if isinstance(node["length"], int)}


def state_rows(graph: Graph) -> set[Dim]:
    """Return the sizes that count batch rows: those of the first axis of each scan's first carry."""
    carried = (scan.carries[0].inside.shape[:1] for scan in map(ScanParts.of, _scans(graph)) if scan.carries)
    return {dim for shape in carried for dim in shape}


def rows_of_feeds(shapes: Sequence[Shape], times: Set[str]) -> list[Dim]:
    """Return the sizes of inputs' axes that count batch rows, for a graph without recurrence.

    If one of the first two axes of an input is time, the other axis counts rows. If no input has a time axis, the first
    axis of each input counts rows. Fixed sizes then count only if no input has a symbolic first axis, and only those of
    inputs of rank 2 or more.
    """
    axes = [(shape, axis_of_names(shape, times)) for shape in shapes]
    sequences = [(shape, axis) for shape, axis in axes if axis is not None]
    if sequences:
        return [shape[1 - axis] for shape, axis in sequences if axis < 2 <= len(shape)]
    first = [shape[0] for shape in shapes if shape]
    return [dim for dim in first if symbols_of(dim)] or [shape[0] for shape in shapes if len(shape) > 1]


def rows_and_steps(graph: Graph) -> tuple[Dim | None, Dim | None]:
    """Return the size that counts a graph's batch rows, and the size that counts its time steps; None if there is none.

    The row count is that of the first scan whose row count is an int or a single symbol. If no scan has such a count,
    the inputs decide. The step count is a symbol in the length of a scan with these rows. If there is none, it is a
    single symbol on one of the first two axes of an input. Failing that, it is a fixed length of such a scan that is
    also the size of such an axis.
    """
    fed = [node.shape for node in graph.inputs if node.op == "input"]
    scans = [ScanParts.of(node) for node in graph.nodes if node.op == "scan"]
    carried = [(scan.carries[0].inside.shape[:1], scan.length) for scan in scans if scan.carries]
    counted = [(dim, length) for shape, length in carried for dim in shape if isinstance(dim, int) or dim.symbol]
    rows = next(iter([dim for dim, _ in counted] or rows_of_feeds(fed, time_sizes(graph))), None)
    lengths = [length for dim, length in counted if dim == rows]
    candidates: list[Dim] = [size(name) for length in lengths for name in sorted(symbols_of(length))]
    other_dims = [dim for shape in fed for dim in shape[:2] if dim != rows]
    candidates += [dim for dim in other_dims if isinstance(dim, Size) and dim.symbol]
    candidates += [dim for dim in other_dims if dim in lengths]
    return rows, next(iter(candidates), None)


def _scans(graph: Graph) -> list[Node]:
    """Return the scans of a graph, including those in bodies of scans."""
    return [node for node in graph.walk() if node.op == "scan"]


# Axes of a shape ------------------------------------------------------------------------------------


def counts(dim: Dim, names: Set[str]) -> bool:
    """True if a size contains one of the symbols ``names``, as T-1 contains T."""
    return bool(symbols_of(dim) & names)


def axis_of_names(shape: Shape, names: Set[str]) -> int | None:
    """Return the first axis whose size contains one of the symbols ``names``, or None."""
    return next((axis for axis, dim in enumerate(shape) if counts(dim, names)), None)


def axis_beside_names(shape: Shape, names: Set[str]) -> int | None:
    """Return the first axis whose size contains none of the symbols ``names``, or None."""
    return next((axis for axis, dim in enumerate(shape) if not counts(dim, names)), None)


def axis_of_sizes(shape: Shape, sizes: Set[Dim]) -> int | None:
    """Return the first axis whose size is one of ``sizes``, or None."""
    return next((axis for axis, dim in enumerate(shape) if dim in sizes), None)


def time_axis_of_fed(shape: Shape, batch_axis: int | None, times: Set[str], declared: Set[Dim]) -> int | None:
    """Return the index of an input's time axis; None if it has none.

    The time axis is the first axis, except the batch axis, whose size contains a symbol of ``times``. If there is none,
    and the input has a batch axis, it is the first other axis of a ``declared`` length.
    """
    others = [axis for axis in range(len(shape)) if axis != batch_axis]
    candidates = [axis for axis in others if counts(shape[axis], times)]
    candidates += [axis for axis in others if shape[axis] in declared and batch_axis is not None]
    return candidates[0] if candidates else None


def open_axis_of_fed(shape: Shape, batch_axis: int | None) -> int | None:
    """Return the first axis, except the batch axis, whose size has a symbol that is not in the batch size.

    Return None if there is none, or without a batch axis.
    """
    if batch_axis is None:
        return None
    batch = symbols_of(shape[batch_axis])
    return next((axis for axis, dim in enumerate(shape) if axis != batch_axis and symbols_of(dim) - batch), None)


# Axes of a graph's values ---------------------------------------------------------------------------


def output_row_axes(graph: Graph, row_sizes: Mapping[str, int], batch: int) -> dict[str, int | None]:
    """Return {name of an output: index of its batch row axis, or None without one}.

    Args:
        graph: Graph with the outputs.
        row_sizes: Symbols that count rows. If empty, an axis of size ``batch`` counts rows.
        batch: Fixed row count.
    """

    def axis_of(shape: Shape) -> int | None:
        return axis_of_names(shape, row_sizes.keys()) if row_sizes else axis_of_sizes(shape, {batch})

    return {name: axis_of(node.shape) for name, node in graph.outputs}


class NodeAxes:
    """Row and time axes of the nodes of one graph, inferred from their sizes."""

    def __init__(self, graph: Graph) -> None:
        scans = _scans(graph)
        self.lengths: set[Dim] = {node["length"] for node in scans}
        carried = (carry.inside for node in scans for carry in ScanParts.of(node).carries)
        batched = carried if scans else (node for node in graph.inputs if node.op == "input")
        self.batches: set[Dim] = {node.shape[0] for node in batched if node.tensor.rank}
        # A carry may hold a whole sequence, whose first axis is time.
        self.batches -= {size for size in self.lengths if isinstance(size, Size)}

    def of(self, node: Node, in_loop: bool, forward: bool) -> tuple[int | None, int | None]:
        """Return the index of a node's batch row axis and of its time axis; None for an axis that it does not have.

        An axis whose size is a fixed number is considered only at the usual positions of rows and steps, and never in a
        gradient.

        Args:
            node: Node to classify.
            in_loop: True for a node of a scan's body, which has no time axis.
            forward: False for a node of a gradient.
        """
        if node.op in ("parameter", "outer_sum", "scatter_add"):
            return None, None
        shape, steps = node.shape, None
        if not in_loop:
            steps = _usual_axis(shape, self.lengths, (0, 1) if forward and len(shape) > 2 else ())
            if steps == 0 and shape[0] in self.batches and shape[1:2] and shape[1] in self.lengths:
                steps = 1  # both axes may count rows or steps; in declarations, rows are first
        usual = 1 if steps == 0 else 0
        return _usual_axis(shape, self.batches, (usual,) if forward or in_loop else ()), steps


def _usual_axis(shape: Shape, sizes: Set[Dim], usual: Sequence[int]) -> int | None:
    """Return the first axis with one of ``sizes``, else None. A number matches only at one of the ``usual`` axes."""
    fits = (axis for axis, dim in enumerate(shape) if dim in sizes and (isinstance(dim, Size) or axis in usual))
    return next(fits, None)
