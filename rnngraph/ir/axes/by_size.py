"""Which axis of a value counts steps, and which rows: all that is read off a graph about it.

An open size has a name, and a name has one meaning wherever it stands. A declared number may be a width by chance:
each question says where a number is trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from ..graph import Graph, Node
from ..scan import ScanParts
from ..types import Dim, Shape, Size, size, symbols_of

# Sizes ----------------------------------------------------------------------------------------------


def lengths_of(graph: Graph) -> set[str]:
    """Names of sizes that are lengths of scans: they are run-time sizes, the others are compiled in."""
    return {name for node in _scans(graph) for name in symbols_of(node["length"])}


def time_sizes(graph: Graph) -> set[str]:
    """Names of sizes that count time steps: lengths of scans.

    Where nothing recurs, the place of an axis tells: the second one of what is fed, as in [batch, time, …].
    """
    if _scans(graph):
        return lengths_of(graph)
    fed = [node.shape for node in graph.inputs if node.op == "input"]
    return {name for shape in fed if len(shape) > 1 for name in symbols_of(shape[1])}


def attended_sizes(graph: Graph) -> set[str]:
    """Names of sizes that are columns of a product, as the steps that an attention's scores are of, but for those that
    count rows of states.
    """
    columns = [node.shape[-1] for node in graph.walk() if node.op == "matmul"]
    return set().union(*map(symbols_of, columns)).difference(*map(symbols_of, state_rows(graph)))


def declared_lengths(graph: Graph) -> set[Dim]:
    """Lengths of scans that are numbers."""
    return {node["length"] for node in _scans(graph) if isinstance(node["length"], int)}


def state_rows(graph: Graph) -> set[Dim]:
    """Numbers of rows of states: of the first that each scan carries."""
    carried = (scan.carries[0].inside.shape[:1] for scan in map(ScanParts.of, _scans(graph)) if scan.carries)
    return {dim for shape in carried for dim in shape}


def rows_of_feeds(shapes: Sequence[Shape], times: Set[str]) -> list[Dim]:
    """Sizes that count rows where nothing recurs: the other of the first two axes of every sequence that is fed.
    Without sequences the first axis of every feed, fixed ones only where none is open.
    """
    axes = [(shape, axis_of_names(shape, times)) for shape in shapes]
    sequences = [(shape, axis) for shape, axis in axes if axis is not None]
    if sequences:
        return [shape[1 - axis] for shape, axis in sequences if axis < 2 <= len(shape)]
    first = [shape[0] for shape in shapes if shape]
    return [dim for dim in first if symbols_of(dim)] or [shape[0] for shape in shapes if len(shape) > 1]


def rows_and_steps(graph: Graph) -> tuple[Dim | None, Dim | None]:
    """The sizes that count the rows and the steps of a whole graph: those of the first scan whose rows are one size, or
    of what is fed. A number of steps is one that a feed has. None: the graph has none.
    """
    fed = [node.shape for node in graph.inputs if node.op == "input"]
    scans = [ScanParts.of(node) for node in graph.nodes if node.op == "scan"]
    carried = [(scan.carries[0].inside.shape[:1], scan.length) for scan in scans if scan.carries]
    counted = [(dim, length) for shape, length in carried for dim in shape if isinstance(dim, int) or dim.symbol]
    rows = next(iter([dim for dim, _ in counted] or rows_of_feeds(fed, time_sizes(graph))), None)
    lengths = [length for dim, length in counted if dim == rows]
    found: list[Dim] = [size(name) for length in lengths for name in sorted(symbols_of(length))]
    beside = [dim for shape in fed for dim in shape[:2] if dim != rows]
    found += [dim for dim in beside if isinstance(dim, Size) and dim.symbol]
    found += [dim for dim in beside if dim in lengths]
    return rows, next(iter(found), None)


def _scans(graph: Graph) -> list[Node]:
    return [node for node in graph.walk() if node.op == "scan"]


# Axes of a shape ------------------------------------------------------------------------------------


def counts(dim: Dim, names: Set[str]) -> bool:
    """Whether a size is made of one of ``names``, such as T-1 of T."""
    return bool(symbols_of(dim) & names)


def axis_of_names(shape: Shape, names: Set[str]) -> int | None:
    """The first axis whose size is made of one of ``names``."""
    return next((axis for axis, dim in enumerate(shape) if counts(dim, names)), None)


def axis_beside_names(shape: Shape, names: Set[str]) -> int | None:
    """The first axis whose size is made of none of ``names``."""
    return next((axis for axis, dim in enumerate(shape) if not counts(dim, names)), None)


def axis_of_sizes(shape: Shape, sizes: Set[Dim]) -> int | None:
    """The first axis that has one of ``sizes``."""
    return next((axis for axis, dim in enumerate(shape) if dim in sizes), None)


def time_axis_of_fed(shape: Shape, batch_axis: int | None, times: Set[str], declared: Set[Dim]) -> int | None:
    """The axis of steps of what is fed: one of a name in ``times``, or beside a batch one of a declared length."""
    others = [axis for axis in range(len(shape)) if axis != batch_axis]
    found = [axis for axis in others if counts(shape[axis], times)]
    found += [axis for axis in others if shape[axis] in declared and batch_axis is not None]
    return found[0] if found else None


def open_axis_of_fed(shape: Shape, batch_axis: int | None) -> int | None:
    """The first axis beside the batch that has an open size of its own."""
    if batch_axis is None:
        return None
    batch = symbols_of(shape[batch_axis])
    return next((axis for axis, dim in enumerate(shape) if axis != batch_axis and symbols_of(dim) - batch), None)


# Axes of a graph's values ---------------------------------------------------------------------------


def output_row_axes(graph: Graph, row_sizes: Mapping[str, int], batch: int) -> dict[str, int | None]:
    """The axis of rows in each output; None where it has none. row_sizes: names that count rows; without any, rows are
    where the number ``batch`` stands.
    """

    def axis_of(shape: Shape) -> int | None:
        return axis_of_names(shape, row_sizes.keys()) if row_sizes else axis_of_sizes(shape, {batch})

    return {name: axis_of(node.shape) for name, node in graph.outputs}


class NodeAxes:
    """Which axis of any node's value counts rows, and which counts steps, by the sizes they have."""

    def __init__(self, graph: Graph) -> None:
        scans = _scans(graph)
        self.lengths: set[Dim] = {node["length"] for node in scans}
        carried = (carry.inside for node in scans for carry in ScanParts.of(node).carries)
        given = carried if scans else (node for node in graph.inputs if node.op == "input")
        self.batches: set[Dim] = {node.shape[0] for node in given if node.tensor.rank}
        self.batches -= {size for size in self.lengths if isinstance(size, Size)}  # a sequence may be carried whole

    def of(self, node: Node, in_loop: bool, forward: bool) -> tuple[int | None, int | None]:
        """(axis of rows, axis of steps), each None where there is none.

        A declared number counts only where rows and steps usually stand, and not in a gradient.
        """
        if node.op in ("parameter", "outer_sum", "scatter_add"):
            return None, None
        shape, steps = node.shape, None
        if not in_loop:
            steps = _usual_axis(shape, self.lengths, (0, 1) if forward and len(shape) > 2 else ())
            if steps == 0 and shape[0] in self.batches and shape[1:2] and shape[1] in self.lengths:
                steps = 1  # as many rows as steps: what users write has rows first
        usual = 1 if steps == 0 else 0
        return _usual_axis(shape, self.batches, (usual,) if forward or in_loop else ()), steps


def _usual_axis(shape: Shape, sizes: Set[Dim], usual: Sequence[int]) -> int | None:
    """The first axis that has one of ``sizes``: an open one anywhere, a number at one of the ``usual`` places only."""
    fits = (axis for axis, dim in enumerate(shape) if dim in sizes and (isinstance(dim, Size) or axis in usual))
    return next(fits, None)
