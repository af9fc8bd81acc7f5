"""Division of scans into blocks, along axes that steps do not mix.

All steps of a block run before the next block starts, so that its state stays in L1. Without blocks, each step reads
and writes the state of all rows and heads, which may exceed L1. If a step has products, such as those of a chunk of
steps, their factors and results should stay in L2.
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
        axes: Divided axes, outermost first.
        sizes: Size of a block along each axis.
        body: Body of a step, restricted to one block.
        inside: For each node of the scan's own body, the node of ``body``.
    """

    axes: tuple[UnmixedAxis, ...]
    sizes: tuple[int, ...]
    body: Graph
    inside: Mapping[Node, Node]

    def view(self, node: Node, view: View, starts: Sequence[Index]) -> View:
        """Return the memory of one block's part of ``node``, a value of the scan's body at ``view``.

        ``starts`` has the block's first position along each axis.
        """
        start: list[Index] = [0] * len(view.shape)
        stop: list[Index] = [*view.shape]
        for axis, first, count in zip(self.axes, starts, self.sizes, strict=True):
            if node in axis.places:
                start[axis.places[node]], stop[axis.places[node]] = first, first + count
        return view.slice(start, stop, [1] * len(start))

    def axes_of_one(self, node: Node, shared: int | None) -> tuple[int, ...]:
        """Return the axes of a value along which a block has a single position, except for the ``shared`` axis.

        The ``shared`` axis, if any, is split between workers.
        """
        cuts = enumerate(zip(self.axes, self.sizes, strict=True))
        return tuple(axis.places[node] for number, (axis, count) in cuts if count == 1 and number != shared)

    def cuts_last_axis(self, node: Node) -> bool:
        """True if a block has only a part of each row of a value, because the value's last axis is divided."""
        last = node.tensor.rank - 1
        return any(axis.places.get(node) == last for axis in self.axes)

    def axis_of_rows(self, mask: Node) -> int | None:
        """Return the index of the divided axis with the rows of a mask; None unless each block has one row.

        ``mask`` is an input of the scan's body, and its first axis is the rows.
        """
        cuts = enumerate(zip(self.axes, self.sizes, strict=True))
        return next((number for number, (axis, count) in cuts if count == 1 and axis.places.get(mask) == 0), None)


def follows_in_block(scan: Node, blocks: ScanBlocks, earlier: Node, of_earlier: ScanBlocks) -> bool:
    """True if each block (part of the rows or heads) of a scan can run directly after that block of an earlier scan.

    Both scans must have blocks of equal number and size. The scan must read outputs of the earlier scan, and only those
    of the same step and block.
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
    """Return the division of a scan along axes that its steps do not mix, so that a block fits a cache; else None.

    Return None if no axis needs to be divided or can be, or if the largest carry has at most two axes. Scans with
    conditional steps, without carries, or with an inner scan are not divided either.
    """
    parts, body = ScanParts.of(scan), scan["body"]
    if parts.when is not None or not parts.carries or any(node.op == "scan" for node in body.nodes):
        return None
    state = max((carry.inside for carry in parts.carries), key=lambda node: node.tensor.bytes_at(1))
    if state.tensor.rank < 3:
        return None
    products = [node for node in body.nodes if node.op in MATRIX_PRODUCTS]
    axes, sizes = _axes_of_products(target, scan, products) if products else _axes_of_state(target, scan, state)
    if not axes:
        return None
    inner, inside = restricted(body, [*zip(axes, sizes, strict=True)])
    return ScanBlocks(tuple(axes), tuple(sizes), inner, inside)


def _axes_of_products(target: Target, scan: Node, products: Sequence[Node]) -> tuple[list[UnmixedAxis], list[int]]:
    """Return axes to divide so that a block's products fit half of L2, and a block's size along each, which is 1.

    Axes are divided until the factors and results of a block's products fill at most half of L2. An axis is not divided
    if an invariant of the scan has it. Right factors that are the same for all blocks, such as weights, must fit in a
    quarter of L1, because each block reads them again.
    """
    values = {item for node in products for item in (node, *node.operands) if item.op != "constant"}
    left, limit = sum(item.tensor.bytes_at(1) for item in values), target.second_cache // 2
    invariants = [binding.inside for binding in ScanParts.of(scan).invariants]
    axes = list[UnmixedAxis]()
    for axis in unmixed_axes(scan):
        shared = (node.operands[1] for node in products if node.operands[1] not in axis.places)
        is_cheap = all(item.tensor.bytes_at(1) <= target.first_cache // 4 for item in shared)
        if left > limit and is_cheap and axis.places.keys().isdisjoint(invariants):
            axes.append(axis)
            left //= _count(axis.size)
    return axes, [1] * len(axes)


def _axes_of_state(target: Target, scan: Node, state: Node) -> tuple[list[UnmixedAxis], list[int]]:
    """Return axes to divide so that a block's state fills at most half of L1, and a block's size along each.

    Axes before the last are divided into single positions. Those of symbolic size are always divided. If the state
    still does not fit, a last axis of fixed size is divided into whole vectors.
    """
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
    return axes, sizes


def _width(target: Target, size: Dim, max_width: int) -> int:
    """Return the largest width of a block, up to ``max_width``, that divides an axis into several blocks.

    A width consists of whole vectors. Return 0 if there is none, or if the size is symbolic.
    """
    lanes = target.lanes(4)
    widths = range(lanes, max_width + 1, lanes)
    return max((width for width in widths if isinstance(size, int) and width < size and size % width == 0), default=0)


def _count(size: Dim) -> int:
    """Return a size as a divisor, which is 1 for symbolic sizes and empty axes."""
    return max(1, size) if isinstance(size, int) else 1
