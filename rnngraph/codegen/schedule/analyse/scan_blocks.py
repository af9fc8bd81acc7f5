"""Scans in blocks: along axes that steps do not mix, a block runs all its steps before the next block starts.

The state of a block stays in L1, where that of all rows and heads would pass through it in each step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....ir.axes.unmixed import UnmixedAxis, restricted, unmixed_axes
from ....ir.graph import Graph, Node
from ....ir.ops import MATRIX_PRODUCTS
from ....ir.scan import ScanParts
from ....ir.types import Dim
from ....support.records import dataclass
from ...analysis.node_kinds import source_of
from ...buffers.views import View
from ...loop_ir.nodes import Index
from ...machine.target import Target


@dataclass(frozen=True)
class ScanBlocks:
    """Division of a scan into blocks along axes that its steps do not mix.

    Attributes:
        axes: The axes, outermost first.
        sizes: Positions of each axis in a block.
        body: Body of a step, restricted to one block.
        inside: Nodes of ``body`` by the nodes of the scan's own body.
    """

    axes: tuple[UnmixedAxis, ...]
    sizes: tuple[int, ...]
    body: Graph
    inside: Mapping[Node, Node]

    def view(self, node: Node, view: View, starts: Sequence[Index]) -> View:
        """Return a block's part of a value of the scan's body.

        ``starts`` are the block's first positions of the axes.
        """
        start: list[Index] = [0] * len(view.shape)
        stop: list[Index] = [*view.shape]
        for axis, first, count in zip(self.axes, starts, self.sizes, strict=True):
            if node in axis.places:
                start[axis.places[node]], stop[axis.places[node]] = first, first + count
        return view.slice(start, stop, [1] * len(start))

    def axes_of_one(self, node: Node, shared: int | None) -> tuple[int, ...]:
        """Return the axes of a value along which a block has a single position.

        ``shared`` is the axis that workers split, if any.
        """
        cuts = enumerate(zip(self.axes, self.sizes, strict=True))
        return tuple(axis.places[node] for number, (axis, count) in cuts if count == 1 and number != shared)

    def axis_of_rows(self, mask: Node) -> int | None:
        """Return the divided axis that holds the rows of a mask, if each block has one row; else None.

        mask: input of the scan's body, whose first axis is the rows.
        """
        cuts = enumerate(zip(self.axes, self.sizes, strict=True))
        return next((number for number, (axis, count) in cuts if count == 1 and axis.places.get(mask) == 0), None)


def follows_in_block(scan: Node, blocks: ScanBlocks, earlier: Node, of_earlier: ScanBlocks) -> bool:
    """True if a block of a scan can run directly after the same block of an earlier scan.

    The scan must read only the earlier scan's outputs of the same step and block.
    """
    sizes = [(axis.size, count) for axis, count in zip(blocks.axes, blocks.sizes, strict=True)]
    if sizes != [(axis.size, count) for axis, count in zip(of_earlier.axes, of_earlier.sizes, strict=True)]:
        return False
    links = 0
    for outside in scan.operands:
        source = source_of(outside)
        if source.op != "get" or source.operands[0] is not earlier:
            continue
        links += 1
        value = earlier["body"].outputs[source["index"]][1]
        readers = [binding.inside for binding in ScanParts.of(scan).sequences if binding.outside is source]
        if outside is not source or len(readers) != scan.operands.count(source):
            return False
        for axis, other in zip(blocks.axes, of_earlier.axes, strict=True):
            if any(axis.places.get(inside) != other.places[value] for inside in readers):
                return False
    return links > 0


def scan_blocks(target: Target, scan: Node) -> ScanBlocks | None:
    """Return the division of a scan whose state has several axes; None if it is as fast undivided.

    Outer axes are cut until a block's state fits into L1; open ones are always cut. Then the last axis is
    cut into parts of whole vectors.
    """
    parts, body = ScanParts.of(scan), scan["body"]
    if parts.when is not None or not parts.carries or any(node.op in (*MATRIX_PRODUCTS, "scan") for node in body.nodes):
        return None
    state = max((carry.inside for carry in parts.carries), key=lambda node: node.tensor.bytes_at(1))
    if state.tensor.rank < 3:
        return None
    last, left, limit = state.tensor.rank - 1, state.tensor.bytes_at(1), target.first_cache // 2
    axes, sizes = list[UnmixedAxis](), list[int]()
    for axis in unmixed_axes(scan):
        if axis.places[state] == last:
            width = _width(target, axis.size, limit // max(1, -(-left // _count(axis.size))))
            if left > limit and width:
                axes.append(axis)
                sizes.append(width)
        elif left > limit or not isinstance(axis.size, int):
            axes.append(axis)
            sizes.append(1)
            left //= _count(axis.size)
    if not axes:
        return None
    inner, inside = restricted(body, [*zip(axes, sizes, strict=True)])
    return ScanBlocks(tuple(axes), tuple(sizes), inner, inside)


def _width(target: Target, size: Dim, max_width: int) -> int:
    """Return the units of a block: whole vectors that divide an axis, at most ``max_width``; 0 if there are none."""
    lanes = target.lanes(4)
    widths = range(lanes, max_width + 1, lanes)
    return max((width for width in widths if isinstance(size, int) and width < size and size % width == 0), default=0)


def _count(size: Dim) -> int:
    """Return a size as a divisor: 1 for symbolic sizes and empty axes."""
    return max(1, size) if isinstance(size, int) else 1
