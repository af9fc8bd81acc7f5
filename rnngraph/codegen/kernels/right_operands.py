"""Memory of the right operands of register tiles: panels, packed columns, or the matrices themselves."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.graph import Node
from ...ir.types import Dim
from ...support.records import dataclass
from ..buffers.memory import Memory
from ..buffers.packing import DOT_WIDTH, PanelForm
from ..buffers.views import View
from ..loop_ir.builder import Block, loop
from ..loop_ir.nodes import BlockScales, Buffer, Index, Place, Store, Valid
from .loop_nests import VectorGroup
from .product_plan import Contraction
from .values import Coordinate, Coordinates, aligned, place


@dataclass(frozen=True)
class Columns:
    """Memory of the right operand for each column of a tile.

    Attributes:
        places: Buffer and index of each column at k = 0.
        right_stride: Elements between steps of k.
        lane_stride: Elements between units.
        valid: Number of units of each column that are in bounds; None if all are.
        prefetched: Buffer and index of the first column in the panel, if tiles read converted copies; else None.
        steps_per_lane: Steps of k that multiply the weights in a lane.
    """

    places: tuple[Place, ...]
    right_stride: Index
    lane_stride: Index
    valid: tuple[Valid, ...]
    prefetched: Place | None = None
    steps_per_lane: int = 1


@dataclass(frozen=True)
class RightOperands:
    """Access to the right operands of a kernel's tiles.

    Attributes:
        width: Units of the kernel.
        lanes: Units of a vector.
        group: Vectors of units in a group of a panel.
    """

    memory: Memory
    width: Dim
    lanes: int
    group: int

    def columns(
        self,
        contraction: Contraction,
        matrix: Coordinates,
        vectors: VectorGroup,
        packed: tuple[Buffer, Index] | None,
    ) -> Columns:
        """Return addresses, strides and limits of the weights that a tile reads for one group of units (``vectors``).

        Args:
            contraction: Products of the tile.
            matrix: Leading coordinates, which select a matrix of batched products.
            vectors: Units of the tile.
            packed: Buffer and index to which the call has packed or converted the columns; None if it has not.
        """
        (start, valid), lanes = vectors, self.lanes
        blocks = len(valid)
        views = [self.memory.views[node.operands[1]] for node in contraction.products[0]]
        if packed is not None:
            buffer, first = packed
            places = tuple((buffer, first + number * lanes) for number in range(len(views) * blocks))
            origin = self.columns(contraction, (), vectors, None).places[0] if contraction.widened else None
            return Columns(places, len(places) * lanes, 1, (None,) * len(places), origin)
        if all(map(self.memory.panels.packs, views)):
            return self._in_panel(views, contraction.lane_width, start, blocks, contraction.steps_per_lane)
        columns: list[Place] = []
        limits: list[Valid] = []
        for view in views:
            for number in range(blocks):
                at = (*aligned(view.shape[:-2], matrix), 0, start + number * lanes)
                columns.append((view.buffer, place(view, at)[0]))
                limits.append(None if self._in_whole_vectors(view) else valid[number])
        right_stride, lane_stride = views[0].strides[-2:]
        return Columns(tuple(columns), right_stride, lane_stride, tuple(limits))

    def widen(self, block: Block, contraction: Contraction, vectors: VectorGroup, target: Place) -> None:
        """Write a loop that converts a group's narrow packed weights to floats at ``target``, which tiles then read."""
        columns, (buffer, base) = self.columns(contraction, (), vectors, None), target
        dtype, depth = contraction.products[0][0].dtype, int(str(contraction.lefts[0].shape[-1]))
        unroll = next(count for count in (8, 4, 2, 1) if depth % count == 0)

        def rows(inner: Block, first: Index) -> None:
            for k in (first + offset for offset in range(unroll)):
                for number, (panel, index) in enumerate(columns.places):
                    narrow = inner.load("w", panel, index + k * columns.right_stride, self.lanes)
                    value = inner.let("cast", [narrow], dtype, self.lanes)
                    inner.add(Store(value, buffer, base + (k * len(columns.places) + number) * self.lanes))

        loop(block, "k", depth, rows, 0, unroll)

    def scales(
        self, products: Sequence[Node], rows: Sequence[Sequence[Coordinate]], vectors: VectorGroup
    ) -> BlockScales | None:
        """Return the memory of the scales of weights that are quantized in blocks of k; None for other weights."""
        node = products[0]
        if node.op != "block_matmul":
            return None

        def of_rows(item: Node) -> tuple[Place, ...]:
            view = self.memory.views[item]
            starts = (place(view, (*aligned(item.shape[:-1], tuple(row)), 0))[0] for row in rows)
            return tuple((view.buffer, start) for start in starts)

        views = [self.memory.views[item.operands[3]] for item in products]
        right = self._in_panel(views, 1, vectors.start, len(vectors.valid))
        return BlockScales(
            steps=node["block"] // DOT_WIDTH["int8"],
            blocks=int(str(node.operands[3].shape[0])),
            left=of_rows(node.operands[2]),
            sums=of_rows(node.operands[4]),
            right=right.places,
            right_stride=right.right_stride,
            zero=node["zero"],
            bits=node["bits"],
        )

    def _in_panel(
        self, views: Sequence[View], lane_width: int, start: Index, blocks: int, steps_per_lane: int = 1
    ) -> Columns:
        """Return the memory of ``blocks`` vectors of units from ``start`` on, in weights packed before calls."""
        assert isinstance(self.width, int), "weights of symbolic width can't be packed before calls"
        panel, gates = self.memory.panels.panel(PanelForm(tuple(views), self.width, self.lanes, self.group, lane_width))
        in_group = panel.group_blocks(start, self.lanes)
        of_vector = self.lanes * panel.elements_per_lane
        places = tuple(
            (
                panel.buffer,
                start * panel.elements_per_unit
                + number // in_group * in_group * self.lanes * panel.elements_per_unit
                + (gate * in_group + number % in_group) * of_vector,
            )
            for gate in gates
            for number in range(blocks)
        )
        right_stride = panel.gates * in_group * of_vector // steps_per_lane
        return Columns(places, right_stride, 1, (None,) * len(places), steps_per_lane=steps_per_lane)

    def _in_whole_vectors(self, view: View) -> bool:
        """True if rows of a matrix have readable padding up to a whole vector."""
        width = self.width
        return view.room is not None and isinstance(width, int) and view.room >= -(-width // self.lanes) * self.lanes
