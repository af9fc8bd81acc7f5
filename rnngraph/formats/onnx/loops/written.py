"""Recognises arrays that a loop carries, and in which each step writes the next entry of an axis.

The final array then is the initial array, overwritten with the concatenation of the steps' writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ....ir.types import Dim
from ..core.known import Operand, shape_of
from ..core.model import Graph, Node, subgraphs
from ..core.ranges import parts_of, range_of
from ..core.sizes import UnreadableError
from ..core.tensors import Tensors
from ..ops.scattering import Bounds, region_of, written_over


@dataclass(frozen=True)
class Places:
    """Regions that the steps of a loop write.

    Attributes:
        region: Range along each axis that the first step writes.
        axis: Axis along which each later step writes the next entry.
        is_back: True if later steps write lower indices.
    """

    region: Sequence[Bounds]
    axis: int
    is_back: bool

    @property
    def shape(self) -> list[Dim]:
        """Shape of one write without the axis of the steps."""
        return [count for place, (_, count) in enumerate(self.region) if place != self.axis]

    def written(self, tensors: Tensors, before: Operand, steps: Operand, length: Dim) -> Operand:
        """Return ``before``, overwritten with ``steps``: the values that the steps wrote, stacked along axis 0."""
        axis = self.axis
        moved = tensors.transpose(steps, [*range(1, axis + 1), 0, *range(axis + 1, len(self.region))])
        first = self.region[axis][0]
        if self.is_back:
            moved = tensors.index(moved, [slice(None)] * axis + [slice(None, None, -1)])
            first = first - length + 1
        whole = [*self.region[:axis], (first, length), *self.region[axis + 1 :]]
        return written_over(tensors, before, whole, moved)


def writer_of(name: str, following: str, body: Graph, source_of: Callable[[str], str]) -> Node | None:
    """Return the node that overwrites a part of a state; None if there is none, or if other nodes read the state.

    Args:
        name: Name of the state in the body.
        following: Name of the state's next value.
        body: Body of the loop.
        source_of: Function that traces a name back through Identity nodes.
    """
    node = body.makers.get(source_of(following))
    if node is None or node.op != "ScatterND" or node.attributes.get("reduction", "none") != "none":
        return None
    others = list(body.outputs)
    others.remove(following)
    read = _numbers_read([*others, *node.inputs[1:]], body)
    return node if source_of(node.inputs[0]) == name and not read & {name, node.outputs[0]} else None


def _numbers_read(names: Sequence[str], body: Graph) -> set[str]:
    """Return the names of the values on whose entries, rather than only shapes, the values ``names`` depend."""
    pending, seen = list(names), set[str]()
    while pending:
        item = pending.pop()
        if not item or item in seen:
            continue
        seen.add(item)
        node = body.makers.get(item)
        if node is not None and node.op != "Shape":
            pending += node.inputs
            pending += [other for graph in subgraphs(node) for other in _names(graph)]
    return seen


def _names(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        yield from node.inputs
        for inner in subgraphs(node):
            yield from _names(inner)
    yield from graph.outputs


def places_of(tensors: Tensors, shape: Sequence[Dim], first: Operand, second: Operand) -> Places | None:
    """Return the regions that all steps write, inferred from the first two steps' indices; None if these are equal.

    Raise ``UnreadableError`` unless the second region is one entry further, or back, along one axis.
    """
    regions = [_region(tensors, shape, index) for index in (first, second)]
    pairs = list(enumerate(zip(*regions, strict=True)))
    moves = {place: there[0] - here[0] for place, (here, there) in pairs if there != here}
    if not moves:
        return None
    for axis, move in moves.items():
        if len(moves) == 1 and move in (1, -1) and regions[0][axis][1] == regions[1][axis][1] == 1:
            return Places(regions[0], axis, move == -1)
    raise UnreadableError("its steps must write to consecutive indices along one axis")


def _region(tensors: Tensors, shape: Sequence[Dim], index: Operand) -> list[Bounds]:
    """Return the range along each axis that an index selects. Raises ``UnreadableError`` for other indices."""
    *ahead, depth = shape_of(index)
    parts = parts_of(tensors, index) if isinstance(depth, int) and 0 < depth <= len(shape) else None
    region = None if parts is None else region_of([range_of(tensors, part) for part in parts], shape, ahead)
    if region is None:
        raise UnreadableError("its steps write to indices that are not one range for each axis, which is not supported")
    return region


def counted_alone(name: str, body: Graph, counts: Sequence[str]) -> bool:
    """True if the inputs of the body on whose entries a value depends are all among ``counts``."""
    return all(item in counts for item in _numbers_read([name], body) if item in body.inputs)
